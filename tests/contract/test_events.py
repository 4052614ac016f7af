"""Live events over server-sent events and WebSocket: which events come, to whom, and from where on."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import websocket

from tests.contract.api_client import NOBODY, ApiClient, Visitor, is_problem
from tests.contract.fake_bot import spoken
from tests.contract.feeds import Feed, SseFeed, WsFeed, ids, joined, story

BOTH = pytest.mark.parametrize("kind", ["sse", "ws"])


def follow(visitor: Visitor, kind: str, after: str | None = None) -> Feed:
    return visitor.events(after=after) if kind == "sse" else visitor.ws(after=after)


@BOTH
def test_a_message(visitor: Visitor, kind: str) -> None:
    """`message`: a stored message, as its append answered it; from now on, without a position."""
    visitor.said("before")
    with follow(visitor, kind) as feed:
        stored = visitor.said("hello", client_id="c", metadata={"a": 1})
        events = story(feed.until("message"))
    assert [event.data for event in events] == [stored]
    assert events[0].id


@BOTH
def test_a_turn(visitor: Visitor, kind: str) -> None:
    """A turn: the question as `message`, `answer.start`, deltas, `answer.end`; the deltas joined are the message."""
    with follow(visitor, kind) as feed:
        body = visitor.ask("tokens=50 delay=0.01 cite").json()
        events = story(feed.until("answer.end"))
    names = [event.event for event in events]
    assert names[:2] == ["message", "answer.start"]
    assert names[-1] == "answer.end"
    assert set(names[2:-1]) == {"answer.delta"}
    assert len(names) > 5, "not streamed"
    question, answer = visitor.history()
    assert events[0].data == question
    end = events[-1].data
    assert end.keys() >= {"turn_id", "message", "citations"}
    assert end["message"] == answer
    assert end["citations"] == body["citations"]
    assert len(end["citations"]) == 3
    assert {event.data["turn_id"] for event in events[1:]} == {events[1].data["turn_id"]}
    assert joined(events) == answer["content"] == spoken(50)
    assert len(set(ids(events))) == len(events), "every event has an id of its own"


@BOTH
def test_the_answer_comes_once(visitor: Visitor, kind: str) -> None:
    """The answer comes as `answer.end`, not also as `message`."""
    with follow(visitor, kind) as feed:
        visitor.ask("hello")
        visitor.said("the end")
        events = story(feed.until("message", count=2))
    assert [event.data["content"] for event in events if event.event == "message"] == ["hello", "the end"]


def test_words_come_as_they_are_said(visitor: Visitor) -> None:
    """Words come while the answer is being made, not in one piece at its end."""
    with visitor.ask_streamed("tokens=60 delay=0.05") as feed:
        events = feed.until("answer.end")
    deltas = [event for event in events if event.event == "answer.delta"]
    assert deltas[-1].at - deltas[0].at > 1.5
    assert len(deltas) >= 20
    assert deltas[0].data["text"] == "w0 "


def test_the_stream_of_a_chat(visitor: Visitor) -> None:
    """With `Accept: text/event-stream`: the same turn as events, ending after its `answer.end`."""
    feed = visitor.ask_streamed("tokens=20 cite")
    events = story(feed.until_closed())
    assert feed.status == 200
    assert feed.headers["content-type"].split(";")[0] == "text/event-stream"
    names = [event.event for event in events]
    assert names[-1] == "answer.end"
    assert "answer.start" in names
    assert joined(events) == events[-1].data["message"]["content"] == visitor.history()[1]["content"]
    assert len(events[-1].data["citations"]) == 3


def test_a_stream_without_a_session(caller: ApiClient) -> None:
    """A chat without a session can be streamed as well."""
    feed = SseFeed(caller.base + "/api/chat", method="POST", body={"query": "tokens=20 cite"})
    events = story(feed.until_closed())
    assert events[-1].event == "answer.end"
    assert joined(events) == spoken(20)


def test_refused_before_the_first_byte(visitor: Visitor) -> None:
    """What can be refused is refused before the first byte, with its proper status."""
    stream = {"Accept": "text/event-stream"}
    is_problem(visitor.ask("", headers=stream), 422, "invalid_request")
    is_problem(
        visitor.caller.post("/api/chat", json={"query": "x", "session_id": NOBODY}, headers=stream),
        404,
        "session_not_found",
    )
    is_problem(
        visitor.caller.post("/api/chat", content=b"[", headers=stream | {"Content-Type": "application/json"}),
        400,
        "invalid_json",
    )
    visitor.post("/end")
    is_problem(visitor.ask("x", headers=stream), 409, "session_ended")


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("fail", "engine_failed", 0),
        ("empty", "engine_failed", 0),
        ("hang", "engine_timeout", 0),
        ("fail-after=20", "engine_failed", 20),
        ("stall-after=20", "engine_timeout", 20),
    ],
)
def test_a_failure_in_a_stream(visitor: Visitor, query: str, code: str, words: int) -> None:
    """`answer.error`: `{turn_id, code, detail, message?}`; `message` is what was said before it broke, kept in the
    history.
    """
    with visitor.events() as feed:
        stream = visitor.ask_streamed(query)
        assert stream.status == 200
        last = story(stream.until_closed())[-1]
        assert story(feed.until("answer.error"))[-1].data == last.data
    assert last.event == "answer.error"
    assert last.data.keys() >= {"turn_id", "code", "detail"}
    assert last.data["code"] == code
    assert last.data["detail"]
    if words:
        assert last.data["message"] == visitor.history()[1]
        assert joined(stream.events) == last.data["message"]["content"] == spoken(words)
    else:
        assert last.data.get("message") is None
        assert visitor.texts() == [query]


@BOTH
def test_status(visitor: Visitor, kind: str) -> None:
    """`session`: `{status}`, seen in every tab within 2 s of an end."""
    with follow(visitor, kind) as feed, follow(visitor, kind) as other:
        visitor.post("/end")
        for one in (feed, other):
            assert story(one.until("session", seconds=2))[-1].data["status"] == "ended"


@BOTH
def test_erase_closes_feeds(visitor: Visitor, kind: str) -> None:
    """After an erase, open feeds get its end and are closed."""
    feed = follow(visitor, kind)
    visitor.said("one")
    feed.until("message")
    assert visitor.erase().status_code == 204
    feed.until_closed(5)


@BOTH
def test_every_reader_gets_the_same(visitor: Visitor, kind: str) -> None:
    """Every tab, page and device of a session gets the same events."""
    feeds = [follow(visitor, kind) for _ in range(6)]
    visitor.said("one")
    visitor.ask("tokens=30 delay=0.02")
    visitor.said("two")
    events = [story(feed.until("message", count=3)) for feed in feeds]
    for feed in feeds:
        feed.close()
    whole = [[(event.event, event.data) for event in one if event.event != "answer.delta"] for one in events]
    assert whole == [whole[0]] * 6
    assert {joined(one) for one in events} == {spoken(30)}


def test_sse_framing(visitor: Visitor) -> None:
    """Events are framed as the standard says: `id`, `event`, one line of JSON as `data`, an empty line."""
    feed = visitor.ask_streamed("two\nlines\r\nand \u2028 more")
    feed.until_closed()
    frames = [frame.split("\n") for frame in "\n".join(feed.raw).split("\n\n") if frame.strip()]
    for frame in frames:
        fields = [line.split(":", 1)[0] for line in frame if line and not line.startswith(":")]
        assert set(fields) <= {"id", "event", "data", "retry"}
        if "event" in fields:
            assert fields.count("data") == fields.count("event") == 1


@BOTH
def test_ping(visitor: Visitor, kind: str) -> None:
    """`ping`: no id; at least every 15 s."""
    with follow(visitor, kind) as feed:
        ping = feed.until("ping", seconds=16)[-1]
    assert ping.id is None


def test_ws_frames(visitor: Visitor) -> None:
    """A frame is one JSON object `{id, event, data}`; `{"type": "ping"}` gets `{"event": "pong"}`; rubbish harms
    nobody.
    """
    with visitor.ws() as feed:
        assert isinstance(feed, WsFeed)
        assert feed.subprotocol == "baton"
        feed.send({"type": "ping"})
        assert feed.until("pong")[-1].id is None
        for rubbish in ({"type": "nothing"}, [], "x", None, {"type": {"a": []}}, {"event": "message", "data": {}}):
            feed.send(rubbish)
        visitor.said("still here")
        feed.until("message")
    assert visitor.texts() == ["still here"]


@pytest.mark.parametrize("rest", [f"/api/session/{NOBODY}/ws", "/api/session/x/ws", "/api/session/me/ws"])
@pytest.mark.parametrize("subprotocols", [None, ["baton"], ["baton", NOBODY], ["baton", "x"], ["other"]])
def test_ws_refused(caller: ApiClient, rest: str, subprotocols: list[str] | None) -> None:
    """A WebSocket without a session is refused with 404 in the handshake."""
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        WsFeed(caller.base + rest, subprotocols=subprotocols)
    assert refused.value.status_code == 404


def test_ws_by_path_and_by_bearer(visitor: Visitor) -> None:
    """The plain form takes the id in the path; the `me` form as subprotocol `baton` and the id, or as bearer."""
    for feed in (
        WsFeed(visitor.caller.base + visitor.path("/ws")),
        WsFeed(visitor.caller.base + visitor.path("/ws"), subprotocols=["baton"]),
        WsFeed(visitor.caller.base + "/api/session/me/ws", subprotocols=["baton", visitor.id]),
        WsFeed(visitor.caller.base + "/api/session/me/ws", subprotocols=[visitor.id, "baton"]),
    ):
        with feed:
            visitor.said("hello")
            feed.until("message")
            assert feed.subprotocol in (None, "baton")


@pytest.mark.parametrize("path", [f"/api/session/{NOBODY}/events", "/api/session/x/events", "/api/session/me/events"])
def test_events_refused(caller: ApiClient, path: str) -> None:
    """A feed of no session is the same 404."""
    is_problem(caller.get(path, headers={"Accept": "text/event-stream"}), 404, "session_not_found")


def test_text_that_looks_like_a_frame(visitor: Visitor) -> None:
    """Text that looks like a frame stays text."""
    text = "a\n\nid: 9-9\nevent: reset\ndata: {}\n\n\r\r: b"
    with visitor.events() as feed:
        visitor.ask(text)
        events = story(feed.until("answer.end"))
    assert events[0].data["content"] == text
    assert "reset" not in {event.event for event in events}


def test_events_without_the_accept_header(visitor: Visitor) -> None:
    """`events` is a feed whatever is accepted, and a HEAD or a closed reader leaves nothing hanging."""
    parts = urlsplit(visitor.caller.base)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("GET", visitor.path("/events"), headers={"Accept": "*/*"})
    response = connection.getresponse()
    assert (response.status, response.getheader("content-type", "").split(";")[0]) == (200, "text/event-stream")
    connection.close()
    assert visitor.caller("HEAD", visitor.path("/events")).status_code in (200, 405)


def test_many_turns_in_a_row(visitor: Visitor) -> None:
    """Turn after turn on one feed: every turn has its own id, one start and one end, in order."""
    with visitor.events() as feed:
        for number in range(15):
            assert visitor.ask(f"tokens={number + 1}").status_code == 200
        events = story(feed.until("answer.end", count=15))
    turns: dict[str, list[str]] = {}
    for event in events:
        if event.event != "message":
            turns.setdefault(event.data["turn_id"], []).append(event.event)
    assert len(turns) == 15
    assert all(
        names[0] == "answer.start" and names[-1] == "answer.end" and set(names[1:-1]) == {"answer.delta"}
        for names in turns.values()
    )
    assert [event.data["message"]["content"] for event in events if event.event == "answer.end"] == [
        spoken(n + 1) for n in range(15)
    ]


def test_json_of_every_event(visitor: Visitor) -> None:
    """Every event's data is a JSON object, with nothing of the session's secret in it."""
    with visitor.events() as feed:
        visitor.ask("tokens=10 cite")
        visitor.post("/end")
        events: list[Any] = feed.until("session")
    assert all(isinstance(event.data, dict) for event in events)
    assert visitor.id not in json.dumps([event.data for event in events])
