"""The framework without what is never asked of it: cookies, hosts to match, hooks, a second copy of the headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from flask import Flask, Request, Response
from flask.globals import request
from flask.sessions import NullSession, SessionInterface, SessionMixin
from werkzeug.routing import MapAdapter, Rule

_SESSIONS = "/api/session/"
_SPELT: dict[int, int | str] = {200: "200 OK", 201: "201 CREATED"}


class NoCookies(SessionInterface):
    """No visitor has a cookie: one session that cannot be written to does for all."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> SessionMixin:  # noqa: ARG002 - its signature
        """The one that holds nothing."""
        return self._none


class Paths(MapAdapter):
    """Finds the calls on a session, and all paths without a part to fill in, without walking the whole map."""

    short: dict[tuple[str, str, bool], Rule]
    """By method, by the path or what of it comes after the session's id, and whether there is such an id."""

    def match(self, *given: Any, **named: Any) -> Any:
        """The rule and the parts of the path that it names; all other questions are left to the library."""
        found = self._find() if named == {"return_rule": True} and not given else None
        return found or super().match(*given, **named)

    def _find(self) -> tuple[Rule, dict[str, str]] | None:
        path, method = self.path_info, self.default_method
        rule = self.short.get((method, path, False))
        if rule is not None:
            return rule, {}
        if not path.startswith(_SESSIONS):
            return None
        session_id, slash, rest = path[len(_SESSIONS) :].partition("/")
        rule = self.short.get((method, slash + rest, True)) if session_id else None
        return (rule, {"session_id": session_id}) if rule else None


class Asked(Request):
    """A request; no form is ever read from it, so it holds no file that would have to be closed."""

    def close(self) -> None:
        """Nothing."""


class Service(Flask):
    """Flask as it is used here; what is left out is told in docs/decisions/speed.md."""

    request_class = Asked
    session_interface = NoCookies()

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Routes by path and method alone: every host is served alike, and no link is made from one."""
        if request is None or "HTTP_UPGRADE" in request.environ:
            return super().create_url_adapter(request)
        path = request.environ.get("PATH_INFO") or "/"
        if not path.isascii():
            path = path.encode("latin1").decode(errors="replace")  # as PEP 3333 has it
        paths = Paths(self.url_map, "", "/", "", "http", path, request.environ["REQUEST_METHOD"])
        paths.short = self._short
        return paths

    @cached_property
    def _short(self) -> dict[tuple[str, str, bool], Rule]:
        """Every rule that can be found by its text; asked for first when all of them are there."""
        return {
            (method, rule.rule.removeprefix(_SESSIONS + "<session_id>"), bool(rule.arguments)): rule
            for rule in self.url_map.iter_rules()
            if not rule.websocket and rule.arguments <= {"session_id"}
            for method in (rule.methods or set()) - {"OPTIONS"}
        }

    def full_dispatch_request(self) -> Response:
        """Calls the view. Hooks stand around sockets alone; what every answer carries, ``edge`` gives it."""
        if "HTTP_UPGRADE" in request.environ:
            return super().full_dispatch_request()
        try:
            answer = self.dispatch_request()
        except Exception as error:  # noqa: BLE001 - as the framework itself
            answer = self.handle_user_exception(error)
        return answer if isinstance(answer, Response) else self.make_response(answer)

    def do_teardown_request(self, *given: Any) -> None:
        """The end of a request: of a socket's, for there is no other hook."""
        if "HTTP_UPGRADE" in request.environ:
            super().do_teardown_request(*given)

    def do_teardown_appcontext(self, *given: Any) -> None:
        """The end of a request's context; also those of tests and shells."""
        if self.teardown_appcontext_funcs:
            super().do_teardown_appcontext(*given)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: no view is a coroutine, and asking costs as much as routing."""
        return func


class Json(Response):
    """A whole answer in JSON."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        super().__init__([body], _SPELT.get(status, status), content_type="application/json")
        self._length = str(len(body))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Tells it as it stands: nothing waits for its end."""
        if environ["REQUEST_METHOD"] == "HEAD" or self._on_close:
            return super().__call__(environ, start_response)
        start_response(self.status, [*self.headers.to_wsgi_list(), ("Content-Length", self._length)])
        return self.response  # type: ignore[return-value]  # a list of bytes, by how it was made
