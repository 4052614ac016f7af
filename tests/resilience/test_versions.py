"""0.1.0 and this version on one Redis: side by side as during a deploy, and one after the other as in an upgrade."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest

from app.conversations.ids import hash_session_id
from tests.contract.api_client import ApiClient, Visitor, is_problem
from tests.contract.fake_bot import spoken
from tests.contract.feeds import joined, story
from tests.contract.launch import ROOT, RedisProcess, Service, eventually
from tests.resilience.test_workers import CLOSING, ask_aside, follow_to_the_end
from tests.resilience.write_auditor import WriteAuditor, note

Serve = Callable[..., Service]
pytestmark = pytest.mark.timeout(400)
PREVIOUS = "677aa9fe7fbef224304446964bb14b15e04b57c2"
"""The commit of 0.1.0, the version before this one; each release moves it on."""
OLD_ENGINE = "python:tests.contract.bot:answer"
"""What the fake bot of the contract tests is called in that commit."""
SECONDS = 20.0


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of 0.1.0, out of the repository's own history."""
    archive = subprocess.run(["git", "archive", PREVIOUS], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"the git history here does not hold {PREVIOUS[:7]} (0.1.0): this test needs a full clone")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as sources:
        sources.extractall(folder)
    return folder


Start = Callable[[str], Service]


@pytest.fixture
def start(redis: RedisProcess, serve: Serve, previous: Path) -> Start:
    """Starts ``"0.1.0"`` or ``"this"`` version, both on one Redis."""

    def start(version: str) -> Service:
        if version == "this":
            return serve(redis.url)
        return serve(redis.url, root=previous, BATON_ENGINE=OLD_ENGINE)

    return start


@pytest.fixture
def both(start: Start) -> tuple[Service, Service]:
    """0.1.0 and this version, on one Redis."""
    return start("0.1.0"), start("this")


def at(service: Service, visitor: Visitor) -> Visitor:
    """The same visitor, now at that service."""
    return Visitor(ApiClient(service.base), visitor.id)


def cross(here: Service, there: Service, round_: int) -> int:
    """One conversation that starts here and goes on there and here again; returns how many answers it had."""
    visitor = ApiClient(here.base).create(metadata={"round": round_})
    away = at(there, visitor)
    cursor = away.get("/messages").json()["cursor"]
    with away.events(after=cursor) as feed, visitor.ws(after=cursor) as socket:
        stream = visitor.ask_streamed("tokens=40 delay=0.02", client_id="a")
        early = story(feed.until("answer.delta", count=1 + round_ % 7))
        with visitor.events(last=early[-1].id) as later:
            assert joined(early) + joined(later.until("answer.end")) == spoken(40)
        for reader in (feed, socket, stream):
            assert joined(story(reader.until("answer.end"))) == spoken(40)
        stream.close()
    assert away.ask("tokens=40 delay=0.02", client_id="a").json()["answer"] == spoken(40)
    first = visitor.say("said here", client_id="b")
    again = away.say("said here", client_id="b")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["message"] == again.json()["message"]
    for one, other in ((visitor, away), (away, visitor)):
        resumed = other.caller.resume(one.ticket(), client_id="r")
        assert (resumed.status_code, resumed.json()["session_id"]) == (200, visitor.id)
        assert resumed.json()["messages"] == one.history()
        running = one.ask_streamed("tokens=1000 delay=0.02")
        running.until("answer.delta", count=3)
        assert other.post("/stop").json()["stopped"] is True
        end = running.until(*CLOSING)[-1]
        assert (end.event, end.data["message"]["metadata"]) == ("answer.end", {"stopped": True})
        assert other.ask("hello").json()["answer"] == "echo: hello"
        running.close()
    assert visitor.history() == away.history()
    assert [message["role"] for message in visitor.history()] == [
        "user",
        "assistant",
        "user",
        *["user", "assistant"] * 4,
    ]
    assert away.erase().status_code == 204
    assert visitor.get().status_code == 404
    return 5


def test_both_versions_use_the_sessions_of_either(both: tuple[Service, Service]) -> None:
    """F25: a session that either version created is read, continued and resumed by both, in mid-answer too: events,
    cursors, tickets, replays, stop and erase mean the same to both.
    """
    for here, there in (both, both[::-1]):
        cross(here, there, 3)
        resumed_in_mid_answer(here, there)


def resumed_in_mid_answer(here: Service, there: Service) -> None:
    """An answer that is made here is resumed there by ticket: its first words, the rest, and the next question."""
    visitor = ApiClient(here.base).create()
    running = visitor.ask_streamed("tokens=60 delay=0.03", client_id="a")
    running.until("answer.delta", count=5)
    page = ApiClient(there.base).resume(visitor.ticket("share"), client_id="r").json()
    assert [message["content"] for message in page["messages"]] == ["tokens=60 delay=0.03"]
    away = at(there, visitor)
    with away.events(after=page["cursor"]) as feed:
        assert joined(story(feed.until("answer.end"))) == spoken(60)
    running.until("answer.end")
    running.close()
    assert away.ask("hello").json()["answer"] == "echo: hello"
    assert away.texts() == visitor.texts() == ["tokens=60 delay=0.03", spoken(60), "hello", "echo: hello"]


@pytest.mark.parametrize(("before", "after"), [("0.1.0", "this"), ("this", "0.1.0")], ids=["upgrade", "rollback"])
def test_stored_sessions_outlive_the_version(redis: RedisProcess, start: Start, before: str, after: str) -> None:
    """F25: what one version stored before it was replaced by the other is the same there: details, history with
    citations, interrupted words and feedback, positions, replays, tickets, the end; an erase leaves no key.
    """
    first = start(before)
    visitor = ApiClient(first.base).create(metadata={"site": "shop", "n": 1})
    cursor = visitor.get("/messages").json()["cursor"]
    visitor.said("first", client_id="m1", metadata={"page": "/cart"})
    cited = visitor.ask("cite please", client_id="c1").json()
    assert visitor.ask("tokens=20 fail-after=5", client_id="c2").status_code == 502
    assert visitor.post(f"/messages/{cited['message_id']}/feedback", {"rating": "up", "comment": "yes"}).is_success
    tickets = [visitor.ticket("once"), visitor.ticket("share")]
    ended = ApiClient(first.base).create()
    ended.said("goodbye")
    assert ended.post("/end").status_code == 200
    details, history = visitor.get().json(), visitor.history()
    replay = visitor.events(after=cursor)
    events = story(replay.until("answer.error"))
    replay.close()
    assert first.stop() == 0

    second = start(after)
    visitor, ended = at(second, visitor), at(second, ended)
    assert visitor.get().json() == details
    assert visitor.history() == history
    assert visitor.history(before=history[2]["id"]) == history[:2]
    with visitor.events(after=cursor) as feed:
        again = story(feed.until("answer.error"))
    assert [(event.id, event.event, event.data) for event in again] == [(e.id, e.event, e.data) for e in events]
    replayed = visitor.say("first", client_id="m1", metadata={"page": "/cart"})
    assert (replayed.status_code, replayed.json()["message"]) == (200, history[0])
    assert visitor.ask("cite please", client_id="c1").json() == cited
    for ticket in tickets:
        resumed = visitor.caller.resume(ticket)
        assert (resumed.status_code, resumed.json()["messages"]) == (200, history)
    assert visitor.caller.resume(tickets[0]).status_code == 404
    assert (ended.get().json()["status"], ended.texts()) == ("ended", ["goodbye"])
    assert is_problem(ended.say("more"), 409, "session_ended")
    earlier = json.loads(visitor.ask("tell me").json()["answer"])["history"]
    assert [text for _, text in earlier][:2] == ["first", "cite please"]
    assert visitor.texts()[: len(history)] == [message["content"] for message in history]
    assert visitor.erase().status_code == ended.erase().status_code == 204
    assert [visitor.get().status_code, visitor.caller.resume(tickets[1]).status_code] == [404, 404]
    with redis.client() as look:
        names = list(look.scan_iter(count=1000))
    assert [name for one in (visitor, ended) for name in names if (hash_session_id(one.id) or "") in name] == []


@pytest.mark.slow
def test_two_versions_side_by_side(both: tuple[Service, Service]) -> None:
    """F17: 0.1.0 and this version side by side under load: conversations cross between them by every call, no
    turn fails, no message is lost or doubled.
    """
    old, new = both
    visitors = [ApiClient(service.base).create() for service in (old, new) for _ in range(2)]
    end = time.monotonic() + SECONDS

    def converse(number: int) -> int:
        answers = round_ = 0
        while time.monotonic() < end:
            here, there = (old, new) if (number + round_) % 2 else (new, old)
            answers += cross(here, there, round_)
            round_ += 1
        return answers

    crossed = [at(new if number < 2 else old, visitor) for number, visitor in enumerate(visitors)]
    with WriteAuditor(crossed) as writers, ThreadPoolExecutor(4) as pool:
        answers = sum(pool.map(converse, range(4)))
    writers.check(longest=20)
    note(ok=answers)
    assert answers > 20


@pytest.mark.slow
@pytest.mark.parametrize("leaving", ["0.1.0", "this"])
def test_one_version_leaves_under_load(both: tuple[Service, Service], leaving: str) -> None:
    """F17: a deploy, and its way back: one version leaves under running answers; each is finished, and read to its end
    at the other; what is written meanwhile is there once.
    """
    gone, stays = both if leaving == "0.1.0" else both[::-1]
    visitors = [ApiClient(gone.base).create() for _ in range(12)]
    cursors = [visitor.get("/messages").json()["cursor"] for visitor in visitors]
    for visitor in visitors:
        ask_aside(visitor, "tokens=100 delay=0.04")
    assert eventually(lambda: all(visitor.get().json()["message_count"] == 1 for visitor in visitors), 15)
    with WriteAuditor([ApiClient(stays.base).create() for _ in range(3)]) as writers:
        gone.process.terminate()
        with ThreadPoolExecutor(12) as pool:
            stories = pool.map(
                lambda n: follow_to_the_end([gone.base, stays.base], visitors[n], cursors[n], 30), range(len(visitors))
            )
        for events in stories:
            assert [event.event for event in events if event.event in CLOSING] == ["answer.end"]
            assert joined(events) == spoken(100)
        assert gone.process.wait(30) == 0
    writers.check(longest=20)
    for visitor in visitors:
        assert at(stays, visitor).texts() == ["tokens=100 delay=0.04", spoken(100)]


@pytest.mark.slow
@pytest.mark.parametrize("dying", ["0.1.0", "this"])
def test_one_version_dies(both: tuple[Service, Service], dying: str) -> None:
    """F17: a worker of one version is killed in mid-answer: the other closes the turn within 20 s and answers anew."""
    dead, lives = both if dying == "0.1.0" else both[::-1]
    visitor = ApiClient(dead.base).create()
    away = at(lives, visitor)
    cursor = away.get("/messages").json()["cursor"]
    ask_aside(visitor, "victim tokens=300 delay=0.02")
    with away.events(after=cursor) as feed:
        feed.until("answer.delta", count=5)
    os.kill(dead.worker_of("victim"), signal.SIGKILL)
    died = time.monotonic()
    events = follow_to_the_end([lives.base], away, cursor, 20)
    note(heal=time.monotonic() - died)
    assert [event.event for event in events if event.event in CLOSING] == ["answer.error"]
    assert away.history()[1]["content"] == joined(events)
    assert away.ask("again", client_id="c").json()["answer"] == spoken(300)
