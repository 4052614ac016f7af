"""A soak: everything that visitors do, at once and for long; then quiet, and all is back where it was."""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import httpx
import pytest
import redis as redis_client

from app.storage.embedded_redis import socket_path
from tests.contract.api_client import ApiClient, Visitor
from tests.contract.launch import Service, eventually
from tests.resilience.test_durability import embedded
from tests.resilience.write_auditor import note

Serve = Callable[..., Service]
SECONDS = float(os.environ.get("SOAK_SECONDS") or 600)
VISITORS = int(os.environ.get("SOAK_VISITORS") or 12)
TTL = 60
pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 600)]
SETTINGS = {
    "BATON_ENGINE": "python:tests.engines.scripted_engine:make", "BATON_ENGINE_CONCURRENCY": "400",
    "BATON_SESSION_TTL": str(TTL), "BATON_TICKET_TTL": "20", "BATON_FEEDS_PER_ADDRESS": "1000", "REDIS_URL": "",
}  # fmt: skip


@dataclass
class Figures:
    """What two workers, their engines and Redis hold; memory in MB."""

    descriptors: int = 0
    sockets: int = 0
    threads: int = 0
    processes: int = 0
    workers_mb: float = 0
    engines_mb: float = 0
    redis_mb: float = 0
    redis_data_mb: float = 0
    keys: int = 0
    turns: int = 0
    feeds: int = 0

    def __str__(self) -> str:
        return "  ".join(f"{field.name} {getattr(self, field.name):g}" for field in fields(self))


def resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) / 256


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gauge(text: str, name: str) -> int:
    return int(sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))


def measure(service: Service, look: redis_client.Redis) -> Figures:
    found = Figures(keys=look.dbsize())
    for pid in service.workers():
        held = []
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                held.append(os.readlink(one))
        found.descriptors += len(held)
        found.sockets += sum(one.startswith("socket:") for one in held)
        found.threads += len(list(Path(f"/proc/{pid}/task").iterdir()))
        found.workers_mb += resident(pid)
        found.processes += len(children(pid))
        found.engines_mb += sum(map(resident, children(pid)))
    found.redis_mb = sum(map(resident, embedded(service)))
    found.redis_data_mb = look.info("memory")["used_memory"] / 2**20
    metrics = httpx.get(service.base + "/metrics", timeout=10).text
    found.turns, found.feeds = gauge(metrics, "baton_turns_running"), gauge(metrics, "baton_feeds_open")
    for name in ("workers_mb", "engines_mb", "redis_mb", "redis_data_mb"):
        setattr(found, name, round(getattr(found, name), 1))
    return found


class Life:
    """One visitor after the other, in all that visitors do."""

    def __init__(self, base: str, number: int) -> None:
        self.base = base
        self.dice = random.Random(number)
        self.done: Counter[str] = Counter()
        self.odd: list[str] = []

    def live(self, end: float) -> None:
        while time.monotonic() < end:
            visitor = self.create()
            for _ in range(self.dice.randint(2, 6)):
                deed = self.dice.choice(
                    [self.append, self.chat, self.stream, self.vanish, self.feeds, self.stop, self.hand_over]
                )
                deed(visitor)
                self.done[deed.__name__] += 1
                time.sleep(self.dice.uniform(0.05, 0.4))
            if self.dice.random() < 0.4:
                self.expect(visitor.erase(), 204)
                self.done["erase"] += 1
            elif self.dice.random() < 0.3:
                self.expect(visitor.post("/end"), 200)
                self.done["end"] += 1
            visitor.caller.http.close()

    def expect(self, answer: httpx.Response, *statuses: int) -> None:
        if answer.status_code not in statuses:
            self.odd.append(f"{answer.request.method} {answer.status_code}: {answer.text[:200]}")

    def create(self) -> Visitor:
        self.done["create"] += 1
        return ApiClient(self.base).create(metadata={"n": self.dice.random()})

    def append(self, visitor: Visitor) -> None:
        self.expect(visitor.say("x" * self.dice.randint(1, 2000), client_id=f"c{self.dice.random()}"), 201)

    def chat(self, visitor: Visitor) -> None:
        self.expect(visitor.ask("tokens=30 delay=0.01"), 200, 409)

    def stream(self, visitor: Visitor) -> None:
        with visitor.ask_streamed("tokens=30 delay=0.01") as stream:
            if stream.status == 200:
                stream.until("answer.end", "answer.error", seconds=30)

    def vanish(self, visitor: Visitor) -> None:
        """Leaves in mid-answer, without a word, by every door."""
        feeds = [visitor.events(), visitor.ws(), visitor.ask_streamed("tokens=60 delay=0.02")]
        feeds[0].wait_quietly(lambda events: len(events) > 3, 2)
        for feed in feeds:
            feed.close()

    def feeds(self, visitor: Visitor) -> None:
        with visitor.events() as feed, visitor.ws() as socket:
            self.append(visitor)
            for reader in (feed, socket):
                reader.until("message", seconds=20)

    def stop(self, visitor: Visitor) -> None:
        with visitor.ask_streamed("tokens=500 delay=0.02") as stream:
            if stream.status == 200:
                stream.until("answer.delta", "answer.end", "answer.error", seconds=20)
            self.expect(visitor.post("/stop"), 200)

    def hand_over(self, visitor: Visitor) -> None:
        ticket = visitor.ticket(self.dice.choice(["once", "share"]))
        self.expect(visitor.caller.resume(ticket, client_id="r"), 200)


def endless(look: redis_client.Redis) -> list[str]:
    return [name for name in look.scan_iter(count=1000) if look.ttl(name) == -1]


def load(base: str, seconds: float, seed: int) -> tuple[Counter[str], list[str]]:
    lives = [Life(base, seed + number) for number in range(VISITORS)]
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(VISITORS) as pool:
        list(pool.map(lambda life: life.live(end), lives))
    return sum((life.done for life in lives), Counter()), [one for life in lives for one in life.odd]


def quiet(service: Service, look: redis_client.Redis) -> Figures:
    """The figures when all that was begun is over and forgotten."""
    seen = measure(service, look)

    def over() -> bool:
        nonlocal seen
        seen = measure(service, look)
        return seen.turns == seen.feeds == seen.keys == 0

    eventually(over, TTL + 60, 2)
    return seen


def test_soak(serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """R5, R24: a mixed load for SOAK_SECONDS on two workers and the embedded Redis, then quiet: sockets, threads,
    memory and keys are back where they began, no key without an end, no turn, feed or claim left.
    """
    service = serve("", BATON_DATA_DIR=str(tmp_path / "data"), **SETTINGS)
    look = redis_client.Redis(unix_socket_path=str(socket_path(tmp_path / "data")), decode_responses=True)
    load(service.base, min(30.0, SECONDS / 4), 1_000)
    before = quiet(service, look)
    started = time.monotonic()
    lasting: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, service.base, SECONDS, 1)
        while not loading.done():
            lasting += endless(look)
            during = measure(service, look)
            with suppress(TimeoutError):
                loading.exception(timeout=10)
        done, odd = loading.result()
    after = quiet(service, look)
    note(ok=done.total())
    with capsys.disabled():
        print(f"\nsoak of {time.monotonic() - started:.0f} s: {done.total()} actions: {dict(done)}")  # noqa: T201
        for name, figures in (("before", before), ("during", during), ("after", after)):
            print(f"  {name:7} {figures}")  # noqa: T201
    assert odd == []
    assert lasting == []
    assert (after.turns, after.feeds, after.keys) == (0, 0, 0), list(look.scan_iter())[:20]
    assert after.sockets <= before.sockets + 8
    assert after.descriptors <= before.descriptors + 8
    assert after.threads <= before.threads + 2
    assert after.processes == before.processes
    assert after.workers_mb <= before.workers_mb * 1.25
    assert after.engines_mb <= before.engines_mb * 1.25
    assert after.redis_data_mb <= before.redis_data_mb + 2
    assert after.redis_mb <= before.redis_mb + 30
    look.close()
