"""Answers from documentation that others wrote: ``make bench BENCH=answers``, or ``python -m bench.answers``.

``--held-out`` reports the half of the questions on which nothing is fitted, ``--fetch`` brings the folders with git,
``--misses`` lists what went wrong, ``--only NAME`` takes one folder, ``--size`` measures 100 and 5,000 pages instead.
Lexical, and with the local encoder where requirements-semantic.txt is installed; common searches stand beside them.
"""

from __future__ import annotations

import argparse
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.engines.base import ChatMessage
from app.engines.knowledge import KnowledgeEngine, local_embeddings
from app.engines.knowledge.index import read_chunks
from app.engines.knowledge.local_embeddings import LocalEmbeddings, missing_packages
from bench.answers.rivals import RIVALS, Chunk, Ranked, missing
from bench.answers.sets import Question, QuestionSet, answers_dir, fetch, page_path, question_sets

BUILD_SECONDS = 3_600.0
local_embeddings.QUESTION_SECONDS = 5.0  # a busy machine shall not change the figures


@dataclass(frozen=True)
class Reply:
    """Pages, best first, none where the question is refused, and the answer's text."""

    pages: tuple[str, ...]
    text: str
    searches: int = 1


Ask = Callable[[Question], Reply]


@dataclass
class Tally:
    """What one engine did with the questions of one language."""

    ranks: list[int] = field(default_factory=list)
    facts: int = 0
    refused: int = 0
    off_topic: int = 0
    false_answers: int = 0
    follow_ups: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)

    def row(self, engine: str, language: str) -> str:
        """A line of the table."""
        total = max(1, len(self.ranks))
        first, third = (sum(1 for rank in self.ranks if 0 < rank <= most) / total for most in (1, 3))
        right = sum(1 for rank in self.follow_ups if 0 < rank <= 3)
        each = 1000 * sum(self.seconds) / max(1, len(self.seconds))
        false = f"{self.false_answers / self.off_topic:.2f}" if self.off_topic else "-"
        follow_ups = f"{right} of {len(self.follow_ups)}" if self.follow_ups else "-"
        return (
            f"| {engine} | {language} | {len(self.ranks)} | {first:.2f} | {third:.2f} | {self.facts / total:.2f} "
            f"| {self.refused / total:.2f} | {false} | {follow_ups} | {each:.1f} |"
        )


HEAD = (
    "| engine | language | questions | r@1 | r@3 | fact | refused wrongly | false answers | follow-ups | ms |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def measure(ask: Ask, one: QuestionSet, held_out: bool, tally: Tally) -> None:
    """Ask every question of one half."""
    for question in one.questions:
        if question.held_out is held_out:
            reply = _timed(ask, question, tally)
            rank = _rank(reply, question)
            has_fact = question.fact.casefold() in reply.text.casefold()
            tally.ranks.append(rank)
            tally.facts += has_fact and bool(reply.pages)
            tally.refused += not reply.pages
            if rank != 1 or not has_fact:
                tally.misses.append(f"{one.name}: {question.text} -> {reply.pages[:3] or 'refused'} (place {rank})")
    for question in one.follow_ups:
        if question.held_out is held_out:
            tally.follow_ups.append(_rank(_timed(ask, question, tally), question))
    for question in one.off_topic:
        if question.held_out is held_out:
            reply = _timed(ask, question, tally)
            tally.off_topic += 1
            tally.false_answers += bool(reply.pages)
            if reply.pages:
                tally.misses.append(f"{one.name}: {question.text} -> {reply.pages[:1]} (off topic)")


def _timed(ask: Ask, question: Question, tally: Tally) -> Reply:
    began = time.perf_counter()
    reply = ask(question)
    tally.seconds.append((time.perf_counter() - began) / reply.searches)
    return reply


def _rank(reply: Reply, question: Question) -> int:
    """The place of the first right page, 0 where it is not there."""
    return next((place for place, page in enumerate(reply.pages, 1) if page in question.pages), 0)


@contextmanager
def knowledge(folder: Path, *, semantic: bool) -> Iterator[KnowledgeEngine]:
    """The engine over a folder, its index and its vectors complete."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(os.environ.get("ANSWERS_DATA") or scratch)
        embeddings = LocalEmbeddings(data) if semantic else None
        engine = KnowledgeEngine(folder, base_url="/knowledge", data_dir=data, embeddings=embeddings)
        try:
            engine.wait(BUILD_SECONDS)
            yield engine
        finally:
            engine.close()


def read_index(engine: KnowledgeEngine) -> list[Chunk]:
    """The engine's own chunks, for the others."""
    file = engine._index.file
    assert file is not None
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
        ids = [row[0] for row in db.execute("SELECT id FROM chunks")]
        found = read_chunks(db, ids).values()
    return [Chunk(one.path, one.title, " ".join((*one.trail, one.heading)), one.text) for one in found]


def ask_knowledge(engine: KnowledgeEngine) -> Ask:
    """The engine's own answer; its ranking by ``find``, where it answers at all."""

    def ask(question: Question) -> Reply:
        history = [ChatMessage("user", text) for text in question.history]
        answer = engine.ask(question.text, history)
        if not answer.citations:
            return Reply((), answer.text)
        cited = [engine.path_of(source.url) for source in answer.citations]
        found = [] if history else [engine.path_of(source.url) for source in engine.find(question.text, 5)]
        pages = tuple(dict.fromkeys(page.lower() for page in (*found, *cited)))
        return Reply(pages, answer.text, searches=1 if history else 2)

    return ask


def ask_rival(ranked: Ranked, chunks: Sequence[Chunk]) -> Ask:
    """A rival, which answers with its best chunk, and gets an earlier question in front of a follow-up."""

    def ask(question: Question) -> Reply:
        found = ranked(" ".join([*question.history, question.text]))
        text = f"{chunks[found[0]].title} {chunks[found[0]].heading} {chunks[found[0]].text}" if found else ""
        return Reply(tuple(dict.fromkeys(page_path(chunks[number].page) for number in found)), text)

    return ask


def quality(sets: Sequence[QuestionSet], held_out: bool, show_misses: bool) -> None:
    """Print the table, by language and over all folders of a language."""
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    has_extra = not missing_packages()
    if not has_extra:
        print(f"with the encoder: left out (python -m pip install -r requirements-semantic.txt: {missing_packages()})")
    notes = [note for note in map(missing, RIVALS) if note]
    print("\n".join(notes))
    for one in sets:
        for semantic in (False, True)[: 1 + has_extra]:
            with knowledge(one.folder, semantic=semantic) as engine:
                name = "Baton with the encoder" if semantic else "Baton, words alone"
                measure(ask_knowledge(engine), one, held_out, tallies[name, one.language])
                if not semantic:
                    chunks = read_index(engine)
        for rival, build in RIVALS.items():
            if not missing(rival):
                measure(ask_rival(build(chunks, one.language), chunks), one, held_out, tallies[rival, one.language])
        print(f"{one.name}: {len(chunks)} chunks", file=sys.stderr, flush=True)
    print(f"\nThe {'held-out' if held_out else 'tuning'} half of the questions:\n\n{HEAD}")
    for (engine_name, language), tally in sorted(tallies.items(), key=lambda entry: (entry[0][1] != "en", entry[0][1])):
        print(tally.row(engine_name, language))
        if show_misses and engine_name.startswith("Baton"):
            print("\n".join(f"  {engine_name}: {miss}" for miss in tally.misses), file=sys.stderr)


def size(sets: Sequence[QuestionSet], pages_wanted: Sequence[int]) -> None:
    """Print index seconds, megabytes and milliseconds a question, for folders made of copies of one of these."""
    source = [path.read_text("utf-8") for path in sorted(sets[0].folder.rglob("*.md"))]
    print("| pages | chunks | engine | index s | vectors s | MB on disk | encoder MB | ms a question |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for pages in pages_wanted:
        for semantic in (False, True)[: 1 + (not missing_packages())]:
            with tempfile.TemporaryDirectory() as scratch:
                print(_size_row(Path(scratch), source, pages, sets[0].questions, semantic), flush=True)


def _size_row(scratch: Path, source: Sequence[str], pages: int, questions: Sequence[Question], semantic: bool) -> str:
    folder, data = scratch / "pages", scratch / "data"
    folder.mkdir()
    for number in range(pages):
        text = re.sub(r"(?m)^(#+ .*)$", rf"\1 {number}", source[number % len(source)])
        (folder / f"page-{number}.md").write_text(text)
    began = time.perf_counter()
    embeddings = LocalEmbeddings(data) if semantic else None
    engine = KnowledgeEngine(folder, base_url="/knowledge", data_dir=data, embeddings=embeddings)
    while not engine.status()["indexed_at"]:
        time.sleep(0.05)
    indexed = time.perf_counter()
    status = engine.wait(BUILD_SECONDS)
    embedded = time.perf_counter()
    tally = Tally()
    for question in questions:
        _timed(ask_knowledge(engine), question, tally)
    megabytes = sum(file.stat().st_size for file in data.iterdir() if file.is_file()) / 1e6
    memory = f"{_encoder_megabytes():.0f}" if semantic else "-"
    vectors = f"{embedded - indexed:.0f}" if semantic else "-"
    engine.close()
    name = "with the encoder" if semantic else "words alone"
    each = 1000 * sum(tally.seconds) / len(tally.seconds)
    return (
        f"| {pages} | {status['chunks']} | {name} | {indexed - began:.1f} | {vectors} | {megabytes:.0f} | {memory} "
        f"| {each:.1f} |"
    )


def _encoder_megabytes() -> float:
    """Resident memory of this process' encoder."""
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "rss=,args="], capture_output=True, text=True)  # noqa: PLW1510
    return sum(int(line.split()[0]) / 1024 for line in listed.stdout.splitlines() if "knowledge.encoder" in line)


def main() -> int:
    """Measure what is there."""
    parser = argparse.ArgumentParser(prog="bench.answers", description=__doc__.split("\n")[0] if __doc__ else "")
    for option in ("--held-out", "--fetch", "--misses", "--size"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("--only", action="append")
    parser.add_argument("--pages", type=int, action="append")
    options = parser.parse_args()
    wanted = [one for one in question_sets() if not options.only or one.name in options.only]
    if options.fetch:
        for one in wanted:
            if not one.folder.exists():
                fetch(one)
    present = [one for one in wanted if one.folder.is_dir()]
    for one in wanted:
        if one not in present:
            print(f"{one.name}: left out, not in {answers_dir()} (python -m bench.answers --fetch, or ANSWERS_DIR)")
    if not present:
        return 0
    if options.size:
        size(present, options.pages or (100, 5_000))
    else:
        quality(present, options.held_out, options.misses)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
