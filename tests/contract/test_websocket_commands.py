"""What a client may send over a WebSocket: the calls of the same name, with their rules and limits."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import websocket
from websocket import WebSocketException

from tests.contract.api_client import ApiClient, Visitor
from tests.contract.conftest import RunningService
from tests.contract.feeds import Event, Feed, WsFeed, joined


@pytest.fixture
def feed(visitor: Visitor) -> Iterator[WsFeed]:
    with visitor.ws() as opened:
        yield opened


def replies(feed: Feed, count: int) -> list[Event]:
    """The first ``count`` answers to frames, once they are all there."""
    feed.until("ack", "problem", count=count)
    return feed.named("ack", "problem")[:count]


def test_a_conversation_needs_nothing_else(visitor: Visitor, feed: WsFeed) -> None:
    """A question, its acknowledgement, its events, and the same history as any other client's."""
    feed.send({"type": "chat", "query": "tokens=20", "client_id": "q-1"})
    (ack,) = replies(feed, 1)
    assert (ack.event, ack.data, ack.id) == ("ack", {"type": "chat", "client_id": "q-1"}, None)
    end = feed.until("answer.end")[-1]
    assert joined(feed.events) == end.data["message"]["content"]
    feed.send({"type": "message", "message": "a note", "client_id": "m-1", "metadata": {"page": "/tea"}})
    feed.until("message", count=2)
    feed.send({"type": "heartbeat"})
    assert replies(feed, 3)[2].data == {"type": "heartbeat"}
    assert [said["content"] for said in visitor.history()] == ["tokens=20", end.data["message"]["content"], "a note"]
    assert visitor.history()[2]["metadata"] == {"page": "/tea"}


def test_a_frame_sent_again_stores_nothing_twice(visitor: Visitor, feed: WsFeed) -> None:
    """A client id makes a frame as safe to repeat as a call."""
    for frame in ({"type": "message", "message": "once"}, {"type": "chat", "query": "also once"}):
        for _ in range(2):
            feed.send(frame | {"client_id": "c-1"})
    assert [reply.event for reply in replies(feed, 4)] == ["ack"] * 4
    feed.until("answer.end")
    assert visitor.texts() == ["once", "also once", "echo: also once"]


def test_stop(visitor: Visitor, feed: WsFeed) -> None:
    """A frame stops the answer that another has asked for."""
    feed.send({"type": "chat", "query": "tokens=2000 delay=0.05"})
    feed.until("answer.delta")
    feed.send({"type": "stop"})
    end = feed.until("answer.end")[-1]
    assert end.data["message"]["metadata"] == {"stopped": True}
    assert [reply.data["type"] for reply in replies(feed, 2)] == ["chat", "stop"]


@pytest.mark.parametrize(
    ("frame", "status", "code"),
    [
        ({"type": "chat", "query": " "}, 422, "invalid_request"),
        ({"type": "chat"}, 422, "invalid_request"),
        ({"type": "chat", "query": "x" * 4001}, 422, "invalid_request"),
        ({"type": "message", "message": 7}, 422, "invalid_request"),
        ({"type": "message", "message": "x", "role": "assistant"}, 403, "role_forbidden"),
        ({"type": "typing"}, 404, "not_found"),
        ({"type": "nothing"}, 422, "invalid_request"),
        ({"type": "message", "message": "x" * 66_000}, 413, "payload_too_large"),
        ({"type": "chat", "query": "x" * 200_000}, 413, "payload_too_large"),
        ([], 400, "invalid_json"),
        ("x", 400, "invalid_json"),
    ],
)
def test_what_a_call_refuses_a_frame_refuses(
    visitor: Visitor, feed: WsFeed, frame: Any, status: int, code: str
) -> None:
    """The same problem, and the connection stays open."""
    feed.send(frame)
    (problem,) = replies(feed, 1)
    assert problem.event == "problem"
    assert (problem.data["status"], problem.data["code"], problem.data["success"]) == (status, code, False)
    feed.send({"type": "ping"})
    feed.until("pong")
    assert visitor.texts() == []


@pytest.mark.parametrize(("sent", "shown"), [(None, {}), (7, {}), (["c"], {}), ("\ud83d", {"client_id": "?"})])
def test_a_client_id_that_is_no_text_is_not_named_in_the_reply(
    visitor: Visitor, feed: WsFeed, sent: Any, shown: dict[str, str]
) -> None:
    """Null is none at all; and whatever it holds, the frame and those after it are answered."""
    feed.send({"type": "heartbeat", "client_id": sent})
    feed.send({"type": "message", "message": "hello", "client_id": sent})
    first, second = replies(feed, 2)
    assert (first.event, first.data) == ("ack", {"type": "heartbeat"} | shown)
    assert second.event == ("ack" if sent is None else "problem")
    assert second.data.get("client_id") == shown.get("client_id")
    assert visitor.texts() == (["hello"] if sent is None else [])


def test_an_ended_conversation(visitor: Visitor, feed: WsFeed) -> None:
    """No question and no message after the end."""
    visitor.post("/end")
    feed.until("session")
    feed.send({"type": "chat", "query": "too late", "client_id": "q-9"})
    (problem,) = replies(feed, 1)
    assert (problem.data["code"], problem.data["client_id"]) == ("session_ended", "q-9")


def test_limits_count_frames(limited: RunningService) -> None:
    """Questions and messages in frames count against the session's limit and the address's, as calls do."""
    visitor = ApiClient(limited.base, address="127.0.0.201").create()
    with WsFeed(f"{limited.base}/api/session/{visitor.id}/ws") as feed:  # the feed comes from 127.0.0.1
        for number in range(8):
            feed.send({"type": "message", "message": f"m{number}"})
        answered = replies(feed, 8)
        assert [reply.event for reply in answered] == ["ack"] * 6 + ["problem"] * 2
        assert {reply.data["code"] for reply in answered[6:]} == {"rate_limited"}
        assert all(0 < reply.data["retry_after"] <= 3600 for reply in answered[6:])
        for _ in range(8):
            feed.send({"type": "chat", "query": "again"})
        details = [reply.data["detail"] for reply in replies(feed, 16)[12:]]
    assert details == ["Too many requests from this address."] * 4
    assert len(visitor.texts()) == 6


def test_a_flood_of_frames_closes_its_connection(visitor: Visitor, feed: WsFeed) -> None:
    """A few hundred frames at once are all answered; whoever sends more than are answered in time is disconnected."""
    for _ in range(300):
        feed.send({"type": "ping"})
    feed.until("pong", count=300)
    with contextlib.suppress(OSError, WebSocketException):
        for _ in range(20_000):
            feed.send({"type": "ping"})
    feed.until_closed()
    assert visitor.get("").status_code == 200


def test_a_slow_reader_gets_every_frame_whole(visitor: Visitor) -> None:
    """Frames of which a connection takes a part, since their reader is slow, arrive whole and in order."""
    texts = [f"{number} {chr(0x1F300 + number) * 3990}" for number in range(450)]  # 7 MB: more than a socket buffers
    slow = connect_slowly(visitor)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(visitor.said, texts))
    received: list[str] = []
    while len(received) < len(texts):
        frame = json.loads(slow.recv())
        received += [frame["data"]["content"]] if frame["event"] == "message" else []
    slow.close()
    assert received == visitor.texts()


def connect_slowly(visitor: Visitor) -> websocket.WebSocket:
    """A socket that takes a few kilobytes ahead of its reader."""
    parts = urlsplit(visitor.caller.base)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(30)
    raw.connect((parts.hostname, parts.port))
    return websocket.create_connection(
        f"ws://{parts.netloc}/api/session/me/ws", socket=raw, subprotocols=["baton", visitor.id]
    )


@pytest.mark.parametrize(
    "line",
    [
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=many",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=",
        "Sec-WebSocket-Extensions: permessage-deflate; caf\xe9",
        "Sec-WebSocket-Protocol: caf\xe9",
        "X-Odd: a\x01b",
        "Host: " + "a" * 70 + ".example",
        "Host: caf\xe9.example",
    ],
)
def test_headers_of_a_handshake_that_cannot_be_read(plain: RunningService, visitor: Visitor, line: str) -> None:
    """A problem that is no fault of ours, and the place of the feed is free again."""
    for _ in range(70):  # more than a session may have feeds
        answer = shake_hands(plain.base, visitor.id, line)
        assert answer.startswith((b"HTTP/1.1 422 ", b"HTTP/1.1 400 ")), answer[:200]
        assert b'"invalid_request"' in answer


def shake_hands(base: str, session_id: str, line: str) -> bytes:
    """The answer to a handshake with this header line."""
    parts = urlsplit(base)
    head = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    head += [f"Sec-WebSocket-Key: {'A' * 22}==", line, *([] if line.startswith("Host") else ["Host: chat.example"])]
    request = "\r\n".join([f"GET /api/session/{session_id}/ws HTTP/1.1", *head, "", ""])
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as peer:
        peer.sendall(request.encode("latin-1"))
        peer.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: peer.recv(65536), b""))
