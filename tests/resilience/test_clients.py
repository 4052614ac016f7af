"""Clients that vanish, dawdle or flood."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.api_client import ApiClient, Visitor
from tests.contract.launch import RedisProcess, Service, eventually
from tests.resilience.conftest import running_redis, standing

Serve = Callable[..., Service]
FEEDS = {"BATON_FEEDS_PER_ADDRESS": "1000"}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    """One Redis for this module."""
    yield from running_redis()


@pytest.fixture(scope="module")
def service(redis: RedisProcess) -> Iterator[Service]:
    """One service for this module: every test lets go of what it took."""
    yield from standing(redis.url, **FEEDS)


def sockets(service: Service) -> int:
    """Connections of clients that the service still holds: established, or left by the client and not yet closed."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] in ("01", "08") and int(row[1].split(":")[1], 16) == service.port for row in rows)


def raw(service: Service, text: str) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", service.port), timeout=20)
    wire.sendall(text.encode())
    return wire


def test_feeds_that_vanish(redis: RedisProcess, service: Service) -> None:
    """R24: 200 feeds whose clients vanish are let go within 20 s; Redis sees one reader a worker, not one a viewer."""
    visitors = [ApiClient(service.base).create() for _ in range(10)]
    visitors[0].ask("warm up")
    with redis.client() as look:
        connections = len(look.client_list())
        wires = []
        for number in range(200):
            wires.append(raw(service, f"GET {visitors[number % 10].path('/events')} HTTP/1.1\r\nHost: x\r\n\r\n"))
            assert wires[-1].recv(12) == b"HTTP/1.1 200"
        assert sockets(service) >= 200
        assert len(look.client_list()) - connections < 20
    for wire in wires:
        wire.close()
    assert eventually(lambda: sockets(service) == 0, 20, 0.2), f"{sockets(service)} sockets are left"
    assert visitors[0].say("hello").status_code == 201


def test_too_many_feeds(service: Service) -> None:
    """R24: at most 64 feeds a session; the next is told so, and may come when one has gone."""
    visitor = ApiClient(service.base).create()
    feeds = [visitor.events() for _ in range(64)]
    assert {feed.status for feed in feeds} == {200}
    refused = visitor.events()
    assert refused.status == 429
    assert refused.problem["code"] == "rate_limited"
    assert int(refused.headers["retry-after"]) >= 1
    with visitor.ask_streamed("hello") as stream:
        assert stream.status == 200, "a chat's own stream is not counted"
    feeds.pop().close()
    assert eventually(lambda: visitor.events().status == 200, 20, 0.5)
    for feed in feeds:
        feed.close()


def test_dawdlers(service: Service) -> None:
    """F19: slow headers, slow bodies and idle sockets: others are served."""
    visitor = ApiClient(service.base).create()
    slow = [raw(service, "POST /api/chat HTTP/1.1\r\nHost: x\r\nX-A: ") for _ in range(150)]
    slow += [
        raw(
            service,
            "POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{",
        )
        for _ in range(150)
    ]
    slow += [socket.create_connection(("127.0.0.1", service.port)) for _ in range(150)]
    waits = []
    for number in range(40):
        for wire in slow[number % 5 : 300 : 5]:
            wire.sendall(b"a")
        started = time.monotonic()
        assert visitor.say(f"m{number}").status_code == 201
        waits.append(time.monotonic() - started)
    assert sorted(waits)[37] < 2, "others wait for the slow"
    for wire in slow:
        wire.close()


def test_readers_that_do_not_read(service: Service) -> None:
    """A reader that takes nothing from its socket stalls nobody else, and the turn goes on."""
    visitor = ApiClient(service.base).create()
    deaf = [raw(service, f"GET {visitor.path('/events')} HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(10)]
    with visitor.events() as feed:
        for number in range(4):
            assert visitor.ask(f"tokens=10000 n={number}").status_code == 200
        feed.until("answer.end", count=4)
    assert visitor.say("hello").status_code == 201
    for wire in deaf:
        wire.close()


def test_a_burning_engine(redis: RedisProcess, serve: Serve) -> None:
    """F14: an engine that burns CPU or raises fails or slows its own turn; other sessions are served meanwhile."""
    service = serve(redis.url, BATON_ENGINE="python:tests.engines.scripted_engine:make", BATON_ENGINE_TIMEOUT="60")
    burners = [ApiClient(service.base).create() for _ in range(2)]
    visitor = ApiClient(service.base).create()
    with ThreadPoolExecutor(2) as pool:
        burning = [pool.submit(burner.ask, "burn=1.5") for burner in burners]
        started = time.monotonic()
        served = 0
        while not all(future.done() for future in burning) and served < 300:
            assert visitor.say("meanwhile").status_code == 201
            served += 1
        assert served > 20, f"only {served} appends in {time.monotonic() - started:.1f} s beside two burning turns"
        assert [future.result().status_code for future in burning] == [200, 200]


def test_rubbish_floods(service: Service) -> None:
    """F20: a flood of bad bodies and useless ids leaves the service well and Redis without a key of it."""
    visitor = ApiClient(service.base).create()
    with ThreadPoolExecutor(8) as pool:
        jobs = [
            pool.submit(
                visitor.caller.post, "/api/chat", content=b"{" * 1000, headers={"Content-Type": "application/json"}
            )
            for _ in range(200)
        ]
        jobs += [pool.submit(Visitor(visitor.caller, f"ses_{number:032d}").say, "x") for number in range(200)]
        assert {job.result().status_code for job in jobs} == {400, 404}
    assert visitor.say("hello").status_code == 201
