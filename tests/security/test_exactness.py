"""R25 to R29: each thing once, in one order, acknowledged when kept, and in its own session, whatever breaks."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.contract.api_client import ApiClient, Visitor, at_once, is_problem
from tests.contract.feeds import joined, story
from tests.contract.launch import RedisProcess, Service, eventually
from tests.resilience.proxy import Proxy
from tests.security.conftest import SETTINGS
from tests.security.target import Target


@pytest.fixture
def broken() -> Iterator[RedisProcess]:
    """A Redis to stand behind a proxy."""
    server = RedisProcess("--repl-diskless-sync-delay", "0")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def clients(target: Target) -> Iterator[list[ApiClient]]:
    """Two services on one Redis."""
    other = Service(target.redis.url, **{**SETTINGS, "WEB_CONCURRENCY": "1"})
    yield [ApiClient(target.base), ApiClient(other.base)]
    other.remove()


def test_r25_twenty_calls_one_of_everything(clients: list[ApiClient]) -> None:
    """R25: one client id twenty times at once over two services of
    two workers, by JSON and by stream: one of everything.
    """
    visitor = clients[0].create()
    same = [Visitor(client, visitor.id) for client in clients]
    appended = at_once(20, lambda n: same[n % 2].say("only once", client_id="a"))
    assert sorted(answer.status_code for answer in appended) == [200] * 19 + [201]
    assert len({answer.json()["message"]["id"] for answer in appended}) == 1

    def ask(number: int) -> str:
        if number % 4 == 3:
            with same[number % 2].ask_streamed("tell me", client_id="b") as feed:
                feed.until("answer.end")
                return joined(feed.events)
        return str(same[number % 2].ask("tell me", client_id="b").json()["answer"])

    with visitor.events() as feed:
        answers = at_once(20, ask)
        assert len(set(answers)) == 1
        visitor.said("the last word")
        events = feed.wait(lambda seen: any("the last word" in str(event.data) for event in seen))
    assert [event.event for event in events].count("answer.start") == 1
    assert [event.event for event in events].count("answer.end") == 1
    assert [text for text in visitor.texts() if text != answers[0]] == ["only once", "tell me", "the last word"]
    assert len(visitor.texts()) == 4


def test_r26_every_cut_of_a_live_answer(clients: list[ApiClient]) -> None:
    """R26: readers of two services, by SSE and WebSocket, cut after 1 to 9 events: none lost or doubled."""
    visitor = clients[0].create()
    cursor = visitor.get("/messages").json()["cursor"]
    thread = threading.Thread(target=visitor.ask, args=("slow",))
    thread.start()
    threading.Timer(4, lambda: visitor.post("/stop")).start()

    def read(step: int) -> list[object]:
        received: list[object] = []
        after, turns = cursor, 0
        while not any(event.event == "answer.end" for event in received):  # type: ignore[attr-defined]
            same = Visitor(clients[turns % 2], visitor.id)
            turns += 1
            with same.ws(after=after) if turns % 3 == 2 else same.events(last=after) as feed:
                seen = story(feed.wait(lambda events: len(story(events)) >= step or ended(events), 15))[:step]
            received += seen
            after = next((event.id for event in reversed(seen) if event.id), after)
        return received

    def ended(seen_events: list[object]) -> bool:
        return any(event.event == "answer.end" for event in seen_events)  # type: ignore[attr-defined]

    with ThreadPoolExecutor(9) as pool:
        stories = list(pool.map(read, range(1, 10)))
    thread.join()
    content = visitor.history()[-1]["content"]
    assert len(content.split()) > 20
    for received in stories:
        assert joined(received) == content  # type: ignore[arg-type]
        numbers = [event.id for event in received if event.event != "answer.delta"]  # type: ignore[attr-defined]
        assert len(numbers) == len(set(numbers))
        assert "reset" not in [event.event for event in received]  # type: ignore[attr-defined]


@pytest.mark.parametrize("wait", ["0", "1"])
def test_r27_created_means_kept(broken: RedisProcess, launch: Callable[..., Target], wait: str) -> None:
    """R27: where Redis' reply is lost, or no replica has it, there is a 503 and no 201; the same
    client id brings one.
    """
    proxy = Proxy(broken.port)
    replica = RedisProcess("--replicaof", "127.0.0.1", str(broken.port)) if wait == "1" else None
    try:
        caller = ApiClient(launch(redis_url=proxy.url, BATON_WAIT_REPLICAS=wait).base)
        made = eventually(
            lambda: [answer for answer in [caller.post("/api/session/create")] if answer.status_code == 201], 15
        )
        visitor = Visitor(caller, made[0].json()["session_id"])
        assert visitor.say("kept", client_id="kept").status_code == 201
        if replica:
            replica.stop()
        else:
            proxy.swallow_after = b"uncertain"
        is_problem(visitor.say("uncertain", client_id="one"), 503, "storage_unavailable")
        if replica:
            replica = RedisProcess("--replicaof", "127.0.0.1", str(broken.port))
        again = lambda: visitor.say("uncertain", client_id="one").status_code in (200, 201)  # noqa: E731
        assert eventually(again, 15, 0.2)
        assert visitor.texts() == ["kept", "uncertain"]
    finally:
        proxy.close()
        if replica:
            replica.stop()


def break_things(proxy: Proxy, over: threading.Event) -> None:
    """Makes Redis slow, silent and unreachable by turns, until the visitors have done enough."""
    while not over.is_set():
        for fault in ("delay", "reset", "swallow", "reset", "refuse", "hole", "reset"):
            if fault == "reset":
                proxy.reset()
            else:
                setattr(proxy, fault, 0.05 if fault == "delay" else True)
            time.sleep(0.15)
            proxy.delay, proxy.swallow, proxy.refuse, proxy.hole = 0.0, False, False, False
            time.sleep(0.1)


def lives(visitor: Visitor, name: str, turn: int) -> Iterator[httpx.Response]:
    """Says and asks its canary, and reads all that there is."""
    yield visitor.say(f"{name} {turn}", client_id=f"s{turn}")
    yield visitor.ask(f"tell {name} {turn}", client_id=f"q{turn}")
    yield visitor.get("/messages?limit=50")
    yield visitor.get("/transcript")


def test_r28_no_word_crosses_over(broken: RedisProcess, launch: Callable[..., Target]) -> None:
    """R28: 200 sessions write, ask and read canaries while Redis is slow, silent and reset: each reads its own."""
    proxy = Proxy(broken.port)
    launched = launch(redis_url=proxy.url, BATON_FEEDS_PER_ADDRESS="1000", WEB_CONCURRENCY="2")
    caller = ApiClient(launched.base)
    everyone = [one for some in at_once(8, lambda _: [caller.create() for _ in range(25)]) for one in some]
    feeds = [visitor.events() for visitor in everyone[::10]]
    received: dict[int, list[str]] = {number: [] for number in range(len(everyone))}
    statuses: list[int] = []
    started = time.monotonic()
    over = threading.Event()

    def enough() -> bool:
        """After 8 s at least, and so much read that a word of another session would have been met."""
        read = sum(map(len, received.values())) > 1000 and statuses.count(503) > 20
        return (time.monotonic() - started > 8 and read) or time.monotonic() - started > 60

    def live(first: int) -> None:
        turn = 0
        while not enough():
            number = first + 20 * (turn % 10)
            visitor, name = everyone[number], f"canary-{number:03d}"
            for answer in lives(visitor, name, turn):
                statuses.append(answer.status_code)
                received[number] += re.findall(r"canary-\d+", answer.text)
            turn += 1

    breaker = threading.Thread(target=break_things, args=(proxy, over))
    breaker.start()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(live, range(20)))
    over.set()
    breaker.join()
    proxy.reset()
    assert eventually(lambda: caller.post("/api/session/create").status_code == 201, 10)
    for number, visitor in enumerate(everyone):
        read = eventually(lambda v=visitor: answered(v), 10)  # type: ignore[misc]
        received[number] += re.findall(r"canary-\d+", read)
    for number, feed in zip(range(0, 200, 10), feeds, strict=True):
        received[number] += re.findall(r"canary-\d+", str(feed.events))
        feed.close()
    strangers = {number: set(names) - {f"canary-{number:03d}"} for number, names in received.items()}
    proxy.close()
    assert {number: names for number, names in strangers.items() if names} == {}
    assert sum(map(len, received.values())) > 1000
    assert statuses.count(503) > 20, "nothing was broken"
    assert statuses.count(200) + statuses.count(201) > 200
    assert set(statuses) <= {200, 201, 409, 502, 503, 504}


def answered(visitor: Visitor) -> str:
    """The session's history as text, once it can be read."""
    answer = visitor.get("/messages?limit=500")
    return answer.text if answer.status_code == 200 else ""


def test_r29_two_tabs_one_story(clients: list[ApiClient]) -> None:
    """R29: two tabs on two services that write at once get
    one order; an end in one reaches the other within 2 s.
    """
    visitor = clients[0].create()
    tabs = [Visitor(client, visitor.id) for client in clients]
    with tabs[0].events() as one, tabs[1].ws() as two:
        at_once(20, lambda n: tabs[n % 2].said(f"m{n}"))
        orders = [[event.id for event in feed.until("message", count=20) if event.id] for feed in (one, two)]
        assert orders[0] == orders[1]
        events = [[event.data["content"] for event in feed.named("message")] for feed in (one, two)]
        assert events[0] == events[1] == tabs[1].texts()
        started = time.monotonic()
        tabs[1].post("/end")
        for feed in (one, two):
            feed.wait(
                lambda seen: any(event.event == "session" and event.data["status"] == "ended" for event in seen), 2
            )
        assert time.monotonic() - started < 2
    is_problem(tabs[0].say("too late"), 409, "session_ended")
