"""Parses what a webhook answers, from blocks of bytes: a JSON object, JSON lines, or server-sent events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from app.engines.base import AnswerChunk, CitationsChunk, FinishReason, Handoff, TextChunk, outcome_chunks
from app.engines.citations import renumber_citations
from app.engines.webhook_events import (
    end_of_answer,
    find_citations,
    read_answer,
    read_event,
    unreadable,
    upstream_failed,
)
from app.errors import EngineFailed

MAX_BYTES = 512 * 1024
"""The largest JSON answer, and the longest line or event of a stream."""
MAX_LINES = 1_000
"""The most lines of one event."""
_FIRST_EVENTS = ("begin", "item")
"""Types of the objects with which n8n begins a stream."""


def parse_json(blocks: Iterator[bytes]) -> Iterator[AnswerChunk]:
    """``{"answer": ..., "citations": [...]}``, also as the only entry of a list.

    Objects one a line are a stream, whatever the content type says: n8n streams like that.
    """
    buffer, first = bytearray(), None
    for block in blocks:
        buffer += block
        if len(buffer) > MAX_BYTES:
            raise EngineFailed("The answer was too long.")
        rest = block
        if first is None and b"\n" in (so_far := bytes(buffer).lstrip()):
            line, _, rest = so_far.partition(b"\n")
            first = _first_object(line)
        if first and (rest.strip() or first.get("type") in _FIRST_EVENTS):
            yield from parse_ndjson(chain((bytes(buffer),), blocks))
            return
    payload = _load_json(bytes(buffer))
    if isinstance(payload, list) and len(payload) == 1:
        payload = payload[0]
    if not isinstance(payload, Mapping):
        raise unreadable()
    yield from _answer_chunks(payload)


def _answer_chunks(payload: Mapping[str, Any]) -> Iterator[AnswerChunk]:
    """The chunks of an object that holds the whole answer, or hands over without one."""
    outcome = list(outcome_chunks(payload))
    try:
        answer = read_answer(payload)
    except EngineFailed:
        if not any(isinstance(chunk, Handoff) for chunk in outcome) or payload.get("error"):
            raise
        answer = ""
    text, cleaned = renumber_citations(answer, find_citations(payload) or [])
    if text:
        yield TextChunk(text)
    yield CitationsChunk(cleaned)
    if reason := end_of_answer(payload):
        yield FinishReason(reason)
    yield from outcome


def parse_ndjson(blocks: Iterator[bytes]) -> Iterator[AnswerChunk]:
    """``{"text": ...}`` and ``{"citations": [...]}``, one per line."""
    for line in _split_lines(blocks):
        if line.strip():
            yield from read_event(_load_json(line))


def parse_sse(blocks: Iterator[bytes]) -> Iterator[AnswerChunk]:
    """The same objects as the data of server-sent events; ``[DONE]`` ends the answer, an event ``error`` fails it."""
    for name, data in _sse_events(blocks):
        if name == b"error":
            raise upstream_failed()
        if data == b"[DONE]":
            return
        yield from read_event(_load_json(data))


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
            raise unreadable()
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
            raise unreadable()
    if buffer:
        yield bytes(buffer).removesuffix(b"\r")


def _first_object(line: bytes) -> dict[str, Any]:
    """The object that the first line is; empty where it is none, as in JSON with indents."""
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return first if isinstance(first, dict) else {}


def _load_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise unreadable() from None
