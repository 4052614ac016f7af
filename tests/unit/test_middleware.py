"""Rules of every response: standard headers, one shape of error, one count."""

from __future__ import annotations

import json

import pytest
from flask import Flask, Response, abort
from flask.testing import FlaskClient

from app import error_handlers, logging_config, metrics, middleware
from app.errors import (
    BadRequest,
    BatonError,
    EngineBusy,
    EngineFailed,
    EngineTimeout,
    InvalidRequest,
    NotOwner,
    PayloadTooLarge,
    RateLimited,
    RoleForbidden,
    SessionEnded,
    SessionFull,
    SessionNotFound,
    StorageUnavailable,
    TurnInProgress,
    UnsupportedMediaType,
)

RAISED: list[tuple[BatonError, int, str, bool]] = [
    (BadRequest(), 400, "invalid_json", False),
    (RoleForbidden(), 403, "role_forbidden", False),
    (NotOwner(), 403, "not_owner", False),
    (SessionNotFound(), 404, "session_not_found", False),
    (SessionEnded(), 409, "session_ended", False),
    (TurnInProgress(retry_after=2), 409, "turn_in_progress", True),
    (SessionFull(), 409, "session_full", False),
    (PayloadTooLarge(), 413, "payload_too_large", False),
    (UnsupportedMediaType(), 415, "unsupported_media_type", False),
    (InvalidRequest("limit", "must be a whole number"), 422, "invalid_request", False),
    (RateLimited(retry_after=7), 429, "rate_limited", True),
    (EngineFailed(), 502, "engine_failed", True),
    (EngineBusy(retry_after=3), 503, "engine_busy", True),
    (StorageUnavailable("timeout"), 503, "storage_unavailable", True),
    (EngineTimeout(), 504, "engine_timeout", True),
]


def build(render: error_handlers.RenderPage | None = None) -> FlaskClient:
    app = Flask(__name__)
    middleware.init_app(app)
    error_handlers.init_app(app, render_page_error=render)

    @app.get("/api/raise/<int:which>")
    def raise_it(which: int) -> None:
        raise RAISED[which][0]

    @app.get("/api/abort/<int:status>")
    def abort_it(status: int) -> None:
        abort(status, description="what the visitor wrote")

    @app.get("/api/boom")
    @app.get("/boom", endpoint="page_boom")
    def boom() -> None:
        raise RuntimeError("what the visitor wrote")

    @app.get("/api/session/me/messages")
    @app.get("/api/session/<session_id>/messages")
    def messages(session_id: str = "me") -> None:
        raise SessionNotFound

    @app.get("/api/stream")
    def stream() -> Response:
        return Response(iter(["a", "b"]), headers={"Cache-Control": "no-store, no-transform"})

    @app.get("/api/cached")
    def cached() -> Response:
        return Response("x", headers={"Cache-Control": "public, max-age=60"})

    @app.get("/page")
    def page() -> str:
        return "page"

    return app.test_client()


@pytest.mark.parametrize("which", range(len(RAISED)))
def test_errors_have_one_shape(which: int) -> None:
    """Every error is a problem with its code, status, what is retryable, and when to come back."""
    error, status, code, retryable = RAISED[which]
    answer = build().get(f"/api/raise/{which}")
    body = answer.get_json()
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "success", "code", "retryable"}
    assert (body["status"], body["code"], body["retryable"], body["success"]) == (status, code, retryable, False)
    assert body["title"]
    assert body["detail"]
    assert answer.headers.get("Retry-After") == (None if error.retry_after is None else str(error.retry_after))
    assert ("errors" in body) == (code == "invalid_request")


def test_the_frameworks_errors_too() -> None:
    """Whatever the framework refuses has the same shape, in our words and never in those of the request."""
    codes = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large", 415: "unsupported_media_type"}
    for status in (
        400,
        403,
        404,
        405,
        406,
        409,
        410,
        413,
        414,
        415,
        416,
        417,
        418,
        422,
        423,
        429,
        431,
        501,
        502,
        503,
        504,
    ):
        answer = build().get(f"/api/abort/{status}")
        body = answer.get_json()
        assert answer.status_code == body["status"] == status
        assert answer.content_type == "application/problem+json"
        assert "visitor" not in answer.get_data(as_text=True)
        assert body["code"] == codes.get(status, body["code"])


def test_unknown_path_and_method() -> None:
    """No such path is 404 not_found; a wrong method is 405 and names the right ones in Allow."""
    client = build()
    assert client.get("/api/nothing").get_json()["code"] == "not_found"
    wrong = client.delete("/api/boom")
    assert wrong.get_json()["code"] == "method_not_allowed"
    assert {"GET", "HEAD", "OPTIONS"} == set(wrong.headers["Allow"].split(", "))


def test_unforeseen_errors() -> None:
    """An unforeseen error is a 500 problem with the request id that the header names, and no word of its message."""
    answer = build().get("/api/boom")
    body = answer.get_json()
    assert (answer.status_code, body["code"], body["success"]) == (500, "internal_error", False)
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert "visitor" not in answer.get_data(as_text=True)


def test_people_get_pages() -> None:
    """Outside of /api, who asks for HTML gets the page that was given; machines and /api get the problem."""
    client = build(
        lambda status: Response(f"<h1>{status}</h1>", status, mimetype="text/html") if status != 405 else None
    )
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert client.get("/nothing", headers=browser).get_data(as_text=True) == "<h1>404</h1>"
    assert client.get("/boom", headers=browser).get_data(as_text=True) == "<h1>500</h1>"
    for path, headers in (
        ("/nothing", {"Accept": "*/*"}),
        ("/nothing", {}),
        ("/api/nothing", browser),
        ("/api", browser),
    ):
        assert client.get(path, headers=headers).content_type == "application/problem+json"
    wrong = client.post("/page", headers=browser)
    assert (wrong.status_code, wrong.content_type) == (405, "application/problem+json")
    assert "GET" in wrong.headers["Allow"]


@pytest.mark.parametrize("path", ["/page", "/nothing", "/api/raise/3", "/api/boom", "/api/stream"])
def test_standard_headers(path: str) -> None:
    """Every answer says nosniff and no-referrer and has a request id of our own making, errors included (R13)."""
    client = build()
    answers = [client.get(path, headers={"X-Request-Id": "forged"}) for _ in range(2)]
    for answer in answers:
        assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
        assert answer.headers.get_all("Referrer-Policy") == ["no-referrer"]
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert len(ids) == 2
    assert "forged" not in ids


def test_api_is_never_stored() -> None:
    """Everything under /api says no-store, once, whatever the view says; other paths choose for themselves."""
    client = build()
    for path in ("/api/boom", "/api/nothing", "/api/cached"):
        assert client.get(path).headers.get_all("Cache-Control") == ["no-store"]
    assert client.get("/api/stream").headers.get_all("Cache-Control") == ["no-store, no-transform"]
    assert "Cache-Control" not in client.get("/page").headers


def test_requests_are_counted() -> None:
    """A request counts under its method, path template and status; no label can hold what a caller chose."""
    client = build()

    def count(route: str, method: str, status: str) -> float:
        wanted = f'baton_requests_total{{method="{method}",route="{route}",status="{status}"}} '
        lines = metrics.render_metrics().decode().splitlines()
        return float(next((line.removeprefix(wanted) for line in lines if line.startswith(wanted)), "0"))

    keys = [("/api/session/<session_id>/messages", "GET", "404"), ("-", "GET", "404"), ("-", "OTHER", "405")]
    before = [count(*key) for key in keys]
    client.get("/api/session/ses_secret/messages")
    client.get("/made/up")
    client.open("/page", method="BREW")
    assert [count(*key) for key in keys] == [one + 1 for one in before]
    assert b"ses_secret" not in metrics.render_metrics()
    assert b"made/up" not in metrics.render_metrics()
    assert b"BREW" not in metrics.render_metrics()


def test_problems_are_valid_json() -> None:
    """A detail in any letters is written in JSON that every reader understands."""
    with Flask(__name__).test_request_context("/"):
        body = json.loads(error_handlers.problem(BatonError('"ä\u2028😀')).get_data())
    assert body["detail"] == '"ä\u2028😀'


def test_no_request_no_id() -> None:
    """Outside of a request there is no request id."""
    assert logging_config.request_id() == ""
