"""Whoever leaves early leaves nothing behind: no place among the feeds, no place in the engine budget."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import Service, until

SCRIPTED = "python:tests.engines.scripted_engine:make"
UPGRADE = (
    "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\n"
)
FREE = {f"BATON_RATE_LIMIT_{name}": "" for name in ("CREATE", "SESSION", "ADDRESS")}


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of one service for all tests here: each gives back what it took."""
    data = str(tmp_path_factory.mktemp("data"))
    service = Service(
        {
            "BATON_DATA_DIR": data, "BATON_ENGINE": SCRIPTED, "BATON_FEEDS_PER_SESSION": "4",
            "BATON_ENGINE_CONCURRENCY": "4", **FREE,
        }
    )  # fmt: skip
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client
    service.stop()


def drop(url: str, request: str) -> None:
    """Sends a request and resets the connection at once."""
    path = urlsplit(url)
    with socket.create_connection((path.hostname, path.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(request.replace("\n", "\r\n").encode())


def opens(caller: httpx.Client, path: str) -> bool:
    with caller.stream("GET", f"{path}/events") as feed:
        return feed.status_code == 200


@pytest.mark.parametrize("more", ["", UPGRADE])
def test_a_feed_that_is_dropped_at_once_gives_its_slot_back(caller: httpx.Client, more: str) -> None:
    """Twenty readers that reset their connection before the first event lock nobody out, and no feed counts as open."""
    path = caller.post("/api/session/create").headers["Location"]
    for _ in range(20):
        drop(str(caller.base_url), f"GET {path}/{'ws' if more else 'events'} HTTP/1.1\nHost: x\n{more}\n")
    until(lambda: opens(caller, path), 20, what="a place for a feed")
    figures = r'baton_feeds_open\{kind="\w+"\} ([0-9.]+)'
    until(lambda: not any(map(float, re.findall(figures, caller.get("/metrics").text))), 20, what="no feed open")


def test_a_question_that_is_dropped_at_once_gives_its_slot_back(caller: httpx.Client) -> None:
    """Twenty streamed questions without a session, reset at once, leave the engine to the others."""
    body = '{"query": "tokens=3"}'
    for _ in range(20):
        drop(
            str(caller.base_url),
            "POST /api/chat HTTP/1.1\nHost: x\nAccept: text/event-stream\nContent-Type: application/json\n"
            f"Content-Length: {len(body)}\n\n{body}",
        )
    until(lambda: caller.post("/api/chat", json={"query": "hello"}).status_code == 200, 20, what="an answer")


@pytest.mark.parametrize("key", ["", "short", "MDEyMzQ1Njc4OWFiY2RlZg"])
def test_a_broken_handshake_is_refused(caller: httpx.Client, key: str) -> None:
    """A WebSocket handshake without a proper key is 422, not a failure, and takes no place."""
    path = caller.post("/api/session/create").headers["Location"]
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    for _ in range(8):
        assert caller.get(f"{path}/ws", headers=headers).json()["code"] == "invalid_request"
    assert opens(caller, path)


def test_a_visitor_speaks_under_no_other_name(caller: httpx.Client) -> None:
    """What a visitor puts into metadata breaks no transcript and lends no operator's name."""
    path = caller.post("/api/session/create").headers["Location"]
    message = {"message": "mine", "metadata": {"citations": [1, {"title": 5}], "operator": "Anna from support"}}
    assert caller.post(f"{path}/messages", json=message).status_code == 201
    for kind in ("md", "txt", "json"):
        answer = caller.get(f"{path}/transcript", params={"format": kind})
        assert answer.status_code == 200
    assert "Anna" not in caller.get(f"{path}/transcript").text


def test_a_cursor_from_the_future_brings_a_reset(caller: httpx.Client) -> None:
    """A position whose messages are yet to come is no position: `reset`, never silence."""
    path = caller.post("/api/session/create").headers["Location"]
    caller.post(f"{path}/messages", json={"message": "one"})
    tag = caller.get(f"{path}/messages").json()["cursor"].rpartition("-")[2]
    with caller.stream("GET", f"{path}/events", params={"after": f"0.999999-{tag}"}) as feed:
        assert next(line for line in feed.iter_lines() if line.startswith("event:")) == "event: reset"
