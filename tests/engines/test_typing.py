"""The built-in answer written word by word (BATON_TYPING_SPEED): for streamed turns alone, bounded, stoppable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from app.engines.base import AnswerChunk, CancelToken, Citation, CitationsChunk, EngineRequest, TextChunk
from app.engines.typing import MAX_SECONDS, TypingEngine
from tests.conftest import Service, until
from tests.contract.api_client import ApiClient

CITATION = CitationsChunk((Citation("Page", "https://x.test/page", "Passage"),))


class Built:
    """Says a text in pieces that have nothing to do with its words."""

    name = "knowledge"

    def __init__(self, text: str) -> None:
        self.text = text

    def answer(self, _: EngineRequest) -> Iterator[AnswerChunk]:
        yield from (TextChunk(self.text[at : at + 7]) for at in range(0, len(self.text), 7))
        yield CITATION


def ask(engine: TypingEngine, *, streamed: bool = True, cancel: CancelToken | None = None) -> Iterator[AnswerChunk]:
    return engine.answer(EngineRequest("What?", (), cancel or CancelToken(), is_streamed=streamed))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One two\nthree, [1]", 4),
        ("  Leading and trailing  \n", 4),
        ("当店は毎日開いています", 6),
        ("Ürün `a b` **c d** [e f](g)", 4),
    ],
)
def test_the_words_come_one_by_one_and_are_the_same_text(text: str, count: int) -> None:
    """Joined, the words are the answer as it is; the sources follow."""
    *words, last = ask(TypingEngine(Built(text), 1000))
    assert "".join(word.text for word in words if isinstance(word, TextChunk)) == text
    assert len(words) == count
    assert last is CITATION


def test_a_turn_that_is_not_streamed_does_not_wait() -> None:
    """Asked for as JSON, the answer comes as the engine gives it."""
    chunks = list(ask(TypingEngine(Built("word " * 2000), 1), streamed=False))
    assert chunks == list(Built("word " * 2000).answer(EngineRequest("", (), CancelToken())))


def test_a_long_answer_is_written_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many words, all the waits together are 8 s at most."""
    waits: list[float] = []
    cancel = CancelToken()
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def wait(seconds: float | None = None) -> bool:
        waits.append(seconds or 0.0)
        clock[0] += seconds or 0.0
        return False

    monkeypatch.setattr(cancel, "wait", wait)
    assert len(list(ask(TypingEngine(Built("word " * 5000), 1), cancel=cancel))) == 5001
    assert MAX_SECONDS * 0.9 < sum(waits) <= MAX_SECONDS


def test_a_cancelled_answer_ends_at_once() -> None:
    """Stop ends the wait for the next word; nothing of the rest is said."""
    cancel = CancelToken()
    chunks = ask(TypingEngine(Built("one two three four"), 1), cancel=cancel)
    assert next(chunks) == TextChunk("one ")
    threading.Timer(0.05, cancel.set).start()
    assert list(chunks) == []


def test_stop_works_while_it_is_written(service: Callable[..., Service]) -> None:
    """A streamed answer grows in the history's log; stop closes it with the words so far; JSON gets all of it."""
    one = service(BATON_TYPING_SPEED="5", WEB_CONCURRENCY="1")
    until(lambda: httpx.get(f"{one.url}/health").json()["knowledge"]["pages"], 60, "the folder to be read")
    question = "How long are chats kept?"
    visitor = ApiClient(one.url).create()
    whole = visitor.caller.post("/api/chat", json={"query": question}).json()["answer"]
    with visitor.ask_streamed(question) as stream:
        stream.until("answer.delta", count=3)
        assert visitor.post("/stop").json()["stopped"] is True
    until(lambda: len(visitor.history()) == 2, what="the stopped answer")
    stopped = visitor.history()[1]
    assert stopped["metadata"]["stopped"] is True
    assert 0 < len(stopped["content"]) < len(whole)
    assert whole.startswith(stopped["content"].rstrip())
