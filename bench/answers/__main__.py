"""Run the quality set over the knowledge engine, bm25s and tantivy: ``python -m bench.answers``.

Sets named ``...-held`` were written after the weights were chosen, but the bar for refusals was moved once after
looking at them; sets named ``...-fresh`` have changed nothing. Each kind is reported apart.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.engines.base import ChatMessage
from app.engines.knowledge import KnowledgeEngine
from bench.answers import rivals

HERE = Path(__file__).resolve().parent
RIVALS = ("bm25s", "tantivy")
KINDS = {"held": "held out", "fresh": "fresh"}


@dataclass
class Tally:
    """What one search did with one set of questions."""

    ranks: list[int] = field(default_factory=list)
    refused: int = 0
    false: int = 0
    foreign: int = 0
    seconds: float = 0.0

    def add(self, other: Tally) -> None:
        """Take another tally in."""
        self.ranks += other.ranks
        self.refused += other.refused
        self.false += other.false
        self.foreign += other.foreign
        self.seconds += other.seconds

    def row(self, name: str) -> str:
        """One line of the table."""
        many = max(1, len(self.ranks))
        first, third = (sum(1 for rank in self.ranks if 0 < rank <= most) / many for most in (1, 3))
        each = 1000 * self.seconds / max(1, len(self.ranks) + self.foreign)
        return (
            f"| {name} | {len(self.ranks)} | {first:.2f} | {third:.2f} | {self.refused} "
            f"| {self.false} of {self.foreign} | {each:.1f} |"
        )


def corpora() -> dict[str, Path]:
    """The folders that questions are asked of; npm's own manual where npm is installed."""
    found = {"baton": HERE.parents[1] / "docs"}
    found |= {folder.name: folder for folder in sorted((HERE / "corpora").iterdir()) if folder.is_dir()}
    npm = shutil.which("npm")
    manual = Path(npm).resolve().parents[1] / "docs" / "content" if npm else Path("/nowhere")
    return found | ({"npm": manual} if manual.is_dir() else {})


def measured(ask: Callable[[str, list[str]], list[str]], questions: list[dict[str, Any]]) -> Tally:
    """Ask every question and count where its page came."""
    tally = Tally()
    for one in questions:
        began = time.perf_counter()
        found = ask(one["question"], one.get("history", []))
        tally.seconds += time.perf_counter() - began
        if one["pages"]:
            tally.ranks.append(next((at for at, path in enumerate(found, 1) if path in one["pages"]), 0))
            tally.refused += not found
        else:
            tally.foreign += 1
            tally.false += bool(found)
    return tally


def with_knowledge(engine: KnowledgeEngine) -> Callable[[str, list[str]], list[str]]:
    """The engine as a function from a question to pages."""

    def ask(question: str, history: list[str]) -> list[str]:
        answer = engine.ask(question, tuple(ChatMessage("user", earlier) for earlier in history))
        return [engine.path_of(source.url) for source in answer.citations]

    return ask


def with_rival(name: str, folder: Path) -> Callable[[str, list[str]], list[str]]:
    """A rival, which gets an earlier question in front of a follow-up."""
    ranked: rivals.Ranked = getattr(rivals, name)(folder)
    return lambda question, history: ranked(" ".join([*history[-1:], question]))


def quality() -> None:
    """Print recall, refusals and false answers, tuned and held-out sets apart."""
    totals: dict[tuple[str, str], Tally] = {}
    for name, folder in corpora().items():
        with tempfile.TemporaryDirectory() as scratch:
            engine = KnowledgeEngine(folder, base_url="/knowledge", data_dir=Path(scratch))
            engine.wait()
            asks = {"knowledge": with_knowledge(engine)} | {rival: with_rival(rival, folder) for rival in RIVALS}
            for file in sorted((HERE / "sets").glob(f"{name}*.json")):
                kind = KINDS.get(file.stem.rpartition("-")[2], "tuned on")
                questions = json.loads(file.read_text("utf-8"))
                for search, ask in asks.items():
                    tally = measured(ask, questions)
                    totals.setdefault((kind, search), Tally()).add(tally)
                    print(tally.row(f"{file.stem}, {search}"), flush=True)
            engine.close()
    print()
    for (kind, search), tally in sorted(totals.items()):
        print(tally.row(f"**{kind}, {search}**"))


def size() -> None:
    """Print index seconds, megabytes and milliseconds a query for 100 and 5,000 pages."""
    source = [path.read_text("utf-8") for path in corpora().get("npm", HERE / "corpora").rglob("*.md")]
    for pages in (100, 5000):
        with tempfile.TemporaryDirectory() as scratch:
            folder, data = Path(scratch) / "pages", Path(scratch) / "data"
            folder.mkdir()
            for number in range(pages):
                (folder / f"page-{number}.md").write_text(source[number % len(source)] + f"\n\nNumber n{number}.\n")
            began = time.perf_counter()
            engine = KnowledgeEngine(folder, base_url="/knowledge", data_dir=data)
            status = engine.wait()
            took = time.perf_counter() - began
            questions = json.loads((HERE / "sets" / "npm.json").read_text("utf-8"))
            tally = measured(with_knowledge(engine), questions)
            each = 1000 * tally.seconds / len(questions)
            megabytes = sum(file.stat().st_size for file in data.glob("*.db")) / 1e6
            print(f"| {status['pages']} | {status['chunks']} | {took:.1f} | {megabytes:.1f} | {each:.1f} |", flush=True)
            engine.close()


def main() -> int:
    """Install what is measured beside the engine, then measure."""
    missing = [name for name in RIVALS if importlib.util.find_spec(name) is None]
    if missing:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *missing], check=True)
    print("| set, search | questions | recall@1 | recall@3 | refused | false answers | ms each |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    quality()
    print("\n| pages | chunks | index s | MB | ms a question |\n| --- | --- | --- | --- | --- |")
    size()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
