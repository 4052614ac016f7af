"""Parses what a webhook answers, from blocks of bytes: a JSON object, JSON lines, or server-sent events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.engines.base import AnswerChunk, CitationsChunk, TextChunk
from app.engines.citations import renumber_citations
from app.engines.sanitize import clean_citations
from app.errors import EngineFailed

MAX_BYTES = 512 * 1024
"""The largest JSON answer, and the longest line or event of a stream."""
MAX_LINES = 1_000
"""The most lines of one event."""
_TEXT_FIELDS = ("text", "answer", "output")
"""Fields that may hold the text, the documented one first; ``output`` is the name that n8n's agents use."""


def parse_json(blocks: Iterator[bytes]) -> Iterator[AnswerChunk]:
    """``{"answer": ..., "citations": [...]}``, also as the only entry of a list."""
    buffer = bytearray()
    for block in blocks:
        buffer += block
        if len(buffer) > MAX_BYTES:
            raise EngineFailed("The answer was too long.")
    payload = _load_json(bytes(buffer))
    if isinstance(payload, list) and len(payload) == 1:
        payload = payload[0]
    if not isinstance(payload, Mapping):
        raise _unreadable()
    citations = payload.get("citations")
    text, cleaned = renumber_citations(_text_from(payload), citations if isinstance(citations, list) else [])
    yield TextChunk(text)
    yield CitationsChunk(cleaned)


def parse_ndjson(blocks: Iterator[bytes]) -> Iterator[AnswerChunk]:
    """``{"text": ...}`` and ``{"citations": [...]}``, one per line."""
    for line in _split_lines(blocks):
        if line.strip():
            yield from _chunks_from(_load_json(line))


def parse_sse(blocks: Iterator[bytes]) -> Iterator[AnswerChunk]:
    """The same objects as the data of server-sent events; ``[DONE]`` ends the answer, an event ``error`` fails it."""
    for name, data in _sse_events(blocks):
        if name == b"error":
            raise _upstream_failed()
        if data == b"[DONE]":
            return
        yield from _chunks_from(_load_json(data))


PARSERS: dict[str, Callable[[Iterator[bytes]], Iterator[AnswerChunk]]] = {
    "application/json": parse_json,
    "text/event-stream": parse_sse,
    "application/x-ndjson": parse_ndjson,
    "application/ndjson": parse_ndjson,
    "application/jsonl": parse_ndjson,
}


def _sse_events(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Names and data of server-sent events; those without data are skipped."""
    data: list[bytes] = []
    size, name = 0, b""
    for line in _split_lines(blocks):
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
        if size > MAX_BYTES or len(data) > MAX_LINES:
            raise _unreadable()
    if data and data != [b"[DONE]"]:
        raise EngineFailed("The answer broke off.")


def _split_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for block in blocks:
        *complete, rest = block.split(b"\n")
        for line in complete:
            yield bytes(buffer + line).removesuffix(b"\r")
            buffer.clear()
        buffer += rest
        if len(buffer) > MAX_BYTES:
            raise _unreadable()
    if buffer:
        yield bytes(buffer).removesuffix(b"\r")


def _chunks_from(payload: Any) -> Iterator[AnswerChunk]:
    if not isinstance(payload, Mapping):
        raise _unreadable()
    if payload.get("error"):
        raise _upstream_failed()
    if any(name in payload for name in _TEXT_FIELDS):
        yield TextChunk(_text_from(payload))
    if "citations" in payload:
        yield CitationsChunk(clean_citations(payload["citations"]))


def _text_from(payload: Mapping[str, Any]) -> str:
    for name in _TEXT_FIELDS:
        if isinstance(text := payload.get(name), str):
            return text
    raise _unreadable()


def _load_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise _unreadable() from None


def _unreadable() -> EngineFailed:
    return EngineFailed("The answer could not be read.")


def _upstream_failed() -> EngineFailed:
    return EngineFailed("The answering service is in trouble just now.")
