"""Bounds what slow clients cost a worker: idle connections, and requests that arrive a byte at a time.

A worker holds a limited number of connections (gunicorn's ``worker_connections``). Every wait for a client has a
deadline, but one address could still open connections faster than the deadlines close them. So when a worker is
three quarters full, each new connection closes the longest-waiting one of the address that has the most of them.
Connections that are being answered, live feeds among them, are never closed here.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_waiting: dict[str, dict[socket.socket, None]] = {}
"""By address, the connections of this worker whose client has still to send something; the longest-waiting first."""


@contextmanager
def waiting(connection: socket.socket, address: str) -> Iterator[None]:
    """While this worker waits for the client of ``connection`` to send a request or the rest of one."""
    connections = _waiting.setdefault(address, {})
    connections[connection] = None
    try:
        yield
    finally:
        connections.pop(connection, None)
        if not connections and _waiting.get(address) is connections:
            del _waiting[address]


def make_room(open_connections: int, worker_connections: int) -> None:
    """Called for each new connection; closes a waiting one when the worker is three quarters full.

    An address keeps a sixteenth of the worker's connections in any case.
    """
    if open_connections <= worker_connections * 3 // 4:
        return
    connections = max(_waiting.values(), key=len, default={})
    if len(connections) > worker_connections // 16:
        oldest = next(iter(connections))
        del connections[oldest]
        stop_reading(oldest)


def stop_reading(connection: socket.socket) -> None:
    """Ends the wait for more bytes: the reader sees the end of the stream and closes the connection itself."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
