"""WSGI middleware around the whole application: request id, security headers, one access line, request metrics.

It sees the headers as the plain list that goes to the server, and its clock starts before Flask's. As Flask's hooks the
same work costs several times as much (docs/decisions/middleware.md).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable
from itertools import count
from time import perf_counter
from typing import Any

from flask import Flask

from app.logging_config import access_logger
from app.metrics import count_request

Headers = list[tuple[str, str]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_SECURITY_HEADERS: Headers = [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
_NO_STORE = ("Cache-Control", "no-store")
_ACCESS_RECORD = {"name": access_logger.name, "levelno": logging.INFO, "levelname": "INFO", "msg": "request"}
CACHEABLE_API_PATH = "/api/site"
"""The only path under /api that holds nobody's data."""
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def init_app(app: Flask) -> None:
    """Wraps ``app.wsgi_app``."""
    app.wsgi_app = Middleware(app.wsgi_app)  # type: ignore[method-assign]


class Middleware:
    """Sets ``environ["baton.request_id"]`` and adds to every response what all of them carry."""

    def __init__(self, wsgi_app: WsgiApp) -> None:
        self._wsgi_app = wsgi_app
        self._worker = secrets.token_hex(4)  # each worker loads the application for itself, after the fork
        self._numbers = count()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serves one request."""
        started = perf_counter()
        # Always our own: an id that the caller chose could forge another request's log lines.
        request_id = environ["baton.request_id"] = f"{self._worker}{next(self._numbers):06x}"

        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            headers += _SECURITY_HEADERS
            headers.append(("X-Request-Id", request_id))
            path = environ.get("PATH_INFO", "")
            if path.startswith(("/api", "/v1/")) and not (
                path.rstrip("/") == CACHEABLE_API_PATH and status.startswith("200")
            ):
                _forbid_caching(headers)
            if status.startswith("204") or environ["REQUEST_METHOD"] == "OPTIONS":
                _drop_content_type(headers)
            _record(environ, int(status[:3]), perf_counter() - started)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        return self._wsgi_app(environ, start)


def _record(environ: dict[str, Any], status: int, seconds: float) -> None:
    """One count and one access line: the path's template, never the path, which may hold a session id."""
    method = environ["REQUEST_METHOD"]
    method = method if method in _METHODS else "OTHER"
    route = _route(environ)
    count_request(method, route, status, seconds)
    if access_logger.isEnabledFor(logging.INFO):
        fields = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        fields["request_id"] = environ["baton.request_id"]
        if session_hash := environ.get("baton.session_ref"):
            fields["session"] = session_hash[:10]
        # Not ``info()``, which would look up the line of code that logs.
        access_logger.handle(logging.makeLogRecord({**_ACCESS_RECORD, "fields": fields}))


def _route(environ: dict[str, Any]) -> str:
    """The template of the path ("/api/session/<session_id>"), or "-" where no route matches."""
    request = environ.get("werkzeug.request")
    rule = request.url_rule if request is not None else None
    return rule.rule if rule is not None else "-"


def _forbid_caching(headers: Headers) -> None:
    """``no-store``, unless the view has set a ``Cache-Control`` with it (``no-store, no-transform``)."""
    for index, (name, value) in enumerate(headers):
        if name.lower() == "cache-control":
            if "no-store" not in value:
                headers[index] = _NO_STORE
            return
    headers.append(_NO_STORE)


def _drop_content_type(headers: Headers) -> None:
    """A response without a body has no content type; Flask would call it HTML."""
    if not any(name == "Content-Length" and value != "0" for name, value in headers):
        headers[:] = [(name, value) for name, value in headers if name != "Content-Type"]
