"""R1 to R7: the session id as a credential."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import httpx
import pytest

from app import create_app
from app.config import Settings
from app.conversations import ids
from tests.contract.api_client import NOBODY, ApiClient, bare, is_problem
from tests.contract.launch import eventually
from tests.security.conftest import API_KEY
from tests.security.target import Target

OF_A_SESSION = {
    ("GET", ""),
    ("DELETE", ""),
    ("POST", "/heartbeat"),
    ("POST", "/end"),
    ("POST", "/handoff"),
    ("POST", "/claim"),
    ("POST", "/messages"),
    ("GET", "/messages"),
    ("POST", "/messages/<message_id>/feedback"),
    ("GET", "/transcript"),
    ("POST", "/stop"),
    ("GET", "/events"),
    ("GET", "/ws"),
}
"""What needs a usable id and answers 404 without one."""
OF_NOBODY = {
    ("GET", "/"),
    ("GET", "/chat"),
    ("GET", "/install"),
    ("GET", "/docs"),
    ("GET", "/knowledge"),
    ("GET", "/knowledge/<path:path>"),
    ("GET", "/favicon"),
    ("GET", "/favicon.svg"),
    ("GET", "/favicon.ico"),
    ("GET", "/widget.js"),
    ("GET", "/assets/<version>/widget.js"),
    ("GET", "/assets/<path:name>"),
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/api/site"),
    ("GET", "/logo"),
    ("GET", "/face.css"),
}
"""What reads nothing of any session."""
UPGRADE = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]
BY_BODY = {
    ("POST", "/api/session/create"),
    ("POST", "/api/session/resume"),
    ("POST", "/api/chat"),
    ("POST", "/api/ai-sdk/chat"),
    ("GET", "/api/ai-sdk/chat/<path:chat_id>/stream"),
    ("POST", "/api/ag-ui"),
}
"""What makes a session, or names it in its body or in the client's own id."""
BY_API_KEY = {
    ("GET", "/v1/models"),
    ("GET", "/v1/models/<path:name>"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/responses"),
    ("GET", "/v1/responses/<response_id>"),
    ("DELETE", "/v1/responses/<response_id>"),
    ("POST", "/v1/responses/<response_id>/cancel"),
}
"""What only the service's owner may call; tests/clients has how."""


def test_r01_ids_are_random_and_distinct(target: Target) -> None:
    """R1: 10,000 ids: the format, no two alike, every character at
    every place as often as chance has it; over HTTP too.
    """
    created = [ids.new_session_id() for _ in range(10_000)]
    assert len(set(created)) == 10_000
    assert all(re.fullmatch(r"ses_[A-Za-z0-9_-]{32}", one) for one in created)
    for place in range(4, 36):
        seen = Counter(one[place] for one in created)
        assert len(seen) == 64
        assert max(seen.values()) < 156 + 7 * 12.5, "a character far more often than chance has it"
    with patch("secrets.token_urlsafe", side_effect=RuntimeError), pytest.raises(RuntimeError):
        ids.new_session_id()
    caller = ApiClient(target.base)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: caller.create().id, range(200)))
    assert len(set(made)) == 200
    assert all(re.fullmatch(r"ses_[A-Za-z0-9_-]{32}", one) for one in made)


def useless(target: Target) -> dict[str, str]:
    """Ids that open nothing, of each kind, all 36 characters long."""
    gone = ApiClient(target.base).create()
    gone.erase()
    return {"unknown": NOBODY, "deleted": gone.id, "malformed": "ses_" + "A" * 31 + "!", "a ticket": "tkt_" + "A" * 32}


def test_r02_one_404_byte_for_byte(target: Target, launch: Callable[..., Target]) -> None:
    """R2: unknown, expired, deleted, malformed: the same bytes and headers on every route; Redis not asked."""
    short = launch(target, BATON_SESSION_TTL="1")
    expired = ApiClient(short.base).create()
    assert eventually(lambda: not target.names(ids.hash_session_id(expired.id) or "-"))
    dead_ids, unknown = useless(target) | {"expired": expired.id}, {}
    for method, path in sorted(OF_A_SESSION):
        seen = set()
        for one in dead_ids.values():
            answer = call_session(target, method, one, path)
            assert answer.status_code == 404, (method, path, one)
            kept = {k: v for k, v in answer.headers.items() if k not in ("date", "x-request-id")}
            seen.add((answer.content, tuple(sorted(kept.items()))))
        assert len(seen) == 1, f"{method} {path} shows which exist"
        unknown[method, path] = answer.content
    odd = [
        "ses_", "x", "ses_" + "A" * 33, "%00", "ses_" + "%41" * 31, "ses_\u00e4", "SES_" + "A" * 32, "A" * 36, "me2",
        "ses_" + "A" * 5000, "null", "undefined", "default", "{id}", "ses_" + "%00" * 32, "ses_" + "%C3%A9" * 32,
        "%20" + NOBODY, NOBODY + "%20", NOBODY + "%0A", NOBODY + ".json",
    ]  # fmt: skip
    assert eventually(lambda: steady(target)), "Redis is never at rest"
    before = target.commands()
    for one in [*odd, dead_ids["malformed"], dead_ids["a ticket"]]:
        for method, path in sorted(OF_A_SESSION):
            answer = call_session(target, method, quoted(one), path)
            assert (answer.status_code, answer.content) == (404, unknown[method, path]), (method, path, one)
    assert target.commands() == before
    assert call_session(target, "GET", NOBODY, "").status_code == 404
    assert target.commands() > before, "what is well-formed is looked up"


def call_session(target: Target, method: str, one: str, path: str) -> httpx.Response:
    """A call on the session ``one``; where it is the socket's, with a proper handshake."""
    where = f"/api/session/{one}{path}".replace("<message_id>", "msg_1")
    return bare(target.base, method, where, UPGRADE if path == "/ws" else [])


def quoted(text: str) -> str:
    """The text as it may stand in a path."""
    return "".join(c if c.isascii() else "%C3%A4" for c in text)


def steady(target: Target) -> bool:
    """Whether Redis has had nothing to do for a moment."""
    before = target.commands()
    time.sleep(0.3)
    return target.commands() == before


def test_r03_me_without_a_usable_id(target: Target, caller: ApiClient) -> None:
    """R3: every route of the ``me`` form, with no, odd, doubled or misplaced credentials: 404,
    and how to do it better.
    """
    live = caller.create()
    odd: list[list[tuple[str, str]]] = [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer null")],
        [("Authorization", "Bearer undefined")],
        [("Authorization", f"Basic {live.id}")],
        [("Authorization", live.id)],
        [("Authorization", f"Bearer {live.id}"), ("Authorization", f"Bearer {live.id}")],
        [("Authorization", f"Bearer {live.id}, Bearer {live.id}")],
        [("Authorization", f"Bearer {live.id}"), ("Authorization", f"Bearer {NOBODY}")],
        [("Authorization", f"Bearer {NOBODY}"), ("Authorization", f"Bearer {live.id}")],
        [("Authorization", f"Bearer {live.id} {live.id}")],
        [("Authorization", f"Bearer {live.id}x")],
        [("Authorization", f"Token {live.id}")],
        [("Authorization", "Bearer me")],
        [("Authorization", "Bearer " + "x" * 3000)],
        [("Authorization", "Bearer \u00e9")],
        [("Authorization", "\t")],
        [("Cookie", f"session={live.id}")],
        [("X-Session-Id", live.id)],
        [("Authorization", f"Bearer {API_KEY}")],
    ]
    for method, path in sorted(OF_A_SESSION - {("GET", "/ws")}):
        unknown = call_session(target, method, NOBODY, path).content
        for headers in odd:
            where = f"/api/session/me{path}".replace("<message_id>", "1") + f"?session={live.id}"
            answer = bare(target.base, method, where, headers)
            is_problem(answer, 404, "session_not_found")
            assert answer.content == unknown, (method, path, headers)
            assert answer.headers["www-authenticate"] == "Bearer", (method, path, headers)
    assert live.get().json()["status"] == "active"


def test_r04_every_route_is_classified() -> None:
    """R4: the map of URLs holds what is classified here and nothing else: a new route must say what it needs."""
    app = create_app(Settings.from_env({"REDIS_URL": "redis://127.0.0.1:1/0"}))
    found = {(m, rule.rule) for rule in app.url_map.iter_rules() for m in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    known = {(m, f"/api/session/{place}{path}") for m, path in OF_A_SESSION for place in ("me", "<session_id>")}
    assert found == known | OF_NOBODY | BY_BODY | BY_API_KEY


def test_r04_what_belongs_to_another_is_not_there(caller: ApiClient) -> None:
    """R4: A's id with B's message, event or turn finds nothing and touches nothing, by plain path and by bearer."""
    mine, other = caller.create(), caller.create()
    said = other.ask("the words of the other").json()["message_id"]
    other_cursor = other.get("/messages").json()["cursor"]
    mine.said("words of mine")
    for path, headers in ((mine.path(), {}), ("/api/session/me", mine.bearer)):
        for way in ("after", "before"):
            answer = caller.get(f"{path}/messages", params={way: said}, headers=headers)
            is_problem(answer, 422, "invalid_request")
            assert "other" not in answer.text
        rating = caller.post(f"{path}/messages/{said}/feedback", json={"rating": "down"}, headers=headers)
        is_problem(rating, 404, "not_found")
    with mine.events(after=other_cursor) as feed:
        events = feed.until("reset")
    assert "other" not in str(events)
    assert "feedback" not in str(other.history())
    assert mine.texts() == ["words of mine"]


def test_r05_no_key_without_an_end(launch: Callable[..., Target]) -> None:
    """R5: while sessions of one second are used, raced and abandoned, no key is ever seen
    without an expiry, nor stays.
    """
    launched = launch(
        BATON_SESSION_TTL="1",
        BATON_SESSION_MAX_AGE="2",
        BATON_TICKET_TTL="1",
        BATON_RATE_LIMIT_SESSION="1000 per hour",
        BATON_RATE_LIMIT_CREATE="1000 per minute",
    )
    caller = ApiClient(launched.base)
    seen: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.extend(launched.endless())

    def live(number: int) -> None:
        visitor = caller.create()
        end = time.monotonic() + 2.6
        while time.monotonic() < end:
            visitor.say("late words", client_id=f"c{time.monotonic_ns()}")
            visitor.ask("echo" if number % 2 else "slow", client_id=str(number))
            for path in ("/heartbeat", "/handoff", "/stop", "/end" if number == 3 else "/stop"):
                visitor.post(path)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(live, range(4)))

    def remaining_keys() -> list[str]:
        return [name for name in launched.names() if "limits" not in name]

    assert eventually(lambda: not remaining_keys(), 8), remaining_keys()
    done.set()
    watcher.join()
    assert seen == []


def test_r06_erased_is_gone(target: Target, caller: ApiClient) -> None:
    """R6: erased while an answer runs and two feeds are open: they get its end and close, tickets
    die, no key comes back.
    """
    visitor = caller.create()
    session_hash = ids.hash_session_id(visitor.id) or ""
    tickets = [visitor.ticket(), visitor.ticket("share")]
    with visitor.events() as sse, visitor.ws() as ws, visitor.ask_streamed("slow") as stream:
        stream.until("answer.delta", count=2)
        assert len(target.names(session_hash)) > 3
        assert visitor.erase().status_code == 204
        assert target.names(session_hash) == []
        for feed in (sse, ws, stream):
            assert feed.until_closed(5)
        assert "session" in [event.event for event in sse.events]
    for ticket in tickets:
        is_problem(caller.resume(ticket), 404, "session_not_found")
    assert not eventually(lambda: target.names(session_hash), 2.5), "a late writer brought a key back"
    is_problem(visitor.get("/messages"), 404, "session_not_found")
