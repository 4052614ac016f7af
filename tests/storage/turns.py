"""Helpers for the tests of turns: a started turn, its events, a worker that died."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson
import pytest

from app.conversations import events
from app.conversations.answer_runner import AnswerRunner, RunnerConfig
from app.conversations.service import ConversationService
from app.engines.base import TextChunk
from app.storage import redis_store as log_module
from app.storage.redis_store import RedisConversationStore
from tests.conftest import until
from tests.storage.conftest import Open, new, words


def story(log: RedisConversationStore, session_hash: str, after: int = 0) -> list[tuple[str, dict[str, object]]]:
    """The events after a number, read."""
    batch = log.read_events(session_hash, "", after)
    assert not batch.reset
    return [(kind, orjson.loads(data)) for kind, data in batch.events]


def kinds(log: RedisConversationStore, session_hash: str) -> list[str]:
    return [kind for kind, _ in story(log, session_hash)]


def joined(log: RedisConversationStore, session_hash: str) -> str:
    return "".join(str(data["text"]) for kind, data in story(log, session_hash) if kind == "answer.delta")


def asked(log: RedisConversationStore, session_hash: str, turn_id: str = "turn_1", client_id: str = "") -> int:
    """Begins a turn and gives where it starts."""
    turn = log.start_turn(session_hash, "", words("asked", client_id), turn_id)
    assert turn.outcome == "started"
    return turn.start


def dead_turn(opened: Open, monkeypatch: pytest.MonkeyPatch) -> tuple[RedisConversationStore, str]:
    """A session whose answer is being made by a worker that is no more."""
    monkeypatch.setattr(log_module, "LEASE_MS", 50)
    log = opened()
    session_hash = new(log)
    asked(log, session_hash, client_id="c1")
    log.append_delta(session_hash, "turn_1", 0, "So far")
    monkeypatch.undo()
    monkeypatch.setattr(log_module, "LEASE_GRACE_MS", 100)
    until(lambda: (log.read_events(session_hash, "", -1).lease_remaining_ms or 0) < 0, 5, "the lease to run out")
    return log, session_hash


def conversations(log: RedisConversationStore) -> ConversationService:
    """Conversations that ask no engine."""

    class Silent:
        name = "silent"

        def answer(self, turn: object) -> object:
            yield TextChunk("unused")

    means = RunnerConfig(lambda query, most: (), 5.0, lambda work: None)
    return ConversationService(log, AnswerRunner(log, Silent(), means), idle_timeout_ms=30_000)  # type: ignore[arg-type]


def take(reading: object, last: Callable[[events.Event], bool]) -> list[events.Event]:
    """The events of a follower up to a last one, which must come within 20 s."""
    found = []
    deadline = time.monotonic() + 20
    for event in reading:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline, f"not received in time, but {[one.type for one in found[-5:]]}"
        if event is not None:
            found.append(event)
            if last(event):
                break
    return found
