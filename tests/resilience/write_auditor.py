"""Writing clients that go on through a fault, and a check of what was acknowledged against what is stored."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import httpx

from tests.contract.api_client import ApiClient, Visitor, is_problem
from tests.contract.launch import eventually

FIGURES: dict[str, dict[str, float]] = {}
"""What each test measured, by its node id: ``ok``, ``unknown``, ``lost``, ``doubled``; ``longest``, ``heal`` (s)."""


def note(**figures: float) -> None:
    """Adds figures of the running test to the table that ends the run; of each figure the highest is kept."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    measured = FIGURES.setdefault(test, {})
    for figure, value in figures.items():
        measured[figure] = max(measured.get(figure, 0), value)


def bounded(call: Callable[[], httpx.Response], seconds: float = 3.5) -> httpx.Response:
    """The answer of a call that may not wait longer: 2.5 s for storage, and what a busy test machine adds."""
    started = time.monotonic()
    answer = call()
    waited = time.monotonic() - started
    note(longest=waited)
    assert waited < seconds, f"waited {waited:.1f} s: {answer.text[:200]}"
    return answer


def is_unavailable(answer: httpx.Response) -> None:
    assert is_problem(answer, 503, "storage_unavailable")["retryable"] is True
    assert int(answer.headers["retry-after"]) >= 1


def heals(caller: ApiClient, seconds: float = 3.0) -> bool:
    """Whether everything is well again within so many seconds (and a busy machine's one), health included."""
    started = time.monotonic()
    since = started

    def well() -> bool:
        """Well for longer than a circuit breaker stays open: which worker answers is chance, and each has its own."""
        nonlocal since
        answers = [caller.post("/api/session/create").status_code for _ in range(6)]
        if answers != [201] * 6 or caller.get("/health").status_code != 200:
            since = time.monotonic()
        return time.monotonic() - since > 0.6

    healed = eventually(well, seconds + 1, 0.1)
    note(heal=since - started)
    return healed


def audit(texts: list[str], prefix: str, acknowledged: list[str]) -> tuple[int, int, int]:
    """How many acknowledged texts are not among those that are there, how many are there more than once, and how many
    are a stranger's, since they do not begin with ``prefix``.
    """
    there = Counter(text for text in texts if text.startswith(prefix))
    lost = sum(text not in there for text in acknowledged)
    return lost, sum(times > 1 for times in there.values()), len(texts) - there.total()


@dataclass
class Outcome:
    """What became of the operations: each ok, or unknown (503 or no answer)."""

    ok: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0
    """Seconds that the longest call waited."""


class WriteAuditor:
    """One writer a visitor; each appends numbered texts under client ids until told to stop."""

    def __init__(self, visitors: list[Visitor], pause: float = 0.02) -> None:
        self.visitors, self.pause = visitors, pause
        self.outcomes = [Outcome() for _ in visitors]
        self.going = True
        self.threads = [threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(len(visitors))]

    def __enter__(self) -> WriteAuditor:  # noqa: PYI034 - nobody derives from it
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
        while self.going and count < 450:
            count += 1
            text, started = f"{number}:{count}", time.monotonic()
            try:
                status = visitor.say(text, client_id=f"w-{number}-{count}").status_code
            except httpx.TransportError:
                status = 0
            outcome.longest = max(outcome.longest, time.monotonic() - started)
            outcome.statuses[status] += 1
            (outcome.ok if status in (200, 201) else outcome.unknown).append(text)
            time.sleep(self.pause)

    def goes_on(self, seconds: float = 10.0) -> bool:
        """Whether something more is acknowledged within so many seconds."""
        before, started = self.acknowledged, time.monotonic()
        went_on = eventually(lambda: self.acknowledged > before, seconds)
        note(heal=time.monotonic() - started)
        return went_on

    @staticmethod
    def texts(visitor: Visitor) -> list[str]:
        """What is there, read when the worker asked has noticed that all is well again (3 s at most)."""
        answer = eventually(lambda: (r := visitor.get("/messages?limit=500")).status_code == 200 and r, 3, 0.1)
        assert answer, "reads do not heal"
        return [message["content"] for message in answer.json()["messages"]]

    def check(self, longest: float = 3.5) -> None:
        """Nothing acknowledged lost, nothing doubled, nothing of a stranger, no status but 201, 200 and 503, no long
        wait.
        """
        for number, (visitor, outcome) in enumerate(zip(self.visitors, self.outcomes, strict=True)):
            lost, doubled, foreign = audit(self.texts(visitor), f"{number}:", outcome.ok)
            note(lost=lost, doubled=doubled, longest=outcome.longest)
            assert (lost, doubled, foreign) == (0, 0, 0)
            assert set(outcome.statuses) <= {0, 200, 201, 503}, outcome.statuses
            assert outcome.longest < longest
        note(ok=self.acknowledged, unknown=sum(len(outcome.unknown) for outcome in self.outcomes))

    def resend(self) -> None:
        """Send again what came to an unknown end: afterwards everything is there once."""
        for number, (visitor, outcome) in enumerate(zip(self.visitors, self.outcomes, strict=True)):
            for text in outcome.unknown:
                count = text.split(":")[1]
                sent = partial(visitor.say, text, client_id=f"w-{number}-{count}")
                assert eventually(lambda sent=sent: sent().status_code in (200, 201), 3, 0.1)
            assert Counter(self.texts(visitor)) == Counter(outcome.ok + outcome.unknown)

    def resend_all(self) -> None:
        """Send everything again, acknowledged or not: afterwards it is there once, in whatever order."""
        for outcome in self.outcomes:
            outcome.unknown, outcome.ok = outcome.ok + outcome.unknown, []
        self.resend()
