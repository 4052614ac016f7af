"""What the attacks use: services with a Redis of their own, and the browser with a customer's site."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contract.api_client import ApiClient
from tests.contract.conftest import NO_LIMITS
from tests.contract.launch import RedisProcess, Service
from tests.security.target import Target
from tests.widget.conftest import baton, context, site, stranger, visit

__all__ = ["baton", "context", "site", "stranger", "visit"]

ALLOWED = "https://a.example.com"
PUBLIC = "https://chat.example"
API_KEY = "key-of-the-server-0123456789"
SETTINGS = {
    **NO_LIMITS,
    "BATON_ENGINE": "python:tests.security.fake_bot:answer",
    "BATON_ENGINE_PER_MINUTE": "100000",
    "BATON_ENGINE_TIMEOUT": "10",
    "BATON_PUBLIC_URL": PUBLIC,
    "BATON_ALLOWED_ORIGINS": f"{ALLOWED},http://localhost:1234",
    "BATON_API_KEY": API_KEY,
}


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    """A service without limits, open to two origins, whose public address is ``https://chat.example``."""
    redis = RedisProcess()
    service = Service(redis.url, **SETTINGS)
    yield Target(service, redis)
    service.remove()
    redis.stop()
    assert [line for line in service.last_words.splitlines() if "Traceback (most" in line] == []


@pytest.fixture
def caller(target: Target) -> ApiClient:
    return ApiClient(target.base)


def running(**settings: str) -> Iterator[Target]:
    """A service with one worker, on a Redis of its own."""
    redis = RedisProcess()
    service = Service(redis.url, **{**SETTINGS, "WEB_CONCURRENCY": "1", **settings})
    yield Target(service, redis)
    service.remove()
    redis.stop()


@pytest.fixture
def launch() -> Iterator[Callable[..., Target]]:
    """Starts services of a test's own: ``launch(BATON_SESSION_TTL="2")``; ``beside`` shares the Redis of another."""
    started: list[Target] = []
    servers: list[RedisProcess] = []

    def start(beside: Target | None = None, redis_url: str = "", **settings: str) -> Target:
        if beside is None:
            servers.append(RedisProcess())
        redis = beside.redis if beside else servers[-1]
        launched = Target(Service(redis_url or redis.url, **{**SETTINGS, "WEB_CONCURRENCY": "1", **settings}), redis)
        started.append(launched)
        return launched

    yield start
    for launched in started:
        launched.service.remove()
    for server in servers:
        server.stop()
