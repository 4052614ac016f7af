"""Signing in during a chat, finding it on another device, and the full page of a signed-in user: over the wire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from tests.contract.api_client import NOBODY, ApiClient, Visitor, at_once, is_problem
from tests.contract.conftest import API_KEY, PLAIN, RunningService
from tests.contract.test_tickets import RESUMED
from tests.security.target import Target

SECRETS = {"2025": "an old secret of at least thirty-two bytes", "2026": "a new secret of at least thirty-two bytes"}


def token(user: str = "ada", kid: str = "2026", seconds: int = 60) -> str:
    claims = {"sub": user, "exp": int(time.time()) + seconds, "aud": "baton"}
    return jwt.encode(claims, SECRETS[kid], "HS256", headers={"kid": kid})


def as_user(user: str = "ada", kid: str = "2026") -> dict[str, str]:
    return {"Baton-User": token(user, kid)}


@pytest.fixture(scope="module")
def signing() -> Iterator[RunningService]:
    """A service whose site signs, with two secrets while they are rotated."""
    started = RunningService({**PLAIN, "BATON_IDENTITY_SECRET": ",".join(f"{k}={v}" for k, v in SECRETS.items())})
    yield started
    started.stop()


@pytest.fixture
def caller(signing: RunningService) -> ApiClient:
    return ApiClient(signing.base)


@pytest.fixture
def target(signing: RunningService) -> Target:
    return Target(signing.own, signing.redis)


def claim(visitor: Visitor, user: str = "ada", **more: Any) -> httpx.Response:
    return visitor.post("/claim", {"user_token": token(user)}, **more)


def whole(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body.keys() >= RESUMED
    return body


def last(caller: ApiClient, user: str = "ada", **more: Any) -> httpx.Response:
    return caller.post("/api/session/resume", json={"user_token": token(user)}, **more)


def test_claimed(caller: ApiClient, visitor: Visitor) -> None:
    """An anonymous conversation gets a new id and is the user's; message ids are of the new session, words the same."""
    visitor.ask("hello", client_id="q")
    before = visitor.history()
    body = whole(claim(visitor))
    assert body["session_id"] != visitor.id
    mine = Visitor(caller, body["session_id"])
    is_problem(mine.get("/messages"), 403, "not_owner")
    kept = mine.get("/messages", headers=as_user()).json()["messages"]
    assert body["messages"] == kept
    bare = lambda all_: [{k: v for k, v in one.items() if k != "id"} for one in all_]  # noqa: E731
    assert bare(kept) == bare(before)
    assert not {one["id"] for one in kept} & {one["id"] for one in before}
    assert mine.ask("hello", client_id="q", headers=as_user()).json()["message_id"] == kept[1]["id"]


@pytest.mark.parametrize("way", ["plain", "me"])
def test_both_forms_and_both_proofs(caller: ApiClient, visitor: Visitor, way: str) -> None:
    """By path and by bearer, with the token in the body or in `Baton-User`, or both."""
    path = visitor.path("/claim") if way == "plain" else "/api/session/me/claim"
    headers = {} if way == "plain" else visitor.bearer
    found = whole(caller.post(path, headers={**headers, **as_user()}))
    same = caller.post(path, json={"user_token": token()}, headers={**headers, **as_user("ada", "2025")})
    assert whole(same)["session_id"] == found["session_id"]


def test_the_old_id_is_gone(caller: ApiClient, visitor: Visitor) -> None:
    """The old id is the 404 that a made-up one is, byte for byte, for everybody; its tickets are dead."""
    tickets = [visitor.ticket(), visitor.ticket("share")]
    whole(claim(visitor))
    unknown = Visitor(caller, NOBODY)
    for rest in ("", "/messages", "/events", "/transcript"):
        for headers in ({}, as_user(), {"Authorization": f"Bearer {API_KEY}"}):
            response, other = (one.get(rest, headers=headers) for one in (visitor, unknown))
            assert (response.status_code, response.content) == (404, other.content)
    for rest in ("/heartbeat", "/end", "/handoff", "/stop"):
        assert visitor.post(rest).content == unknown.post(rest).content
    is_problem(claim(visitor, "eve"), 404, "session_not_found")
    for one in (*tickets, visitor.id):
        is_problem(caller.resume(one, user_token=token()), 404, "session_not_found")


def test_feeds_of_the_old_id_end(visitor: Visitor) -> None:
    """Whoever follows the old id gets its end, and the feed closes."""
    with visitor.events() as sse, visitor.ws() as ws:
        visitor.said("heard")
        for feed in (sse, ws):
            feed.until("message")
        whole(claim(visitor))
        for feed in (sse, ws):
            assert "session" in [event.event for event in feed.until_closed(5)]


def test_a_fresh_cursor(caller: ApiClient, visitor: Visitor) -> None:
    """`cursor` of the answer goes on from there: nothing comes twice, an old position brings `reset`."""
    visitor.said("before")
    old = visitor.get("/messages").json()["cursor"]
    body = whole(claim(visitor))
    mine = Visitor(ApiClient(caller.base, headers=as_user()), body["session_id"])
    mine.bearer |= as_user()
    with mine.events(after=body["cursor"]) as feed, mine.events(after=old) as lost:
        lost.until("reset")
        mine.said("after")
        assert [event.data["content"] for event in feed.until("message")] == ["after"]


def test_again_and_at_once(caller: ApiClient, visitor: Visitor) -> None:
    """Twenty at once and again afterwards, as after a lost reply: one new id; by the new id it stays that one."""
    visitor.said("hello")
    found = {whole(one)["session_id"] for one in at_once(20, lambda _: claim(visitor))}
    assert len(found) == 1
    assert whole(claim(visitor))["session_id"] in found
    mine = Visitor(caller, found.pop())
    assert whole(claim(mine))["session_id"] == mine.id
    assert [one["content"] for one in whole(claim(mine))["messages"]] == ["hello"]


def test_refused(caller: ApiClient, visitor: Visitor) -> None:
    """Another's, an ended one, no token, a bad one, no such session: each in its own words, and nothing changes."""
    other = caller.create(user_token=token("eve"))
    is_problem(claim(other), 403, "not_owner")
    is_problem(claim(Visitor(caller, NOBODY)), 404, "session_not_found")
    is_problem(visitor.post("/claim", {"user_token": "not.a.token"}), 403, "bad_token")
    for body in (None, {}, {"user_token": None}, {"user_token": ""}, {"user_token": 5}):
        assert is_problem(visitor.post("/claim", body), 422, "invalid_request")["errors"][0]["field"] == "user_token"
    assert visitor.get().json()["status"] == "active"
    visitor.post("/end")
    is_problem(claim(visitor), 409, "session_ended")
    assert visitor.get().json()["status"] == "ended"


def test_while_an_answer_is_made(caller: ApiClient, visitor: Visitor) -> None:
    """A running answer is not disturbed: 409 and when to come back; afterwards the claim works, with the answer."""
    with visitor.ask_streamed("tokens=40 delay=0.02") as stream:
        stream.until("answer.delta")
        refused = claim(visitor)
        assert is_problem(refused, 409, "turn_in_progress")["retryable"]
        assert int(refused.headers["Retry-After"]) >= 1
        stream.until("answer.end", seconds=20)
    assert whole(claim(visitor))["messages"][1]["content"].endswith("w39 ")


def test_found_on_another_device(caller: ApiClient, visitor: Visitor) -> None:
    """With the token alone users find their last conversation, created with it or claimed, unless it has ended."""
    is_problem(last(caller, "nobody yet"), 404, "session_not_found")
    session = caller.create(user_token=token("bob"))
    assert whole(last(caller, "bob"))["session_id"] == session.id
    visitor.said("hello")
    claimed = Visitor(caller, whole(claim(visitor, "bob"))["session_id"])
    assert [one["content"] for one in whole(last(caller, "bob"))["messages"]] == ["hello"]
    found = caller.post("/api/session/resume", json={}, headers=as_user("bob", "2025"))
    assert whole(found)["session_id"] == claimed.id
    # Taken up by its id, an earlier one is the last again.
    whole(caller.resume(session.id, user_token=token("bob")))
    assert whole(last(caller, "bob"))["session_id"] == session.id
    session.post("/end", headers=as_user("bob"))
    is_problem(last(caller, "bob"), 404, "session_not_found")


def test_a_ticket_of_what_has_ended(caller: ApiClient) -> None:
    """After an end a user's tickets are the 404 that any dead ticket is, for whoever has them."""
    mine = caller.create(user_token=token("dora"))
    kinds = ("once", "share")
    tickets = [mine.post("/handoff", {"kind": kind}, headers=as_user("dora")).json()["ticket"] for kind in kinds]
    assert mine.post("/end", headers=as_user("dora")).status_code == 200
    for ticket in tickets:
        is_problem(caller.resume(ticket), 404, "session_not_found")


def test_begun_by_header(caller: ApiClient) -> None:
    """`Baton-User` makes a new conversation the user's, as `user_token` does."""
    made = caller.post("/api/session/create", headers=as_user("carl")).json()["session_id"]
    is_problem(Visitor(caller, made).get(), 403, "not_owner")
    assert whole(last(caller, "carl"))["session_id"] == made


def test_without_session_and_token(caller: ApiClient) -> None:
    """A resume that names neither stays 422; a token that does not verify is 403."""
    for body in ({}, {"session": None}, {"client_id": "c"}, {"session": "", "user_token": token()}):
        assert is_problem(caller.post("/api/session/resume", json=body), 422, "invalid_request")["errors"]
    answer = caller.post("/api/session/resume", json={"user_token": "x"})
    is_problem(answer, 403, "bad_token")


def test_erased_leaves_nothing(caller: ApiClient, target: Target) -> None:
    """A user's deleted conversation is not in Redis in any form, nor is the way to it."""
    session = caller.create(user_token=token("dora"))
    assert target.names("baton:user:")
    before = set(target.names())
    assert caller("DELETE", session.path(), headers=as_user("dora")).status_code == 204
    gone = before - set(target.names())
    assert [name for name in gone if name.startswith("baton:user:")]
    is_problem(last(caller, "dora"), 404, "session_not_found")


def test_the_full_page(caller: ApiClient) -> None:
    """A link for once, made by the owner, brings the page a token of its owner; the page then is let in with it."""
    mine = caller.create(user_token=token("finn"))
    ticket = mine.post("/handoff", headers={"Baton-User": token("finn")}).json()["ticket"]
    body = whole(caller.resume(ticket, client_id="page"))
    assert body["session_id"] == mine.id
    assert whole(caller.resume(ticket, client_id="page"))["user_token"] == body["user_token"]
    is_problem(caller.resume(ticket, client_id="other"), 404, "session_not_found")
    brought = {"Baton-User": body["user_token"]}
    assert mine.get("/messages", headers=brought).status_code == 200
    assert mine.ask("hello", headers=brought).status_code == 200
    assert whole(caller.resume(mine.id, user_token=body["user_token"]))["session_id"] == mine.id
    again = mine.post("/handoff", headers=brought).json()["ticket"]
    assert whole(caller.resume(again))["user_token"] == body["user_token"]


def test_what_a_link_brings_opens_one_conversation(caller: ApiClient, visitor: Visitor) -> None:
    """The token of a link is good for its conversation, and for no longer than its maker's. For the user's other
    conversations it is no token: none is read, found, begun or claimed with it.
    """
    given = token("gwen", seconds=50)
    as_gwen = {"Baton-User": given}
    mine, other = caller.create(user_token=given), caller.create(user_token=given)
    shared = other.post("/handoff", {"kind": "share"}, headers=as_gwen).json()["ticket"]
    brought = whole(caller.resume(mine.post("/handoff", headers=as_gwen).json()["ticket"]))["user_token"]
    expires = [jwt.decode(one, options={"verify_signature": False})["exp"] for one in (given, brought)]
    assert expires[0] == expires[1]
    header = {"Baton-User": brought}
    for refused in (
        other.get("/messages", headers=header),
        other.get("/transcript", headers=header),
        other.say("hello", headers=header),
        other.ask("hello", headers=header),
        other.post("/handoff", headers=header),
        caller("DELETE", other.path(), headers=header),
        caller.resume(other.id, user_token=brought),
        caller.resume(shared, user_token=brought),
    ):
        is_problem(refused, 403, "not_owner")
    is_problem(caller.post("/api/session/resume", json={"user_token": brought}), 404, "session_not_found")
    is_problem(visitor.post("/claim", {"user_token": brought}), 422, "invalid_request")
    session = caller.create(user_token=brought)
    assert session.get("/messages").status_code == 200, "it is nobody's"
    assert whole(caller.post("/api/session/resume", json={"user_token": given}))["session_id"] in (mine.id, other.id)


def test_links_that_carry_no_token(caller: ApiClient, visitor: Visitor, key: dict[str, str]) -> None:
    """A share link, and one made by the site's server, open to the owner alone, and no refusal burns them."""
    mine = caller.create(user_token=token("gina"))
    links = [
        mine.post("/handoff", {"kind": "share"}, headers=as_user("gina")).json()["ticket"],
        mine.post("/handoff", headers=key).json()["ticket"],
    ]
    for ticket in links:
        is_problem(caller.resume(ticket), 403, "not_owner")
        is_problem(caller.resume(ticket, user_token=token("eve")), 403, "not_owner")
        body = whole(caller.resume(ticket, user_token=token("gina")))
        assert "user_token" not in body
    assert "user_token" not in whole(caller.resume(visitor.ticket()))


def test_a_link_whose_token_has_expired(caller: ApiClient) -> None:
    """The token of a link is checked when it is used: an expired one is 403 `bad_token`."""
    mine = caller.create(user_token=token("hans"))
    ticket = mine.post("/handoff", headers={"Baton-User": token("hans", seconds=-2)}).json()["ticket"]
    deadline = time.monotonic() + 15
    answer = caller.resume(ticket, client_id="c")
    while answer.status_code == 200 and time.monotonic() < deadline:
        answer = caller.resume(ticket, client_id="c")
    is_problem(answer, 403, "bad_token")


def test_nothing_is_kept_in_clear_or_for_ever(caller: ApiClient, visitor: Visitor, target: Target) -> None:
    """After claims, links and a last conversation: no id, token or user's name in Redis, no key without an end."""
    signed = token("ingrid")
    mine = whole(visitor.post("/claim", {"user_token": signed}))["session_id"]
    ticket = Visitor(caller, mine).post("/handoff", headers={"Baton-User": signed}).json()["ticket"]
    whole(caller.resume(ticket, client_id="c"))
    held = target.everything()
    for secret in (visitor.id, mine, ticket, signed, "ingrid"):
        assert secret not in held
        assert secret.encode().hex() not in held
    assert target.endless() == []
