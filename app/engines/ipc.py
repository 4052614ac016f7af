"""Messages between a worker and its Python engine process: JSON lines over Unix sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from app.engines.base import (
    AnswerChunk,
    CancelToken,
    ChatMessage,
    Citation,
    CitationsChunk,
    EngineRequest,
    FallbackNotice,
    FinishReason,
    Handoff,
    NotFound,
    TextChunk,
    ThinkingChunk,
    TokenUsage,
)
from app.engines.sanitize import MAX_CHARS, sanitize_non_text
from app.errors import EngineBusy, EngineFailed, EngineTimeout

Message = dict[str, Any]

_ERRORS: dict[str, type[EngineFailed]] = {error.code: error for error in (EngineFailed, EngineTimeout, EngineBusy)}


def encode(message: Mapping[str, Any]) -> bytes:
    """One line. JSON escapes keep surrogates as they are."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def receive(connection: socket.socket, timeout: Callable[[], float | None]) -> Iterator[Message]:
    """The messages that arrive until the peer closes, and ``{}`` when nothing arrived within ``timeout()`` seconds."""
    buffer = bytearray()
    while True:
        connection.settimeout(timeout())
        try:
            data = connection.recv(65_536)
        except TimeoutError:
            yield {}
            continue
        except ConnectionError:
            return
        if not data:
            return
        buffer += data
        if b"\n" in data:
            *lines, buffer = buffer.split(b"\n")
            yield from map(json.loads, lines)


def encode_request(request: EngineRequest) -> bytes:
    """The data of a request; ``cancel`` and ``search`` work through the connection."""
    return encode(
        {
            "question": request.question,
            "history": [astuple(message) for message in request.history],
            "session_ref": request.session_ref,
            "metadata": dict(request.metadata),
            "idle_timeout": request.idle_timeout,
        }
    )


def decode_request(
    message: Message, cancel: CancelToken, search: Callable[[str, int], Sequence[Citation]]
) -> EngineRequest:
    """The request as the engine gets it."""
    history = tuple(ChatMessage(*fields) for fields in message.pop("history"))
    return EngineRequest(history=history, cancel=cancel, search=search, **message)


def encode_chunk(chunk: object) -> bytes:
    """One chunk of an answer. Raises EngineFailed for anything else."""
    if isinstance(chunk, TextChunk):
        chunk = chunk.text
    if isinstance(chunk, str):
        return encode({"text": chunk[: MAX_CHARS + 1]})
    chunk = sanitize_non_text(chunk)
    if isinstance(chunk, CitationsChunk):
        return encode({"citations": encode_citations(chunk.citations)})
    if isinstance(chunk, TokenUsage):
        return encode({"usage": astuple(chunk)})
    if isinstance(chunk, ThinkingChunk):
        return encode({"thinking": True})
    if isinstance(chunk, FinishReason):
        return encode({"finish": chunk.reason})
    if isinstance(chunk, Handoff):
        return encode({"handoff": chunk.reason})
    if isinstance(chunk, NotFound):
        return encode({"not_found": True})
    assert isinstance(chunk, FallbackNotice)  # noqa: S101 - sanitize_non_text() returns nothing else
    return encode({"fallback": chunk.reason})


def decode_chunk(message: Message) -> AnswerChunk:
    """The chunk in a message."""
    if "text" in message:
        return TextChunk(message["text"])
    if "citations" in message:
        return CitationsChunk(decode_citations(message["citations"]))
    if "usage" in message:
        return TokenUsage(*message["usage"])
    if "thinking" in message:
        return ThinkingChunk()
    if "finish" in message:
        return FinishReason(message["finish"])
    if "handoff" in message:
        return Handoff(message["handoff"])
    if "not_found" in message:
        return NotFound()
    return FallbackNotice(message["fallback"])


def encode_citations(citations: Sequence[Citation]) -> list[tuple[str, ...]]:
    """Citations as lists of their fields."""
    return [astuple(citation) for citation in citations]


def decode_citations(citations: Sequence[Sequence[str]]) -> tuple[Citation, ...]:
    """Citations from lists of their fields."""
    return tuple(Citation(*fields) for fields in citations)


def encode_end(error: EngineFailed | None = None) -> bytes:
    """The end of an answer."""
    if error is None:
        return encode({"end": True})
    return encode({"end": True, "code": error.code, "detail": error.detail, "retry_after": error.retry_after})


def raise_error(end: Message) -> None:
    """Raises what the engine's turn ended with, if it failed."""
    if "code" in end:
        raise _ERRORS.get(end["code"], EngineFailed)(end["detail"], retry_after=end["retry_after"])
