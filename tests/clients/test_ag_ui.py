"""AG-UI's own HttpAgent over /api/ag-ui: runs, replays, Last-Event-ID, errors, keys."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from tests.clients.conftest import RunScript
from tests.contract.api_client import ApiClient, Visitor, is_problem
from tests.contract.conftest import API_KEY, RunningService
from tests.contract.launch import eventually

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
    assert visitor.texts() == ["tokens=12 cite", WORDS]  # the same run was sent twice, and made once


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


def told(visitor: Visitor, body: dict[str, Any], position: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Id and data of each event that the run tells."""
    answered = visitor.caller.post("/api/ag-ui", json=body, headers={**visitor.bearer, "Last-Event-ID": position})
    assert answered.status_code == 200, answered.text
    return [
        (head.removeprefix("id: ").strip(), json.loads(data))
        for head, _, data in (event.partition("data: ") for event in answered.text.split("\n\n") if event)
        if data
    ]


def test_positions_that_are_gone(visitor: Visitor) -> None:
    """A position that is not the run's is an error of it, never silence and never a word twice."""
    assert [data["type"] for _, data in told(visitor, run_input("hi"), "x")] == ["RUN_STARTED", "RUN_ERROR"]
    assert eventually(lambda: visitor.texts() == ["hi", "echo: hi"])
    later = told(visitor, run_input("and", run="r2"))[-1][0]
    tag = later.partition("-")[2]
    for position in ("1-000000", "999999-aaaaaa", later, f"999999-{tag}", f"{10**14}-{tag}", "9" * 5000):
        events = [data for _, data in told(visitor, run_input("hi"), position)]
        assert [event["type"] for event in events] == ["RUN_STARTED", "RUN_ERROR"], position
        assert events[1]["code"] == "reset"
    assert visitor.texts() == ["hi", "echo: hi", "and", "echo: and"]


@pytest.mark.parametrize("question", ["tokens=9 delay=0.02 break-once=6", "fail-after=6 delay=0.02"])
def test_a_failed_run_goes_on(script: RunScript, service: RunningService, visitor: Visitor, question: str) -> None:
    """With Last-Event-ID a run that has failed meanwhile is told to its end, and not made again; without, it is."""
    broken, resumed = script(
        "ag_ui.mjs",
        url=service.base,
        threadId=visitor.id,
        actions=[{"ask": question, "runId": "r", "cut": 4}, {"ask": question, "runId": "r", "goOn": True}],
    )
    assert broken["text"] + resumed["text"] == "w0 w1 w2 w3 w4 w5 "
    for position in (broken["lastEventId"], resumed["lastEventId"]):
        assert position
        events = told(visitor, run_input(question, run="r"), position)
        assert [events[0][1]["type"], events[-1][1]["code"]] == ["RUN_STARTED", "engine_failed"]
        assert events[-1][0] == resumed["lastEventId"]
    assert service.own.engine_calls(question) == 1
    again = told(visitor, run_input(question, run="r"))
    assert (service.own.engine_calls(question), again[0][1]["type"]) == (2, "RUN_STARTED")


def test_deleted_in_mid_answer(visitor: Visitor) -> None:
    """The run of a conversation that is deleted ends with an error."""
    events = []
    body = run_input("tokens=900 delay=0.02", visitor.id)
    with visitor.caller.http.stream("POST", "/api/ag-ui", json=body) as response:
        for line in response.iter_lines():
            events += [json.loads(line.removeprefix("data: "))] if line.startswith("data: ") else []
            if len(events) == 5:
                visitor.erase()
    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "session_not_found")


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


def test_a_wrong_body_makes_no_conversation(service: RunningService) -> None:
    """A key that is new stays so."""
    before, headers = service.key_names(), {"Authorization": f"Bearer {API_KEY}"}
    body = run_input(" ", "a-new-key")
    is_problem(ApiClient(service.base).post("/api/ag-ui", json=body, headers=headers), 422, "invalid_request")
    assert service.key_names() == before


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


def test_a_run_stopped_before_its_first_word_again(visitor: Visitor) -> None:
    """The protocol knows no empty piece of text: the run begins and ends, both times."""
    body = run_input("hang", thread=visitor.id)
    with visitor.caller.http.stream("POST", "/api/ag-ui", json=body, headers=visitor.bearer) as response:
        assert response.status_code == 200
        assert eventually(lambda: visitor.post("/stop").json()["stopped"])
        response.read()
    assert [event["type"] for _, event in told(visitor, body)] == ["RUN_STARTED", "RUN_FINISHED"]
