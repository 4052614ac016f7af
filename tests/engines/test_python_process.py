"""The process of a Python engine: small, replaced when it dies, and it slows down nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app.engines import python_worker
from app.engines.base import AnswerChunk, TextChunk
from app.engines.python import PythonEngine
from app.errors import EngineFailed, EngineTimeout
from tests.conftest import until
from tests.engines import sample_engines
from tests.engines.conftest import answer_text, ask, python_engine, scripted_engine, text_of


def test_it_runs_in_a_small_process_that_gives_way() -> None:
    """The engine has a process of its own, nicer than the worker, without Flask or Redis in it."""
    pid, nice, flask, redis = answer_text(python_engine("where"), "hi").split()
    assert int(pid) != os.getpid()
    assert int(nice) == min(19, os.nice(0) + python_worker.NICE_INCREMENT)
    assert (flask, redis) == ("False", "False")


def test_what_it_keeps_it_keeps_to_itself() -> None:
    """The process lives from turn to turn, and nothing of it is in the worker."""
    engine = python_engine("keeps")
    assert [answer_text(engine, "hi") for _ in range(3)] == ["1", "2", "3"]
    assert sample_engines.KEPT == []


def burns(engine: PythonEngine) -> bool:
    """Whether its process computes: more than 30 ms of a core in 300."""
    stat = Path(f"/proc/{engine._process.pid}/stat")

    def ticks() -> int:
        return int(stat.read_text().rsplit(")", 1)[1].split()[11])

    before = ticks()
    time.sleep(0.3)  # the time to be looked at
    return ticks() - before > 3


def test_a_computing_engine_is_ended_when_its_turn_is_over() -> None:
    """A loop that ignores its cancel token is broken off soon after, so that it does not compute for nobody."""
    engine = scripted_engine()
    with pytest.raises(EngineTimeout):
        answer_text(engine, "burn=60", idle_timeout=0.3)
    until(lambda: not burns(engine), python_worker.GRACE_SECONDS + 5, "it to stop computing")
    assert answer_text(engine, "hello") == "echo: hello"


def test_other_turns_go_on_beside_a_computing_one() -> None:
    """While one engine computes, another one's answers still come, many of them in the time it computes."""
    engine = scripted_engine()
    done = threading.Event()
    burner = threading.Thread(target=lambda: (answer_text(engine, "burn=1.5", idle_timeout=60), done.set()))
    burner.start()
    served = 0
    while not done.is_set():
        served += answer_text(engine, "hello", idle_timeout=60) == "echo: hello"
    burner.join()
    assert served > 20


def test_a_process_that_dies_fails_its_turns_and_is_replaced() -> None:
    """Turns in a process that dies fail with their words kept; the next one has a new process."""
    engine = python_engine("dies")
    beside = engine.answer(ask("wait", idle_timeout=30))
    assert next(beside) == TextChunk("waiting ")
    received: list[AnswerChunk] = []
    with pytest.raises(EngineFailed):
        received.extend(engine.answer(ask("die")))
    assert received == [TextChunk("last words")]
    with pytest.raises(EngineFailed):
        list(beside)
    assert answer_text(engine, "again") == "alive: again"


def test_a_frozen_process_is_replaced() -> None:
    """An engine that holds its interpreter fails alone with what is in its process, which is then replaced."""
    engine = python_engine("freezes")
    before = answer_text(engine, "hi")
    with pytest.raises(EngineTimeout):
        answer_text(engine, "freeze", idle_timeout=0.5)
    until(lambda: engine._process.closed, 20, "the frozen process to be killed")
    assert answer_text(engine, "hi") not in ("", before)


def test_threads_that_never_end_are_bounded(tmp_path: Path) -> None:
    """With too many threads that cannot be stopped there is a new process, and the old one ends with its last turn."""
    gate = tmp_path / "gate"
    gate.touch()
    engine = python_engine("deaf")
    first = engine._process
    beside = engine.answer(ask(f"speak {tmp_path / 'end'}", idle_timeout=30))
    assert next(beside) == TextChunk("speaking ")
    for _ in range(python_worker.MAX_STUCK_TURNS):
        with pytest.raises(EngineTimeout):
            answer_text(engine, str(gate), idle_timeout=0.05)
    until(lambda: int(answer_text(engine, str(tmp_path / "none"), idle_timeout=30)) != first.pid, 60, "a new process")
    (tmp_path / "end").touch()
    assert text_of(list(beside)) == "to the end"
    until(lambda: first.closed, 20, "the old process to end")


def test_a_killed_worker_leaves_no_process_behind() -> None:
    """However the worker ends, its engine process ends too, also in the middle of computing."""
    code = (
        "import os, threading; from app.engines.python import PythonEngine; from tests.engines.conftest import ask;"
        "e = PythonEngine('tests.engines.scripted_engine:make');"
        "threading.Thread(target=lambda: list(e.answer(ask('burn=60', idle_timeout=90)))).start();"
        "print(e._process.pid, flush=True); threading.Event().wait()"
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
    engine = scripted_engine()

    def counts() -> list[int]:
        return [
            len(os.listdir(f"/proc/{pid}/{kind}")) for pid in ("self", engine._process.pid) for kind in ("fd", "task")
        ]

    answer_text(engine, "hi")
    before = counts()
    for _ in range(1000):
        answer_text(engine, "hi")
    until(lambda: all(now <= then + 2 for now, then in zip(counts(), before, strict=True)), what="them to be gone")


PATCHED = """
from gevent import monkey
monkey.patch_all()
import sys, pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


NOT_UNDER_GEVENT = ("gevent", "fallback", "webhook", "endless", "frozen", "bounded", "shape", "event_loop")


@pytest.mark.timeout(300)
def test_all_of_it_holds_under_gevent() -> None:
    """The same tests pass where threads, sockets and locks are gevent's, as under the real server."""
    chosen = [
        "tests/engines/test_every_engine.py",
        "tests/engines/test_python.py",
        "tests/engines/test_python_process.py",
        "-k",
        f"not ({' or '.join(NOT_UNDER_GEVENT)})",
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
engine = PythonEngine("tests.engines.scripted_engine:make")
burner = threading.Thread(target=lambda: list(engine.answer(ask("burn=1", idle_timeout=60))))
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
