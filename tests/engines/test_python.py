"""Somebody's own Python: its shapes, what it is given, and what comes of what it says."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.config import ConfigError
from app.engines import worker_main
from app.engines.base import CancelToken, CitationsChunk, TextChunk
from app.engines.python import PythonEngine
from app.errors import EngineBusy, EngineFailed
from tests.conftest import until
from tests.engines.conftest import SOURCES, ask, here, said, scripted, words

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
    pieces = list(here(shape).answer(ask("hi")))
    assert words(pieces) == SHAPES[shape]
    if "mapping" in shape:
        assert isinstance(pieces[-1], CitationsChunk)
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


def test_find_works_in_the_process() -> None:
    """turn.search answers inside the engine, and its failure is the engine's to catch."""
    pieces = list(scripted().answer(ask("cite hours")))
    assert pieces[-1] == CitationsChunk(SOURCES[:2])  # the third is of the first one's page

    def broken(query: str, most: int) -> tuple[()]:
        raise LookupError(query)

    told = words(list(here("breaks_find").answer(replace(ask("hi"), search=broken))))
    assert told == "found out: The search failed (LookupError)."


def test_strange_text_comes_through_as_it_is() -> None:
    """Emoji, control characters, halves of pairs and long texts go to the engine and come back."""
    text = "say:\U0001f600 \x00\x1b \u202e شكرا " + "long " * 10_000
    assert said(scripted(), f"chunk=7 {text}") == text.removeprefix("say:")
    assert said(scripted(), "echo \ud83d") == "echo: echo \ufffd | history: 0"


def test_an_endless_engine_is_held_back(tmp_path: Path) -> None:
    """An engine that is faster than its reader waits: only a bounded number of pieces lies between them."""
    pieces = here("to_file").answer(ask(str(tmp_path / "count")))
    assert next(pieces) == TextChunk("more ")
    pieces.close()
    until((tmp_path / "count").exists, what="the generator to be closed")
    until(lambda: (tmp_path / "count").read_text(), what="its count")
    assert int((tmp_path / "count").read_text()) <= worker_main.MOST_WAITING + 2


@pytest.mark.parametrize("name", ["waits", "calls_back"])
def test_a_waiting_engine_hears_the_stop(name: str, tmp_path: Path) -> None:
    """stop.wait and stop.on_set inside the engine take effect at once."""
    stop, engine, file = CancelToken(), here(name), tmp_path / "heard"
    runner = threading.Thread(target=lambda: list(engine.answer(ask(str(file), stop=stop, silence=30))))
    runner.start()
    time.sleep(0.05)  # any moment will do
    stop.set()
    until(lambda: file.exists() and file.read_text() == "True", 3, "the engine to hear of it")
    runner.join(2)
    assert not runner.is_alive()


def test_what_it_logs_is_logged_by_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """An exception is told in the worker's log by its kind and place, without its words."""
    with pytest.raises(EngineFailed):
        said(scripted(), "fail my-private-words")
    until(lambda: "raised RuntimeError" in caplog.text, what="the line")
    assert "scripted.py:" in caplog.text
    assert "my-private-words" not in caplog.text
    assert "scripted failure" not in caplog.text
