"""Somebody's own Python: its shapes, its thread, and what it may do to others."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from app.answering import Stop
from app.config import ConfigError
from app.engines import threads
from app.engines.python import PythonEngine
from app.errors import EngineBusy, EngineFailed, EngineTimeout
from app.ports import Cited, Turn
from tests.conftest import until
from tests.engines.conftest import SOURCES, ask, words

SEEN: dict[str, Any] = {}
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


def by_name(question, history, metadata, session_ref):
    SEEN["by_name"] = (question, history, metadata, session_ref)
    return "named"


def typed(text: str) -> str:
    return f"typed: {text}"


def other_name(asked, /, *rest, option=3, **more):
    return f"turn: {asked.question} {option}"


def keyword(*, query):
    return f"keyword: {query}"


def made():
    class Maker:
        def answer(self, turn: Turn) -> str:
            return f"made: {turn.question}"

    return Maker()


class Caller:
    def __call__(self, turn: Turn) -> str:
        return f"called: {turn.question}"


class Async:
    async def answer(self, turn: Turn) -> AsyncIterator[str]:
        yield "async "
        yield turn.question


async def returns_mapping(turn: Turn) -> dict[str, Any]:
    return {"answer": turn.question, "citations": [{"title": "t", "url": "https://x.test/a", "snippet": "s"}]}


def yields_mappings(turn: Turn) -> Iterator[dict[str, Any]]:
    yield {"text": "one "}
    yield {"text": "two", "citations": [{"title": "t", "url": "https://x.test/a", "snippet": "s"}]}


def where(turn: Turn) -> Iterator[str]:
    SEEN["thread"] = threading.get_native_id()
    SEEN["variable"] = VARIABLE.get()
    VARIABLE.set(turn.question)
    yield "here"


def closes(turn: Turn) -> Iterator[str]:
    try:
        while True:
            yield "more "
    finally:
        SEEN["closed"] = turn.question


def number(turn: Turn) -> int:
    return 7


def bad_piece(turn: Turn) -> Iterator[object]:
    yield "good "
    yield 7


def exits(turn: Turn) -> str:
    sys.exit("scripted")


def breaks_find(turn: Turn) -> str:
    try:
        turn.find("x", 1)
    except LookupError as error:
        return f"found out: {error}"
    return "no"


def waits(turn: Turn) -> str:
    turn.stop.wait(30)
    SEEN["told"] = turn.stop.is_set()
    return ""


def calls_back(turn: Turn) -> str:
    called = threading.Event()
    turn.stop.on_set(called.set)
    SEEN["called"] = called.wait(10)
    return ""


instance = Caller()
SHAPES = {
    "by_name": "named",
    "typed": "typed: hi",
    "other_name": "turn: hi 3",
    "keyword": "keyword: hi",
    "made": "made: hi",
    "instance": "called: hi",
    "Async": "async hi",
    "returns_mapping": "hi",
    "yields_mappings": "one two",
}


def here(name: str) -> PythonEngine:
    return PythonEngine(f"{__name__}:{name}")


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_engine_is_understood(shape: str) -> None:
    """Functions by the names of their parameters, makers, instances, classes, sync and async, strings and mappings."""
    pieces = list(here(shape).answer(ask("hi", "before")))
    assert words(pieces) == SHAPES[shape]
    if "mapping" in shape:
        assert isinstance(pieces[-1], Cited)
        assert pieces[-1].citations[0].url == "https://x.test/a"


@pytest.mark.parametrize("shape", ["plain", "mapping", "coroutine", "agenerator", "Bot"])
def test_the_scripted_shapes_answer(shape: str) -> None:
    """The shapes in scripted.py work twice in a row, and a class is new each time."""
    engine = PythonEngine(f"tests.engines.scripted:{shape}")
    first, second = (words(list(engine.answer(ask("hi")))) for _ in range(2))
    assert first == second
    assert "hi" in first


def test_a_function_gets_what_it_names() -> None:
    """Question, history as role and content, metadata and the session's ref, by the names of the parameters."""
    list(here("by_name").answer(ask("hi", "before")))
    assert SEEN["by_name"] == ("hi", [{"role": "user", "content": "before"}], {"site": "test"}, "0123456789")


@pytest.mark.parametrize(
    "target",
    ["no.such.module:x", "tests.engines.scripted:nothing", "tests.engines.scripted:HOUR", "json:nothing.at.all"],
)
def test_a_wrong_name_stops_the_start_with_one_line(target: str) -> None:
    """What cannot be imported or called is a wrong value of BATON_ENGINE."""
    with pytest.raises(ConfigError, match=r"^BATON_ENGINE: must be [^\n]+$"):
        PythonEngine(target)


@pytest.mark.parametrize("name", ["number", "bad_piece", "exits"])
def test_what_is_no_answer_fails_the_turn_alone(name: str) -> None:
    """A wrong type, a wrong piece and an exit fail the turn; the next turn is none the wiser."""
    with pytest.raises(EngineFailed):
        list(here(name).answer(ask("hi")))
    assert words(list(here("typed").answer(ask("hi")))) == "typed: hi"


def test_it_runs_in_a_thread_and_context_of_its_own() -> None:
    """The engine runs in another thread than its reader, and sees no context variable of it or of an earlier turn."""
    VARIABLE.set("mine")
    for question in ("one", "two"):
        list(here("where").answer(ask(question)))
        assert SEEN["thread"] != threading.get_native_id()
        assert SEEN["variable"] == "unset"
    assert VARIABLE.get() == "mine"


def test_find_works_in_the_thread() -> None:
    """turn.find answers inside the engine, and its failure is the engine's to catch."""
    pieces = list(PythonEngine("tests.engines.scripted:make").answer(ask("cite hours")))
    assert pieces[-1] == Cited(SOURCES[:2])  # the third is of the first one's page
    from dataclasses import replace

    def broken(query: str, most: int) -> tuple[()]:
        raise LookupError(query)

    assert words(list(here("breaks_find").answer(replace(ask("hi"), find=broken)))) == "found out: x"


def test_an_endless_engine_is_held_back() -> None:
    """An engine that is faster than its reader waits: only a bounded number of pieces lies between them."""
    made = []

    def work(turn: Turn) -> Iterator[str]:
        for count in range(10_000):
            made.append(count)
            yield "x"

    pieces = threads.Thread(work, ask("hi")).pieces(patience())
    assert next(pieces) == "x"
    until(lambda: len(made) >= threads.MOST_WAITING, what="the engine to run ahead")
    assert len(made) <= threads.MOST_WAITING + 2
    assert next(pieces) == "x"
    pieces.close()


def patience(seconds: float = 5) -> Any:
    from app.engines.checked import Patience

    return Patience(seconds)


@pytest.mark.parametrize(("name", "key"), [("waits", "told"), ("calls_back", "called")])
def test_a_waiting_engine_hears_the_stop(name: str, key: str) -> None:
    """stop.wait and stop.on_set inside the engine take effect at once."""
    SEEN.pop(key, None)
    stop = Stop()
    runner = threading.Thread(target=lambda: list(here(name).answer(ask("hi", stop=stop, silence=30))))
    runner.start()
    time.sleep(0.05)  # any moment will do
    stop.set()
    until(lambda: SEEN.get(key), 2, "the engine to hear of it")
    runner.join(2)
    assert not runner.is_alive()


def test_a_generator_is_closed_when_its_turn_ends() -> None:
    """The engine's own clean-up runs when nobody listens any more."""
    SEEN.pop("closed", None)
    pieces = here("closes").answer(ask("closing"))
    next(pieces)
    pieces.close()
    until(lambda: SEEN.get("closed") == "closing", what="the generator to be closed")


def strays_gone() -> bool:
    return threads.Thread.strays() == 0


def test_a_computing_engine_is_ended_when_its_turn_is_over() -> None:
    """A loop that heeds nothing is broken off after the grace, so that it computes for nobody no longer."""
    with pytest.raises(EngineTimeout):
        list(PythonEngine("tests.engines.scripted:make").answer(ask("burn=60", silence=0.2)))
    until(strays_gone, threads.GRACE_SECONDS + 3, "the thread to end")


def test_other_turns_go_on_beside_a_computing_one() -> None:
    """While one engine computes, another one's answers still come, many of them in the time it computes."""
    engine = PythonEngine("tests.engines.scripted:make")
    done = threading.Event()
    burner = threading.Thread(target=lambda: (list(engine.answer(ask("burn=1.5"))), done.set()))
    burner.start()
    served = 0
    while not done.is_set():
        served += words(list(engine.answer(ask("hello")))) == "echo: hello"
    burner.join()
    assert served > 20


def test_threads_that_never_end_are_bounded() -> None:
    """Past so many threads that outlived their turns the engine is busy, and well again when they end."""
    over: list[bool] = []

    def deaf(turn: Turn) -> Iterator[str]:
        while not over:
            try:
                time.sleep(0.02)
            except SystemExit:
                continue  # as deaf as can be
        yield "x"

    until(strays_gone, 10, "earlier threads to end")
    for _ in range(threads.MOST_STRAYS):
        with pytest.raises(EngineTimeout):
            list(threads.Thread(deaf, ask("hi")).pieces(patience(0.05)))
    with pytest.raises(EngineBusy):
        threads.Thread(deaf, ask("hi"))
    over.append(True)
    until(strays_gone, 10, "the deaf threads to end")
    assert list(threads.Thread(deaf, ask("hi")).pieces(patience())) == ["x"]


def test_a_thousand_turns_leave_nothing_behind() -> None:
    """No thread, no open file and no entry of threading's own grows with the turns."""
    import os

    engine = PythonEngine("tests.engines.scripted:make")

    def counts() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(threading._active)  # type: ignore[attr-defined]

    list(engine.answer(ask("hi")))
    before = counts()
    for _ in range(1000):
        list(engine.answer(ask("hi")))
    until(lambda: all(now <= then + 2 for now, then in zip(counts(), before, strict=True)), what="them to be gone")


PATCHED = """
from gevent import monkey
monkey.patch_all()
import sys, pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def test_all_of_it_holds_under_gevent() -> None:
    """The same tests pass where threads, sockets and locks are gevent's, as under the real server."""
    chosen = [
        "tests/engines/test_every_engine.py",
        "tests/engines/test_python.py",
        "-k",
        "not gevent and not fallback and not webhook and not endless",
    ]
    done = subprocess.run([sys.executable, "-c", PATCHED, *chosen], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


STALL = """
from gevent import monkey
monkey.patch_all()
import threading, time
from app.engines.python import PythonEngine
from tests.engines.conftest import ask
engine = PythonEngine("tests.engines.scripted:make")
burner = threading.Thread(target=lambda: list(engine.answer(ask("burn=1"))))
burner.start()
ticks = 0
while burner.is_alive():
    time.sleep(0.005)
    ticks += 1
print(ticks)
"""


def test_the_event_loop_runs_on_beside_a_computing_engine() -> None:
    """Under gevent, an engine that computes for a second leaves the loop its turns: it ticks on all the while."""
    done = subprocess.run([sys.executable, "-c", STALL], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) > 30
