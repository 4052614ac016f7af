"""One conversation with an engine of the test on a real Redis, and helpers for its tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from app.config import Settings
from app.conversations import ids
from app.conversations.answer_runner import AnswerRunner, RunnerConfig, TurnMetrics
from app.conversations.service import ConversationService
from app.engines.base import AnswerChunk, Citation, EngineRequest
from app.storage import open_store
from app.storage.base import TurnStart
from app.storage.redis_store import RedisConversationStore, StoreLimits

RULES = StoreLimits(
    ttl=60_000, max_age=600_000, idle=30_000, ticket_ttl=5_000, max_messages=500, session_limit=0,
    session_window=60_000, max_engine_calls=4, max_engine_calls_per_minute=100,
)  # fmt: skip


PAGE = Citation("Page", "https://pages.example/a", "A passage.")


Answer = Callable[[EngineRequest], Iterator[Any]]


class Engine:
    """Answers as a function says, and remembers the turns that it got."""

    name = "test"

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.turns: list[EngineRequest] = []
        self.closed = threading.Event()

    def answer(self, turn: EngineRequest) -> Iterator[AnswerChunk]:
        self.turns.append(turn)
        try:
            yield from self._answer(turn)
        finally:
            self.closed.set()


class ConversationFixture:
    """One conversation with one engine, on a real Redis."""

    def __init__(self, url: str, answer: Answer, silence: float = 5.0) -> None:
        self.log: RedisConversationStore = open_store(Settings(redis_url=url), RULES)  # type: ignore[arg-type]
        self.engine = Engine(answer)
        self.observed: list[tuple[str, ...]] = []
        metrics = TurnMetrics(
            lambda engine: self.observed.append(("began", engine)),
            lambda engine, seconds: self.observed.append(("first", engine)),
            lambda engine, outcome: self.observed.append(("ended", engine, outcome)),
        )
        self.answering = AnswerRunner(
            self.log, self.engine, RunnerConfig(lambda query, most: (PAGE,), silence, spawn, metrics)
        )
        self.talk = ConversationService(self.log, self.answering, idle_timeout_ms=30_000)
        session_id, _, _ = self.talk.create_session({"site": "a"})
        self.session_hash = ids.hash_session_id(session_id) or ""

    def ask(self, question: str = "Why?", client_id: str | None = None) -> TurnStart:
        return self.talk.start_turn(self.session_hash, "", question, client_id)

    def events(self, started: TurnStart) -> list[tuple[str, dict[str, Any]]]:
        """The whole story of a turn."""
        return [
            (event.type, event.payload()) for event in self.talk.stream_turn(self.session_hash, "", started) if event
        ]

    def history(self) -> list[dict[str, Any]]:
        return [orjson.loads(one) for one in self.log.read_messages(self.session_hash, "", "", 0, 100).messages]

    def quiet(self) -> None:
        """Wait until no turn runs here."""
        assert self.answering.drain(15)
        assert self.answering.drain(0)


def spawn(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


Start = Callable[..., ConversationFixture]


def deltas(events: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [data["text"] for kind, data in events if kind == "answer.delta" and data["text"]]
