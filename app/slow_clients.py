"""Bounds what slow and greedy clients cost a worker: idle connections, requests that arrive a byte at a time, responses
that nobody reads, and floods on one connection.

A worker holds a limited number of connections (gunicorn's ``worker_connections``). Every wait for a client has a
deadline, but one address could still open connections faster than the deadlines close them. So when a worker is
three quarters full, each wait that begins closes the longest-waiting one of the address that has the most of them.
Connections whose client takes what it is sent, live feeds among them, are never closed here.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent.socket import cancel_wait_ex  # type: ignore[attr-defined]
from gevent.socket import socket as GeventSocket  # noqa: N812 - gevent's class has the name of the module

_waiting: dict[str, dict[Any, int]] = {}
"""By address, the connections of this worker that wait for their client, with how to shut them down to end the wait;
the longest-waiting first."""


worker_connections = 4000
"""How many connections a worker may have open; the worker sets it to gunicorn's setting."""
_open_connections = 0


class ClientSocket(GeventSocket):
    """An accepted connection whose client can neither keep the worker to itself nor leave a response unread.

    gevent switches to another greenlet only where a call would block: while bytes keep coming, it never would.
    """

    __slots__ = ("_address", "_send_timeout", "body_wait")

    def __init__(self, accepted: GeventSocket, address: str, send_timeout: float) -> None:
        """Takes ``accepted`` over. A client that takes nothing of a response for ``send_timeout`` seconds is closed."""
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self._address, self._send_timeout = address, send_timeout
        self.body_wait: BodyWait | None = None

    def recv(self, *args: Any) -> bytes:
        """What the client has sent, after all others had their turn; nothing once ``stop_reading`` was called."""
        gevent.sleep(0)
        receive: Callable[..., bytes] = super().recv
        with contextlib.suppress(cancel_wait_ex):  # gevent's error for a wait that a shutdown has ended
            if self.body_wait is None:
                return receive(*args)
            with self.body_wait.limit(self):
                return receive(*args)
        return b""

    def send(self, data: Any, flags: int = 0, **options: Any) -> int:
        """How many bytes were taken; ``sendall`` calls this too. Raises BrokenPipeError where none is for too long."""
        send: Callable[..., int] = super().send
        with contextlib.suppress(BlockingIOError):
            return send(data, flags, timeout=0.0)
        error = BrokenPipeError(errno.EPIPE, "the client does not read")
        try:
            with waiting(self, self._address, socket.SHUT_RDWR), gevent.Timeout(self._send_timeout, error):
                return send(data, flags, **options)
        except cancel_wait_ex:
            raise error from None


class BodyWait:
    """Bounds all waits for one request's body. Costs nothing where the body has arrived with the head, as most do."""

    __slots__ = ("_address", "_deadline")

    def __init__(self, address: Callable[[], str], seconds: float) -> None:
        self._address, self._deadline = address, time.monotonic() + seconds

    @contextmanager
    def limit(self, connection: Any) -> Iterator[None]:
        """One wait. Raises gevent.Timeout once the time for the whole body is over."""
        with waiting(connection, self._address()), gevent.Timeout(max(self._deadline - time.monotonic(), 0.001)):
            yield


def read_body(connection: Any, read: Callable[[], bytes], address: Callable[[], str], seconds: float) -> bytes:
    """What ``read`` returns, which reads a request's body from ``connection``. Raises gevent.Timeout.

    ``address`` says for whom the connection waits.
    """
    wait = BodyWait(address, seconds)
    if not isinstance(connection, ClientSocket):
        with wait.limit(connection):  # TLS, whose reads are not ours
            return read()
    connection.body_wait = wait
    try:
        return read()
    finally:
        connection.body_wait = None


@contextmanager
def connection_open() -> Iterator[None]:
    """While this worker has one more connection open."""
    global _open_connections  # noqa: PLW0603 - a worker is a process
    _open_connections += 1
    try:
        yield
    finally:
        _open_connections -= 1


@contextmanager
def waiting(connection: Any, address: str, how: int = socket.SHUT_RD) -> Iterator[None]:
    """While this worker waits for the client of ``connection``: to send a request or the rest of one, or to read."""
    connections = _waiting.setdefault(address, {})
    connections[connection] = how
    make_room()
    try:
        yield
    finally:
        connections.pop(connection, None)
        if not connections and _waiting.get(address) is connections:
            del _waiting[address]


def make_room() -> None:
    """Closes a waiting connection when the worker is three quarters full.

    An address keeps a sixteenth of the worker's connections in any case.
    """
    if _open_connections <= worker_connections * 3 // 4:
        return
    connections = max(_waiting.values(), key=len, default={})
    if len(connections) > worker_connections // 16:
        oldest = next(iter(connections))
        _shut_down(oldest, connections.pop(oldest))


def stop_reading(connection: Any) -> None:
    """Ends the wait for more bytes: the reader sees the end of the stream and closes the connection itself."""
    _shut_down(connection, socket.SHUT_RD)


def _shut_down(connection: Any, how: int) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(how)
