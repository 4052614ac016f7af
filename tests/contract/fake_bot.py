"""The engine behind the contract tests: behaviour is chosen by words in the question.

``tokens=200 delay=0.01`` says "w0 w1 ... "; ``fail``, ``fail-after=20``, ``hang``, ``stall-after=20``, ``empty``,
``raise-once`` and ``break-once=20`` (only the first call of that very question), ``tell`` (what it was given, as JSON),
``cite``, ``unknown`` (it does not know), ``handoff`` and ``handoff-after=20`` (a person is to go on); anything else is
echoed. Each call adds a line to the file named by BATON_TEST_CALLS.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator

from app.engines.base import AnswerChunk, Citation, CitationsChunk, EngineRequest, Handoff, NotFound, TextChunk


def answer(turn: EngineRequest) -> Iterator[AnswerChunk]:
    """Answer one turn as its question asks."""
    calls = _count(turn.question)
    words = dict(re.findall(r"([\w-]+)(?:=(\S+))?", turn.question))
    if "cite" in words:
        yield CitationsChunk(
            [Citation(f"Page {n}", f"https://docs.example/page-{n}", f"Words of page {n}") for n in range(3)]
        )
    if "fail" in words or ("raise-once" in words and calls == 1):
        raise RuntimeError("told to fail")
    if "handoff" in words:
        yield Handoff("a question of money")
        return
    if "unknown" in words:
        yield NotFound()
    if "tell" in words:
        request = {
            "question": turn.question,
            "history": [[said.role, said.content, *([said.author] if said.author else [])] for said in turn.history],
        }
        yield TextChunk(json.dumps(request))
    elif "hang" in words:
        _be_silent(turn)
    elif "tokens" in words or "stall-after" in words or "fail-after" in words or "handoff-after" in words:
        yield from _talk(turn, words, calls)
    elif "empty" not in words:
        yield TextChunk(f"echo: {turn.question}")


def _talk(turn: EngineRequest, words: dict[str, str], calls: int) -> Iterator[AnswerChunk]:
    delay = float(words.get("delay") or 0)
    stall, fail, hand_over = words.get("stall-after"), words.get("fail-after"), words.get("handoff-after")
    once = words.get("break-once") if calls == 1 else None
    for number in range(int(words.get("tokens") or 10_000)):
        if str(number) == stall:
            _be_silent(turn)
        if str(number) in (fail, once):
            raise RuntimeError("told to break")
        if str(number) == hand_over:
            yield Handoff("it is enough")
            return
        if delay:
            time.sleep(delay)
        yield TextChunk(f"w{number} ")


def _be_silent(turn: EngineRequest) -> None:
    for _ in range(600):
        if turn.cancel.is_set():
            return
        time.sleep(0.1)


def _count(question: str) -> int:
    """The number of calls with this very question so far, over all workers."""
    path = os.environ["BATON_TEST_CALLS"]
    line = json.dumps(question)
    with open(path, "a", encoding="utf-8") as calls:
        calls.write(line + "\n")
    with open(path + ".pids", "a", encoding="utf-8") as pids:
        pids.write(f"{os.getppid()}\t{line}\n")  # the worker whose engine process this is
    with open(path, encoding="utf-8") as calls:
        return calls.read().splitlines().count(line)


def spoken(tokens: int) -> str:
    """What ``tokens=N`` says."""
    return "".join(f"w{number} " for number in range(tokens))
