"""The questions of this benchmark, and the folders they are asked of (``ANSWERS_DIR``; not part of the repository)."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
QUESTIONS = HERE / "questions"


@dataclass(frozen=True)
class Question:
    """A question, the files that answer it, and a few characters that a right answer has."""

    text: str
    files: tuple[str, ...]
    fact: str
    history: tuple[str, ...] = ()

    @property
    def held_out(self) -> bool:
        """Half of all questions by the hash of their text; nothing is fitted on those."""
        return bool(hashlib.sha256(self.text.encode()).digest()[0] & 1)

    @property
    def pages(self) -> frozenset[str]:
        """The files as page paths."""
        return frozenset(page_path(file) for file in self.files)


@dataclass(frozen=True)
class QuestionSet:
    """The questions of one folder, and where the folder comes from."""

    name: str
    repository: str
    commit: str
    path: str
    language: str
    generator: str
    questions: tuple[Question, ...]
    follow_ups: tuple[Question, ...]
    off_topic: tuple[Question, ...]

    @property
    def folder(self) -> Path:
        """Where the folder is expected."""
        return answers_dir() / self.name


def answers_dir() -> Path:
    """``ANSWERS_DIR``, or a folder in the cache of this user."""
    return Path(os.environ.get("ANSWERS_DIR") or Path.home() / ".cache" / "baton-answers")


def page_path(file: str) -> str:
    """A file's page: without its ending, and an index or README as its folder."""
    stem = file.rpartition(".")[0] if file.endswith((".md", ".mdx", ".markdown")) else file
    folder, _, name = stem.strip("/").rpartition("/")
    return folder.lower() if name.lower() in {"index", "readme", "_index"} else stem.strip("/").lower()


@cache
def question_sets() -> tuple[QuestionSet, ...]:
    """All sets, English ones first."""
    off_topic = _load("off_topic")
    names = sorted(path.stem for path in QUESTIONS.glob("*.json"))
    found = [_question_set(name, off_topic) for name in names if name not in {"off_topic", "follow_ups"}]
    return tuple(sorted(found, key=lambda one: (one.language != "en", one.name)))


def fetch(one: QuestionSet) -> None:
    """Bring a folder here with git, as it was when its questions were written."""
    one.folder.mkdir(parents=True)
    scratch = one.folder.with_suffix(".git")

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", f"--git-dir={scratch}", *arguments], check=True, stdout=subprocess.PIPE).stdout

    git("init", "--quiet", "--bare")
    url = f"https://github.com/{one.repository}"
    git("fetch", "--quiet", "--depth=1", "--filter=blob:limit=2m", url, one.commit)
    names = git("ls-tree", "-r", "-z", "--name-only", one.commit, "--", one.path).decode().split("\0")
    pages = [name for name in names if name.endswith((".md", ".mdx", ".markdown"))]
    archive = scratch / "pages.tar"
    git("archive", f"--output={archive}", one.commit, "--", *pages)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.isfile():
                member.name = member.name.removeprefix(f"{one.path}/")
                tar.extract(member, one.folder, filter="data")


def _question_set(name: str, off_topic: dict[str, list[str]]) -> QuestionSet:
    about = _load(name)
    questions = tuple(Question(one["question"], tuple(one["files"]), one["fact"]) for one in about.pop("questions"))
    follow_ups = tuple(
        Question(one["then"], tuple(one["files"]), "", (one["first"],))
        for one in _load("follow_ups")
        if one["folder"] == name
    )
    foreign = tuple(Question(text, (), "") for text in off_topic[about["language"]])
    return QuestionSet(name=name, questions=questions, follow_ups=follow_ups, off_topic=foreign, **about)


def _load(name: str) -> Any:
    return json.loads((QUESTIONS / f"{name}.json").read_text("utf-8"))
