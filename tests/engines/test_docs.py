"""The bots that the docs show, run as they stand there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app import engines
from app.config import Settings
from app.engines.base import CitationsChunk
from app.engines.python import PythonEngine
from tests.conftest import free_port, until
from tests.engines.conftest import SOURCES, ask, text_of

DOCS = Path(__file__).resolve().parents[2] / "docs" / "engines.md"


def block(holding: str) -> str:
    """The Python block of the docs that holds some words."""
    blocks = [rest.split("```")[0] for rest in DOCS.read_text("utf-8").split("```python\n")[1:]]
    return next(code for code in blocks if holding in code)


def test_the_bot_in_ten_lines_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python bot of the docs has at most ten lines, and answers with a citation."""
    code = block('You asked: "\n    yield request.question')
    assert len(code.splitlines()) <= 10
    (tmp_path / "mybot.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    chunks = list(PythonEngine("mybot:answer").answer(ask("open?")))
    assert text_of(chunks).startswith("You asked: open?\n\nThe pages say: We are open")
    assert chunks[-1] == CitationsChunk(SOURCES[:1])


def test_the_webhook_bot_in_twenty_lines_answers(tmp_path: Path, settings: Callable[..., Settings]) -> None:
    """The webhook bot of the docs has at most twenty lines, runs, and streams an answer with a citation."""
    code = block("def stream():")
    assert len(code.splitlines()) <= 20
    port = free_port()
    (tmp_path / "bot.py").write_text(code.replace("port=5000", f"port={port}"))
    bot = subprocess.Popen([sys.executable, tmp_path / "bot.py"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until(lambda: listens(port), 20, "the bot to listen")
        engine = engines.create_engine(settings(engine="webhook", webhook_url=f"http://127.0.0.1:{port}/"))
        chunks = list(engine.answer(ask("Are you there?")))
    finally:
        bot.terminate()
        bot.wait(10)
    assert text_of(chunks) == "You asked: Are you there? [1] "
    assert chunks[-1].citations[0].title == "Example"


def listens(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/").status_code == 405
    except httpx.HTTPError:
        return False
