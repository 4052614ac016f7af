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

from app.engines.base import EngineRequest, Handoff
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
        def answer(self, request: EngineRequest) -> str:
            return f"made: {request.question}"

    return Maker()


class Caller:
    def __call__(self, request: EngineRequest) -> str:
        return f"called: {request.question}"


class Async:
    async def answer(self, request: EngineRequest) -> AsyncIterator[str]:
        yield "async "
        yield request.question


async def returns_mapping(request: EngineRequest) -> dict[str, Any]:
    return {"answer": request.question, "citations": [{"title": "t", "url": "https://x.test/a", "snippet": "s"}]}


def yields_mappings(request: EngineRequest) -> Iterator[dict[str, Any]]:
    yield {"text": "one "}
    yield {"text": "two", "citations": [{"title": "t", "url": "https://x.test/a", "snippet": "s"}]}


def where(request: EngineRequest) -> str:
    return f"{os.getpid()} {os.nice(0)} {'flask' in sys.modules} {'redis' in sys.modules}"


def to_file(request: EngineRequest) -> Iterator[str]:
    """Says words without end, and writes to the file that the question names when it is closed."""
    count = 0
    try:
        while True:
            count += 1
            yield "more "
    finally:
        Path(request.question).write_text(str(count))


def old_names(question, find, stop):
    """A function with the parameter names of version 0.1."""
    return f"{question} {len(find(question, 2))} {stop.is_set()}"


def old_attributes(turn: EngineRequest) -> str:
    """What version 0.1 called the fields of a request."""
    turn.stop.on_set(KEPT.clear)
    return f"{turn.question} {len(turn.find(turn.question, 2))} {turn.stop.is_set()}"


def new_names(request, search, cancel):
    return f"{request.question} {len(search(request.question, 2))} {cancel.is_set()}"


def number(request: EngineRequest) -> int:
    return 7


def bad_piece(request: EngineRequest) -> Iterator[object]:
    yield "good "
    yield 7


def exits(request: EngineRequest) -> str:
    sys.exit("scripted")


def dies(request: EngineRequest) -> Iterator[str]:
    if request.question == "die":
        yield "last words"
        time.sleep(0.2)
        os._exit(3)
    if request.question == "wait":
        yield "waiting "
        request.cancel.wait(30)
    yield f"alive: {request.question}"


def fails_politely(request: EngineRequest) -> str:
    raise EngineBusy("Come back later.", retry_after=7)


def breaks_search(request: EngineRequest) -> str:
    try:
        request.search("x", 1)
    except EngineFailed as error:
        return f"found out: {error}"
    return "no"


def waits(request: EngineRequest) -> str:
    request.cancel.wait(30)
    Path(request.question).write_text(str(request.cancel.is_set()))
    return ""


def calls_back(request: EngineRequest) -> str:
    called = threading.Event()
    request.cancel.add_callback(called.set)
    Path(request.question).write_text(str(called.wait(10)))
    return ""


def freezes(request: EngineRequest) -> str:
    """Holds the interpreter so that no other thread of its process moves: a careless pattern is enough."""
    if request.question == "freeze":
        re.match(r"(a+)+$", "a" * 40 + "b")
    return f"{os.getpid()}"


def deaf(request: EngineRequest) -> str | Iterator[str]:
    """Cannot be stopped while the file that the question names is there; "speak <file>" waits for a file politely."""
    if request.question.startswith("speak "):
        return _speaks(Path(request.question.removeprefix("speak ")))
    name = Path(request.question)
    while name.exists():
        try:
            time.sleep(0.02)
        except SystemExit:
            continue
    return f"{os.getpid()}"


def _speaks(file: Path) -> Iterator[str]:
    yield "speaking "
    while not file.exists():
        time.sleep(0.02)
    yield "to the end"


def keeps(request: EngineRequest) -> str:
    """What a careless engine keeps in a global stays in its process."""
    KEPT.append(request.question)
    return str(len(KEPT))


instance = Caller()


def thinks(request: EngineRequest) -> Iterator[str]:
    """Says what a model behind it says, thoughts included."""
    yield "<thi"
    yield "nk>hmm"
    yield "</think>"
    yield "Yes."


def cites_relative() -> dict[str, Any]:
    """Cites without an address, and with one that is not absolute."""
    return {"answer": "See [1] and [2].", "citations": [{"title": "Handbook"}, {"title": "Prices", "url": "/prices"}]}


def hands_over(question: str) -> dict[str, Any]:
    """Gives the conversation to a person, with an answer before it where the question is one."""
    return {"answer": "One moment.", "handoff": "money"} if question.endswith("?") else {"handoff": True}


def knows_nothing(question: str, history: list[dict[str, Any]]) -> Iterator[Any]:
    yield {"text": f"No idea, {history[-1]['author']['name']}.", "not_found": True}
    yield Handoff("two\nlines")
    yield "never heard"
