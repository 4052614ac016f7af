"""Which error comes first where several things are wrong at once, and requests that are easily taken for others."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import websocket

from tests.contract.api_client import NOBODY, ApiClient, Visitor, bare, is_problem
from tests.contract.feeds import WsFeed

JSON = {"Content-Type": "application/json"}
WRONG: list[tuple[str, str, dict[str, Any], int]] = [
    ("POST", "/messages", {"json": {"message": ""}}, 422),
    ("POST", "/messages", {"json": {"message": "x", "client_id": "!"}}, 422),
    ("POST", "/messages", {"json": {"message": "x", "metadata": {"a": "x" * 5000}}}, 422),
    ("POST", "/messages", {"json": {"message": "x", "role": "assistant"}}, 403),
    ("POST", "/messages", {"content": b"{", "headers": JSON}, 400),
    ("POST", "/messages", {"content": b"hello", "headers": {"Content-Type": "text/plain"}}, 415),
    ("POST", "/messages", {"content": b'{"message": "%b"}' % (b"x" * 70_000), "headers": JSON}, 413),
    ("POST", "/messages/msg_1/feedback", {"json": {"rating": "sideways"}}, 422),
    ("POST", "/handoff", {"json": {"kind": "twice"}}, 422),
    ("POST", "/handoff", {"content": b"[]", "headers": JSON}, 400),
    ("POST", "/heartbeat", {"data": {"a": "b"}}, 415),
    ("POST", "/end", {"content": b'{"a": "%b"}' % (b"x" * 70_000), "headers": JSON}, 413),
    ("POST", "/stop", {"content": b"[]", "headers": JSON}, 400),
    ("GET", "/ws", {}, 422),
    ("GET", "/messages", {"params": {"limit": "many"}}, 422),
    ("GET", "/messages", {"params": {"after": "msg_1", "before": "msg_2"}}, 422),
    ("GET", "/messages", {"params": {"after": "nonsense"}}, 422),
    ("GET", "/transcript", {"params": {"format": "pdf"}}, 422),
]


@pytest.mark.parametrize(("method", "rest", "more", "status"), WRONG)
def test_a_missing_session_comes_before_any_fault_of_the_call(
    visitor: Visitor, method: str, rest: str, more: dict[str, Any], status: int
) -> None:
    """Whatever is wrong with a call on an unknown session, by path and by bearer: 404; on a known one that fault."""
    call = visitor.caller
    is_problem(call(method, f"/api/session/{NOBODY}{rest}", **more), 404, "session_not_found")
    bearer = {**more.get("headers", {}), "Authorization": f"Bearer {NOBODY}"}
    is_problem(call(method, f"/api/session/me{rest}", **{**more, "headers": bearer}), 404, "session_not_found")
    assert call(method, visitor.path(rest), **more).status_code == status
    assert visitor.texts() == []


@pytest.mark.parametrize("named", ["body", "query", "bearer"])
def test_a_chat_with_nobody_is_that_before_all_else(visitor: Visitor, named: str) -> None:
    """A wrong question in an unknown session is 404, wherever the session is named; a broken body where it can be."""
    for session, status in ((NOBODY, 404), (visitor.id, 422)):
        more: dict[str, Any] = {"params": {"session": session}} if named == "query" else {}
        more |= {"headers": {"Authorization": f"Bearer {session}"}} if named == "bearer" else {}
        body = {"query": " ", "client_id": "?"} | ({"session_id": session} if named == "body" else {})
        assert visitor.caller.post("/api/chat", json=body, **more).status_code == status
        if named != "body":
            more["headers"] = {**more.get("headers", {}), **JSON}
            broken = visitor.caller.post("/api/chat", content=b"{", **more)
            assert broken.status_code == (400 if status == 422 else 404)
    assert visitor.texts() == []


@pytest.mark.parametrize("word", ["create", "resume", "me"])
def test_a_word_of_a_path_is_no_session(visitor: Visitor, word: str) -> None:
    """``create`` and ``resume`` are calls and never ids: 405 on themselves, 404 below them and in place of an id."""
    call = visitor.caller
    if word != "me":
        for method in ("GET", "DELETE"):
            wrong = call(method, f"/api/session/{word}")
            is_problem(wrong, 405, "method_not_allowed")
            assert "POST" in wrong.headers["Allow"]
        for method, rest in (("GET", "/messages"), ("POST", "/messages"), ("POST", "/end"), ("GET", "/events")):
            is_problem(call(method, f"/api/session/{word}{rest}", json={}), 404, "session_not_found")
    bearer = {"Authorization": f"Bearer {word}"}
    is_problem(call.get("/api/session/me", headers=bearer), 404, "session_not_found")
    is_problem(call.post("/api/chat", json={"query": "x", "session_id": word}), 404, "session_not_found")
    is_problem(call.post("/api/chat", json={"query": "x"}, params={"session": word}), 404, "session_not_found")
    is_problem(call.resume(word), 404, "session_not_found")


@pytest.mark.parametrize("word", ["create", "resume", "me"])
def test_a_socket_of_a_word_is_refused(caller: ApiClient, word: str) -> None:
    """A WebSocket whose session is such a word, by path, subprotocol or bearer, is 404 in the handshake."""
    for path, protocols, headers in (
        ("me", ["baton", word], {}),
        ("me", ["baton"], {"Authorization": f"Bearer {word}"}),
        (word, ["baton"], {}),
    ):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            WsFeed(f"{caller.base}/api/session/{path}/ws", subprotocols=protocols, headers=headers)
        assert refused.value.status_code == 404, (path, protocols, headers)


def test_a_browser_with_the_api_key_creates_nothing(caller: ApiClient, key: dict[str, str]) -> None:
    """The key is for servers: with an Origin a create is 403, without one it is 201; a wrong key is nobody's."""
    refused = caller.post("/api/session/create", headers={**key, "Origin": "https://a.example.com"})
    is_problem(refused, 403, "role_forbidden")
    assert caller.post("/api/session/create", headers=key).status_code == 201
    wrong = {"Authorization": "Bearer nothing", "Origin": "https://a.example.com"}
    assert caller.post("/api/session/create", headers=wrong).status_code == 201


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream;q=0", "application/json"),
        ("text/event-stream;q=0.0, application/json", "application/json"),
        ("text/event-streams", "application/json"),
        ("*/*", "application/json"),
        ("text/event-stream;q=0.1", "text/event-stream"),
        ("application/json;q=0.5, text/event-stream", "text/event-stream"),
        ("application/json, text/event-stream", "text/event-stream"),
        ("application/json, text/event-stream;q=0.5", "application/json"),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_events_only_for_whoever_wants_them(visitor: Visitor, accept: str, kind: str, alone: bool) -> None:
    """JSON for a caller that refuses ``text/event-stream`` (q=0) or would rather have JSON; else the turn as events."""
    body = {"query": "hello"} | ({} if alone else {"session_id": visitor.id})
    answer = visitor.caller.post("/api/chat", json=body, headers={"Accept": accept})
    assert answer.headers["Content-Type"].split(";")[0] == kind
    if kind == "application/json":
        assert answer.json()["answer"] == "echo: hello"
    else:
        assert "event: answer.end" in answer.text


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (f"/api/session/{'x' * 9000}", [], 414),
        ("/api/session/me", [("Authorization", "Bearer " + "x" * 9000)], 431),
        ("/api/session/me", [("Content-Length", "ses_secret")], 400),
    ],
)
def test_what_reaches_no_route_is_a_problem_too(
    caller: ApiClient, path: str, headers: list[tuple[str, str]], status: int
) -> None:
    """A request that the server itself refuses gets JSON as any other, which repeats nothing of it."""
    answer = bare(caller.base, "GET", path, headers)
    is_problem(answer, status, "invalid_request")
    assert "secret" not in answer.text
    assert "xxx" not in answer.text


def test_a_line_separator_breaks_no_frame(visitor: Visitor) -> None:
    """Characters that some readers take for line ends are escaped on the wire and come back as they went in."""
    text = "one\u2028two\u2029three\x85four"
    cursor = visitor.get("/messages").json()["cursor"]
    visitor.said(text)
    with visitor.caller.http.stream("GET", visitor.path("/events"), params={"after": cursor}) as feed:
        lines = iter(feed.iter_lines())
        data_line = next(line for line in lines if line.startswith("data: "))
    assert orjson.loads(data_line.removeprefix("data: "))["content"] == text == visitor.texts()[0]


@pytest.mark.parametrize("path", ["/api/ai-sdk/chat", "/api/ag-ui", "/v1/chat/completions", "/v1/responses"])
def test_a_line_separator_breaks_no_line_of_another_protocol(visitor: Visitor, key: dict[str, str], path: str) -> None:
    """The same of the streams that other projects' clients read, some of them line by line."""
    messages = [{"id": "m", "role": "user", "content": "one\u2028two\u2029three\x85four"}]
    body = {"id": visitor.id, "threadId": visitor.id, "runId": "r", "messages": messages, "input": messages}
    headers = key if path.startswith("/v1") else {}
    answer = visitor.caller.post(path, json={**body, "stream": True}, headers=headers)
    assert answer.status_code == 200
    lines = [line for line in answer.text.splitlines() if line.startswith("data: {")]
    said = [orjson.loads(line.removeprefix("data: ")) for line in lines]
    assert "one\u2028two\u2029three\x85four" in "".join(map(str, map(delta_of, said)))


def delta_of(event: dict[str, Any]) -> str:
    """The piece of text in a line of any of these protocols."""
    found = event["choices"][0]["delta"].get("content") if event.get("choices") else event.get("delta")
    return found or ""


@pytest.mark.parametrize("name", ["", "%2F", "a%2fb", "..%2F..%2Fhealth", "ses_" + "A" * 31 + "%2F"])
@pytest.mark.parametrize(("method", "rest"), [("GET", "/messages"), ("POST", "/messages"), ("POST", "/end")])
def test_an_id_with_a_slash_in_it_is_an_id(caller: ApiClient, name: str, method: str, rest: str) -> None:
    """No route can be found for it, and it is malformed all the same: the one 404 of every id that opens nothing."""
    answer = bare(caller.base, method, f"/api/session/{name}{rest}", [])
    unknown = bare(caller.base, method, f"/api/session/{NOBODY}/messages", [])
    is_problem(answer, 404, "session_not_found")
    assert method == "POST" or answer.content == unknown.content
    is_problem(bare(caller.base, "GET", "/api/session/nobody/nothing?of=%2F", []), 404, "not_found")
