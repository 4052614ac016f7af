"""Positions: coming back to a feed after every kind of cut, from cursors and ids, known and unknown."""

from __future__ import annotations

import pytest

from tests.contract.api_client import ApiClient, Visitor, at_once
from tests.contract.fake_bot import spoken
from tests.contract.feeds import Event, ids, joined, story
from tests.contract.test_events import BOTH, follow


@BOTH
@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "99999999999999-0",
        "18446744073709551615-18446744073709551615",
        "1-1",
        "-1",
        "0x10",
        "1700000000000",
        "a" * 3000,
        "é",
        "null",
        "+",
        "$",
        ">",
        "1-1-1",
        "99999999999999999999999999-0",
        "1 -0",
        " ",
    ],
)
def test_reset(visitor: Visitor, kind: str, cursor: str) -> None:
    """An unknown, malformed or future position brings `reset`, never silence."""
    visitor.said("one")
    with follow(visitor, kind, cursor) as feed:
        events = story(feed.until("reset", seconds=5))
    assert events[-1].event == "reset"


def test_reset_by_header_and_of_strangers(caller: ApiClient) -> None:
    """So it does in `Last-Event-ID`, and for an event of another session."""
    mine, theirs = caller.create(), caller.create()
    with theirs.events() as feed:
        theirs.said("theirs")
        cursor = feed.until("message")[-1].id
    mine.said("mine")
    with mine.events(last=cursor) as feed, mine.events(last="nonsense") as other, mine.ws(after=cursor) as third:
        for one in (feed, other, third):
            events = one.until("reset", seconds=5)
            assert "theirs" not in str(events)


@BOTH
def test_from_a_position(visitor: Visitor, kind: str) -> None:
    """Whoever comes back with the last id it saw gets each later event exactly once and in order."""
    with visitor.events() as feed:
        for number in range(10):
            visitor.said(f"m{number}")
        received = feed.until("message", count=10)
    for cursor in range(10):
        with follow(visitor, kind, received[cursor].id) as later:
            visitor.said("last")
            events = later.wait(
                lambda events, n=cursor + 1: sum(event.data.get("content") == "last" for event in events) >= n
            )
        expected = [f"m{number}" for number in range(cursor + 1, 10)] + ["last"] * (cursor + 1)
        assert [event.data["content"] for event in story(events)][: len(expected)] == expected
        assert len(set(ids(events))) == len(ids(events))


def whole_of(visitor: Visitor, query: str) -> list[Event]:
    """A turn as a reader that was there all the time saw it."""
    with visitor.events() as feed:
        stream = visitor.ask_streamed(query)
        events = story(feed.until("answer.end"))
        stream.until_closed()
    return events


def test_every_cut_point_afterwards(visitor: Visitor) -> None:
    """Cut after every event of an answer and come back: what was seen and what follows are the whole, no id twice."""
    full_story = whole_of(visitor, "tokens=200 delay=0.01")
    assert len(full_story) > 40

    def come_back(at: int) -> None:
        later = visitor.events(last=full_story[at].id) if at % 2 else visitor.events(after=full_story[at].id)
        with later as feed:
            rest = [] if at == len(full_story) - 1 else story(feed.until("answer.end"))
        seen = full_story[: at + 1]
        assert joined(seen) + joined(rest) == spoken(200), at
        assert not set(ids(seen)) & set(ids(rest)), at
        assert [event.event for event in rest if event.event != "answer.delta"] == [
            event.event for event in full_story[at + 1 :] if event.event != "answer.delta"
        ]

    for begin in range(0, len(full_story), 8):
        at_once(min(8, len(full_story) - begin), lambda number, begin=begin: come_back(begin + number))


@BOTH
@pytest.mark.parametrize("each", [1, 3, 10])
def test_cut_while_it_is_said(visitor: Visitor, kind: str, each: int) -> None:
    """The same while the answer is being made: every few events a new connection, whichever worker answers."""
    cursor = visitor.get("/messages").json()["cursor"]
    stream = visitor.ask_streamed("tokens=90 delay=0.02")
    seen: list[Event] = []
    position = cursor
    while not seen or seen[-1].event != "answer.end":
        with follow(visitor, kind, position) as feed:
            received = story(
                feed.wait(
                    lambda events: len(story(events)) >= each or any(event.event == "answer.end" for event in events),
                    10,
                )
            )[:each]
        seen += received
        position = seen[-1].id or ""
    assert "reset" not in {event.event for event in seen}
    assert joined(seen) == spoken(90)
    assert len(set(ids(seen))) == len(ids(seen))
    assert [event.event for event in seen if event.event != "answer.delta"] == ["message", "answer.start", "answer.end"]
    stream.until_closed()


@BOTH
def test_cursor_in_mid_answer(visitor: Visitor, kind: str) -> None:
    """A reader that starts at `cursor` while an answer is being made gets that answer from its first word, and no
    message twice.
    """
    visitor.said("before")
    with visitor.ask_streamed("tokens=100 delay=0.03") as stream:
        for count in (1, 8, 20):
            stream.until("answer.delta", count=count)
            visitor.said(f"between {count}")
            page = visitor.get("/messages").json() if count != 8 else visitor.caller.resume(visitor.id).json()
            visitor.said(f"later {count}")
            with follow(visitor, kind, page["cursor"]) as feed:
                received = story(
                    feed.wait(
                        lambda events, count=count: any(
                            event.data.get("content") == f"later {count}" for event in events
                        )
                    )
                )
                if count == 20:
                    received = story(feed.until("answer.end"))
                    assert joined(received) == spoken(100)
            listed = {message["id"] for message in page["messages"]}
            assert not [event for event in received if event.event == "message" and event.data["id"] in listed]
            assert next(event.data["content"] for event in received if event.event == "message") == f"later {count}"
            assert sum(event.event == "answer.start" for event in received) == 1
            assert joined(received)
            assert spoken(100).startswith(joined(received))
            assert "reset" not in {event.event for event in received}


def test_cursor_at_rest(visitor: Visitor) -> None:
    """At rest, nothing that is in `messages` follows `cursor`: no message, no answer."""
    visitor.said("one")
    visitor.ask("two")
    page = visitor.get("/messages").json()
    for kind in ("sse", "ws"):
        with follow(visitor, kind, page["cursor"]) as feed:
            visitor.said(f"new {kind}")
            events = story(feed.until("message"))
            assert next(event.data["content"] for event in events).startswith("new")
            assert {event.event for event in events} == {"message"}


def test_cursor_of_an_empty_session(visitor: Visitor) -> None:
    """The cursor of a session in which nothing was said yet is a position, too."""
    cursor = visitor.get("/messages").json()["cursor"]
    visitor.said("first")
    visitor.ask("second")
    with visitor.events(after=cursor) as feed:
        events = story(feed.until("answer.end"))
    assert next(event.event for event in events) == "message"
    assert events[0].data["content"] == "first"
    assert "reset" not in {event.event for event in events}


@BOTH
def test_ids_of_a_chats_stream_are_positions(visitor: Visitor, kind: str) -> None:
    """The ids of a chat's own stream are positions for `events` and `ws` too."""
    for count in (1, 5, 12):
        stream = visitor.ask_streamed("tokens=60 delay=0.02")
        seen = story(stream.until("answer.delta", count=count))
        stream.close()
        with follow(visitor, kind, seen[-1].id) as feed:
            rest = story(feed.until("answer.end"))
        assert joined(seen) + joined(rest) == spoken(60)
        assert not set(ids(seen)) & set(ids(rest))
        assert "reset" not in {event.event for event in rest}


def test_sse_and_websocket_send_the_same(visitor: Visitor) -> None:
    """Listeners over SSE and WebSocket, started at different moments, join the same text."""
    with visitor.events() as early, visitor.ws() as socket:
        stream = visitor.ask_streamed("tokens=100 delay=0.02")
        stream.until("answer.delta", count=10)
        cursor = visitor.get("/messages").json()["cursor"]
        with visitor.events(after=cursor) as late, visitor.ws(after=cursor) as later:
            texts = {joined(feed.until("answer.end")) for feed in (early, socket, stream, late, later)}
    assert texts == {spoken(100)}
