"""A Redis that answers, but with a refusal: still loading its file, or full of other clients."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.contract.api_client import ApiClient
from tests.contract.launch import RedisProcess, Service, eventually
from tests.resilience.write_auditor import bounded, heals, is_unavailable

Serve = Callable[..., Service]
PASSWORD = "swordfish-at-dawn"


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis with a user of the service's own, whose password must stand in no log."""
    process = RedisProcess("--user", "baton", "on", f">{PASSWORD}", "~*", "&*", "+@all")
    yield process
    process.stop()


@pytest.fixture
def service(redis: RedisProcess, serve: Serve) -> Service:
    return serve(f"redis://baton:{PASSWORD}@127.0.0.1:{redis.port}/0")


def fill(redis: RedisProcess, keys: int) -> None:
    """Writes so many keys, which a restart has to load."""
    with redis.client() as admin:
        for start in range(0, keys, 5_000):
            pipe = admin.pipeline(transaction=False)
            for number in range(start, min(start + 5_000, keys)):
                pipe.set(f"foreign:{number}", "x", ex=600)
            pipe.execute()


def test_still_loading(redis: RedisProcess, service: Service) -> None:
    """F8: Redis is back and still loading a long append-only file: 503 in bounded time, LOADING in the log and in
    `/health`, never the password; heals when it has loaded.
    """
    visitor = ApiClient(service.base).create()
    visitor.said("before")
    fill(redis, 20_000)
    redis.send(signal.SIGKILL)
    redis.options += ["--key-load-delay", "200"]  # 20,000 keys in some five seconds
    redis.start(wait=False)
    health = "/health"
    assert eventually(lambda: bounded(lambda: visitor.caller.get(health)).json()["redis"] == "LOADING", 8, 0.1)
    for _ in range(3):
        is_unavailable(bounded(lambda: visitor.say("x", client_id="c")))
        is_unavailable(bounded(lambda: visitor.ask("x", client_id="d")))
        is_unavailable(bounded(lambda: visitor.get("/messages")))
    assert eventually(lambda: "LOADING" in service.log(), 3, 0.1)
    assert eventually(redis.answers, 30, 0.1)
    assert heals(visitor.caller)
    assert visitor.say("x", client_id="c").status_code in (200, 201)
    assert visitor.texts() == ["before", "x"]
    assert PASSWORD not in service.log()


def test_full_of_clients(redis: RedisProcess, service: Service) -> None:
    """F8: Redis takes no more clients: 503 in bounded time, MAXCLIENTS in the log, never the password; heals when
    the others go.
    """
    visitor = ApiClient(service.base).create()
    visitor.said("before")
    with redis.client() as admin, visitor.events() as feed, contextlib.ExitStack() as crowd:
        for _ in range(20):
            crowd.enter_context(socket.create_connection(("127.0.0.1", redis.port)))
        assert eventually(lambda: len(admin.client_list()) > 20)
        admin.config_set("maxclients", 21)  # the crowd and this one
        admin.execute_command("CLIENT", "KILL", "USER", "baton", "SKIPME", "yes")
        assert eventually(lambda: bounded(lambda: visitor.say("x", client_id="c")).status_code == 503, 5, 0.1)
        for _ in range(3):
            is_unavailable(bounded(lambda: visitor.say("x", client_id="c")))
            is_unavailable(bounded(lambda: visitor.get("/messages")))
        assert eventually(lambda: "MAXCLIENTS" in service.log(), 3, 0.1)
        assert eventually(lambda: visitor.caller.get("/health").json()["redis"] == "MAXCLIENTS", 5, 0.2)
        assert not feed.closed
        crowd.close()
        assert heals(visitor.caller)
        visitor.said("after")
        assert "after" in [event.data["content"] for event in feed.until("message", seconds=5) if event.id]
    assert PASSWORD not in service.log()
