"""Stored messages, turned into what an engine reads and what a visitor downloads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Literal, overload

import orjson

from app.engines.base import ChatMessage

Format = Literal["md", "txt", "json"]
_NAMES = {"user": "You", "assistant": "Assistant", "system": "System"}


def read_messages(raw: Iterable[bytes]) -> list[dict[str, Any]]:
    """Messages as objects, in the order given."""
    return [orjson.loads(stored) for stored in raw]


def with_feedback(raw: Sequence[bytes], ratings: dict[str, bytes]) -> list[bytes]:
    """The messages with the visitor's feedback in ``metadata.feedback``; ``ratings`` is keyed by message number."""
    messages = []
    for stored in raw:
        message = orjson.loads(stored)
        rating = ratings.get(message["id"].split("_")[1])
        if rating is not None:
            message["metadata"]["feedback"] = orjson.loads(rating)
        messages.append(stored if rating is None else orjson.dumps(message))
    return messages


class LazyHistory(Sequence[ChatMessage]):
    """The history an engine gets, parsed only when the engine reads it: many never do."""

    def __init__(self, raw: Sequence[bytes], question: int, *, is_retry: bool) -> None:
        self._raw, self._question, self._is_retry = raw, question, is_retry

    @cached_property
    def _messages(self) -> tuple[ChatMessage, ...]:
        return history_before(self._raw, self._question, is_retry=self._is_retry)

    @overload
    def __getitem__(self, index: int) -> ChatMessage: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ChatMessage, ...]: ...
    def __getitem__(self, index: int | slice) -> ChatMessage | tuple[ChatMessage, ...]:
        return self._messages[index]

    def __len__(self) -> int:
        return len(self._messages)


def history_before(raw: Sequence[bytes], question: int, *, is_retry: bool) -> tuple[ChatMessage, ...]:
    """The messages before message number ``question``, as an engine gets them.

    When a question is asked again, the interrupted answers of its earlier tries are left out. A question with
    ``regenerate`` in its metadata takes the place of the same question before it, and of what was answered to that.
    """
    history: list[ChatMessage] = []
    for message in read_messages(raw):
        number = int(message["id"].split("_")[1])
        if message["role"] == "user" and message["metadata"].get("regenerate"):
            history = _before_question(history, message["content"])
        interrupted = is_retry and number > question and message["metadata"].get("interrupted")
        if number != question and message["content"] and not interrupted:
            history.append(ChatMessage(message["role"], message["content"], author_name(message)))
    return tuple(history)


def author_name(message: dict[str, Any]) -> str:
    """The name of the operator who wrote a message; empty where nobody did."""
    author = message.get("author")
    return str(author.get("name", "")) if isinstance(author, dict) else ""


def _before_question(history: list[ChatMessage], question: str) -> list[ChatMessage]:
    """The messages before the last time that the user asked ``question``; all where they never did."""
    for index in range(len(history) - 1, -1, -1):
        if history[index].role == "user" and history[index].content == question:
            return history[:index]
    return history


def render_transcript(raw: Sequence[bytes], file_format: Format) -> str:
    """The conversation as a download: Markdown, plain text or JSON."""
    messages = read_messages(raw)
    if file_format == "json":
        return orjson.dumps({"messages": messages}, option=orjson.OPT_INDENT_2).decode() + "\n"
    return "\n".join(_entry(message, file_format) for message in messages)


def _entry(message: dict[str, Any], file_format: Format) -> str:
    # Visitors choose their own metadata: only the service's or its owner's may name an author or sources.
    metadata = message["metadata"] if message["role"] == "assistant" else {}
    name = author_name(message) or str(metadata.get("operator") or _NAMES.get(message["role"], message["role"]))
    when = message["created_at"][:19].replace("T", " ") + " UTC"
    citations = [c for c in metadata.get("citations") or () if isinstance(c, dict) and {"title", "url"} <= c.keys()]
    if file_format == "txt":
        sources = "".join(f"  [{n}] {c['title']} <{c['url']}>\n" for n, c in enumerate(citations, 1))
        return f"{name} ({when}):\n{message['content']}\n{sources}"
    sources = "".join(f"{n}. {c['title']}: <{c['url']}>\n" for n, c in enumerate(citations, 1))
    return f"**{name}** · {when}\n\n{message['content']}\n" + (f"\n{sources}" if sources else "")
