"""Every answer ends once, whatever its engine does, and whoever breaks it off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from app.engines.base import CitationsChunk, EngineRequest, Handoff, NotFound, TextChunk
from app.errors import EngineBusy, EngineFailed, EngineTimeout, SessionNotFound
from tests.unit.conversation_fixture import Answer, Start, deltas


def failing(error: Exception) -> Answer:
    def answer(turn: EngineRequest) -> Iterator[Any]:
        yield TextChunk("So far")
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineFailed("It broke."), "engine_failed"),
        (EngineTimeout(), "engine_timeout"),
        (EngineBusy(), "engine_busy"),
        (RuntimeError("secret inside"), "engine_failed"),
    ],
)
def test_whatever_an_engine_raises_ends_its_turn_once(start: Start, error: Exception, code: str) -> None:
    """One error with the code of the contract; the words so far stay, marked; no exception's text goes out."""
    one = start(failing(error))
    events = one.events(one.ask())
    one.quiet()
    assert [kind for kind, _ in events].count("answer.error") == 1
    kind, data = events[-1]
    assert (kind, data["code"]) == ("answer.error", code)
    assert data["message"] == one.history()[-1]
    assert (one.history()[-1]["content"], one.history()[-1]["metadata"]) == ("So far", {"interrupted": True})
    assert "secret" not in str(events)
    assert one.observed[-1] == ("ended", "test", code)


GARBAGE: dict[str, Answer] = {
    "no piece": lambda turn: iter(["bare text"]),
    "nothing": lambda turn: iter([None]),
    "text of no text": lambda turn: iter([TextChunk(7)]),  # type: ignore[arg-type]
    "citations of nothing": lambda turn: iter([TextChunk("a"), CitationsChunk([object()])]),  # type: ignore[list-item]
    "citations that are none": lambda turn: iter([TextChunk("a"), CitationsChunk(7)]),  # type: ignore[arg-type]
    "no iterator": lambda turn: 7,  # type: ignore[arg-type, return-value]
    "empty": lambda turn: iter([]),
    "only sources": lambda turn: iter([CitationsChunk(()), TextChunk("")]),
    "white space": lambda turn: iter([TextChunk("  "), TextChunk("\n")]),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_ends_the_turn_and_keeps_the_question(start: Start, what: str) -> None:
    """Pieces that are none and an empty answer are engine_failed; the question stays and can be asked again."""
    one = start(GARBAGE[what])
    events = one.events(one.ask(client_id="c1"))
    one.quiet()
    assert (events[-1][0], events[-1][1]["code"]) == ("answer.error", "engine_failed")
    assert one.history()[0]["content"] == "Why?"
    assert one.ask(client_id="c1").outcome == "started"
    one.quiet()
    assert [message["role"] for message in one.history()].count("user") == 1


def test_without_people_a_handoff_leads_nowhere(start: Start) -> None:
    """While the desk is off, an engine that hands over answers with its words, or that nobody is there."""
    one = start(lambda turn: iter([Handoff("money"), TextChunk("unheard")]))
    assert one.events(one.ask())[-1][0] == "answer.end"
    one.quiet()
    assert one.history()[-1]["content"].startswith("Nobody is here to answer")
    other = start(lambda turn: iter([TextChunk("One moment."), Handoff("money")]))
    other.events(other.ask())
    other.quiet()
    assert (other.history()[-1]["content"], other.history()[-1]["metadata"]) == ("One moment.", {})


def test_an_engine_that_does_not_know_is_marked(start: Start) -> None:
    """The answer's metadata says so, in the history and in its last event."""
    one = start(lambda turn: iter([TextChunk("No idea."), NotFound()]))
    events = one.events(one.ask())
    one.quiet()
    assert events[-1][1]["message"]["metadata"] == one.history()[-1]["metadata"] == {"not_found": True}


def test_half_a_letter_is_replaced_and_the_rest_kept(start: Start) -> None:
    """A lone surrogate, which UTF-8 cannot hold, does not cost the words around it."""
    one = start(lambda turn: iter([TextChunk("a\ud83db"), TextChunk("c")]))
    events = one.events(one.ask())
    one.quiet()
    assert "".join(deltas(events)) == one.history()[-1]["content"] == "a?bc"


def test_an_endless_answer_is_ended(start: Start) -> None:
    """Past a hundred thousand characters the turn fails, what fits is kept, and the engine is closed."""

    def answer(turn: EngineRequest) -> Iterator[Any]:
        while True:
            yield TextChunk("x" * 1_000)

    one = start(answer)
    events = one.events(one.ask())
    one.quiet()
    assert (events[-1][0], events[-1][1]["code"]) == ("answer.error", "engine_failed")
    assert 90_000 < len(one.history()[-1]["content"]) <= 102_000
    assert one.engine.closed.wait(5)


@pytest.mark.parametrize("first", ["", "So far"])
def test_silence_ends_the_turn(start: Start, first: str) -> None:
    """An engine silent for longer than allowed, before its first word or after, is engine_timeout and cancelled."""
    stopped = threading.Event()

    def answer(turn: EngineRequest) -> Iterator[Any]:
        turn.cancel.add_callback(stopped.set)
        if first:
            yield TextChunk(first)
        stopped.wait(20)
        yield TextChunk("too late")

    one = start(answer, silence=0.5)
    events = one.events(one.ask())
    one.quiet()
    assert (events[-1][0], events[-1][1]["code"]) == ("answer.error", "engine_timeout")
    assert [message["content"] for message in one.history()] == ["Why?", *([first] if first else [])]
    assert stopped.wait(5)


def test_a_stop_reaches_a_silent_engine(start: Start) -> None:
    """Stopped while the engine is silent: the turn ends at once, the engine is cancelled, no word is added."""
    stopped = threading.Event()

    def answer(turn: EngineRequest) -> Iterator[Any]:
        yield TextChunk("So far")
        turn.cancel.add_callback(stopped.set)
        turn.cancel.wait(20)
        yield TextChunk(" and on")

    one = start(answer, silence=20.0)
    started = one.ask()
    reading = one.talk.stream_turn(one.session_hash, "", started)
    next(event for event in reading if event and event.type == "answer.delta")
    assert one.talk.stop_turn(one.session_hash, "")
    assert stopped.wait(5)
    one.quiet()
    assert one.history()[-1]["content"] == "So far"
    assert one.history()[-1]["metadata"] == {"stopped": True}
    assert one.observed[-1] == ("ended", "test", "stopped")


def test_an_erase_stops_the_answer_and_brings_nothing_back(start: Start, redis_url: str) -> None:
    """Erased in mid-answer, the engine is cancelled and no key of the session comes back."""
    stopped = threading.Event()

    def answer(turn: EngineRequest) -> Iterator[Any]:
        turn.cancel.add_callback(stopped.set)
        while not stopped.is_set():
            yield TextChunk("word ")
            turn.cancel.wait(0.02)

    one = start(answer)
    reading = one.talk.stream_turn(one.session_hash, "", one.ask())
    next(event for event in reading if event and event.type == "answer.delta")
    one.talk.delete_session(one.session_hash, "")
    assert stopped.wait(5)
    one.quiet()
    with redis.Redis.from_url(redis_url) as client:
        assert [key for key in client.keys("*") if one.session_hash.encode() in key] == []
    with pytest.raises(SessionNotFound):
        one.history()


class Untidy:
    """Pieces of an answer whose closing fails."""

    def __init__(self, last: Exception | None) -> None:
        self._last = last
        self._left = ["So ", "far"]
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._left:
            return TextChunk(self._left.pop(0))
        raise self._last or StopIteration

    def close(self) -> None:
        self.closed.set()
        raise OSError("the engine cannot tidy up")


@pytest.mark.parametrize(("last", "kind"), [(None, "answer.end"), (EngineFailed("It broke."), "answer.error")])
def test_an_engine_that_cannot_tidy_up_changes_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, last: Exception | None, kind: str
) -> None:
    """Pieces whose close() raises end as they would have ended, and the failure goes no further than their thread."""
    escaped: list[object] = []
    monkeypatch.setattr(threading, "excepthook", escaped.append)
    pieces = Untidy(last)
    one = start(lambda turn: iter(()))
    monkeypatch.setattr(one.engine, "answer", lambda turn: pieces)
    assert one.events(one.ask())[-1][0] == kind
    one.quiet()
    assert one.history()[-1]["content"] == "So far"
    assert pieces.closed.wait(5)
    for thread in threading.enumerate():
        if thread.daemon and "_run" in thread.name:
            thread.join(5)
    assert escaped == []
