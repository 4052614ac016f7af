"""The promises of the protocol, each checked by its address alone; the docstring is the promise."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx

from app.doctor.client import Broken, Client, Skipped, expect, problem

DEAD_TURN_SECONDS = 20.0
QUESTION = "What can you help me with?"
UNKNOWN_ID = "ses_" + "A" * 32
ELSEWHERE = "https://elsewhere.example"
DESK_READS = ("me", "operators", "replies", "conversations", "conversations/cnv_1", "analytics", "events")


def check_health(client: Client) -> None:
    """The health check says that the service and its Redis work."""
    response = client.call("GET", "/health")
    expect(response.status_code == 200, f"/health answered {response.status_code}: {response.text[:120]}")
    expect(response.json().get("status") == "ok", "its status is not ok")


def check_create(client: Client) -> None:
    """A new session has an id of 32 URL-safe characters, an address, and times in UTC."""
    made = client.post("/api/session/create", {})
    expect(made.status_code == 201, f"create answered {made.status_code}")
    client.created.append(made.json()["session_id"])
    path = f"/api/session/{client.created[-1]}"
    expect(made.json().get("success") is True, "success is not true")
    expect(made.headers.get("location", "").endswith(path), "Location is not its address")
    expect(made.json().get("chat_url", "").startswith("http"), "chat_url is no address")
    response = client.call("GET", path)
    body = response.json()
    expect(response.status_code == 200 and body.get("status") == "active", "a new session is not active")
    expect(body.get("created_at", "") < body.get("expires_at", ""), "it expires before it was created")
    for name in ("created_at", "expires_at"):
        expect(
            len(body.get(name, "")) == 24 and body[name].endswith("Z"),
            f"{name} is no RFC 3339 time in ms: {body.get(name)}",
        )
    expect(len(client.created[-1]) == 36 and client.created[-1].startswith("ses_"), "the id has another form")


def check_headers(client: Client) -> None:
    """Answers are not cached, carry no referrer and no guess of their type, and let no site use cookies."""
    response = client.call("GET", client.create(), headers={"Origin": ELSEWHERE})
    expect("access-control-allow-credentials" not in response.headers, "another site may send cookies")
    for name, value in (
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ):
        expect(value in response.headers.get(name, ""), f"{name} is {response.headers.get(name)}")


def check_paths(client: Client) -> None:
    """A path that is not there is 404, and a method that a path does not take 405, both as problems."""
    problem(client.call("GET", "/api/no-such-path"), 404, "not_found")
    problem(client.call("PUT", "/api/session/create"), 405, "method_not_allowed")


def check_page(client: Client) -> None:
    """The full page has a strict policy, is not cached, and does not repeat the ticket of its address."""
    ticket = "tkt_" + secrets.token_urlsafe(24)
    response = client.call("GET", "/chat", params={"session": ticket})
    expect(response.status_code == 200, f"/chat answered {response.status_code}")
    policy = response.headers.get("content-security-policy", "")
    expect("script-src" in policy or "default-src" in policy, "there is no Content-Security-Policy for scripts")
    expect("'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0], "any script may run")
    expect("no-store" in response.headers.get("cache-control", ""), "it may be cached")
    expect("no-referrer" in response.headers.get("referrer-policy", ""), "it sends its address to other sites")
    expect(ticket not in response.text, "the ticket stands in the page")


def check_desk(client: Client) -> None:
    """Calls of the desk are refused without a login and shown to no other site; without a desk there are none."""
    people = client.call("GET", "/api/site").json().get("people", "off")
    status, code = (404, "not_found") if people == "off" else (401, "login_required")
    for path in DESK_READS:
        for headers in ({"Origin": ELSEWHERE}, {"Baton-Operator": "op_1"}, {"Cookie": "baton_desk=1"}):
            response = client.call("GET", f"/api/desk/{path}", headers=headers)
            problem(response, status, code)
            expect("access-control-allow-origin" not in response.headers, "another site may read the desk")
    written = client.post("/api/desk/operators", {"name": "x", "role": "admin"})
    expect(written.status_code in ((404,) if people == "off" else (401, 403)), f"it wrote: {written.status_code}")
    session = client.create()
    state = client.call("GET", session).json()
    expect(("handler" in state) == (people != "off"), "handler is there without a desk, or missing with one")
    if people == "off":
        problem(client.post(f"{session}/human", {}), 404, "not_found")


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
    expect(all(body == bodies[0] for body in bodies), "the bodies differ, which shows which ids exist")


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
    previous = client.call("GET", path, params={"limit": 2, "before": page["messages"][0]["id"]}).json()
    read = [message["content"] for message in [*previous["messages"], *page["messages"]]]
    expect(read == texts, "the pages of the history do not join to what was sent")
    expect(page["has_more"] is True and previous["has_more"] is False, "has_more is wrong")


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
    messages = client.call("GET", f"{path}/messages").json()["messages"]
    expect([message["content"] for message in messages] == [QUESTION, body["answer"]], "the history has other words")
    expect(messages[1]["id"] == body["message_id"], "message_id names another message")
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
    joined = "".join(data["text"] for _, event_type, data in all_events if event_type == "answer.delta")
    expect(joined == answer, "the joined deltas are not the message")
    expect(len({event_id for event_id, _, _ in all_events}) == len(all_events), "an event id comes twice")
    cuts = range(len(all_events)) if len(all_events) <= 16 else range(0, len(all_events), len(all_events) // 16 + 1)
    for cut in cuts:
        with client.stream("GET", f"{path}/events", headers={"Last-Event-ID": all_events[cut][0]}) as events:
            rest = [] if cut == len(all_events) - 1 else until_end(events)
        expect(rest == all_events[cut + 1 :], f"after event {cut + 1} of {len(all_events)} other events came")
    for position in ("nonsense", "999999999-000000"):
        with client.stream("GET", f"{path}/events", params={"after": position}) as events:
            first = next((event_type for _, event_type, _ in events if event_type != "ping"), "")
        expect(first == "reset", f"an unknown position brings {first or 'silence'}, not reset")


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
    refused = client.call("GET", f"{second}/messages", params={"after": message["id"]})
    problem(refused, 422, "invalid_request")
    with client.stream("GET", f"{second}/events", params={"after": cursor}) as events:
        texts.append(str(next(event for event in events if event[1] != "ping")))
    answer = client.post("/api/chat", {"query": "What did the other visitor say?", "session_id": client.created[-1]})
    expect(canary not in "".join(texts) + refused.text + answer.text, "the other visitor's words")


def check_without_session(client: Client) -> None:
    """Without a session a question is answered and nothing stored."""
    body = client.post("/api/chat", {"query": QUESTION}).json()
    expect(body.get("session_id", "") is None and bool(body.get("answer")), "the answer is not without a session")


def check_limits(client: Client) -> None:
    """Appends say how much of their limit is left."""
    path = f"{client.create()}/messages"
    remaining = []
    for _ in range(2):
        headers = client.post(path, {"message": "x"}).headers
        if "x-ratelimit-remaining" not in headers:
            raise Skipped("no limit is switched on")
        remaining.append(int(headers["x-ratelimit-remaining"]))
    expect(remaining[1] < remaining[0], f"two calls left {remaining[0]} and {remaining[1]}")


def check_dead_worker(client: Client, pid: int) -> None:
    """A turn whose worker was killed is closed within 20 s, with its words so far."""
    path = client.create()
    body = {"query": QUESTION, "session_id": client.created[-1]}
    received = ""
    with client.stream("POST", "/api/chat", json=body, headers={"Accept": "text/event-stream"}) as events:
        for _, event_type, data in events:
            if event_type == "answer.delta":
                received += data["text"]
                break
            expect(
                event_type not in ("answer.end", "answer.error"),
                "the answer was over before its worker could be killed",
            )
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
    closed = None
    while closed is None and time.monotonic() - killed < DEAD_TURN_SECONDS:
        try:
            messages = client.call("GET", f"{path}/messages").json()["messages"]
            closed = next((message for message in messages if message["role"] == "assistant"), None)
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    if closed is None:
        raise Broken(f"the answer is still open after {DEAD_TURN_SECONDS:.0f} s")
    expect(closed["content"].startswith(received), "words that were sent are lost")


CHECKS: tuple[Callable[[Client], None], ...] = (
    check_health,
    check_create,
    check_headers,
    check_paths,
    check_page,
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
    check_desk,
    check_limits,
)
