"""Readers of the two live feeds, server-sent events and WebSocket, as a strict client would write them."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import websocket


@dataclass(frozen=True)
class Event:
    """One event of a feed; ``id`` is None where none was sent with it."""

    id: str | None
    event: str
    data: Any
    at: float = 0.0


class Feed:
    """What a feed has received so far; a thread reads on, tests wait for a condition."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = False
        self.changed = threading.Condition()
        self.failure: BaseException | None = None

    def add(self, event: Event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def run(self) -> None:
        try:
            self.read()
        except Exception as error:
            self.failure = error
        self.hang_up()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def read(self) -> None:
        raise NotImplementedError

    def hang_up(self) -> None:
        """Closes what was opened; called by the one who reads, or where nothing is read."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def begin(self) -> None:
        threading.Thread(target=self.run, daemon=True).start()

    def wait(self, ready: Callable[[list[Event]], Any], seconds: float = 10.0) -> list[Event]:
        """The events once ``ready`` says so; fails with all that was received when it never does."""
        with self.changed:
            done = self.changed.wait_for(lambda: ready(self.events), seconds)
            assert done, f"not within {seconds} s (closed={self.closed}, {self.failure!r}): {self.events[-12:]}"
            return list(self.events)

    def wait_quietly(self, ready: Callable[[list[Event]], Any], seconds: float) -> bool:
        """Whether ``ready`` says so before the feed ends or the time is up."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or ready(self.events), max(seconds, 0))
            return bool(ready(self.events))

    def until(self, *names: str, count: int = 1, seconds: float = 10.0) -> list[Event]:
        """Events up to and with the ``count``-th of these names."""
        return self.wait(lambda events: sum(event.event in names for event in events) >= count, seconds)

    def until_closed(self, seconds: float = 10.0) -> list[Event]:
        with self.changed:
            assert self.changed.wait_for(lambda: self.closed, seconds), f"still open after {seconds} s"
            return list(self.events)

    def named(self, *names: str) -> list[Event]:
        return [event for event in list(self.events) if event.event in names]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SseFeed(Feed):
    """Server-sent events over a connection of its own (http.client, so that bytes are seen as they come)."""

    def __init__(
        self, url: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: Any = None
    ) -> None:
        super().__init__()
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        sent = {"Accept": "text/event-stream", "Connection": "close"} | (headers or {})
        payload = None
        if body is not None:
            payload, sent = json.dumps(body).encode(), sent | {"Content-Type": "application/json"}
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        self.connection.request(method, target, payload, sent)
        self.socket = self.connection.sock
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.headers = {name.lower(): value for name, value in self.response.getheaders()}
        self.raw: list[str] = []
        self.problem: dict[str, Any] = {}
        if self.status == 200:
            self.begin()
        else:
            self.problem = json.loads(self.response.read())
            self.hang_up()
            self.closed = True

    def read(self) -> None:
        fields: dict[str, str] = {}
        while line := self.response.readline():
            text = line.decode("utf-8").rstrip("\n").removesuffix("\r")
            self.raw.append(text)
            if text:
                name, _, value = text.partition(":")
                value = value.removeprefix(" ")
                fields[name] = f"{fields[name]}\n{value}" if name == "data" and "data" in fields else value
            elif fields:
                self.dispatch(fields)
                fields = {}

    def dispatch(self, fields: dict[str, str]) -> None:
        if "data" in fields:
            data = json.loads(fields["data"])
            self.add(Event(fields.get("id"), fields.get("event", "message"), data, time.monotonic()))

    def hang_up(self) -> None:
        self.response.close()
        self.connection.close()

    def close(self) -> None:
        """Ends the reading, which then closes everything."""
        with contextlib.suppress(OSError, AttributeError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.until_closed()


class WsFeed(Feed):
    """The same story over a WebSocket."""

    def __init__(
        self, url: str, *, subprotocols: list[str] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        self.socket = websocket.create_connection(
            url.replace("http://", "ws://", 1), timeout=60, subprotocols=subprotocols, header=headers or {}
        )
        self.subprotocol = self.socket.getsubprotocol()
        self.begin()

    def read(self) -> None:
        while True:
            text = self.socket.recv()
            if not text:
                return
            frame = json.loads(text)
            self.add(Event(frame.get("id"), frame["event"], frame.get("data"), time.monotonic()))

    def send(self, value: Any) -> None:
        self.socket.send(json.dumps(value))

    def hang_up(self) -> None:
        self.socket.shutdown()

    def close(self) -> None:
        """Ends the reading, which then closes everything."""
        with contextlib.suppress(OSError, AttributeError):
            self.socket.sock.shutdown(socket.SHUT_RDWR)
        self.until_closed()


def joined(events: list[Event], turn_id: str | None = None) -> str:
    """The deltas of a turn, or of all turns, as one text."""
    return "".join(
        event.data["text"]
        for event in events
        if event.event == "answer.delta" and turn_id in (None, event.data["turn_id"])
    )


def ids(events: list[Event]) -> list[str]:
    """The ids of all events that have one."""
    return [event.id for event in events if event.id is not None]


STORY = {"message", "answer.start", "answer.delta", "answer.end", "answer.error", "session", "reset"}


def story(events: list[Event]) -> list[Event]:
    """What was received, without pings and without events that are not on the page."""
    return [event for event in events if event.event in STORY]
