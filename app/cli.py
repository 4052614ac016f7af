"""The command line: ask the knowledge folder, index it, check it against questions; check a service by its address."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app import doctor
from app.config import ConfigError, Settings
from app.engines.base import ChatMessage
from app.engines.knowledge import KnowledgeEngine


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it went well, 1 when a check failed."""
    given = _options().parse_args(arguments)
    if given.area == "doctor":
        return doctor.main(given)
    try:
        folders = (given.folder,) if given.folder else Settings.from_env().knowledge_dir
    except ConfigError as error:
        print(error)
        return 2
    if not all(folder.is_dir() for folder in folders):
        print(f"{folders[0]} is not a folder")
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        engine = KnowledgeEngine(folders, base_url=given.url, data_dir=given.data or Path(scratch))
        try:
            return int(given.run(engine, given))
        finally:
            engine.close()


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="Baton from the command line.")
    areas = parser.add_subparsers(title="areas", dest="area", required=True)
    doctor.add_arguments(areas.add_parser("doctor", help="check a service by its address against the promises"))
    knowledge = areas.add_parser("knowledge", help="the folder of Markdown that answers")
    commands = knowledge.add_subparsers(title="commands", required=True)
    ask = commands.add_parser("ask", help="answer one question")
    ask.add_argument("question")
    ask.add_argument(
        "--after", action="append", default=[], metavar="QUESTION", help="an earlier question; may come again"
    )
    ask.set_defaults(run=_ask)
    index = commands.add_parser("index", help="index a folder and say how large it is")
    index.add_argument("folder", type=Path)
    index.set_defaults(run=_index)
    check = commands.add_parser("check", help="recall at 1 and 3 and false answers over a file of questions")
    check.add_argument("questions", type=Path)
    check.set_defaults(run=_check)
    for command in (ask, check):
        command.add_argument("--dir", dest="folder", type=Path, help="the folder (default: BATON_KNOWLEDGE_DIR)")
    for command in (ask, index, check):
        command.add_argument("--data", type=Path, default=None, help="where the index is kept (default: nowhere)")
        command.add_argument("--url", default="/knowledge", help="where the pages can be opened")
    return parser


def _ask(engine: KnowledgeEngine, given: argparse.Namespace) -> int:
    answer = engine.ask(given.question, tuple(ChatMessage("user", earlier) for earlier in given.after))
    print(answer.text)
    for number, source in enumerate(answer.citations, 1):
        print(f"\n[{number}] {source.title}\n    {source.url}\n    {' '.join(source.snippet.split())[:200]}")
    return 0


def _index(engine: KnowledgeEngine, _: argparse.Namespace) -> int:
    status = engine.wait()
    print(json.dumps(status, indent=2))
    return 1 if status["problem"] else 0


def _check(engine: KnowledgeEngine, given: argparse.Namespace) -> int:
    """Questions are ``{"question", "pages": [paths], "history"?: [earlier ones]}``; no pages: not to be answered."""
    engine.wait()
    questions: list[dict[str, Any]] = json.loads(given.questions.read_text("utf-8"))
    ranks: list[int] = []
    answered = refused = 0
    began = time.perf_counter()
    for one in questions:
        history = tuple(ChatMessage("user", earlier) for earlier in one.get("history", ()))
        found = [engine.path_of(source.url) for source in engine.ask(one["question"], history).citations]
        if one.get("pages"):
            ranks.append(next((at for at, path in enumerate(found, 1) if path in one["pages"]), 0))
            refused += not found
        else:
            answered += bool(found)
    seconds = time.perf_counter() - began
    off = len(questions) - len(ranks)
    right = {most: sum(1 for rank in ranks if 0 < rank <= most) for most in (1, 3)}
    print(f"answerable {len(ranks)}: recall@1 {_ratio(right[1], len(ranks))}, @3 {_ratio(right[3], len(ranks))}, "
          f"refused {refused}")  # fmt: skip
    print(f"off topic {off}: false answers {answered}, refused {_ratio(off - answered, off)}")
    print(f"{1000 * seconds / max(1, len(questions)):.1f} ms a question")
    return 0 if off == 0 or answered <= 0.1 * off else 1


def _ratio(part: int, total: int) -> str:
    return f"{part / total:.2f}" if total else "-"
