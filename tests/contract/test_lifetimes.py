"""How long things live: TTL, maximum age, idle time, tickets; and a session that is full. All limits are small here."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Self

import pytest

from tests.contract.api_client import ApiClient, Visitor, at_once, is_problem
from tests.contract.conftest import RunningService
from tests.contract.launch import eventually

addresses = itertools.count(1)


@pytest.fixture
def caller(brief: RunningService) -> ApiClient:
    """From an address of its own, named by the proxy that this service trusts."""
    return ApiClient(brief.base, headers={"X-Forwarded-For": f"192.0.2.{next(addresses)}"})


@pytest.fixture
def visitor(caller: ApiClient) -> Visitor:
    return caller.create()


class Watch:
    """Looks at all keys again and again, and keeps the names of those without an expiry."""

    def __init__(self, started: RunningService) -> None:
        self.started, self.found, self.looks, self.going = started, set[str](), 0, True
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        with self.started.redis.client() as look:
            while self.going:
                names = list(look.scan_iter(match="*ses*", count=1000)) + list(
                    look.scan_iter(match="baton:*", count=1000)
                )
                pipe = look.pipeline(transaction=False)
                for name in names:
                    pipe.ttl(name)
                self.found |= {name for name, ttl in zip(names, pipe.execute(), strict=True) if ttl == -1}
                self.looks += 1

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.going = False
        self.thread.join()


def of_sessions(started: RunningService, before: list[str]) -> list[str]:
    return [name for name in started.key_names() if name not in before]


def test_everything_expires(brief: RunningService, caller: ApiClient) -> None:
    """After `SESSION_TTL` Redis holds no key of the session, and at no moment a key without an expiry."""
    before = brief.key_names()
    with Watch(brief) as watch:
        visitor = caller.create(metadata={"k": "v"})
        with visitor.events(), visitor.ws():
            visitor.said("one", client_id="a")
            assert visitor.ask("tokens=20 delay=0.01", client_id="b").status_code == 200
            visitor.ask("fail", client_id="c")
        visitor.ticket()
        visitor.ticket("share")
        assert of_sessions(brief, before)
        assert eventually(lambda: visitor.get().status_code == 404, 8)
        gone = eventually(lambda: not of_sessions(brief, before), 4)
        assert gone, of_sessions(brief, before)
    assert watch.looks > 20
    assert watch.found == set()


def test_an_append_races_the_expiry(brief: RunningService, caller: ApiClient) -> None:
    """An append that comes with the expiry or after it makes no key that lives for ever."""
    before = brief.key_names()
    visitors = [caller.create() for _ in range(8)]
    started = time.monotonic()

    def late(number: int) -> set[int]:
        statuses, visitor = set(), visitors[number]
        eventually(lambda: time.monotonic() - started > 2.9, 5, 0.005)
        while time.monotonic() - started < 3.4:
            ended = (
                visitor.post("/heartbeat")
                if number % 2
                else visitor.caller.post("/api/session/resume", json={"session": visitor.id})
            )
            statuses |= {
                ended.status_code,
                visitor.say("late").status_code if ended.status_code == 404 else ended.status_code,
            }
        return statuses

    with Watch(brief) as watch:
        for statuses in at_once(8, late):
            assert statuses <= {200, 201, 404}
    assert watch.found == set()
    assert eventually(lambda: not of_sessions(brief, before), 8), of_sessions(brief, before)


def test_sliding(caller: ApiClient) -> None:
    """A session lives `SESSION_TTL` after its last activity: create, append, chat, heartbeat, resume; not a read."""
    kinds = {
        "append": lambda one: one.say("x"),
        "chat": lambda one: one.ask("x"),
        "heartbeat": lambda one: one.post("/heartbeat"),
        "resume": lambda one: one.caller.resume(one.id),
        "stream": lambda one: one.ask_streamed("x").until_closed(),
        "look": lambda one: one.get(),
        "read": lambda one: one.get("/messages"),
        "transcript": lambda one: one.get("/transcript"),
    }
    reads = {"look", "read", "transcript"}
    visitors = {kind: caller.create() for kind in kinds}
    started = time.monotonic()
    eventually(lambda: time.monotonic() - started > 1.8, 5)
    for kind, act in kinds.items():
        act(visitors[kind])
    eventually(lambda: time.monotonic() - started > 3.6, 5)
    alive = {kind for kind, visitor in visitors.items() if visitor.get().status_code == 200}
    assert alive == kinds.keys() - reads


def test_absolute_age(visitor: Visitor) -> None:
    """Never past `SESSION_MAX_AGE`; and `expires_at` never passes it."""
    assert visitor.created is not None
    created = datetime.fromisoformat(visitor.created.json()["created_at"]).timestamp()
    seen: list[float] = []
    started = time.monotonic()

    def beat() -> bool:
        answer = visitor.post("/heartbeat")
        if answer.status_code == 200:
            seen.append(datetime.fromisoformat(answer.json()["expires_at"]).timestamp() - created)
        return answer.status_code == 404

    assert eventually(beat, 9, 0.2)
    assert 5.5 < time.monotonic() - started < 7.5
    assert max(seen) <= 6.001
    assert max(seen) > 5.9


def test_idle_is_abandoned(visitor: Visitor) -> None:
    """`abandoned`: not seen for `IDLE_TIMEOUT`; heartbeat and resume make it active again, a resume with an event; a
    read does not.
    """
    cursor = visitor.get("/messages").json()["cursor"]

    def status() -> str:
        return str(visitor.get().json()["status"])

    assert status() == "active"
    assert eventually(lambda: status() == "abandoned", 3)
    assert visitor.get("/messages").json()["status"] == "abandoned"
    assert status() == "abandoned"
    assert visitor.caller.resume(visitor.id).json()["status"] == "active"
    with visitor.events(after=cursor) as feed:
        assert feed.until("session")[-1].data == {"status": "active"}
    assert status() == "active"
    assert eventually(lambda: status() == "abandoned", 3)
    assert visitor.post("/heartbeat").json()["status"] == "active"
    assert status() == "active"


def test_an_abandoned_session_is_written_to(visitor: Visitor) -> None:
    """An abandoned session takes a message or a question, and is active by it."""
    assert eventually(lambda: visitor.get().json()["status"] == "abandoned", 3)
    assert visitor.say("back").status_code == 201
    assert visitor.get().json()["status"] == "active"
    assert eventually(lambda: visitor.get().json()["status"] == "abandoned", 3)
    assert visitor.ask("back again").status_code == 200
    assert visitor.get().json()["status"] == "active"


def test_tickets_die(visitor: Visitor) -> None:
    """`once` is dead after `TICKET_TTL`; `share` is not."""
    once, share = visitor.ticket(), visitor.ticket("share")
    spent = visitor.ticket()
    assert visitor.caller.resume(spent, client_id="c").status_code == 200
    started = time.monotonic()
    eventually(lambda: time.monotonic() - started > 1.2, 3)
    is_problem(visitor.caller.resume(once), 404, "session_not_found")
    is_problem(visitor.caller.resume(spent, client_id="c"), 404, "session_not_found")
    assert visitor.caller.resume(share).status_code == 200


def test_a_share_ticket_lives_as_long_as_its_session(visitor: Visitor) -> None:
    """A `share` ticket is kept alive by what keeps its session alive."""
    share = visitor.ticket("share")
    started = time.monotonic()
    while time.monotonic() - started < 4:
        assert visitor.post("/heartbeat").status_code == 200
        time.sleep(0.2)
    assert visitor.caller.resume(share).status_code == 200


def test_the_page_elsewhere(visitor: Visitor) -> None:
    """`CHAT_PAGE_URL` is where links lead, its own query kept."""
    assert visitor.created is not None
    assert visitor.created.json()["chat_url"] == "https://site.example/chatbot?lang=de"
    handed = visitor.post("/handoff").json()
    assert handed["url"] == f"https://site.example/chatbot?lang=de&session={handed['ticket']}"
    assert handed["expires_in"] == 1


def test_full(visitor: Visitor) -> None:
    """`session_full` 409 at `MAX_MESSAGES`; nothing old is dropped; a chat needs two free places."""
    for number in range(5):
        visitor.said(f"m{number}", client_id=f"c{number}")
    assert is_problem(visitor.ask("one place is not enough"), 409, "session_full")["retryable"] is False
    is_problem(visitor.ask("nor here", headers={"Accept": "text/event-stream"}), 409, "session_full")
    visitor.said("m5")
    is_problem(visitor.say("m6"), 409, "session_full")
    assert visitor.say("m0", client_id="c0").status_code == 200
    assert visitor.texts() == [f"m{number}" for number in range(6)]


def test_full_under_a_race(visitor: Visitor) -> None:
    """Racing appends fill the session exactly."""
    answers = at_once(16, lambda number: visitor.say(f"m{number}"))
    assert sorted(answer.status_code for answer in answers) == [201] * 6 + [409] * 10
    assert visitor.get().json()["message_count"] == 6


def test_a_chat_fits_in_two_places(visitor: Visitor) -> None:
    """With two places left a chat goes through, and fills them."""
    for number in range(4):
        visitor.said(f"m{number}")
    assert visitor.ask("the last").status_code == 200
    assert visitor.get().json()["message_count"] == 6


def test_longest_message(visitor: Visitor) -> None:
    """`MAX_MESSAGE_CHARS` counts characters, of a message and of a question."""
    assert visitor.say("é" * 50).status_code == 201
    is_problem(visitor.say("é" * 51), 422, "invalid_request")
    assert visitor.ask("\U0001f30d" * 50).status_code == 200
    is_problem(visitor.ask("\U0001f30d" * 51), 422, "invalid_request")


def test_a_running_answer_outlives_nothing(brief: RunningService, caller: ApiClient) -> None:
    """A session that ages out under a running answer leaves no key behind, and the feed is not left hanging."""
    before = brief.key_names()
    with Watch(brief) as watch:
        visitor = caller.create()
        visitor.ask_streamed("tokens=500 delay=0.02").close()
        assert eventually(lambda: visitor.get().status_code == 404, 16)
        assert eventually(lambda: not of_sessions(brief, before), 12), of_sessions(brief, before)
    assert watch.found == set()


@pytest.fixture(autouse=True)
def no_500(brief: RunningService) -> Iterator[None]:
    """Whatever a test did, no call ended in an unforeseen error."""
    yield
    assert "internal_error" not in brief.own.log()
