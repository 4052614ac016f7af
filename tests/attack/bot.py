"""The engine behind the attacks: it says hostile things, quotes the question as it crashes, and can be slow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from app.ports import Citation, Cited, Piece, Text, Turn


def answer(turn: Turn) -> Iterator[Piece]:
    """``crash``, ``exit`` and ``garbage`` break with the question in their words; ``slow`` counts for 20 s.

    ``say:`` says the rest one character at a time, ``cite:`` cites the rest, ``tell`` gives back all that it was given.
    """
    first, _, rest = turn.question.partition(":")
    if first == "say":
        yield from map(Text, rest)
    elif first == "cite":
        yield Cited([Citation(rest, rest, rest), Citation(rest, "https://docs.example/page", rest)])
        yield Text("See [1] [2].")
    elif "tell" in turn.question:
        told = [turn.question, [[said.role, said.content] for said in turn.history], dict(turn.metadata)]
        yield Text(json.dumps(told, ensure_ascii=False))
    elif broken := re.match("crash|exit|garbage", first):
        yield from _broken(broken[0], turn)
    elif "slow" in turn.question:
        yield from _slow(turn)
    else:
        yield Text(f"echo: {turn.question}")


def _broken(how: str, turn: Turn) -> Iterator[Piece]:
    yield Text("One word ")
    if how == "crash":
        raise RuntimeError(f"{turn.question} {turn.history} {turn.metadata}")
    if how == "exit":
        raise SystemExit(turn.question)
    yield {"question": turn.question}  # type: ignore[misc]


def _slow(turn: Turn) -> Iterator[Piece]:
    for number in range(200):
        yield Text(f"w{number} ")
        if turn.stop.wait(0.1):
            return
