"""Reads what a webhook answers: one JSON object, JSON a line, or server-sent events; purely, from blocks of bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.engines.base import AnswerChunk, CitationsChunk, TextChunk
from app.engines.citations import aligned
from app.engines.sanitize import clean
from app.errors import EngineFailed

MOST_BYTES = 512 * 1024
"""The largest JSON answer, and the longest line or event of a stream."""
MOST_LINES = 1_000
"""The lines of one event."""
_WORDS = ("text", "answer", "output")
"""Names under which the words are looked for, the documented one first; ``output`` is what n8n's agents call it."""


def whole(blocks: Iterator[bytes]) -> Iterator[AnswerChunk]:
    """``{"answer": ..., "citations": [...]}``, also as the only entry of a list."""
    held = bytearray()
    for block in blocks:
        held += block
        if len(held) > MOST_BYTES:
            raise EngineFailed("The answer was too long.")
    told = _json(bytes(held))
    if isinstance(told, list) and len(told) == 1:
        told = told[0]
    if not isinstance(told, Mapping):
        raise _unread()
    citations = told.get("citations")
    text, cited = aligned(_words(told), citations if isinstance(citations, list) else [])
    yield TextChunk(text)
    yield CitationsChunk(cited)


def lines(blocks: Iterator[bytes]) -> Iterator[AnswerChunk]:
    """``{"text": ...}`` and ``{"citations": [...]}``, one a line."""
    for line in _lines(blocks):
        if line.strip():
            yield from _pieces(_json(line))


def events(blocks: Iterator[bytes]) -> Iterator[AnswerChunk]:
    """The same objects as the data of server-sent events; ``[DONE]`` ends the answer, an event ``error`` breaks it."""
    for name, data in _events(blocks):
        if name == b"error":
            raise _trouble()
        if data == b"[DONE]":
            return
        yield from _pieces(_json(data))


READERS: dict[str, Callable[[Iterator[bytes]], Iterator[AnswerChunk]]] = {
    "application/json": whole,
    "text/event-stream": events,
    "application/x-ndjson": lines,
    "application/ndjson": lines,
    "application/jsonl": lines,
}


def _events(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Names and data of server-sent events; those without data are left out."""
    data: list[bytes] = []
    size, name = 0, b""
    for line in _lines(blocks):
        field, _, value = line.partition(b":")
        if not line:
            if data:
                yield name, b"\n".join(data)
            data, size, name = [], 0, b""
        elif field == b"data":
            data.append(value.removeprefix(b" "))
            size += len(value)
        elif field == b"event":
            name = value.strip()
        if size > MOST_BYTES or len(data) > MOST_LINES:
            raise _unread()
    if data and data != [b"[DONE]"]:
        raise EngineFailed("The answer broke off.")


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for block in blocks:
        *done, rest = block.split(b"\n")
        for line in done:
            yield bytes(held + line).removesuffix(b"\r")
            held.clear()
        held += rest
        if len(held) > MOST_BYTES:
            raise _unread()
    if held:
        yield bytes(held).removesuffix(b"\r")


def _pieces(told: Any) -> Iterator[AnswerChunk]:
    if not isinstance(told, Mapping):
        raise _unread()
    if told.get("error"):
        raise _trouble()
    if any(name in told for name in _WORDS):
        yield TextChunk(_words(told))
    if "citations" in told:
        yield CitationsChunk(clean(told["citations"]))


def _words(told: Mapping[str, Any]) -> str:
    for name in _WORDS:
        if isinstance(words := told.get(name), str):
            return words
    raise _unread()


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise _unread() from None


def _unread() -> EngineFailed:
    return EngineFailed("The answer could not be read.")


def _trouble() -> EngineFailed:
    return EngineFailed("The answering service is in trouble just now.")
