"""A conversation that becomes a signed-in user's, on every Redis: moved once and complete, and found by them alone."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.auth.user_tokens import SignedInUser, verify_user_token
from app.conversations import ids
from app.conversations.answer_runner import AnswerRunner, RunnerConfig
from app.conversations.claims import ClaimService
from app.conversations.service import ConversationService
from app.errors import Conflict, Forbidden, NotFound
from app.storage import ownership as ownership_module
from app.storage.base import NewMessage, TurnResult
from app.storage.redis_store import RedisConversationStore
from tests.conftest import until
from tests.storage.conftest import Open, at_once, new, words
from tests.storage.servers import Backend
from tests.storage.test_redis_store_lifetime import everything
from tests.unit.test_identity import SECRET, token

SECRETS = {"": SECRET}


def someone(name: str = "ada") -> SignedInUser:
    return verify_user_token(token(sub=name), SECRETS)


def ownership(log: RedisConversationStore) -> ClaimService:
    engine: Any = None  # no question is asked here
    runner = AnswerRunner(log, engine, RunnerConfig(lambda query, limit: (), 5.0, lambda work: None))
    return ClaimService(log.ownership, log, ConversationService(log, runner, idle_timeout_ms=30_000))


def claimable(log: RedisConversationStore) -> str:
    """An anonymous conversation with a question, its answer, a rating and two tickets; its id."""
    session_id = ids.new_session_id()
    session_hash = ids.hash_session_id(session_id) or ""
    log.create_session(session_hash, b'{"page":"/pricing"}', "")
    log.append_message(session_hash, "", words("said", "c1"))
    log.start_turn(session_hash, "", words("asked", "c2"), "turn_1")
    log.finish_turn(session_hash, "turn_1", TurnResult("end", tail="answered"))
    number = int(orjson.loads(log.read_messages(session_hash, "", "", 0, 1).messages[0])["id"].split("_")[1])
    log.set_feedback(session_hash, "", number, b'{"value":"up"}')
    for kind in ("once", "share"):
        ticket = ids.new_ticket(session_hash)
        log.save_ticket(session_hash, "", ticket.hash, kind, ticket.encrypt(session_id))
    log.acquire_feed_slot("sessions", 3, "f1", session_hash)
    return session_id


def hash_of(session_id: str) -> str:
    return ids.hash_session_id(session_id) or ""


def test_all_of_it_moves(log: RedisConversationStore) -> None:
    """Words, numbers, times, client ids, ratings, limits and metadata stand at the new place; message ids are new."""
    old = claimable(log)
    before = log.read_messages(hash_of(old), "", "", 0, 10)
    moved = ownership(log).claim(old, someone())
    assert moved != old
    session_hash, user = hash_of(moved), someone().user
    after = log.read_messages(session_hash, user, "", 0, 10)
    for name in (
        "created_at",
        "last_seen_at",
        "updated_at",
        "expires_at",
        "message_count",
        "last_event",
        "metadata",
        "ended",
        "has_more",
    ):
        assert getattr(after, name) == getattr(before, name), name
    was, now = ids.session_tag(hash_of(old)), ids.session_tag(session_hash)
    assert [one.replace(now.encode(), was.encode(), 1) for one in after.messages] == before.messages
    assert all(orjson.loads(one)["id"].endswith(f"_{now}") for one in after.messages)
    assert log.append_message(session_hash, user, words("other", "c1")).is_new is False
    assert log.start_turn(session_hash, user, words("other", "c2"), "turn_2").outcome == "completed"
    number = orjson.loads(log.append_message(session_hash, user, words("more")).message)["id"].split("_")[1]
    assert int(number) == before.last_event + 1


def test_the_old_place_is_empty(log: RedisConversationStore, backend: Backend) -> None:
    """At the old place nobody finds anything; what is left there is the way to the new one, sealed, for a while."""
    old = claimable(log)
    ownership(log).claim(old, someone())
    for actor in ("", "*", someone().user):
        with pytest.raises(NotFound):
            log.read_messages(hash_of(old), actor, "", 0, 1)
    assert [key for key in backend.held() if hash_of(old).encode() in key] == [
        f"baton:{{{hash_of(old)}}}:moved".encode()
    ]
    assert backend.endless() == []


def test_the_limit_of_a_session_moves_with_it(opened: Open) -> None:
    """Signing in gives nobody their quota of questions back."""
    log = opened(session_limit=2)
    old = ids.new_session_id()
    log.create_session(hash_of(old), b"", "")
    log.append_message(hash_of(old), "", words("one"))
    moved = ownership(log).claim(old, someone())
    assert log.append_message(hash_of(moved), someone().user, words("two")).remaining == 0


def test_twenty_claims_at_once_give_one_new_id(opened: Open) -> None:
    """Twenty claims over two workers: one new conversation, the same for all of them, with every message once."""
    logs = [opened(), opened()]
    old = claimable(logs[0])
    claims = [ownership(log) for log in logs]
    found = at_once(20, lambda number: claims[number % 2].claim(old, someone()))
    assert len(set(found)) == 1
    assert logs[0].read_messages(hash_of(found[0]), someone().user, "", 0, 10).message_count == 3


def test_a_claim_that_broke_off_is_taken_up(
    log: RedisConversationStore, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies at any step of a claim loses nothing: the same call again ends it, with the same new id."""
    monkeypatch.setattr(ownership_module, "MIGRATION_LEASE_MS", 50)
    for broken in ("import_session", "finish_migration"):
        old = claimable(log)

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(log.ownership, broken, die)
            with pytest.raises(KeyboardInterrupt):
                ownership(log).claim(old, someone())
        with pytest.raises(NotFound):
            log.read_messages(hash_of(old), "", "", 0, 1)
        assert backend.endless() == []
        moved = ownership(log).claim(old, someone())
        assert log.read_messages(hash_of(moved), someone().user, "", 0, 10).message_count == 3
        assert ownership(log).claim(old, someone()) == moved


def test_the_way_is_for_its_user_and_for_a_while(opened: Open, backend: Backend) -> None:
    """The same claim again within the life of a ticket gives the same id; another's and a late one find nothing."""
    log = opened(ticket_ttl=800)
    old = claimable(log)
    claims = ownership(log)
    moved = claims.claim(old, someone())
    assert [claims.claim(old, someone()) for _ in range(3)] == [moved] * 3
    with pytest.raises(NotFound):
        claims.claim(old, someone("eve"))
    until(lambda: not [key for key in backend.held() if hash_of(old).encode() in key], 5, "the way to be forgotten")
    with pytest.raises(NotFound):
        claims.claim(old, someone())


def test_what_cannot_be_claimed(log: RedisConversationStore) -> None:
    """Their own stays as it is; another's, an ended, a busy and an unknown one are refused."""
    claims = ownership(log)
    mine, other, ended, busy = (ids.new_session_id() for _ in range(4))
    log.create_session(hash_of(mine), b"", someone().user)
    log.create_session(hash_of(other), b"", someone("eve").user)
    for one in (ended, busy):
        log.create_session(hash_of(one), b"", "")
    log.end_session(hash_of(ended), "")
    log.start_turn(hash_of(busy), "", words("asked"), "turn_1")
    assert claims.claim(mine, someone()) == mine
    refusals: list[tuple[str, type[Exception], str]] = [
        (other, Forbidden, "not_owner"),
        (ended, Conflict, "session_ended"),
        (busy, Conflict, "turn_in_progress"),
        (ids.new_session_id(), NotFound, "session_not_found"),
    ]
    for one, kind, code in refusals:
        with pytest.raises(kind) as refused:
            claims.claim(one, someone())
        assert refused.value.code == code  # type: ignore[attr-defined]
    assert log.read_messages(hash_of(busy), "", "", 0, 1).turn_id == "turn_1"


def test_the_answer_of_a_dead_worker_is_closed_first(
    log: RedisConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversation whose answer nobody makes any more can be claimed; what was said of it moves along."""
    monkeypatch.setattr("app.storage.redis_store.LEASE_MS", 100)
    old = ids.new_session_id()
    log.create_session(hash_of(old), b"", "")
    log.start_turn(hash_of(old), "", words("asked"), "turn_1")
    log.append_delta(hash_of(old), "turn_1", 0, "An")
    until(lambda: log.read_messages(hash_of(old), "", "", 0, 0).turn_expired, 5, "the lease to end")
    moved = ownership(log).claim(old, someone())
    said = [
        orjson.loads(one)["content"] for one in log.read_messages(hash_of(moved), someone().user, "", 0, 10).messages
    ]
    assert said == ["asked", "An"]


def test_a_long_conversation_moves(log: RedisConversationStore) -> None:
    """500 messages of four kilobytes each arrive, each once and in order."""
    old = ids.new_session_id()
    log.create_session(hash_of(old), b"", "")
    for n in range(500):
        body = orjson.dumps({"role": "user", "content": f"{n} " + "x" * 4000, "metadata": {}})[1:]
        log.append_message(hash_of(old), "", NewMessage(body))
    moved = ownership(log).claim(old, someone())
    kept = log.read_messages(hash_of(moved), someone().user, "", 0, 500).messages
    assert [int(orjson.loads(one)["content"].split()[0]) for one in kept] == list(range(500))


def test_a_user_finds_his_last(log: RedisConversationStore, backend: Backend) -> None:
    """The last conversation of a user is found by them alone, until it has ended or is erased."""
    claims = ownership(log)
    first, last = (ids.new_session_id() for _ in range(2))
    for one in (first, last):
        log.create_session(hash_of(one), b"", someone().user)
        claims.set_last_session(someone(), one)
    assert claims.get_last_session(someone()) == last
    log.delete_session(hash_of(first), someone().user)
    assert claims.get_last_session(someone()) == last
    claims.set_last_session(someone("eve"), last)
    with pytest.raises(NotFound):
        claims.get_last_session(someone("eve"))
    assert backend.endless() == []
    log.delete_session(hash_of(last), someone().user)
    assert backend.held() == []
    claimed = claims.claim(claimable(log), someone())
    claims.set_last_session(someone(), claimed)
    log.delete_session(hash_of(claimed), someone().user)
    assert [key for key in backend.held() if b"limits" not in key] == []
    ended = ids.new_session_id()
    log.create_session(hash_of(ended), b"", someone().user)
    claims.set_last_session(someone(), ended)
    log.end_session(hash_of(ended), someone().user)
    with pytest.raises(NotFound):
        claims.get_last_session(someone())


def test_the_last_session_is_found_with_another_secret(log: RedisConversationStore) -> None:
    """What was remembered under one secret is found under the next while both are in use, and not after."""
    old, other = {"2025": SECRET + " old"}, {"2026": SECRET + " new"}
    before = verify_user_token(token(SECRET + " old", {"kid": "2025"}), old)
    both = verify_user_token(token(SECRET + " new", {"kid": "2026"}), old | other)
    after = verify_user_token(token(SECRET + " new", {"kid": "2026"}), other)
    one = ids.new_session_id()
    log.create_session(hash_of(one), b"", before.user)
    ownership(log).set_last_session(before, one)
    assert ownership(log).get_last_session(both) == one
    with pytest.raises(NotFound):
        ownership(log).get_last_session(after)


def test_no_id_stands_in_redis_in_clear(log: RedisConversationStore, backend: Backend) -> None:
    """Neither the old nor the new id is in any key or value after a claim, nor while it is under way."""
    old = claimable(log)
    claims = ownership(log)
    moved = claims.claim(old, someone())
    claims.set_last_session(someone(), moved)
    under_way = claimable(log)
    log.ownership.export_session(hash_of(under_way), someone().user, ids.encrypt(moved, b"x"), hash_of(moved))
    held = everything(backend)
    secrets = [part for one in (old, moved, under_way) for part in (one[4:].encode(), one.encode().hex().encode())]
    assert not [value for value in held for secret in secrets if secret in value]
    assert new(log)


def test_a_link_of_an_owned_conversation(log: RedisConversationStore) -> None:
    """Only a signed ticket opens to whoever has it; the others need their owner, and no refusal burns them."""
    user = someone().user
    one = ids.new_session_id()
    log.create_session(hash_of(one), b"", user)
    for kind in ("once", "share"):
        ticket = ids.new_ticket(hash_of(one))
        log.save_ticket(hash_of(one), user, ticket.hash, kind, ticket.encrypt(one))
        for actor in ("", "eve"):
            with pytest.raises(Forbidden):
                log.redeem_ticket(hash_of(one), actor, ticket.hash, "c")
        assert log.redeem_ticket(hash_of(one), user, ticket.hash, "c")[1] == kind
    ticket = ids.new_ticket(hash_of(one))
    log.save_ticket(hash_of(one), user, ticket.hash, "signed", ticket.encrypt(one, "a.b.c"))
    with pytest.raises(Forbidden):
        log.redeem_ticket(hash_of(one), "eve", ticket.hash, "c")
    sealed, kind = log.redeem_ticket(hash_of(one), "", ticket.hash, "c")
    assert (ticket.decrypt_with_token(sealed), kind) == ((one, "a.b.c"), "signed")
    with pytest.raises(NotFound):
        log.redeem_ticket(hash_of(one), "", ticket.hash, "d")
