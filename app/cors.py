"""Says which origins a browser may let read our answers: the allowed ones, letter by letter, and no other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

Headers = list[tuple[str, str]]
Allow = Callable[[Mapping[str, Any], str, Headers], None]

PUBLIC = ("/widget.js", "/assets/")
"""Files that any page may load: they hold nothing of anybody."""
_READABLE = ("/api/", "/health", "/openapi.json")

_EXPOSED = (
    "Retry-After, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, "
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id, Content-Disposition"
)
_EXPOSE: Headers = [("Access-Control-Expose-Headers", _EXPOSED)]
_ANY = ("Access-Control-Allow-Origin", "*")
_PREFLIGHT: Headers = [
    ("Access-Control-Allow-Methods", "GET, POST, DELETE"),
    ("Access-Control-Allow-Headers", "authorization, content-type, last-event-id, baton-user"),
    ("Access-Control-Max-Age", "7200"),
]


def rule(origins: Collection[str] | None) -> Allow:
    """A function ``(environ, path, headers)`` that adds the CORS headers which this request deserves.

    ``origins`` are spelled as browsers send them (``https://a.example.com``); None or none at all: any origin.
    Credentials are never allowed, for there are no cookies. Errors get the same headers as successes.
    """
    known = {origin: ("Access-Control-Allow-Origin", origin) for origin in origins or ()}

    def allow(environ: Mapping[str, Any], path: str, headers: Headers) -> None:
        if not path.startswith(_READABLE):
            if path.startswith(PUBLIC):
                headers.append(_ANY)
            return
        origin = environ.get("HTTP_ORIGIN")
        if origin is None and path.startswith("/api"):
            return  # no browser asks from elsewhere, and no cache may keep it
        if known:
            _vary(headers)
        mine = known.get(origin or "") if known else _ANY
        if mine is not None:
            headers.append(mine)
            headers.extend(_PREFLIGHT if is_preflight(environ) else _EXPOSE)

    return allow


def is_preflight(environ: Mapping[str, Any]) -> bool:
    """Whether a browser asks if it may ask (WHATWG Fetch, \"CORS-preflight request\")."""
    return environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ


def _vary(headers: Headers) -> None:
    """Tell caches that the answer depends on the origin, beside what it depends on already."""
    for place, (name, value) in enumerate(headers):
        if name.lower() == "vary":
            headers[place] = (name, f"{value}, Origin")
            return
    headers.append(("Vary", "Origin"))
