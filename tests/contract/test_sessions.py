"""The calls of a session: create, look, append, read, beat, end, transcript, delete, and who may say what."""

from __future__ import annotations

import json
from datetime import datetime
from urllib.parse import urljoin

import httpx
import pytest

from tests.contract.api_client import ApiClient, Visitor, at_once, is_problem
from tests.contract.conftest import RunningService

CREATED = {"success", "session_id", "status", "created_at", "expires_at", "expires_in", "chat_url"}
STATE = {"success", "session_id", "status", "created_at", "updated_at", "last_seen_at", "expires_at", "message_count"}


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_create(caller: ApiClient) -> None:
    """`create`: 201, `Location`, and all its fields."""
    answer = caller.post("/api/session/create")
    body = answer.json()
    assert answer.status_code == 201
    assert body.keys() >= CREATED
    assert body["status"] == "active"
    assert body["expires_in"] == 86400
    assert abs(instant(body["expires_at"]) - instant(body["created_at"]) - 86400) < 1
    assert body["chat_url"].startswith("https://chat.example/chat")
    assert body["session_id"] not in body["chat_url"]
    found = caller.get(
        urljoin("/api/session/create", answer.headers["location"]),
        headers={"Authorization": f"Bearer {body['session_id']}"},
    )
    assert found.status_code == 200
    assert found.json()["session_id"] == body["session_id"]


def test_look(visitor: Visitor) -> None:
    """`GET /api/session/<id>` has all its fields and counts the messages."""
    state = visitor.get().json()
    assert state.keys() >= STATE
    assert (state["session_id"], state["status"], state["message_count"]) == (visitor.id, "active", 0)
    visitor.said("one")
    assert visitor.ask("two").status_code == 200
    later = visitor.get().json()
    assert later["message_count"] == 3
    assert later["created_at"] == state["created_at"]
    assert instant(later["updated_at"]) >= instant(state["updated_at"])


def test_the_api_key_is_no_session(visitor: Visitor, key: dict[str, str]) -> None:
    """The API key opens no session by itself, and does not hide the one that is named."""
    is_problem(visitor.caller.get("/api/session/me", headers=key), 404, "session_not_found")
    assert visitor.ask("hello", headers=key).json()["session_id"] == visitor.id


def test_heartbeat(visitor: Visitor) -> None:
    """`heartbeat`: `{success, status, expires_at}`."""
    body = visitor.post("/heartbeat").json()
    assert body["success"] is True
    assert body["status"] == "active"
    assert instant(body["expires_at"]) > instant(visitor.get().json()["created_at"]) + 86000


def test_end(visitor: Visitor) -> None:
    """`end`: idempotent, final; history stays readable; append, chat, heartbeat and handoff are 409 `session_ended`."""
    visitor.said("before")
    for _ in range(2):
        answer = visitor.post("/end")
        assert (answer.status_code, answer.json()["status"]) == (200, "ended")
    assert visitor.get().json()["status"] == "ended"
    for refused in (
        visitor.say("x"),
        visitor.ask("x"),
        visitor.post("/heartbeat"),
        visitor.post("/handoff"),
        visitor.post("/handoff", {"kind": "share"}),
        visitor.ask("x", headers={"Accept": "text/event-stream"}),
    ):
        assert is_problem(refused, 409, "session_ended")["retryable"] is False
    read = visitor.get("/messages").json()
    assert (read["status"], [message["content"] for message in read["messages"]]) == ("ended", ["before"])
    resumed = visitor.caller.resume(visitor.id)
    assert (resumed.status_code, resumed.json()["status"]) == (200, "ended")
    assert visitor.get().json()["status"] == "ended"
    assert visitor.get("/transcript", params={"format": "txt"}).status_code == 200


def test_a_replay_after_the_end(visitor: Visitor) -> None:
    """What was stored before the end is answered again by its client id, and nothing new is stored."""
    first = visitor.said("x", client_id="c")
    visitor.post("/end")
    answer = visitor.say("x", client_id="c")
    assert answer.status_code in (200, 409)
    if answer.status_code == 200:
        assert answer.json()["message"] == first
    assert visitor.get().json()["message_count"] == 1


def test_erase(own: RunningService) -> None:
    """`DELETE`: 204; nothing of it is left in Redis."""
    caller = ApiClient(own.base)
    before = own.key_names()
    visitor = caller.create(metadata={"k": "v"})
    visitor.said("one", client_id="a")
    visitor.ask("two", client_id="b")
    tickets = [visitor.ticket(), visitor.ticket("share")]
    visitor.ask_streamed("three").until_closed()
    assert len(own.key_names()) > len(before)
    answer = visitor.erase()
    assert (answer.status_code, answer.content) == (204, b"")
    assert [name for name in own.key_names() if name not in before] == []
    is_problem(visitor.erase(), 404, "session_not_found")
    for ticket in tickets:
        is_problem(caller.resume(ticket), 404, "session_not_found")


@pytest.mark.parametrize(
    ("kind", "content_type"), [("md", "text/markdown"), ("txt", "text/plain"), ("json", "application/json")]
)
def test_transcript(visitor: Visitor, kind: str, content_type: str) -> None:
    """`transcript?format=md|txt|json`: a download of the whole conversation, without the id."""
    visitor.said("first <b>words</b> 🌍")
    visitor.ask("second words")
    answer = visitor.get("/transcript", params={"format": kind})
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == content_type
    assert answer.headers["content-disposition"].startswith("attachment")
    assert f".{kind}" in answer.headers["content-disposition"]
    assert visitor.id not in answer.text + str(answer.headers)
    text = answer.content.decode("utf-8")
    assert text.index("first") < text.index("echo: second words")
    if kind == "json":
        assert next(message["content"] for message in answer.json()["messages"]) == "first <b>words</b> 🌍"


def test_transcript_in_no_such_format(visitor: Visitor) -> None:
    """Another format is refused; without one there is a sensible one."""
    for kind in ("pdf", "MD", "../x", ""):
        is_problem(visitor.get("/transcript", params={"format": kind}), 422, "invalid_request")
    assert visitor.get("/transcript").status_code == 200


def test_get_changes_nothing(visitor: Visitor) -> None:
    """A read moves nothing: not the expiry, not when the visitor was last seen."""
    before = visitor.get().json()
    for rest in ("", "/messages", "/transcript"):
        assert visitor.get(rest).status_code == 200
        head = visitor.caller("HEAD", visitor.path(rest))
        assert (head.status_code, head.content) == (200, b"")
    assert visitor.get().json() == before
    for rest in ("/end", "/heartbeat", "/handoff", "/stop"):
        answer = visitor.get(rest)
        is_problem(answer, 405, "method_not_allowed")
    assert visitor.get().json() == before


def test_two_sessions_share_nothing(caller: ApiClient) -> None:
    """There is no shared or default session."""
    visitors = [caller.create() for _ in range(10)]

    def talk(number: int) -> httpx.Response:
        visitors[number].said(f"canary {number}")
        return visitors[number].ask(f"tell {number}")

    answers = at_once(10, talk)
    for number, answer in enumerate(answers):
        assert json.loads(answer.json()["answer"])["history"] == [["user", f"canary {number}"]]
        assert visitors[number].texts()[:2] == [f"canary {number}", f"tell {number}"]
