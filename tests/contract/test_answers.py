"""Rules for every answer: shape, headers, times, and one and the same 404."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

import httpx
import pytest

from tests.contract.actor import NOBODY, Caller, Visitor, bare, is_problem
from tests.contract.conftest import Started
from tests.contract.launch import eventually

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ID = re.compile(r"ses_[A-Za-z0-9_-]{32}")
BELOW = [
    ("GET", ""), ("POST", "/messages"), ("GET", "/messages"), ("POST", "/heartbeat"), ("POST", "/end"), ("POST", "/handoff"),
    ("GET", "/transcript"), ("DELETE", ""), ("GET", "/events"), ("POST", "/stop"),
]  # fmt: skip
USELESS = ["ses_", "ses_" + "A" * 31, "ses_" + "A" * 33, "SES_" + "A" * 32, "ses_" + "A" * 31 + "!", "A" * 36, "me2", "null",
           "undefined", "ses_" + "%00" * 32, "ses_" + "%C3%A9" * 32, "%20" + NOBODY, NOBODY + "%20", NOBODY + "%0A", "x" * 3000,
           "default", "{id}", "ses_" + "A" * 32 + ".json", "tkt_" + "A" * 32]  # fmt: skip


def body_for(method: str, rest: str) -> dict[str, Any]:
    return {"json": {"message": "hello"}} if (method, rest) == ("POST", "/messages") else {}


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


@pytest.mark.parametrize(("method", "path", "more", "status", "code", "retryable"), [
    ("POST", "/api/session/create", {"content": b"[1]", "headers": {"Content-Type": "application/json"}}, 400, "invalid_json", False),
    ("POST", "/api/session/create", {"content": b"hello", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type", False),
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
    ("POST", "/api/chat", {"content": b"x" * 65537, "headers": {"Content-Type": "application/json"}}, 413, "payload_too_large", False),
])  # fmt: skip
def test_errors_are_problems(
    caller: Caller, method: str, path: str, more: dict[str, Any], status: int, code: str, retryable: bool
) -> None:
    """An error is `application/problem+json`: `type`, `title`, `status`, `detail`, `success: false`, `code`, `retryable`."""
    accept = {"Accept": "text/html,application/xhtml+xml"}
    more["headers"] = accept | more.get("headers", {})
    answer = caller(method, path, **more)
    assert is_problem(answer, status, code)["retryable"] is retryable
    assert b"Traceback" not in answer.content
    assert b"<html" not in answer.content.lower()
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize("path", ["/api/session/create/", "/api//session/create", "/api/", "/api/session", "/api/session/",
                                  "/api/session/me/nothing", "/api/%2e%2e/etc", "/api/%00", "/api/chat/", "/API/chat"])  # fmt: skip
def test_no_html_under_api(caller: Caller, path: str) -> None:
    """Never HTML under `/api`, also for paths that nearly exist, and never a redirect of a POST."""
    answer = caller.post(path, headers={"Accept": "text/html"}, json={})
    assert answer.status_code in (201, 404, 405, 422)
    if path.startswith("/api") and answer.status_code != 201:
        is_problem(answer, answer.status_code, answer.json()["code"])


@pytest.mark.parametrize(("method", "path"), [
    ("POST", "/api/session/create"), ("GET", f"/api/session/{NOBODY}"), ("PUT", "/api/chat"), ("GET", "/api/nowhere"), ("POST", "/api/chat"),
    ("OPTIONS", "/api/chat"), ("GET", "/chat"),
])  # fmt: skip
def test_standing_headers(caller: Caller, method: str, path: str) -> None:
    """Everything under `/api` and the full page: `no-store`, `no-referrer`, `nosniff`; pages also a strict CSP."""
    answer = caller(method, path)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    if path == "/chat":
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "unsafe-eval" not in policy


def test_feeds_carry_the_standing_headers(visitor: Visitor) -> None:
    """The feeds carry them too, and tell proxies not to hold them back."""
    for feed in (visitor.events(), visitor.ask_streamed("hello")):
        with feed:
            assert feed.headers["content-type"].split(";")[0] == "text/event-stream"
            assert feed.headers["cache-control"] == "no-store"
            assert feed.headers["x-content-type-options"] == "nosniff"
            assert feed.headers["referrer-policy"] == "no-referrer"
            assert feed.headers["x-accel-buffering"] == "no"


def test_ids_are_capabilities(caller: Caller) -> None:
    """A session id is `ses_` and 32 URL-safe characters; no two are the same."""
    made = [caller.create().id for _ in range(30)]
    assert all(ID.fullmatch(one) for one in made)
    assert len(set(made)) == 30
    columns = [len({one[place] for one in made}) for place in range(4, 36)]
    assert min(columns) > 8, "a place in the ids that hardly changes"


def normal(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """An answer without what may differ: when it was made and its request's own name."""
    free = {"date", "x-request-id", "connection"}
    return answer.status_code, answer.content, {k: v for k, v in answer.headers.items() if k not in free}


@pytest.mark.parametrize(("method", "rest"), BELOW)
def test_one_404_for_every_useless_id(caller: Caller, method: str, rest: str) -> None:
    """A made-up, malformed, expired or deleted id gets one and the same 404, byte for byte."""
    gone = caller.create()
    gone.said("something")
    assert gone.erase().status_code == 204
    more = body_for(method, rest)
    unknown = caller(method, f"/api/session/{NOBODY}{rest}", **more)
    is_problem(unknown, 404, "session_not_found")
    assert normal(caller(method, gone.path(rest), **more)) == normal(unknown)
    for useless in USELESS:
        assert normal(caller(method, f"/api/session/{useless}{rest}", **more)) == normal(unknown), useless


def test_404_of_resume_and_chat_are_the_same(caller: Caller) -> None:
    """`resume` and `chat` say the same 404, also for a malformed id or a ticket that never was."""
    gone = caller.create()
    gone.erase()
    unknown = caller.get(f"/api/session/{NOBODY}").content
    for useless in (NOBODY, gone.id, "ses_x", "tkt_" + "A" * 32, "null", "x" * 2000):
        resumed = caller.resume(useless)
        is_problem(resumed, 404, "session_not_found")
        assert resumed.content == unknown
        for answer in (
            caller.post("/api/chat", json={"query": "hello", "session_id": useless}),
            caller.post("/api/chat", json={"query": "hello"}, params={"session": useless}),
            caller.post("/api/chat", json={"query": "hello"}, headers={"Authorization": f"Bearer {useless}"}),
            caller.post(
                "/api/chat", json={"query": "hello", "session_id": useless}, headers={"Accept": "text/event-stream"}
            ),
        ):
            is_problem(answer, 404, "session_not_found")
            assert answer.content == unknown


@pytest.mark.parametrize(("method", "rest"), BELOW)
def test_me_is_every_path(caller: Caller, method: str, rest: str) -> None:
    """Every path `/api/session/<id>/...` also exists as `/api/session/me/...`, with the id as bearer."""
    one, other = caller.create(), caller.create()
    path = "/api/session/me" + rest
    if rest == "/events":
        with one.events() as feed:
            assert feed.status == 200
        return
    more = body_for(method, rest)
    by_id = caller(method, other.path(rest), **more)
    by_bearer = caller(method, path, headers=one.bearer, **more)
    assert by_bearer.status_code == by_id.status_code < 300
    if by_id.headers.get("content-type") == "application/json":
        assert by_bearer.json().keys() == by_id.json().keys()


@pytest.mark.parametrize(("method", "rest"), BELOW)
def test_me_without_a_usable_id(visitor: Visitor, method: str, rest: str) -> None:
    """Without a usable id it is the same 404: missing, `null`, empty, doubled, another scheme."""
    caller, path, more = visitor.caller, "/api/session/me" + rest, body_for(method, rest)
    unknown = caller(method, f"/api/session/{NOBODY}{rest}", **more).content
    mine, nobody = f"Bearer {visitor.id}", f"Bearer {NOBODY}"
    values = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer null",
        "Bearer undefined",
        nobody,
        "Bearer me",
        f"Basic {visitor.id}",
        visitor.id,
    ]
    values += [
        f"{mine} {visitor.id}",
        f"{mine}, {mine}",
        mine + "x",
        f"Token {visitor.id}",
        "Bearer " + "x" * 3000,
        "\t",
        "Bearer é",
    ]
    useless = [[("Authorization", value)] for value in values]
    useless += [
        [],
        [("Authorization", mine), ("Authorization", nobody)],
        [("Authorization", nobody), ("Authorization", mine)],
    ]
    useless += [[("Authorization", mine), ("Authorization", mine)]]
    for headers in useless:
        answer = bare(caller.base, method, path, headers, b'{"message": "hello"}' if more else b"")
        is_problem(answer, 404, "session_not_found")
        assert answer.content == unknown, headers
        assert answer.headers["www-authenticate"].startswith("Bearer"), headers
    assert visitor.get().json()["status"] == "active"


def test_the_scheme_in_any_case(visitor: Visitor) -> None:
    """The scheme of the credentials is read in any case, as HTTP has it."""
    for scheme in ("bearer", "BEARER", "Bearer"):
        answer = visitor.caller.get("/api/session/me", headers={"Authorization": f"{scheme} {visitor.id}"})
        assert answer.status_code == 200
        assert answer.json()["session_id"] == visitor.id


def test_query_is_no_credential_for_me(visitor: Visitor) -> None:
    """The `me` form takes the id from the header alone, so that no URL carries the secret."""
    is_problem(visitor.caller.get("/api/session/me", params={"session": visitor.id}), 404, "session_not_found")


def test_the_id_stands_in_no_log_and_no_error(own: Started) -> None:
    """The id never stands whole in a log, a metric or an error; nor does a ticket."""
    caller = Caller(own.base)
    visitor = caller.create(metadata={"page": "/pricing"})
    ticket = visitor.ticket()
    secrets = [visitor.id, visitor.ticket("share"), ticket, "MyVerySecretWords"]
    said = [
        visitor.say("MyVerySecretWords"),
        visitor.ask("fail MyVerySecretWords"),
        visitor.say(""),
        visitor.say("x", role="system"),
    ]
    said += [
        caller("PUT", visitor.path()),
        caller.get(visitor.path("/nothing")),
        caller.get(visitor.path("/messages?limit=x")),
    ]
    said += [
        caller.post(
            "/api/chat", content=b"{", params={"session": visitor.id}, headers={"Content-Type": "application/json"}
        )
    ]
    said += [caller.get("/chat", params={"session": ticket}, headers={"Referer": f"{own.base}/chat?session={ticket}"})]
    said += [
        caller.get("/nowhere/" + visitor.id),
        caller.post("/api/chat", json={"query": "hello"}, params={"session": visitor.id}),
    ]
    with visitor.events() as feed, visitor.ws():
        visitor.say("more", client_id="one")
        feed.until("message")
    for answer in said[1:4] + said[4:10]:
        assert not [secret for secret in secrets if secret in answer.text], answer.text
    visitor.erase()
    assert eventually(lambda: "/api/session" in own.own.log()), "no access log at all"
    sinks = own.own.log() + caller.get("/metrics").text + caller.get("/health").text
    assert [secret for secret in secrets if secret in sinks] == []


def test_broken_requests_get_an_answer(plain: Started) -> None:
    """Rubbish instead of HTTP is refused without a stack trace, and the service lives on."""
    address = plain.base.removeprefix("http://").split(":")
    for rubbish in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET\r\n\r\n", b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                    b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
                    b"GET /api/session/ses_\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):  # fmt: skip
        with socket.create_connection((address[0], int(address[1])), timeout=10) as wire:
            wire.sendall(rubbish)
            answer = wire.recv(65536)
        assert b"Traceback" not in answer
        assert b" 500 " not in answer.split(b"\r\n")[0]
    assert httpx.get(plain.base + "/health").status_code == 200
