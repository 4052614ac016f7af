"""The cookie of an operator's login. Visitors have none."""

from __future__ import annotations

from flask import Response

from app.auth.operators import LOGIN_MS
from app.extensions import services


def cookie_name() -> str:
    """``__Host-``: set by this host itself, over https (RFC 6265bis)."""
    return "__Host-baton-desk" if is_https() else "baton-desk"


def set_login_cookie(response: Response, token: str) -> None:
    """Sets the cookie of a login, or with "" takes it away."""
    response.set_cookie(
        cookie_name(),
        token,
        max_age=LOGIN_MS // 1000 if token else 0,
        path="/",
        secure=is_https(),
        httponly=True,
        samesite="Strict",
    )


def is_https() -> bool:
    """Whether operators come over https, as the public address says."""
    return services().config.public_url.startswith("https:")
