"""A site's own Python engine: its forms, what it is given, and what becomes of its answers."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.config import ConfigError
from app.engines.base import CancelToken, CitationsChunk, TextChunk
from app.engines.python import PythonEngine
from app.errors import EngineBusy, EngineFailed
from tests.conftest import until
from tests.engines.conftest import SOURCES, answer_text, ask, python_engine, scripted_engine, text_of

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


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_engine_is_understood(shape: str) -> None:
    """Functions by the names of their parameters, makers, instances, classes, sync and async, strings and mappings."""
    chunks = list(python_engine(shape).answer(ask("hi")))
    assert text_of(chunks) == SHAPES[shape]
    if "mapping" in shape:
        assert isinstance(chunks[-1], CitationsChunk)
        assert chunks[-1].citations[0].url == "https://x.test/a"


@pytest.mark.parametrize("shape", ["plain", "mapping", "coroutine", "agenerator", "Bot"])
def test_the_scripted_shapes_answer(shape: str) -> None:
    """The shapes in scripted_engine.py work twice in a row, and a class is new each time."""
    engine = scripted_engine(shape)
    first, second = (answer_text(engine, "hi") for _ in range(2))
    assert first == second
    assert "hi" in first


def test_a_function_gets_what_it_names() -> None:
    """Question, history as role and content, metadata and session_ref, by the names of the parameters."""
    received = text_of(list(python_engine("by_name").answer(ask("hi", "before"))))
    assert received == repr(("hi", [{"role": "user", "content": "before"}], {"site": "test"}, "0123456789"))


@pytest.mark.parametrize("name", ["new_names", "old_names", "old_attributes"])
def test_the_names_of_version_0_1_still_work(name: str) -> None:
    """An engine written for version 0.1, with find and stop, answers as one with search and cancel."""
    assert answer_text(python_engine(name), "hi") == "hi 2 False"


@pytest.mark.parametrize(
    "target",
    [
        "no.such.module:x",
        "tests.engines.scripted_engine:nothing",
        "tests.engines.scripted_engine:HOUR",
        "json:nothing.at.all",
    ],
)
def test_a_wrong_name_stops_the_start_with_one_line(target: str) -> None:
    """What cannot be imported or called is a wrong value of BATON_ENGINE."""
    with pytest.raises(ConfigError, match=r"^BATON_ENGINE: must be [^\n]+$"):
        PythonEngine(target)


@pytest.mark.parametrize("name", ["number", "bad_piece", "exits"])
def test_what_is_no_answer_fails_the_turn_only(name: str) -> None:
    """A wrong type, a wrong chunk and an exit fail the turn; the process goes on."""
    engine = python_engine(name)
    for _ in range(2):
        with pytest.raises(EngineFailed):
            answer_text(engine, "hi")
    assert not engine._process.closed


def test_an_engine_may_raise_our_errors() -> None:
    """An engine that raises EngineBusy fails the turn as busy, with its own message."""
    with pytest.raises(EngineBusy, match="Come back later") as busy:
        answer_text(python_engine("fails_politely"), "hi")
    assert busy.value.retry_after == 7


def test_search_works_in_the_process() -> None:
    """request.search answers inside the engine, and its failure is the engine's to catch."""
    chunks = list(scripted_engine().answer(ask("cite hours")))
    assert chunks[-1] == CitationsChunk(SOURCES[:2])  # the third is of the first one's page

    def broken(query: str, most: int) -> tuple[()]:
        raise LookupError(query)

    received = text_of(list(python_engine("breaks_search").answer(replace(ask("hi"), search=broken))))
    assert received == "found out: The search failed (LookupError)."


def test_strange_text_comes_through_as_it_is() -> None:
    """Emoji, control characters, halves of pairs and long texts go to the engine and come back."""
    text = "say:\U0001f600 \x00\x1b \u202e شكرا " + "long " * 10_000
    assert answer_text(scripted_engine(), f"chunk=7 {text}") == text.removeprefix("say:")
    assert answer_text(scripted_engine(), "echo \ud83d") == "echo: echo \ufffd | history: 0"


def test_an_endless_engine_is_held_back(tmp_path: Path) -> None:
    """An engine that is faster than its reader waits: only a bounded number of chunks is buffered."""
    chunks = python_engine("to_file").answer(ask(str(tmp_path / "count")))
    assert next(chunks) == TextChunk("more ")
    chunks.close()
    until((tmp_path / "count").exists, what="the generator to be closed")
    until(lambda: (tmp_path / "count").read_text(), what="its count")
    assert int((tmp_path / "count").read_text()) < 2_000, "more than a socket buffer holds"


@pytest.mark.parametrize("name", ["waits", "calls_back"])
def test_a_waiting_engine_is_cancelled(name: str, tmp_path: Path) -> None:
    """cancel.wait and cancel.add_callback inside the engine take effect at once."""
    cancel, engine, file = CancelToken(), python_engine(name), tmp_path / "cancelled"
    runner = threading.Thread(target=lambda: list(engine.answer(ask(str(file), cancel=cancel, idle_timeout=30))))
    runner.start()
    time.sleep(0.05)  # any moment will do
    cancel.set()
    until(lambda: file.exists() and file.read_text() == "True", 3, "the engine to be cancelled")
    runner.join(2)
    assert not runner.is_alive()


def test_what_it_logs_is_in_the_log_of_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """An exception is in the worker's log with its type and location, without its message."""
    with pytest.raises(EngineFailed):
        answer_text(scripted_engine(), "fail my-private-words")
    until(lambda: "raised RuntimeError" in caplog.text, what="the line")
    (record,) = [record for record in caplog.records if "raised RuntimeError" in record.message]
    assert (record.levelname, record.name) == ("WARNING", "app.engines.python_worker")
    assert re.fullmatch(r"the Python engine raised RuntimeError \(\S*scripted_engine\.py:\d+\)", record.message)
    assert "my-private-words" not in caplog.text
    assert "scripted failure" not in caplog.text
