"""Gives every answer what all of them carry: an id, the standard headers, CORS, one log line, one count.

It stands around the whole application, where the headers are a plain list and the clock starts first: as hooks of
the framework the same work takes several times as long (docs/decisions/edge.md).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterable
from itertools import count
from time import perf_counter
from typing import Any

from flask import Flask

from app.cors import Headers, rule
from app.logging_config import ACCESS, access_line, tell_strays
from app.metrics import count_request

Answer = Iterable[bytes]
Start = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], Start], Answer]

_STANDARD: Headers = [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
_NO_STORE = ("Cache-Control", "no-store")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def install(app: Flask, *, origins: Collection[str] | None) -> None:
    """Stand around ``app``; ``origins`` as in ``app.cors.rule``."""
    tell_strays()
    app.wsgi_app = _around(app.wsgi_app, origins)  # type: ignore[method-assign,assignment]


def _around(inner: Wsgi, origins: Collection[str] | None) -> Wsgi:
    allow = rule(origins)
    wants_line = ACCESS.isEnabledFor
    worker = secrets.token_hex(4)  # each worker loads the application for itself, after the fork
    number = count()

    def answer(environ: dict[str, Any], start_response: Start) -> Answer:
        begun = perf_counter()
        # Always our own: an id that the caller chose could forge another's lines.
        ours = environ["baton.request_id"] = f"{worker}{next(number):06x}"

        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            path = environ.get("PATH_INFO", "")
            headers.extend(_STANDARD)
            headers.append(("X-Request-Id", ours))
            if path.startswith("/api"):
                _never_store(headers)
            if status[:3] == "204" or environ["REQUEST_METHOD"] == "OPTIONS":
                _no_kind(headers)
            allow(environ, path, headers)
            seconds = perf_counter() - begun
            method = environ["REQUEST_METHOD"]
            if method not in _METHODS:
                method = "OTHER"
            route = _route(environ)
            count_request(method, route, status[:3], seconds)
            if wants_line(logging.INFO):
                access_line(method, route, status[:3], seconds, environ)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        return inner(environ, start)

    return answer


def _route(environ: dict[str, Any]) -> str:
    """The template of the path ("/api/session/<session_id>"), or "-" when no route fits: the path may hold a secret."""
    found = environ.get("werkzeug.request")
    matched = found.url_rule if found is not None else None
    return matched.rule if matched is not None else "-"


def _never_store(headers: Headers) -> None:
    """``no-store``, unless the view said so in words of its own (``no-store, no-transform``)."""
    for place, (name, value) in enumerate(headers):
        if name.lower() == "cache-control":
            if "no-store" not in value:
                headers[place] = _NO_STORE
            return
    headers.append(_NO_STORE)


def _no_kind(headers: Headers) -> None:
    """What has no body has no content type; the framework would call it HTML."""
    if not any(name == "Content-Length" and value != "0" for name, value in headers):
        headers[:] = [(name, value) for name, value in headers if name != "Content-Type"]
