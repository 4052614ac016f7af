"""Which browser origins may call the service: CORS headers by flask-cors, and 403 for writing calls from any other."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Flask, Response
from flask.globals import request

from app.errors import OriginNotAllowed, UnsupportedMediaType
from app.extensions import cors

PUBLIC_FILES = re.compile(r"/(widget\.js|assets/)")
"""Any page may load these: they hold nobody's data."""
API_PATHS = re.compile(r"/(api(?!/desk(/|\Z))(/|\Z)|health\Z|openapi\.json\Z)")
"""Readable by the allowed origins. Left out are /api/desk, which answers its own pages alone, and /v1."""
DESK_PATHS = re.compile(r"/api/desk(/|\Z)")
"""They refuse other origins themselves (app/api/desk_auth.py), allowed ones too."""
EXPOSED_HEADERS = (
    "Retry-After", "Location", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Limit",
    "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id", "Content-Disposition",
)  # fmt: skip
REQUEST_HEADERS = ("authorization", "content-type", "last-event-id", "baton-user")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


def init_app(app: Flask, *, allowed: Collection[str] | None, public_url: str) -> None:
    """``allowed`` are origins as browsers send them (``https://a.example.com``); None or none at all: any origin.

    Credentials are never allowed: there are no cookies.
    """
    # Compiled, escaped and anchored: flask-cors compares plain strings without regard to case.
    patterns = [re.compile(re.escape(origin) + r"\Z") for origin in allowed or ()]
    cors.init_app(
        app,
        resources={
            PUBLIC_FILES: {"origins": "*", "always_send": True},
            API_PATHS: {"origins": patterns or "*", "always_send": False},
        },
        methods=("GET", "POST", "DELETE"),
        allow_headers=REQUEST_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=7200,
        send_wildcard=True,
        vary_header=False,  # it would leave out those that are not allowed
        intercept_exceptions=False,  # errors are responses by then, and pass the after_request hook
    )
    if not allowed:
        return
    accepted = {*allowed, origin_of(public_url)}

    @app.before_request
    def refuse_other_origins() -> None:
        """A page of another site must not use up its visitors' limits, even if it cannot read the response."""
        origin = request.headers.get("Origin")
        if origin is None or origin in accepted or not (_writes() or _opens_websocket()):
            return
        if DESK_PATHS.match(request.path):
            return
        scheme, _, host = origin.partition("://")
        if scheme in ("http", "https") and host == request.headers.get("Host"):
            return
        if request.content_type and request.mimetype != "application/json":
            raise UnsupportedMediaType  # a form of another site: refused as such, whoever sends it
        raise OriginNotAllowed("Calls from this origin are not allowed.")

    @app.after_request
    def vary_by_origin(response: Response) -> Response:
        """Caches must not give one origin what was made for another. Under /api nothing is stored without an origin."""
        if ("Origin" in request.headers or not request.path.startswith("/api")) and API_PATHS.match(request.path):
            response.vary.add("Origin")
        return response


def is_preflight() -> bool:
    """Whether a browser asks if it may make a call (WHATWG Fetch, "CORS-preflight request")."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def _writes() -> bool:
    return request.method not in _SAFE_METHODS


def _opens_websocket() -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def origin_of(url: str) -> str:
    """The origin of a URL as browsers send it: lower case, no default port."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, default) else "")
