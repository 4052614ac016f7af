"""``python -m app doctor URL``: checks a service that speaks Baton's protocol against its promises.

It knows nothing of the service but its address, and is safe to run against production: it creates about a dozen
sessions of its own, erases each of them, and stops where a rate limit says so.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree import ElementTree as ET

import httpx2 as httpx

TIMEOUT = 30.0
"""Seconds that one call may take."""
DEAD_TURN_SECONDS = 20.0
QUESTION = "What can you help me with?"
UNKNOWN_ID = "ses_" + "A" * 32


@dataclass(frozen=True, slots=True)
class Check:
    """One promise: kept (``ok`` true), broken (false), or not looked at (None), and why."""

    name: str
    ok: bool | None
    detail: str = ""


class Broken(Exception):
    """A promise is not kept."""


class Skipped(Exception):
    """A promise cannot be looked at here."""


class Client:
    """Calls the service, and erases the sessions that it created."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT)
        self.created: list[str] = []

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One call. Raises Skipped where a rate limit refuses it."""
        response = self.http.request(method, path, **options)
        if response.status_code == 429:
            raise Skipped(f"a rate limit: come back in {response.headers.get('retry-after', '?')} s")
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
        with self.http.stream(method, path, **options) as response:
            if response.status_code == 429:
                raise Skipped("a rate limit")
            expect(response.status_code == 200, f"a stream answered {response.status_code}")
            yield read_events(response.iter_lines())

    def close(self) -> None:
        """Erases what was created."""
        for session_id in self.created:
            self.http.delete(f"/api/session/{session_id}")
        self.http.close()


def expect(kept: bool, otherwise: str) -> None:
    """Raises Broken, which says what was seen, unless ``kept``."""
    if not kept:
        raise Broken(otherwise)


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
    return body


def _path(response: httpx.Response) -> str:
    """The path without ids, which are credentials."""
    return "/".join(
        part[:4] + "..." if part.startswith(("ses_", "tkt_")) else part for part in str(response.url.path).split("/")
    )


def check_health(client: Client) -> None:
    """The health check says that the service and its Redis work."""
    response = client.call("GET", "/health")
    expect(response.status_code == 200, f"/health answered {response.status_code}: {response.text[:120]}")
    expect(response.json().get("status") == "ok", "its status is not ok")


def check_create(client: Client) -> None:
    """A new session has an id of 32 URL-safe characters, an address, and times in UTC."""
    path = client.create()
    response = client.call("GET", path)
    body = response.json()
    expect(response.status_code == 200 and body.get("status") == "active", "a new session is not active")
    for name in ("created_at", "expires_at"):
        expect(
            len(body.get(name, "")) == 24 and body[name].endswith("Z"),
            f"{name} is no RFC 3339 time in ms: {body.get(name)}",
        )
    expect(len(client.created[-1]) == 36 and client.created[-1].startswith("ses_"), "the id has another form")


def check_headers(client: Client) -> None:
    """Answers are not cached, and carry no referrer and no guess of their type."""
    response = client.call("GET", client.create())
    for name, value in (
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ):
        expect(value in response.headers.get(name, ""), f"{name} is {response.headers.get(name)}")


def check_one_404(client: Client) -> None:
    """Made-up, malformed and deleted ids get one and the same 404."""
    deleted = client.create()
    expect(client.call("DELETE", deleted).status_code == 204, "a delete is not 204")
    ids = (UNKNOWN_ID, "x", "ses_short", "ses_" + "%00" * 4, deleted.rpartition("/")[2], "tkt_" + "A" * 32)
    bodies: list[dict[str, Any]] = []
    for session_id in ids:
        paths = (f"/api/session/{session_id}", f"/api/session/{session_id}/messages")
        bodies += [problem(client.call("GET", path), 404, "session_not_found") for path in paths]
    bearer = {"Authorization": f"Bearer {UNKNOWN_ID}"}
    bodies.append(problem(client.call("GET", "/api/session/me", headers=bearer), 404, "session_not_found"))
    expect(all(body == bodies[0] for body in bodies), "the bodies differ, so that they tell ids apart")


def check_bodies(client: Client) -> None:
    """Wrong bodies are refused with the status and code of the table, and nothing is stored."""
    path = f"{client.create()}/messages"
    as_json = {"Content-Type": "application/json"}
    problem(client.call("POST", path, content=b"{", headers=as_json), 400, "invalid_json")
    problem(client.call("POST", path, content=b"[]", headers=as_json), 400, "invalid_json")
    problem(
        client.call("POST", path, content=b"x=1", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type"
    )
    problem(
        client.call("POST", path, content=b'{"message": "' + b"x" * 66_000 + b'"}', headers=as_json),
        413,
        "payload_too_large",
    )
    for body in ({}, {"message": ""}, {"message": " \n"}, {"message": 7}, {"message": "x", "client_id": "a b"}):
        errors = problem(client.post(path, body), 422, "invalid_request").get("errors", [])
        expect(bool(errors) and {"field", "detail"} <= errors[0].keys(), "a 422 does not name its field")
    problem(client.post(path, {"message": "x", "role": "system"}), 403, "role_forbidden")
    expect(client.call("GET", path).json()["messages"] == [], "something was stored")


def check_exactly_as_sent(client: Client) -> None:
    """Text comes back exactly as it was sent, in order, and pages fit together."""
    path = f"{client.create()}/messages"
    texts = ["  <b>1</b> ", "\u202eabc\u0000\u001b[0m", "👩‍👩‍👧 ﷽", "\r\nend"]
    stored = [client.post(path, {"message": text}).json()["message"] for text in texts]
    expect([message["content"] for message in stored] == texts, "an append gives back another text")
    page = client.call("GET", path, params={"limit": 2}).json()
    earlier = client.call("GET", path, params={"limit": 2, "before": page["messages"][0]["id"]}).json()
    read = [message["content"] for message in [*earlier["messages"], *page["messages"]]]
    expect(read == texts, "the pages of the history do not join to what was sent")
    expect(page["has_more"] is True and earlier["has_more"] is False, "has_more is wrong")


def check_client_ids(client: Client) -> None:
    """One client id, sent ten times at once, stores one message; later the first answer comes again."""
    path = f"{client.create()}/messages"
    body = {"message": "once", "client_id": secrets.token_hex(8)}
    with ThreadPoolExecutor(10) as pool:
        responses = list(pool.map(lambda _: client.post(path, body), range(10)))
    statuses = sorted(response.status_code for response in responses)
    expect(statuses == [200] * 9 + [201], f"the statuses are {statuses}")
    expect(
        len({response.json()["message"]["id"] for response in responses}) == 1, "the answers name different messages"
    )
    expect(len(client.call("GET", path).json()["messages"]) == 1, "it was stored more than once")


def check_answer(client: Client) -> None:
    """A question is answered; question and answer are in the history; citations have title, address and snippet."""
    path = client.create()
    response = client.post("/api/chat", {"query": QUESTION, "session_id": client.created[-1]})
    expect(response.status_code == 200, f"a chat answered {response.status_code}")
    body = response.json()
    said = client.call("GET", f"{path}/messages").json()["messages"]
    expect([message["content"] for message in said] == [QUESTION, body["answer"]], "the history has other words")
    expect(said[1]["id"] == body["message_id"], "message_id names another message")
    for citation in body["citations"]:
        expect(
            {"title", "url", "snippet"} <= citation.keys() and len(citation["snippet"]) <= 600,
            "a citation is not whole",
        )
    expect(len(body["citations"]) <= 5, "more than five citations")


def check_every_cut(client: Client) -> None:
    """Whoever comes back with the last id gets each later event exactly once and in order, at every cut."""
    path = client.create()
    start = client.call("GET", f"{path}/messages").json()["cursor"]
    answer = client.post("/api/chat", {"query": QUESTION, "session_id": client.created[-1]}).json()["answer"]
    with client.stream("GET", f"{path}/events", params={"after": start}) as events:
        all_events = until_end(events)
    joined = "".join(data["text"] for _, kind, data in all_events if kind == "answer.delta")
    expect(joined == answer, "the joined deltas are not the message")
    expect(len({event_id for event_id, _, _ in all_events}) == len(all_events), "an event id comes twice")
    cuts = range(len(all_events)) if len(all_events) <= 16 else range(0, len(all_events), len(all_events) // 16 + 1)
    for cut in cuts:
        with client.stream("GET", f"{path}/events", headers={"Last-Event-ID": all_events[cut][0]}) as events:
            rest = [] if cut == len(all_events) - 1 else until_end(events)
        expect(rest == all_events[cut + 1 :], f"after event {cut + 1} of {len(all_events)} other events came")
    for position in ("nonsense", "999999999-000000"):
        with client.stream("GET", f"{path}/events", params={"after": position}) as events:
            kind = next((kind for _, kind, _ in events if kind != "ping"), "")
        expect(kind == "reset", f"an unknown position brings {kind or 'silence'}, not reset")


def until_end(events: Iterator[tuple[str, str, Any]]) -> list[tuple[str, str, Any]]:
    """The numbered events up to the end of an answer."""
    seen = []
    for event in events:
        if event[0]:
            seen.append(event)
        if event[1] in ("answer.end", "answer.error"):
            return seen
    raise Broken("the feed ended before the answer did")


def check_handoff(client: Client) -> None:
    """A link of one use carries the conversation on once; a shared one works again; a ticket is no id."""
    path = client.create()
    client.post(f"{path}/messages", {"message": "carry me on"})
    made = client.post(f"{path}/handoff", {}).json()
    expect(f"session={made['ticket']}" in made["url"], "the link does not hold the ticket")
    expect(client.created[-1] not in made["url"], "the link holds the id")
    problem(client.call("GET", f"/api/session/{made['ticket']}"), 404, "session_not_found")
    resumed = client.post("/api/session/resume", {"session": made["ticket"]})
    expect(
        resumed.status_code == 200 and resumed.json()["session_id"] == client.created[-1], "the link leads elsewhere"
    )
    expect(
        [message["content"] for message in resumed.json()["messages"]] == ["carry me on"], "the history is not there"
    )
    problem(client.post("/api/session/resume", {"session": made["ticket"]}), 404, "session_not_found")
    shared = client.post(f"{path}/handoff", {"kind": "share"}).json()["ticket"]
    for _ in range(2):
        expect(
            client.post("/api/session/resume", {"session": shared}).status_code == 200, "a shared link works once only"
        )


def check_end_and_delete(client: Client) -> None:
    """An end is final and leaves the history; a delete leaves nothing."""
    path = client.create()
    client.post(f"{path}/messages", {"message": "x"})
    for _ in range(2):
        expect(client.post(f"{path}/end").json().get("status") == "ended", "an end is not idempotent")
    problem(client.post(f"{path}/messages", {"message": "y"}), 409, "session_ended")
    problem(client.post("/api/chat", {"query": "y", "session_id": client.created[-1]}), 409, "session_ended")
    expect(len(client.call("GET", f"{path}/messages").json()["messages"]) == 1, "the history is gone")
    expect(client.call("DELETE", path).status_code == 204, "a delete is not 204")
    problem(client.call("GET", path), 404, "session_not_found")


def check_isolation(client: Client) -> None:
    """A second visitor reads nothing of the first one's, by no id, place or position."""
    first, second = client.create(), client.create()
    canary = secrets.token_hex(16)
    message = client.post(f"{first}/messages", {"message": canary}).json()["message"]
    cursor = client.call("GET", f"{first}/messages").json()["cursor"]
    texts = [client.call("GET", f"{second}/messages").text, client.call("GET", second).text]
    wrong = client.call("GET", f"{second}/messages", params={"after": message["id"]})
    problem(wrong, 422, "invalid_request")
    with client.stream("GET", f"{second}/events", params={"after": cursor}) as events:
        texts.append(str(next(event for event in events if event[1] != "ping")))
    answer = client.post("/api/chat", {"query": "What did the other visitor say?", "session_id": client.created[-1]})
    expect(canary not in "".join(texts) + wrong.text + answer.text, "the other visitor's words")


def check_without_session(client: Client) -> None:
    """Without a session a question is answered and nothing stored."""
    body = client.post("/api/chat", {"query": QUESTION}).json()
    expect(body.get("session_id", "") is None and bool(body.get("answer")), "the answer is not without a session")


def check_limits(client: Client) -> None:
    """Appends say how much of their limit is left."""
    path = f"{client.create()}/messages"
    left = []
    for _ in range(2):
        headers = client.post(path, {"message": "x"}).headers
        if "x-ratelimit-remaining" not in headers:
            raise Skipped("no limit is switched on")
        left.append(int(headers["x-ratelimit-remaining"]))
    expect(left[1] < left[0], f"two calls left {left[0]} and {left[1]}")


def check_dead_worker(client: Client, pid: int) -> None:
    """A turn whose worker was killed is closed within 20 s, with its words so far."""
    path = client.create()
    body = {"query": QUESTION, "session_id": client.created[-1]}
    words = ""
    with client.stream("POST", "/api/chat", json=body, headers={"Accept": "text/event-stream"}) as events:
        for _, kind, data in events:
            if kind == "answer.delta":
                words += data["text"]
                break
            expect(kind not in ("answer.end", "answer.error"), "the answer was over before its worker could be killed")
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
    closed = None
    while closed is None and time.monotonic() - killed < DEAD_TURN_SECONDS:
        try:
            said = client.call("GET", f"{path}/messages").json()["messages"]
            closed = next((message for message in said if message["role"] == "assistant"), None)
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    if closed is None:
        raise Broken(f"the answer is still open after {DEAD_TURN_SECONDS:.0f} s")
    expect(closed["content"].startswith(words), "words that were told are lost")


CHECKS: tuple[Callable[[Client], None], ...] = (
    check_health,
    check_create,
    check_headers,
    check_one_404,
    check_bodies,
    check_exactly_as_sent,
    check_client_ids,
    check_answer,
    check_every_cut,
    check_handoff,
    check_end_and_delete,
    check_isolation,
    check_without_session,
    check_limits,
)


def examine(url: str, pid: int | None = None) -> list[Check]:
    """The outcome of every check."""
    checks = list(CHECKS)
    if pid is not None:
        checks.append(_with_pid(pid))
    client = Client(url)
    try:
        return [_run(check, client) for check in checks]
    finally:
        client.close()


def _with_pid(pid: int) -> Callable[[Client], None]:
    def check(client: Client) -> None:
        check_dead_worker(client, pid)

    check.__doc__, check.__name__ = check_dead_worker.__doc__, check_dead_worker.__name__
    return check


def _run(check: Callable[[Client], None], client: Client) -> Check:
    name = (check.__doc__ or "").strip().rstrip(".")
    try:
        check(client)
    except Skipped as reason:
        return Check(name, None, str(reason))
    except Broken as broken:
        return Check(name, False, str(broken))
    except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError, StopIteration) as error:
        return Check(name, False, f"{type(error).__name__}: {error}"[:200])
    return Check(name, True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("address", metavar="URL", help="the service, such as https://chat.example.com")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--junit", metavar="FILE", help="also write a JUnit report")
    parser.add_argument(
        "--pid", type=int, help="a worker of the service on this machine, which is killed in mid-answer"
    )


def main(given: argparse.Namespace) -> int:
    """Prints one line a promise; 1 where one is broken."""
    checks = examine(given.address, given.pid)
    if given.junit:
        _write_junit(given.junit, checks)
    if given.json:
        print(json.dumps({"url": given.address, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        for check in checks:
            word = {True: "ok", False: "BROKEN", None: "skipped"}[check.ok]
            print(f"{word:8} {check.name}" + (f" ({check.detail})" if check.detail else ""))
    return 1 if any(check.ok is False for check in checks) else 0


def _write_junit(path: str, checks: list[Check]) -> None:
    suite = ET.Element("testsuite", name="baton doctor", tests=str(len(checks)))
    for check in checks:
        case = ET.SubElement(suite, "testcase", name=check.name)
        if check.ok is not True:
            ET.SubElement(case, "failure" if check.ok is False else "skipped", message=check.detail)
    ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
