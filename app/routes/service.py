"""The framework without what is never asked of it: cookies, hosts to match, a second copy of each answer's headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface, SessionMixin
from werkzeug.routing import MapAdapter


class NoCookies(SessionInterface):
    """No visitor has a cookie: one session that cannot be written to does for all."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> SessionMixin:  # noqa: ARG002 - its signature
        """The one that holds nothing."""
        return self._none


class Service(Flask):
    """Flask as it is used here; what is left out is told in docs/decisions/speed.md."""

    session_interface = NoCookies()

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Routes by path and method alone: every host is served alike, and no link is made from one."""
        if request is None or "HTTP_UPGRADE" in request.environ:
            return super().create_url_adapter(request)
        path = request.environ.get("PATH_INFO") or "/"
        if not path.isascii():
            path = path.encode("latin1").decode(errors="replace")  # as PEP 3333 has it
        return MapAdapter(self.url_map, "", "/", "", "http", path, request.environ["REQUEST_METHOD"])

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: no view is a coroutine, and asking costs as much as routing."""
        return func


class Json(Response):
    """A whole answer in JSON."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        super().__init__(body, status, content_type="application/json")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Tells it as it stands: its length is known, and nothing waits for its end."""
        if environ["REQUEST_METHOD"] == "HEAD" or self._on_close:
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return self.response  # type: ignore[return-value]  # a list of bytes, by how it was made
