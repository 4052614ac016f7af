"""What every engine must do, whichever it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from app import engines
from app.config import Settings
from app.engines.base import CancelToken, Engine, FallbackNotice, TextChunk
from app.errors import EngineFailed, EngineTimeout
from tests.conftest import until
from tests.engines.conftest import ask, text_of


def degraded(engine: Engine, question: str, **more: float) -> bool:
    """Whether the answer came from a fallback, which stands in for a failure."""
    return any(isinstance(chunk, FallbackNotice) for chunk in engine.answer(ask(question, **more)))


def test_fifty_interleaved_turns_see_only_their_own_words(engine: Engine) -> None:
    """Fifty turns taken a chunk at a time in turn say exactly what each would have said alone."""
    turns = [ask(f"echo canary{number}", *["before"] * (number % 3 * 2)) for number in range(50)]
    running = [engine.answer(turn) for turn in turns]
    said = [""] * 50
    open_turns = set(range(50))
    while open_turns:
        for number in sorted(open_turns):
            chunk = next(running[number], None)
            if chunk is None:
                open_turns.discard(number)
            elif isinstance(chunk, TextChunk):
                said[number] += chunk.text
    assert said == [f"echo: echo canary{number} | history: {number % 3 * 2}" for number in range(50)]


def test_fifty_turns_at_once_see_only_their_own_words(engine: Engine) -> None:
    """Fifty turns in fifty threads say exactly what each would have said alone."""
    said = [""] * 50

    def run(number: int) -> None:
        said[number] = text_of(list(engine.answer(ask(f"echo canary{number}"))))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert said == [f"echo: echo canary{number} | history: 0" for number in range(50)]


@pytest.mark.parametrize("question", ["hang", "stall-after=3", "tokens=100000 delay=0.01"])
def test_a_stop_ends_the_turn_at_once(engine: Engine, question: str) -> None:
    """A turn that is stopped ends within a second without an error, silent or not, and keeps its words so far."""
    cancel = CancelToken()
    said: list[str] = []
    done = threading.Event()

    def run() -> None:
        for chunk in engine.answer(ask(question, cancel=cancel, idle_timeout=30)):
            said.extend([chunk.text] if isinstance(chunk, TextChunk) else [])
        done.set()

    threading.Thread(target=run, daemon=True).start()
    if question != "hang":
        until(lambda: "w2" in "".join(said), what="the third word")
    time.sleep(0.1)  # any moment will do: it is silent
    began = time.monotonic()
    cancel.set()
    assert done.wait(5)
    assert time.monotonic() - began < 1.0
    assert "".join(said).startswith("" if question == "hang" else "w0 w1 w2")


@pytest.mark.parametrize("question", ["hang", "stall-after=3"])
def test_silence_ends_in_a_timeout(engine: Engine, question: str) -> None:
    """An engine that is silent for the turn's seconds is given up, before its first word and between words."""
    began = time.monotonic()
    if "hang" in question and engine.__class__.__name__ == "FallbackEngine":
        assert degraded(engine, question, idle_timeout=0.5)
    else:
        with pytest.raises(EngineTimeout):
            list(engine.answer(ask(question, idle_timeout=0.5)))
    assert 0.4 < time.monotonic() - began < 3


@pytest.mark.parametrize("question", ["fail", "empty"])
def test_an_answer_that_fails_or_says_nothing_is_a_failure(engine: Engine, question: str) -> None:
    """An engine that raises, or ends without a word, fails the turn in words that hold nothing of the inside."""
    if engine.__class__.__name__ == "FallbackEngine":
        assert degraded(engine, question)
        return
    with pytest.raises(EngineFailed) as failed:
        list(engine.answer(ask(question)))
    assert "scripted" not in failed.value.detail


def test_an_endless_answer_is_ended(engine: Engine) -> None:
    """An engine that never stops talking is ended with its words kept."""
    said = 0
    with pytest.raises(EngineFailed, match="too long"):  # noqa: PT012 - the words before it count
        for chunk in engine.answer(ask("endless tokens=1000000")):
            said += len(chunk.text) if isinstance(chunk, TextChunk) else 0
    assert 90_000 < said < 200_000


def test_closing_the_answer_early_leaves_nothing_behind(engine: Engine) -> None:
    """Whoever stops reading in the middle leaves no thread behind."""
    before = threading.active_count()
    for _ in range(20):
        chunks = engine.answer(ask("tokens=1000"))
        until(lambda chunks=chunks: isinstance(next(chunks), TextChunk), what="a word")
        chunks.close()
    assert text_of(list(engine.answer(ask("echo still there")))).startswith("echo: echo still there")
    until(lambda: threading.active_count() <= before + 3, what="the threads to end")


def test_the_knowledge_engine_keeps_turns_apart(settings: Callable[..., Settings]) -> None:
    """The knowledge engine, too, says interleaved what it says alone."""
    engine = engines.create_engine(settings())
    questions = ["When is a garden watered?", "How often is the garden watered?", "hello"] * 10
    alone = [text_of(list(engine.answer(ask(question)))) for question in questions]
    running = [engine.answer(ask(question)) for question in questions]
    mixed = [""] * len(questions)
    while any(running):
        for number, chunks in enumerate(running):
            chunk = next(chunks, None) if chunks else None
            mixed[number] += chunk.text if isinstance(chunk, TextChunk) else ""
            if chunk is None:
                running[number] = None
    assert mixed == alone
