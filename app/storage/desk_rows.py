"""What the desk's list shows of a conversation: made from the session, stored in the index, given to an operator."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from app.conversations.ids import session_status, timestamp

PREVIEW_CHARS = 120
MAX_SEARCH_CHARS = 600
"""Of the text that a search looks in."""
_LINE_BREAKS = re.compile("\r\n|[\n\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029]")
FIELDS = (
    "created", "expires", "ended", "owner", "count", "seen", "updated", "handler", "op", "op_name", "waiting",
    "contact", "user", "ref", "told", "asked", "metadata", "present", "outbox",
    "reason", "requested", "rated_at",
)  # fmt: skip
"""What the index reads of a session's meta hash (read_changes.lua)."""
CHECK_FIELDS = ("count", "handler", "op", "ended", "outbox", "expires")
"""What shows whether a row is up to date (check_session.lua, desk_rows.lua); ``expires`` is the last."""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session as the index sees it. ``number`` of this snapshot; ``outbox``: domain events, some not applied yet."""

    session_hash: str
    number: int
    fields: dict[str, str]
    newest: dict[str, Any] | None
    reads: dict[str, int]
    outbox: list[dict[str, Any]]

    @classmethod
    def parse(cls, session_hash: str, reply: list[Any]) -> SessionSummary:
        """From the reply of read_changes.lua."""
        number, values, newest, reads, outbox = reply
        return cls(
            session_hash,
            int(number),
            dict(zip(FIELDS, (value.decode() for value in values), strict=True)),
            orjson.loads(newest) if newest else None,
            {reads[i].decode(): int(reads[i + 1]) for i in range(0, len(reads), 2)},
            [orjson.loads(event) for event in outbox],
        )

    @property
    def ref(self) -> str:
        return self.fields["ref"]

    @property
    def handler(self) -> str:
        return self.fields["handler"] or "bot"

    @property
    def view(self) -> str:
        """The view that it is in besides an operator's own; empty where nobody has said or asked for anything yet."""
        if not (self.newest or self.handler != "bot" or self.fields["requested"]):
            return ""
        if self.fields["ended"]:
            return "ended"
        return "open" if self.handler == "human" else self.handler

    @property
    def operator(self) -> str:
        """Who has the conversation."""
        return self.fields["op"] if self.view == "open" else ""

    @property
    def is_abandoned(self) -> bool:
        return self.fields["told"] == self.fields["seen"]

    @property
    def check(self) -> str:
        """The values of CHECK_FIELDS, as check_session.lua joins them."""
        return " ".join(self.fields[name] for name in CHECK_FIELDS)

    def time(self, field: str) -> int:
        """A time in ms; 0 where there is none."""
        return int(self.fields[field] or 0)

    def row(self) -> dict[str, Any]:
        """The row as it is stored, but when the visitor was seen; ``present`` makes of it what an operator gets."""
        fields = self.fields
        row: dict[str, Any] = {"ref": self.ref, "handler": self.handler, "created": self.time("created")}
        row["asked"] = int(fields["asked"] or 0)
        if fields["ended"]:
            row["ended"] = True
        if self.newest:
            row["last"] = _last_message(self.newest)
        if self.handler == "human":
            row["operator"] = {"id": fields["op"], "name": fields["op_name"]}
        if self.handler == "queue":
            row["waiting"] = self.time("waiting")
        if self.reads:
            row["reads"] = self.reads
        for name in ("contact", "user", "metadata"):
            if fields[name]:
                row[name] = orjson.loads(fields[name])
        if fields["reason"]:
            row["reason"] = fields["reason"]
        if fields["rated_at"]:
            row["rated"] = self.time("rated_at")
        return row

    def active_at(self) -> int:
        """When something was last said; of a conversation without a message, when it began."""
        if self.newest is None:
            return self.time("created")
        return round(datetime.fromisoformat(self.newest["created_at"]).timestamp() * 1000)


def _last_message(message: dict[str, Any]) -> dict[str, Any]:
    last = {"role": message["role"], "preview": preview(message["content"]), "created_at": message["created_at"]}
    return last | ({"author": message["author"]} if "author" in message else {})


def preview(text: str) -> str:
    """The beginning of a message, in one line."""
    return _LINE_BREAKS.sub(" ", text[:PREVIEW_CHARS])


def fold(text: str) -> str:
    """Text without what a search does not look at: case and the kind of white space."""
    return " ".join(text.casefold().split())


def search_text(row: dict[str, Any]) -> str:
    """What a search looks in: the last message's beginning, names, mail addresses and the page."""
    parts = [row.get("last", {}).get("preview", "")]
    for person in (row.get("user"), row.get("contact"), row.get("operator")):
        parts += [str(person[name]) for name in ("name", "email") if person and person.get(name)]
    page = row.get("metadata", {}).get("page")
    parts += [page] if isinstance(page, str) else []
    return fold("\n".join(part[:200] for part in parts))[:MAX_SEARCH_CHARS]


def serialize(row: dict[str, Any], seen: int, *, is_abandoned: bool) -> tuple[str, str]:
    """The row as JSON, and what changes when a desk should hear of it.

    That the visitor was ``seen`` once more (ms) is no reason; that they were found abandoned is one.
    """
    shown = orjson.dumps(row)
    digest = hashlib.blake2b(shown + (b"told" if is_abandoned else b""), digest_size=8).hexdigest()
    return f'{shown[:-1].decode()}{"," if row else ""}"seen":{seen}}}', digest


def present(row: dict[str, Any], operator_id: str, position: int, *, now: int, idle_ms: int) -> dict[str, Any]:
    """The row as the desk's calls give it to this operator."""
    shown = {
        "ref": row["ref"],
        "handler": row["handler"],
        "assigned_to": row.get("operator"),
        "status": session_status(ended=row.get("ended", False), last_seen=row["seen"], now=now, idle_timeout=idle_ms),
        "last_message": row.get("last"),
        "waiting_since": timestamp(row["waiting"]) if row.get("waiting") else None,
        "created_at": timestamp(row["created"]),
        "last_seen_at": timestamp(row["seen"]),
        "unread": max(0, row["asked"] - row.get("reads", {}).get(operator_id, 0)),
        "metadata": row.get("metadata", {}),
        "user": row.get("user"),
    }
    if row["handler"] == "queue" and position:
        shown["queue_position"] = position
    if row.get("rated"):
        shown["rated_at"] = timestamp(row["rated"])
    shown |= {name: row[name] for name in ("contact", "reason") if name in row}
    return shown
