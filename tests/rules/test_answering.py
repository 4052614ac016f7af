"""An engine speaks into a real log: its first word at once, later ones together, one end whatever it does."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import redis

from app import session
from app.answering import Answering, Ears, Means
from app.config import Config
from app.conversation import Conversations
from app.errors import EngineBusy, EngineFailed, EngineTimeout, NotFound
from app.ports import Begun, Citation, Cited, Degraded, Piece, Stage, Text, Turn
from app.store import open_log
from app.store.log import RedisLog, Rules
from tests.conftest import until

RULES = Rules(
    ttl=60_000, max_age=600_000, idle=30_000, ticket_ttl=5_000, most_messages=500, session_limit=0,
    session_window=60_000, engines_at_once=4, engines_a_minute=100,
)  # fmt: skip
PAGE = Citation("Page", "https://pages.example/a", "A passage.")
Answer = Callable[[Turn], Iterator[Any]]


class Engine:
    """Answers as a function says, and remembers the turns that it got."""

    name = "test"

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.turns: list[Turn] = []
        self.closed = threading.Event()

    def answer(self, turn: Turn) -> Iterator[Piece]:
        self.turns.append(turn)
        try:
            yield from self._answer(turn)
        finally:
            self.closed.set()


class Talk:
    """One conversation with one engine, on a real Redis."""

    def __init__(self, url: str, answer: Answer, silence: float = 5.0) -> None:
        self.log: RedisLog = open_log(Config(redis_url=url), RULES)  # type: ignore[arg-type]
        self.engine = Engine(answer)
        self.told: list[tuple[str, ...]] = []
        ears = Ears(
            lambda engine: self.told.append(("began", engine)),
            lambda engine, seconds: self.told.append(("first", engine)),
            lambda engine, outcome: self.told.append(("ended", engine, outcome)),
        )
        self.answering = Answering(self.log, self.engine, Means(lambda query, most: (PAGE,), silence, spawn, ears))
        self.talk = Conversations(self.log, self.answering, idle=30_000)
        session_id, _, _ = self.talk.open({"site": "a"})
        self.ref = session.ref_of(session_id) or ""

    def ask(self, question: str = "Why?", client_id: str | None = None) -> Begun:
        return self.talk.ask(self.ref, "", question, client_id)

    def events(self, begun: Begun) -> list[tuple[str, dict[str, Any]]]:
        """The whole story of a turn."""
        return [(event.kind, event.read()) for event in self.talk.turn(self.ref, "", begun) if event]

    def history(self) -> list[dict[str, Any]]:
        return [orjson.loads(one) for one in self.log.read(self.ref, "", "", 0, 100).messages]

    def quiet(self) -> None:
        """Wait until no turn runs here."""
        assert self.answering.drain(15)
        assert self.answering.running() == 0


def spawn(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def start(redis_url: str) -> Callable[..., Talk]:
    """Begins a conversation with an engine."""
    return lambda answer, **more: Talk(redis_url, answer, **more)


Start = Callable[..., Talk]


def deltas(events: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [data["text"] for kind, data in events if kind == "answer.delta" and data["text"]]


def test_an_answer_goes_into_the_history_with_its_citations(start: Start) -> None:
    """Words, stages, citations and the note of a fallback reach the log; the joined words are the message."""

    def answer(turn: Turn) -> Iterator[Any]:
        yield Stage("searching")
        turn.stop.wait(0.05)  # a stage whose words are at hand already is not told
        yield Degraded("The model is away.")
        yield Cited(turn.find("why", 3))
        yield Text("Because ")
        yield Text("it is. [1]")

    one = start(answer)
    events = one.events(one.ask("Why?"))
    one.quiet()
    assert events[0][0] == "answer.start"
    assert {data["stage"] for kind, data in events if kind == "answer.delta" and "stage" in data} == {"searching"}
    asked, answered = one.history()
    assert events[-1] == ("answer.end", {**events[-1][1], "message": answered})
    assert "".join(deltas(events)) == answered["content"] == "Because it is. [1]"
    assert (asked["role"], answered["role"]) == ("user", "assistant")
    page = {"title": PAGE.title, "url": PAGE.url, "snippet": PAGE.snippet}
    assert answered["metadata"] == {"citations": [page], "degraded": "The model is away."}
    assert events[-1][1]["citations"] == [page]
    assert one.told == [("began", "test"), ("first", "test"), ("ended", "test", "end")]


def test_an_engine_gets_this_conversation_and_nothing_else(start: Start) -> None:
    """The turn holds the question, what was said before, the site's metadata and a name that is no credential."""
    one = start(lambda turn: iter([Text(f"{len(turn.history)} before")]))
    other = start(lambda turn: iter([Text("elsewhere")]))
    for question in ("first", "second"):
        other.events(other.ask("canary"))
        one.events(one.ask(question))
        one.quiet()
    turn = one.engine.turns[1]
    assert (turn.question, dict(turn.metadata), turn.silence) == ("second", {"site": "a"}, 5.0)
    assert [(said.role, said.content) for said in turn.history] == [("user", "first"), ("assistant", "0 before")]
    assert turn.session_ref == one.ref[:10]
    other.quiet()


def test_the_first_word_is_told_at_once(start: Start) -> None:
    """The first word stands in the log while the engine still thinks about the second."""
    go_on = threading.Event()

    def answer(turn: Turn) -> Iterator[Any]:
        yield Text("First")
        go_on.wait(10)
        yield Text(" second")

    one = start(answer)
    reading = one.talk.turn(one.ref, "", one.ask())
    told = next(event for event in reading if event and event.kind == "answer.delta")
    assert told.read()["text"] == "First"
    go_on.set()
    assert [event.kind for event in reading if event][-1] == "answer.end"
    one.quiet()


def test_words_that_come_quickly_are_told_together(start: Start) -> None:
    """A thousand words at full speed are far fewer events, and not a letter is lost."""
    one = start(lambda turn: (Text(f"{n} ") for n in range(1_000)))
    told = deltas(one.events(one.ask()))
    one.quiet()
    assert "".join(told) == "".join(f"{n} " for n in range(1_000))
    assert len(told) < 100


def test_an_engine_that_never_pauses_is_heard_all_the_while(start: Start) -> None:
    """Words that come without a pause are told while they come, and a stop takes effect among them."""

    def answer(turn: Turn) -> Iterator[Any]:
        while not turn.stop.is_set():
            yield Text("")
            yield Text("x")
            time.sleep(0.0001)

    one = start(answer)
    begun = one.ask()
    reading = one.talk.turn(one.ref, "", begun)
    seen = 0
    for event in reading:
        seen += event is not None and event.kind == "answer.delta"
        if seen == 3:
            assert one.talk.stop(one.ref, "")
            break
    assert [event.kind for event in reading if event][-1] == "answer.end"
    one.quiet()
    assert one.history()[-1]["metadata"] == {"stopped": True}


def failing(error: Exception) -> Answer:
    def answer(turn: Turn) -> Iterator[Any]:
        yield Text("So far")
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
    assert one.told[-1] == ("ended", "test", code)


GARBAGE: dict[str, Answer] = {
    "no piece": lambda turn: iter(["bare text"]),
    "nothing": lambda turn: iter([None]),
    "text of no text": lambda turn: iter([Text(7)]),  # type: ignore[arg-type]
    "citations of nothing": lambda turn: iter([Text("a"), Cited([object()])]),  # type: ignore[list-item]
    "citations that are none": lambda turn: iter([Text("a"), Cited(7)]),  # type: ignore[arg-type]
    "a stage of nothing": lambda turn: iter([Stage(b"x")]),  # type: ignore[arg-type]
    "no iterator": lambda turn: 7,  # type: ignore[arg-type, return-value]
    "empty": lambda turn: iter([]),
    "only stages": lambda turn: iter([Stage("searching"), Text("")]),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_ends_the_turn_and_keeps_the_question(start: Start, what: str) -> None:
    """Pieces that are none and an empty answer are engine_failed; the question stays and can be asked again."""
    one = start(GARBAGE[what])
    events = one.events(one.ask(client_id="c1"))
    one.quiet()
    assert (events[-1][0], events[-1][1]["code"]) == ("answer.error", "engine_failed")
    assert one.history()[0]["content"] == "Why?"
    assert one.ask(client_id="c1").outcome == "begun"
    one.quiet()
    assert [message["role"] for message in one.history()].count("user") == 1


def test_half_a_letter_is_replaced_and_the_rest_kept(start: Start) -> None:
    """A lone surrogate, which UTF-8 cannot hold, does not cost the words around it."""
    one = start(lambda turn: iter([Text("a\ud83db"), Text("c")]))
    events = one.events(one.ask())
    one.quiet()
    assert "".join(deltas(events)) == one.history()[-1]["content"] == "a?bc"


def test_an_endless_answer_is_ended(start: Start) -> None:
    """Past a hundred thousand characters the turn fails, what fits is kept, and the engine is closed."""

    def answer(turn: Turn) -> Iterator[Any]:
        while True:
            yield Text("x" * 1_000)

    one = start(answer)
    events = one.events(one.ask())
    one.quiet()
    assert (events[-1][0], events[-1][1]["code"]) == ("answer.error", "engine_failed")
    assert 90_000 < len(one.history()[-1]["content"]) <= 102_000
    assert one.engine.closed.wait(5)


@pytest.mark.parametrize("first", ["", "So far"])
def test_silence_ends_the_turn(start: Start, first: str) -> None:
    """An engine silent for longer than allowed, before its first word or after, is engine_timeout and told to stop."""
    stopped = threading.Event()

    def answer(turn: Turn) -> Iterator[Any]:
        turn.stop.on_set(stopped.set)
        if first:
            yield Text(first)
        stopped.wait(20)
        yield Text("too late")

    one = start(answer, silence=0.5)
    events = one.events(one.ask())
    one.quiet()
    assert (events[-1][0], events[-1][1]["code"]) == ("answer.error", "engine_timeout")
    assert [message["content"] for message in one.history()] == ["Why?", *([first] if first else [])]
    assert stopped.wait(5)


def test_a_stop_reaches_a_silent_engine(start: Start) -> None:
    """Stopped while the engine is silent: the turn ends at once, the engine is told, no word is added."""
    stopped = threading.Event()

    def answer(turn: Turn) -> Iterator[Any]:
        yield Text("So far")
        turn.stop.on_set(stopped.set)
        turn.stop.wait(20)
        yield Text(" and on")

    one = start(answer, silence=20.0)
    begun = one.ask()
    reading = one.talk.turn(one.ref, "", begun)
    next(event for event in reading if event and event.kind == "answer.delta")
    assert one.talk.stop(one.ref, "")
    assert stopped.wait(5)
    one.quiet()
    assert one.history()[-1]["content"] == "So far"
    assert one.history()[-1]["metadata"] == {"stopped": True}
    assert one.told[-1] == ("ended", "test", "stopped")


def test_an_erase_stops_the_answer_and_brings_nothing_back(start: Start, redis_url: str) -> None:
    """Erased in mid-answer, the engine is told to stop and no key of the session comes back."""
    stopped = threading.Event()

    def answer(turn: Turn) -> Iterator[Any]:
        turn.stop.on_set(stopped.set)
        while not stopped.is_set():
            yield Text("word ")
            turn.stop.wait(0.02)

    one = start(answer)
    reading = one.talk.turn(one.ref, "", one.ask())
    next(event for event in reading if event and event.kind == "answer.delta")
    one.talk.erase(one.ref, "")
    assert stopped.wait(5)
    one.quiet()
    with redis.Redis.from_url(redis_url) as client:
        assert [key for key in client.keys("*") if one.ref.encode() in key] == []
    with pytest.raises(NotFound):
        one.history()


def test_an_answer_survives_storage_that_goes_away(start: Start, redis_url: str) -> None:
    """Redis hangs for two seconds in mid-answer: the turn waits, nothing is lost or told twice, the end is good."""
    with redis.Redis.from_url(redis_url) as client:
        pid = int(client.info("server")["process_id"])
    hung, back = threading.Event(), threading.Event()

    def answer(turn: Turn) -> Iterator[Any]:
        yield Text("before ")
        hung.wait(10)
        for n in range(20):
            yield Text(f"{n} ")
        back.wait(10)
        yield Text("after")

    one = start(answer, silence=20.0)
    begun = one.ask()
    reading = one.talk.turn(one.ref, "", begun)
    next(event for event in reading if event and event.kind == "answer.delta")
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
    assert "".join(deltas(one.events(begun))) == whole


def test_a_question_asked_again_is_answered_once(start: Start) -> None:
    """Twenty callers with one client id: one engine call, and one and the same answer for all of them."""
    one = start(lambda turn: iter([Text("once")]))
    found: list[dict[str, Any]] = []

    def call() -> None:
        found.append(one.talk.answer(one.ref, "", one.ask(client_id="c1")))

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


def test_a_joined_caller_is_told_how_the_turn_failed(start: Start) -> None:
    """Whoever waits for the whole answer of a failing turn gets that error; the next call tries again."""
    tries: list[int] = []

    def answer(turn: Turn) -> Iterator[Any]:
        tries.append(1)
        if len(tries) == 1:
            raise EngineTimeout
        yield Text("second try")

    one = start(answer)
    with pytest.raises(EngineTimeout):
        one.talk.answer(one.ref, "", one.ask(client_id="c1"))
    one.quiet()
    assert one.talk.answer(one.ref, "", one.ask(client_id="c1"))["message"]["content"] == "second try"
    one.quiet()
    assert [message["content"] for message in one.history()] == ["Why?", "second try"]


def test_an_answer_without_a_session_is_kept_nowhere(start: Start, redis_url: str) -> None:
    """Asked alone, the pieces come as they are, and Redis holds no word of it; an empty one fails."""
    one = start(lambda turn: iter([Stage("searching"), Text("alone"), Cited((PAGE,))] if turn.question == "Q" else []))
    assert [type(piece).__name__ for piece in one.talk.ask_alone("Q")] == ["Stage", "Text", "Cited"]
    with pytest.raises(EngineFailed):
        list(one.talk.ask_alone("empty"))
    assert one.history() == []
    with redis.Redis.from_url(redis_url) as client:
        assert not [key for key in client.keys("*") if b"alone" in key]


def test_the_budget_is_given_back_however_a_turn_ends(start: Start) -> None:
    """After good, failed and empty turns, and a caller who leaves an answer alone, every place is free again."""
    one = start(lambda turn: iter([Text("ok")]) if turn.question == "good" else iter([object()]))
    for question in ("good", "bad", "good", "bad", "good", "bad"):
        one.events(one.ask(question))
        one.quiet()
    leaving = one.talk.ask_alone("good")
    next(iter(leaving))
    leaving.close()
    assert [one.log.claim(f"turn_{n}") for n in range(4)] == [0, 0, 0, 0]
    assert one.log.claim("turn_4") > 0
    with pytest.raises(EngineBusy) as busy:
        one.ask()
    assert busy.value.retry_after
    assert len([message for message in one.history() if message["role"] == "user"]) == 6
