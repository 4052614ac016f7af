"""Named conversations over the wire: `key` in create and claim."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.conversations.ids import hash_session_id
from tests.conftest import until
from tests.contract.api_client import NOBODY, ApiClient, Visitor, at_once, is_problem
from tests.contract.conftest import API_KEY, PLAIN, RunningService
from tests.contract.test_claims import SECRETS, as_user, token, whole
from tests.security.target import Target

GOOD_KEYS = ["a", "orders", "webchat:user-2.x@shop_1", "x" * 128, "SES_upper", "Ses_", "-", "@", "telegram:-100123"]
BAD_KEYS: list[Any] = [
    "", " ", "x" * 129, "ses_", "ses_x", NOBODY, "a b", "a/b", "a\n", "\na", "ä", "a\x00", "*", "{x}", "１", "\ud800",
    "a" * 60_000, 5, True, [], {}, ["a"],
]  # fmt: skip
BOT = {"Authorization": f"Bearer {API_KEY}"}


@pytest.fixture(scope="module")
def signing() -> Iterator[RunningService]:
    """A service whose site signs, whose sessions live 4 s after their last activity."""
    secret = ",".join(f"{kid}={secret}" for kid, secret in SECRETS.items())
    started = RunningService({**PLAIN, "BATON_IDENTITY_SECRET": secret, "BATON_SESSION_TTL": "4"})
    yield started
    started.stop()


@pytest.fixture
def caller(signing: RunningService) -> ApiClient:
    return ApiClient(signing.base)


@pytest.fixture
def target(signing: RunningService) -> Target:
    return Target(signing.own, signing.redis)


def named(caller: ApiClient, key: Any, user: str = "", headers: dict[str, str] | None = None) -> httpx.Response:
    """Create with a key: as a user by `user_token`, or with these headers."""
    return caller.post("/api/session/create", json={"key": key, **({"user_token": token(user)} if user else {})},
                       headers=headers)  # fmt: skip


def session_of(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["success"]
    assert body["status"] == "active"
    assert body["expires_in"] > 0
    assert {"created_at", "expires_at", "chat_url"} <= body.keys()
    return str(body["session_id"])


@pytest.mark.parametrize("key", GOOD_KEYS)
def test_found_again(caller: ApiClient, key: str) -> None:
    """The first call makes the conversation (201), each later one finds it (200): as a user and as the server."""
    for proof in (as_user("fay"), BOT):
        first = session_of(named(caller, key, headers=proof), 201)
        assert session_of(named(caller, key, headers=proof), 200) == first
    assert session_of(named(caller, key, "fay"), 200) != first, "the user's is not the server's"


def test_what_it_finds(caller: ApiClient) -> None:
    """The conversation with its history, also with another secret of a rotation; creation time stays, expiry moves."""
    made = named(caller, "what", "ann")
    mine = Visitor(caller, session_of(made, 201))
    assert mine.say("hello", headers=as_user("ann")).status_code == 201
    again = named(caller, "what", headers=as_user("ann", "2025"))
    assert session_of(again, 200) == mine.id
    assert again.json()["created_at"] == made.json()["created_at"]
    assert again.json()["expires_at"] >= made.json()["expires_at"]
    assert [one["content"] for one in mine.get("/messages", headers=as_user("ann")).json()["messages"]] == ["hello"]
    is_problem(mine.get(), 403, "not_owner")


@pytest.mark.parametrize("key", BAD_KEYS, ids=range(len(BAD_KEYS)))
def test_bad_keys(caller: ApiClient, visitor: Visitor, key: Any) -> None:
    """What is no name is 422 and names the field, in create, resume and claim; an id of a session is no name."""
    for body in ({"key": key}, {"key": key, "user_token": token("ann")}):
        sent = {"content": json.dumps(body), "headers": {"Content-Type": "application/json", **as_user("ann")}}
        calls = (caller.post(f"/api/session/{call}", **sent) for call in ("create", "resume"))
        for answer in (*calls, visitor.post("/claim", **sent)):
            assert is_problem(answer, 422, "invalid_request")["errors"][0]["field"] == "key"


def test_resume_finds_and_never_makes(caller: ApiClient, target: Target) -> None:
    """`resume` with a key and a token finds the user's conversation of that name; where there is none it is a 204."""

    def resume(key: str, user: str) -> httpx.Response:
        return caller.post("/api/session/resume", json={"key": key}, headers=as_user(user))

    before = {*target.names(":meta"), *target.names("baton:name:")}
    assert resume("later", "ivy").status_code == 204
    assert {*target.names(":meta"), *target.names("baton:name:")} <= before
    mine = Visitor(caller, session_of(named(caller, "later", "ivy"), 201))
    assert mine.say("hello", headers=as_user("ivy")).status_code == 201
    found = whole(resume("later", "ivy"))
    assert (found["session_id"], [one["content"] for one in found["messages"]]) == (mine.id, ["hello"])
    for key, user in (("later", "eve"), ("other", "ivy")):
        assert resume(key, user).status_code == 204
    given = caller.create(user_token=token("ivy"))
    both = caller.post("/api/session/resume", json={"key": "later", "session": given.id}, headers=as_user("ivy"))
    assert whole(both)["session_id"] == given.id, "an id goes before a name"
    assert caller.post("/api/session/resume", json={"key": "later"}).status_code == 422
    assert mine.post("/end", headers=as_user("ivy")).status_code == 200
    assert resume("later", "ivy").status_code == 204


def test_without_a_proof(caller: ApiClient) -> None:
    """A key alone is no credential: 403 `not_owner`, whether the name is taken or not; a bad token is `bad_token`."""
    session_of(named(caller, "secret", "ann"), 201)
    for key in ("secret", "free"):
        is_problem(named(caller, key), 403, "not_owner")
        is_problem(named(caller, key, headers={"Authorization": "Bearer wrong-key-of-a-server"}), 403, "not_owner")
        is_problem(named(caller, key, headers={"Baton-User": "x.y.z"}), 403, "bad_token")
        is_problem(named(caller, key, headers={**BOT, "Origin": "https://a.example"}), 403, "role_forbidden")
    answer = caller.post("/api/session/create", json={"key": None})
    assert answer.status_code == 201, "null is no key"


def test_never_somebody_elses(caller: ApiClient) -> None:
    """One name is another conversation for each user and for the server, and none of them opens another's.

    Also names that look like the parts of what they are hashed from.
    """
    keys = ["k", "server:k", "user:k", "server::k", "eve:k", "k:eve"]
    owners = [as_user("ann"), as_user("eve"), as_user("server"), as_user("user"), BOT]
    found = [session_of(named(caller, key, headers=proof), 201) for key in keys for proof in owners]
    assert len(set(found)) == len(found)
    again = [session_of(named(caller, key, headers=proof), 200) for key in keys for proof in owners]
    assert again == found
    anns = Visitor(caller, found[0])
    is_problem(anns.get("/messages", headers=as_user("eve")), 403, "not_owner")
    both = session_of(named(caller, "k", headers={**BOT, **as_user("ann")}), 200)
    assert both == anns.id, "with both proofs the user's counts"


def test_a_token_for_one_conversation_names_none(caller: ApiClient) -> None:
    """The token that a link brings opens its conversation only: with it no name is found, made or claimed."""
    orders = session_of(named(caller, "orders", "gwen"), 201)
    mine = caller.create(user_token=token("gwen"))
    ticket = mine.post("/handoff", headers=as_user("gwen")).json()["ticket"]
    brought = whole(caller.resume(ticket))["user_token"]
    for key in ("orders", "new"):
        is_problem(named(caller, key, headers={"Baton-User": brought}), 403, "not_owner")
        is_problem(mine.post("/claim", {"user_token": brought, "key": key}), 403, "not_owner")
        resumed = caller.post("/api/session/resume", json={"key": key}, headers={"Baton-User": brought})
        is_problem(resumed, 404, "session_not_found")
    assert session_of(named(caller, "orders", "gwen"), 200) == orders


@pytest.mark.parametrize("end", ["ended", "erased", "expired"])
@pytest.mark.parametrize("owner", ["user", "server"])
def test_over(caller: ApiClient, end: str, owner: str) -> None:
    """An ended, erased or expired conversation is not found: the next create makes a new one (201)."""
    proof = as_user("tim") if owner == "user" else BOT
    key = f"over-{end}"
    mine = Visitor(caller, session_of(named(caller, key, headers=proof), 201))
    if end == "ended":
        assert mine.post("/end", headers=proof).status_code == 200
    elif end == "erased":
        assert caller("DELETE", mine.path(), headers=proof).status_code == 204
    else:
        until(lambda: mine.get(headers=proof).status_code == 404, 10, "it to expire")
    fresh = session_of(named(caller, key, headers=proof), 201)
    assert fresh != mine.id
    assert session_of(named(caller, key, headers=proof), 200) == fresh
    if end == "ended":  # what is left of the old one does not disturb the new one
        assert caller.post("/api/session/resume", json={"session": mine.id}, headers=proof).status_code == 200
        assert caller("DELETE", mine.path(), headers=proof).status_code == 204
        assert session_of(named(caller, key, headers=proof), 200) == fresh


def test_it_expires_with_the_session(caller: ApiClient, target: Target) -> None:
    """The entry has the session's own expiry, also after activity, and nothing of it is left afterwards."""
    others = set(target.names("baton:name:"))
    mine = Visitor(caller, session_of(named(caller, "brief", "kim"), 201))
    [entry] = set(target.names("baton:name:")) - others
    [meta] = [name for name in target.names(":meta") if str(hash_session_id(mine.id)) in name]

    def expiries() -> list[int]:
        with target.redis.client() as look:
            return [look.execute_command("PEXPIRETIME", name) for name in (entry, meta)]

    seen = [expiries()]
    for activity in (
        lambda: mine.say("hello", headers=as_user("kim")),
        lambda: mine.ask("hello", headers=as_user("kim")),
        lambda: mine.post("/heartbeat", headers=as_user("kim")),
        lambda: named(caller, "brief", "kim"),
    ):
        assert activity().is_success
        seen.append(expiries())
    assert all(of_entry == of_session for of_entry, of_session in seen)
    assert seen[-1] > seen[0]
    assert target.endless() == []
    until(lambda: not {entry, meta} & set(target.names()), 15, "it to expire")


def test_racers_get_one(caller: ApiClient, target: Target) -> None:
    """Twenty at once over all workers: one makes it (201), all the others find the same one (200), nothing is left.

    So also where the name's conversation has ended before.
    """
    for _ in range(2):
        before = len(target.names(":meta"))
        answers = at_once(20, lambda _: named(caller, "race", "rob"))
        assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
        ids = {answer.json()["session_id"] for answer in answers}
        assert len(ids) == 1
        assert len(target.names(":meta")) <= before + 1
        assert Visitor(caller, ids.pop()).post("/end", headers=as_user("rob")).status_code == 200


def test_a_claim_moves_the_name(caller: ApiClient, visitor: Visitor) -> None:
    """With `key` the claimed conversation is the user's of that name, on every device; again and at once the same."""
    visitor.said("hello")
    answers = at_once(8, lambda _: visitor.post("/claim", {"user_token": token("uma"), "key": "shop"}))
    ids = {whole(one)["session_id"] for one in answers}
    assert len(ids) == 1
    assert session_of(named(caller, "shop", "uma"), 200) in ids
    body = whole(visitor.post("/claim", {"user_token": token("uma"), "key": "shop"}))
    assert body["session_id"] in ids
    assert [one["content"] for one in body["messages"]] == ["hello"]
    mine = Visitor(caller, ids.pop())
    assert whole(mine.post("/claim", {"user_token": token("uma"), "key": "shop"}))["session_id"] == mine.id


def test_a_name_that_the_user_has_already(caller: ApiClient, visitor: Visitor) -> None:
    """Then that conversation is shown, and the anonymous one stays as it is: anonymous, with its id and its words."""
    mine = Visitor(caller, session_of(named(caller, "desk", "vic"), 201))
    assert mine.say("mine", headers=as_user("vic")).status_code == 201
    visitor.said("anonymous")
    body = whole(visitor.post("/claim", {"key": "desk"}, headers=as_user("vic")))
    assert body["session_id"] == mine.id
    assert [one["content"] for one in body["messages"]] == ["mine"]
    assert visitor.texts() == ["anonymous"]
    for unknown in (Visitor(caller, NOBODY), Visitor(caller, "ses_short")):
        is_problem(unknown.post("/claim", {"key": "desk"}, headers=as_user("vic")), 404, "session_not_found")
    other = caller.create(user_token=token("eve"))
    is_problem(other.post("/claim", {"key": "desk"}, headers=as_user("vic")), 403, "not_owner")
    # Once it is over, the anonymous one may have its name.
    assert mine.post("/end", headers=as_user("vic")).status_code == 200
    claimed = whole(visitor.post("/claim", {"key": "desk"}, headers=as_user("vic")))["session_id"]
    assert session_of(named(caller, "desk", "vic"), 200) == claimed


def test_the_servers_name_stays_with_a_claimed_conversation(caller: ApiClient) -> None:
    """A conversation that the server has named is found by the server after a user has claimed it."""
    bot = Visitor(caller, session_of(named(caller, "telegram:7", headers=BOT), 201))
    bot.said("from telegram")
    claimed = whole(bot.post("/claim", {"key": "mine"}, headers=as_user("wes")))["session_id"]
    assert claimed != bot.id
    assert session_of(named(caller, "telegram:7", headers=BOT), 200) == claimed
    assert session_of(named(caller, "mine", "wes"), 200) == claimed


def test_a_named_one_is_not_the_last(caller: ApiClient) -> None:
    """Without a name users find the conversation that has none: another key is another conversation."""
    plain = caller.create(user_token=token("xia"))
    orders = session_of(named(caller, "orders", "xia"), 201)
    assert whole(caller.resume(orders, user_token=token("xia")))["session_id"] == orders
    last = caller.post("/api/session/resume", json={"user_token": token("xia")})
    assert whole(last)["session_id"] == plain.id


def test_nothing_in_clear(caller: ApiClient, target: Target) -> None:
    """No id, name or user stands in Redis, in any form."""
    ids = [session_of(named(caller, "a-name-to-look-for", headers=proof), 201) for proof in (as_user("yann"), BOT)]
    held = target.everything()
    assert "baton:name:user:" in held
    for secret in (*ids, *(one[4:] for one in ids), "a-name-to-look-for", "yann"):
        assert secret not in held
        assert secret.encode().hex() not in held
        assert base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")[:-1] not in held
