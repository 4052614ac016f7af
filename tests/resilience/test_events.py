"""Events to the owner's own systems, whatever happens to the receiver, a worker or Redis."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from app.storage.client import RedisClient
from app.storage.event_queue import EventQueue, entry
from tests.contract.api_client import ApiClient, at_once
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
