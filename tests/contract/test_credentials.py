"""The id as a credential: the `me` form of every path, and one and the same 404."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.api_client import NOBODY, ApiClient, Visitor, is_problem

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


def body_for(method: str, rest: str) -> dict[str, Any]:
    return {"json": {"message": "hello"}} if (method, rest) == ("POST", "/messages") else {}


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


def test_the_scheme_in_any_case(visitor: Visitor) -> None:
    """The scheme of the credentials is read in any case, as HTTP has it."""
    for scheme in ("bearer", "BEARER", "Bearer"):
        answer = visitor.caller.get("/api/session/me", headers={"Authorization": f"{scheme} {visitor.id}"})
        assert answer.status_code == 200
        assert answer.json()["session_id"] == visitor.id


def test_query_is_no_credential_for_me(visitor: Visitor) -> None:
    """The `me` form takes the id from the header alone, so that no URL carries the secret."""
    is_problem(visitor.caller.get("/api/session/me", params={"session": visitor.id}), 404, "session_not_found")
