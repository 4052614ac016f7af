"""What an engine gets of the history, and transcripts as files."""

from __future__ import annotations

from typing import Any

import orjson

from app.conversations.export import history_before, render_transcript, with_feedback
from app.engines.base import ChatMessage


def message(number: int, role: str, content: str, **metadata: Any) -> bytes:
    return orjson.dumps(
        {"id": f"msg_{number}_abcdef", "created_at": "2026-01-31T12:00:00.123Z", "role": role, "content": content,
         "metadata": metadata}
    )  # fmt: skip


TALK = [
    message(1, "user", "What is it?"),
    message(
        4, "assistant", "It is a **chat**.", citations=[{"title": "Baton", "url": "https://b.example/", "snippet": "s"}]
    ),
    message(5, "system", "An operator joined."),
    message(6, "assistant", "Hello!", operator="Ada"),
    message(7, "user", "And how\nlong?"),
]


def test_an_engine_knows_what_was_said_before_its_question() -> None:
    """Earlier messages come oldest first with their roles, without the question itself."""
    assert history_before(TALK, 7, is_retry=False) == (
        ChatMessage("user", "What is it?"),
        ChatMessage("assistant", "It is a **chat**."),
        ChatMessage("system", "An operator joined."),
        ChatMessage("assistant", "Hello!"),
    )  # fmt: skip


def test_a_question_asked_again_comes_last_without_what_broke_off() -> None:
    """The broken answer of the first try is not passed to the engine; what others said meanwhile is."""
    talk = [
        message(1, "user", "Why?"), message(4, "assistant", "Because", interrupted=True), message(6, "user", "Hello?"),
    ]  # fmt: skip
    assert history_before(talk, 1, is_retry=True) == (ChatMessage("user", "Hello?"),)


def test_a_broken_answer_to_an_earlier_question_is_known() -> None:
    """What broke off before another question was asked was said and read, and is part of the conversation."""
    talk = [message(1, "user", "Why?"), message(4, "assistant", "Because", interrupted=True), message(6, "user", "So?")]
    assert history_before(talk, 6, is_retry=False) == (ChatMessage("user", "Why?"), ChatMessage("assistant", "Because"))


def test_an_empty_message_is_not_passed_to_an_engine() -> None:
    """An answer that was stopped before its first word is left out: models refuse empty turns."""
    talk = [message(1, "user", "Why?"), message(4, "assistant", "", stopped=True), message(6, "user", "So?")]
    assert history_before(talk, 6, is_retry=False) == (ChatMessage("user", "Why?"),)


def test_a_transcript_in_markdown() -> None:
    """Each message has its speaker, time and text as written; sources are listed; an operator has their name."""
    text = render_transcript(TALK, "md")
    assert "**You** · 2026-01-31 12:00:00 UTC\n\nWhat is it?\n" in text
    assert "It is a **chat**.\n\n1. Baton: <https://b.example/>\n" in text
    assert "**Ada** · 2026-01-31 12:00:00 UTC\n\nHello!\n" in text
    assert [text.index(name) for name in ("**You**", "**Assistant**", "**System**", "**Ada**")] == sorted(
        text.index(name) for name in ("**You**", "**Assistant**", "**System**", "**Ada**")
    )


def test_a_transcript_in_plain_text() -> None:
    """The same without marks: names, times, texts and numbered sources."""
    text = render_transcript(TALK, "txt")
    assert "You (2026-01-31 12:00:00 UTC):\nWhat is it?\n" in text
    assert "  [1] Baton <https://b.example/>\n" in text
    assert "And how\nlong?\n" in text


def test_a_transcript_in_json_is_the_messages() -> None:
    """The download as JSON holds the messages exactly as the API gives them."""
    assert orjson.loads(render_transcript(TALK, "json")) == {"messages": [orjson.loads(one) for one in TALK]}


def test_a_transcript_of_nothing() -> None:
    """An empty conversation makes an empty file, and valid JSON."""
    assert render_transcript([], "md") == render_transcript([], "txt") == ""
    assert orjson.loads(render_transcript([], "json")) == {"messages": []}


def test_ratings_stand_with_their_messages() -> None:
    """A rating is shown with the message of its number; every other message is handed on byte by byte."""
    found = with_feedback(TALK, {"4": b'{"value":"up"}', "99": b'{"value":"down"}'})
    assert orjson.loads(found[1])["metadata"]["feedback"] == {"value": "up"}
    assert [one for n, one in enumerate(found) if n != 1] == [one for n, one in enumerate(TALK) if n != 1]
