"""Calls to the service under examination, and what is expected of each response."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import httpx2 as httpx

_CREDENTIAL = re.compile(r"(ses|tkt)_[A-Za-z0-9_-]{32}")
TIMEOUT = 30.0
"""Seconds that one call, and each event of a stream, may take where nothing else is said."""
_ERASE_TRIES = 5


class Broken(Exception):
    """A promise is not kept."""


class Skipped(Exception):
    """A promise cannot be looked at here."""


class Client:
    """Calls the service, and erases the sessions that it created."""

    def __init__(self, url: str, timeout: float) -> None:
        self.http = httpx.Client(base_url=url.rstrip("/"), timeout=timeout)
        self.created: list[str] = []
        self.last_call = ""
        """What was called last, and how it was answered."""

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call. Raises Skipped where a rate limit refuses it, and Broken where it leads elsewhere."""
        self.last_call = f"{method} {path}"
        response = self.http.request(method, path, **options)
        content_type = response.headers.get("content-type", "").partition(";")[0]
        self.last_call = f"{method} {path}: {response.status_code} {content_type}"
        if response.status_code == 429:
            raise Skipped(f"a rate limit: come back in {response.headers.get('retry-after', '?')} s")
        if response.has_redirect_location:
            raise Broken(f"{self.last_call} redirects to {response.headers['location']}")
        return response

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """A call with a JSON body."""
        return self.call("POST", path, json=body, **options)

    def create(self) -> str:
        """The path of a new session."""
        response = self.post("/api/session/create", {})
        expect(response.status_code == 201, f"create answered {response.status_code}")
        self.created.append(response.json()["session_id"])
        return f"/api/session/{self.created[-1]}"

    @contextmanager
    def stream(self, method: str, path: str, **options: Any) -> Iterator[Iterator[tuple[str, str, Any]]]:
        """The server-sent events of a call: id, type and data."""
        self.last_call = f"{method} {path} (does a proxy hold back its events?)"
        with self.http.stream(method, path, **options) as response:
            if response.status_code == 429:
                raise Skipped("a rate limit")
            expect(response.status_code == 200, f"a stream answered {response.status_code}")
            yield read_events(response.iter_lines())

    def close(self) -> int:
        """Erases what was created; how many sessions could not be erased."""
        remaining = set(self.created)
        with closing(self.http):
            for attempt in range(_ERASE_TRIES if remaining else 0):
                time.sleep(min(attempt, 1))
                for session_id in list(remaining):
                    with suppress(httpx.HTTPError):
                        response = self.http.delete(f"/api/session/{session_id}")
                        if response.is_success or response.status_code == 404:
                            remaining.remove(session_id)
                if not remaining:
                    break
        return len(remaining)


def without_credentials(text: str) -> str:
    """The text without session ids and tickets, as one line of printable characters."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return _CREDENTIAL.sub(r"\1_***", printable).strip()


def expect(is_kept: bool, error: str) -> None:
    """Raises Broken with ``error``, which says what was seen, unless the promise is kept."""
    if not is_kept:
        raise Broken(error)


def read_events(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    """Server-sent events as a browser reads them (WHATWG HTML, "Server-sent events")."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if line:
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield fields.pop("id", ""), fields.pop("event", "message"), json.loads(fields.pop("data"))


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem (RFC 9457) of a response. Raises Broken where it is another, or none."""
    seen = f"{response.request.method} {_path(response)}: {response.status_code}"
    expect(response.status_code == status, f"{seen}, not {status}")
    expect(
        response.headers.get("content-type", "").startswith("application/problem+json"), f"{seen} is no problem+json"
    )
    body: dict[str, Any] = response.json()
    expect(body.get("code") == code, f"{seen} has the code {body.get('code')}, not {code}")
    wanted = {"type", "title", "status", "detail", "success", "code", "retryable"}
    expect(wanted <= body.keys() and body["success"] is False, f"{seen} lacks {sorted(wanted - body.keys())}")
    expect(not _CREDENTIAL.search(response.text), f"{seen} repeats an id or a ticket")
    return body


def _path(response: httpx.Response) -> str:
    """The path without ids, which are credentials."""
    return "/".join(
        part[:4] + "..." if part.startswith(("ses_", "tkt_")) else part for part in str(response.url.path).split("/")
    )
