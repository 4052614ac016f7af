"""Writes an answer that is known at once word by word, so that its stream can be seen (BATON_TYPING_SPEED)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

from app.engines.base import AnswerChunk, CancelToken, Engine, EngineRequest, TextChunk

MAX_SECONDS = 8.0
"""For a whole answer: a long one is written faster."""
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(
    r"\*\*[^*\n]{1,200}\*\*\s*|`[^`\n]{1,200}`\s*|\[[^\]\n]{1,200}\]\([^()\s]{1,500}\)\s*"
    rf"|[{_CJK}]{{1,2}}\s*|[^\s{_CJK}]+\s*|\s+"
)
"""A word with the space after it; where a script has no spaces, two characters. Bold text, code and a link come in one
piece, so that their marks are never seen."""


class TypingEngine:
    """The built-in engine, at ``words_per_second`` for turns that were asked for as a stream."""

    def __init__(self, engine: Engine, words_per_second: int) -> None:
        self.name = engine.name
        self._engine = engine
        self._interval = 1 / words_per_second

    def answer(self, request: EngineRequest) -> Iterator[AnswerChunk]:
        """The same chunks; the words of a streamed turn one after the other. Ends at once when it is cancelled."""
        chunks = self._engine.answer(request)
        if not request.is_streamed:
            yield from chunks
            return
        yield from _type(list(chunks), self._interval, request.cancel)


def _type(chunks: Sequence[AnswerChunk], interval: float, cancel: CancelToken) -> Iterator[AnswerChunk]:
    text = "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))
    words = _WORD.findall(text)
    interval = min(interval, MAX_SECONDS / max(1, len(words)))
    started = time.monotonic()
    for number, word in enumerate(words):
        if cancel.wait(max(0.0, started + number * interval - time.monotonic())):
            return
        yield TextChunk(word)
    yield from (chunk for chunk in chunks if not isinstance(chunk, TextChunk))
