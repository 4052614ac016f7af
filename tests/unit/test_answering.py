"""Running an answer on a real Redis: the first words at once, later ones together, each question answered once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import redis

from app.conversations import answer_runner
from app.engines.base import CitationsChunk, EngineRequest, FallbackNotice, TextChunk
from app.errors import Conflict, EngineBusy, EngineFailed, EngineTimeout
from app.storage import redis_store as log_module
from tests.conftest import until
from tests.unit.conversation_fixture import PAGE, Start, deltas, spawn


def test_an_answer_goes_into_the_history_with_its_citations(start: Start) -> None:
    """Words, citations and the note of a fallback reach the log; the joined words are the message."""

    def answer(turn: EngineRequest) -> Iterator[Any]:
        yield FallbackNotice("The model is away.")
        yield CitationsChunk(turn.search("why", 3))
        yield TextChunk("Because ")
        yield TextChunk("it is. [1]")

    one = start(answer)
    events = one.events(one.ask("Why?"))
    one.quiet()
    assert events[0][0] == "answer.start"
    assert all(data.keys() == {"turn_id", "text"} and data["text"] for kind, data in events if kind == "answer.delta")
    asked, answered = one.history()
    assert events[-1] == ("answer.end", {**events[-1][1], "message": answered})
    assert "".join(deltas(events)) == answered["content"] == "Because it is. [1]"
    assert (asked["role"], answered["role"]) == ("user", "assistant")
    page = {"title": PAGE.title, "url": PAGE.url, "snippet": PAGE.snippet}
    assert answered["metadata"] == {"citations": [page], "degraded": "The model is away."}
    assert events[-1][1]["citations"] == [page]
    assert one.observed == [("began", "test"), ("first", "test"), ("ended", "test", "end")]


def test_an_engine_gets_this_conversation_and_nothing_else(start: Start) -> None:
    """The turn holds the question, what was said before, the site's metadata and a name that is no credential."""
    one = start(lambda turn: iter([TextChunk(f"{len(turn.history)} before")]))
    other = start(lambda turn: iter([TextChunk("elsewhere")]))
    for question in ("first", "second"):
        other.events(other.ask("canary"))
        one.events(one.ask(question))
        one.quiet()
    turn = one.engine.turns[1]
    assert (turn.question, dict(turn.metadata), turn.idle_timeout) == ("second", {"site": "a"}, 5.0)
    assert [(said.role, said.content) for said in turn.history] == [("user", "first"), ("assistant", "0 before")]
    assert turn.session_ref == one.session_hash[:10]
    other.quiet()


def test_the_first_token_is_sent_at_once(start: Start) -> None:
    """The first word stands in the log while the engine still thinks about the second."""
    go_on = threading.Event()

    def answer(turn: EngineRequest) -> Iterator[Any]:
        yield TextChunk("First")
        go_on.wait(10)
        yield TextChunk(" second")

    one = start(answer)
    reading = one.talk.stream_turn(one.session_hash, "", one.ask())
    first = next(event for event in reading if event and event.type == "answer.delta")
    assert first.payload()["text"] == "First"
    go_on.set()
    assert [event.type for event in reading if event][-1] == "answer.end"
    one.quiet()


def test_words_that_come_quickly_are_sent_together(start: Start) -> None:
    """A thousand words at full speed are far fewer events, and not a letter is lost."""
    one = start(lambda turn: (TextChunk(f"{n} ") for n in range(1_000)))
    chunks = deltas(one.events(one.ask()))
    one.quiet()
    assert "".join(chunks) == "".join(f"{n} " for n in range(1_000))
    assert len(chunks) < 100


def test_an_engine_that_never_pauses_is_heard_all_the_while(start: Start) -> None:
    """Words that come without a pause are sent while they come, and a stop takes effect among them."""

    def answer(turn: EngineRequest) -> Iterator[Any]:
        while not turn.cancel.is_set():
            yield TextChunk("")
            yield TextChunk("x")
            time.sleep(0.0001)

    one = start(answer)
    started = one.ask()
    reading = one.talk.stream_turn(one.session_hash, "", started)
    seen = 0
    for event in reading:
        seen += event is not None and event.type == "answer.delta"
        if seen == 3:
            assert one.talk.stop_turn(one.session_hash, "")
            break
    assert [event.type for event in reading if event][-1] == "answer.end"
    one.quiet()
    assert one.history()[-1]["metadata"] == {"stopped": True}


def test_an_answer_survives_storage_that_goes_away(start: Start, redis_url: str) -> None:
    """Redis hangs for two seconds in mid-answer: the turn waits, nothing is lost or sent twice, the end is good."""
    with redis.Redis.from_url(redis_url) as client:
        pid = int(client.info("server")["process_id"])
    hung, back = threading.Event(), threading.Event()

    def answer(turn: EngineRequest) -> Iterator[Any]:
        yield TextChunk("before ")
        hung.wait(10)
        for n in range(20):
            yield TextChunk(f"{n} ")
        back.wait(10)
        yield TextChunk("after")

    one = start(answer, silence=20.0)
    started = one.ask()
    reading = one.talk.stream_turn(one.session_hash, "", started)
    next(event for event in reading if event and event.type == "answer.delta")
    os.kill(pid, signal.SIGSTOP)
    try:
        hung.set()
        until(lambda: one.log.health()["redis"] != "ok", 10, "Redis to hang")
        time.sleep(2)
    finally:
        os.kill(pid, signal.SIGCONT)
    back.set()
    one.quiet()
    whole = "before " + "".join(f"{n} " for n in range(20)) + "after"
    until(lambda: one.log.health()["redis"] == "ok", 5, "Redis to be back")
    assert one.history()[-1]["content"] == whole
    assert "".join(deltas(one.events(started))) == whole


def test_a_question_asked_again_is_answered_once(start: Start) -> None:
    """Twenty callers with one client id: one engine call, and one and the same answer for all of them."""
    one = start(lambda turn: iter([TextChunk("once")]))
    found: list[dict[str, Any]] = []

    def call() -> None:
        found.append(one.talk.wait_for_answer(one.session_hash, "", one.ask(client_id="c1")))

    callers = [threading.Thread(target=call) for _ in range(20)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(15)
    one.quiet()
    assert len({orjson.dumps([answer["message"], answer["citations"]]) for answer in found}) == 1
    assert len(found) == 20
    assert len(one.engine.turns) == 1
    assert len(one.history()) == 2


def test_a_joined_caller_learns_how_the_turn_failed(start: Start) -> None:
    """Whoever waits for the whole answer of a failing turn gets that error; the next call tries again."""
    tries: list[int] = []

    def answer(turn: EngineRequest) -> Iterator[Any]:
        tries.append(1)
        if len(tries) == 1:
            raise EngineTimeout
        yield TextChunk("second try")

    one = start(answer)
    with pytest.raises(EngineTimeout):
        one.talk.wait_for_answer(one.session_hash, "", one.ask(client_id="c1"))
    one.quiet()
    assert one.talk.wait_for_answer(one.session_hash, "", one.ask(client_id="c1"))["message"]["content"] == "second try"
    one.quiet()
    assert [message["content"] for message in one.history()] == ["Why?", "second try"]


def test_an_answer_without_a_session_is_kept_nowhere(start: Start, redis_url: str) -> None:
    """Asked alone, the pieces come as they are, and Redis holds no word of it; an empty one fails."""
    one = start(lambda turn: iter([TextChunk("alone"), CitationsChunk((PAGE,))] if turn.question == "Q" else []))
    assert [type(piece).__name__ for piece in one.talk.answer_stateless("Q")] == ["TextChunk", "CitationsChunk"]
    with pytest.raises(EngineFailed):
        list(one.talk.answer_stateless("empty"))
    assert one.history() == []
    with redis.Redis.from_url(redis_url) as client:
        assert not [key for key in client.keys("*") if b"alone" in key]


def test_the_budget_is_given_back_however_a_turn_ends(start: Start) -> None:
    """After good, failed and empty turns, and a caller who leaves an answer alone, every place is free again."""
    one = start(lambda turn: iter([TextChunk("ok")]) if turn.question == "good" else iter([object()]))
    for question in ("good", "bad", "good", "bad", "good", "bad"):
        one.events(one.ask(question))
        one.quiet()
    leaving = one.talk.answer_stateless("good")
    next(iter(leaving))
    leaving.close()
    assert [one.log.acquire_engine_slot(f"turn_{n}") for n in range(4)] == [0, 0, 0, 0]
    assert one.log.acquire_engine_slot("turn_4") > 0
    with pytest.raises(EngineBusy) as busy:
        one.ask()
    assert busy.value.retry_after
    assert len([message for message in one.history() if message["role"] == "user"]) == 6


def test_a_question_that_begins_no_turn_costs_no_place(start: Start) -> None:
    """Questions asked during an answer are refused and leave the engine's other places free."""
    go_on = threading.Event()
    one = start(lambda turn: iter([TextChunk("ok")] if go_on.wait(20) else []))
    one.ask()
    for _ in range(10):
        with pytest.raises(Conflict):
            one.ask("And?")
    assert [one.log.acquire_engine_slot(f"turn_{n}") for n in range(3)] == [0, 0, 0]
    go_on.set()
    one.quiet()


@pytest.mark.parametrize("alone", [False, True])
def test_a_long_answer_keeps_its_slot(start: Start, monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    """Past its first claim, and silent all the while, an answer still counts; when it is over its place is free."""
    monkeypatch.setattr(log_module, "ENGINE_SLOT_MS", 1_500)
    monkeypatch.setattr(answer_runner, "SLOT_RENEW_SECONDS", 0.2)
    go_on = threading.Event()

    def answer(turn: EngineRequest) -> Iterator[Any]:
        yield TextChunk("So ")
        go_on.wait(20)
        yield TextChunk("long")

    one = start(answer, silence=20.0)
    claimed = [one.log.acquire_engine_slot(f"turn_{n}") for n in range(3)]
    pieces = one.talk.answer_stateless("Why?") if alone else None
    reading = spawn(lambda: list(pieces)) if pieces else None
    started = None if pieces else one.ask()
    began = time.monotonic()
    while time.monotonic() - began < 3:
        for n in range(3):
            one.log.renew_engine_slot(f"turn_{n}")
        assert one.log.acquire_engine_slot("turn_late") > 0, "its place was given to another"
        time.sleep(0.1)
    go_on.set()
    if pieces and reading:
        reading.join(5)
        pieces.close()
    if started:
        one.events(started)
    one.quiet()
    assert [*claimed, one.log.acquire_engine_slot("turn_late")] == [0, 0, 0, 0]
