"""The command line: the knowledge folder, a service by its address, invitations to the desk, events."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import desk_cli, doctor, events_cli
from app.config import ConfigError, Settings, misspelling_warnings
from app.engines import get_knowledge_engine
from app.engines.base import ChatMessage
from app.engines.knowledge import KnowledgeEngine


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it went well, 1 when a check failed."""
    options = _parser().parse_args(arguments)
    for line in misspelling_warnings(os.environ) if options.area != "doctor" else ():
        print(line, file=sys.stderr)
    if options.area != "knowledge":
        return {"doctor": doctor.main, "desk": desk_cli.main, "events": events_cli.main}[options.area](options)
    try:
        settings = Settings.from_env()
    except ConfigError as error:
        print(error)
        return 2
    folders = (options.folder,) if options.folder else settings.knowledge_dir
    if not all(folder.is_dir() for folder in folders):
        print(f"{folders[0]} is not a folder")
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        data_dir = settings.data_dir if settings.embeddings or settings.embeddings_url else Path(scratch)
        changes = {"knowledge_dir": folders, "knowledge_url": options.url, "data_dir": options.data or data_dir}
        engine = get_knowledge_engine(settings.model_copy(update=changes))
        try:
            return int(options.run(engine, options))
        finally:
            engine.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="Baton from the command line.")
    areas = parser.add_subparsers(title="commands", dest="area", required=True)
    doctor.add_arguments(areas.add_parser("doctor", help="check a service by its address against the promises"))
    desk_cli.add_arguments(areas.add_parser("desk", help="the operators who answer at /desk"))
    events_cli.add_arguments(areas.add_parser("events", help="list and retry undelivered events"))
    knowledge = areas.add_parser("knowledge", help="the folder of Markdown that answers")
    commands = knowledge.add_subparsers(title="commands", required=True)
    ask = commands.add_parser("ask", help="answer one question")
    ask.add_argument("question")
    ask.add_argument(
        "--after", action="append", default=[], metavar="QUESTION", help="an earlier question; may come again"
    )
    ask.add_argument("--explain", action="store_true", help="also say what was found, with scores, and why or why not")
    ask.set_defaults(run=_ask)
    index = commands.add_parser("index", help="index a folder and say how large it is")
    index.add_argument("folder", type=Path, nargs="?", help="the folder (default: BATON_KNOWLEDGE_DIR)")
    index.set_defaults(run=_index)
    check = commands.add_parser("check", help="how many questions of a file are answered by the right page")
    check.add_argument(
        "questions", type=_questions, metavar="FILE.json", help="a JSON list of questions, with their pages"
    )
    check.add_argument("--report", type=Path, metavar="FILE", help="write each question with its answer as Markdown")
    check.set_defaults(run=_check)
    for command in (ask, check):
        command.add_argument("--dir", dest="folder", type=Path, help="the folder (default: BATON_KNOWLEDGE_DIR)")
    for command in (ask, index, check):
        command.add_argument(
            "--data",
            type=Path,
            default=None,
            help="where the index is kept (default: nowhere, or with embeddings where the service keeps it)",
        )
        command.add_argument("--url", default="/knowledge", help="where the pages can be opened")
    return parser


def _questions(text: str) -> list[dict[str, Any]]:
    """The questions of a file."""
    questions = None
    try:
        with suppress(ValueError, RecursionError):
            questions = json.loads(Path(text).read_text("utf-8"))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error.strerror}") from None
    if not isinstance(questions, list) or not all(_is_question(entry) for entry in questions):
        raise argparse.ArgumentTypeError(f'{text} must be a list such as [{{"question": "...", "pages": ["prices"]}}]')
    return questions


def _is_question(entry: object) -> bool:
    return (
        isinstance(entry, dict) and isinstance(entry.get("question"), str) and isinstance(entry.get("pages", []), list)
    )


def _ask(engine: KnowledgeEngine, options: argparse.Namespace) -> int:
    engine.wait()
    history = tuple(ChatMessage("user", question) for question in options.after)
    answer = engine.ask(options.question, history)
    print(answer.text)
    for number, source in enumerate(answer.citations, 1):
        print(f"\n[{number}] {source.title}\n    {source.url}\n    {' '.join(source.snippet.split())[:200]}")
    if options.explain:
        print(f"\n{engine.explain(options.question, history)}")
    return 0


def _index(engine: KnowledgeEngine, _: argparse.Namespace) -> int:
    status = engine.wait()
    print(json.dumps(status, indent=2))
    return 1 if status["problem"] else 0


@dataclass(frozen=True)
class _Checked:
    """A question of the file, and what came of it."""

    question: str
    pages: tuple[str, ...]
    found: tuple[str, ...]
    has_fact: bool
    text: str

    @property
    def rank(self) -> int:
        """Where the first right page stands; 0 where none does."""
        return next((rank for rank, path in enumerate(self.found, 1) if path in self.pages), 0)

    @property
    def is_good(self) -> bool:
        """The right page first, with the fact where one is named; refused where it is not to be answered."""
        return self.rank == 1 and self.has_fact if self.pages else not self.found


def _check(engine: KnowledgeEngine, options: argparse.Namespace) -> int:
    """Questions are ``{"question", "pages": [paths], "fact"?: words of a right answer, "history"?: [earlier ones]}``;
    no pages: not to be answered.
    """
    engine.wait()
    started = time.perf_counter()
    checked = [_checked(engine, entry) for entry in options.questions]
    seconds = time.perf_counter() - started
    answerable = [question for question in checked if question.pages]
    off_topic = [question for question in checked if not question.pages]
    right = {rank: sum(1 for question in answerable if 0 < question.rank <= rank) for rank in (1, 3)}
    refused = sum(1 for question in answerable if not question.found)
    false = sum(1 for question in off_topic if question.found)
    facts = sum(question.has_fact for question in answerable)
    lines = [
        (
            f"answerable {len(answerable)}: recall@1 {_ratio(right[1], len(answerable))}, "
            f"@3 {_ratio(right[3], len(answerable))}, "
            f"refused {refused}, with the fact {_ratio(facts, len(answerable))}"
        ),
        f"off topic {len(off_topic)}: false answers {false}, refused {_ratio(len(off_topic) - false, len(off_topic))}",
        f"{1000 * seconds / max(1, len(checked)):.1f} ms a question",
    ]
    print("\n".join(lines))
    try:
        if options.report:
            options.report.write_text(_report(lines, checked), "utf-8")
    except OSError as error:
        print(f"{options.report} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    return 0 if not off_topic or false <= 0.1 * len(off_topic) else 1


def _checked(engine: KnowledgeEngine, entry: dict[str, Any]) -> _Checked:
    history = tuple(ChatMessage("user", question) for question in entry.get("history", ()))
    answer = engine.ask(entry["question"], history)
    found = tuple(engine.path_of(source.url) for source in answer.citations)
    has_fact = str(entry.get("fact", "")).casefold() in answer.text.casefold()
    return _Checked(entry["question"], tuple(entry.get("pages", ())), found, has_fact, answer.text)


def _report(lines: Sequence[str], checked: Sequence[_Checked]) -> str:
    """What did not go well first, each question with what it was answered."""
    parts = ["# Questions checked", *(f"- {line}" for line in lines)]
    for title, good in (("What went wrong", False), ("What went well", True)):
        parts.append(f"\n## {title}")
        for entry in checked:
            if entry.is_good == good:
                wanted = ", ".join(f"`{page}`" for page in entry.pages) or "no answer"
                found = ", ".join(f"`{page}`" for page in entry.found) or "no answer"
                quoted = "\n".join(f"> {line}" for line in entry.text.splitlines())
                parts.append(f"\n### {entry.question}\n\nWanted: {wanted}. Found: {found}.\n\n{quoted}")
    return "\n".join(parts) + "\n"


def _ratio(part: int, total: int) -> str:
    return f"{part / total:.2f}" if total else "-"
