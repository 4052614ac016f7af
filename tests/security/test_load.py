"""R22 to R24: limits by session and address, the engine budget, and feeds."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.contract.api_client import ApiClient, at_once, is_problem
from tests.contract.feeds import SseFeed
from tests.contract.launch import eventually
from tests.security.conftest import running
from tests.security.target import Target

FORGED = [
    {"X-Forwarded-For": "203.0.113.{n}"},
    {"X-Real-IP": "203.0.113.{n}"},
    {"Forwarded": "for=203.0.113.{n}"},
    {"X-Forwarded-For": "203.0.113.{n}, 198.51.100.{n}"},
    {"Client-IP": "203.0.113.{n}"},
    {"True-Client-IP": "203.0.113.{n}"},
    {"CF-Connecting-IP": "203.0.113.{n}"},
    {"X-Client-IP": "2001:db8:{n}::1"},
    {"X-Cluster-Client-IP": "203.0.113.{n}"},
    {"Fly-Client-IP": "203.0.113.{n}"},
    {"X-Originating-IP": "203.0.113.{n}"},
    {"REMOTE_ADDR": "203.0.113.{n}"},
]


def forged(number: int) -> dict[str, str]:
    """One of the header sets by which a caller may claim another address, each time another."""
    chosen = FORGED[number % len(FORGED)]
    return {name: value.replace("{n}", str(number)) for name, value in chosen.items()}


def test_r22_forged_addresses_buy_nothing(launch: Callable[..., Target]) -> None:
    """R22: racing creates and questions under ever new forged addresses: no more pass than the limits say."""
    launched = launch(
        BATON_RATE_LIMIT_CREATE="10 per hour",
        BATON_RATE_LIMIT_ADDRESS="12 per hour",
        BATON_RATE_LIMIT_SESSION="5 per hour",
    )
    caller = ApiClient(launched.base)
    made = at_once(36, lambda n: caller.post("/api/session/create", headers=forged(n)))
    assert sorted(answer.status_code for answer in made) == [201] * 10 + [429] * 26
    for answer in (answer for answer in made if answer.status_code == 429):
        assert 0 < int(answer.headers["retry-after"]) <= 3600
        assert is_problem(answer, 429, "rate_limited")["retryable"] is True
    ids = [answer.json()["session_id"] for answer in made if answer.status_code == 201]
    for number in range(7):
        headers = forged(number) | {"Authorization": f"Bearer {ids[0]}"}
        body = {"query": f"session {number}"}
        assert caller.post("/api/chat", json=body, headers=headers).status_code == (200 if number < 5 else 429)
    asked = at_once(
        9, lambda n: caller.post("/api/chat", json={"query": f"q{n}", "session_id": ids[1 + n]}, headers=forged(n))
    )
    alone = at_once(10, lambda n: caller.post("/api/chat", json={"query": f"alone {n}"}, headers=forged(n)))
    passed = [answer for answer in (*asked, *alone) if answer.status_code == 200]
    assert len(passed) <= 12 - 5
    assert {answer.status_code for answer in (*asked, *alone)} == {200, 429}
    history = sum(len(caller.get(f"/api/session/{one}/messages").json()["messages"]) for one in ids)
    assert history == 2 * (5 + len([answer for answer in asked if answer.status_code == 200])), (
        "a refused call was answered"
    )


def test_r22_behind_one_proxy_the_last_hop_counts(launch: Callable[..., Target]) -> None:
    """R22: with one trusted proxy its own word counts and what stands before it does not; IPv6 counts by /64, and
    a port is no part of an address."""
    launched = launch(BATON_RATE_LIMIT_CREATE="2 per hour", BATON_TRUSTED_PROXIES="1")
    caller = ApiClient(launched.base)

    def create(forwarded: str) -> int:
        return caller.post("/api/session/create", headers={"X-Forwarded-For": forwarded}).status_code

    assert [create(f"203.0.113.{n}, 198.51.100.7") for n in range(4)] == [201, 201, 429, 429]
    assert [create(f"{quoted}203.0.113.9, 198.51.100.7") for quoted in ('"', '"\\', 'for="', '" ')] == [429] * 4
    assert [create(f"2001:db8:1:2::{n}") for n in range(4)] == [201, 201, 429, 429]
    assert [create("2001:db8:1:3::1"), create("::ffff:198.51.100.7"), create("198.51.100.8")] == [201, 429, 201]
    assert [create("x" * 500), create("x" * 500), create("x" * 500)] == [201, 201, 429]
    assert [create(f"198.51.100.9:{port}") for port in (4711, 4712)] == [201, 201]
    assert [create(f"198.51.100.9{rest}") for rest in (":4713", "", ":")] == [429] * 3
    assert [create(f"[2001:db8:1:4::{n}]:471{n}") for n in range(4)] == [201, 201, 429, 429]
    assert [create("[2001:db8:1:4::9]"), create("2001:db8:1:4::9"), create("[::ffff:198.51.100.9]:1")] == [429] * 3


@pytest.fixture(scope="module")
def tight() -> Iterator[Target]:
    """A service with a small engine budget."""
    yield from running(BATON_ENGINE_CONCURRENCY="3", BATON_ENGINE_PER_MINUTE="5")


@pytest.mark.parametrize("where", ["session", "alone", "stream"])
def test_r23_the_engine_budget_holds(tight: Target, where: str) -> None:
    """R23: twenty questions at once by twenty visitors: no more are answered than the budget says."""
    with tight.redis.client() as redis:
        redis.flushall()  # nothing of the budget is used
    caller = ApiClient(tight.base)
    visitors = [caller.create() for _ in range(20)]

    def ask(number: int) -> int:
        if where == "alone":
            return caller.post("/api/chat", json={"query": "echo"}).status_code
        if where == "stream":
            with visitors[number].ask_streamed("slow") as feed:
                if feed.status == 200:
                    feed.until("answer.delta")
                    visitors[number].post("/stop")
                return int(feed.status)
        return visitors[number].ask("echo").status_code

    statuses = at_once(20, ask)
    assert set(statuses) == {200, 503}
    answered = statuses.count(200)
    assert 1 <= answered <= 5

    def ask_once_more() -> bool:  # the first may find a place taken
        nonlocal answered
        answered += caller.post("/api/chat", json={"query": "echo"}).status_code == 200
        return answered == 5

    assert answered == 5 or eventually(ask_once_more, 20)
    later = [caller.post("/api/chat", json={"query": "echo"}) for _ in range(15)]
    assert {answer.status_code for answer in later} == {503}
    refused = later[-1]
    assert is_problem(refused, 503, "engine_busy")["retryable"] is True
    assert 0 < int(refused.headers["retry-after"]) <= 60


def test_r23_one_address_has_a_quarter_of_the_engine_budget(launch: Callable[..., Target]) -> None:
    """R23: of eight places, twelve slow questions without a session from one address get two, over both workers; its
    sessions get none, other addresses get theirs until all are taken, and a place that is free is given out again.
    """
    launched = launch(BATON_ENGINE_CONCURRENCY="8", BATON_TRUSTED_PROXIES="1", WEB_CONCURRENCY="2")
    caller = ApiClient(launched.base)

    def slow(address: str) -> SseFeed:
        feed = SseFeed(
            launched.base + "/api/chat", method="POST", body={"query": "slow"}, headers={"X-Forwarded-For": address}
        )
        if feed.status == 200:
            feed.until("answer.start")
        else:
            assert feed.status == 503
            assert feed.problem["code"] == "engine_busy"
            assert int(feed.headers["retry-after"]) >= 1
        return feed

    def quick(address: str) -> int:
        visitor = caller.create()
        return visitor.ask("echo", headers={"X-Forwarded-For": address}).status_code

    with ExitStack() as stack:
        flood = [stack.enter_context(feed) for feed in at_once(12, lambda _: slow("198.51.100.7"))]
        assert sorted(feed.status for feed in flood) == [200] * 2 + [503] * 10
        assert quick("198.51.100.7") == 503
        assert quick("::ffff:198.51.100.7") == 503
        assert quick("198.51.100.8") == 200
        network = [stack.enter_context(slow(f"2001:db8:1:2::{n}")) for n in range(3)]
        assert [feed.status for feed in network] == [200, 200, 503]
        for address in ("198.51.100.9", "198.51.100.10"):
            assert [stack.enter_context(slow(address)).status for _ in range(3)] == [200, 200, 503]
        assert quick("198.51.100.11") == 503, "all eight are taken"
        for feed in flood:
            if feed.status == 200:
                feed.socket.shutdown(socket.SHUT_RDWR)
        assert eventually(lambda: quick("198.51.100.7") == 200, 20, 0.2), "its places were not given back"


def test_r24_feeds_are_bounded_and_readers_shared(launch: Callable[..., Target]) -> None:
    """R24: under a bound of 8 a session and 20 an address no more feeds open; a chat's own stream is not counted; Redis
    sees no more connections for twenty viewers than for one; when the clients vanish their places are free again.
    """
    launched = launch(BATON_FEEDS_PER_SESSION="8", BATON_FEEDS_PER_ADDRESS="20")
    caller = ApiClient(launched.base)
    visitors = [caller.create() for _ in range(4)]
    with ExitStack() as open_feeds, launched.redis.client() as look:
        first = open_feeds.enter_context(visitors[0].events())
        assert first.status == 200
        alone = len(look.client_list())
        feeds: list[SseFeed] = [open_feeds.enter_context(visitors[n % 4].events()) for n in range(1, 40)]
        statuses = [feed.status for feed in feeds]
        assert statuses.count(200) == 19, statuses
        assert {feed.problem["code"] for feed in feeds if feed.status == 429} == {"rate_limited"}
        assert len(look.client_list()) <= alone + 12
        with visitors[0].ask_streamed("hello") as stream:
            assert stream.status == 200
            stream.until("answer.end")
        for feed in feeds:
            if feed.status == 200:
                feed.socket.shutdown(socket.SHUT_RDWR)
    started = time.monotonic()
    assert eventually(lambda: opens(visitors[1]), 20)
    assert time.monotonic() - started < 20


def opens(visitor: object) -> bool:
    """Whether eight feeds of this session can be open at once."""
    with ExitStack() as stack:
        return all(stack.enter_context(visitor.events()).status == 200 for _ in range(8))  # type: ignore[attr-defined]
