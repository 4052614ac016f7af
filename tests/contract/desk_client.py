"""A browser's or a server's view of the desk, for tests: invites operators, logs them in, and calls as they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

COOKIES = ("__Host-baton-desk", "baton-desk")
_TRANSPORT = httpx.HTTPTransport(limits=httpx.Limits(max_connections=64))


def send(method: str, url: str, **more: Any) -> httpx.Response:
    """One request over kept connections; no cookie is remembered from one to the next."""
    return httpx.Client(transport=_TRANSPORT, timeout=10).request(method, url, **more)


class DeskClient:
    """Calls /api/desk with a login's cookie, as the desk's own page does; without one, as anybody."""

    def __init__(self, base: str, cookie: str = "", operator_id: str = "") -> None:
        self.base, self.cookie, self.operator_id = base, cookie, operator_id

    def call(
        self, method: str, path: str, headers: Mapping[str, str | bytes] | None = None, **more: Any
    ) -> httpx.Response:
        """One call; ``headers`` go over those that a browser sends, and a value of "" takes one away."""
        given = {"Sec-Fetch-Site": "same-origin", "Cookie": self.cookie, **(headers or {})}
        if method not in ("GET", "HEAD") and "json" not in more:
            given = {"Content-Type": "application/json", **given}
        kept = {name: value for name, value in given.items() if value}
        return send(method, f"{self.base}/api/desk{path}", headers=kept, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.call("GET", path, **more)

    def post(self, path: str, json: object = None, **more: Any) -> httpx.Response:
        return self.call("POST", path, json={} if json is None else json, **more)

    def put(self, path: str, json: object, **more: Any) -> httpx.Response:
        return self.call("PUT", path, json=json, **more)

    def delete(self, path: str, **more: Any) -> httpx.Response:
        return self.call("DELETE", path, **more)


class ServerClient:
    """Calls /api/desk with the API key, for an operator or for nobody."""

    def __init__(self, base: str, api_key: str, operator_id: str = "") -> None:
        self.base, self._api_key, self.operator_id = base, api_key, operator_id

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """One call."""
        given = {"Authorization": f"Bearer {self._api_key}", "Baton-Operator": self.operator_id, **(headers or {})}
        kept = {name: value for name, value in given.items() if value}
        return send(method, f"{self.base}/api/desk{path}", headers=kept, **more)

    def acting_as(self, operator_id: str) -> ServerClient:
        """The same server, for an operator."""
        return ServerClient(self.base, self._api_key, operator_id)

    def invite(self, name: str, role: str, **more: str) -> tuple[str, str]:
        """A new operator: their id, and the token of their invitation."""
        answer = self.call("POST", "/operators", json={"name": name, "role": role, **more})
        assert answer.status_code == 201, answer.text
        body = answer.json()
        return body["operator"]["id"], body["url"].partition("#invite=")[2]

    def log_in(self, name: str, role: str) -> DeskClient:
        """A new operator, logged in."""
        operator_id, token = self.invite(name, role)
        answer = DeskClient(self.base).post("/login", {"invite": token})
        assert answer.status_code == 200, answer.text
        return DeskClient(self.base, cookie_of(answer), operator_id)


def cookie_of(answer: httpx.Response) -> str:
    """The login that an answer sets, as a browser would send it; "" where it sets none."""
    for header in answer.headers.get_list("set-cookie"):
        name, _, rest = header.partition("=")
        if name in COOKIES:
            return f"{name}={rest.partition(';')[0]}"
    return ""
