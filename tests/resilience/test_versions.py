"""Two versions of the service side by side on one Redis, as during a deploy, with conversations that use both."""

from __future__ import annotations

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

from tests.contract.api_client import ApiClient, Visitor
from tests.contract.fake_bot import spoken
from tests.contract.feeds import joined, story
from tests.contract.launch import ROOT, RedisProcess, Service, eventually
from tests.resilience.test_workers import CLOSING, ask_aside, follow_to_the_end
from tests.resilience.write_auditor import WriteAuditor, note

Serve = Callable[..., Service]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PREVIOUS = "dedd4daf7c26ad7551639d0c539851c6d46cbdd1"
"""The commit that the version before this one stands at; each release moves it on."""
SECONDS = 20.0


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the version before, out of the repository's own history."""
    archive = subprocess.run(["git", "archive", PREVIOUS], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.fail(f"the history does not hold {PREVIOUS[:7]}, the version before: a full clone is needed for this")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as sources:
        sources.extractall(folder, filter="data")
    return folder


@pytest.fixture
def both(redis: RedisProcess, serve: Serve, previous: Path) -> tuple[Service, Service]:
    """The version before and this one, on one Redis."""
    return serve(redis.url, root=previous), serve(redis.url)


def at(service: Service, visitor: Visitor) -> Visitor:
    """The same visitor, who now comes to that service."""
    return Visitor(ApiClient(service.base), visitor.id)


def cross(here: Service, there: Service, round_: int) -> int:
    """One conversation that is begun here, led on there and back again; how many answers it had."""
    visitor = ApiClient(here.base).create(metadata={"round": round_})
    away = at(there, visitor)
    place = away.get("/messages").json()["cursor"]
    with away.events(after=place) as feed, visitor.ws(after=place) as socket:
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


def test_two_versions_side_by_side(both: tuple[Service, Service]) -> None:
    """F17: the version before and this one side by side under load: conversations cross between them by every call, no
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


@pytest.mark.parametrize("leaving", ["before", "this"])
def test_one_version_leaves_under_load(both: tuple[Service, Service], leaving: str) -> None:
    """F17: a deploy, and its way back: one version leaves under running answers; each is finished, and read to its end
    at the other; what is written meanwhile is there once.
    """
    gone, stays = both if leaving == "before" else both[::-1]
    visitors = [ApiClient(gone.base).create() for _ in range(12)]
    places = [visitor.get("/messages").json()["cursor"] for visitor in visitors]
    for visitor in visitors:
        ask_aside(visitor, "tokens=100 delay=0.04")
    assert eventually(lambda: all(visitor.get().json()["message_count"] == 1 for visitor in visitors), 15)
    with WriteAuditor([ApiClient(stays.base).create() for _ in range(3)]) as writers:
        gone.process.terminate()
        with ThreadPoolExecutor(12) as pool:
            stories = pool.map(
                lambda n: follow_to_the_end([gone.base, stays.base], visitors[n], places[n], 30), range(len(visitors))
            )
        for told in stories:
            assert [event.event for event in told if event.event in CLOSING] == ["answer.end"]
            assert joined(told) == spoken(100)
        assert gone.process.wait(30) == 0
    writers.check(longest=20)
    for visitor in visitors:
        assert at(stays, visitor).texts() == ["tokens=100 delay=0.04", spoken(100)]


@pytest.mark.parametrize("dying", ["before", "this"])
def test_one_version_dies(both: tuple[Service, Service], dying: str) -> None:
    """F17: a worker of one version is killed in mid-answer: the other closes the turn within 20 s and answers anew."""
    dead, lives = both if dying == "before" else both[::-1]
    visitor = ApiClient(dead.base).create()
    away = at(lives, visitor)
    place = away.get("/messages").json()["cursor"]
    ask_aside(visitor, "victim tokens=300 delay=0.02")
    with away.events(after=place) as feed:
        feed.until("answer.delta", count=5)
    os.kill(dead.worker_of("victim"), signal.SIGKILL)
    died = time.monotonic()
    told = follow_to_the_end([lives.base], away, place, 20)
    note(heal=time.monotonic() - died)
    assert [event.event for event in told if event.event in CLOSING] == ["answer.error"]
    assert away.history()[1]["content"] == joined(told)
    assert away.ask("again", client_id="c").json()["answer"] == spoken(300)
