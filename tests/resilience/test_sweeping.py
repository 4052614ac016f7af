"""What happens by the clock while workers die: nothing recorded twice, nothing forgotten."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.storage.desk_index import PREFIX
from tests.contract.api_client import ApiClient, Visitor, at_once
from tests.contract.conftest import API_KEY
from tests.contract.desk_client import DeskClient, ServerClient
from tests.contract.feeds import SseFeed
from tests.contract.launch import RedisProcess, Service, eventually
from tests.event_receiver import SECRET, EventReceiver, receiving
from tests.resilience.clock import Clock

Serve = Callable[..., Service]


def rows(client: DeskClient | ServerClient, view: str) -> dict[str, dict[str, object]]:
    """The first hundred of a view, by ref."""
    found = client.call("GET", f"/conversations?view={view}&limit=100").json()["conversations"]
    return {row["ref"]: row for row in found}


def killer(services: list[Service], deaths: int) -> Iterator[int]:
    """Kills one worker after the other; gunicorn starts others in their place."""
    for _ in range(deaths):
        pid = random.choice([pid for service in services for pid in service.workers()])
        os.kill(pid, signal.SIGKILL)
        yield pid


def test_a_worker_that_leaves_applies_its_changes(redis: RedisProcess, serve: Serve) -> None:
    """F15: the only worker is asked to go right after messages: what it has changed is in the index when it is gone."""
    service = serve(redis.url, BATON_DESK="on", WEB_CONCURRENCY="1")
    visitors = [ApiClient(service.base).create() for _ in range(8)]
    at_once(8, lambda number: visitors[number].said("Just before the end"))
    service.stop(40)
    with redis.client() as look:
        assert look.zcard(f"{PREFIX}view:bot") == 8
        assert look.zcard("baton:changes:{desk}") == 0
        assert look.get(f"{PREFIX}sweeper") is None


@pytest.mark.slow
def test_abandoned_while_workers_die(redis: RedisProcess, serve: Serve) -> None:
    """R35: 120 visitors leave while workers of two services are killed -9, the sweeping one too: one event each."""
    with receiving() as receiver:
        settings = {"BATON_DESK": "on", "BATON_IDLE_TIMEOUT": "2", "BATON_EVENTS_URL": receiver.url,
                    "BATON_EVENTS_SECRET": SECRET, "BATON_WEBHOOK_ALLOW_PRIVATE": "on"}  # fmt: skip
        services = [serve(redis.url, **settings) for _ in range(2)]
        deaths = killer(services, 6)
        for batch in range(6):
            visitors = [ApiClient(random.choice(services).base).create() for _ in range(20)]
            at_once(20, lambda number, visitors=visitors: _say(visitors[number]))
            next(deaths)
            # Some are recorded while workers die.
            assert eventually(lambda batch=batch: len(_abandoned(receiver)) >= 5 * batch, 30), batch
        with redis.client() as look:
            eventually(lambda: look.zcard(f"{PREFIX}rows") == 120, 20)
            refs = [str(ref) for ref in look.zrange(f"{PREFIX}rows", 0, -1)]
        assert len(refs) == 120
        assert eventually(lambda: len(_abandoned(receiver)) >= 120, 60), len(_abandoned(receiver))
        assert sorted(_abandoned(receiver)) == sorted(refs)
        for ref in refs:
            kinds = [event["type"] for event in receiver.events() if event["data"]["ref"] == ref]
            assert kinds == ["session.created", "session.abandoned"]


def _say(visitor: Visitor) -> None:
    """Say something, however often workers die meanwhile."""
    assert eventually(lambda: _said(visitor), 20)


def _said(visitor: Visitor) -> bool:
    try:
        return visitor.say("Hello", client_id="c").status_code in (200, 201)
    except httpx.TransportError:
        return False


def _abandoned(receiver: EventReceiver) -> list[str]:
    """The refs of the events, each event once by its id."""
    return [event["data"]["ref"] for event in receiver.events("session.abandoned")]


@pytest.mark.slow
def test_an_operators_browser_dies(tmp_path: Path, serve: Serve) -> None:
    """F22: an operator's browser dies while they hold three conversations, and a worker too: back in the queue after
    two minutes, each visitor notified once; nobody takes them, so the bot has them again.
    """
    clock = Clock(tmp_path)
    redis = RedisProcess("--appendfsync", "always", environ=clock.for_redis)
    try:
        service = serve(redis.url, BATON_DESK="on", BATON_QUEUE_TIMEOUT="60")
        server = ServerClient(service.base, API_KEY)
        anna, ben = server.log_in("Anna", "operator"), server.log_in("Ben", "operator")
        visitors = [ApiClient(service.base).create() for _ in range(4)]
        for number, visitor in enumerate(visitors):
            visitor.said(f"Question {number}")
        held = eventually(lambda: found if len(found := rows(anna, "bot")) == 4 else {}, 5)
        for number, ref in enumerate(held):
            operator = ben if number == 3 else anna
            assert operator.post(f"/conversations/{ref}/take").status_code == 200
        browser = SseFeed(f"{service.base}/api/desk/events", headers={"Cookie": anna.cookie})
        browser.until("operators")
        clock.set(100)  # the open feed says that she is there

        def seen_later() -> bool:
            with redis.client() as look:
                return (look.zscore(f"{PREFIX}present", anna.operator_id) or 0) > (time.time() + 90) * 1000

        assert eventually(seen_later, 10)
        assert len(rows(ben, "open")) == 4
        browser.close()
        os.kill(service.workers()[0], signal.SIGKILL)
        clock.set(150)
        assert ben.get("/me").status_code == 200
        assert len(rows(ben, "open")) == 4
        clock.set(240)
        assert ben.get("/me").status_code == 200
        assert eventually(lambda: len(rows(ben, "queue")) == 3, 15), rows(ben, "open")
        assert len(rows(ben, "mine")) == 1
        handlers = [_handler_reasons(visitor) for visitor in visitors]
        assert sorted(handlers) == [["taken"], ["taken", "absent"], ["taken", "absent"], ["taken", "absent"]]
        clock.set(240 + 80)
        assert eventually(lambda: not rows(server, "queue"), 15)
        handlers = [_handler_reasons(visitor) for visitor in visitors]
        assert [one for one in handlers if "timeout" in one] == [["taken", "absent", "timeout"]] * 3
    finally:
        redis.stop()


def _handler_reasons(visitor: Visitor) -> list[str]:
    """Why who answers has changed, as the log has it; without those events that only have a position."""
    first = visitor.history()[0]["id"]
    number, tag = first.split("_")[1:]
    last = visitor.get("/messages").json()["cursor"]
    with visitor.events(after=f"{number}-{tag}") as feed:
        feed.wait(lambda events: any(event.id == last for event in events))
        return [event.data["reason"] for event in feed.named("handler") if event.data["reason"] != "position"]
