"""R7 and R30: no id and no visitor's word in any log, metric or error, also after crashes; one 500 and no more."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.conversations import ids
from tests.contract.api_client import ApiClient, Visitor, bare, is_problem
from tests.contract.launch import eventually
from tests.security.target import Target

WORDS = "Zebra-canary-of-the-visitor"
BROKEN = (b'{"message": "%s", "query": 5' % WORDS.encode(), b'{"kind": "x", "session": 5, "query": ""}')


class Listener(http.server.ThreadingHTTPServer):
    """Another host: it keeps every byte that it is sent."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        super().__init__(("127.0.0.1", 0), _Ear)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Ear(http.server.BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.heard.append(f"{self.path}\n{self.headers}\n{body}")
        self.send_response(500 if "crash" in body else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"answer": "heard"}')

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def everything_with(base: str, visitor: Visitor) -> list[str]:
    """Sends the id and a ticket through every route and every kind of refusal; the error bodies."""
    caller = ApiClient(base)
    responses: list[httpx.Response] = []
    described = caller.get("/openapi.json").json()["paths"]
    for path, methods in described.items():
        if path.endswith(("/ws", "/events", "/end")):
            continue
        for value in (visitor.id, visitor.id + "x", visitor.ticket(), visitor.id.replace("_", "%5F")):
            where = path.replace("{session_id}", value).replace("{message_id}", value) + f"?after={value}&q={WORDS}"
            lines = [("Referer", f"{base}/chat?session={value}"), ("User-Agent", value), ("X-Request-Id", value)]
            wanted = sorted({*methods, "put"} & {"get", "post", "put"})
            responses += [bare(base, method.upper(), where, lines, body) for method in wanted for body in BROKEN]
    responses.append(caller.get(f"/knowledge/{visitor.id}", headers={"Accept": "text/html"}))
    responses += [caller.get(f"/assets/{visitor.id}"), caller.get(f"/nowhere/{visitor.id}")]
    with visitor.events(after=visitor.id) as feed, visitor.ws(after=visitor.id) as ws:
        ws.send({"type": visitor.id, "text": WORDS})
        for number, how in enumerate(("crash", "exit", "garbage")):
            visitor.ask(f"{how} {WORDS} {visitor.id}", client_id=f"c{number}")
        feed.until("answer.error")
    return [answer.text for answer in responses if answer.status_code >= 400]


def test_r07_an_id_stands_in_no_sink(target: Target, launch: Callable[..., Target]) -> None:
    """R7: through every route, refusal and crash, with logs at their fullest: no id, ticket or word in any sink."""
    launched = launch(target, LOG_LEVEL="debug", BATON_LOG_LEVEL="debug")
    visitor = ApiClient(launched.base).create(metadata={"note": WORDS})
    tickets = [visitor.ticket(), visitor.ticket("share")]
    errors = everything_with(launched.base, visitor)
    assert len(errors) > 100
    opened = f"{launched.base}/chat?session={tickets[0]}"
    assert httpx.get(opened, headers={"Referer": opened}).status_code == 200
    secrets = [visitor.id, visitor.id[4:], *tickets, *(one[30:] for one in tickets)]
    assert [text for text in errors if any(secret in text for secret in (*secrets, WORDS))] == []
    corrupt(launched, visitor, WORDS + visitor.id)
    assert visitor.get("/transcript").status_code == 500
    assert eventually(lambda: "unforeseen error" in launched.service.log())
    named = (ids.hash_session_id(visitor.id) or "")[:10]
    assert named in launched.service.log(), "the log names the session by ten characters of its hash"
    sinks = (
        launched.service.log()
        + ApiClient(launched.base).get("/metrics").text
        + ApiClient(launched.base).get("/health").text
    )
    assert [secret for secret in (*secrets, WORDS) if secret in sinks] == []
    in_redis = "\n".join(launched.names())
    assert [secret for secret in (*secrets, WORDS) if secret in in_redis] == []


def test_r07_nor_in_what_other_hosts_are_sent(listener: Listener, launch: Callable[..., Target]) -> None:
    """R7: a webhook gets the question, the history and ten characters of a hash, and no
    credential, whatever fails.
    """
    launched = launch(BATON_ENGINE="webhook", BATON_WEBHOOK_URL=listener.address, BATON_WEBHOOK_SECRET="s" * 32)
    visitor = ApiClient(launched.base).create()
    tickets = [visitor.ticket(), visitor.ticket("share")]
    assert visitor.ask("tell me", headers=visitor.bearer).status_code == 200
    assert visitor.ask("crash please").status_code == 502
    received = "\n".join(listener.heard)
    assert "tell me" in received
    assert "crash please" in received
    assert [secret for secret in (visitor.id, visitor.id[4:], *tickets, "s" * 32) if secret in received] == []
    assert [text for text in ("tell me", "crash please", listener.address) if text in launched.service.log()] == []


def corrupt(launched: Target, visitor: Visitor, words: str) -> None:
    """Adds a message to the history that is no JSON: an error that no code expects."""
    with launched.redis.client() as client:
        client.xadd(f"baton:{{{ids.hash_session_id(visitor.id)}}}:history", {"j": words})


def test_r30_an_unforeseen_error_is_one_500(launch: Callable[..., Target]) -> None:
    """R30: a message in Redis that is no JSON: a 500 with a request id, one log line without words; others go on."""
    launched = launch(WEB_CONCURRENCY="1")
    caller = ApiClient(launched.base)
    visitor, other = caller.create(), caller.create()
    before = launched.service.workers()
    corrupt(launched, visitor, WORDS)
    answers = [visitor.get(f"/transcript?format={name}") for name in ("md", "txt", "json")]
    for answer in answers:
        body = is_problem(answer, 500, "internal_error")
        assert body["request_id"] == answer.headers["x-request-id"]
        assert WORDS not in answer.text
        lines = eventually(partial(errors_of, launched.service.output, body["request_id"]), 5)
        assert [bool(line["traceback"]) for line in lines] == [True]
    assert WORDS not in launched.service.log()
    assert visitor.id not in launched.service.log()
    assert other.ask("hello").json()["answer"] == "echo: hello"
    assert launched.service.workers() == before


def errors_of(output: Path, request_id: str) -> list[dict[str, object]]:
    """The error lines that bear this request id."""
    lines = [json.loads(line) for line in output.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("request_id") == request_id and line["level"] == "error"]
