"""What the tests of answers say again and again: a turn begun, its story read, a worker that died."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson
import pytest

from app import events
from app.answering import Answering, Means
from app.conversation import Conversations
from app.ports import Text
from app.store import log as log_module
from app.store.log import RedisLog
from tests.conftest import until
from tests.store.conftest import Open, new, words


def story(log: RedisLog, ref: str, after: int = 0) -> list[tuple[str, dict[str, object]]]:
    """The events after a number, read."""
    batch = log.follow(ref, "", after)
    assert not batch.reset
    return [(kind, orjson.loads(data)) for kind, data in batch.events]


def kinds(log: RedisLog, ref: str) -> list[str]:
    return [kind for kind, _ in story(log, ref)]


def joined(log: RedisLog, ref: str) -> str:
    return "".join(str(data["text"]) for kind, data in story(log, ref) if kind == "answer.delta")


def asked(log: RedisLog, ref: str, turn_id: str = "turn_1", client_id: str = "") -> int:
    """Begins a turn and gives where it starts."""
    begun = log.begin(ref, "", words("asked", client_id), turn_id)
    assert begun.outcome == "begun"
    return begun.start


def dead_turn(opened: Open, monkeypatch: pytest.MonkeyPatch) -> tuple[RedisLog, str]:
    """A session whose answer is being made by a worker that is no more."""
    monkeypatch.setattr(log_module, "LEASE_MS", 50)
    log = opened()
    ref = new(log)
    asked(log, ref, client_id="c1")
    log.grow(ref, "turn_1", 0, "So far")
    monkeypatch.undo()
    monkeypatch.setattr(log_module, "DOUBT_MS", 100)
    until(lambda: (log.follow(ref, "", -1).turn_left or 0) < 0, 5, "the lease to run out")
    return log, ref


def conversations(log: RedisLog) -> Conversations:
    """Conversations that ask no engine."""

    class Silent:
        name = "silent"

        def answer(self, turn: object) -> object:
            yield Text("unused")

    means = Means(lambda query, most: (), 5.0, lambda work: None)
    return Conversations(log, Answering(log, Silent(), means), idle=30_000)  # type: ignore[arg-type]


def take(reading: object, last: Callable[[events.Event], bool]) -> list[events.Event]:
    """The events of a follower up to a last one, which must come within 20 s."""
    found = []
    deadline = time.monotonic() + 20
    for event in reading:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline, f"not told in time, but {[one.kind for one in found[-5:]]}"
        if event is not None:
            found.append(event)
            if last(event):
                break
    return found
