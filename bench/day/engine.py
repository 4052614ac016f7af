"""The engine of the simulated day: names the question, then speaks word by word, so that an answer can be cut."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from app.engines.base import AnswerChunk, EngineRequest, TextChunk

WORDS = 120
PIECES = 12
SECONDS = float(os.environ.get("BENCH_ANSWER_SECONDS", "0.36"))


def pieces(name: str) -> list[str]:
    """The answer to the question of this name: about 600 characters."""
    size = WORDS // PIECES
    spoken = ["".join(f"w{number} " for number in range(at, at + size)) for at in range(0, WORDS, size)]
    return [f"{name} {spoken[0]}", *spoken[1:]]


def answer(request: EngineRequest) -> Iterator[AnswerChunk]:
    """The question begins with its name."""
    for number, text in enumerate(pieces(request.question.split()[0])):
        if number:
            time.sleep(SECONDS / PIECES)
        yield TextChunk(text)
