"""Cursors and message ids: how they are encoded and parsed."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.conversations.events import Event, EventCursor, parse_cursor, parse_message_id, serialize_message

NUMBERS = some.integers(0, 10**15 - 1)
TAGS = some.from_regex(r"[0-9a-f]{6}", fullmatch=True)


@given(NUMBERS, NUMBERS, TAGS)
def test_a_cursor_is_parsed_as_it_was_encoded(after: int, after_message: int, tag: str) -> None:
    """An encoded cursor is parsed back the same; the message number counts only where it is beyond the event."""
    read = parse_cursor(EventCursor(after, after_message).encode(tag), tag)
    assert read == EventCursor(after, after_message if after_message > after else 0)


@given(NUMBERS, TAGS, TAGS)
def test_a_cursor_of_another_session_is_none(after: int, tag: str, other: str) -> None:
    """The tag of the session is part of the place: elsewhere it names nothing."""
    assert (parse_cursor(EventCursor(after).encode(tag), other) is None) == (tag != other)


@given(some.text(), TAGS)
def test_any_text_is_read_or_refused_without_an_error(text: str, tag: str) -> None:
    """Whatever stands where a place or a message id should, reading it does not fail."""
    assert parse_cursor(text, tag) is None or text.endswith(tag)
    assert parse_message_id(text, tag) is None


def test_what_is_no_cursor() -> None:
    """Signs, spaces, line ends, missing parts, too many digits and other alphabets' digits name no place."""
    wrong = [
        "",
        "1",
        "-1-abcdef",
        "1-abcdef\n",
        " 1-abcdef",
        "1-ABCDEF",
        "1.-abcdef",
        "1.2.3-abcdef",
        "1" * 16 + "-abcdef",
    ]
    assert [parse_cursor(text, "abcdef") for text in wrong] == [None] * len(wrong)
    assert parse_cursor("1-abcdef", "abcdef") == EventCursor(1)


@pytest.mark.parametrize("digit", ["\u0661", "\u06f1", "\u0967", "\uff11", "\u00b9", "\U0001d7cf"])
def test_digits_of_other_scripts_are_refused(digit: str) -> None:
    """H14: ids and cursors hold ASCII digits only, although Python reads others as numbers too."""
    assert parse_message_id(f"msg_{digit}_abcdef", "abcdef") is None
    assert parse_cursor(f"{digit}-abcdef", "abcdef") is None
    assert parse_cursor(f"1.{digit}-abcdef", "abcdef") is None


@given(some.integers(0, 10**15 - 1), TAGS, TAGS)
def test_a_message_id_is_a_number_in_its_own_session(number: int, tag: str, other: str) -> None:
    """R4: the id of a message gives its number in its session and nothing in another."""
    assert parse_message_id(f"msg_{number}_{tag}", tag) == number
    assert (parse_message_id(f"msg_{number}_{tag}", other) is None) == (tag != other)


@given(
    some.text(),
    some.dictionaries(some.text(max_size=5), some.integers(-5, 5), max_size=3),
    some.none() | some.just("c:1"),
)
def test_a_message_is_serialized_without_what_the_log_adds(
    content: str, metadata: dict[str, int], client_id: str | None
) -> None:
    """The rest of a message's JSON, completed by an id and a time, reads back as the message."""
    try:
        content.encode()
    except UnicodeEncodeError:
        return
    serialized = serialize_message("user", content, metadata, client_id)
    read = orjson.loads(b'{"id":"msg_1_abcdef",' + serialized)
    assert (read["role"], read["content"], read["metadata"]) == ("user", content, metadata)
    assert read.get("client_id") == client_id


def test_an_event_reads_as_an_object_or_as_nothing() -> None:
    """The data of an event is an object; anything else reads as an empty one."""
    assert Event("1-abcdef", "message", b'{"a":1}').payload() == {"a": 1}
    assert Event(None, "ping", b"[]").payload() == {}
