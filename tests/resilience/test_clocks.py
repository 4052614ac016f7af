"""Clocks that are set an hour forward and back under load: Redis' alone, or every process' of the service too."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.api_client import ApiClient, Visitor, at_once
from tests.contract.fake_bot import spoken
from tests.contract.feeds import joined, story
from tests.contract.launch import RedisProcess, Service, eventually
from tests.resilience.clock import Clock
from tests.resilience.test_workers import CLOSING, ask_aside, follow_to_the_end
from tests.resilience.write_auditor import WriteAuditor, note

Serve = Callable[..., Service]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HOUR = 3600
JUMPS = (HOUR, 0, -HOUR, 0)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def redis(clock: Clock) -> Iterator[RedisProcess]:
    """A Redis that has that clock's time."""
    process = RedisProcess("--appendfsync", "always", environ=clock.for_redis)
    yield process
    process.stop()


def are_sound(visitor: Visitor) -> None:
    """Nothing is younger than what came before it, and nothing ends before it began."""
    body = visitor.get().json()
    times = [message["created_at"] for message in visitor.history()]
    assert times == sorted(times)
    assert body["created_at"] <= body["last_seen_at"] <= body["updated_at"] < body["expires_at"]
    assert not times or body["created_at"] <= times[0] <= times[-1] <= body["updated_at"]
    assert body["status"] in ("active", "abandoned")


def answers_over_a_jump(base: str, clock: Clock, seconds: int) -> None:
    """Quick and slow answers, each followed and looked at while the clock is set: none breaks off, none is lost."""
    visitors = [ApiClient(base).create() for _ in range(6)]
    cursors = [visitor.get("/messages").json()["cursor"] for visitor in visitors]
    questions = ["tokens=120 delay=0.02", "tokens=3 delay=1.8"] * 3
    for visitor, question in zip(visitors, questions, strict=True):
        ask_aside(visitor, question)
    feeds = [visitor.events(after=cursor) for visitor, cursor in zip(visitors, cursors, strict=True)]
    for feed in feeds:
        feed.until("answer.start")
    clock.set(seconds)

    def look(number: int) -> Any:
        """Whoever reads, speaks or asks the same again at that moment takes nobody for dead."""
        visitor = visitors[number]
        assert visitor.get("/messages").status_code == 200
        assert visitor.say("meanwhile").status_code == 201
        return visitor.ask(questions[number], client_id="c").json()

    answers = at_once(len(visitors), look)
    for number, (visitor, feed) in enumerate(zip(visitors, feeds, strict=True)):
        whole = spoken(120 if number % 2 == 0 else 3)
        events = story(feed.until(*CLOSING, seconds=20))
        assert [event.event for event in events if event.event in CLOSING] == ["answer.end"]
        assert joined(events) == answers[number]["answer"] == whole
        assert sorted(visitor.texts()) == sorted([questions[number], "meanwhile", whole])
        are_sound(visitor)
        feed.close()


@pytest.mark.parametrize("whose", ["redis", "everybody"])
def test_clocks_jump(redis: RedisProcess, serve: Serve, clock: Clock, whose: str) -> None:
    """F12: clocks jump an hour forward and back, twice: order kept, no negative ages, nothing lost or expired, answers
    and feeds go on.
    """
    service = serve(redis.url, **(clock.for_python if whose == "everybody" else {}))
    old = ApiClient(service.base).create()
    old.said("before")
    ticket = old.ticket("share")
    writers = WriteAuditor([ApiClient(service.base).create() for _ in range(4)], pause=0.1)
    with writers, old.events() as feed, old.ws() as socket:
        for number, seconds in enumerate(JUMPS):
            answers_over_a_jump(service.base, clock, seconds)
            assert writers.goes_on(3)
            old.said(f"after jump {number}")
            for reader in (feed, socket):
                reader.until("message", count=number + 1, seconds=3)
                assert not reader.closed
            assert 0 < old.post("/handoff").json()["expires_in"] <= 300
            assert old.caller.resume(ticket).status_code == 200
            are_sound(old)
    assert old.texts() == ["before", *(f"after jump {number}" for number in range(len(JUMPS)))]
    writers.check()
    for visitor in writers.visitors:
        are_sound(visitor)
    with redis.client() as look:
        assert [name for name in look.scan_iter() if look.ttl(name) == -1] == []


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_worker_dies_after_a_jump(redis: RedisProcess, serve: Serve, clock: Clock, seconds: int) -> None:
    """F12: a worker killed after the clock was set: its answer is closed within 20 s all the same."""
    service = serve(redis.url)
    visitor = ApiClient(service.base).create()
    cursor = visitor.get("/messages").json()["cursor"]
    ask_aside(visitor, "victim tokens=1000 delay=0.02")
    with visitor.events(after=cursor) as feed:
        feed.until("answer.delta", count=3)
        clock.set(seconds)
        feed.until("answer.delta", count=40)
    os.kill(service.worker_of("victim"), signal.SIGKILL)
    died = time.monotonic()
    events = follow_to_the_end([service.base], visitor, cursor, 20)
    note(heal=time.monotonic() - died)
    assert [event.event for event in events if event.event in CLOSING] == ["answer.error"]
    assert visitor.history()[1]["content"] == joined(events)
    assert visitor.ask("next").status_code == 200


def test_limits_over_a_jump(redis: RedisProcess, serve: Serve, clock: Clock) -> None:
    """F12: whoever has used up a limit when the clock is set back waits for the rest of the window, not for an hour."""
    clock.set(HOUR)
    service = serve(
        redis.url, BATON_RATE_LIMIT_SESSION="3 per 6 seconds", BATON_RATE_LIMIT_CREATE="2 per 6 seconds",
        BATON_RATE_LIMIT_ADDRESS="5 per 6 seconds", BATON_ENGINE_PER_MINUTE="1",
    )  # fmt: skip
    caller = ApiClient(service.base)
    visitor, other = caller.create(), caller.create()
    assert [visitor.say("x").status_code for _ in range(4)] == [201, 201, 201, 429]
    assert other.ask("x").status_code == 200
    refused = [lambda: visitor.say("x"), lambda: other.say("x"), lambda: caller.post("/api/session/create")]
    assert [call().status_code for call in refused] == [429, 429, 429]
    clock.set(0)
    for call in refused:
        answer = call()
        assert answer.status_code == 201 or int(answer.headers["retry-after"]) <= 6
    started = time.monotonic()
    assert all(eventually(lambda call=call: call().status_code == 201, 10, 0.3) for call in refused)
    note(heal=time.monotonic() - started)
    crowded = eventually(lambda: (r := other.ask("x")).status_code == 503 and r, 10, 0.5)
    assert crowded
    assert int(crowded.headers["retry-after"]) <= 60
