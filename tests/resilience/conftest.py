"""A Redis and services of a test's own, to be broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.conftest import PLAIN
from tests.contract.launch import ROOT, RedisProcess, Service
from tests.resilience.proxy import Proxy


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis with an append-only file that writes every command to disk."""
    process = RedisProcess("--appendfsync", "always")
    yield process
    process.stop()


@pytest.fixture
def proxy(redis: RedisProcess) -> Iterator[Proxy]:
    """A proxy before that Redis."""
    between = Proxy(redis.port)
    yield between
    between.close()


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
    lines = [line for service in started for line in service.last_words.splitlines()]
    assert [line for line in lines if "internal_error" in line or "unforeseen" in line or "Traceback" in line] == []
