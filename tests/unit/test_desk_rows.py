"""What a row of the desk's list is made of, and how notes come among the messages."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.conversations.desk_conversation import merge_notes
from app.errors import error_location
from app.storage.desk_rows import (
    FIELDS,
    MAX_SEARCH_CHARS,
    PREVIEW_CHARS,
    SessionSummary,
    fold,
    present,
    preview,
    search_text,
    serialize,
)

NOW = 1_800_000_000_000
META = {"created": NOW - 1000, "expires": NOW + 9000, "count": 1, "seen": NOW - 500, "updated": NOW - 500, "asked": 1}


def summary(message: dict[str, Any] | None = None, reads: tuple[bytes, ...] = (), **fields: object) -> SessionSummary:
    """A session as read_changes.lua returns it."""
    known = {**META, "ref": "cnv_" + "0" * 24, **fields}
    values = [str(known.get(name, "")).encode() for name in FIELDS]
    newest = orjson.dumps(message) if message else b""
    return SessionSummary.parse("0" * 32, [7, values, newest, list(reads), [b'{"n":1,"type":"question","at":5}']])


def message(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"id": "msg_1_000000", "role": "user", "content": text, "created_at": "2027-01-15T08:00:00.250Z", **more}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\nc\rd\u2028e\u2029f\x0bg\x85h", "a b c d e f g h"),
        ("\n\n", "  "),
        ("x" * 300, "x" * PREVIEW_CHARS),
        ("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
        ("", ""),
    ],
)
def test_preview(text: str, shown: str) -> None:
    """The beginning of a message in one line; nothing else of it changes."""
    assert preview(text) == shown


@pytest.mark.parametrize(
    ("fields", "said", "view"),
    [
        ({}, None, ""),
        ({"requested": 1}, None, "bot"),
        ({"handler": "queue"}, None, "queue"),
        ({}, message(), "bot"),
        ({"handler": "human", "op": "op_a"}, message(), "open"),
        ({"handler": "human", "op": "op_a", "ended": 1}, message(), "ended"),
        ({"ended": 1}, None, ""),
    ],
)
def test_view(fields: dict[str, object], said: dict[str, Any] | None, view: str) -> None:
    """A conversation is listed once somebody has said something or asked for a person."""
    one = summary(said, **fields)
    assert one.view == view
    assert one.operator == ("op_a" if view == "open" else "")


def test_present() -> None:
    """An operator gets times as RFC 3339, their own count of unread messages, and the status at this moment."""
    author = {"type": "operator", "name": "Anna"}
    one = summary(
        message("Hi\nyou", role="assistant", author=author), (b"op_a", b"2", b"op_b", b"9"),
        asked=5, handler="queue", waiting=NOW - 300, contact='{"email":"v@example.org"}', metadata='{"page":"/x"}',
        user='{"id":"u1","name":"Vera"}',
    )  # fmt: skip
    row = orjson.loads(serialize(one.row(), NOW - 500, is_abandoned=False)[0])
    shown = present(row, "op_a", 3, now=NOW, idle_ms=500)
    assert shown["last_message"] == {
        "role": "assistant", "preview": "Hi you", "created_at": "2027-01-15T08:00:00.250Z", "author": author,
    }  # fmt: skip
    assert shown["waiting_since"] == "2027-01-15T07:59:59.700Z"
    assert (shown["status"], shown["unread"], shown["queue_position"]) == ("abandoned", 3, 3)
    assert present(row, "op_a", 0, now=NOW, idle_ms=501)["status"] == "active"
    assert [present(row, who, 3, now=NOW, idle_ms=500)["unread"] for who in ("op_b", "op_c", "")] == [0, 5, 5]
    assert (shown["user"], shown["contact"]) == ({"id": "u1", "name": "Vera"}, {"email": "v@example.org"})
    assert {"hash", "reads", "asked", "seen"}.isdisjoint(shown)


def test_active_at() -> None:
    """A list is sorted by when something was last said, else by when the conversation began."""
    assert summary(message()).active_at() == 1_800_000_000_250
    assert summary().active_at() == NOW - 1000


def test_serialize() -> None:
    """Being seen again is not sent to the desks; whatever a row shows is, and that somebody has left."""
    row = summary(message()).row()
    json, same = serialize(row, NOW, is_abandoned=False)
    assert orjson.loads(json) == row | {"seen": NOW}
    assert serialize(row, NOW + 1, is_abandoned=False)[1] == same
    assert serialize(row, NOW, is_abandoned=True)[1] != same
    for other in (summary(message("x")), summary(message(), asked=2), summary(message(), (b"op_a", b"1"))):
        assert serialize(other.row(), NOW, is_abandoned=False)[1] != same
    assert serialize({}, 5, is_abandoned=False)[0] == '{"seen":5}'


def test_search_text() -> None:
    """What is searched is bounded, whatever a visitor's page sends as metadata."""
    huge = {"page": "x" * 4000, "other": "secret"}
    row = summary(message("STRASSE ß"), metadata=orjson.dumps(huge).decode(), contact='{"name":"N","email":7}').row()
    text = search_text(row)
    assert text.startswith("strasse ss n 7 xxx")
    assert len(text) <= MAX_SEARCH_CHARS
    assert "secret" not in text
    assert search_text(summary(metadata='{"page":["a"]}').row()) == ""
    assert fold("  A\t\nb ") == "a b"


def test_merge_notes() -> None:
    """Notes stand at their time among the messages, from one time to before another; messages keep their order."""

    def at(second: int, name: str) -> bytes:
        return orjson.dumps({"content": name, "created_at": f"2027-01-15T08:00:0{second}.000Z"})

    messages, notes = [at(1, "m1"), at(3, "m2"), at(3, "m3")], [at(0, "n0"), at(2, "n1"), at(3, "n2"), at(5, "n3")]

    def merged(since: str = "", until: str = "") -> list[str]:
        return [orjson.loads(one)["content"] for one in merge_notes(messages, notes, since, until)]

    assert merged() == ["n0", "m1", "n1", "m2", "m3", "n2", "n3"]
    assert merged("2027-01-15T08:00:01.000Z", "2027-01-15T08:00:03.000Z") == ["m1", "n1", "m2", "m3"]
    assert merged("2027-01-15T08:00:05.000Z") == ["m1", "m2", "m3", "n3"]


def test_error_location() -> None:
    """A fault is logged by where it was raised, without its words."""
    with pytest.raises(ValueError, match="unexpected") as raised:
        orjson.loads(b"a visitor's words")
    assert error_location(raised.value).startswith(f"{__file__}:")
    assert error_location(ValueError()) == ""
