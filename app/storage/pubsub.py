"""The doorbell: one subscribed connection a worker wakes whoever waits for a session's log; it carries no news."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.storage.connection_pool import Connection

_log = logging.getLogger(__name__)
_CHECK_SECONDS = 5.0
_TELL_SECONDS = 60.0


class Watch:
    """One waiting reader of a session."""

    def __init__(self, channel: str, closing: threading.Event) -> None:
        self.channel = channel
        self._rung = threading.Event()
        self._closing = closing

    @property
    def closing(self) -> bool:
        """The worker is going: the reader should take leave."""
        return self._closing.is_set()

    def wait(self, seconds: float) -> bool:
        """True as soon as something may have happened since the last wait; False after ``seconds``."""
        rung = self._rung.wait(seconds)
        self._rung.clear()
        return rung

    def ring(self) -> None:
        self._rung.set()


class Bell:
    """Subscribes to the sessions that somebody watches; started by the first watch from afar."""

    def __init__(self, connect: Callable[[], Connection], spawn: Callable[[Callable[[], None]], object]) -> None:
        self._connect = connect
        self._spawn = spawn
        self._watches: dict[str, list[Watch]] = {}
        self._subscribed: dict[str, threading.Event] = {}
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._started = False
        self.closing = threading.Event()

    @contextmanager
    def watch(self, channel: str, *, near: bool = False) -> Iterator[Watch]:
        """A watch of the channel, already subscribed as it is handed out where Redis allows.

        ``near``: this worker writes what is waited for and rings by itself, so no subscription is needed.
        """
        watch = Watch(channel, self.closing)
        with self._lock:
            self._watches.setdefault(channel, []).append(watch)
        try:
            if not near:
                self._subscribe(channel)
            yield watch
        finally:
            self._leave(watch)

    def ring(self, channel: str) -> None:
        """Wakes this worker's watches of the channel."""
        for watch in self._watches.get(channel, ()):
            watch.ring()

    def close(self) -> None:
        """Every watch is told that the worker is going."""
        self.closing.set()
        for watches in list(self._watches.values()):
            for watch in list(watches):
                watch.ring()

    def _subscribe(self, channel: str) -> None:
        with self._lock:
            heard = self._subscribed.get(channel)
            if heard is None:
                heard = self._subscribed[channel] = threading.Event()
                self._send("SUBSCRIBE", channel)
            if not self._started:
                self._started = True
                self._spawn(self._listen)
        heard.wait(1.0)  # unheard after that: Redis is away, and coming back rings everybody

    def _leave(self, watch: Watch) -> None:
        with self._lock:
            others = self._watches[watch.channel]
            others.remove(watch)
            if not others:
                del self._watches[watch.channel]
                if self._subscribed.pop(watch.channel, None):
                    self._send("UNSUBSCRIBE", watch.channel)

    def _send(self, *words: str) -> None:
        if self._connection is not None:
            with suppress(RedisError, OSError):  # the listening side finds the break and starts over
                self._connection.send_command(*words)

    def _listen(self) -> None:
        """Listens for as long as the process lives; a lost connection is made anew and rings everybody."""
        told = float("-inf")
        while True:
            try:
                self._hear()
            except (RedisError, OSError) as error:
                if time.monotonic() - told > _TELL_SECONDS:
                    told = time.monotonic()
                    _log.warning("the doorbell lost Redis: %s", type(error).__name__)
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(RedisError, OSError):
                    connection.disconnect()
            self.closing.wait(0.3)
            if self.closing.is_set():
                time.sleep(0.3)  # still draining: keep hearing for those who finish their answer

    def _hear(self) -> None:
        connection = self._connect()
        connection.connect()
        with self._lock:
            self._connection = connection
            channels = list(self._subscribed)
            for start in range(0, len(channels), 500):
                connection.send_command("SUBSCRIBE", *channels[start : start + 500])
        for channel in list(self._watches):
            self.ring(channel)
        silent = False
        while True:
            try:
                reply = connection.read_response(timeout=_CHECK_SECONDS, disconnect_on_error=False)
            except RedisTimeoutError:
                if silent:
                    raise
                silent = True
                with self._lock:
                    connection.send_command("PING")
                continue
            silent = False
            self._heard(reply)

    def _heard(self, reply: object) -> None:
        if not isinstance(reply, list) or len(reply) < 3:
            return
        kind, channel = bytes(reply[0]), bytes(reply[1]).decode()
        if kind == b"message":
            self.ring(channel)
        elif kind == b"subscribe":
            heard = self._subscribed.get(channel)
            if heard:
                heard.set()
