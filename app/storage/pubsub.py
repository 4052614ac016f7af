"""Pub/sub wake-ups: one subscriber connection per worker. Messages carry no data; readers re-read the stream."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from redis.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

_log = logging.getLogger(__name__)
PING_SECONDS = 5.0
LOG_THROTTLE_SECONDS = 60.0
RECONNECT_SECONDS = 0.3
NOTIFIER_CHANNEL = "baton:notifier"
"""A channel for the connection itself: it is subscribed, and so answers PING, while nobody waits."""


class Subscription:
    """One waiting reader of a session."""

    def __init__(self, channel: str, closing: threading.Event) -> None:
        self.channel = channel
        self._notified = threading.Event()
        self._closing = closing

    @property
    def closing(self) -> bool:
        """The worker is shutting down: the reader should end."""
        return self._closing.is_set()

    def wait(self, seconds: float) -> bool:
        """True as soon as something may have happened since the last wait; False after ``seconds``."""
        notified = self._notified.wait(seconds)
        self._notified.clear()
        return notified

    def notify(self) -> None:
        self._notified.set()


class PubSubNotifier:
    """Subscribes to the channels that somebody waits for; the first remote subscription starts its thread."""

    def __init__(self, connect: Callable[[], PubSub], start_thread: Callable[[Callable[[], None]], object]) -> None:
        self._connect = connect
        self._start_thread = start_thread
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._acknowledged: dict[str, threading.Event] = {}
        self._pubsub: PubSub | None = None
        self._lock = threading.Lock()
        self._started = False
        self.closing = threading.Event()
        self._stopped = threading.Event()

    @contextmanager
    def subscribe(self, channel: str, *, local: bool = False) -> Iterator[Subscription]:
        """A subscription that Redis has acknowledged, where it can.

        ``local``: this worker writes what is waited for and notifies by itself, so Redis is not needed.
        """
        subscription = Subscription(channel, self.closing)
        with self._lock:
            self._subscriptions.setdefault(channel, []).append(subscription)
        try:
            if not local:
                self._subscribe(channel)
            yield subscription
        finally:
            self._unsubscribe(subscription)

    def notify(self, channel: str) -> None:
        """Wakes this worker's readers of the channel."""
        for subscription in self._subscriptions.get(channel, ()):
            subscription.notify()

    def close(self) -> None:
        """Notifies every reader that the worker is shutting down."""
        self.closing.set()
        for channel in list(self._subscriptions):
            self.notify(channel)

    def stop(self) -> None:
        """Ends the thread and its connection at the next message, or within PING_SECONDS.

        A worker that shuts down does not call it: its running answers have readers.
        """
        self._stopped.set()

    def _subscribe(self, channel: str) -> None:
        with self._lock:
            acknowledged = self._acknowledged.get(channel)
            if acknowledged is None:
                acknowledged = self._acknowledged[channel] = threading.Event()
                if self._pubsub is not None:
                    with suppress(RedisError, OSError):  # the thread below meets the same error and reconnects
                        self._pubsub.subscribe(channel)
            if not self._started:
                self._started = True
                self._start_thread(self._run)
        acknowledged.wait(1.0)  # after that Redis is away, and the next connection wakes everybody

    def _unsubscribe(self, subscription: Subscription) -> None:
        channel = subscription.channel
        with self._lock:
            others = self._subscriptions[channel]
            others.remove(subscription)
            if others:
                return
            del self._subscriptions[channel]
            if self._acknowledged.pop(channel, None) and self._pubsub is not None:
                with suppress(RedisError, OSError):
                    self._pubsub.unsubscribe(channel)

    def _run(self) -> None:
        """Reads until ``stop``; a lost connection is made anew and wakes everybody."""
        logged_at = float("-inf")
        while not self._stopped.is_set():
            try:
                self._read()
            except (RedisError, OSError) as error:
                if not self._stopped.is_set() and time.monotonic() - logged_at > LOG_THROTTLE_SECONDS:
                    logged_at = time.monotonic()
                    _log.warning("the subscriber lost Redis: %s", type(error).__name__)
            with self._lock:
                pubsub, self._pubsub = self._pubsub, None
            if pubsub is not None:
                with suppress(RedisError, OSError):
                    pubsub.close()
            # On and on, also while the worker shuts down: running answers still have readers.
            self._stopped.wait(RECONNECT_SECONDS)

    def _read(self) -> None:
        pubsub = self._connect()
        pubsub.subscribe(NOTIFIER_CHANNEL)
        with self._lock:
            self._pubsub = pubsub
            channels = list(self._acknowledged)
            for start in range(0, len(channels), 500):
                pubsub.subscribe(*channels[start : start + 500])
        for channel in list(self._subscriptions):
            self.notify(channel)
        pinged = False
        while not self._stopped.is_set():
            message = pubsub.get_message(timeout=PING_SECONDS)
            if message is not None:
                pinged = False
                self._on_message(message)
            elif pinged:
                raise RedisConnectionError("silent")
            else:
                pinged = True
                pubsub.ping()

    def _on_message(self, message: dict[str, object]) -> None:
        if message["type"] not in ("message", "subscribe"):
            return
        channel = bytes(message["channel"]).decode()  # type: ignore[call-overload]
        if message["type"] == "subscribe" and (acknowledged := self._acknowledged.get(channel)):
            acknowledged.set()
        self.notify(channel)
