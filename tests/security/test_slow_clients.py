"""R37: clients that send or read a byte now and then, or nothing, or flood a connection, take no worker from others."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.contract.api_client import ApiClient
from tests.contract.launch import ROOT, eventually
from tests.security.conftest import running
from tests.security.target import Target

HEAD = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BY_LENGTH = HEAD + b"Content-Length: 60000\r\n\r\n{"
IN_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\nea60\r\n{"
UNFINISHED_HEAD = HEAD + b"X-A: "


def connect(launched: Target, sent: bytes) -> socket.socket:
    """A connection from 127.0.0.1 on which ``sent`` was sent."""
    connection = socket.create_connection(("127.0.0.1", launched.service.port), timeout=10)
    connection.sendall(sent)
    return connection


@contextlib.contextmanager
def client_at(launched: Target, address: str) -> Iterator[httpx.Client]:
    """A client that calls from another address, with a new connection for each request."""
    transport = httpx.HTTPTransport(local_address=address, limits=httpx.Limits(max_keepalive_connections=0))
    with httpx.Client(base_url=launched.base, transport=transport, timeout=10) as client:
        yield client


@pytest.fixture(scope="module")
def impatient() -> Iterator[Target]:
    """One worker that waits a second for a body."""
    yield from running(BATON_BODY_TIMEOUT="1")


@pytest.fixture(scope="module")
def small() -> Iterator[Target]:
    """One worker with room for 64 connections and no deadline within the test."""
    yield from running(BATON_BODY_TIMEOUT="600", GUNICORN_CMD_ARGS="--worker-connections 64 --keep-alive 600")


@pytest.mark.parametrize("sent", [BY_LENGTH, IN_CHUNKS], ids=["by length", "in chunks"])
def test_a_body_has_one_deadline(impatient: Target, sent: bytes) -> None:
    """A body that never pauses for long but does not end is answered 400 and its connection closed."""
    launched = impatient
    caller = ApiClient(launched.base)
    visitor = caller.create()
    with ExitStack() as stack:
        pending = {stack.enter_context(connect(launched, sent)) for _ in range(30)}
        rounds = 0

        def trickle() -> bool:
            nonlocal rounds
            rounds += 1
            assert visitor.say(f"message {rounds}").status_code == 201
            for connection in select.select(list(pending), [], [], 0)[0]:
                pending.remove(connection)
                with contextlib.suppress(ConnectionResetError):  # closed while bytes were still on their way
                    response = connection.recv(12)
                    assert response in (b"HTTP/1.1 400", b"")
            for connection in pending:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b" ")
            return not pending

        assert eventually(trickle, 15, 0.1), f"{len(pending)} of the bodies are still being read"
        assert rounds > 3, "the bodies had no time to arrive"


def test_a_body_that_is_complete_in_time_is_read(small: Target) -> None:
    """A body in several pieces within the deadline is as good as another, and so is the next on the connection."""
    body = b'{"query": "echo"}'
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    with connect(small, head) as connection:
        for _ in range(2):
            for byte in body:
                connection.sendall(bytes([byte]))
            with http.client.HTTPResponse(connection, method="POST") as response:  # its head and body come apart
                response.begin()
                assert response.status == 200
                assert response.read()
            connection.sendall(head)


@pytest.mark.parametrize("sent", [BY_LENGTH, IN_CHUNKS, UNFINISHED_HEAD, b""], ids=["length", "chunks", "head", "idle"])
def test_one_address_cannot_fill_a_worker(small: Target, sent: bytes) -> None:
    """Far more slow connections from one address than the worker has room for, long before any deadline: a client at
    another address is served, and so is a live feed at the first.
    """
    launched = small
    visitor = ApiClient(launched.base).create()
    with ExitStack() as stack:
        feed = stack.enter_context(visitor.events())
        assert feed.status == 200
        for _ in range(200):
            stack.enter_context(connect(launched, sent))
        other = stack.enter_context(client_at(launched, "127.0.0.2"))
        for number in range(5):
            made = other.post("/api/session/create")
            assert made.status_code == 201
            said = other.post(visitor.path("/messages"), json={"message": f"message {number}"})
            assert said.status_code == 201
        assert feed.until("message", count=5)


def flood(launched: Target) -> socket.socket:
    """A connection whose client asks for a large file again and again and reads nothing."""
    page = json.loads((ROOT / "app/static/manifest.json").read_text())["page.js"]
    connection = socket.create_connection(("127.0.0.1", launched.service.port), timeout=10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(b"GET /assets/%b HTTP/1.1\r\nHost: x\r\n\r\n" % page.encode() * 100)
    return connection


def test_unread_responses_cannot_fill_a_worker(small: Target) -> None:
    """Far more clients of one address than the worker has room for ask again and again and read nothing: a client at
    another address is served.
    """
    launched = small
    with ExitStack() as stack:
        other = stack.enter_context(client_at(launched, "127.0.0.2"))
        for _ in range(100):
            stack.enter_context(flood(launched))

        def served() -> bool:
            with contextlib.suppress(httpx.TimeoutException):
                return other.post("/api/session/create", timeout=2).status_code == 201
            return False

        assert eventually(served, 60, 0.1)
        for _ in range(5):
            assert other.post("/api/session/create", timeout=30).status_code == 201
    assert '"Socket error' not in launched.service.log()


def test_a_client_that_reads_nothing_is_given_up(launch: Callable[..., Target]) -> None:
    """The connection of a client that does not take its responses is closed, however few there are."""
    launched = launch(GUNICORN_CMD_ARGS="--keep-alive 1")
    with flood(launched) as connection:

        def closed() -> bool:
            try:
                connection.send(b"G")
            except TimeoutError:
                return False
            except ConnectionError:
                return True
            return False

        assert eventually(closed, 30, 0.2)


def test_many_requests_at_once_do_not_hold_up_others(small: Target) -> None:
    """Requests that a client sends all at once are answered in turn with those of others, not before them."""
    launched = small
    many = 3000
    with connect(launched, b"") as greedy, client_at(launched, "127.0.0.2") as other:
        answered = 0

        def read() -> None:
            nonlocal answered
            tail = b""
            while answered < many and (received := greedy.recv(1 << 16)):
                answered += (tail + received).count(b"HTTP/1.1 404")
                tail = (tail + received)[-11:]

        reader = threading.Thread(target=read)
        sender = threading.Thread(target=greedy.sendall, args=(b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n" * many,))
        reader.start()
        sender.start()
        assert eventually(lambda: answered > 0, 10, 0.001)
        for _ in range(3):
            assert other.get("/nope").status_code == 404
        overtaken = answered
        sender.join()
        reader.join()
    assert answered == many, "each of them is answered"
    assert overtaken < many // 2
