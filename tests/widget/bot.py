"""A bot for the browser tests: it speaks slowly, fails or keeps silent, as the question asks."""

from __future__ import annotations

import time
from collections.abc import Iterator

from app.ports import StopSignal


def answer(question: str, stop: StopSignal) -> Iterator[str]:
    """``fail`` breaks off, ``silent`` says nothing for 30 s, ``long`` says 120 words in 6 s; else 30 words in 1.5 s."""
    if "silent" in question:
        stop.wait(30)
        return
    for number in range(120 if "long" in question else 30):
        yield f"w{number} "
        if "fail" in question and number == 3:
            raise RuntimeError("as asked")
        time.sleep(0.05)


def words(number: int) -> str:
    """What the bot says in so many words, as the screen shows it."""
    return " ".join(f"w{n}" for n in range(number))
