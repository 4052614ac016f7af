"""The bots that the docs show, behind the real service: streamed, with sources, and taken up again in mid-answer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Service, free_port, until
from tests.contract.api_client import ApiClient
from tests.contract.feeds import Event, joined

Start = Callable[..., Service]
DOCS = Path(__file__).resolve().parents[2] / "docs" / "engines.md"


def block(holding: str, lines: int) -> str:
    """The Python block of the docs that holds some words; it has no more than so many lines."""
    blocks = [rest.split("```")[0] for rest in DOCS.read_text("utf-8").split("```python\n")[1:]]
    code = next(code for code in blocks if holding in code)
    assert len(code.splitlines()) <= lines
    return code


def listens(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/").status_code == 405
    except httpx.HTTPError:
        return False


@pytest.fixture
def webhook_bot(tmp_path: Path) -> Iterator[str]:
    """The webhook bot of the docs, running; its address."""
    port = free_port()
    (tmp_path / "bot.py").write_text(block("def stream():", 20).replace("port=5000", f"port={port}"))
    bot = subprocess.Popen([sys.executable, tmp_path / "bot.py"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until(lambda: listens(port), 20, "the bot to listen")
        yield f"http://127.0.0.1:{port}/"
    finally:
        bot.terminate()
        bot.wait(10)


def has_words(events: list[Event]) -> bool:
    return any(event.event == "answer.delta" and event.data["text"] for event in events)


def check_resumed(service: Service, question: str) -> tuple[dict[str, Any], list[Any]]:
    """Asks, hangs up after the first words and follows the feed on a new connection: both halves are one answer, each
    event once and in order. Gives the stored message, and the citations.
    """
    visitor = ApiClient(service.url).create()
    with visitor.ask_streamed(question) as stream:
        before = [event for event in stream.wait(has_words, 30) if event.id]
    with visitor.events(last=before[-1].id) as feed:
        after = [event for event in feed.until("answer.end", seconds=30) if event.id]
    stored = visitor.history()[-1]
    ids = [event.id for event in before + after]
    assert len(set(ids)) == len(ids)
    assert joined(before + after) == stored["content"]
    assert "answer.end" not in [event.event for event in before]
    assert has_words(after), "the answer was cut in its middle"
    assert after[-1].data["message"] == stored
    return stored, after[-1].data["citations"]


def test_the_webhook_bot_is_taken_up_in_mid_answer(service: Start, webhook_bot: str) -> None:
    """A webhook bot of twenty lines streams with its source, and goes on for whoever comes back with the last id."""
    running = service(BATON_ENGINE="webhook", BATON_WEBHOOK_URL=webhook_bot)
    stored, citations = check_resumed(running, "Are you open on Sunday and on all the other days of the week?")
    assert stored["content"].startswith("You asked: Are you open on Sunday")
    assert [citation["title"] for citation in citations] == ["Example"]
    counted = f'baton_engine_words_total{{engine="webhook"}} {len(stored["content"].split())}.0'
    until(lambda: counted in httpx.get(f"{running.url}/metrics").text, what="the words to be counted")


def test_the_python_bot_is_taken_up_in_mid_answer(service: Start, tmp_path: Path) -> None:
    """A Python bot of ten lines streams with its source, and goes on for whoever comes back with the last id."""
    code = block('You asked: "\n    yield request.question', 10)
    # The same bot, that thinks for a moment before it looks at the pages.
    slow = code.replace("    for passage", "    request.cancel.wait(1)\n    for passage")
    assert slow != code
    (tmp_path / "mybot.py").write_text(slow)
    running = service(BATON_ENGINE="python:mybot:answer", PYTHONPATH=str(tmp_path))
    stored, citations = check_resumed(running, "How do I connect my own bot?")
    assert stored["content"].startswith("You asked: How do I connect my own bot?\n\nThe pages say: ")
    assert "/knowledge/" in citations[0]["url"]
