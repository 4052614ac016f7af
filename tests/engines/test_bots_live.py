"""The bots that the docs show, behind the real service: streamed, with sources, and taken up again in mid-answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import Service, free_port, until
from tests.engines.test_docs import block, listens

Start = Callable[..., Service]
Event = tuple[str, str, dict[str, object]]


@pytest.fixture
def webhook_bot(tmp_path: Path) -> Iterator[str]:
    """The webhook bot of the docs, running; its address."""
    port = free_port()
    (tmp_path / "bot.py").write_text(block("def stream():").replace("port=5000", f"port={port}"))
    bot = subprocess.Popen([sys.executable, tmp_path / "bot.py"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until(lambda: listens(port), 20, "the bot to listen")
        yield f"http://127.0.0.1:{port}/"
    finally:
        bot.terminate()
        bot.wait(10)


def events(response: httpx.Response) -> Iterator[Event]:
    """Server-sent events as (id, event, data)."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            if "data" in fields:
                yield fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])
            fields = {}


def cut_and_resumed(service: Service, question: str) -> tuple[list[Event], list[Event], dict[str, object]]:
    """Asks, hangs up after the first words, takes up the feed on a new connection; both halves, and the history."""
    with httpx.Client(base_url=service.url, timeout=30) as client:
        mine = {"Authorization": f"Bearer {client.post('/api/session/create').json()['session_id']}"}
        stream = mine | {"Accept": "text/event-stream"}
        before: list[Event] = []
        with client.stream("POST", "/api/chat", json={"query": question}, headers=stream) as response:
            for event in events(response):
                before += [event] if event[0] else []
                if event[1] == "answer.delta" and event[2]["text"]:
                    break
    after: list[Event] = []
    with (
        httpx.Client(base_url=service.url, timeout=30) as other,
        other.stream("GET", "/api/session/me/events", headers=mine | {"Last-Event-ID": before[-1][0]}) as response,
    ):
        for event in events(response):
            after += [event] if event[0] else []
            if event[1] == "answer.end":
                break
        history = other.get("/api/session/me/messages", headers=mine).json()["messages"]
    return before, after, history[-1]


def holds(before: list[Event], after: list[Event], kept: dict[str, object]) -> None:
    """The two halves are one answer: each event once, in order, its words those that are kept."""
    ids = [event[0] for event in before + after]
    assert len(set(ids)) == len(ids)
    text = "".join(str(event[2]["text"]) for event in before + after if event[1] == "answer.delta")
    assert text == kept["content"]
    assert "answer.end" not in [event[1] for event in before]
    assert any(event[1] == "answer.delta" and event[2]["text"] for event in after), "the answer was cut in its middle"
    assert after[-1][2]["message"] == kept


def test_the_webhook_bot_is_taken_up_in_mid_answer(service: Start, webhook_bot: str) -> None:
    """A webhook bot of twenty lines streams with its source, and goes on for whoever comes back with the last id."""
    running = service(BATON_ENGINE="webhook", BATON_WEBHOOK_URL=webhook_bot)
    before, after, kept = cut_and_resumed(running, "Are you open on Sunday and on all the other days of the week?")
    holds(before, after, kept)
    assert str(kept["content"]).startswith("You asked: Are you open on Sunday")
    assert [one["title"] for one in after[-1][2]["citations"]] == ["Example"]  # type: ignore[attr-defined]
    counted = f'baton_engine_words_total{{engine="webhook"}} {len(str(kept["content"]).split())}.0'
    until(lambda: counted in httpx.get(f"{running.url}/metrics").text, what="the words to be counted")


def test_the_python_bot_is_taken_up_in_mid_answer(service: Start, tmp_path: Path) -> None:
    """A Python bot of ten lines streams with its source, and goes on for whoever comes back with the last id."""
    code = block('You asked: "\n    yield request.question')
    # The same bot, that thinks for a moment before it looks at the pages.
    slow = code.replace("    for passage", "    request.cancel.wait(1)\n    for passage")
    assert slow != code
    (tmp_path / "mybot.py").write_text(slow)
    running = service(BATON_ENGINE="python:mybot:answer", PYTHONPATH=str(tmp_path))
    before, after, kept = cut_and_resumed(running, "How do I connect my own bot?")
    holds(before, after, kept)
    assert "The pages say: " in str(kept["content"])
    assert "/knowledge/" in after[-1][2]["citations"][0]["url"]  # type: ignore[index]
