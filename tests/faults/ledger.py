"""Writers that never stop for a fault, and a checker that compares what was acknowledged with what is there."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import httpx

from tests.contract.actor import Visitor
from tests.contract.launch import eventually


@dataclass
class Outcome:
    """What became of the operations: each ok, refused (told so), or unknown (503 or no answer)."""

    ok: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0
    """Seconds that the longest call waited."""


class Writers:
    """One writer a visitor; each appends numbered texts under client ids until told to stop."""

    def __init__(self, visitors: list[Visitor], pause: float = 0.02) -> None:
        self.visitors, self.pause = visitors, pause
        self.outcomes = [Outcome() for _ in visitors]
        self.going = True
        self.threads = [threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(len(visitors))]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.going = False
        for thread in self.threads:
            thread.join(15)

    @property
    def acknowledged(self) -> int:
        return sum(len(outcome.ok) for outcome in self.outcomes)

    def _write(self, number: int) -> None:
        outcome, visitor, count = self.outcomes[number], self.visitors[number], 0
        while self.going:
            count += 1
            text, begun = f"{number}:{count}", time.monotonic()
            try:
                status = visitor.say(text, client_id=f"w-{number}-{count}").status_code
            except httpx.TransportError:
                status = 0
            outcome.longest = max(outcome.longest, time.monotonic() - begun)
            outcome.statuses[status] += 1
            (outcome.ok if status in (200, 201) else outcome.unknown).append(text)
            time.sleep(self.pause)

    def goes_on(self, seconds: float = 10.0) -> bool:
        """Whether something more is acknowledged within so many seconds."""
        before = self.acknowledged
        return eventually(lambda: self.acknowledged > before, seconds)

    @staticmethod
    def texts(visitor: Visitor) -> list[str]:
        """What is there, read when the worker asked has noticed that all is well again (3 s at most)."""
        answer = eventually(lambda: (r := visitor.get("/messages?limit=500")).status_code == 200 and r, 3, 0.1)
        assert answer, "reads do not heal"
        return [message["content"] for message in answer.json()["messages"]]

    def check(self) -> None:
        """Nothing acknowledged lost, nothing doubled, nothing of a stranger, no status but 201, 200 and 503."""
        for number, (visitor, outcome) in enumerate(zip(self.visitors, self.outcomes, strict=True)):
            everything = self.texts(visitor)
            there = [text for text in everything if text.startswith(f"{number}:")]
            assert len(everything) == len(there), "words of a stranger"
            assert [text for text, times in Counter(there).items() if times > 1] == []
            assert [text for text in outcome.ok if text not in set(there)] == []
            assert set(outcome.statuses) <= {0, 200, 201, 503}, outcome.statuses

    def resend(self) -> None:
        """Send again what came to an unknown end: afterwards everything is there once."""
        for number, (visitor, outcome) in enumerate(zip(self.visitors, self.outcomes, strict=True)):
            for text in outcome.unknown:
                count = text.split(":")[1]
                sent = partial(visitor.say, text, client_id=f"w-{number}-{count}")
                assert eventually(lambda sent=sent: sent().status_code in (200, 201), 3, 0.1)
            assert Counter(self.texts(visitor)) == Counter(outcome.ok + outcome.unknown)
