"""Rules for every answer: shape, headers, times, and one and the same 404."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

import httpx
import pytest

from tests.contract.api_client import NOBODY, ApiClient, Visitor, is_problem
from tests.contract.conftest import RunningService

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ID = re.compile(r"ses_[A-Za-z0-9_-]{32}")


def test_success_is_json_in_utf8(visitor: Visitor) -> None:
    """JSON in UTF-8. Success carries `"success": true`."""
    stored = visitor.say("grüß dich 🌍")
    for answer in (
        visitor.created,
        stored,
        visitor.get(),
        visitor.get("/messages"),
        visitor.post("/heartbeat"),
        visitor.post("/end"),
    ):
        assert answer is not None
        assert answer.headers["content-type"].split(";")[0] == "application/json"
        assert json.loads(answer.content.decode("utf-8"))["success"] is True


def test_times_have_milliseconds_in_utc(visitor: Visitor) -> None:
    """Times are RFC 3339 in UTC with milliseconds."""
    assert visitor.created is not None
    message = visitor.said("when")
    state = visitor.get().json()
    times = [visitor.created.json()["created_at"], visitor.created.json()["expires_at"], message["created_at"]]
    times += [state[name] for name in ("created_at", "updated_at", "last_seen_at", "expires_at")]
    times.append(visitor.post("/heartbeat").json()["expires_at"])
    times.append(visitor.caller.resume(visitor.id).json()["expires_at"])
    assert [time for time in times if not INSTANT.fullmatch(time)] == []


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code", "retryable"),
    [
        (
            "POST",
            "/api/session/create",
            {"content": b"[1]", "headers": {"Content-Type": "application/json"}},
            400,
            "invalid_json",
            False,
        ),
        (
            "POST",
            "/api/session/create",
            {"content": b"hello", "headers": {"Content-Type": "text/plain"}},
            415,
            "unsupported_media_type",
            False,
        ),
        ("GET", f"/api/session/{NOBODY}", {}, 404, "session_not_found", False),
        ("GET", "/api/nowhere", {}, 404, "not_found", False),
        ("GET", "/api", {}, 404, "not_found", False),
        ("PUT", "/api/session/create", {}, 405, "method_not_allowed", False),
        ("GET", "/api/chat", {}, 405, "method_not_allowed", False),
        ("DELETE", "/api/session/resume", {}, 405, "method_not_allowed", False),
        ("PATCH", f"/api/session/{NOBODY}/messages", {}, 405, "method_not_allowed", False),
        ("POST", "/api/chat", {"json": {"query": ""}}, 422, "invalid_request", False),
        ("POST", "/api/chat", {"json": {}}, 422, "invalid_request", False),
        ("POST", "/api/chat", {"json": {"query": "fail"}}, 502, "engine_failed", True),
        ("POST", "/api/chat", {"json": {"query": "empty"}}, 502, "engine_failed", True),
        (
            "POST",
            "/api/chat",
            {"content": b"x" * 65537, "headers": {"Content-Type": "application/json"}},
            413,
            "payload_too_large",
            False,
        ),
    ],
)
def test_errors_are_problems(
    caller: ApiClient, method: str, path: str, more: dict[str, Any], status: int, code: str, retryable: bool
) -> None:
    """An error is `application/problem+json`: `type`, `title`, `status`, `detail`, `success: false`, `code`,
    `retryable`.
    """
    accept = {"Accept": "text/html,application/xhtml+xml"}
    more["headers"] = accept | more.get("headers", {})
    answer = caller(method, path, **more)
    assert is_problem(answer, status, code)["retryable"] is retryable
    assert b"Traceback" not in answer.content
    assert b"<html" not in answer.content.lower()
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/session/create/",
        "/api//session/create",
        "/api/",
        "/api/session",
        "/api/session/",
        "/api/session/me/nothing",
        "/api/%2e%2e/etc",
        "/api/%00",
        "/api/chat/",
        "/API/chat",
    ],
)
def test_no_html_under_api(caller: ApiClient, path: str) -> None:
    """Never HTML under `/api`, also for paths that nearly exist, and never a redirect of a POST."""
    answer = caller.post(path, headers={"Accept": "text/html"}, json={})
    assert answer.status_code in (201, 404, 405, 422)
    if path.startswith("/api") and answer.status_code != 201:
        is_problem(answer, answer.status_code, answer.json()["code"])


def test_feeds_carry_the_standing_headers(visitor: Visitor) -> None:
    """The feeds carry them too, and keep proxies from holding them back."""
    for feed in (visitor.events(), visitor.ask_streamed("hello")):
        with feed:
            assert feed.headers["content-type"].split(";")[0] == "text/event-stream"
            assert feed.headers["cache-control"] == "no-store"
            assert feed.headers["x-content-type-options"] == "nosniff"
            assert feed.headers["referrer-policy"] == "no-referrer"
            assert feed.headers["x-accel-buffering"] == "no"


def test_broken_requests_get_an_answer(plain: RunningService) -> None:
    """Rubbish instead of HTTP is refused without a stack trace, and the service lives on."""
    address = plain.base.removeprefix("http://").split(":")
    for rubbish in (
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"GET /api/session/ses_\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ):
        with socket.create_connection((address[0], int(address[1])), timeout=10) as wire:
            wire.sendall(rubbish)
            answer = wire.recv(65536)
        assert b"Traceback" not in answer
        assert b" 500 " not in answer.split(b"\r\n")[0]
    assert httpx.get(plain.base + "/health").status_code == 200
