"""What happens when calls meet: erase, end and questions at the same instant; and requests that share a connection."""

from __future__ import annotations

import socket
import time
from collections import Counter
from contextlib import suppress

import httpx
import pytest

from tests.contract.api_client import NOBODY, ApiClient, Visitor, at_once, is_problem
from tests.contract.conftest import RunningService
from tests.contract.fake_bot import spoken
from tests.contract.feeds import ids, joined, story
from tests.contract.launch import eventually


def test_two_questions_at_once(own: RunningService) -> None:
    """Of different questions asked at the same instant one is answered, the others are `turn_in_progress`; one engine
    call.
    """
    visitor = ApiClient(own.base).create()
    answers = at_once(10, lambda number: visitor.ask(f"rivals tokens=40 delay=0.02 n={number}", client_id=f"c{number}"))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 9}
    for answer in answers:
        if answer.status_code == 409:
            is_problem(answer, 409, "turn_in_progress")
    assert own.own.engine_calls("rivals") == 1
    assert len(visitor.texts()) == 2


def test_erase_in_a_crowd(own: RunningService) -> None:
    """An erase that meets appends, questions, heartbeats, resumes and handoffs leaves no key, whatever came first."""
    caller = ApiClient(own.base)
    before = own.key_names()
    for _ in range(5):
        visitor = caller.create()
        calls = [
            lambda one: one.erase(),
            lambda one: one.say("x", client_id="a"),
            lambda one: one.ask("tokens=5", client_id="b"),
            lambda one: one.post("/heartbeat"),
            lambda one: one.caller.resume(one.id),
            lambda one: one.post("/handoff"),
            lambda one: one.post("/handoff", {"kind": "share"}),
            lambda one: one.post("/end"),
            lambda one: one.post("/stop"),
            lambda one: one.get(),
        ]
        answers = at_once(len(calls), lambda number, visitor=visitor, calls=calls: calls[number](visitor))
        assert answers[0].status_code == 204
        assert {answer.status_code for answer in answers[1:]} <= {200, 201, 404, 409, 502}
        is_problem(visitor.get(), 404, "session_not_found")
    left = eventually(lambda: [name for name in own.key_names() if name not in before] == [], 3)
    assert left, [name for name in own.key_names() if name not in before]


def test_an_end_in_a_crowd(visitor: Visitor) -> None:
    """After an end nothing is appended: what was acknowledged stands before it, the rest is `session_ended`."""
    answers = at_once(12, lambda number: visitor.post("/end") if number == 5 else visitor.say(f"m{number}"))
    stored = sorted(answer.json()["message"]["content"] for answer in answers if answer.status_code == 201)
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    assert sorted(visitor.texts()) == stored
    is_problem(visitor.say("late"), 409, "session_ended")


@pytest.mark.parametrize("streamed", [False, True])
def test_an_end_that_meets_a_question(visitor: Visitor, streamed: bool) -> None:
    """Of a question and an end at the same instant each answer that began has one terminal event, and after the end of
    the session nothing is written: the engine may speak on, nobody hears it.
    """
    for number in range(6):
        one = visitor.caller.create()
        cursor = one.get("/messages").json()["cursor"]
        query = f"tokens=40 delay=0.02 n={number}"

        def asked(one: Visitor = one, query: str = query) -> int:
            if not streamed:
                return one.ask(query, client_id="c").status_code
            with one.ask_streamed(query, client_id="c") as stream:
                stream.until_closed(20)
                return stream.status

        pause = number * 0.03  # the end falls before, into and after the beginning
        calls = [asked, lambda one=one, pause=pause: time.sleep(pause) or one.post("/end").status_code]
        statuses = at_once(2, lambda n, calls=calls: calls[n]())
        assert statuses[0] in (200, 409)
        assert statuses[1] == 200
        with one.events(after=cursor) as feed:
            feed.until("session")
            assert not feed.wait_quietly(lambda seen: story(seen)[-1].event != "session", 0.5), "written after the end"
            events = story(feed.events)
        started = [event.event for event in events if event.event == "answer.start"]
        ended = [event for event in events if event.event in ("answer.end", "answer.error")]
        assert len(started) == len(ended) == (statuses[0] == 200)
        assert [event.event for event in events].count("session") == 1
        history = one.history()
        assert [message["role"] for message in history] == ["user", "assistant"][: 2 * len(ended)]
        if ended:
            assert ended[0].data["message"] == history[-1]
            assert joined(events) == history[-1]["content"]
            assert history[-1]["metadata"] == {"stopped": True}


def test_tickets_in_a_crowd(visitor: Visitor) -> None:
    """Many tickets, many takers: every ticket is spent exactly once."""
    tickets = [visitor.ticket() for _ in range(8)]
    answers = at_once(32, lambda number: (number % 8, visitor.caller.resume(tickets[number % 8]).status_code))
    won = Counter(ticket for ticket, status in answers if status == 200)
    assert won == dict.fromkeys(range(8), 1)


def test_racing_replays_are_free(limited: RunningService) -> None:
    """Racing calls with one client id count once against the session's limit, and all of them get their answer."""
    visitor = ApiClient(limited.base, address="127.0.0.201").create()
    # a limit by address counts every call, so each comes from an address of its own
    racing = [Visitor(ApiClient(limited.base, address=f"127.0.2.{number}"), visitor.id) for number in range(16)]
    appended = at_once(16, lambda number: racing[number].say("x", client_id="a").status_code)
    assert sorted(appended) == [200] * 15 + [201]
    answered = at_once(16, lambda number: racing[number].ask("tokens=10 delay=0.02", client_id="b").status_code)
    assert set(answered) == {200}
    assert [visitor.say(f"m{number}").status_code for number in range(5)] == [201] * 4 + [429]


def read_answers(wire: socket.socket, count: int, seconds: float = 10) -> list[bytes]:
    """Status lines of the next answers on a connection; fewer when the other side closes it."""
    wire.settimeout(seconds)
    seen = b""
    with suppress(TimeoutError, ConnectionResetError):
        while seen.count(b"HTTP/1.1 ") < count and (piece := wire.recv(65536)):
            seen += piece
    return [part[:3] for part in seen.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(("path", "kind", "body", "first"), [
    (f"/api/session/{NOBODY}/messages", "application/json", b'{"message": "x"}', b"404"),
    ("/api/nowhere", "application/json", b'{"message": "x"}', b"404"),
    ("/api/session/create", "text/plain", b"GET /api/smuggled HTTP/1.1\r\nHost: x\r\n\r\n", b"415"),
    ("/api/session/resume", "application/json", b"GET /api/smuggled HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
])  # fmt: skip
def test_a_body_left_unread(plain: RunningService, path: str, kind: str, body: bytes, first: bytes) -> None:
    """A refused request's body is never taken for the next request of its connection."""
    host, port = plain.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as wire:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        wire.sendall(head + body)
        assert read_answers(wire, 1) == [first]
        wire.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_answers(wire, 1) in ([b"200"], [])


def test_too_large_is_never_smuggled(plain: RunningService) -> None:
    """Nor is the rest of a body that was too large."""
    host, port = plain.base.removeprefix("http://").split(":")
    inner = b"GET /api/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    body = inner * (70000 // len(inner))
    with socket.create_connection((host, int(port))) as wire:
        head = "POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        wire.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        seen = read_answers(wire, 2, 1.5)
    assert seen == [b"413"]


def test_many_calls_on_one_connection(plain: RunningService) -> None:
    """A connection kept alive serves call after call, refused ones between."""
    with httpx.Client(base_url=plain.base, timeout=10) as http:
        created = http.post("/api/session/create").json()["session_id"]
        for number in range(10):
            assert http.post("/api/chat", json={"query": ""}).status_code == 422
            assert http.post("/api/chat", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
            assert http.post(f"/api/session/{created}/messages", json={"message": f"m{number}"}).status_code == 201
        assert http.get(f"/api/session/{created}").json()["message_count"] == 10


def test_a_long_answer_taken_up_late(visitor: Visitor) -> None:
    """After a very long answer an early position brings all of it or `reset`, never a part in silence."""
    cursor = visitor.get("/messages").json()["cursor"]
    with visitor.events() as feed:
        visitor.ask("tokens=10000")
        events = story(feed.until("answer.end"))
    assert joined(events) == spoken(10000)
    cursors = [cursor, *[event.id for event in events if event.id][:: max(1, len(events) // 6)][:-1]]
    for position in cursors:
        with visitor.events(after=position) as late:
            rest = story(late.until("answer.end", "reset"))
        seen = [] if position == cursor else events[: 1 + [event.id for event in events].index(position)]
        if rest[0].event != "reset":
            assert joined(seen) + joined(rest) == spoken(10000)
            assert not set(ids(seen)) & set(ids(rest))


def test_after_the_end_the_feed_still_sends_it(visitor: Visitor) -> None:
    """A reader that was away when the session ended gets that end when it comes back with its last id."""
    with visitor.events() as feed:
        visitor.said("one")
        cursor = feed.until("message")[-1].id
    visitor.post("/end")
    with visitor.events(last=cursor) as feed, visitor.ws(after=cursor) as socket_feed:
        for one in (feed, socket_feed):
            assert story(one.until("session", seconds=5))[-1].data["status"] == "ended"
