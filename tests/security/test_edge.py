"""R13 to R15: headers, origins and methods, over the whole map of URLs."""

from __future__ import annotations

import itertools
import re

import pytest

from app.conversations.ids import hash_session_id
from tests.contract.api_client import ApiClient, Visitor, bare, is_problem
from tests.contract.html_page import policy
from tests.security.conftest import ALLOWED
from tests.security.target import Target
from tests.security.test_credential import BY_BODY, OF_A_SESSION, OF_NOBODY

STRANGERS = [
    "http://a.example.com",
    "https://a.example.com:8443",
    "https://a.example.com:443",
    "https://a.example.com.evil.test",
    "https://evil.test",
    "https://evil.test/https://a.example.com",
    "https://evila.example.com",
    "https://b.a.example.com",
    "null",
    "HTTPS://A.EXAMPLE.COM",
    "https://A.example.com",
    "https://user@a.example.com",
    "https://a.example.com@evil.test",
    "https://a.example.com.",
    "https://a.example.com/",
    "https://a.example.com ,https://evil.test",
    "https://a%2eexample.com",
    "https://a.example.com%00",
    "file://",
    "",
    "*",
    "https://*.example.com",
    "https://аexample.com".encode().decode("latin-1"),
    "http://localhost",
    "http://localhost:12345",
    "http://127.0.0.1:1234",
]


PATHS = ["/api/session/me", "/api/session/create", "/api/chat", "/api/nowhere", "/api/session/me/events"]


def every_call(visitor: Visitor) -> list[tuple[str, str]]:
    """Each method and path of the service but the feeds, with a live session and a message of its."""
    said = visitor.ask("hello").json()["message_id"]
    left_out = {("GET", "/ws"), ("GET", "/events"), ("DELETE", ""), ("POST", "/end")}
    calls = [(method, f"/api/session/{visitor.id}{path}") for method, path in sorted(OF_A_SESSION - left_out)]
    calls += [*sorted(OF_NOBODY | BY_BODY), ("GET", "/api/nowhere"), ("GET", "/nowhere"), ("PUT", "/api/chat")]
    fill = {"<message_id>": said, "<path:path>": "security", "<path:name>": "site/site.css", "<version>": "none"}
    for name, value in fill.items():
        calls = [(method, path.replace(name, value)) for method, path in calls]
    return calls


def test_r13_headers_everywhere(target: Target, caller: ApiClient) -> None:
    """R13: every route, by GET, HEAD, its own method and wrong ones: nosniff, no-referrer; pages
    a policy from nothing.
    """
    visitor = caller.create()
    pages = 0
    for own, path in every_call(visitor):
        for method in {own, "HEAD", "OPTIONS", "TRACE", "PATCH"}:
            answer = bare(target.base, method, path, [("Accept", "text/html")])
            assert answer.status_code < 500, (method, path)
            assert answer.headers["x-content-type-options"] == "nosniff", (method, path)
            assert answer.headers["referrer-policy"] == "no-referrer", (method, path)
            assert "set-cookie" not in answer.headers
            assert "python" not in answer.headers.get("server", "").lower()
            if path.startswith("/api") and path != "/api/site":
                assert "no-store" in answer.headers["cache-control"], (method, path)
                assert "text/html" not in answer.headers.get("content-type", "")
            elif "text/html" in answer.headers.get("content-type", ""):
                pages += 1
                rules = policy(answer)
                assert rules["default-src"] == "'none'"
                assert rules["script-src"] == "'self'"
                assert rules["base-uri"] == "'none'"
                # The search form of the list goes to the list itself.
                assert rules["form-action"] == "'none'" or (path, rules["form-action"]) == ("/knowledge", "'self'")
                wanted = f"{ALLOWED} http://localhost:1234" if path == "/chat" else "'none'"
                assert method in ("PATCH", "TRACE", "POST") or rules["frame-ancestors"] == wanted, path
    assert pages > 20
    gone = caller.create().erase()
    assert "content-type" not in gone.headers
    with visitor.events() as feed:
        assert feed.headers["x-accel-buffering"] == "no"
        assert feed.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", PATHS)
def test_r14_only_the_allowed_origins_get_cors_headers(target: Target, caller: ApiClient, path: str) -> None:
    """R14: 26 origins that are not allowed get no CORS header, on
    any method, preflight or error; the two get their own.
    """
    live = caller.create()
    ask = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")]
    known = [[("Authorization", f"Bearer {live.id}")], []]
    for origin, method, who in itertools.product(STRANGERS, ("GET", "POST", "OPTIONS", "PUT"), known):
        if (path, method, bool(who)) == ("/api/session/me/events", "GET", True):
            continue
        answer = bare(target.base, method, path, [("Origin", origin), *who, *(ask if method == "OPTIONS" else [])])
        assert [n for n in answer.headers if n.startswith("access-control")] == [], (origin, method)
        assert "origin" in answer.headers["vary"].lower(), (origin, method)
    for origin, method in itertools.product((ALLOWED, "http://localhost:1234"), ("POST", "OPTIONS", "PUT")):
        answer = bare(target.base, method, path, [("Origin", origin), *(ask if method == "OPTIONS" else [])])
        assert answer.headers.get_list("access-control-allow-origin") == [origin]
        assert "origin" in answer.headers["vary"].lower()
        assert "access-control-allow-credentials" not in answer.headers
    twice = bare(target.base, "GET", path, [("Origin", ALLOWED), ("Origin", "https://evil.test")])
    assert "access-control-allow-origin" not in twice.headers


def test_r15_reading_changes_nothing(target: Target, caller: ApiClient) -> None:
    """R15: GET, HEAD and OPTIONS of every path leave every key and value in Redis as it was, but
    for limits and feeds.
    """
    visitor = caller.create()
    calls = every_call(visitor)
    visitor.ticket("share")
    counted = re.compile(r"baton:limits:|baton:\{\w+\}:feeds ")
    kept = lambda: [line for line in target.everything().splitlines() if not counted.match(line)]  # noqa: E731
    before = kept()
    for method, (_, path) in itertools.product(("GET", "HEAD", "OPTIONS"), calls):
        bare(target.base, method, path, [])
    for rest in ("/end", "/stop", "/handoff", "/heartbeat", "/messages?_method=DELETE", "?_method=DELETE"):
        for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
            bare(target.base, "GET", visitor.path(rest), [(name, "POST"), (name, "DELETE")])
    with visitor.events() as feed, visitor.ws() as ws:
        assert feed.status == 200
        ws.send({"type": "ping"})
        ws.until("pong")
    after = kept()
    there = {line.split(" ")[0] for line in after}
    own = f"{{{hash_session_id(visitor.id)}}}"
    assert len([line for line in before if own in line]) > 1
    # What others left behind may have expired meanwhile, but nothing of it has changed.
    changed = [line for line in before if line not in after and (own in line or line.split(" ")[0] in there)]
    assert changed == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; application/json",
        "application/json, text/plain",
    ],
)
def test_r15_a_form_of_another_site(target: Target, caller: ApiClient, kind: str) -> None:
    """R15: what a form of another site can post is 415 wherever a body is read, also an empty one, and does nothing."""
    visitor = caller.create()
    bodies = (b'{"message": "forged", "query": "forged", "session": "%s", "x": "=' % visitor.id.encode(), b"")
    said = visitor.ask("hello").json()["message_id"]
    paths = [
        "/api/session/create",
        "/api/session/resume",
        "/api/chat",
        visitor.path("/messages"),
        visitor.path("/handoff"),
    ]
    paths.append(visitor.path(f"/messages/{said}/feedback"))
    before = visitor.get("/messages").content
    for path, body in itertools.product(paths, bodies):
        answer = caller.post(path, content=body, headers={"Content-Type": kind, "Origin": "https://evil.test"})
        is_problem(answer, 415, "unsupported_media_type")
    assert visitor.get("/messages").content == before
