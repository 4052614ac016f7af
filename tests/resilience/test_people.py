"""Operators who step in while answers are being made, workers die and Redis restarts."""

from __future__ import annotations

import http.client
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.contract.api_client import ApiClient, Visitor
from tests.contract.conftest import API_KEY
from tests.contract.desk_client import ServerClient
from tests.contract.fake_bot import spoken
from tests.contract.feeds import Event, joined
from tests.contract.launch import RedisProcess, Service, eventually
from tests.resilience.write_auditor import note

Serve = Callable[..., Service]
QUESTION = "tokens=80 delay=0.01"
EXPECTED = spoken(80)
CLOSING = ("answer.end", "answer.error")
DESK = {"BATON_DESK": "on", "BATON_FEEDS_PER_ADDRESS": "1000"}
AT_ONCE = 16


@dataclass
class Takeover:
    """A conversation that an operator takes while it is being answered, and what its visitor saw meanwhile."""

    visitor: Visitor
    start: str
    operators: list[str]
    seen: list[Event] = field(default_factory=list)
    winners: list[str] = field(default_factory=list)
    shown_ms: float | None = None

    def watch(self, stop: threading.Event) -> None:
        """Follows the feed as a client does, from the last id wherever it breaks off, until the operator has spoken."""
        cursor = self.start
        while not stop.is_set():
            try:
                feed = self.visitor.events(after=cursor)
            except (OSError, ValueError, http.client.HTTPException):
                time.sleep(0.05)
                continue
            try:
                while not stop.is_set() and not feed.closed and not _is_complete(self.seen + feed.events):
                    feed.wait_quietly(_is_complete, 0.2)
            finally:
                feed.close()
                self.seen += [event for event in feed.events if event.event not in ("ping", "typing")]
            if _is_complete(self.seen):
                return
            cursor = next((event.id for event in reversed(self.seen) if event.id), cursor)

    def take(self, operator_id: str) -> float:
        """Says something as the operator until there is an answer; when the call that was answered began."""
        headers = {"Authorization": f"Bearer {API_KEY}", "Baton-Operator": operator_id}
        deadline = time.monotonic() + 30
        while True:
            began = time.monotonic()
            try:
                answer = self.visitor.say(f"I am {operator_id}", headers=headers, client_id="m1")
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code in (200, 201):
                self.winners.append(operator_id)
                return began
            if answer is not None and answer.status_code == 409:
                assert answer.json()["code"] == "already_taken"
                return began
            assert answer is None or answer.status_code in (502, 503), answer.text
            assert time.monotonic() < deadline, "no answer to an operator's message within 30 s"
            time.sleep(0.05)


def _is_complete(events: list[Event]) -> bool:
    return any(event.event == "message" and "author" in event.data for event in events)


def ask_aside(visitor: Visitor) -> None:
    """Asks until the question is stored; nobody waits for the reply."""

    def ask() -> None:
        for _ in range(100):
            try:
                if visitor.ask(QUESTION, client_id="q1").status_code not in (502, 503):
                    return
            except httpx.TransportError:
                time.sleep(0.05)

    threading.Thread(target=ask, daemon=True).start()


def create(base: str) -> Visitor:
    made: list[Visitor] = []

    def attempt() -> bool:
        try:
            made.append(ApiClient(base).create())
        except (httpx.TransportError, AssertionError):
            return False
        return True

    assert eventually(attempt, 30, 0.05)
    return made[-1]


def take_over(base: str, operators: list[str]) -> Takeover:
    """One conversation: asked, taken by one of the operators at a random moment of its answer."""
    visitor = create(base)
    takeover = Takeover(visitor, "0-" + session_tag(visitor), operators)
    stop = threading.Event()
    watcher = threading.Thread(target=takeover.watch, args=(stop,), daemon=True)
    watcher.start()
    ask_aside(visitor)
    assert eventually(lambda: takeover.seen or history(visitor), 30, 0.02)
    time.sleep(random.random() * 0.9)
    with ThreadPoolExecutor(len(operators)) as pool:
        began = max(pool.map(takeover.take, operators))
    watcher.join(40)
    stop.set()
    handler_at = next((event.at for event in takeover.seen if event.event == "handler"), None)
    if handler_at is not None and len(operators) == 1:
        takeover.shown_ms = (handler_at - began) * 1000
    return takeover


def session_tag(visitor: Visitor) -> str:
    """What the positions of this session end with; a new session's cursor has it."""
    found: list[str] = []

    def read() -> bool:
        try:
            found.append(str(visitor.get("/messages").json()["cursor"]))
        except (httpx.TransportError, KeyError):
            return False
        return True

    assert eventually(read, 30, 0.05)
    return found[-1].rpartition("-")[2]


def history(visitor: Visitor) -> list[dict[str, object]]:
    try:
        return visitor.history()
    except (httpx.TransportError, AssertionError):
        return []


def read_all(takeover: Takeover) -> tuple[list[Event], list[dict[str, object]]]:
    """The log of a conversation from its start, and its history, from workers that may be killed meanwhile."""
    found: list[tuple[list[Event], list[dict[str, object]]]] = []
    problems: list[str] = []

    def read() -> bool:
        try:
            feed = takeover.visitor.events(after=takeover.start)
            with feed:
                assert feed.wait_quietly(_is_complete, 10), f"{feed.status} {feed.problem} {feed.failure} {feed.events}"
                log = [event for event in feed.events if event.event not in ("ping", "typing")]
            found.append((log, takeover.visitor.history()))
        except (OSError, ValueError, http.client.HTTPException, httpx.TransportError, AssertionError) as error:
            problems.append(f"{type(error).__name__} {error}")
            return False
        return True

    assert eventually(read, 60, 0.1), problems
    return found[0]


@dataclass
class Audit:
    """What all takeovers together must come to."""

    words_after: int = 0
    lost: int = 0
    doubled: int = 0
    not_one_winner: int = 0
    examples: list[str] = field(default_factory=list)

    def check(self, takeover: Takeover) -> None:
        """Reads the whole log once more, and compares it with what the visitor saw and with the history."""
        log, stored = read_all(takeover)
        names = [event.event for event in log]
        handlers = [event for event in log if event.event == "handler"]
        is_one = len(handlers) == len(takeover.winners) == 1
        is_one = is_one and handlers[0].data["assigned_to"]["name"] == NAMES[takeover.winners[0]]
        self.not_one_winner += not is_one
        self.words_after += names[names.index("handler") :].count("answer.delta") if handlers else 0
        contents = [str(message["content"]) for message in stored if message["role"] == "assistant"]
        own = f"I am {takeover.winners[0]}" if takeover.winners else ""
        self.doubled += contents.count(own) - 1 + [message["role"] for message in stored].count("user") - 1
        said = joined(log)
        written = "".join(content for content in contents if content != own)
        turns = {event.data["turn_id"]: event.data.get("message") for event in log if event.event in CLOSING}
        texts = {turn_id: joined(log, turn_id) for turn_id in turns}
        whole = all(
            text == (message["content"] if (message := turns[turn_id]) else "") and EXPECTED.startswith(text)
            for turn_id, text in texts.items()
        )
        # What came over feeds that broke off and were taken up again is the same story, each event once.
        seen = [(event.id, event.event) for event in takeover.seen]
        self.doubled += len(seen) - len(set(seen))
        is_same = joined(takeover.seen) == said and seen[-1:] == [(log[-1].id, "message")]
        if not (said == written and whole and is_same):
            self.lost += 1
            self.examples.append(f"{names} {seen} {contents}")


NAMES: dict[str, str] = {}


def invite(service: Service, count: int) -> list[str]:
    server = ServerClient(service.base, API_KEY)
    for number in range(count):
        operator_id, _ = server.invite(f"Operator {number}", "operator")
        NAMES[operator_id] = f"Operator {number}"
    return list(NAMES)[-count:]


def have_answered(service: Service, workers: list[int]) -> bool:
    """Whether each of these workers has run a turn: one that only starts does not serve yet."""
    pids = Path(f"{service.calls}.pids")
    ran = {int(line.split("\t")[0]) for line in pids.read_text("utf-8").splitlines()} if pids.exists() else set()
    return ran >= set(workers)


def run(service: Service, groups: list[list[str]], at_once: int = AT_ONCE) -> None:
    """Takes a conversation over for each group of operators, who race for it; checks each while its log is there."""
    found = Audit()

    def take_and_check(operators: list[str]) -> Takeover:
        takeover = take_over(service.base, operators)
        found.check(takeover)
        return takeover

    with ThreadPoolExecutor(at_once) as pool:
        takeovers = list(pool.map(take_and_check, groups))
    shown = sorted(takeover.shown_ms for takeover in takeovers if takeover.shown_ms is not None)
    if shown:
        p50, p99 = statistics.median(shown), shown[int(len(shown) * 0.99)]
        print(f"\n{len(takeovers)} takeovers, until the visitor sees it: p50 {p50:.0f} ms, p99 {p99:.0f} ms")  # noqa: T201
    note(ok=len(takeovers), lost=found.lost, doubled=found.doubled)
    assert found == Audit()


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_a_thousand_takeovers_while_workers_die(redis: RedisProcess, serve: Serve) -> None:
    """R31, F23: 1,000 takeovers at random moments of answers while workers are killed: no word of the bot after the
    handler, none lost, none doubled; and of 20 operators who race for each of 50 conversations one has it.
    """
    service = serve(redis.url, **DESK)
    operators = invite(service, 20)
    done = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while not done.wait(3.0):
            workers = service.workers()
            if len(workers) == 2 and have_answered(service, workers):
                killed.append(random.choice(workers))
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        run(service, [[random.choice(operators)] for _ in range(1_000)])
        run(service, [operators] * 50, at_once=4)
    finally:
        done.set()
        killer.join()
    assert len(killed) > 3
    print(f"{len(killed)} workers killed")  # noqa: T201


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_takeovers_while_redis_restarts(redis: RedisProcess, serve: Serve) -> None:
    """F23: Redis is killed and started again in the middle of takeovers: each is taken or not, never both; no word is
    lost.
    """
    service = serve(redis.url, **DESK)
    operators = invite(service, 2)

    def restart() -> None:
        for _ in range(2):
            time.sleep(1.5)
            redis.send(signal.SIGKILL)
            redis.start()

    restarting = threading.Thread(target=restart, daemon=True)
    restarting.start()
    run(service, [[operators[number % 2]] if number % 3 else operators for number in range(60)])
    restarting.join()
