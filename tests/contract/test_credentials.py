"""The id as a credential: one and the same 404, the `me` form of every path, and no sink that holds an id."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.contract.api_client import NOBODY, ApiClient, Visitor, bare, is_problem
from tests.contract.conftest import RunningService
from tests.contract.launch import eventually

BELOW = [
    ("GET", ""),
    ("POST", "/messages"),
    ("GET", "/messages"),
    ("POST", "/heartbeat"),
    ("POST", "/end"),
    ("POST", "/handoff"),
    ("GET", "/transcript"),
    ("DELETE", ""),
    ("GET", "/events"),
    ("POST", "/stop"),
]
USELESS = [
    "ses_",
    "ses_" + "A" * 31,
    "ses_" + "A" * 33,
    "SES_" + "A" * 32,
    "ses_" + "A" * 31 + "!",
    "A" * 36,
    "me2",
    "null",
    "undefined",
    "ses_" + "%00" * 32,
    "ses_" + "%C3%A9" * 32,
    "%20" + NOBODY,
    NOBODY + "%20",
    NOBODY + "%0A",
    "x" * 3000,
    "default",
    "{id}",
    "ses_" + "A" * 32 + ".json",
    "tkt_" + "A" * 32,
]


def body_for(method: str, rest: str) -> dict[str, Any]:
    return {"json": {"message": "hello"}} if (method, rest) == ("POST", "/messages") else {}


def normal(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """An answer without what may differ: when it was made and its request's own name."""
    free = {"date", "x-request-id", "connection"}
    return answer.status_code, answer.content, {k: v for k, v in answer.headers.items() if k not in free}


@pytest.mark.parametrize(("method", "rest"), BELOW)
def test_one_404_for_every_useless_id(caller: ApiClient, method: str, rest: str) -> None:
    """A made-up, malformed, expired or deleted id gets one and the same 404, byte for byte."""
    gone = caller.create()
    gone.said("something")
    assert gone.erase().status_code == 204
    more = body_for(method, rest)
    unknown = caller(method, f"/api/session/{NOBODY}{rest}", **more)
    is_problem(unknown, 404, "session_not_found")
    assert normal(caller(method, gone.path(rest), **more)) == normal(unknown)
    for useless in USELESS:
        assert normal(caller(method, f"/api/session/{useless}{rest}", **more)) == normal(unknown), useless


def test_404_of_resume_and_chat_are_the_same(caller: ApiClient) -> None:
    """`resume` and `chat` say the same 404, also for a malformed id or a ticket that never was."""
    gone = caller.create()
    gone.erase()
    unknown = caller.get(f"/api/session/{NOBODY}").content
    for useless in (NOBODY, gone.id, "ses_x", "tkt_" + "A" * 32, "null", "x" * 5000):
        resumed = caller.resume(useless)
        is_problem(resumed, 404, "session_not_found")
        assert resumed.content == unknown
        for answer in (
            caller.post("/api/chat", json={"query": "hello", "session_id": useless}),
            caller.post("/api/chat", json={"query": "hello"}, params={"session": useless}),
            caller.post("/api/chat", json={"query": "hello"}, headers={"Authorization": f"Bearer {useless}"}),
            caller.post(
                "/api/chat", json={"query": "hello", "session_id": useless}, headers={"Accept": "text/event-stream"}
            ),
        ):
            is_problem(answer, 404, "session_not_found")
            assert answer.content == unknown


@pytest.mark.parametrize(("method", "rest"), BELOW)
def test_me_is_every_path(caller: ApiClient, method: str, rest: str) -> None:
    """Every path `/api/session/<id>/...` also exists as `/api/session/me/...`, with the id as bearer."""
    one, other = caller.create(), caller.create()
    path = "/api/session/me" + rest
    if rest == "/events":
        with one.events() as feed:
            assert feed.status == 200
        return
    more = body_for(method, rest)
    by_id = caller(method, other.path(rest), **more)
    by_bearer = caller(method, path, headers=one.bearer, **more)
    assert by_bearer.status_code == by_id.status_code < 300
    if by_id.headers.get("content-type") == "application/json":
        assert by_bearer.json().keys() == by_id.json().keys()


@pytest.mark.parametrize(("method", "rest"), BELOW)
def test_me_without_a_usable_id(visitor: Visitor, method: str, rest: str) -> None:
    """Without a usable id it is the same 404: missing, `null`, empty, doubled, another scheme."""
    caller, path, more = visitor.caller, "/api/session/me" + rest, body_for(method, rest)
    unknown = caller(method, f"/api/session/{NOBODY}{rest}", **more).content
    mine, nobody = f"Bearer {visitor.id}", f"Bearer {NOBODY}"
    values = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer null",
        "Bearer undefined",
        nobody,
        "Bearer me",
        f"Basic {visitor.id}",
        visitor.id,
    ]
    values += [
        f"{mine} {visitor.id}",
        f"{mine}, {mine}",
        mine + "x",
        f"Token {visitor.id}",
        "Bearer " + "x" * 3000,
        "\t",
        "Bearer é",
    ]
    useless = [[("Authorization", value)] for value in values]
    useless += [
        [],
        [("Authorization", mine), ("Authorization", nobody)],
        [("Authorization", nobody), ("Authorization", mine)],
    ]
    useless += [[("Authorization", mine), ("Authorization", mine)]]
    for headers in useless:
        answer = bare(caller.base, method, path, headers, b'{"message": "hello"}' if more else b"")
        is_problem(answer, 404, "session_not_found")
        assert answer.content == unknown, headers
        assert answer.headers["www-authenticate"].startswith("Bearer"), headers
    assert visitor.get().json()["status"] == "active"


def test_the_scheme_in_any_case(visitor: Visitor) -> None:
    """The scheme of the credentials is read in any case, as HTTP has it."""
    for scheme in ("bearer", "BEARER", "Bearer"):
        answer = visitor.caller.get("/api/session/me", headers={"Authorization": f"{scheme} {visitor.id}"})
        assert answer.status_code == 200
        assert answer.json()["session_id"] == visitor.id


def test_query_is_no_credential_for_me(visitor: Visitor) -> None:
    """The `me` form takes the id from the header alone, so that no URL carries the secret."""
    is_problem(visitor.caller.get("/api/session/me", params={"session": visitor.id}), 404, "session_not_found")


def test_the_id_stands_in_no_log_and_no_error(own: RunningService) -> None:
    """The id never stands whole in a log, a metric or an error; nor does a ticket."""
    caller = ApiClient(own.base)
    visitor = caller.create(metadata={"page": "/pricing"})
    ticket = visitor.ticket()
    secrets = [visitor.id, visitor.ticket("share"), ticket, "MyVerySecretWords"]
    said = [
        visitor.say("MyVerySecretWords"),
        visitor.ask("fail MyVerySecretWords"),
        visitor.say(""),
        visitor.say("x", role="system"),
    ]
    said += [
        caller("PUT", visitor.path()),
        caller.get(visitor.path("/nothing")),
        caller.get(visitor.path("/messages?limit=x")),
    ]
    said += [
        caller.post(
            "/api/chat", content=b"{", params={"session": visitor.id}, headers={"Content-Type": "application/json"}
        )
    ]
    said += [caller.get("/chat", params={"session": ticket}, headers={"Referer": f"{own.base}/chat?session={ticket}"})]
    said += [
        caller.get("/nowhere/" + visitor.id),
        caller.post("/api/chat", json={"query": "hello"}, params={"session": visitor.id}),
    ]
    with visitor.events() as feed, visitor.ws():
        visitor.say("more", client_id="one")
        feed.until("message")
    for answer in said[1:4] + said[4:10]:
        assert not [secret for secret in secrets if secret in answer.text], answer.text
    visitor.erase()
    assert eventually(lambda: "/api/session" in own.own.log()), "no access log at all"
    sinks = own.own.log() + caller.get("/metrics").text + caller.get("/health").text
    assert [secret for secret in secrets if secret in sinks] == []
