"""Workers that die or are asked to go, in the middle of answers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from tests.contract.api_client import ApiClient, Visitor, at_once
from tests.contract.fake_bot import spoken
from tests.contract.feeds import Event, joined, story
from tests.contract.launch import RedisProcess, Service, eventually

Serve = Callable[..., Service]
CLOSING = ("answer.end", "answer.error")


def follow_to_the_end(bases: list[str], visitor: Visitor, cursor: str, seconds: float) -> list[Event]:
    """Read a turn to its terminal event, coming back with the last id whenever the feed ends or no one answers."""
    seen: list[Event] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and not any(event.event in CLOSING for event in seen):
        for base in bases:
            try:
                feed = Visitor(ApiClient(base), visitor.id).events(after=cursor)
            except OSError:
                time.sleep(0.05)
                continue
            with feed:
                if feed.status == 200:
                    feed.wait_quietly(
                        lambda events: any(event.event in CLOSING for event in events), end - time.monotonic()
                    )
                    seen += story(list(feed.events))
                    cursor = next((event.id for event in reversed(seen) if event.id), cursor)
                break
    return seen


def kill_its_worker(service: Service, words: str) -> float:
    """SIGKILL for the worker that runs that turn; the moment of its death."""
    os.kill(service.worker_of(words), signal.SIGKILL)
    return time.monotonic()


def ask_aside(visitor: Visitor, query: str) -> None:
    """Ask and do not care for the reply."""

    def ask() -> None:
        try:
            visitor.ask(query, client_id="c")
        except httpx.TransportError:
            return

    threading.Thread(target=ask, daemon=True).start()


def test_a_killed_worker(redis: RedisProcess, serve: Serve) -> None:
    """F16: a turn whose worker was killed is closed once within 20 s, its words so far kept; the same call again
    gives the whole answer.
    """
    service = serve(redis.url)
    visitors = [ApiClient(service.base).create() for _ in range(5)]
    cursors, feeds = [], []
    for number, visitor in enumerate(visitors):
        cursors.append(visitor.get("/messages").json()["cursor"])
        ask_aside(visitor, f"victim-{number} break-off=yes tokens=150 delay=0.02 {visitor.id[-4:]}")
        feeds.append(visitor.events(after=cursors[-1]))
    for feed in feeds:
        feed.until("answer.delta", count=8)
    died = kill_its_worker(service, "victim-0")
    left = 20 - (time.monotonic() - died)
    stories = at_once(len(visitors), lambda n: follow_to_the_end([service.base], visitors[n], cursors[n], left))
    for number, (visitor, events) in enumerate(zip(visitors, stories, strict=True)):
        closing = [event for event in events if event.event in CLOSING]
        assert len(closing) == 1, f"{number}: not closed within 20 s"
        history = visitor.history()
        if closing[0].event == "answer.end":
            assert joined(events) == history[1]["content"] == spoken(150)
            continue
        assert closing[0].data["code"] == "engine_failed"
        assert history[1] == closing[0].data["message"]
        assert history[1]["metadata"]["interrupted"] is True
        assert joined(events) == history[1]["content"]
        assert history[1]["content"]
        assert spoken(150).startswith(history[1]["content"])
        again = visitor.ask("anything", client_id="c")
        assert (again.status_code, again.json()["answer"]) == (200, spoken(150))
        assert [message["role"] for message in visitor.history()] == ["user", "assistant", "assistant"]
    assert any(len(visitor.texts()) == 3 for visitor in visitors), "nobody was hit"
    assert eventually(lambda: len(service.workers()) == 2), "no new worker came"


def test_a_killed_worker_and_nobody_listens(redis: RedisProcess, serve: Serve) -> None:
    """It is closed as well where nobody listened: by whoever speaks or reads next."""
    service = serve(redis.url)
    reader, speaker = (ApiClient(service.base).create() for _ in range(2))
    for name, visitor in (("reader", reader), ("speaker", speaker)):
        with visitor.events() as feed:
            ask_aside(visitor, f"{name} tokens=300 delay=0.02")
            feed.until("answer.delta", count=5)
    died = time.monotonic()
    for pid in service.workers():
        os.kill(pid, signal.SIGKILL)

    def closed() -> bool:
        try:
            return len(reader.texts()) == 2
        except (httpx.TransportError, AssertionError):
            return False

    def spoken_again() -> bool:
        try:
            return speaker.ask("next", client_id="next").status_code == 200
        except httpx.TransportError:
            return False

    assert eventually(spoken_again, 20 - (time.monotonic() - died), 0.5), "no next question within 20 s"
    assert eventually(closed, 20 - (time.monotonic() - died), 0.2), "not closed within 20 s"
    assert [message["role"] for message in speaker.history()] == ["user", "assistant", "user", "assistant"]


def test_a_deploy(redis: RedisProcess, serve: Serve) -> None:
    """F15: SIGTERM under running answers: each finishes in the drain time; readers are told, go elsewhere and miss
    nothing.
    """
    leaving, staying = serve(redis.url), serve(redis.url)
    visitors = [ApiClient(leaving.base).create() for _ in range(16)]
    tellers, cursors = [], []
    for visitor in visitors:
        cursors.append(visitor.get("/messages").json()["cursor"])
        tellers.append(visitor.ask_streamed("tokens=100 delay=0.04"))
    readers = [visitor.events(after=cursor) for visitor, cursor in zip(visitors, cursors, strict=True)]
    for feed in readers:
        feed.until("answer.delta", count=3)
    results: list[list[Event]] = [[] for _ in visitors]

    def go_on(number: int) -> None:
        seen = story(readers[number].until_closed(25))
        cursor = next(event.id for event in reversed(seen) if event.id)
        if not any(event.event in CLOSING for event in seen):
            seen += follow_to_the_end([staying.base], visitors[number], cursor, 20)
        results[number] = seen

    threads = [threading.Thread(target=go_on, args=(number,)) for number in range(len(visitors))]
    leaving.process.terminate()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for seen, visitor in zip(results, visitors, strict=True):
        assert [event.event for event in seen if event.event in CLOSING] == ["answer.end"]
        assert joined(seen) == spoken(100)
        history = Visitor(ApiClient(staying.base), visitor.id).history()
        assert [message["content"] for message in history] == ["tokens=100 delay=0.04", spoken(100)]
    assert leaving.process.wait(30) == 0
    for teller in tellers:
        teller.close()


def test_idle_feeds_do_not_hold_a_deploy(redis: RedisProcess, serve: Serve) -> None:
    """A leaving service notifies its idle readers at once and is gone long before the drain time."""
    service = serve(redis.url)
    visitor = ApiClient(service.base).create()
    feeds = [visitor.events() for _ in range(10)] + [visitor.ws() for _ in range(5)]
    started = time.monotonic()
    service.process.terminate()
    for feed in feeds:
        feed.until_closed(10)
    assert service.process.wait(15) == 0
    assert time.monotonic() - started < 15


def test_two_services_one_redis(redis: RedisProcess, serve: Serve) -> None:
    """Two services on one Redis are one: ask here, follow and stop there, resume anywhere."""
    one, other = (ApiClient(serve(redis.url).base) for _ in range(2))
    here = one.create()
    there = Visitor(other, here.id)
    with there.events() as feed, there.ws() as socket, here.ask_streamed("tokens=500 delay=0.02"):
        feed.until("answer.delta", count=5)
        assert there.post("/stop").json()["stopped"] is True
        for reader in (feed, socket):
            end = reader.until(*CLOSING, seconds=5)[-1]
            assert (end.event, end.data["message"]["metadata"]["stopped"]) == ("answer.end", True)
    assert there.ask("next").status_code == here.ask("next").status_code == 200
    assert other.resume(here.ticket()).json()["messages"] == here.history()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_other_signals(redis: RedisProcess, serve: Serve, number: int) -> None:
    """A reload under a running answer loses nothing."""
    service = serve(redis.url)
    visitor = ApiClient(service.base).create()
    cursor = visitor.get("/messages").json()["cursor"]
    ask_aside(visitor, "tokens=100 delay=0.03")
    assert eventually(lambda: visitor.get().json()["message_count"] == 1)
    service.process.send_signal(number)
    events = follow_to_the_end([service.base], visitor, cursor, 20)
    assert [event.event for event in events if event.event in CLOSING] == ["answer.end"]
    assert joined(events) == spoken(100)
