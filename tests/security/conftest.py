"""What the attacks aim at: services with a Redis of their own, and the browser with a customer's site."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contract.actor import Caller
from tests.contract.conftest import NO_LIMITS
from tests.contract.launch import RedisProcess, Service
from tests.security.links import Aim
from tests.widget.conftest import baton, context, site, stranger, visit

__all__ = ["baton", "context", "site", "stranger", "visit"]

ALLOWED = "https://a.example.com"
PUBLIC = "https://chat.example"
API_KEY = "key-of-the-server-0123456789"
SETTINGS = {
    **NO_LIMITS,
    "BATON_ENGINE": "python:tests.security.bot:answer",
    "BATON_ENGINE_PER_MINUTE": "100000",
    "BATON_ENGINE_TIMEOUT": "10",
    "BATON_PUBLIC_URL": PUBLIC,
    "BATON_ALLOWED_ORIGINS": f"{ALLOWED},http://localhost:1234",
    "BATON_API_KEY": API_KEY,
}


@pytest.fixture(scope="session")
def target() -> Iterator[Aim]:
    """A service without limits, open to two origins, whose public address is ``https://chat.example``."""
    redis = RedisProcess()
    service = Service(redis.url, **SETTINGS)
    yield Aim(service, redis)
    service.remove()
    redis.stop()
    assert [line for line in service.last_words.splitlines() if "Traceback (most" in line] == []


@pytest.fixture
def caller(target: Aim) -> Caller:
    return Caller(target.base)


@pytest.fixture
def launch() -> Iterator[Callable[..., Aim]]:
    """Starts services of a test's own: ``launch(BATON_SESSION_TTL="2")``; ``beside`` shares the Redis of another."""
    started: list[Aim] = []
    servers: list[RedisProcess] = []

    def start(beside: Aim | None = None, redis_url: str = "", **settings: str) -> Aim:
        if beside is None:
            servers.append(RedisProcess())
        redis = beside.redis if beside else servers[-1]
        aim = Aim(Service(redis_url or redis.url, **{**SETTINGS, "WEB_CONCURRENCY": "1", **settings}), redis)
        started.append(aim)
        return aim

    yield start
    for aim in started:
        aim.service.remove()
    for server in servers:
        server.stop()
