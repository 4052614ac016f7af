"""Login through an OpenID Connect provider, by Authlib: authorization code with PKCE, state and nonce (OpenID Connect
Core 1.0; RFC 7636; RFC 9207).

Loaded only where a provider is set.
"""

from __future__ import annotations

import base64
import hmac
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import gevent
import httpx2
import orjson
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client import BaseApp, OAuth2Mixin, OpenIDMixin
from authlib.integrations.httpx_client import OAuth2Client
from joserfc.errors import JoseError
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from app.config import ROLES, Role

_log = logging.getLogger(__name__)

STATE_SECONDS = 600
PROVIDER_SECONDS = 10.0
"""The provider has this long for all of a login's calls together."""
DISCOVERY_SECONDS = 3600.0
"""The provider's description is read again after this long; its keys also when a token names an unknown one."""
MAX_RESPONSE_BYTES = 1024 * 1024
SIGNATURES = frozenset(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"])
"""With a public key; a token signed in any other way is refused."""
MAX_NAME_CHARS = 60
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
_FAILURES = (AuthlibBaseError, JoseError, httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError,
             AttributeError, RuntimeError)  # fmt: skip
"""What Authlib raises for a provider that is away, and for answers that are not as they should be."""


class LoginFailed(Exception):
    """The login could not be completed; the text is a word for the log."""


class NoRole(LoginFailed):
    """The provider knows the person, and none of their groups has a role here."""


@dataclass(frozen=True, slots=True)
class OidcConfig:
    """What the provider and this service know each other by."""

    issuer: str
    client_id: str
    client_secret: str
    roles: Mapping[str, str]
    """Roles by group."""
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider vouches for. A person is their ``issuer`` and ``subject``; the name may change."""

    issuer: str
    subject: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What a login needs when the browser comes back. It lies encrypted in the browser's own cookie."""

    state: str
    nonce: str
    code_verifier: str
    expires_at: float


class OidcProvider:
    """The provider that operators log in with."""

    def __init__(self, config: OidcConfig) -> None:
        self._config = config
        self._secret = hmac.digest(config.client_secret.encode(), b"oidc login:", "sha256")
        self._client = _Client(config)

    def start(self) -> tuple[str, str]:
        """Where to send the browser, and the cookie that it brings back. Raises LoginFailed."""
        with _bounded():
            request = self._client.create_authorization_url(self._config.redirect_uri)
        attempt = _Attempt(request["state"], request["nonce"], request["code_verifier"], time.time() + STATE_SECONDS)
        sealed = Aead(self._secret).encrypt(orjson.dumps(asdict(attempt)))
        return request["url"], base64.urlsafe_b64encode(bytes(sealed)).decode()

    def finish(self, cookie: str, answer: Mapping[str, str]) -> Identity:
        """Who came back with this answer of the provider. Raises LoginFailed or NoRole."""
        attempt = self._open(cookie)
        if not hmac.compare_digest(attempt.state.encode(), answer.get("state", "").encode("utf-8", "replace")):
            raise LoginFailed("state")
        if answer.get("iss", self._config.issuer) != self._config.issuer:
            raise LoginFailed("iss")
        if "error" in answer or not answer.get("code"):
            raise LoginFailed("refused by the provider")
        with _bounded():
            claims = self._client.fetch_claims(answer["code"], attempt)
        return self._identity(claims)

    def _open(self, cookie: str) -> _Attempt:
        try:
            attempt = _Attempt(**orjson.loads(Aead(self._secret).decrypt(base64.urlsafe_b64decode(cookie))))
        except (CryptoError, ValueError, TypeError):
            raise LoginFailed("no attempt") from None
        if time.time() > attempt.expires_at:
            raise LoginFailed("too late")
        return attempt

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        groups = {group for name in ("groups", "roles") for group in _texts(claims.get(name))}
        roles = [role for role in ROLES if role in {self._config.roles.get(group) for group in groups}]
        if not roles:
            raise NoRole("no group with a role")
        return Identity(self._config.issuer, claims["sub"], _name(claims), roles[-1])


class _Client(OAuth2Mixin, OpenIDMixin, BaseApp):  # type: ignore[misc] # Authlib has no types
    """Authlib's client over httpx2, with a description of the provider that is checked before it is believed."""

    client_cls = OAuth2Client

    def __init__(self, config: OidcConfig) -> None:
        self._config = config
        super().__init__(
            None,
            "operators",
            client_id=config.client_id,
            client_secret=config.client_secret,
            client_kwargs={
                "scope": "openid profile email",
                "code_challenge_method": "S256",
                "timeout": PROVIDER_SECONDS / 2,
                "follow_redirects": False,
                "trust_env": False,
                "headers": {"Accept-Encoding": "identity"},
                "transport": _Transport(),
            },
        )
        self._loaded_at = float("-inf")

    def load_server_metadata(self) -> dict[str, Any]:
        """The provider's description (OpenID Connect Discovery 1.0), kept for DISCOVERY_SECONDS."""
        if time.monotonic() - self._loaded_at > DISCOVERY_SECONDS:
            address = f"{self._config.issuer.rstrip('/')}/.well-known/openid-configuration"
            with self._get_session() as session:
                response = session.request("GET", address, withhold_token=True)
                response.raise_for_status()
            self.server_metadata = self._checked(response.json())
            self._loaded_at = time.monotonic()
        return dict(self.server_metadata)

    def _checked(self, described: Mapping[str, Any]) -> dict[str, Any]:
        """Only what is used here: Authlib hands every entry on as an option of its HTTP client. Raises ValueError."""
        if described["issuer"] != self._config.issuer:
            raise ValueError("the provider names another issuer")
        metadata = {name: described[name] for name in _ENDPOINTS if name in described}
        scheme = self._config.issuer.partition(":")[0]
        if not {"authorization_endpoint", "token_endpoint", "jwks_uri"} <= metadata.keys() or not all(
            isinstance(url, str) and url.startswith(("https://", f"{scheme}://")) for url in metadata.values()
        ):
            raise ValueError("the provider's description lacks an address over https")
        offered = described.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [name for name in offered if name in SIGNATURES]
        methods = described.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" not in methods and "client_secret_post" in methods:
            metadata["token_endpoint_auth_method"] = "client_secret_post"  # noqa: S105
        return {"issuer": self._config.issuer, **metadata}

    def fetch_claims(self, code: str, attempt: _Attempt) -> dict[str, Any]:
        """The claims of the verified ID token, and what only the user info endpoint says."""
        token = self.fetch_access_token(self._config.redirect_uri, code=code, code_verifier=attempt.code_verifier)
        options = {
            "iss": {"essential": True, "values": [self._config.issuer]},
            "aud": {"essential": True, "values": [self._config.client_id]},
            "sub": {"essential": True},
        }
        verified = self.parse_id_token(token, attempt.nonce, claims_options=options)
        if verified is None or not isinstance(verified["sub"], str):
            raise ValueError("the provider sent no ID token")
        claims = dict(verified)
        if "userinfo_endpoint" in self.server_metadata and not (
            {"groups", "roles"} & claims.keys() and "name" in claims
        ):
            more = dict(self.userinfo(token=token))
            if more.get("sub") != claims["sub"]:
                raise ValueError("the user info is somebody else's")
            claims = {**more, **claims}
        return claims


class _Transport(httpx2.HTTPTransport):
    """httpx's own transport, without kept connections; a response that is too long, or compressed, is refused."""

    def __init__(self) -> None:
        super().__init__(trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        body = b""
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise httpx2.ReadError("a compressed response", request=request)
            for data in response.stream:  # type: ignore[union-attr]
                body += data
                if len(body) > MAX_RESPONSE_BYTES:
                    raise httpx2.ReadError("a response that is too long", request=request)
        finally:
            response.close()
        return httpx2.Response(response.status_code, headers=response.headers, content=body, request=request)

    def close(self) -> None:
        """Authlib closes its client after each call; the transport stays."""


class _bounded:  # noqa: N801 - a context manager
    """Ends what takes longer than PROVIDER_SECONDS, and turns every failure into LoginFailed; the log says which."""

    def __enter__(self) -> None:
        self._timeout = gevent.Timeout.start_new(PROVIDER_SECONDS)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._timeout.close()
        if error is self._timeout or isinstance(error, _FAILURES):
            # Never the message: it may hold a code or a token.
            _log.warning("login through the provider failed: %s", type(error).__name__)
            raise LoginFailed("provider") from None


def _texts(value: object) -> list[str]:
    """A claim as a list of texts; some providers send a single one bare."""
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def _name(claims: Mapping[str, Any]) -> str:
    """The name as visitors see it, in one line."""
    for claim in ("name", "preferred_username", "nickname"):
        name = "".join(letter for letter in str(claims.get(claim) or "") if letter.isprintable()).strip()
        if name:
            return name[:MAX_NAME_CHARS]
    return "Operator"
