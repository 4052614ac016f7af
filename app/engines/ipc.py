"""How a worker and its engine process speak: frames of JSON, each behind its length, over a pair of sockets."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.engines.base import (
    AnswerChunk,
    ChatMessage,
    Citation,
    CitationsChunk,
    EngineRequest,
    FallbackNotice,
    TextChunk,
    TokenUsage,
)
from app.engines.sanitize import MOST_CHARS, other
from app.errors import EngineBusy, EngineFailed, EngineTimeout

MOST_BYTES = 64 * 1024 * 1024
"""A frame that says it is longer is none."""
Frame = dict[str, Any]

_LENGTH = struct.Struct("!I")
_FAILURES: dict[str, type[EngineFailed]] = {kind.code: kind for kind in (EngineFailed, EngineTimeout, EngineBusy)}


def packed(frame: Mapping[str, Any]) -> bytes:
    """A frame as it goes over the wire. Halves of surrogate pairs come through as they are."""
    body = json.dumps(frame, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Bytes in, whole frames out."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now. Raises ValueError for what is no frame."""
        self._held += data
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            if length > MOST_BYTES:
                raise ValueError("no frame")
            end = _LENGTH.size + length
            if len(self._held) < end:
                return
            body = bytes(self._held[_LENGTH.size : end])
            del self._held[:end]
            yield json.loads(body)


def turn_frame(number: int, turn: EngineRequest) -> Frame:
    """All of a turn that is words."""
    return {
        "turn": number,
        "question": turn.question,
        "history": [[said.role, said.content] for said in turn.history],
        "ref": turn.session_ref,
        "metadata": dict(turn.metadata),
        "idle_timeout": turn.idle_timeout,
    }


def history_of(frame: Frame) -> tuple[ChatMessage, ...]:
    """The history in a turn's frame."""
    return tuple(ChatMessage(role, content) for role, content in frame["history"])


def piece_frame(number: int, piece: object) -> Frame:
    """One piece of a turn. Raises EngineFailed for what is none."""
    if isinstance(piece, TextChunk):
        piece = piece.text
    if isinstance(piece, str):
        return {"piece": number, "text": piece[: MOST_CHARS + 1]}
    clean = other(piece)
    if isinstance(clean, CitationsChunk):
        return {"piece": number, "cited": spelt(clean.citations)}
    if isinstance(clean, TokenUsage):
        return {"piece": number, "used": [clean.prompt, clean.completion]}
    assert isinstance(clean, FallbackNotice)  # noqa: S101 - other() lets nothing else pass
    return {"piece": number, "degraded": clean.reason}


def piece_of(frame: Frame) -> AnswerChunk:
    """The piece in a frame."""
    if "text" in frame:
        return TextChunk(frame["text"])
    if "cited" in frame:
        return CitationsChunk(citations_of(frame["cited"]))
    if "used" in frame:
        return TokenUsage(*frame["used"])
    return FallbackNotice(frame["degraded"])


def spelt(citations: Sequence[Citation]) -> list[list[str]]:
    """Citations as JSON."""
    return [[one.title, one.url, one.snippet] for one in citations]


def citations_of(told: Sequence[Sequence[str]]) -> tuple[Citation, ...]:
    """Citations out of JSON."""
    return tuple(Citation(*one) for one in told)


def end_frame(number: int, failed: EngineFailed | None = None) -> Frame:
    """The end of a turn, good or bad."""
    if failed is None:
        return {"end": number}
    return {"end": number, "code": failed.code, "detail": failed.detail, "retry_after": failed.retry_after}


def failure_of(frame: Frame) -> EngineFailed | None:
    """What the end of a turn raises; None for a good end."""
    if "code" not in frame:
        return None
    return _FAILURES.get(frame["code"], EngineFailed)(frame["detail"], retry_after=frame["retry_after"])
