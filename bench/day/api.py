"""Calls of a client that comes back: a connection of its own, and the same call again until it is answered."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

DEADLINE = 60.0
"""Seconds after which a call is given up; its outcome is unknown."""
AGAIN = (0, 409, 429, 500, 502, 503, 504)


class Place(Protocol):
    """Where the service is now."""

    @property
    def host(self) -> str: ...


class GivenUp(Exception):
    """A call was not answered in time."""


class Api:
    """One client of the service; ``statuses`` counts what all clients were answered."""

    __slots__ = ("_connection", "_headers", "_place", "_statuses")

    def __init__(self, place: Place, headers: dict[str, str], statuses: Counter[int]) -> None:
        self._place, self._headers, self._statuses = place, headers, statuses
        self._connection: http.client.HTTPConnection | None = None

    def open(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse | None:
        """The response, its body unread; None where there was none."""
        connection = self._connection or http.client.HTTPConnection(self._place.host, timeout=30)
        self._connection = connection
        sent = {**self._headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException):
            self.close()
            self._statuses[0] += 1
            return None
        self._statuses[response.status] += 1
        return response

    def once(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of one try; 0 where there was no answer."""
        response = self.open(method, path, body, **headers)
        if response is None:
            return 0, {}
        try:
            text = response.read()
            return response.status, json.loads(text) if text else {}
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            return 0, {}

    def call(
        self, method: str, path: str, body: Any = None, times: list[tuple[float, float]] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON, tried again until there is an answer; ``times`` gets the last try.

        Raises GivenUp.
        """
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            began = time.monotonic()
            status, answer = self.once(method, path, body)
            is_held = status == 409 and answer.get("code") not in ("turn_in_progress", None)
            if status not in AGAIN or is_held:
                if times is not None:
                    times.append((began, time.monotonic() - began))
                return status, answer
            time.sleep(0.3)
        raise GivenUp(path.rpartition("/")[2])

    def another(self) -> Api:
        """The same client at another device."""
        return Api(self._place, self._headers, self._statuses)

    def close(self) -> None:
        """Hangs up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def read_events(response: http.client.HTTPResponse) -> Iterator[tuple[str, str, Any]]:
    """Id, type and data of each server-sent event, until the stream ends or breaks."""
    fields: dict[str, str] = {}
    try:
        while line := response.readline():
            name, _, value = line.decode().rstrip("\r\n").partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                yield fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"])
                fields = {}
            else:
                fields = {}
    except (OSError, http.client.HTTPException, ValueError):
        return
