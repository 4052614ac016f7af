"""A conversation that becomes a signed-in user's, on every Redis: moved whole, once, and found by him alone."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app import session
from app.answering import Answering
from app.conversation import Conversations
from app.errors import Conflict, Forbidden, NotFound
from app.identity import Person, person_of
from app.ownership import Ownership
from app.ports import Closing, Words
from app.store import owners
from app.store.log import RedisLog
from tests.conftest import until
from tests.rules.test_identity import SECRET, token
from tests.store.conftest import Open, at_once, new, words
from tests.store.servers import Backend
from tests.store.test_log_life import everything

SECRETS = {"": SECRET}


def someone(name: str = "ada") -> Person:
    return person_of(token(sub=name), SECRETS)


def ownership(log: RedisLog) -> Ownership:
    answering: Any = None  # nobody asks anything here
    return Ownership(log.owners, log, Conversations(log, Answering(log, answering, answering), idle=30_000))


def begun(log: RedisLog) -> str:
    """An anonymous conversation with a question, its answer, a rating and two tickets; its id."""
    session_id = session.new_id()
    ref = session.ref_of(session_id) or ""
    log.create(ref, b'{"page":"/pricing"}', "")
    log.append(ref, "", words("said", "c1"))
    log.begin(ref, "", words("asked", "c2"), "turn_1")
    log.close(ref, "turn_1", Closing("end", tail="answered"))
    number = int(orjson.loads(log.read(ref, "", "", 0, 1).messages[0])["id"].split("_")[1])
    log.rate(ref, "", number, b'{"value":"up"}')
    for kind in ("once", "share"):
        ticket = session.new_ticket(ref)
        log.hand_off(ref, "", ticket.hash, kind, ticket.seal(session_id))
    log.feed("sessions", 3, "f1", ref)
    return session_id


def place(session_id: str) -> str:
    return session.ref_of(session_id) or ""


def test_all_of_it_moves(log: RedisLog) -> None:
    """Words, numbers, times, client ids, ratings, limits and metadata stand at the new place; message ids are new."""
    old = begun(log)
    before = log.read(place(old), "", "", 0, 10)
    moved = ownership(log).claim(old, someone())
    assert moved != old
    ref, user = place(moved), someone().user
    after = log.read(ref, user, "", 0, 10)
    for name in ("created", "seen", "updated", "expires", "count", "seq", "metadata", "ended", "has_more"):
        assert getattr(after, name) == getattr(before, name), name
    was, now = session.tag_of(place(old)), session.tag_of(ref)
    assert [one.replace(now.encode(), was.encode(), 1) for one in after.messages] == before.messages
    assert all(orjson.loads(one)["id"].endswith(f"_{now}") for one in after.messages)
    assert log.append(ref, user, words("other", "c1")).fresh is False
    assert log.begin(ref, user, words("other", "c2"), "turn_2").outcome == "done"
    number = orjson.loads(log.append(ref, user, words("more")).message)["id"].split("_")[1]
    assert int(number) == before.seq + 1


def test_the_old_place_is_empty(log: RedisLog, backend: Backend) -> None:
    """At the old place nobody finds anything; what is left there is the way to the new one, sealed, for a while."""
    old = begun(log)
    ownership(log).claim(old, someone())
    for who in ("", "*", someone().user):
        with pytest.raises(NotFound):
            log.read(place(old), who, "", 0, 1)
    assert [key for key in backend.held() if place(old).encode() in key] == [f"baton:{{{place(old)}}}:moved".encode()]
    assert backend.endless() == []


def test_the_limit_of_a_session_moves_with_it(opened: Open) -> None:
    """Signing in gives nobody his questions back."""
    log = opened(session_limit=2)
    old = session.new_id()
    log.create(place(old), b"", "")
    log.append(place(old), "", words("one"))
    moved = ownership(log).claim(old, someone())
    assert log.append(place(moved), someone().user, words("two")).left == 0


def test_twenty_claims_at_once_give_one_new_id(opened: Open) -> None:
    """Twenty claims over two workers: one new conversation, the same for all of them, with every message once."""
    logs = [opened(), opened()]
    old = begun(logs[0])
    doors = [ownership(log) for log in logs]
    found = at_once(20, lambda number: doors[number % 2].claim(old, someone()))
    assert len(set(found)) == 1
    assert logs[0].read(place(found[0]), someone().user, "", 0, 10).count == 3


def test_a_claim_that_broke_off_is_taken_up(log: RedisLog, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies at any step of a claim loses nothing: the same call again ends it, with the same new id."""
    monkeypatch.setattr(owners, "CARRY_MS", 50)
    for broken in ("move_in", "moved"):
        old = begun(log)

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(log.owners, broken, die)
            with pytest.raises(KeyboardInterrupt):
                ownership(log).claim(old, someone())
        with pytest.raises(NotFound):
            log.read(place(old), "", "", 0, 1)
        assert backend.endless() == []
        moved = ownership(log).claim(old, someone())
        assert log.read(place(moved), someone().user, "", 0, 10).count == 3
        assert ownership(log).claim(old, someone()) == moved


def test_the_way_is_for_its_user_and_for_a_while(opened: Open, backend: Backend) -> None:
    """The same claim again within the life of a ticket gives the same id; another's and a late one find nothing."""
    log = opened(ticket_ttl=800)
    old = begun(log)
    door = ownership(log)
    moved = door.claim(old, someone())
    assert [door.claim(old, someone()) for _ in range(3)] == [moved] * 3
    with pytest.raises(NotFound):
        door.claim(old, someone("eve"))
    until(lambda: not [key for key in backend.held() if place(old).encode() in key], 5, "the way to be forgotten")
    with pytest.raises(NotFound):
        door.claim(old, someone())


def test_what_cannot_be_claimed(log: RedisLog) -> None:
    """His own is his as it is; another's, an ended, a busy and an unknown one are refused."""
    door = ownership(log)
    mine, other, ended, busy = (session.new_id() for _ in range(4))
    log.create(place(mine), b"", someone().user)
    log.create(place(other), b"", someone("eve").user)
    for one in (ended, busy):
        log.create(place(one), b"", "")
    log.finish(place(ended), "")
    log.begin(place(busy), "", words("asked"), "turn_1")
    assert door.claim(mine, someone()) == mine
    refusals: list[tuple[str, type[Exception], str]] = [
        (other, Forbidden, "not_owner"),
        (ended, Conflict, "session_ended"),
        (busy, Conflict, "turn_in_progress"),
        (session.new_id(), NotFound, "session_not_found"),
    ]
    for one, kind, code in refusals:
        with pytest.raises(kind) as refused:
            door.claim(one, someone())
        assert refused.value.code == code  # type: ignore[attr-defined]
    assert log.read(place(busy), "", "", 0, 1).turn_id == "turn_1"


def test_the_answer_of_a_dead_worker_is_closed_first(log: RedisLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversation whose answer nobody makes any more can be claimed; what was said of it moves along."""
    monkeypatch.setattr("app.store.log.LEASE_MS", 100)
    old = session.new_id()
    log.create(place(old), b"", "")
    log.begin(place(old), "", words("asked"), "turn_1")
    log.grow(place(old), "turn_1", 0, "An")
    until(lambda: log.read(place(old), "", "", 0, 0).turn_dead, 5, "the lease to end")
    moved = ownership(log).claim(old, someone())
    said = [orjson.loads(one)["content"] for one in log.read(place(moved), someone().user, "", 0, 10).messages]
    assert said == ["asked", "An"]


def test_a_long_conversation_moves(log: RedisLog) -> None:
    """500 messages of four kilobytes each arrive, each once and in order."""
    old = session.new_id()
    log.create(place(old), b"", "")
    for n in range(500):
        body = orjson.dumps({"role": "user", "content": f"{n} " + "x" * 4000, "metadata": {}})[1:]
        log.append(place(old), "", Words(body))
    moved = ownership(log).claim(old, someone())
    kept = log.read(place(moved), someone().user, "", 0, 500).messages
    assert [int(orjson.loads(one)["content"].split()[0]) for one in kept] == list(range(500))


def test_a_user_finds_his_last(log: RedisLog, backend: Backend) -> None:
    """The last conversation of a user is found by him alone, until it has ended or is erased."""
    door = ownership(log)
    first, last = (session.new_id() for _ in range(2))
    for one in (first, last):
        log.create(place(one), b"", someone().user)
        door.remember(someone(), one)
    assert door.last(someone()) == last
    log.erase(place(first), someone().user)
    assert door.last(someone()) == last
    door.remember(someone("eve"), last)
    with pytest.raises(NotFound):
        door.last(someone("eve"))
    assert backend.endless() == []
    log.erase(place(last), someone().user)
    assert backend.held() == []
    claimed = door.claim(begun(log), someone())
    door.remember(someone(), claimed)
    log.erase(place(claimed), someone().user)
    assert [key for key in backend.held() if b"limits" not in key] == []
    ended = session.new_id()
    log.create(place(ended), b"", someone().user)
    door.remember(someone(), ended)
    log.finish(place(ended), someone().user)
    with pytest.raises(NotFound):
        door.last(someone())


def test_his_last_is_found_with_another_secret(log: RedisLog) -> None:
    """What was remembered under one secret is found under the next while both are in use, and not after."""
    old, other = {"2025": SECRET + " old"}, {"2026": SECRET + " new"}
    before = person_of(token(SECRET + " old", {"kid": "2025"}), old)
    both = person_of(token(SECRET + " new", {"kid": "2026"}), old | other)
    after = person_of(token(SECRET + " new", {"kid": "2026"}), other)
    one = session.new_id()
    log.create(place(one), b"", before.user)
    ownership(log).remember(before, one)
    assert ownership(log).last(both) == one
    with pytest.raises(NotFound):
        ownership(log).last(after)


def test_no_id_stands_in_redis_in_clear(log: RedisLog, backend: Backend) -> None:
    """Neither the old nor the new id is in any key or value after a claim, nor while it is under way."""
    old = begun(log)
    door = ownership(log)
    moved = door.claim(old, someone())
    door.remember(someone(), moved)
    under_way = begun(log)
    log.owners.move_out(place(under_way), someone().user, session.seal(moved, b"x"))
    held = everything(backend)
    secrets = [part for one in (old, moved, under_way) for part in (one[4:].encode(), one.encode().hex().encode())]
    assert not [value for value in held for secret in secrets if secret in value]
    assert new(log)


def test_a_link_of_an_owned_conversation(log: RedisLog) -> None:
    """Only a signed ticket opens to whoever has it; the others need their owner, and no refusal burns them."""
    user = someone().user
    one = session.new_id()
    log.create(place(one), b"", user)
    for kind in ("once", "share"):
        ticket = session.new_ticket(place(one))
        log.hand_off(place(one), user, ticket.hash, kind, ticket.seal(one))
        for who in ("", "eve"):
            with pytest.raises(Forbidden):
                log.take(place(one), who, ticket.hash, "c")
        assert log.take(place(one), user, ticket.hash, "c")[1] == kind
    ticket = session.new_ticket(place(one))
    log.hand_off(place(one), user, ticket.hash, "signed", ticket.seal(one, "a.b.c"))
    with pytest.raises(Forbidden):
        log.take(place(one), "eve", ticket.hash, "c")
    sealed, kind = log.take(place(one), "", ticket.hash, "c")
    assert (ticket.unseal_both(sealed), kind) == ((one, "a.b.c"), "signed")
    with pytest.raises(NotFound):
        log.take(place(one), "", ticket.hash, "d")
