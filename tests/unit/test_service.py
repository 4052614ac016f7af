"""Rules of the framework as it is used: the short way to a route is the library's own, and no hook is left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from app import create_app
from app.config import Settings
from app.flask_app import Service

METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "BREW")
PARTS = (
    *("", "api", "session", "me", "create", "resume", "ses_x", "é\n", "<session_id>"),
    *("messages", "events", "ws", "end", "feedback", "chat", "health"),
)
PATHS = st.lists(st.sampled_from(PARTS), max_size=4)


@pytest.fixture(scope="module")
def service() -> Service:
    """The whole service; nothing is asked of its Redis."""
    app = create_app(Settings.from_env({"REDIS_URL": "redis://127.0.0.1:1/0"}))
    assert isinstance(app, Service)
    return app


def found(match: Any) -> object:
    """What a router makes of a path: the rule and its parts, or the refusal."""
    try:
        rule, parts = match()
    except HTTPException as error:
        return type(error), sorted(getattr(error, "valid_methods", None) or ())
    return rule.rule, rule.endpoint, parts


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(METHODS), st.sampled_from(([], ["api", "session"])), PATHS)
def test_the_short_way_finds_what_the_library_finds(
    service: Service, method: str, begun: list[str], rest: list[str]
) -> None:
    """Of every path and method: the same view with the same parts, or the same refusal."""
    path = "/" + "/".join(begun + rest)
    environ = {"PATH_INFO": path.encode().decode("latin1"), "REQUEST_METHOD": method}
    paths = service.create_url_adapter(service.request_class(environ))
    assert paths is not None
    short = found(lambda: paths.match(return_rule=True))
    assert short == found(lambda: MapAdapter.match(paths, return_rule=True))


def test_the_short_way_knows_every_call_on_a_session(service: Service) -> None:
    """All but the one whose path has two parts to fill in."""
    by_hand = {rule.rule for rule in service._short.values()}
    declared = {rule.rule for rule in service.url_map.iter_rules() if rule.rule.startswith("/api/session/<")}
    assert declared - by_hand == {"/api/session/<session_id>/messages/<message_id>/feedback"}


def test_hooks_stand_around_sockets_alone(service: Service) -> None:
    """No other hook is called, so none may be declared."""
    for hooks in (service.before_request_funcs, service.after_request_funcs, service.teardown_request_funcs):
        assert {name for name, some in hooks.items() if some} <= {"ws"}
    assert not service.after_request_funcs
