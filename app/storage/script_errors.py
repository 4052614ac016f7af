"""What a verb's reply says where it did not do its work."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from app.errors import (
    EngineBusy,
    NotOwner,
    PathNotFound,
    RateLimited,
    SessionEnded,
    SessionFull,
    SessionNotFound,
    TurnInProgress,
)

_DONE = (b"ok", b"begun", b"replay", b"joined", b"done", b"reset", b"carry", b"moved")
_ERRORS: dict[bytes, Callable[[list[Any]], Exception]] = {
    b"gone": lambda _: SessionNotFound(),
    b"unknown": lambda _: PathNotFound("No such answer in this conversation."),
    b"not_owner": lambda _: NotOwner("This conversation belongs to a signed-in user."),
    b"ended": lambda _: SessionEnded("This conversation has ended. Start a new one."),
    b"busy": lambda _: TurnInProgress("An answer is being made. Wait for it or stop it.", retry_after=2),
    b"dead": lambda _: TurnInProgress("An answer is being made. Wait for it or stop it.", retry_after=2),
    b"full": lambda _: SessionFull("This conversation is full. Start a new one."),
    b"limited": lambda reply: _limited("Too many messages in this conversation.", reply),
    b"refused": lambda reply: _limited("Too many requests from this address.", reply),
    b"crowded": lambda reply: EngineBusy(retry_after=_seconds(reply)),
}


def _seconds(reply: list[Any]) -> int:
    return math.ceil(int(reply[1]) / 1000)


def _limited(detail: str, reply: list[Any]) -> RateLimited:
    error = RateLimited(detail, retry_after=_seconds(reply))
    error.limit = int(reply[2])
    return error


def raise_for_reply(reply: list[Any], refusal: Exception | None = None) -> list[Any]:
    """The reply, where the verb did its work; else the error that its first word names."""
    word = reply[0]
    if word in _DONE or word not in _ERRORS:
        return reply
    if word == b"refused" and refusal is not None:
        raise refusal
    raise _ERRORS[word](reply)
