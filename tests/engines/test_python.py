"""Somebody's own Python: its shapes, its process, and what it may do to others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.answering import Stop
from app.config import ConfigError
from app.engines import child, python
from app.engines.python import PythonEngine
from app.errors import EngineBusy, EngineFailed, EngineTimeout
from app.ports import Cited, Piece, Text
from tests.conftest import until
from tests.engines import shapes
from tests.engines.conftest import SOURCES, ask, words

SHAPES = {
    "by_name": "('hi', [], {'site': 'test'}, '0123456789')",
    "typed": "typed: hi",
    "other_name": "turn: hi 3",
    "keyword": "keyword: hi",
    "made": "made: hi",
    "instance": "called: hi",
    "Async": "async hi",
    "returns_mapping": "hi",
    "yields_mappings": "one two",
}
OPEN: list[PythonEngine] = []


def here(name: str, module: str = "tests.engines.shapes") -> PythonEngine:
    OPEN.append(PythonEngine(f"{module}:{name}"))
    return OPEN[-1]


def scripted(name: str = "make") -> PythonEngine:
    return here(name, "tests.engines.scripted")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No engine process outlives its test."""
    yield
    while OPEN:
        OPEN.pop().close()


def said(engine: PythonEngine, question: str, **more: Any) -> str:
    return words(list(engine.answer(ask(question, **more))))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_engine_is_understood(shape: str) -> None:
    """Functions by the names of their parameters, makers, instances, classes, sync and async, strings and mappings."""
    pieces = list(here(shape).answer(ask("hi")))
    assert words(pieces) == SHAPES[shape]
    if "mapping" in shape:
        assert isinstance(pieces[-1], Cited)
        assert pieces[-1].citations[0].url == "https://x.test/a"


@pytest.mark.parametrize("shape", ["plain", "mapping", "coroutine", "agenerator", "Bot"])
def test_the_scripted_shapes_answer(shape: str) -> None:
    """The shapes in scripted.py work twice in a row, and a class is new each time."""
    engine = scripted(shape)
    first, second = (said(engine, "hi") for _ in range(2))
    assert first == second
    assert "hi" in first


def test_a_function_gets_what_it_names() -> None:
    """Question, history as role and content, metadata and the session's ref, by the names of the parameters."""
    told = words(list(here("by_name").answer(ask("hi", "before"))))
    assert told == repr(("hi", [{"role": "user", "content": "before"}], {"site": "test"}, "0123456789"))


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
    """A wrong type, a wrong piece and an exit fail the turn; the process answers on."""
    engine = here(name)
    for _ in range(2):
        with pytest.raises(EngineFailed):
            said(engine, "hi")
    assert not engine._child.dead


def test_a_failure_of_its_own_choice_is_passed_on() -> None:
    """An engine that raises EngineBusy is told as busy, in its own words."""
    with pytest.raises(EngineBusy, match="Come back later") as busy:
        said(here("fails_politely"), "hi")
    assert busy.value.retry_after == 7


def test_it_runs_in_a_small_process_that_gives_way() -> None:
    """The engine has a process of its own, nicer than the worker, without Flask or Redis in it."""
    pid, nice, flask, redis = said(here("where"), "hi").split()
    assert int(pid) != os.getpid()
    assert int(nice) == min(19, os.nice(0) + child.NICE)
    assert (flask, redis) == ("False", "False")


def test_what_it_keeps_it_keeps_to_itself() -> None:
    """The process is kept from turn to turn, and nothing of it is in the worker."""
    engine = here("keeps")
    assert [said(engine, "hi") for _ in range(3)] == ["1", "2", "3"]
    assert shapes.KEPT == []


def test_find_works_in_the_process() -> None:
    """turn.find answers inside the engine, and its failure is the engine's to catch."""
    pieces = list(scripted().answer(ask("cite hours")))
    assert pieces[-1] == Cited(SOURCES[:2])  # the third is of the first one's page

    def broken(query: str, most: int) -> tuple[()]:
        raise LookupError(query)

    told = words(list(here("breaks_find").answer(replace(ask("hi"), find=broken))))
    assert told == "found out: The search failed (LookupError)."


def test_strange_text_comes_through_as_it_is() -> None:
    """Emoji, control characters, halves of pairs and long texts go to the engine and come back."""
    text = "say:\U0001f600 \x00\x1b \u202e شكرا " + "long " * 10_000
    assert said(scripted(), f"chunk=7 {text}") == text.removeprefix("say:")
    assert said(scripted(), "echo \ud83d") == "echo: echo \ufffd | history: 0"


def test_an_endless_engine_is_held_back(tmp_path: Path) -> None:
    """An engine that is faster than its reader waits: only a bounded number of pieces lies between them."""
    pieces = here("to_file").answer(ask(str(tmp_path / "count")))
    assert next(pieces) == Text("more ")
    pieces.close()
    until((tmp_path / "count").exists, what="the generator to be closed")
    until(lambda: (tmp_path / "count").read_text(), what="its count")
    assert int((tmp_path / "count").read_text()) <= child.MOST_WAITING + 2


@pytest.mark.parametrize("name", ["waits", "calls_back"])
def test_a_waiting_engine_hears_the_stop(name: str, tmp_path: Path) -> None:
    """stop.wait and stop.on_set inside the engine take effect at once."""
    stop, engine, file = Stop(), here(name), tmp_path / "heard"
    runner = threading.Thread(target=lambda: list(engine.answer(ask(str(file), stop=stop, silence=30))))
    runner.start()
    time.sleep(0.05)  # any moment will do
    stop.set()
    until(lambda: file.exists() and file.read_text() == "True", 3, "the engine to hear of it")
    runner.join(2)
    assert not runner.is_alive()


def burns(engine: PythonEngine) -> bool:
    """Whether its process computes: more than 30 ms of a core in 300."""
    stat = Path(f"/proc/{engine._child.pid}/stat")

    def ticks() -> int:
        return int(stat.read_text().rsplit(")", 1)[1].split()[11])

    before = ticks()
    time.sleep(0.3)  # the time to be looked at
    return ticks() - before > 3


def test_a_computing_engine_is_ended_when_its_turn_is_over() -> None:
    """A loop that heeds nothing is broken off after the grace, so that it computes for nobody no longer."""
    engine = scripted()
    with pytest.raises(EngineTimeout):
        said(engine, "burn=60", silence=0.3)
    until(lambda: not burns(engine), child.GRACE_SECONDS + 5, "it to stop computing")
    assert said(engine, "hello") == "echo: hello"


def test_other_turns_go_on_beside_a_computing_one() -> None:
    """While one engine computes, another one's answers still come, many of them in the time it computes."""
    engine = scripted()
    done = threading.Event()
    burner = threading.Thread(target=lambda: (said(engine, "burn=1.5", silence=60), done.set()))
    burner.start()
    served = 0
    while not done.is_set():
        served += said(engine, "hello", silence=60) == "echo: hello"
    burner.join()
    assert served > 20


def test_a_process_that_dies_fails_its_turns_and_is_replaced() -> None:
    """Turns in a process that dies fail with their words kept; the next one has a new process."""
    engine = here("dies")
    beside = engine.answer(ask("wait", silence=30))
    assert next(beside) == Text("waiting ")
    told: list[Piece] = []
    with pytest.raises(EngineFailed):
        told.extend(engine.answer(ask("die")))
    assert told == [Text("last words")]
    with pytest.raises(EngineFailed):
        list(beside)
    assert said(engine, "again") == "alive: again"


def test_a_frozen_process_is_replaced() -> None:
    """An engine that holds its interpreter fails alone with what is in its process, which is then replaced."""
    engine = here("freezes")
    before = said(engine, "hi")
    with pytest.raises(EngineTimeout):
        said(engine, "freeze", silence=0.5)
    until(lambda: engine._child.dead, 20, "the frozen process to be ended")
    assert said(engine, "hi") not in ("", before)


def test_threads_that_never_end_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past so many threads that outlived their turns there is a new process, and the old one ends."""
    monkeypatch.setattr(python, "MOST_STRAYS", 2)
    gate = tmp_path / "gate"
    gate.touch()
    engine = here("deaf")
    first = engine._child
    for _ in range(2):
        with pytest.raises(EngineTimeout):
            said(engine, str(gate), silence=0.05)
    until(lambda: len(first.strays) == 2, child.GRACE_SECONDS * child.TRIES + 5, "them to count as strays")
    assert int(said(engine, str(tmp_path / "none"))) != first.pid
    until(lambda: first.dead, 5, "the old process to end")


def test_a_killed_worker_leaves_no_process_behind() -> None:
    """However the worker ends, its engine process ends too, also in the middle of computing."""
    code = (
        "import os, threading; from app.engines.python import PythonEngine; from tests.engines.conftest import ask;"
        "e = PythonEngine('tests.engines.scripted:make');"
        "threading.Thread(target=lambda: list(e.answer(ask('burn=60', silence=90)))).start();"
        "print(e._child.pid, flush=True); threading.Event().wait()"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    worker.stdout.close()
    until(lambda: not Path(f"/proc/{pid}").exists() or "Z (" in Path(f"/proc/{pid}/status").read_text(), 5, "its end")


def test_what_it_logs_is_logged_by_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """An exception is told in the worker's log by its kind and place, without its words."""
    with pytest.raises(EngineFailed):
        said(scripted(), "fail my-private-words")
    until(lambda: "raised RuntimeError" in caplog.text, what="the line")
    assert "scripted.py:" in caplog.text
    assert "my-private-words" not in caplog.text
    assert "scripted failure" not in caplog.text


def test_a_thousand_turns_leave_nothing_behind() -> None:
    """No thread and no open file grows with the turns, here or in the process."""
    engine = scripted()

    def counts() -> list[int]:
        return [
            len(os.listdir(f"/proc/{pid}/{kind}")) for pid in ("self", engine._child.pid) for kind in ("fd", "task")
        ]

    said(engine, "hi")
    before = counts()
    for _ in range(1000):
        said(engine, "hi")
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
        "not gevent and not fallback and not webhook and not endless and not frozen and not bounded and not shape",
    ]
    done = subprocess.run([sys.executable, "-c", PATCHED, *chosen], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


STALL = """
from gevent import monkey
monkey.patch_all()
import threading, time
from app.engines.python import PythonEngine
from tests.engines.conftest import ask
engine = PythonEngine("tests.engines.scripted:make")
burner = threading.Thread(target=lambda: list(engine.answer(ask("burn=1", silence=60))))
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
