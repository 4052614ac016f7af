"""A server for tests that answers as a model (POST .../chat/completions) or a webhook, and misbehaves on demand.

``python -m tests.engines.faulty_server 8150`` runs it; what it does depends on words in the last user message (for a
webhook: in the query), as in scripted_engine.py. A webhook answers as ``?as=json``, ``sse`` (default) or ``ndjson``.

    (no word)        ``echo: <question> | history: <number of earlier messages>``
    say:<text>       exactly <text>, in pieces of ``chunk`` characters (default 3)
    tokens=20        ``w0 w1 w2 ...``; ``delay=0.01`` seconds between two
    seen             everything that was sent, as JSON: what a model would see
    status=500       that status; ``times=1``: only so often for one question; ``retry-after=2``: that header
    refuse           hangs up without an answer
    hang             takes the question and says nothing, not even a header
    hang-body        the headers, then nothing
    drip             the headers, then signs of life without a word
    stall-after=20   silent after so many tokens
    die-after=20     hangs up in the middle of a word after so many tokens
    garbage          an event that is no JSON
    html             a web page
    half             an answer whose emoji is cut in two
    empty            ends well without a word
    endless          words without end
    endless-line     one line without end
    endless-event    one event without end, of many lines
    fail             an error told inside the stream
    odd-chunks       (a model) first chunks without choices, without a delta, with null, and with content parts
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    """What came in."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FaultyServer:
    """The server; ``with FaultyServer() as server`` listens on loopback until the end of the block."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Set when a client left before it had its answer."""
    redirect_to: str = ""
    """Where POST /elsewhere sends one (``?code=``, 307)."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._over = threading.Event()
        self._asked: Counter[str] = Counter()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, suppress(OSError), peer.makefile("rb") as source:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (request := _read(source)) is not None:
                self.requests.append(request)
                try:
                    if not self._answer(peer, request):
                        return
                except OSError:
                    self.hung_up.set()
                    return

    def _answer(self, peer: socket.socket, request: Request) -> bool:
        """Whether the connection may be used again."""
        parts = urlsplit(request.target)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/elsewhere":
            code = options.get("code", "307")
            peer.sendall(f"HTTP/1.1 {code} Go\r\nLocation: {self.redirect_to}\r\nContent-Length: 0\r\n\r\n".encode())
            return True
        told = request.json
        model = parts.path.endswith("/chat/completions")
        question = told["messages"][-1]["content"] if model else told["query"]
        usage = bool((told.get("stream_options") or {}).get("include_usage"))
        wire = _Wire(peer, "model" if model else options.get("as", "sse"), usage)
        words = dict(re.findall(r"(?<!\S)([a-z-]+)(?:=([0-9.]+))?(?!\S)", question.partition("say:")[0]))
        self._asked[question] += 1
        if "status" in words and self._asked[question] <= int(words.get("times") or 1_000):
            extra = f"Retry-After: {words['retry-after']}\r\n" if "retry-after" in words else ""
            reason = b'{"error": {"message": "scripted"}}'
            head = f"HTTP/1.1 {words['status']} No\r\nContent-Type: application/json\r\n{extra}"
            peer.sendall(f"{head}Content-Length: {len(reason)}\r\n\r\n".encode() + reason)
            return True
        return self._misbehave(wire, words) or self._speak(wire, words, question, told)

    def _misbehave(self, wire: _Wire, words: dict[str, str]) -> bool:
        if "refuse" in words:
            raise _Gone
        if "hang" in words:
            self._wait_for_hang_up(wire.peer)
        if "html" in words:
            wire.head("text/html")
            wire.raw(b"<!doctype html><title>Welcome</title>")
            wire.end()
            return True
        if "endless-line" in words or "endless-event" in words:
            wire.head()
            wire.raw(b"data: " if wire.kind in ("model", "sse") else b'{"text": "')
            while True:
                wire.raw(b"x" * 65_536 if "endless-line" in words else b"x" * 500 + b"\ndata: ")
        return False

    def _speak(self, wire: _Wire, words: dict[str, str], question: str, told: Any) -> bool:
        wire.head()
        if "hang-body" in words:
            self._wait_for_hang_up(wire.peer)
        if "drip" in words:
            while not self._over.wait(0.1):
                wire.raw(b": still here\n\n" if wire.kind in ("model", "sse") else b"\n")
        if "garbage" in words:
            wire.raw(b"data: {not json]\n\n")
        if "fail" in words:
            wire.raw(wire.spell({"error": {"message": "scripted"}}))
        if "odd-chunks" in words:
            wire.raw(b"".join(map(wire.spell, _odd_chunks())))
        for number, text in enumerate(_said(words, question, told)):
            if str(number) == words.get("stall-after"):
                self._wait_for_hang_up(wire.peer)
            if str(number) == words.get("die-after"):
                wire.raw(wire.word(text)[:-9], cut=True)
                raise _Gone
            if number and words.get("delay"):
                self._over.wait(float(words["delay"]))
            wire.raw(wire.word(text))
        wire.last()
        wire.end()
        return True

    def _wait_for_hang_up(self, peer: socket.socket) -> None:
        peer.settimeout(60)
        if peer.recv(1) == b"":
            self.hung_up.set()
        raise _Gone


class _Gone(OSError):
    """This connection is to be closed now."""


@dataclass
class _Wire:
    peer: socket.socket
    kind: str
    usage: bool = False
    said: list[str] = field(default_factory=list)

    def head(self, content_type: str = "") -> None:
        known = {"json": "application/json", "ndjson": "application/x-ndjson"}
        content_type = content_type or known.get(self.kind, "text/event-stream; charset=utf-8")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.peer.sendall(head.encode())

    def raw(self, data: bytes, *, cut: bool = False) -> None:
        if data:
            length = len(data) + (9 if cut else 0)
            self.peer.sendall(f"{length:x}\r\n".encode() + data + (b"" if cut else b"\r\n"))

    def end(self) -> None:
        self.peer.sendall(b"0\r\n\r\n")

    def spell(self, told: Any) -> bytes:
        line = json.dumps(told).encode()
        return line + b"\n" if self.kind == "ndjson" else b"data: " + line + b"\n\n"

    def word(self, text: str) -> bytes:
        if self.kind == "model":
            return self.spell(_chunk({"content": text}, None))
        if self.kind == "json":
            self.said.append(text)
            return b""
        return self.spell({"text": text})

    def last(self) -> None:
        cited = [{"title": "Faulty page", "url": "https://pages.example.test/faulty#a", "snippet": "A passage."}]
        if self.kind == "model":
            usage = {**_chunk({}, None), "choices": [], "usage": {"prompt_tokens": 70, "completion_tokens": 7}}
            told = self.spell(usage) if self.usage else b""
            self.raw(self.spell(_chunk({}, "stop")) + told + b"data: [DONE]\n\n")
        elif self.kind == "json":
            self.raw(json.dumps({"answer": "".join(self.said), "citations": cited}).encode())
        else:
            self.raw(self.spell({"citations": cited}))


def _said(words: dict[str, str], question: str, told: Any) -> Iterator[str]:
    _, _, say = question.partition("say:")
    if say:
        size = int(words.get("chunk") or 3)
        yield from (say[at : at + size] for at in range(0, len(say), size))
    elif "seen" in words:
        yield json.dumps(told.get("messages", told))
    elif "half" in words:
        yield from ("half \ud83d", "\ude00 done")
    elif {"tokens", "stall-after", "die-after", "endless"} & words.keys():
        count = 10**9 if "endless" in words else int(words.get("tokens") or 1000)
        yield from (f"w{number} " for number in range(count))
    elif "empty" not in words:
        past = told["history"] if "history" in told else told["messages"][1:-1]
        yield from re.findall(r"\S+\s*", f"echo: {question} | history: {len(past)}")


def _chunk(delta: dict[str, str], finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "faulty", "choices": [choice]}


def _odd_chunks() -> Iterator[dict[str, Any]]:
    chunk = _chunk({}, None)
    yield chunk | {"choices": []}
    yield chunk | {"choices": [{"index": 0, "finish_reason": None}]}
    yield chunk | {"choices": [{"index": 0, "delta": None}]}
    yield chunk | {"choices": [{"index": 0, "delta": {"content": None}}]}
    yield chunk | {
        "choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": "in "}, {"text": "parts "}]}}]
    }


def _read(source: Any) -> Request | None:
    first = source.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while line := source.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(first[1], headers, source.read(int(headers.get("content-length", 0))))


if __name__ == "__main__":
    with FaultyServer(int(sys.argv[1])) as server:
        threading.Event().wait()
