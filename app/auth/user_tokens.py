"""Signed-in visitors: short-lived tokens signed by the site (JWT, RFC 7519, HS256)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from jwt.types import Options

from app.conversations.ids import decrypt, encrypt, hash_session_id
from app.errors import Forbidden

AUDIENCE = "baton"
MAX_SUBJECT_CHARS = 255
"""As in OpenID Connect."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class SignedInUser:
    """The user that a verified token names; ``user`` is 128 bits of a hash in hex, the only form that Redis holds."""

    user: str
    _sub: bytes = field(repr=False)
    _secret: str = field(repr=False)
    _secrets: tuple[str, ...] = field(repr=False)

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
    ``baton``. Raises Forbidden (``bad_token``) for any other, and for every token where no secret is set.
    """
    try:
        secret = secrets.get(jwt.get_unverified_header(token).get("kid", "")) or secrets.get("")
        if not secret:
            raise jwt.InvalidTokenError("no secret for it")
        # The audience is checked below: the library takes an empty one for none.
        options: Options = {"require": ["sub", "exp"], "verify_aud": False}
        claims = jwt.decode(token, secret, ["HS256"], leeway=5, options=options)
        _check_audience(claims)
        sub = _subject(claims["sub"])
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
        raise Forbidden("The token that says who you are does not verify.", code="bad_token") from None
    user = hashlib.sha256(b"user:" + sub).hexdigest()[:32]
    return SignedInUser(user, sub, secret, tuple(secrets.values()))


def user_id_from_token(token: str, secrets: Mapping[str, str]) -> str:
    """The name of whom the token names, as ``person_of`` finds it."""
    return verify_user_token(token, secrets).user


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
