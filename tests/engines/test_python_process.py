"""The process of somebody's own Python: small, replaced when it dies, and no burden on others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app.engines import python, worker_main
from app.engines.base import AnswerChunk, TextChunk
from app.engines.python import PythonEngine
from app.errors import EngineFailed, EngineTimeout
from tests.conftest import until
from tests.engines import shapes
from tests.engines.conftest import ask, here, said, scripted


def test_it_runs_in_a_small_process_that_gives_way() -> None:
    """The engine has a process of its own, nicer than the worker, without Flask or Redis in it."""
    pid, nice, flask, redis = said(here("where"), "hi").split()
    assert int(pid) != os.getpid()
    assert int(nice) == min(19, os.nice(0) + worker_main.NICE)
    assert (flask, redis) == ("False", "False")


def test_what_it_keeps_it_keeps_to_itself() -> None:
    """The process is kept from turn to turn, and nothing of it is in the worker."""
    engine = here("keeps")
    assert [said(engine, "hi") for _ in range(3)] == ["1", "2", "3"]
    assert shapes.KEPT == []


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
    until(lambda: not burns(engine), worker_main.GRACE_SECONDS + 5, "it to stop computing")
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
    assert next(beside) == TextChunk("waiting ")
    told: list[AnswerChunk] = []
    with pytest.raises(EngineFailed):
        told.extend(engine.answer(ask("die")))
    assert told == [TextChunk("last words")]
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
    until(lambda: len(first.strays) == 2, worker_main.GRACE_SECONDS * worker_main.TRIES + 5, "them to count as strays")
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
        "tests/engines/test_python_process.py",
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
