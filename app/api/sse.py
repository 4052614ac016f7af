"""Listening by server-sent events (WHATWG HTML, "Server-sent events"): a session's log from any place on."""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response
from flask.globals import request

from app.api import openapi_operations
from app.api.auth import Caller, baton, on_session
from app.client_address import client_network_hash
from app.conversations.events import PING, Event
from app.errors import RateLimited, StorageUnavailable
from app.metrics import FEEDS_OPEN, RATE_LIMITED_TOTAL

blueprint = Blueprint("events", __name__)

LIFE_SECONDS = 720.0
"""A feed is ended by the service before any proxy would cut it; its reader comes back with the last id."""
CLAIM_SECONDS = 15.0
_TRIES = 3
_BREAKS = re.compile(b"\xc2\x85|\xe2\x80[\xa8\xa9]")


def frame(event: Event) -> bytes:
    """One event as it goes over the wire; its data holds no line break, nor what some readers take for one."""
    head = b"" if event.id is None else b"id: %b\n" % event.id.encode()
    data = event.data if event.data.isascii() else _BREAKS.sub(_escaped, event.data)
    return b"%bevent: %b\ndata: %b\n\n" % (head, event.type.encode(), data)


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def stream(events: Iterator[Event | None], opening: bytes = b"") -> Response:
    """An answer of events; None becomes a ping. What proxies might hold back is sent at once."""

    def told() -> Iterator[bytes]:
        if opening:
            yield opening
        with suppress(StorageUnavailable):  # a chat's stream ends; its reader comes back with the last id
            for event in events:
                yield frame(event or PING)

    answer = Response(told(), mimetype="text/event-stream")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


class Feed:
    """A place among the feeds of a session and of an address, renewed while it is open."""

    def __init__(self, caller: Caller, kind: str) -> None:
        config = baton().config
        self._store = baton().store
        self._name = secrets.token_hex(8)
        self._ref = caller.session_hash
        self._address = client_network_hash()
        self._most = (config.feeds_per_session, config.feeds_per_address)
        self._gauge = FEEDS_OPEN.labels(kind)
        self._claimed = 0.0
        self._open = False

    def open(self) -> None:
        """Takes the place. Raises RateLimited where there is none."""
        for _ in range(_TRIES):
            if self._claim():
                self._gauge.inc()
                self._open = True
                return
            self._store.wake_subscribers(self._ref)  # those whose client has left make room
            time.sleep(0.1)
        self._give_back()
        RATE_LIMITED_TOTAL.labels("feeds").inc()
        raise RateLimited("Too many open feeds.", retry_after=15)

    def _claim(self) -> bool:
        self._claimed = time.monotonic()
        session, address = self._most
        try:
            mine = self._store.acquire_feed_slot("", session, self._name, self._ref)
            return bool(mine and self._store.acquire_feed_slot(self._address, address, self._name))
        except StorageUnavailable:  # it refuses writes: reading goes on, uncounted
            return True

    def leave(self) -> None:
        """Gives the place back, once; also where no event was ever asked for."""
        if self._open:
            self._open = False
            self._gauge.dec()
            self._give_back()

    def _give_back(self) -> None:
        self._store.release_feed_slot("", self._name, self._ref)
        self._store.release_feed_slot(self._address, self._name)

    def live(self, events: Iterator[Event | None]) -> Iterator[Event | None]:
        """The events, for as long as a feed may live; the place is given back at their end, however they end."""
        until = time.monotonic() + LIFE_SECONDS
        try:
            for event in events:
                yield event
                now = time.monotonic()
                if now > until:
                    return
                if now - self._claimed > CLAIM_SECONDS:
                    self._claim()
        finally:
            self.leave()


def follow(
    caller: Caller, kind: str, after: str | None, gone: Callable[[], bool]
) -> tuple[Feed, Iterator[Event | None]]:
    """A feed of the session, checked before its first event; whoever takes it calls its ``leave`` in the end.

    Raises NotFound, Forbidden or RateLimited.
    """
    conversations = baton().conversations
    start = conversations.resolve_cursor(caller.session_hash, caller.actor, after)
    feed = Feed(caller, kind)
    feed.open()
    return feed, feed.live(conversations.stream_events(caller.session_hash, caller.actor, start, disconnected=gone))


def _departed(environ: dict[str, Any]) -> Callable[[], bool]:
    """Whether the client has closed its side, asked of the socket without waiting: sooner than a failing ping tells."""
    connection = environ.get("gunicorn.socket")
    raw = getattr(connection, "_sock", connection)  # below the event loop, which would wait
    if raw is not None and raw.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
        # One that vanished without a word is let go as well (RFC 5482).
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 15_000)

    def departed() -> bool:
        if raw is None:
            return False
        try:
            return bool(raw.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"")
        except BlockingIOError:
            return False
        except OSError:
            return True

    return departed


@on_session(blueprint, "GET", "/events", openapi_operations.EVENTS)
def events(caller: Caller) -> Response:
    """The session's events from ``Last-Event-ID`` or ``after`` on; from now without either."""
    after = request.headers.get("Last-Event-ID") or request.args.get("after")
    if request.method == "HEAD":
        baton().conversations.get_page(caller.session_hash, caller.actor)
        return Response(mimetype="text/event-stream")
    opening = b"retry: 1000\n: this feed ends after %d s; come back with the last id\n\n" % LIFE_SECONDS
    feed, told = follow(caller, "sse", after, _departed(request.environ))
    answer = stream(told, opening)
    answer.call_on_close(feed.leave)
    return answer
