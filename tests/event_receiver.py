"""A system that receives events on loopback, checks each signature by the reference library, and fails on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_" + "c2VjcmV0LW9mLWV2ZW50cy1mb3ItdGVzdHMtMDE="


@dataclass(frozen=True)
class Attempt:
    """A request that came in, its signature checked."""

    id: str
    timestamp: int
    event: dict[str, Any]
    at: float

    @property
    def ref(self) -> str:
        return str(self.event["data"]["ref"])


Answer = Callable[[Attempt], int | str]
"""What to do with an attempt: a status, ``hang`` (say nothing for a long time), ``drip`` (a header a second, for ever),
``close`` (without a response) or ``endless`` (200, and a body without end)."""


class EventReceiver:
    """Takes what comes; ``attempts`` are all, ``taken`` those answered with 200."""

    def __init__(self, answer: Answer = lambda attempt: 200, port: int = 0) -> None:
        self.answer = answer
        self.redirect_to = ""
        self.attempts: list[Attempt] = []
        self.taken: list[Attempt] = []
        self.forged: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with suppress(OSError):
                    receiver.respond(self, dict(self.headers), body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """Says nothing of connections that break."""

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/events"

    def respond(self, handler: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes) -> None:
        lower = {name.lower(): value for name, value in headers.items()}
        self.headers.append(lower)
        try:
            event = Webhook(SECRET).verify(body, lower)
        except Exception as error:
            self.forged.append(repr(error))
            return
        attempt = Attempt(lower["webhook-id"], int(lower["webhook-timestamp"]), event, time.monotonic())
        answer = self.answer(attempt)
        self.attempts.append(attempt)
        if answer == "hang":
            self.over.wait(60)
        elif answer == "close":
            handler.close_connection = True
        elif answer == "drip":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.over.wait(0.05):
                handler.wfile.write(b"x: y\r\n")
        elif answer == "endless":
            self.taken.append(attempt)
            handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n")
            while not self.over.is_set():
                handler.wfile.write(b"x" * 65536)
        else:
            if answer in (200, 204):
                self.taken.append(attempt)
            handler.send_response(int(answer))
            if self.redirect_to:
                handler.send_header("Location", self.redirect_to)
            body = b"" if answer == 204 else b"{}"
            if body:
                handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

    def first_taken(self, ref: str) -> list[str]:
        """The ids of a session's events in the order in which each was first taken."""
        return list(dict.fromkeys(one.id for one in list(self.taken) if one.ref == ref))

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """The events taken, each once, in order; ``kind``: of one type."""
        seen = {one.id: one.event for one in list(self.taken)}
        return [json.loads(json.dumps(event)) for event in seen.values() if kind in ("", event["type"])]


@contextmanager
def receiving(answer: Answer = lambda attempt: 200, port: int = 0) -> Iterator[EventReceiver]:
    """A receiver that listens until the end of the block."""
    receiver = EventReceiver(answer, port)
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        receiver.server.shutdown()
        receiver.server.server_close()
