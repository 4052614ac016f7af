"""Every kind of thing that can stand in a log, where in it one is, and how both are spelt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import orjson

EventType = Literal["message", "answer.start", "answer.delta", "answer.end", "answer.error", "session", "reset", "ping"]
TERMINAL_EVENTS = ("answer.end", "answer.error")

_POSITION = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,15}))?-([0-9a-f]{6})\Z")
_MESSAGE = re.compile(r"msg_([0-9]{1,15})_([0-9a-f]{6})\Z")


@dataclass(frozen=True, slots=True)
class EventCursor:
    """A place in a session's log: all events up to ``after`` are known, and all messages up to ``told``.

    The two differ for a reader that read the history while an answer was being made: it wants that
    answer from its first word, and none of the messages that it has.
    """

    after: int
    told: int = 0

    def spell(self, tag: str) -> str:
        """The event id or cursor, opaque to clients."""
        return f"{self.after}.{self.told}-{tag}" if self.told > self.after else f"{self.after}-{tag}"


def parse_cursor(text: str, tag: str) -> EventCursor | None:
    """The position that ``text`` spells in the session with this tag; None for anything else."""
    found = _POSITION.match(text)
    if not found or found[3] != tag:
        return None
    return EventCursor(int(found[1]), int(found[2] or 0))


def parse_message_id(message_id: str, tag: str) -> int | None:
    """The number of a message in its session's log; None where the id is not of this session."""
    found = _MESSAGE.match(message_id)
    return int(found[1]) if found and found[2] == tag else None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. ``data`` is its JSON as it goes over the wire; ``id`` is None for what is not kept."""

    id: str | None
    kind: str
    data: bytes

    def read(self) -> dict[str, Any]:
        """The data as an object."""
        found = orjson.loads(self.data)
        return found if isinstance(found, dict) else {}


SESSION_ENDED_EVENT = Event(None, "session", b'{"status":"ended"}')
PING = Event(None, "ping", b"{}")


def serialize_message(role: str, content: str, metadata: dict[str, Any] | None, client_id: str | None = None) -> bytes:
    """A message's JSON without its opening brace, id and time, which the log adds as it stores it."""
    message: dict[str, Any] = {"role": role, "content": content, "metadata": metadata or {}}
    if client_id is not None:
        message["client_id"] = client_id
    return orjson.dumps(message)[1:]
