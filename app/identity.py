"""Signed-in visitors: the short token by which a site vouches for who its visitor is (JWT, RFC 7519, HS256)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import jwt

from app.errors import Forbidden

AUDIENCE = "baton"


def secrets_of(text: str) -> dict[str, str]:
    """The secrets that sign, by key id: ``kid=secret,kid=secret`` while they are rotated, else one without an id."""
    pairs = [part.partition("=") for part in text.split(",")]
    if all(kid.strip() and mark and len(secret.strip()) >= 16 for kid, mark, secret in pairs):
        return {kid.strip(): secret.strip() for kid, _, secret in pairs}
    return {"": text}


def user_of(token: str, secrets: Mapping[str, str]) -> str:
    """Whom the token names, as 128 bits of a hash in hex.

    It must carry ``sub`` and ``exp``; an ``aud`` must be ``baton``. Raises Forbidden (``bad_token``) for any other,
    and for every token where no secret is set.
    """
    try:
        secret = secrets.get(jwt.get_unverified_header(token).get("kid", "")) or secrets.get("")
        if not secret:
            raise jwt.InvalidTokenError("no secret for it")
        claims = _claims(token, secret)
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
        raise Forbidden("The token that says who you are does not verify.", code="bad_token") from None
    return hashlib.sha256(b"user:" + str(claims["sub"]).encode()).hexdigest()[:32]


def _claims(token: str, secret: str) -> Mapping[str, Any]:
    """The claims of a token that verifies, with an audience of ours or none. Raises what the library raises."""
    needed = ["sub", "exp"]
    try:
        return jwt.decode(
            token, secret, ["HS256"], audience=AUDIENCE, leeway=5, options={"require": needed, "strict_aud": False}
        )
    except jwt.MissingRequiredClaimError as error:
        if error.claim != "aud":
            raise
    return jwt.decode(token, secret, ["HS256"], leeway=5, options={"require": needed, "verify_aud": False})
