"""The engine behind the attacks: it says hostile things, quotes the question as it crashes, and can be slow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from app.engines.base import AnswerChunk, Citation, CitationsChunk, EngineRequest, TextChunk


def answer(turn: EngineRequest) -> Iterator[AnswerChunk]:
    """``crash``, ``exit`` and ``garbage`` break with the question in their words; ``slow`` counts for 20 s.

    ``say:`` says the rest one character at a time, ``cite:`` cites the rest, ``tell`` gives back all that it was given.
    """
    first, _, rest = turn.question.partition(":")
    if first == "say":
        yield from map(TextChunk, rest)
    elif first == "cite":
        yield CitationsChunk([Citation(rest, rest, rest), Citation(rest, "https://docs.example/page", rest)])
        yield TextChunk("See [1] [2].")
    elif "tell" in turn.question:
        request = [turn.question, [[said.role, said.content] for said in turn.history], dict(turn.metadata)]
        yield TextChunk(json.dumps(request, ensure_ascii=False))
    elif broken := re.match("crash|exit|garbage", first):
        yield from _broken(broken[0], turn)
    elif "slow" in turn.question:
        yield from _slow(turn)
    else:
        yield TextChunk(f"echo: {turn.question}")


def _broken(how: str, turn: EngineRequest) -> Iterator[AnswerChunk]:
    yield TextChunk("One word ")
    if how == "crash":
        raise RuntimeError(f"{turn.question} {turn.history} {turn.metadata}")
    if how == "exit":
        raise SystemExit(turn.question)
    yield {"question": turn.question}  # type: ignore[misc]


def _slow(turn: EngineRequest) -> Iterator[AnswerChunk]:
    for number in range(200):
        yield TextChunk(f"w{number} ")
        if turn.cancel.wait(0.1):
            return
