"""A client of one service that knows nothing but its URL, and a visitor with a session of their own."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from tests.contract.feeds import SseFeed, WsFeed

T = TypeVar("T")
NOBODY = "ses_" + "A" * 32
"""Well-formed, never issued."""


class ApiClient:
    """Calls a service; every call on a connection of its own, so that any worker may get it."""

    def __init__(self, base: str, *, address: str | None = None, headers: dict[str, str] | None = None) -> None:
        self.base = base
        limits = httpx.Limits(max_keepalive_connections=0)
        verify = base.startswith("https")  # reading the certificates takes 30 ms
        transport = httpx.HTTPTransport(verify, local_address=address, limits=limits)
        self.http = httpx.Client(base_url=base, timeout=30, transport=transport, headers=headers)

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.http.request(method, path, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.http.get(path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.http.post(path, **more)

    def create(self, **body: Any) -> Visitor:
        """A visitor with a fresh session."""
        answer = self.post("/api/session/create", json=body) if body else self.post("/api/session/create")
        assert answer.status_code == 201, answer.text
        return Visitor(self, answer.json()["session_id"], answer)

    def resume(self, session: str, **more: Any) -> httpx.Response:
        return self.post("/api/session/resume", json={"session": session, **more})


def bare(base: str, method: str, path: str, headers: list[tuple[str, str]], body: bytes = b"") -> httpx.Response:
    """A call with exactly these header lines, malformed ones included."""
    parts = httpx.URL(base)
    connection = http.client.HTTPConnection(parts.host, parts.port, timeout=30)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    if body:
        connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    content = b"" if answer.getheader("content-type", "").startswith("text/event-stream") else answer.read()
    answer.close()
    connection.close()
    return httpx.Response(answer.status, headers=answer.getheaders(), content=content)


class Visitor:
    """A visitor who holds a session id."""

    def __init__(self, caller: ApiClient, session_id: str, created: httpx.Response | None = None) -> None:
        self.caller = caller
        self.id = session_id
        self.created = created
        self.bearer = {"Authorization": f"Bearer {session_id}"}

    def path(self, rest: str = "") -> str:
        return f"/api/session/{self.id}{rest}"

    def get(self, rest: str = "", **more: Any) -> httpx.Response:
        return self.caller.get(self.path(rest), **more)

    def post(self, rest: str, json: Any = None, **more: Any) -> httpx.Response:
        if json is not None:
            more["json"] = json
        return self.caller.post(self.path(rest), **more)

    def say(self, message: Any, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.post("/messages", {"message": message, **more}, headers=headers)

    def said(self, message: str, **more: Any) -> dict[str, Any]:
        """A message that was certainly stored."""
        answer = self.say(message, **more)
        assert answer.status_code == 201, answer.text
        stored: dict[str, Any] = answer.json()["message"]
        return stored

    def ask(self, query: Any, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.caller.post("/api/chat", json={"query": query, "session_id": self.id, **more}, headers=headers)

    def ask_streamed(self, query: Any, **more: Any) -> SseFeed:
        return SseFeed(
            self.caller.base + "/api/chat", method="POST", headers=self.bearer, body={"query": query, **more}
        )

    def history(self, **query: Any) -> list[dict[str, Any]]:
        answer = self.get("/messages", params={"limit": 500, **query})
        assert answer.status_code == 200, answer.text
        messages: list[dict[str, Any]] = answer.json()["messages"]
        return messages

    def texts(self) -> list[str]:
        return [message["content"] for message in self.history()]

    def erase(self) -> httpx.Response:
        return self.caller("DELETE", self.path())

    def ticket(self, kind: str | None = None) -> str:
        answer = self.post("/handoff", {"kind": kind} if kind else None)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["ticket"])

    def events(self, after: str | None = None, last: str | None = None) -> SseFeed:
        """The events feed by bearer; ``after`` as query, ``last`` as Last-Event-ID."""
        query = "" if after is None else "?" + str(httpx.QueryParams({"after": after}))
        headers = self.bearer if last is None else self.bearer | {"Last-Event-ID": last}
        return SseFeed(self.caller.base + "/api/session/me/events" + query, headers=headers)

    def ws(self, after: str | None = None) -> WsFeed:
        query = "" if after is None else "?" + str(httpx.QueryParams({"after": after}))
        return WsFeed(self.caller.base + "/api/session/me/ws" + query, subprotocols=["baton", self.id])


def at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """The results of ``count`` calls made at the same moment from as many threads."""
    gate = threading.Barrier(count)

    def one(number: int) -> T:
        gate.wait(30)
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Checks an error (RFC 9457) and returns its body."""
    assert answer.status_code == status, f"{answer.status_code} instead of {status} {code}: {answer.text[:500]}"
    assert answer.headers["content-type"].split(";")[0] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["success"] is False
    assert body["status"] == status
    assert isinstance(body["retryable"], bool)
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail"))
    return body
