"""A scripted engine for everybody's tests: what it does is chosen by words in the question.

Run a service on it with ``BATON_ENGINE=python:tests.engines.scripted_engine:make`` (from the repository's root).
Words may be combined, anywhere in the question, except ``say:`` which takes the rest of it.

    (no word)          one piece: ``echo: <question>``
    echo               ``echo: <question> | history: <number of earlier messages>``
    history            the earlier messages as the engine sees them, one ``role: content`` a line
    tokens=200         ``w0 w1 w2 ... w199`` (each piece is ``w<n>`` and one space)
    delay=0.01         seconds between two tokens
    first=0.5          seconds before the first word
    say:<text>         exactly <text>, in pieces of ``chunk`` characters (``chunk=1 say:...``; default 3)
    cite               ``According to the page [1].`` and its citations: from ``request.search``, else a made up one
    degraded           says first that the answer comes from a fallback
    fail               raises before the first word
    fail-after=20      raises after that many tokens (without ``tokens``: of 1000)
    hang               says nothing, for an hour; heeds the stop signal
    hang-hard          says nothing, for an hour, and heeds nothing
    stall-after=20     is silent for an hour after that many tokens; heeds the stop signal
    burn=5             burns that many seconds of CPU before the first word (does not heed the stop signal)
    empty              ends without a word

Every call appends one line ``<session_ref> TAB <question as a Python literal>`` to the file named by
``BATON_TEST_CALLS``, when set.
Other shapes of a Python engine, for tests of the seam: ``plain``, ``coroutine``, ``agenerator``, ``mapping``, ``Bot``.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from app.engines.base import AnswerChunk, Citation, CitationsChunk, EngineRequest, FallbackNotice, TextChunk

HOUR = 3600.0
MADE_UP = Citation("Scripted page", "https://pages.example.test/scripted#part", "A passage of the scripted page.")


def make(request: EngineRequest) -> Iterator[AnswerChunk]:
    """Answer as the words of the question say."""
    note(request)
    asked, _, say = request.question.partition("say:")
    words = dict(re.findall(r"(?<!\S)([a-z-]+)(?:=([0-9.]+))?(?!\S)", asked))
    yield from _before(request, words)
    if say:
        size = int(words.get("chunk") or 3)
        yield from (TextChunk(say[at : at + size]) for at in range(0, len(say), size))
    elif {"tokens", "fail-after", "stall-after"} & words.keys():
        yield from _tokens(request, words)
    elif "history" in words:
        yield TextChunk("\n".join(f"{said.role}: {said.content}" for said in request.history) or "nothing before")
    elif "cite" in words:
        yield from _cited(request)
    elif "echo" in words:
        yield TextChunk(f"echo: {request.question} | history: {len(request.history)}")
    elif "empty" not in words:
        yield TextChunk(f"echo: {request.question}")


def _before(request: EngineRequest, words: dict[str, str]) -> Iterator[AnswerChunk]:
    if "degraded" in words:
        yield FallbackNotice("The model is not available just now.")
    if "burn" in words:
        burn(float(words["burn"] or 1))
    if "first" in words:
        request.cancel.wait(float(words["first"] or 1))
    if "hang" in words:
        request.cancel.wait(HOUR)
    if "hang-hard" in words:
        time.sleep(HOUR)
    if "fail" in words:
        raise RuntimeError("scripted failure before the first word")


def _tokens(request: EngineRequest, words: dict[str, str]) -> Iterator[AnswerChunk]:
    delay = float(words.get("delay") or 0)
    for number in range(int(words.get("tokens") or 1000)):
        if str(number) == words.get("fail-after"):
            raise RuntimeError("scripted failure in the middle")
        if str(number) == words.get("stall-after"):
            request.cancel.wait(HOUR)
        if delay and number and request.cancel.wait(delay):
            return
        if request.cancel.is_set():
            return
        yield TextChunk(f"w{number} ")


def _cited(request: EngineRequest) -> Iterator[AnswerChunk]:
    found = list(request.search(request.question.replace("cite", "").strip() or "baton", 3)) or [MADE_UP]
    yield TextChunk("According to the page [1].")
    yield CitationsChunk(found)


def burn(seconds: float) -> None:
    """Use that many seconds of CPU in this thread, never giving way on purpose."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(1000))


def note(request: EngineRequest) -> None:
    """One line a call in the file named by BATON_TEST_CALLS, whole even when workers write at once."""
    name = os.environ.get("BATON_TEST_CALLS")
    if name:
        with open(name, "ab", buffering=0) as calls:
            calls.write(f"{request.session_ref}\t{request.question!r}\n".encode())


def plain(request: EngineRequest) -> str:
    """The plainest engine: a function of the turn that returns a string."""
    return f"plain: {request.question}"


def mapping(request: EngineRequest) -> dict[str, Any]:
    """An engine that returns an answer and its citations as a mapping."""
    cited = {"title": MADE_UP.title, "url": MADE_UP.url, "snippet": MADE_UP.snippet}
    return {"answer": f"mapping: {request.question} [1]", "citations": [cited]}


async def coroutine(request: EngineRequest) -> str:
    """An engine that is a coroutine."""
    return f"coroutine: {request.question}"


async def agenerator(request: EngineRequest) -> AsyncIterator[AnswerChunk | str]:
    """An engine that is an async generator."""
    yield "agenerator: "
    yield TextChunk(request.question)


class Bot:
    """An engine as a class; one is made for every turn, so what it keeps is nobody else's."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def answer(self, request: EngineRequest) -> Iterator[str]:
        """Answer with how many turns this instance has seen: always the first."""
        self.seen.append(request.question)
        yield f"turn {len(self.seen)}: "
        yield request.question
