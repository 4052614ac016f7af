"""A server for tests that answers as a model (POST .../chat/completions) or a webhook, and misbehaves on demand.

``python -m tests.engines.faulty_server 8150`` runs it; what it does depends on words in the last user message (for a
webhook: in the query), as in scripted_engine.py. A webhook answers as ``?as=json``, ``sse`` (default) or ``ndjson``.

    (no word)        ``echo: <question> | history: <number of earlier messages>``
    say:<text>       exactly <text>, in pieces of ``chunk`` characters (default 3)
    tokens=20        ``w0 w1 w2 ...``; ``delay=0.01`` seconds between two
    seen             everything that was sent, as JSON: what a model would see
    status=500       that status; ``times=1``: only so often for one question; ``retry-after=2``: that header
    refuse           closes the connection without an answer
    hang             takes the question and sends nothing, not even a header
    hang-body        the headers, then nothing
    drip             the headers, then keep-alives without text
    stall-after=20   silent after so many tokens
    die-after=20     closes the connection in the middle of a word after so many tokens
    garbage          an event that is no JSON
    html             a web page
    half             an answer whose emoji is cut in two
    empty            ends without text
    endless          text without end
    endless-line     one line without end
    endless-event    one event without end, of many lines
    fail             an error inside the stream
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
    """A request that came in."""

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
    client_closed: threading.Event = field(default_factory=threading.Event)
    """Set when a client closed the connection before it had its answer."""
    redirect_to: str = ""
    """Where POST /elsewhere redirects to (``?code=``, 307)."""
    refuses: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Status and JSON of the answer to a request whose body has a field of that name, or a message of that role."""
    script: tuple[str, list[bytes | float]] | None = None
    """What every request gets instead: a content type, and blocks of the body with seconds to wait between them."""
    models: tuple[str, ...] = ()
    """What GET .../models lists; a model that is not among them is refused. Empty: no list, and any will do."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._over = threading.Event()
        self._times_asked: Counter[str] = Counter()
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
                    self.client_closed.set()
                    return

    def _answer(self, peer: socket.socket, request: Request) -> bool:
        """Whether the connection may be used again."""
        parts = urlsplit(request.target)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/elsewhere":
            code = options.get("code", "307")
            peer.sendall(f"HTTP/1.1 {code} Go\r\nLocation: {self.redirect_to}\r\nContent-Length: 0\r\n\r\n".encode())
            return True
        if parts.path.endswith("/models"):
            listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}
            _refuse(peer, 200 if self.models else 404, listed)
            return True
        payload = request.json
        if self.models and payload.get("model") not in self.models:
            reason = {"message": f"The model `{payload.get('model')}` does not exist", "code": "model_not_found"}
            _refuse(peer, 404, {"error": reason})
            return True
        fields = [*payload, *(message["role"] for message in payload.get("messages", ()))]
        for name in filter(self.refuses.__contains__, fields):
            _refuse(peer, *self.refuses[name])
            return True
        if self.script:
            response = _Response(peer, "scripted")
            response.head(self.script[0])
            for block in self.script[1]:
                self._over.wait(block) if isinstance(block, float) else response.send(block)
            response.end()
            return True
        model = parts.path.endswith("/chat/completions")
        question = payload["messages"][-1]["content"] if model else payload["query"]
        usage = bool((payload.get("stream_options") or {}).get("include_usage"))
        response = _Response(peer, "model" if model else options.get("as", "sse"), usage)
        asked = question.partition("say:")[0].rpartition("\n\n")[2]  # a question that failed is joined before it
        words = dict(re.findall(r"(?<!\S)([a-z-]+)(?:=([0-9.]+))?(?!\S)", asked))
        self._times_asked[question] += 1
        if "status" in words and self._times_asked[question] <= int(words.get("times") or 1_000):
            extra = f"Retry-After: {words['retry-after']}\r\n" if "retry-after" in words else ""
            reason = b'{"error": {"message": "scripted"}}'
            head = f"HTTP/1.1 {words['status']} No\r\nContent-Type: application/json\r\n{extra}"
            peer.sendall(f"{head}Content-Length: {len(reason)}\r\n\r\n".encode() + reason)
            return True
        return self._misbehave(response, words) or self._stream(response, words, question, payload)

    def _misbehave(self, response: _Response, words: dict[str, str]) -> bool:
        if "refuse" in words:
            raise _CloseConnection
        if "hang" in words:
            self._wait_for_close(response.peer)
        if "html" in words:
            response.head("text/html")
            response.send(b"<!doctype html><title>Welcome</title>")
            response.end()
            return True
        if "endless-line" in words or "endless-event" in words:
            response.head()
            response.send(b"data: " if response.format in ("model", "sse") else b'{"text": "')
            while True:
                response.send(b"x" * 65_536 if "endless-line" in words else b"x" * 500 + b"\ndata: ")
        return False

    def _stream(self, response: _Response, words: dict[str, str], question: str, payload: Any) -> bool:
        response.head()
        if "hang-body" in words:
            self._wait_for_close(response.peer)
        if "drip" in words:
            while not self._over.wait(0.1):
                response.send(b": still here\n\n" if response.format in ("model", "sse") else b"\n")
        if "garbage" in words:
            response.send(b"data: {not json]\n\n")
        if "fail" in words:
            response.send(response.serialize({"error": {"message": "scripted"}}))
        if "odd-chunks" in words:
            response.send(b"".join(map(response.serialize, _odd_chunks())))
        for number, text in enumerate(_texts(words, question, payload)):
            if str(number) == words.get("stall-after"):
                self._wait_for_close(response.peer)
            if str(number) == words.get("die-after"):
                response.send(response.serialize_text(text)[:-9], cut=True)
                raise _CloseConnection
            if number and words.get("delay"):
                self._over.wait(float(words["delay"]))
            response.send(response.serialize_text(text))
        response.send_last()
        response.end()
        return True

    def _wait_for_close(self, peer: socket.socket) -> None:
        peer.settimeout(60)
        if peer.recv(1) == b"":
            self.client_closed.set()
        raise _CloseConnection


def _refuse(peer: socket.socket, status: int, body: Any) -> None:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    peer.sendall(head.encode() + data)


class _CloseConnection(OSError):
    """This connection is to be closed now."""


@dataclass
class _Response:
    peer: socket.socket
    format: str
    usage: bool = False
    texts: list[str] = field(default_factory=list)

    def head(self, content_type: str = "") -> None:
        known = {"json": "application/json", "ndjson": "application/x-ndjson"}
        content_type = content_type or known.get(self.format, "text/event-stream; charset=utf-8")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.peer.sendall(head.encode())

    def send(self, data: bytes, *, cut: bool = False) -> None:
        if data:
            length = len(data) + (9 if cut else 0)
            self.peer.sendall(f"{length:x}\r\n".encode() + data + (b"" if cut else b"\r\n"))

    def end(self) -> None:
        self.peer.sendall(b"0\r\n\r\n")

    def serialize(self, payload: Any) -> bytes:
        line = json.dumps(payload).encode()
        return line + b"\n" if self.format == "ndjson" else b"data: " + line + b"\n\n"

    def serialize_text(self, text: str) -> bytes:
        if self.format == "model":
            return self.serialize(_chunk({"content": text}, None))
        if self.format == "json":
            self.texts.append(text)
            return b""
        return self.serialize({"text": text})

    def send_last(self) -> None:
        citations = [{"title": "Faulty page", "url": "https://pages.example.test/faulty#a", "snippet": "A passage."}]
        if self.format == "model":
            usage = {**_chunk({}, None), "choices": [], "usage": {"prompt_tokens": 70, "completion_tokens": 7}}
            payload = self.serialize(usage) if self.usage else b""
            self.send(self.serialize(_chunk({}, "stop")) + payload + b"data: [DONE]\n\n")
        elif self.format == "json":
            self.send(json.dumps({"answer": "".join(self.texts), "citations": citations}).encode())
        else:
            self.send(self.serialize({"citations": citations}))


def _texts(words: dict[str, str], question: str, payload: Any) -> Iterator[str]:
    _, _, text_to_say = question.partition("say:")
    if text_to_say:
        size = int(words.get("chunk") or 3)
        yield from (text_to_say[at : at + size] for at in range(0, len(text_to_say), size))
    elif "seen" in words:
        yield json.dumps(payload.get("messages", payload))
    elif "half" in words:
        yield from ("half \ud83d", "\ude00 done")
    elif {"tokens", "stall-after", "die-after", "endless"} & words.keys():
        count = 10**9 if "endless" in words else int(words.get("tokens") or 1000)
        yield from (f"w{number} " for number in range(count))
    elif "empty" not in words:
        history = payload["history"] if "history" in payload else payload["messages"][1:-1]
        yield from re.findall(r"\S+\s*", f"echo: {question} | history: {len(history)}")


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
