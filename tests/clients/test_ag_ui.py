"""AG-UI's own HttpAgent over /api/ag-ui: runs, replays, Last-Event-ID, errors, keys."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from tests.clients.conftest import RunScript
from tests.contract.api_client import ApiClient, Visitor, is_problem
from tests.contract.conftest import API_KEY, RunningService

WORDS = "".join(f"w{number} " for number in range(12))


def run_input(text: str, thread: str = "t", run: str = "r") -> dict[str, Any]:
    """The body that the client sends."""
    messages = [{"id": "m1", "role": "user", "content": text}]
    return {"threadId": thread, "runId": run, "state": {}, "messages": messages, "tools": [], "context": []}


def types(shown: dict[str, Any]) -> list[str]:
    return [event["type"] for event in shown["events"]]


def test_a_run(script: RunScript, service: RunningService, visitor: Visitor) -> None:
    """Start, text, citations, end; the thread is the session."""
    action = {"ask": "tokens=12 cite", "runId": "r1"}
    again, shown = script("ag_ui.mjs", url=service.base, threadId=visitor.id, actions=[action, action])
    for run in (again, shown):
        assert run["text"] == run["messages"][-1]["content"] == WORDS
        assert types(run)[:2] == ["RUN_STARTED", "TEXT_MESSAGE_START"]
        assert types(run)[-3:] == ["TEXT_MESSAGE_END", "CUSTOM", "RUN_FINISHED"]
        custom = next(event for event in run["events"] if event["type"] == "CUSTOM")
        assert (custom["name"], [citation["title"] for citation in custom["value"]]) == (
            "citations",
            ["Page 0", "Page 1", "Page 2"],
        )
    assert visitor.texts() == ["tokens=12 cite", WORDS]  # the same run was told twice, and made once


def test_resume_at_every_cut(script: RunScript, service: RunningService, visitor: Visitor) -> None:
    """With Last-Event-ID the run goes on with the very next word."""
    actions = []
    for cut in range(15):
        ask = {"ask": "tokens=12 delay=0.02", "runId": f"r{cut}"}
        actions += [{**ask, "cut": cut}, {**ask, "goOn": True}]
    results = script("ag_ui.mjs", url=service.base, threadId=visitor.id, actions=actions)
    for broken, resumed in zip(results[::2], results[1::2], strict=True):
        assert broken["text"] + resumed["text"] == WORDS
        assert types(resumed)[0] == "RUN_STARTED"
        assert types(resumed)[-1] == "RUN_FINISHED"
        assert resumed["error"] is None
    assert visitor.texts()[1::2] == [WORDS] * 15


def test_positions_that_are_gone(visitor: Visitor) -> None:
    """A foreign, malformed or earlier position is an error of the run, never silence and never a word twice."""
    for position in ("x", "1-000000", "999999-aaaaaa"):
        answered = visitor.caller.post("/api/ag-ui", json=run_input("hi"), headers={
            **visitor.bearer, "Last-Event-ID": position,
        })  # fmt: skip
        events = [json.loads(line.removeprefix("data: ")) for line in answered.text.split("\n\n") if line]
        assert [event["type"] for event in events] == ["RUN_STARTED", "RUN_ERROR"]
    assert visitor.texts() == ["hi", "echo: hi"]


def test_errors(script: RunScript, service: RunningService, visitor: Visitor) -> None:
    """A failed answer is RUN_ERROR with the contract's code; what is refused is refused with its status."""
    failed, empty = script(
        "ag_ui.mjs",
        url=service.base,
        threadId=visitor.id,
        actions=[{"ask": "fail-after=3", "runId": "r1"}, {"ask": " ", "runId": "r2"}],
    )
    assert failed["text"] == "w0 w1 w2 "
    assert failed["events"][-1]["code"] == "engine_failed"
    assert "422" in empty["error"]


def test_threads_by_key(script: RunScript, service: RunningService) -> None:
    """With a proof the thread id is a key: the user's own conversation, and nobody else's."""
    secret = "secret-of-the-site-0123456789-abcdef"
    users = {name: {"Baton-User": jwt.encode({"sub": name, "exp": 4e9}, secret)} for name in ("ada", "bob")}
    for headers in (*users.values(), {"Authorization": f"Bearer {API_KEY}"}):
        first, second = script(
            "ag_ui.mjs",
            url=service.base,
            threadId="support",
            headers=headers,
            actions=[{"ask": "hello", "runId": "r1"}, {"ask": "tell", "runId": "r2"}],
        )
        assert first["text"] == "echo: hello"
        assert json.loads(second["text"])["history"] == [["user", "hello"], ["assistant", "echo: hello"]]


def test_new_keys_count_as_creates(limited_service: RunningService) -> None:
    """A run under a new key counts against the limit of creates; one under a known key does not."""
    caller = ApiClient(limited_service.base, address="127.0.0.63")
    headers = {"Authorization": f"Bearer {API_KEY}"}

    def run(key: str) -> int:
        return caller.post("/api/ag-ui", json=run_input("hello", key, run=key), headers=headers).status_code

    assert run("first") == 200
    while caller.post("/api/session/create", json={}).status_code == 201:
        pass
    is_problem(caller.post("/api/ag-ui", json=run_input("hello", "second"), headers=headers), 429, "rate_limited")
    assert run("first") == 200


@pytest.mark.parametrize("thread", ["support", "", "ses_x", "a b", 7, None])
def test_unknown_threads(service: RunningService, thread: Any) -> None:
    """Without a proof a thread id that is no session's is 404."""
    answered = ApiClient(service.base).post("/api/ag-ui", json=run_input("x", thread))
    is_problem(answered, 404, "session_not_found")


@pytest.mark.parametrize("change", [{"runId": ""}, {"runId": 7}, {"messages": []}, {"messages": [7]}, {"runId": None}])
def test_wrong_bodies(visitor: Visitor, change: dict[str, Any]) -> None:
    """422 that names the field."""
    body = run_input("x", visitor.id) | change
    is_problem(visitor.caller.post("/api/ag-ui", json=body), 422, "invalid_request")
    assert visitor.texts() == []
