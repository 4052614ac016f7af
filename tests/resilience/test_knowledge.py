"""The knowledge folder goes, breaks and changes under a service that is being asked."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.api_client import ApiClient
from tests.contract.launch import RedisProcess, Service, eventually
from tests.resilience.write_auditor import note

Serve = Callable[..., Service]
PAGE = "# Opening hours\n\nThe bakery opens at {} in the morning.\n"
QUESTION = "When does the bakery open?"


class Askers:
    """Three visitors without a session who ask again and again; the answers are counted."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.answers: Counter[str] = Counter()
        self.longest = 0.0
        self.going = True
        self.threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(3)]

    def __enter__(self) -> Askers:  # noqa: PYI034 - nobody derives from it
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.going = False
        for thread in self.threads:
            thread.join(15)

    def _ask(self) -> None:
        caller = ApiClient(self.base)
        while self.going:
            started = time.monotonic()
            answer = caller.post("/api/chat", json={"query": QUESTION})
            self.longest = max(self.longest, time.monotonic() - started)
            if answer.status_code != 200:
                self.answers[f"{answer.status_code}: {answer.text[:200]}"] += 1
                continue
            body = answer.json()
            hour = next((hour for hour in ("seven", "eight") if hour in body["answer"]), "")
            self.answers[(hour or f"odd: {body['answer'][:200]}") if body["citations"] else "nothing"] += 1
            time.sleep(0.05)

    def hear(self, what: str, more: int = 20, seconds: float = 20) -> bool:
        """Whether so many more answers say that."""
        before = self.answers[what]
        return eventually(lambda: self.answers[what] >= before + more, seconds, 0.1)


def spoil(folder: Path) -> None:
    """A folder of what can be no page, beside a page that was overwritten with rubbish."""
    folder.mkdir()
    (folder / "opening.md").write_bytes(b"\xff\xfe\x00broken \xc3\x28")
    (folder / "other.md").write_bytes(bytes(range(256)) * 40)
    (folder / "directory.md").mkdir()
    (folder / "loop.md").symlink_to("loop.md")
    (folder / "around").symlink_to(".")
    (folder / "out.md").symlink_to("/etc/passwd")
    (folder / "unreadable.md").write_text("# Closed\n")
    (folder / "unreadable.md").chmod(0)
    with (folder / "large.md").open("wb") as large:
        for _ in range(50):
            large.write(b"# Large\n\nThe bakery opens at noon. " + b"x" * 2**20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "pages"
    found.mkdir()
    (found / "opening.md").write_text(PAGE.format("seven"))
    return found


def problem(caller: ApiClient) -> str:
    """What `/health` says is wrong with the folder."""
    return str(caller.get("/health").json()["knowledge"].get("problem") or "")


def test_the_folder_goes_and_comes_back(redis: RedisProcess, serve: Serve, folder: Path) -> None:
    """F21: the knowledge folder is removed, comes back as rubbish, then whole with other words, while it is asked: the
    old index serves, then the new one; `/health` names what is wrong.
    """
    service = serve(redis.url, BATON_ENGINE="knowledge", BATON_KNOWLEDGE_DIR=str(folder))
    caller = ApiClient(service.base)
    with Askers(service.base) as askers:
        assert askers.hear("seven")
        shutil.rmtree(folder)
        assert eventually(lambda: "cannot be read" in problem(caller), 10, 0.2)
        assert askers.hear("seven")
        spoil(folder)
        assert eventually(lambda: "could not be read" in problem(caller), 20, 0.2)
        assert askers.hear("seven")
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / "opening.md").write_text(PAGE.format("eight"))
        assert askers.hear("eight")
        assert eventually(lambda: not problem(caller), 10, 0.2)
    assert set(askers.answers) == {"seven", "eight"}, askers.answers
    note(ok=askers.answers.total(), longest=askers.longest)
    assert caller.get("/knowledge/opening").status_code == 200


def test_rewritten_again_and_again(redis: RedisProcess, serve: Serve, folder: Path) -> None:
    """F21: the folder changes all the time while it is asked: each answer comes from one state of it or the other."""
    service = serve(redis.url, BATON_ENGINE="knowledge", BATON_KNOWLEDGE_DIR=str(folder))
    with Askers(service.base) as askers:
        end = time.monotonic() + 6
        while time.monotonic() < end:
            for number, hour in enumerate(("eight", "seven")):
                fresh = folder / f"opening-{number}.tmp"
                fresh.write_text(PAGE.format(hour))
                fresh.replace(folder / "opening.md")
                (folder / f"more-{time.monotonic_ns()}.md").write_text("# Bread\n\nWe bake rye bread on Mondays.\n")
                time.sleep(0.2)
        assert askers.hear("seven", 5)
    assert set(askers.answers) <= {"seven", "eight"}, askers.answers
    note(ok=askers.answers.total(), longest=askers.longest)


def test_rubbish_from_the_start(redis: RedisProcess, serve: Serve, tmp_path: Path) -> None:
    """F21: a folder of nothing but rubbish: the service starts, says honestly that it found nothing, and answers as
    soon as there is a page.
    """
    folder = tmp_path / "rubbish"
    spoil(folder)
    service = serve(redis.url, BATON_ENGINE="knowledge", BATON_KNOWLEDGE_DIR=str(folder))
    caller = ApiClient(service.base)
    answer = caller.post("/api/chat", json={"query": QUESTION})
    assert (answer.status_code, answer.json()["citations"]) == (200, [])
    assert answer.json()["answer"]
    assert problem(caller)
    (folder / "opening.md").write_text(PAGE.format("seven"))
    with Askers(service.base) as askers:
        assert askers.hear("seven")
    assert set(askers.answers) <= {"nothing", "seven"}, askers.answers
