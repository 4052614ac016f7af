"""The events of a session's log, and the cursors and message ids that point into it.

The scripts append them (``append_event`` in app/storage/scripts): ``message``, ``answer.start``, ``answer.delta``,
``answer.end``, ``answer.error``, ``session`` and ``handler``. ``typing``, ``reset`` and ``ping`` are sent, not stored.
The widget reads them in widget/src/client/decode.ts. What goes to the owner's own systems (``human.requested`` and
others) are domain events: app/storage/event_queue.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

TERMINAL_EVENTS = ("answer.end", "answer.error")

_CURSOR = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,15}))?-([0-9a-f]{6})\Z")
_MESSAGE_ID = re.compile(r"msg_([0-9]{1,15})_([0-9a-f]{6})\Z")


@dataclass(frozen=True, slots=True)
class EventCursor:
    """A position in a session's log: the numbers of the last event and the last message that a reader has.

    The two differ for a reader that read the history while an answer was being written: it wants that answer from its
    first word, and none of the messages that it has.
    """

    after_event: int
    after_message: int = 0

    def encode(self, tag: str) -> str:
        """The event id or cursor, opaque to clients."""
        if self.after_message > self.after_event:
            return f"{self.after_event}.{self.after_message}-{tag}"
        return f"{self.after_event}-{tag}"


def parse_cursor(text: str, tag: str) -> EventCursor | None:
    """The cursor that ``text`` encodes for the session with this tag; None for anything else."""
    match = _CURSOR.match(text)
    if not match or match[3] != tag:
        return None
    return EventCursor(int(match[1]), int(match[2] or 0))


def parse_message_id(message_id: str, tag: str) -> int | None:
    """The number of a message in its session's log; None where the id is not of this session."""
    match = _MESSAGE_ID.match(message_id)
    return int(match[1]) if match and match[2] == tag else None


@dataclass(frozen=True, slots=True)
class Event:
    """One event. ``data`` is its JSON as sent; ``id`` is None for events that are not stored."""

    id: str | None
    type: str
    data: bytes

    def payload(self) -> dict[str, Any]:
        """The data as an object."""
        data = orjson.loads(self.data)
        return data if isinstance(data, dict) else {}


SESSION_ENDED_EVENT = Event(None, "session", b'{"status":"ended"}')
PING = Event(None, "ping", b"{}")


def serialize_message(
    role: str,
    content: str,
    metadata: dict[str, Any] | None,
    client_id: str | None = None,
    author: dict[str, str] | None = None,
) -> bytes:
    """A message's JSON without its opening brace, id and time; the store adds those. ``author``: of an operator's."""
    message: dict[str, Any] = {"role": role, "content": content, "metadata": metadata or {}}
    if author is not None:
        message["author"] = author
    if client_id is not None:
        message["client_id"] = client_id
    return orjson.dumps(message)[1:]
