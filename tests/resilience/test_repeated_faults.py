"""The faults that take minutes: twenty killed workers, canaries in a storm, fifty answers under a deploy."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.contract.api_client import ApiClient, Visitor
from tests.contract.fake_bot import spoken
from tests.contract.feeds import joined
from tests.contract.launch import RedisProcess, Service, eventually
from tests.resilience.proxy import Proxy
from tests.resilience.test_workers import CLOSING, ask_aside, follow_to_the_end
from tests.resilience.write_auditor import note

Serve = Callable[..., Service]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def test_twenty_killed_workers(redis: RedisProcess, serve: Serve) -> None:
    """F16: twenty workers killed in mid-answer: each turn closed within 20 s, words kept, retry whole, none stuck."""
    service = serve(redis.url)
    for run in range(20):
        visitor = ApiClient(service.base).create()
        cursor = visitor.get("/messages").json()["cursor"]
        ask_aside(visitor, f"run-{run}- tokens=150 delay=0.02")
        with visitor.events(after=cursor) as feed:
            feed.until("answer.delta", count=1 + run)
        os.kill(service.worker_of(f"run-{run}-"), signal.SIGKILL)
        died = time.monotonic()
        events = follow_to_the_end([service.base], visitor, cursor, 20)
        note(heal=time.monotonic() - died)
        closing = [event.event for event in events if event.event in CLOSING]
        assert closing == ["answer.error"], f"run {run}: {events[-3:]}"
        kept = visitor.history()[1]
        assert kept["metadata"]["interrupted"] is True
        assert kept["content"] == joined(events)
        assert spoken(150).startswith(kept["content"])
        assert eventually(lambda: len(service.workers()) == 2, 10)
        assert visitor.ask("", client_id="c").status_code == 422
        assert visitor.ask("again", client_id="c").json()["answer"] == spoken(150)
        assert visitor.ask("next").status_code == 200


def test_fifty_answers_under_a_deploy(redis: RedisProcess, serve: Serve) -> None:
    """F15: SIGTERM under fifty running answers: none lost, each reader is notified and reads on elsewhere."""
    many = {"BATON_ENGINE_CONCURRENCY": "256"}
    leaving, staying = serve(redis.url, **many), serve(redis.url, **many)
    visitors = [ApiClient(leaving.base).create() for _ in range(50)]
    cursors = [visitor.get("/messages").json()["cursor"] for visitor in visitors]
    for visitor in visitors:
        ask_aside(visitor, "tokens=150 delay=0.04")
    assert eventually(lambda: all(visitor.get().json()["message_count"] == 1 for visitor in visitors), 15)
    leaving.process.terminate()
    with ThreadPoolExecutor(50) as pool:
        jobs = [
            pool.submit(follow_to_the_end, [leaving.base, staying.base], v, p, 40)
            for v, p in zip(visitors, cursors, strict=True)
        ]
        for job in jobs:
            events = job.result()
            assert [event.event for event in events if event.event in CLOSING] == ["answer.end"]
            assert joined(events) == spoken(150)
    assert leaving.process.wait(30) == 0
    for visitor in visitors:
        assert Visitor(ApiClient(staying.base), visitor.id).texts() == ["tokens=150 delay=0.04", spoken(150)]


def storm(proxy: Proxy, until: float) -> None:
    """Every fault of a network, at random, again and again."""
    dice = random.Random(20261120)
    while time.monotonic() < until:
        kind = dice.choice(["delay", "reset", "swallow", "hole", "refuse"])
        if kind == "delay":
            proxy.delay = dice.choice([0.02, 0.2, 1.2])
        elif kind == "reset":
            proxy.reset()
        else:
            setattr(proxy, kind, True)
        time.sleep(dice.uniform(0.05, 0.6))
        proxy.delay, proxy.swallow, proxy.hole, proxy.refuse = 0.0, False, False, False
        time.sleep(dice.uniform(0.05, 0.4))


def test_canaries_in_a_storm(redis: RedisProcess, proxy: Proxy, serve: Serve) -> None:
    """R28: 200 sessions with canaries while Redis calls are delayed and lost: none is read by another session."""
    service = serve(proxy.url, BATON_ENGINE_CONCURRENCY="800")
    visitors = [ApiClient(service.base).create(metadata={"n": number}) for number in range(200)]
    acknowledged: list[set[str]] = [set() for _ in visitors]
    strangers: list[str] = []
    end = time.monotonic() + 60

    def live(number: int) -> None:
        visitor, count, mark = visitors[number], 0, f"canary-{number}-"
        while time.monotonic() < end:
            count += 1
            text = f"{mark}{count}"
            try:
                if visitor.say(text, client_id=f"c{count}").status_code in (200, 201):
                    acknowledged[number].add(text)
                for answer in (
                    visitor.get("/messages?limit=500"),
                    visitor.ask(f"tell {text}") if count % 7 == 0 else visitor.get(),
                ):
                    seen = answer.text
                    assert answer.status_code in (200, 503, 502, 504, 409), seen[:300]
                    if seen.count("canary-") != seen.count(mark) or (
                        answer.status_code == 200 and visitor.id not in seen
                    ):
                        strangers.append(f"{number}: {seen[:300]}")
            except httpx.TransportError:
                continue
            time.sleep(1)

    weather = threading.Thread(target=storm, args=(proxy, end))
    weather.start()
    with ThreadPoolExecutor(200) as pool:
        for job in [pool.submit(live, number) for number in range(200)]:
            job.result()
    weather.join()
    assert strangers == []
    lost, doubled = missing(visitors, acknowledged)
    note(ok=sum(map(len, acknowledged)), lost=lost, doubled=doubled)
    assert (lost, doubled) == (0, 0)


def missing(visitors: list[Visitor], acknowledged: list[set[str]]) -> tuple[int, int]:
    """How many canaries are lost and how many doubled, where each visitor reads no other's."""
    lost = doubled = 0
    for number, visitor in enumerate(visitors):
        answer = eventually(lambda v=visitor: (r := v.get("/messages?limit=500")).status_code == 200 and r, 6, 0.2)
        assert answer
        mine = [
            m["content"]
            for m in answer.json()["messages"]
            if m["role"] == "user" and m["content"].startswith("canary-")
        ]
        lost += len(acknowledged[number] - set(mine))
        doubled += len(mine) - len(set(mine))
        assert json.dumps(answer.json()).count("canary-") == json.dumps(answer.json()).count(f"canary-{number}-")
    return lost, doubled


def test_a_soak_in_the_small(redis: RedisProcess, serve: Serve) -> None:
    """R24: two minutes of sessions, answers, vanishing feeds, erasures: keys and memory are back where they began."""
    service = serve(redis.url, BATON_SESSION_TTL="20", BATON_FEEDS_PER_ADDRESS="1000", BATON_ENGINE_CONCURRENCY="400")
    end = time.monotonic() + 120

    def live(number: int) -> int:
        turns = 0
        while time.monotonic() < end:
            visitor = ApiClient(service.base).create()
            visitor.events().close()
            with visitor.events() as feed, visitor.ws():
                assert visitor.ask("tokens=30 delay=0.01").status_code == 200
                feed.until("answer.end")
            if number % 2:
                assert visitor.erase().status_code == 204
            turns += 1
        return turns

    def memory() -> int:
        return sum(int(open(f"/proc/{pid}/statm").read().split()[1]) * 4 for pid in service.workers())

    live_for_a_moment = ApiClient(service.base).create()
    live_for_a_moment.ask("warm up")
    before = memory()
    with ThreadPoolExecutor(16) as pool:
        turns = sum(pool.map(live, range(16)))
    assert turns > 200
    with redis.client() as look:
        assert eventually(lambda: not [n for n in look.scan_iter() if look.ttl(n) == -1], 5)
        assert eventually(lambda: look.dbsize() < 10, 40, 0.5), list(look.scan_iter())[:20]
    assert memory() - before < 40_000, f"{memory() - before} KB more after {turns} turns"
