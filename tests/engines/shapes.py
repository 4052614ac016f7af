"""Python engines of every shape and manner for test_python.py; they run in the engine process."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from app.engines.base import EngineRequest
from app.errors import EngineBusy, EngineFailed

KEPT: list[str] = []


def by_name(question, history, metadata, session_ref):
    return repr((question, history, metadata, session_ref))


def typed(text: str) -> str:
    return f"typed: {text}"


def other_name(asked, /, *rest, option=3, **more):
    return f"turn: {asked.question} {option}"


def keyword(*, query):
    return f"keyword: {query}"


def made():
    class Maker:
        def answer(self, turn: EngineRequest) -> str:
            return f"made: {turn.question}"

    return Maker()


class Caller:
    def __call__(self, turn: EngineRequest) -> str:
        return f"called: {turn.question}"


class Async:
    async def answer(self, turn: EngineRequest) -> AsyncIterator[str]:
        yield "async "
        yield turn.question


async def returns_mapping(turn: EngineRequest) -> dict[str, Any]:
    return {"answer": turn.question, "citations": [{"title": "t", "url": "https://x.test/a", "snippet": "s"}]}


def yields_mappings(turn: EngineRequest) -> Iterator[dict[str, Any]]:
    yield {"text": "one "}
    yield {"text": "two", "citations": [{"title": "t", "url": "https://x.test/a", "snippet": "s"}]}


def where(turn: EngineRequest) -> str:
    return f"{os.getpid()} {os.nice(0)} {'flask' in sys.modules} {'redis' in sys.modules}"


def to_file(turn: EngineRequest) -> Iterator[str]:
    """Says words without end, and writes to the file that the question names when it is closed."""
    count = 0
    try:
        while True:
            count += 1
            yield "more "
    finally:
        Path(turn.question).write_text(str(count))


def number(turn: EngineRequest) -> int:
    return 7


def bad_piece(turn: EngineRequest) -> Iterator[object]:
    yield "good "
    yield 7


def exits(turn: EngineRequest) -> str:
    sys.exit("scripted")


def dies(turn: EngineRequest) -> Iterator[str]:
    if turn.question == "die":
        yield "last words"
        time.sleep(0.2)
        os._exit(3)
    if turn.question == "wait":
        yield "waiting "
        turn.cancel.wait(30)
    yield f"alive: {turn.question}"


def fails_politely(turn: EngineRequest) -> str:
    raise EngineBusy("Come back later.", retry_after=7)


def breaks_find(turn: EngineRequest) -> str:
    try:
        turn.search("x", 1)
    except EngineFailed as error:
        return f"found out: {error}"
    return "no"


def waits(turn: EngineRequest) -> str:
    turn.cancel.wait(30)
    Path(turn.question).write_text(str(turn.cancel.is_set()))
    return ""


def calls_back(turn: EngineRequest) -> str:
    called = threading.Event()
    turn.cancel.add_callback(called.set)
    Path(turn.question).write_text(str(called.wait(10)))
    return ""


def freezes(turn: EngineRequest) -> str:
    """Holds the interpreter so that no other thread of its process moves: a careless pattern is enough."""
    if turn.question == "freeze":
        re.match(r"(a+)+$", "a" * 40 + "b")
    return f"{os.getpid()}"


def deaf(turn: EngineRequest) -> str:
    """Cannot be ended while the file that the question names is there."""
    name = Path(turn.question)
    while name.exists():
        try:
            time.sleep(0.02)
        except SystemExit:
            continue
    return f"{os.getpid()}"


def keeps(turn: EngineRequest) -> str:
    """What a careless engine keeps in a global stays in its process."""
    KEPT.append(turn.question)
    return str(len(KEPT))


instance = Caller()
