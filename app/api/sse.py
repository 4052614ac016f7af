"""Server-sent events (WHATWG HTML, "Server-sent events"): a session's log from any cursor on."""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, TypeVar

from flask import Blueprint, Response, request

from app.api import schemas
from app.api.auth import SessionContext, session_route
from app.api.openapi import SESSION_ERRORS, TEXT, ResponseSpec, openapi_operation
from app.client_address import client_network_hash
from app.conversations.events import PING, Event
from app.errors import RateLimited, StorageUnavailable
from app.extensions import services
from app.metrics import FEEDS_OPEN, RATE_LIMITED_TOTAL

T = TypeVar("T")

blueprint = Blueprint("events", __name__)

MAX_CONNECTION_SECONDS = 720.0
"""A feed ends before any proxy would cut it; the client comes back with the last event id."""
PREAMBLE = b"retry: 1000\n: this feed ends after %d s; come back with the last id\n\n" % MAX_CONNECTION_SECONDS
EVENT_STREAM = ResponseSpec("Events, for as long as the connection lives.", {"text/event-stream": TEXT})
SLOT_RENEW_SECONDS = 15.0
_SLOT_TRIES = 3
_UNICODE_LINE_BREAKS = re.compile(b"\xc2\x85|\xe2\x80[\xa8\xa9]")


def format_sse(event: Event) -> bytes:
    """One event as it goes over the wire. Its data holds no line break, nor what some readers take for one."""
    head = b"" if event.id is None else b"id: %b\n" % event.id.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (head, event.type.encode(), escape_line_breaks(event.data))


def escape_line_breaks(data: bytes) -> bytes:
    """JSON in one line, without the characters that some readers of streams take for the end of one."""
    return data if data.isascii() else _UNICODE_LINE_BREAKS.sub(_escape, data)


def _escape(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())


def sse_response(events: Iterator[Event | None], preamble: bytes = b"") -> Response:
    """A response of events, which proxies do not buffer; None becomes a ping."""
    return stream_response((format_sse(event or PING) for event in events), preamble)


def stream_response(
    rendered: Iterable[bytes],
    preamble: bytes = b"",
    *,
    on_outage: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response of events that are rendered already; it ends with ``on_outage`` where storage goes away meanwhile."""

    def body() -> Iterator[bytes]:
        if preamble:
            yield preamble
        try:
            yield from rendered
        except StorageUnavailable:  # the client comes back with the last event id
            yield on_outage

    response = Response(body(), mimetype="text/event-stream", headers=headers)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


class FeedSlot:
    """One of the feeds that a session and an address may have open at once, counted in Redis for all workers.

    ``reader``: whose feeds of a desk are counted in place of a session's; the session does not notice those.
    """

    def __init__(self, session_hash: str | None, reader: str = "") -> None:
        config = services().config
        self._store = services().store
        self._name = secrets.token_hex(8)
        self._session_hash, self._session_limit, self._reader = session_hash, config.feeds_per_session, reader
        self._address, self._address_limit = client_network_hash(), config.feeds_per_address
        self._renewed_at = 0.0

    def acquire(self) -> None:
        """Raises RateLimited where too many feeds are open."""
        for _ in range(_SLOT_TRIES):
            if self._claim():
                return
            if self._session_hash:  # feeds whose client has left notice it now, and end
                self._store.wake_subscribers(self._session_hash)
            time.sleep(0.1)
        self.release()
        RATE_LIMITED_TOTAL.labels("feeds").inc()
        raise RateLimited("Too many open feeds.", retry_after=15)

    def renew(self) -> None:
        """Keeps the slot, which expires by itself when its worker dies; call it as often as you like."""
        if time.monotonic() - self._renewed_at > SLOT_RENEW_SECONDS:
            self._claim()

    def release(self) -> None:
        """Gives the slot back."""
        self._store.release_feed_slot(self._reader, self._name, self._session_hash)
        self._store.release_feed_slot(self._address, self._name)

    def _claim(self) -> bool:
        self._renewed_at = time.monotonic()
        acquire = self._store.acquire_feed_slot
        try:
            return bool(
                acquire(self._reader, self._session_limit, self._name, self._session_hash)
                and acquire(self._address, self._address_limit, self._name)
            )
        except StorageUnavailable:  # Redis refuses writes: reading goes on, uncounted
            return True


def open_slot(transport: str, session_hash: str | None = None, reader: str = "") -> tuple[ExitStack, FeedSlot]:
    """A slot for a feed, which is counted as open, and what to close when it ends. Raises RateLimited."""
    resources, slot = ExitStack(), FeedSlot(session_hash, reader)
    slot.acquire()
    resources.callback(slot.release)
    resources.enter_context(FEEDS_OPEN.labels(transport).track_inprogress())
    return resources, slot


def open_feed(
    context: SessionContext, transport: str, after: str | None, disconnected: Callable[[], bool]
) -> tuple[Iterator[Event | None], Callable[[], None]]:
    """The events of the session from ``after`` on, and what to call when the connection ends, however it ends.

    What can be refused is refused here, before the first event. Raises SessionNotFound, NotOwner or RateLimited.
    """
    conversations = services().conversations
    start = conversations.resolve_cursor(context.session_hash, context.actor, after)
    resources, slot = open_slot(transport, context.session_hash)
    events = conversations.stream_events(context.session_hash, context.actor, start, disconnected=disconnected)
    return iterate_until_deadline(events, slot), resources.close


def iterate_until_deadline(events: Iterator[T], slot: FeedSlot) -> Iterator[T]:
    """The events, for as long as a connection may last; its slot is renewed meanwhile."""
    deadline = time.monotonic() + MAX_CONNECTION_SECONDS
    for event in events:
        yield event
        if time.monotonic() > deadline:
            return
        slot.renew()


def client_disconnected(environ: dict[str, Any]) -> Callable[[], bool]:
    """Whether the client has closed its side; asks the socket without waiting, long before a ping would fail."""
    connection = environ.get("gunicorn.socket")
    raw = getattr(connection, "_sock", connection)  # gevent's own would wait
    if raw is not None and raw.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
        # A client that vanished without a FIN is given up as well (RFC 5482).
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 15_000)

    def disconnected() -> bool:
        if raw is None:
            return False
        try:
            return bool(raw.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"")
        except BlockingIOError:
            return False
        except OSError:
            return True

    return disconnected


def requested_position() -> str | None:
    """The id of the last event that the client has; None for events from now on."""
    return request.headers.get("Last-Event-ID") or request.args.get("after")


@session_route(blueprint, "GET", "/events")
@openapi_operation(
    {200: EVENT_STREAM},
    query=schemas.EventsQuery,
    headers=("Last-Event-ID",),
    errors=(RateLimited, *SESSION_ERRORS),
)
def stream_events(context: SessionContext) -> Response:
    """Follow the conversation as server-sent events."""
    if request.method == "HEAD":
        services().conversations.get_page(context.session_hash, context.actor)
        return Response(mimetype="text/event-stream")
    events, close = open_feed(context, "sse", requested_position(), client_disconnected(request.environ))
    response = sse_response(events, PREAMBLE)
    response.call_on_close(close)
    return response
