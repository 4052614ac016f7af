"""Signed-in visitors: short-lived tokens signed by the site (JWT, RFC 7519, HS256)."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.conversations.ids import decrypt, encrypt, hash_session_id, hash_user_id
from app.errors import BadToken

if TYPE_CHECKING:
    from jwt.types import Options

AUDIENCE = "baton"
_SESSION_CLAIM = "baton_session"
MAX_SUBJECT_CHARS = 255
"""As in OpenID Connect."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class SignedInUser:
    """The user that a verified token names; ``user`` is 128 bits of a hash in hex, the only form that Redis holds."""

    user: str
    session_hash: str
    """The one session that the token is good for; empty where it is good for all of the user's."""
    _sub: bytes = field(repr=False)
    _expires_at: int = field(repr=False)
    _kid: str = field(repr=False)
    _secret: str = field(repr=False)
    _secrets: tuple[str, ...] = field(repr=False)
    profile: bytes = field(default=b"", repr=False)
    """``{id, name?, email?}`` as the site vouches for it, in JSON: what operators see."""

    def token_for(self, session_hash: str) -> str:
        """A token of the same user that is good for this one session, and for no longer than the one at hand."""
        import jwt

        claims = {"sub": self._sub.decode(), "exp": self._expires_at, "aud": AUDIENCE, _SESSION_CLAIM: session_hash}
        return jwt.encode(claims, self._secret, "HS256", headers={"kid": self._kid} if self._kid else None)

    def encrypt(self, session_hash: str, session_id: str) -> str:
        """The session id, readable only with this user's subject and a signing secret."""
        return encrypt(session_id, self._key(self._secret, session_hash))

    def decrypt(self, session_hash: str, encrypted_id: str) -> str | None:
        """The session id, by any secret still in use; None where none of them decrypts it."""
        for secret in self._secrets:
            session_id = decrypt(encrypted_id, self._key(secret, session_hash))
            if hash_session_id(session_id) == session_hash:
                return session_id
        return None

    def derive_keys(self, purpose: bytes) -> tuple[bytes, ...]:
        """32 bytes from this user's subject and each secret still in use, the one of the token first."""
        secrets = dict.fromkeys((self._secret, *self._secrets))
        return tuple(hmac.digest(secret.encode(), purpose + self._sub, "sha256") for secret in secrets)

    def _key(self, secret: str, session_hash: str) -> bytes:
        return hmac.digest(secret.encode(), b"latest:" + session_hash.encode() + self._sub, "sha256")


def parse_secrets(text: str) -> dict[str, str]:
    """Signing secrets by key id: ``kid=secret,kid=secret`` during a rotation, otherwise one secret without an id."""
    pairs = [part.partition("=") for part in text.split(",")]
    if all(kid.strip() and mark and len(secret.strip()) >= 16 for kid, mark, secret in pairs):
        return {kid.strip(): secret.strip() for kid, _, secret in pairs}
    return {"": text}


def verify_user_token(token: str, secrets: Mapping[str, str]) -> SignedInUser:
    """The user that the token names.

    It must carry ``exp`` and a ``sub`` of 1 to 255 characters without control characters; an ``aud`` must be or hold
    ``baton``. Raises BadToken for any other, and for every token where no secret is set.
    """
    import jwt  # brings OpenSSL, a tenth of the start: only where tokens come

    try:
        kid = jwt.get_unverified_header(token).get("kid", "")
        secret = secrets.get(kid) or secrets.get("")
        if not secret:
            raise jwt.InvalidTokenError("no secret for it")
        # The audience is checked below: the library takes an empty one for none.
        options: Options = {"require": ["sub", "exp"], "verify_aud": False}
        claims = jwt.decode(token, secret, ["HS256"], leeway=5, options=options)
        _check_audience(claims)
        sub = _subject(claims["sub"])
        expires_at, session_hash = int(claims["exp"]), str(claims.get(_SESSION_CLAIM, ""))
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
        raise BadToken("The token that says who you are does not verify.") from None
    kid = kid if kid in secrets else ""
    user = hash_user_id(sub.decode())
    return SignedInUser(user, session_hash, sub, expires_at, kid, secret, tuple(secrets.values()), _profile(claims))


def _profile(claims: Mapping[str, Any]) -> bytes:
    """Half of a surrogate pair, as a site leaves it that cuts a name within an emoji, becomes a question mark."""
    names = {name: claims.get(name) for name in ("name", "email")}
    usable = {
        name: " ".join(value.encode(errors="replace").decode().split())[:MAX_SUBJECT_CHARS]
        for name, value in names.items()
        if isinstance(value, str) and value.strip()
    }
    return json.dumps({"id": claims["sub"], **usable}).encode()


def _subject(sub: object) -> bytes:
    """The ``sub`` in UTF-8. Raises ValueError for what cannot name one user: all guests would share it."""
    if not isinstance(sub, str) or not 0 < len(sub) <= MAX_SUBJECT_CHARS or not sub.strip() or _CONTROL.search(sub):
        raise ValueError("not a name of one user")
    return sub.encode()


def _check_audience(claims: Mapping[str, Any]) -> None:
    """Raises ValueError for an audience that is not, or does not hold, ours; none at all is allowed."""
    if "aud" in claims:
        audience = claims["aud"]
        if audience != AUDIENCE and not (isinstance(audience, list) and AUDIENCE in audience):
            raise ValueError("for another audience")
