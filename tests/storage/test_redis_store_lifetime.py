"""How sessions end and what they leave: expiry, erasing, the cost of a long one, no secret kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from app.conversations import ids
from app.errors import Conflict, NotFound
from app.storage.base import TurnResult
from app.storage.redis_store import RedisConversationStore
from tests.conftest import until
from tests.storage.conftest import Open, at_once, new, words
from tests.storage.servers import Backend


def gone(log: RedisConversationStore, session_hash: str) -> bool:
    try:
        log.read_messages(session_hash, "", "", 0, 0)
    except NotFound:
        return True
    return False


def test_activity_renews_the_life_of_a_session_and_reading_does_not(opened: Open, backend: Backend) -> None:
    """A session that is touched outlives its first end; one that is only read is forgotten with all its keys."""
    log = opened(ttl=1_500)
    kept, left = new(log), new(log)
    log.append_message(left, "", words("said"))
    started = log.read_messages(kept, "", "", 0, 0).created_at

    def past_twice() -> bool:
        with suppress(NotFound):
            log.read_messages(left, "", "", 0, 1)
        log.heartbeat(kept, "", resume=False)
        return log.read_messages(kept, "", "", 0, 0).now > started + 3_200

    until(past_twice, 10, "two lives to pass")
    assert gone(log, left)
    assert not [key for key in backend.held() if left.encode() in key]
    until(lambda: gone(log, kept), 5, "the session to expire")
    until(lambda: backend.held() == [], 5, "every key to be gone")


def test_no_activity_carries_a_session_past_its_greatest_age(opened: Open, backend: Backend) -> None:
    """However busy, it ends at the greatest age, and says no later time before."""
    log = opened(ttl=1_000, max_age=1_500)
    session_hash = new(log)
    look = log.read_messages(session_hash, "", "", 0, 0)
    latest = look.created_at + 1_500

    def busy_until_gone() -> bool:
        try:
            log.append_message(session_hash, "", words("busy"))
            assert log.heartbeat(session_hash, "", resume=False) <= latest
            assert log.read_messages(session_hash, "", "", 0, 0).now <= latest
        except NotFound:
            return True
        return False

    until(busy_until_gone, 10, "the session to end")
    until(lambda: backend.held() == [], 5, "every key to be gone")


def test_appends_that_race_the_expiry_leave_nothing_behind(opened: Open, backend: Backend) -> None:
    """WriteAuditor that go on past the end of a session never make a key that lives for ever."""
    log = opened(ttl=300, max_age=300)
    refs = [new(log) for _ in range(4)]
    endless: list[bytes] = []

    def write(number: int) -> int:
        refused = 0
        while refused < 20:
            try:
                log.append_message(refs[number % 4], "", words("late"))
                log.start_turn(refs[number % 4], "", words("asked"), f"turn_{number}")
            except NotFound:
                refused += 1
            except Conflict:
                pass
            endless.extend(backend.endless() if number == 0 else [])
        return refused

    assert at_once(8, write) == [20] * 8
    assert endless == []
    until(lambda: backend.held() == [], 5, "every key to be gone")


def test_every_key_has_an_end_after_every_verb(opened: Open, backend: Backend) -> None:
    """After each verb, a whole life through, Redis holds no key without an expiry."""
    log = opened(session_limit=100)
    session_hash = ids.hash_session_id(ids.new_session_id()) or ""
    steps: list[Callable[[], object]] = [
        lambda: log.create_session(session_hash, b'{"a":1}', ""),
        lambda: log.append_message(session_hash, "", words("said", "c1")),
        lambda: log.append_message(session_hash, "", words("said", "c1")),
        lambda: log.acquire_engine_slot("turn_1"),
        lambda: log.start_turn(session_hash, "", words("asked", "c2"), "turn_1"),
        lambda: log.append_delta(session_hash, "turn_1", 0, "An"),
        lambda: log.append_message(session_hash, "", words("in between")),
        lambda: log.finish_turn(session_hash, "turn_1", TurnResult("end", offset=2, tail=" answer.")),
        lambda: log.release_engine_slot("turn_1"),
        lambda: log.set_feedback(session_hash, "", 7, b'{"value":"up"}'),
        lambda: log.save_ticket(session_hash, "", "0" * 32, "once", "ab"),
        lambda: log.save_ticket(session_hash, "", "1" * 32, "share", "ab"),
        lambda: log.redeem_ticket(session_hash, "", "0" * 32, "c3"),
        lambda: log.heartbeat(session_hash, "", resume=True),
        lambda: log.acquire_feed_slot("sessions", 3, "f1", session_hash),
        lambda: log.acquire_feed_slot("address", 3, "f1"),
        lambda: log.hit_rate_limit("baton:limits:{a}:create", 3, 5_000),
        lambda: log.start_turn(session_hash, "", words("again"), "turn_2"),
        lambda: log.stop_turn(session_hash, ""),
        lambda: log.end_session(session_hash, ""),
    ]
    for number, step in enumerate(steps):
        step()
        assert backend.endless() == [], f"after step {number}"
    assert len([key for key in backend.held() if session_hash.encode() in key]) >= 6


def test_erasing_leaves_nothing(log: RedisConversationStore, backend: Backend) -> None:
    """Nothing of an erased session is in Redis, and a turn that was running brings no key back."""
    session_hash = new(log, b'{"a":1}')
    log.append_message(session_hash, "", words("said", "c1"))
    log.start_turn(session_hash, "", words("asked", "c2"), "turn_1")
    log.append_delta(session_hash, "turn_1", 0, "An")
    log.save_ticket(session_hash, "", "0" * 32, "share", "ab")
    log.acquire_feed_slot("sessions", 3, "f1", session_hash)
    log.delete_session(session_hash, "")
    assert backend.held() == []
    assert log.append_delta(session_hash, "turn_1", 2, " answer") is False
    for late in (
        lambda: log.finish_turn(session_hash, "turn_1", TurnResult("end", offset=2, tail=" answer")),
        lambda: log.redeem_ticket(session_hash, "", "0" * 32, ""),
        lambda: log.delete_session(session_hash, ""),
    ):
        with pytest.raises(NotFound):
            late()
    log.expire_dead_turn(session_hash)
    log.acquire_feed_slot("sessions", 3, "f1", session_hash)
    assert backend.held() == []


def test_an_append_costs_the_same_at_message_500(log: RedisConversationStore, backend: Backend) -> None:
    """The number of commands of an append and of a read of the newest is the same at message 2 and at message 499."""
    session_hash = new(log)

    def cost(work: Callable[[], object]) -> int:
        before = backend.commands()
        work()
        return backend.commands() - before

    def both(number: int) -> tuple[int, int]:
        return (
            cost(lambda: log.append_message(session_hash, "", words("x", f"c{number}"))),
            cost(lambda: log.read_messages(session_hash, "", "", 0, 1)),
        )

    log.append_message(session_hash, "", words("x", "c0"))
    early = both(1)
    for n in range(2, 498):
        log.append_message(session_hash, "", words("x", f"c{n}"))
    assert both(498) == early
    assert early[0] > 5


def test_no_session_id_stands_anywhere_in_redis(log: RedisConversationStore, backend: Backend) -> None:
    """A session's id is found in no key and no value, tickets of both kinds included."""
    canary = ids.new_session_id()
    session_hash = ids.hash_session_id(canary) or ""
    log.create_session(session_hash, b'{"a":1}', "")
    log.append_message(session_hash, "", words("said", "c1"))
    log.start_turn(session_hash, "", words("asked", "c2"), "turn_1")
    log.finish_turn(session_hash, "turn_1", TurnResult("end", tail="answered"))
    for kind in ("once", "share"):
        ticket = ids.new_ticket(session_hash)
        log.save_ticket(session_hash, "", ticket.hash, kind, ticket.encrypt(canary))
        sealed, _ = log.redeem_ticket(session_hash, "", ticket.hash, "c3")
        assert ticket.decrypt(sealed) == canary
    held = everything(backend)
    assert len(held) > 20
    secrets = [canary.encode(), canary[4:].encode(), canary.encode().hex().encode()]
    assert not [value for value in held for secret in secrets if secret in value]


def everything(backend: Backend) -> list[bytes]:
    """Every key and every value that Redis holds."""
    found: list[bytes] = []
    for one in backend.primaries:
        for key in one.keys("*"):
            found.append(key)
            kind = one.type(key)
            if kind == b"hash":
                found += [part for pair in one.hgetall(key).items() for part in pair]
            elif kind == b"stream":
                found += [part for _, entry in one.xrange(key) for pair in entry.items() for part in pair]
            elif kind == b"zset":
                found += one.zrange(key, 0, -1)
            else:
                found.append(one.get(key))
    return found
