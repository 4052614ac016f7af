"""The store on every kind of Redis that it supports, and helpers for its tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from app.config import Settings
from app.conversations import ids
from app.conversations.events import serialize_message
from app.storage import open_store
from app.storage.base import NewMessage
from app.storage.redis_store import RedisConversationStore, StoreLimits
from tests.storage.servers import BACKENDS, Backend

RULES: dict[str, int] = {
    "ttl": 60_000, "max_age": 600_000, "idle": 30_000, "ticket_ttl": 5_000, "max_messages": 500, "session_limit": 0,
    "session_window": 60_000, "max_engine_calls": 4, "max_engine_calls_per_minute": 100,
}  # fmt: skip

Open = Callable[..., RedisConversationStore]


@pytest.fixture(scope="session")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Backend]]:
    """Every kind of Redis, started when first asked for and kept for all tests."""
    started: dict[str, Backend] = {}
    with contextlib.ExitStack() as stack:

        def get(name: str) -> Backend:
            if name not in started:
                started[name] = stack.enter_context(BACKENDS[name](tmp_path_factory.mktemp(name)))
            return started[name]

        yield get


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest, backends: Callable[[str], Backend]) -> Backend:
    """A Redis of each kind, empty."""
    found = backends(request.param)
    found.flush()
    return found


OPENED: list[RedisConversationStore] = []


def log_at(url: str, *, wait_replicas: int = 0, **rules: int) -> RedisConversationStore:
    """A log as a worker opens it; closed after the test."""
    config = Settings(redis_url=url, wait_replicas=wait_replicas)  # type: ignore[arg-type]
    OPENED.append(open_store(config, StoreLimits(**{**RULES, **rules})))
    return OPENED[-1]


@pytest.fixture(autouse=True)
def close_logs() -> Iterator[None]:
    """No subscriber and no connection outlives its test."""
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def opened(backend: Backend) -> Open:
    """Opens logs on the Redis: ``opened(ttl=2000)``."""
    return lambda **rules: log_at(backend.url, **rules)


@pytest.fixture
def log(opened: Open) -> RedisConversationStore:
    """A log with roomy rules."""
    return opened()


def new(log: RedisConversationStore, metadata: bytes = b"", owner: str = "") -> str:
    """A new session's ref."""
    session_hash = ids.hash_session_id(ids.new_session_id())
    assert session_hash
    log.create_session(session_hash, metadata, owner)
    return session_hash


def words(text: str, client_id: str = "") -> NewMessage:
    return NewMessage(serialize_message("user", text, None, client_id or None), client_id)


def texts(log: RedisConversationStore, session_hash: str, most: int = 500) -> list[str]:
    """What was said, in order."""
    return [orjson.loads(one)["content"] for one in log.read_messages(session_hash, "", "", 0, most).messages]


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """The outcomes of so many calls at the same time; an exception is an outcome."""

    def outcome(number: int) -> Any:
        try:
            return work(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(outcome, range(count)))
