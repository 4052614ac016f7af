"""Tickets, slots of feeds, the engine budget and rate windows, in Redis."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from redis.exceptions import RedisError

from app.conversations import ids
from app.errors import EngineBusy
from app.storage import redis_store as log_module
from app.storage.base import Release, TurnResult
from app.storage.redis_store import ENGINE_MINUTE_KEY, ENGINE_RUNNING_KEY, RedisConversationStore
from tests.conftest import until
from tests.storage.conftest import Open, at_once, new, words
from tests.storage.servers import Backend


def ticket(log: RedisConversationStore, session_hash: str, kind: ids.TicketKind = "once") -> ids.HandoffTicket:
    made = ids.new_ticket(session_hash)
    log.save_ticket(session_hash, "", made.hash, kind, made.encrypt("ses_" + "x" * 32))
    return made


def taken(log: RedisConversationStore, session_hash: str, hash_: str, client_id: str = "") -> bool:
    with suppress(Exception):
        return bool(log.redeem_ticket(session_hash, "", hash_, client_id)[0])
    return False


def test_fifty_takes_at_once_have_one_winner(opened: Open) -> None:
    """A once ticket is taken by one of fifty, over two workers, and never again."""
    logs = [opened(), opened()]
    session_hash = new(logs[0])
    made = ticket(logs[0], session_hash)
    found = at_once(50, lambda n: taken(logs[n % 2], session_hash, made.hash, f"c{n}" if n % 3 else ""))
    assert found.count(True) == 1
    assert not taken(logs[0], session_hash, made.hash)


def test_a_lost_reply_does_not_burn_a_ticket(log: RedisConversationStore) -> None:
    """The same client id takes the same ticket again and gets the same answer; another client id does not."""
    session_hash = new(log)
    made = ticket(log, session_hash)
    first = log.redeem_ticket(session_hash, "", made.hash, "c1")
    assert log.redeem_ticket(session_hash, "", made.hash, "c1") == first
    assert not taken(log, session_hash, made.hash, "c2")
    assert not taken(log, session_hash, made.hash, "")


def test_a_once_ticket_is_dead_after_its_time(opened: Open) -> None:
    """Past its time a ticket is gone, also for the one who took it."""
    log = opened(ticket_ttl=300)
    session_hash = new(log)
    fresh, used = ticket(log, session_hash), ticket(log, session_hash)
    assert taken(log, session_hash, used.hash, "c1")
    look = log.read_messages(session_hash, "", "", 0, 0).now
    until(lambda: log.read_messages(session_hash, "", "", 0, 0).now > look + 350, 5, "the time to pass")
    assert not taken(log, session_hash, fresh.hash)
    assert not taken(log, session_hash, used.hash, "c1")


def test_a_share_ticket_is_good_until_the_end(opened: Open) -> None:
    """A share ticket works again and again, past the time of a once ticket, and not after the session's end."""
    log = opened(ticket_ttl=100)
    session_hash = new(log)
    made = ticket(log, session_hash, "share")
    began = log.read_messages(session_hash, "", "", 0, 0).now
    until(lambda: log.read_messages(session_hash, "", "", 0, 0).now > began + 150, 5, "a once ticket's time to pass")
    assert [taken(log, session_hash, made.hash) for _ in range(3)] == [True] * 3
    log.end_session(session_hash, "")
    assert not taken(log, session_hash, made.hash)


def test_tickets_cannot_fill_the_memory(log: RedisConversationStore, backend: Backend) -> None:
    """A session keeps at most a hundred tickets; the newest one is among them."""
    session_hash = new(log)
    made = [ticket(log, session_hash, "once" if n % 2 else "share") for n in range(130)]
    assert backend.holder(session_hash).hlen(f"baton:{{{session_hash}}}:tickets") == 100
    assert taken(log, session_hash, made[-1].hash)


def test_feeds_are_held_to_their_number(log: RedisConversationStore) -> None:
    """So many feeds at once and no more; a renewal is none more; a place given back is free."""
    session_hash = new(log)
    assert [log.acquire_feed_slot("s", 3, f"f{n}", session_hash) for n in range(4)] == [True, True, True, False]
    assert log.acquire_feed_slot("s", 3, "f1", session_hash)
    log.release_feed_slot("s", "f0", session_hash)
    assert log.acquire_feed_slot("s", 3, "f3", session_hash)
    assert [log.acquire_feed_slot("address", 1, f"f{n}") for n in range(2)] == [True, False]
    log.release_feed_slot("address", "f0")
    assert log.acquire_feed_slot("address", 1, "f1")


def test_the_engine_budget_holds_over_all_workers(opened: Open) -> None:
    """Twenty claims at once over two workers: as many as may run get a place; one given back is free again."""
    logs = [
        opened(max_engine_calls=3, max_engine_calls_per_minute=100),
        opened(max_engine_calls=3, max_engine_calls_per_minute=100),
    ]
    waits = at_once(20, lambda n: logs[n % 2].acquire_engine_slot(f"turn_{n}"))
    assert waits.count(0) == 3
    assert all(wait > 0 for wait in waits if wait)
    logs[0].release_engine_slot(f"turn_{waits.index(0)}")
    assert logs[1].acquire_engine_slot("turn_late") == 0
    assert logs[1].acquire_engine_slot("turn_later") > 0


def test_one_address_has_a_quarter_of_the_engine_budget(opened: Open, backend: Backend) -> None:
    """Of six places one address gets two, a quarter rounded up, over all workers and for claims and turns alike;
    another address gets its own two; one given back is free again.
    """
    logs = [opened(max_engine_calls=6), opened(max_engine_calls=6)]
    session_hash = new(logs[0])
    waits = at_once(20, lambda n: logs[n % 2].acquire_engine_slot(f"turn_{n}", "address-1"))
    assert waits.count(0) == 2
    assert all(wait > 0 for wait in waits if wait)
    question = replace(words("asked"), address="address-1")
    with pytest.raises(EngineBusy):
        logs[0].start_turn(session_hash, "", question, "turn_refused", claim=True)
    logs[1].release_engine_slot(f"turn_{waits.index(0)}", "address-1")
    assert logs[0].start_turn(session_hash, "", question, "turn_begun", claim=True).outcome == "started"
    assert logs[1].acquire_engine_slot("turn_later", "address-1") > 0
    assert [logs[n % 2].acquire_engine_slot(f"turn_other_{n}", "address-2") > 0 for n in range(4)] == [
        False,
        False,
        True,
        True,
    ]
    logs[0].finish_turn(session_hash, "turn_begun", TurnResult("end"), release=True, address="address-1")
    assert logs[1].acquire_engine_slot("turn_later", "address-1") == 0
    assert backend.endless() == []


def test_the_same_question_again_has_the_place_of_its_dead_turn(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address whose only place a killed worker held asks again as soon as the broken answer is closed."""
    monkeypatch.setattr(log_module, "LEASE_MS", 50)
    monkeypatch.setattr(log_module, "LEASE_GRACE_MS", 100)
    log = opened(max_engine_calls=4)
    session_hash, question = new(log), replace(words("asked", "c1"), address="address-1")
    assert log.start_turn(session_hash, "", question, "turn_dead", claim=True).outcome == "started"
    with pytest.raises(EngineBusy):
        log.start_turn(new(log), "", replace(words("other"), address="address-1"), "turn_refused", claim=True)
    until(lambda: log.expire_dead_turn(session_hash), 10, "the broken answer to be closed")
    again = log.start_turn(session_hash, "", question, "turn_again", claim=True)
    assert (again.outcome, again.turn_id) == ("started", "turn_again")


def test_the_share_of_a_dead_worker_is_free_after_its_time(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place of an address that is no longer renewed is free again; one that is renewed is kept."""
    monkeypatch.setattr(log_module, "ENGINE_SLOT_MS", 600)
    log = opened(max_engine_calls=8)
    assert log.acquire_engine_slot("turn_dead", "address-1") == 0
    assert log.acquire_engine_slot("turn_alive", "address-1") == 0

    def free() -> bool:
        log.renew_engine_slot("turn_alive", "address-1")
        return log.acquire_engine_slot("turn_other", "address-1") == 0

    until(free, 10, "the place of the dead")
    assert log.acquire_engine_slot("turn_late", "address-1") > 0


def given_up(log: RedisConversationStore) -> None:
    """Waits until a second place is free, while the first is kept."""

    def free() -> bool:
        log.renew_engine_slot("turn_beside")
        return log.acquire_engine_slot("turn_other") == 0

    until(free, 10, "the place of the dead")


@pytest.mark.parametrize("started", [False, True])
def test_a_claim_lives_for_as_long_as_it_is_renewed(
    opened: Open, monkeypatch: pytest.MonkeyPatch, started: bool
) -> None:
    """Renewed, the place of a long answer outlives its first claim; no longer renewed, as of the dead, it is free."""
    monkeypatch.setattr(log_module, "ENGINE_SLOT_MS", 1_000)
    log = opened(max_engine_calls=2)
    session_hash = new(log)
    assert log.acquire_engine_slot("turn_beside") == 0
    if started:
        assert log.start_turn(session_hash, "", words("asked"), "turn_long", claim=True).outcome == "started"
    else:
        assert log.acquire_engine_slot("turn_long") == 0
    began = log.read_messages(session_hash, "", "", 0, 0).now
    while log.read_messages(session_hash, "", "", 0, 0).now < began + 2_000:
        log.renew_engine_slot("turn_long")
        log.renew_engine_slot("turn_beside")
        assert log.acquire_engine_slot("turn_other") > 0
    given_up(log)


@pytest.mark.parametrize("started", [False, True])
def test_a_claim_that_is_never_renewed_is_free_after_its_time(
    opened: Open, monkeypatch: pytest.MonkeyPatch, started: bool
) -> None:
    """A worker that dies at once holds its place for the time of one claim, while those of others are kept."""
    monkeypatch.setattr(log_module, "ENGINE_SLOT_MS", 600)
    log = opened(max_engine_calls=2)
    session_hash = new(log)
    if started:
        assert log.start_turn(session_hash, "", words("asked"), "turn_dead", claim=True).outcome == "started"
    else:
        assert log.acquire_engine_slot("turn_dead") == 0
    assert log.acquire_engine_slot("turn_beside") == 0
    given_up(log)


def test_the_budget_of_a_minute(opened: Open, backend: Backend) -> None:
    """So many calls a minute, those that ended included, those never made not; then one waits, at most a minute."""
    log = opened(max_engine_calls=10, max_engine_calls_per_minute=3)
    assert log.acquire_engine_slot("unused") == 0
    log.release_engine_slot("unused", unused=True)
    for n in range(3):
        assert log.acquire_engine_slot(f"turn_{n}") == 0
        log.release_engine_slot(f"turn_{n}")
    assert 0 < log.acquire_engine_slot("turn_3") <= 60_000
    assert backend.endless() == []


def test_windows_from_before_the_clock_was_set_back(opened: Open, backend: Backend) -> None:
    """A window whose end a clock that was set back has moved away ends no later than a window lasts; claims likewise
    are no more than their holders renew.
    """
    log = opened(max_engine_calls=1, max_engine_calls_per_minute=1)
    key, running, minute = "baton:limits:{abc}:create", ENGINE_RUNNING_KEY, ENGINE_MINUTE_KEY
    assert log.hit_rate_limit(key, 1, 400)[0]
    assert log.acquire_engine_slot("turn_1") == 0
    for one in backend.primaries:
        with suppress(RedisError):  # another node of a Cluster holds it
            one.pexpire(key, 3_600_000)
        with suppress(RedisError):
            one.pexpire(minute, 3_600_000)
            one.zincrby(running, 3_600_000, "turn_1")
    assert 0 < log.hit_rate_limit(key, 1, 400)[2] <= 400
    assert 0 < log.acquire_engine_slot("turn_2") <= 60_000
    log.renew_engine_slot("turn_1")
    assert log.acquire_engine_slot("turn_3") == 1_000


def test_an_address_window(log: RedisConversationStore) -> None:
    """So many calls in a window; what remains counts down; then the window is whole again."""
    key = "baton:limits:{abc}:create"
    assert [log.hit_rate_limit(key, 2, 400)[:2] for _ in range(3)] == [(True, 1), (True, 0), (False, 0)]
    admitted, left, reset = log.hit_rate_limit(key, 2, 400)
    assert (admitted, left) == (False, 0)
    assert 0 < reset <= 400
    until(lambda: log.hit_rate_limit(key, 2, 400)[0], 5, "the window to pass")


ENDS: dict[str, Callable[[RedisConversationStore, str], object]] = {
    "stop": lambda log, session: log.stop_turn(session, ""),
    "end": lambda log, session: log.end_session(session, ""),
    "delete": lambda log, session: log.delete_session(session, ""),
    "take": lambda log, session: log.take(session, "op_anna", "Anna", force=False),
    "an operator's message": lambda log, session: log.append_operator_message(
        session, words("Hello"), "op_anna", "Anna"
    ),
    "a request for a person": lambda log, session: log.request_human(session, "", b"", "", "1", "visitor"),
    "a release": lambda log, session: log.release(session, Release("queue", "released", "*", position="1")),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_turn_that_others_end_gives_its_place_back_soon(opened: Open, backend: Backend, name: str) -> None:
    """Also where its worker has died, which could not say so: long before its place would expire by itself."""
    log = opened(max_engine_calls=4, tracking="desk")
    session_hash = new(log)
    question = replace(words("asked"), address="address-1")
    assert log.start_turn(session_hash, "", question, "turn_lost", claim=True).outcome == "started"
    assert log.acquire_engine_slot("turn_next", "address-1") > 0
    ENDS[name](log, session_hash)
    if backend.name == "cluster":  # the budget is on another node
        log.release_engine_slot("turn_lost", "address-1")
    until(lambda: log.acquire_engine_slot("turn_next", "address-1") == 0, 10, "the place to be free")
