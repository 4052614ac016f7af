"""The sockets of clients: reading gives way to other connections, and an unread response ends."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import gevent.socket
import pytest

from app import slow_clients
from app.slow_clients import ClientSocket

Pair = tuple[ClientSocket, gevent.socket.socket]


def pair(send_timeout: float = 5.0) -> Pair:
    served, client = gevent.socket.socketpair()
    return ClientSocket(served, "192.0.2.1", send_timeout), client


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    """Two connections; nothing waits for them afterwards."""
    made = [pair(), pair()]
    yield made
    for served, client in made:
        served.close()
        client.close()
    assert not slow_clients._waiting


def test_connections_are_read_in_turn(pairs: list[Pair]) -> None:
    """Two clients whose bytes are all there already are read a piece each in turn."""
    order: list[int] = []

    def read(number: int) -> None:
        served, client = pairs[number]
        client.sendall(b"x" * 100)
        for _ in range(100):
            assert served.recv(1) == b"x"
            order.append(number)

    gevent.joinall([gevent.spawn(read, number) for number in (0, 1)], raise_error=True)
    assert order[:20].count(0) == order[:20].count(1) == 10


def test_a_response_that_nobody_reads_ends(pairs: list[Pair]) -> None:
    """Once the client has taken nothing for as long as the service is patient."""
    served, client = pair(send_timeout=0.05)
    pairs.append((served, client))
    with pytest.raises(BrokenPipeError):
        served.sendall(b"x" * 50_000_000)


def test_a_response_that_is_read_slowly_arrives(pairs: list[Pair]) -> None:
    """However long all of it takes: only a pause ends it."""
    served, client = pairs[0]
    received = bytearray()

    def read() -> None:
        while len(received) < 3_000_000:
            received.extend(client.recv(20_000))
            gevent.sleep(0.001)

    reader = gevent.spawn(read)
    served.sendall(b"x" * 3_000_000)
    reader.get()
    assert len(received) == 3_000_000


def test_making_room_ends_the_longest_wait(pairs: list[Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a worker that is full, one more wait ends the longest one: a sender sees that its client has left, a reader
    the end of the stream.
    """
    monkeypatch.setattr(slow_clients, "worker_connections", 2)
    (first, _), (second, _) = pairs
    with slow_clients.connection_open():
        sender = gevent.spawn(first.sendall, b"x" * 50_000_000)
        while not slow_clients._waiting:
            gevent.sleep(0.01)
        with slow_clients.connection_open(), slow_clients.waiting(second, "192.0.2.1"):
            with pytest.raises(BrokenPipeError):
                sender.get()
            reader = gevent.spawn(second.recv, 1)
            gevent.sleep(0.01)
            slow_clients.make_room()
            assert reader.get() == b""
