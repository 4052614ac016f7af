"""A Redis and services of a test's own, to be broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.conftest import PLAIN
from tests.contract.launch import ROOT, RedisProcess, Service
from tests.resilience.proxy import Proxy


def running_redis() -> Iterator[RedisProcess]:
    """A Redis with an append-only file that writes every command to disk."""
    process = RedisProcess("--appendfsync", "always")
    yield process
    process.stop()


def running_proxy(redis: RedisProcess) -> Iterator[Proxy]:
    """A proxy before a Redis."""
    between = Proxy(redis.port)
    yield between
    between.close()


def standing(url: str, **settings: str) -> Iterator[Service]:
    """One service for all tests of a module, which it has to survive one after the other without an unforeseen
    error.
    """
    one = Service(url, **{**PLAIN, "BATON_ENGINE_TIMEOUT": "10", **settings})
    yield one
    one.remove()
    assert unforeseen(one.last_words) == []


def unforeseen(log: str) -> list[str]:
    """The lines of a log that tell of an error that no code expects."""
    signs = ("internal_error", "unforeseen", "Traceback")
    return [line for line in log.splitlines() if any(sign in line for sign in signs)]


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis of the test's own."""
    yield from running_redis()


@pytest.fixture
def proxy(redis: RedisProcess) -> Iterator[Proxy]:
    """A proxy before that Redis."""
    yield from running_proxy(redis)


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    """Starts services with the settings of the contract tests; none of them may have seen an unforeseen error."""
    started: list[Service] = []

    def start(url: str, root: Path = ROOT, **settings: str) -> Service:
        started.append(Service(url, root=root, **{**PLAIN, "BATON_ENGINE_TIMEOUT": "10", **settings}))
        return started[-1]

    yield start
    for service in started:
        service.remove()
    assert [line for service in started for line in unforeseen(service.last_words)] == []
