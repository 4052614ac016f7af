"""Connections to one Redis server, the one used last first, each read and written without the driver's layers."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.storage.autopipeline import Lane

CONNECT_SECONDS = 0.5
READ_SECONDS = 1.0
_IDLE_SECONDS = 5.0
_WRITES = ("EVALSHA", "EVAL", "ZREM", "PUBLISH")


class Connection(Protocol):
    """What is used of the driver's connection."""

    _sock: socket.socket | None

    def connect(self) -> None: ...
    def send_command(self, *args: Any) -> None: ...
    def read_response(self, *, timeout: float = ..., disconnect_on_error: bool = ...) -> Any: ...
    def can_read(self, timeout: float = 0) -> bool: ...
    def disconnect(self) -> None: ...


class Redis(Protocol):
    """Whatever takes a command and gives its reply, raising the driver's errors: one server, Sentinel or a Cluster."""

    def execute(self, *args: Any, wait: int = 0) -> Any: ...


@runtime_checkable
class Nodes(Protocol):
    """A Redis of several servers: which one a command belongs to. Raises the driver's errors where none is known."""

    def node(self, args: tuple[Any, ...]) -> object: ...


class Wire:
    """A connection that the driver has made and signed in, with hiredis alone between it and its user.

    The driver's own path costs three times the CPU of the trip itself (docs/decisions/speed.md).
    """

    def __init__(self, connection: Connection) -> None:
        try:
            connection.connect()
        except ResponseError as error:  # whatever the server has against us, it is no fault of a call
            connection.disconnect()
            raise RedisConnectionError(*error.args) from None
        self._connection = connection
        if connection._sock is None:
            raise RedisConnectionError("not connected")
        self._socket = connection._sock
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=ResponseError)
        self.used = 0.0

    def call(self, args: tuple[Any, ...]) -> Any:
        """Sends one command and reads its reply. Raises ResponseError, in the server's own words, where it refuses."""
        packed = hiredis.pack_command(args)
        sent = self._socket.send(packed)
        if sent < len(packed):  # sendall alone would ask the socket for its buffer's size every time
            self._socket.sendall(packed[sent:])
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(65536)
            if not data:
                raise RedisConnectionError("closed by the server")
            self._reader.feed(data)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def calls(self, packed: bytes, most: int) -> list[Any]:
        """Sends ``most`` commands at once and reads their replies; a refusal stands among them as an exception."""
        sent = self._socket.send(packed)
        if sent < len(packed):
            self._socket.sendall(packed[sent:])
        replies: list[Any] = []
        gets = self._reader.gets
        while True:
            while len(replies) < most and (reply := gets()) is not False:
                replies.append(reply)
            if len(replies) == most:
                return replies
            data = self._socket.recv(65536)
            if not data:
                raise RedisConnectionError("closed by the server")
            self._reader.feed(data)

    def stale(self) -> bool:
        """Whether it was closed by the other side, or holds what nobody asked for. Asked only after some idleness."""
        if time.monotonic() - self.used < _IDLE_SECONDS:
            return False
        try:
            return bool(self._connection.can_read(timeout=0))
        except (RedisConnectionError, RedisTimeoutError, OSError):
            return True

    def close(self) -> None:
        self._connection.disconnect()


class Connections:
    """Connections to one primary, 64 at most. A failed one is never used again."""

    def __init__(self, connect: Callable[[], Connection], *, most: int = 64) -> None:
        self._connect = connect
        self._idle: deque[Wire] = deque()
        self._places = deque(range(most))
        self._freed = threading.Event()
        # Apart, for a server may hold writes back and go on answering reads.
        self._writes, self._reads = Lane(self), Lane(self)

    def execute(self, *args: Any, wait: int = 0, asking: bool = False) -> Any:
        """One command, sent once. With ``wait`` also WAIT for that many replicas; NOREPLICAS where they are fewer.

        ``asking``: this node takes the slot over and is to serve it already.
        """
        if not wait and not asking:
            return (self._writes if args[0] in _WRITES else self._reads).call(args)
        place = self._place()
        try:
            wire = self.take()
            return self._on(wire, args, wait, asking=asking)
        finally:
            self._places.append(place)
            self._freed.set()

    def _place(self) -> int:
        """A place among the connections, taken without a lock: a deque's ends are atomic."""
        deadline = 0.0
        while True:
            try:
                return self._places.pop()
            except IndexError:
                now = time.monotonic()
                deadline = deadline or now + READ_SECONDS
                if now > deadline:
                    raise RedisTimeoutError("no free connection") from None
                self._freed.clear()
                self._freed.wait(0.05)

    def _on(self, wire: Wire, args: tuple[Any, ...], wait: int, *, asking: bool) -> Any:
        try:
            if asking:
                wire.call(("ASKING",))
            reply = wire.call(args)
            if wait and wire.call(("WAIT", wait, int(READ_SECONDS * 800))) < wait:
                raise ResponseError("NOREPLICAS too few replicas acknowledged")
        except ResponseError as error:
            if str(error).startswith(("READONLY", "NOREPLICAS")):
                self.drop(wire)  # the primary may have moved: look for it anew
            else:
                self.keep(wire)
            raise
        except BaseException:
            # Also when the caller was cancelled: its reply would otherwise be read by the next one.
            self.drop(wire)
            raise
        self.keep(wire)
        return reply

    def keep(self, wire: Wire) -> None:
        wire.used = time.monotonic()
        self._idle.append(wire)

    def take(self) -> Wire:
        while True:
            try:
                wire = self._idle.pop()
            except IndexError:
                return Wire(self._connect())
            if not wire.stale():
                return wire
            wire.close()

    def drop(self, wire: Wire) -> None:
        wire.close()
        while self._idle:  # what broke one has most likely broken all
            self._idle.pop().close()
