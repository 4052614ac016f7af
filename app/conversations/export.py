"""Stored messages folded into what a person, an engine or a download reads."""

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
    return [orjson.loads(one) for one in raw]


def with_feedback(raw: Sequence[bytes], ratings: dict[str, bytes]) -> list[bytes]:
    """The messages with what visitors thought of them: ``metadata.feedback``, by message number."""
    found = []
    for one in raw:
        message = orjson.loads(one)
        rating = ratings.get(message["id"].split("_")[1])
        if rating is not None:
            message["metadata"]["feedback"] = orjson.loads(rating)
        found.append(one if rating is None else orjson.dumps(message))
    return found


class LazyHistory(Sequence[ChatMessage]):
    """What an engine may know of the conversation, read only where it looks: many engines never do."""

    def __init__(self, raw: Sequence[bytes], question: int, *, again: bool) -> None:
        self._raw, self._question, self._again = raw, question, again

    @cached_property
    def _said(self) -> tuple[ChatMessage, ...]:
        return history_before(self._raw, self._question, again=self._again)

    @overload
    def __getitem__(self, at: int) -> ChatMessage: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[ChatMessage, ...]: ...
    def __getitem__(self, at: int | slice) -> ChatMessage | tuple[ChatMessage, ...]:
        return self._said[at]

    def __len__(self) -> int:
        return len(self._said)


def history_before(raw: Sequence[bytes], question: int, *, again: bool) -> tuple[ChatMessage, ...]:
    """What an engine may know of the conversation when it is asked message number ``question``.

    A question that is asked again comes last, without the answers that broke off on the first try.
    """
    turns = []
    for message in read_messages(raw):
        number = int(message["id"].split("_")[1])
        broken = again and number > question and message["metadata"].get("interrupted")
        if number != question and message["content"] and not broken:
            turns.append(ChatMessage(message["role"], message["content"]))
    return tuple(turns)


def render_transcript(raw: Sequence[bytes], kind: Format) -> str:
    """The conversation as a file to keep: Markdown, plain text or JSON."""
    messages = read_messages(raw)
    if kind == "json":
        return orjson.dumps({"messages": messages}, option=orjson.OPT_INDENT_2).decode() + "\n"
    return "\n".join(_entry(message, kind) for message in messages)


def _entry(message: dict[str, Any], kind: Format) -> str:
    # A visitor's metadata is the visitor's: only what the service or its owner wrote may name an author or sources.
    told = message["metadata"] if message["role"] == "assistant" else {}
    name = str(told.get("operator") or _NAMES.get(message["role"], message["role"]))
    when = message["created_at"][:19].replace("T", " ") + " UTC"
    citations = [one for one in told.get("citations") or () if isinstance(one, dict) and {"title", "url"} <= one.keys()]
    if kind == "txt":
        sources = "".join(f"  [{n}] {c['title']} <{c['url']}>\n" for n, c in enumerate(citations, 1))
        return f"{name} ({when}):\n{message['content']}\n{sources}"
    sources = "".join(f"{n}. {c['title']}: <{c['url']}>\n" for n, c in enumerate(citations, 1))
    return f"**{name}** · {when}\n\n{message['content']}\n" + (f"\n{sources}" if sources else "")
