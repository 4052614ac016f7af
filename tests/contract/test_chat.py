"""A turn as JSON: answers, failures, stop, and what the engine sees."""

from __future__ import annotations

import json
import socket
import threading
import time

import httpx
import pytest

from tests.contract.api_client import ApiClient, Visitor, is_problem
from tests.contract.conftest import RunningService
from tests.contract.fake_bot import spoken
from tests.contract.launch import eventually

LONG = "tokens=50 delay=0.03"


def asked(visitor: Visitor, query: str, into: list[httpx.Response], **more: str) -> threading.Thread:
    """A question on its way in a thread, once its turn has begun."""
    thread = threading.Thread(target=lambda: into.append(visitor.ask(query, **more)), daemon=True)
    with visitor.events() as feed:
        thread.start()
        feed.until("answer.start", seconds=5)
    return thread


def test_answer(visitor: Visitor) -> None:
    """JSON: `{success, answer, citations: [{title, url, snippet}], session_id, message_id}`; both are in the history
    afterwards.
    """
    answer = visitor.ask("cite something")
    body = answer.json()
    assert answer.status_code == 200
    assert body.keys() >= {"success", "answer", "citations", "session_id", "message_id"}
    assert (body["answer"], body["session_id"]) == ("echo: cite something", visitor.id)
    assert body["citations"] == [
        {"title": f"Page {n}", "url": f"https://docs.example/page-{n}", "snippet": f"Words of page {n}"}
        for n in range(3)
    ]
    question, said = visitor.history()
    assert (question["role"], question["content"]) == ("user", "cite something")
    assert (said["role"], said["content"], said["id"]) == ("assistant", body["answer"], body["message_id"])


def test_the_three_ways_to_name_a_session(visitor: Visitor) -> None:
    """The session comes in the body, as `?session=`, or as the bearer id."""
    caller = visitor.caller
    ways = [
        caller.post("/api/chat", json={"query": "one", "session_id": visitor.id}),
        caller.post("/api/chat", json={"query": "two"}, params={"session": visitor.id}),
        caller.post("/api/chat", json={"query": "three"}, headers=visitor.bearer),
    ]
    assert [answer.json()["session_id"] for answer in ways] == [visitor.id] * 3
    assert visitor.texts()[::2] == ["one", "two", "three"]


def test_without_a_session(own: RunningService) -> None:
    """Without a session it answers from the question alone and stores nothing (`session_id: null`)."""
    caller = ApiClient(own.base)
    before = set(own.key_names())
    first = caller.post("/api/chat", json={"query": "remember me"})
    assert (first.status_code, first.json()["session_id"], first.json()["answer"]) == (200, None, "echo: remember me")
    second = caller.post("/api/chat", json={"query": "tell", "session_id": None})
    assert json.loads(second.json()["answer"])["history"] == []
    assert second.json()["session_id"] is None
    assert [name for name in own.key_names() if name not in before and ("{" in name or "ses" in name)] == []


def test_what_the_engine_sees(caller: ApiClient, key: dict[str, str]) -> None:
    """The engine sees this session's history and no other's."""
    mine, other = caller.create(), caller.create()
    other.said("a stranger's words")
    mine.said("first")
    mine.said("from the operator", role="assistant", headers=key)
    mine.ask("second")
    body = json.loads(mine.ask("tell third").json()["answer"])
    assert body["question"] == "tell third"
    assert body["history"] == [
        ["user", "first"],
        ["assistant", "from the operator"],
        ["user", "second"],
        ["assistant", "echo: second"],
    ]


def test_one_turn_at_a_time(visitor: Visitor) -> None:
    """`turn_in_progress` 409 with `Retry-After`: a second question while an answer is being made."""
    answers: list[httpx.Response] = []
    thread = asked(visitor, LONG, answers)
    for refused in (
        visitor.ask("second"),
        visitor.ask("second", client_id="other"),
        visitor.ask("x", headers={"Accept": "text/event-stream"}),
    ):
        assert is_problem(refused, 409, "turn_in_progress")["retryable"] is True
        assert int(refused.headers["retry-after"]) >= 1
    thread.join(20)
    assert answers[0].json()["answer"] == spoken(50)
    assert visitor.texts() == [LONG, spoken(50)]
    assert visitor.ask("now").status_code == 200


def test_appends_go_on(visitor: Visitor) -> None:
    """`/messages` may be appended to while an answer is being made."""
    answers: list[httpx.Response] = []
    thread = asked(visitor, LONG, answers)
    assert visitor.say("meanwhile").status_code == 201
    assert "meanwhile" in visitor.texts()
    thread.join(20)
    assert sorted(visitor.texts()) == sorted([LONG, "meanwhile", spoken(50)])


def test_an_unfinished_answer_is_not_in_messages(visitor: Visitor) -> None:
    """The unfinished answer is not in `messages`."""
    answers: list[httpx.Response] = []
    thread = asked(visitor, LONG, answers)
    assert visitor.texts() == [LONG]
    assert visitor.get().json()["message_count"] == 1
    thread.join(20)
    assert visitor.texts() == [LONG, spoken(50)]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_turn_goes_on_without_its_client(plain: RunningService, visitor: Visitor, accept: str) -> None:
    """A turn goes on when its client goes away, and its answer is in the history all the same."""
    host, port = plain.base.removeprefix("http://").split(":")
    body = json.dumps({"query": "tokens=60 delay=0.02"}).encode()
    with socket.create_connection((host, int(port))) as wire:
        wire.sendall(
            f"POST /api/chat HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nAuthorization: Bearer {visitor.id}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert eventually(lambda: visitor.get().json()["message_count"] == 1)
    assert eventually(lambda: len(visitor.texts()) == 2, 10)
    assert visitor.texts()[1] == spoken(60)


def test_stop(visitor: Visitor) -> None:
    """`stop`: what was said so far stays, with `stopped: true`; 200 `{success, stopped}`, closed with `answer.end`."""
    answers: list[httpx.Response] = []
    with visitor.events() as feed:
        thread = threading.Thread(target=lambda: answers.append(visitor.ask("tokens=500 delay=0.03")), daemon=True)
        thread.start()
        feed.until("answer.delta", count=3)
        stopped = visitor.post("/stop")
        assert (stopped.status_code, stopped.json()["success"], stopped.json()["stopped"]) == (200, True, True)
        end = feed.until("answer.end", "answer.error", seconds=5)[-1]
    thread.join(10)
    message = visitor.history()[1]
    assert end.event == "answer.end"
    assert end.data["message"] == message
    assert message["metadata"]["stopped"] is True
    assert message["content"]
    assert spoken(500).startswith(message["content"])
    assert len(message["content"]) < len(spoken(500))
    assert (answers[0].status_code, answers[0].json()["answer"]) == (200, message["content"])
    assert visitor.ask("and on").status_code == 200


def test_stop_when_nothing_runs(visitor: Visitor) -> None:
    """`stopped` is false when nothing ran."""
    for _ in range(2):
        assert visitor.post("/stop").json() == {"success": True, "stopped": False}
    visitor.ask("hello")
    assert visitor.post("/stop").json()["stopped"] is False
    assert visitor.history()[1]["metadata"].get("stopped") is None


def test_stop_of_a_silent_engine(visitor: Visitor) -> None:
    """Stop takes effect within 5 s even while the engine is silent; the next question is answered."""
    with visitor.ask_streamed("hang") as feed:
        feed.until("answer.start")
        started = time.monotonic()
        assert visitor.post("/stop").json()["stopped"] is True
        assert feed.until("answer.end", "answer.error", seconds=5)[-1].event == "answer.end"
        assert time.monotonic() - started < 1.9, "that was the engine's timeout, not the stop"
    assert visitor.ask("next").status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("fail", 502, "engine_failed"),
        ("empty", 502, "engine_failed"),
        ("hang", 504, "engine_timeout"),
        ("fail-after=20", 502, "engine_failed"),
        ("stall-after=20", 504, "engine_timeout"),
    ],
)
def test_an_answer_that_could_not_be_made(visitor: Visitor, query: str, status: int, code: str) -> None:
    """`engine_failed` 502, `engine_timeout` 504: the question is kept, words said are kept, the next question is
    answered.
    """
    started = time.monotonic()
    problem = is_problem(visitor.ask(query), status, code)
    assert problem["retryable"] is True
    assert "told to" not in problem["detail"], "the engine's own words are not for strangers"
    assert time.monotonic() - started < 8
    history = visitor.history()
    assert history[0]["content"] == query
    assert [message["content"] for message in history[1:]] == ([spoken(20)] if "after" in query else [])
    assert visitor.ask("next").json()["answer"] == "echo: next"


def test_slow_is_not_silent(visitor: Visitor) -> None:
    """`ENGINE_TIMEOUT` bounds the silence of an engine, not the length of its answer."""
    answer = visitor.ask("tokens=30 delay=0.1")
    assert (answer.status_code, answer.json()["answer"]) == (200, spoken(30))


def test_a_failure_without_a_session(caller: ApiClient) -> None:
    """The same codes without a session."""
    is_problem(caller.post("/api/chat", json={"query": "fail"}), 502, "engine_failed")
    is_problem(caller.post("/api/chat", json={"query": "hang"}), 504, "engine_timeout")


def test_erase_under_a_running_answer(own: RunningService) -> None:
    """Erase leaves no tombstone, and stops a running answer without bringing back a key."""
    caller = ApiClient(own.base)
    before = own.key_names()
    visitor = caller.create()
    feed, other = visitor.ask_streamed("tokens=200 delay=0.02"), visitor.events()
    feed.until("answer.delta")
    assert visitor.erase().status_code == 204
    started = time.monotonic()
    while time.monotonic() - started < 2:
        assert [name for name in own.key_names() if name not in before] == []
    feed.until_closed(5)
    other.until_closed(5)
    is_problem(visitor.get(), 404, "session_not_found")


def test_end_under_a_running_answer(visitor: Visitor) -> None:
    """An end under a running answer closes its turn; the history stays readable and nothing is added later."""
    with visitor.ask_streamed("tokens=300 delay=0.02") as feed, visitor.events() as watching:
        feed.until("answer.delta", count=2)
        assert visitor.post("/end").json()["status"] == "ended"
        watching.until("session")
        feed.until("answer.end", "answer.error", seconds=10)
    assert visitor.get().json()["status"] == "ended"
    texts = visitor.texts()
    assert visitor.texts() == texts


def test_fast_and_long(visitor: Visitor) -> None:
    """Ten thousand words at full speed come whole."""
    answer = visitor.ask("tokens=10000")
    assert answer.json()["answer"] == spoken(10000)
    assert visitor.history()[1]["content"] == spoken(10000)
