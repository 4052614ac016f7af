"""Events to the owner's own systems, whatever happens to the receiver, a worker or Redis."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.storage.client import RedisClient
from app.storage.event_queue import EventQueue, entry
from tests.contract.api_client import ApiClient, at_once
from tests.contract.conftest import API_KEY
from tests.contract.desk_client import ServerClient
from tests.contract.launch import RedisProcess, Service, eventually
from tests.event_receiver import SECRET, Attempt, EventReceiver, receiving

Serve = Callable[..., Service]
REFS = [f"cnv_{number:024x}" for number in range(20)]
EACH = 15


def settings(receiver: EventReceiver) -> dict[str, str]:
    return {
        "BATON_EVENTS_URL": receiver.url,
        "BATON_EVENTS_SECRET": SECRET,
        "BATON_WEBHOOK_ALLOW_PRIVATE": "on",
    }


def fill(redis: RedisProcess, numbers: range) -> None:
    """Puts events of twenty sessions into the queue."""
    client = RedisClient(redis.url)
    at = int(time.time() * 1000)
    events: list[Any] = [entry({"n": n, "type": "session.restored", "at": at}, ref) for n in numbers for ref in REFS]
    EventQueue(client, "test", 0, 0).add(events)
    client.close()


def wanted(ref: str) -> list[str]:
    return [f"evt_{ref[4:]}_{number}" for number in range(1, EACH + 1)]


def is_complete(receiver: EventReceiver) -> bool:
    return all(len(receiver.first_taken(ref)) == EACH for ref in REFS)


def is_in_order(receiver: EventReceiver) -> None:
    """Every event of each session was taken, in order, and every signature was right."""
    for ref in REFS:
        assert receiver.first_taken(ref) == wanted(ref)
    assert receiver.forged == []


@pytest.mark.slow
def test_workers_that_are_killed_lose_no_event(redis: RedisProcess, serve: Serve) -> None:
    """R35: both workers killed -9 while they send, one after the other: all events come, in order for each session."""
    killed: list[int] = []

    def answer(attempt: Attempt) -> int:
        if len(killed) < 2 and len(receiver.attempts) >= 30 * (len(killed) + 1):
            workers = [pid for pid in service.workers() if pid not in killed]
            if workers:
                killed.append(workers[0])
                os.kill(workers[0], signal.SIGKILL)
        time.sleep(0.02)
        return 200

    with receiving(answer) as receiver:
        service = serve(redis.url, **settings(receiver))
        fill(redis, range(1, EACH + 1))
        assert eventually(lambda: is_complete(receiver), 60), "some events have not come"
        is_in_order(receiver)
    assert len(killed) == 2


@pytest.mark.slow
@pytest.mark.parametrize("failure", ["hang", 500, "close", "drip"])
def test_a_failing_receiver_harms_nobody(redis: RedisProcess, serve: Serve, failure: int | str) -> None:
    """R35, F24: while the receiver hangs or fails, visitors chat as ever; once it is well, all comes in order."""
    is_well = False
    with receiving(lambda attempt: 200 if is_well else failure) as receiver:
        service = serve(redis.url, **settings(receiver))
        fill(redis, range(1, EACH + 1))
        assert eventually(lambda: len(receiver.attempts) >= 4, 20), "nothing was tried"
        visitors = [ApiClient(service.base).create() for _ in range(20)]
        answers = at_once(20, lambda number: visitors[number].ask(f"hello {number}").status_code)
        assert answers == [200] * 20
        assert receiver.taken == []
        is_well = True
        assert eventually(lambda: is_complete(receiver), 90), "some events have not come"
        is_in_order(receiver)


@pytest.mark.slow
def test_redis_killed_while_events_are_sent(redis: RedisProcess, serve: Serve) -> None:
    """R35, F6: Redis killed -9 and started again: nothing is lost; what was sent and not noted comes a second time."""
    with receiving() as receiver:
        serve(redis.url, **settings(receiver))
        fill(redis, range(1, 6))
        assert eventually(lambda: len(receiver.taken) >= 20, 20)
        fill(redis, range(6, EACH + 1))
        redis.send(signal.SIGKILL)
        redis.start()
        assert eventually(lambda: is_complete(receiver), 60), "some events have not come"
        is_in_order(receiver)


@pytest.mark.slow
def test_killed_workers_neither_forget_nor_count_twice(redis: RedisProcess, serve: Serve) -> None:
    """R35: workers killed -9 at random moments of a busy minute: each conversation is sent and counted exactly once
    for what is stored of it.
    """
    with receiving() as receiver:
        service = serve(redis.url, BATON_DESK="on", **settings(receiver))
        over = threading.Event()

        def kill() -> None:
            while not over.wait(1.5):
                for pid in service.workers()[:1]:
                    os.kill(pid, signal.SIGKILL)

        def talk(number: int) -> None:
            for turn in range(6):
                with contextlib.suppress(httpx.HTTPError, AssertionError):
                    visitor = ApiClient(service.base).create()
                    visitor.ask(f"unknown {number} {turn}")
                    visitor.post("/end")

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        at_once(8, talk)
        over.set()
        killer.join()
        eventually(lambda: len(service.workers()) >= 2, 20)
        server = ServerClient(service.base, API_KEY)

        def counted() -> dict[str, int]:
            day = server.call("GET", "/analytics").json()["days"][-1]
            return {name: day[name] for name in ("sessions", "asked", "ended")}

        def analytics() -> dict[str, int]:
            found = Counter(event["type"] for event in receiver.events())
            return {"sessions": found["session.created"], "ended": found["session.ended"]}

        # A request that was in the backlog of a killed worker may still be served, so the truth is asked for each time.
        eventually(lambda: counted() == stored(redis) and analytics().items() <= stored(redis).items(), 90)
        truth = stored(redis)
        assert truth["sessions"] > 10
        assert counted() == truth
        assert analytics() == {"sessions": truth["sessions"], "ended": truth["ended"]}
        for ref in {event["data"]["ref"] for event in receiver.events()}:
            types = [event["type"] for event in receiver.events() if event["data"]["ref"] == ref]
            assert types[0] == "session.created"
            assert "session.ended" not in types[:-1]


def stored(redis: RedisProcess) -> dict[str, int]:
    """How many conversations there are in Redis, in how many something was asked, and how many have ended."""
    with redis.client() as look:
        metas = [look.hgetall(key) for key in look.scan_iter("baton:{*}:meta", count=1000)]
    return {
        "sessions": len(metas),
        "asked": sum(int(meta.get("asked", 0)) > 0 for meta in metas),
        "ended": sum(bool(meta.get("ended")) for meta in metas),
    }
