"""What happens to conversations by the clock, on every Redis: recorded once, whoever sweeps and whoever dies."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from app.auth.operators import PRESENT_MS, Operator, OperatorDirectory
from app.conversations.people import VISITOR_AWAY_MS, PeopleService
from app.conversations.sweeper import LEASE_MS, People, Sweeper
from app.storage.desk_index import SweepRules
from app.storage.operators import RedisOperatorStore
from app.storage.redis_store import CHANGES_KEY, RedisConversationStore
from tests.conftest import until
from tests.storage.conftest import RULES, Open, at_once, new
from tests.storage.servers import Backend
from tests.storage.test_desk_index import asked, index_of, queue, queued_types, ref_of, refs
from tests.storage.turns import story

ANNA, BEN = Operator("op_anna", "Anna", "operator"), Operator("op_ben", "Ben", "operator")
QUEUE_MS = 700
pytestmark = pytest.mark.parametrize("backend", ["embedded", "cluster"], indirect=True)


class Desk:
    """A log with its index, operators and people, and sweepers as many as there are workers."""

    def __init__(self, log: RedisConversationStore, backend: Backend) -> None:
        self.log, self.backend, self.index = log, backend, index_of(log)
        self.operators = OperatorDirectory(RedisOperatorStore(log.client))
        self.people = PeopleService(log, self.operators, self.index)
        for operator in (ANNA, BEN):
            log.client.call("HSET", "baton:desk:{desk}:operators", operator.id, b'{"name":"%b","role":"operator"}'
                            % operator.name.encode())  # fmt: skip
            self.operators.touch(operator.id)

    def sweeper(self, worker: str = "one") -> Sweeper:
        return Sweeper(self.index, self.log, worker, People(self.people, self.operators, QUEUE_MS))

    def sweep_until(self, condition: Callable[[], object], what: str, sweeper: Sweeper | None = None) -> None:
        sweeper = sweeper or self.sweeper()
        until(lambda: sweeper.sweep() and condition(), 8, what)

    def set_back(self, session_hash: str, ms: int) -> None:
        """As if the visitor had been seen so much earlier, and somebody had taken them so much earlier."""
        meta = "baton:{" + session_hash + "}:meta"
        for field in ("seen", "present"):
            self.backend.holder(session_hash).hincrby(meta, field, -ms)
        self.index.refresh(session_hash)

    def leave(self, operator: Operator) -> None:
        """As if the operator's last call were two minutes ago."""
        last = time.time() * 1000 - PRESENT_MS - 1
        self.backend.holder("desk").zadd("baton:desk:{desk}:present", {operator.id: last})

    def age(self, session_hash: str, ms: int = PRESENT_MS + 1) -> None:
        """As if its operator had got it so much earlier."""
        self.index.refresh(session_hash)
        row = "baton:desk:{desk}:row:" + ref_of(session_hash)
        self.backend.holder("desk").hincrby(row, "since", -ms)

    def positions(self) -> list[int]:
        """What those who wait were sent last of their place in the queue, in its order."""
        stories = [story(self.log, session_hash) for session_hash, _ in self.index.waiting()]
        return [[data["queue_position"] for kind, data in one if kind == "handler"][-1] for one in stories]

    def handlers(self, session_hash: str) -> list[tuple[str, str]]:
        """What the visitor was sent about who answers."""
        events = [data for kind, data in story(self.log, session_hash) if kind == "handler"]
        return [(data["handler"], data["reason"]) for data in events]


@pytest.fixture
def desk(opened: Open, backend: Backend) -> Desk:
    return Desk(opened(tracking="desk"), backend)


def test_abandoned_is_recorded_once(desk: Desk) -> None:
    """A visitor who has left is recorded abandoned once, by any worker; one who comes back and leaves, once more."""
    session_hash, staying = asked(desk.log), asked(desk.log)
    desk.index.refresh(staying)
    desk.set_back(session_hash, RULES["idle"])
    sweepers = [desk.sweeper(f"worker {number}") for number in range(3)]

    def abandoned() -> int:
        return queued_types(desk.backend).count(b"session.abandoned")

    for sweeper in sweepers * 2:
        assert sweeper.sweep()
        sweeper.stop()
    assert abandoned() == 1
    assert desk.index.row(ref_of(session_hash), "")["status"] == "abandoned"
    assert desk.index.row(ref_of(staying), "")["status"] == "active"
    desk.log.heartbeat(session_hash, "", resume=True)
    desk.set_back(session_hash, RULES["idle"])
    assert desk.sweeper().sweep()
    assert abandoned() == 2
    desk.log.end_session(session_hash, "")
    desk.index.refresh(session_hash)
    desk.sweeper().sweep()
    assert abandoned() == 2


def test_a_visitor_who_is_back_within_the_minute(opened: Open, backend: Backend) -> None:
    """However short the idle time is, the lists follow a heartbeat after it, and their leaving is told once more."""
    desk = Desk(opened(tracking="desk", ttl=600_000, idle=500), backend)
    session_hash = asked(desk.log)
    desk.set_back(session_hash, 500)
    desk.sweep_until(lambda: desk.index.row(ref_of(session_hash), "")["status"] == "abandoned", "it to be abandoned")
    backend.holder("desk").delete(CHANGES_KEY)
    desk.log.heartbeat(session_hash, "", resume=False)
    assert backend.holder("desk").zscore(CHANGES_KEY, session_hash) is not None


def test_abandoned_by_racing_workers(desk: Desk) -> None:
    """Twenty visitors who have left, and six that record it at the same moment: each is recorded once."""
    hashes = [asked(desk.log) for _ in range(20)]
    for one in hashes:
        desk.set_back(one, RULES["idle"])
    at_once(6, lambda _: [desk.log.mark_abandoned(one) for one in hashes])
    desk.index.refresh(*hashes)
    assert queued_types(desk.backend).count(b"session.abandoned") == 20


def test_a_session_without_a_word_is_abandoned_too(desk: Desk) -> None:
    """Somebody who opened the chat and said nothing is recorded as abandoned, and listed nowhere."""
    session_hash = new(desk.log)
    desk.set_back(session_hash, RULES["idle"])
    assert desk.sweeper().sweep()
    assert b"session.abandoned" in queued_types(desk.backend)
    assert desk.index.counts("") == dict.fromkeys(("queue", "mine", "open", "bot", "ended"), 0)


def test_nobody_takes_it(desk: Desk) -> None:
    """A conversation that waited for too long goes back to the bot, and its visitor gets that once."""
    session_hash = asked(desk.log)
    queue(desk.log, session_hash)
    taken = asked(desk.log)
    queue(desk.log, taken)
    desk.people.take(taken, ANNA)
    desk.index.refresh(session_hash, taken)
    desk.sweep_until(lambda: refs(desk.index, "queue") == [], "the queue to be empty")
    desk.sweeper().sweep()
    assert desk.handlers(session_hash) == [("queue", "requested"), ("bot", "timeout")]
    assert desk.handlers(taken) == [("queue", "requested"), ("human", "taken")]
    assert (refs(desk.index, "bot"), refs(desk.index, "mine", ANNA.id)) == ([ref_of(session_hash)], [ref_of(taken)])
    assert queued_types(desk.backend).count(b"human.released") == 1


def test_those_who_wait_get_their_position_once(desk: Desk) -> None:
    """However many leave the queue between two sweeps, those behind them get their new position, once.

    It makes no difference whether they were taken or ended by themselves; a further sweep sends nothing.
    """
    hashes = [asked(desk.log) for _ in range(8)]
    for one in hashes:
        queue(desk.log, one)
        desk.index.refresh(one)
    sweeper = Sweeper(desk.index, desk.log, "one", People(desk.people, desk.operators, 60_000))
    assert sweeper.sweep()
    for one in hashes[:4]:
        desk.people.take(one, ANNA)
    desk.log.end_session(hashes[4], "")
    desk.index.refresh(hashes[4])
    before = [len(desk.handlers(one)) for one in hashes]
    for _ in range(3):
        assert sweeper.sweep()
    assert [len(desk.handlers(one)) - n for one, n in zip(hashes, before, strict=True)] == [0] * 5 + [1] * 3
    assert desk.positions() == [1, 2, 3]


def test_an_absent_operator(desk: Desk) -> None:
    """F22: what an operator holds who is gone for two minutes goes back to the queue, once; others keep theirs.

    So does what a removed operator holds, also where a server took it for them, and not what a server took for others.
    """
    hashes = [asked(desk.log) for _ in range(4)]
    for one, operator in zip(hashes, (ANNA, ANNA, BEN, Operator("op_gone", "Gus", "operator")), strict=True):
        desk.people.take(one, operator)
    desk.index.taken(ref_of(hashes[3]), "op_gone", by_server=True)
    desk.leave(ANNA)
    sweeper = desk.sweeper()
    assert sweeper.sweep()
    assert refs(desk.index, "queue") == []  # nobody has had one for two minutes
    for one in hashes:
        desk.age(one)
    for _ in range(3):
        assert sweeper.sweep()
    assert set(refs(desk.index, "queue")) == {ref_of(one) for one in (*hashes[:2], hashes[3])}
    for one in hashes[:2]:  # which of two that come back at once is first may change their position
        assert [entry for entry in desk.handlers(one) if entry[1] != "position"][-1] == ("queue", "absent")
    assert [reason for _, reason in desk.handlers(hashes[0])].count("absent") == 1
    assert desk.handlers(hashes[2]) == [("human", "taken")]
    desk.index.taken(ref_of(hashes[2]), BEN.id, by_server=True)
    desk.leave(BEN)
    assert sweeper.sweep()
    assert refs(desk.index, "mine", BEN.id) == [ref_of(hashes[2])]
    desk.index.taken(ref_of(hashes[2]), BEN.id, by_server=False)
    assert sweeper.sweep()
    assert refs(desk.index, "mine", BEN.id) == []


def test_a_visitor_who_left(desk: Desk) -> None:
    """A taken conversation whose visitor had neither feed nor heartbeat for five minutes goes back to the bot.

    One with an open feed does not, nor one where it is five minutes less a moment.
    """
    gone, listening, nearly = (asked(desk.log) for _ in range(3))
    desk.log.acquire_feed_slot("", 10, "feed", listening)
    for one in (gone, listening, nearly):
        desk.people.take(one, ANNA)
        desk.set_back(one, VISITOR_AWAY_MS - (20_000 if one == nearly else 0))
    sweeper = desk.sweeper()
    for _ in range(2):
        assert sweeper.sweep()
    assert desk.handlers(gone) == [("human", "taken"), ("bot", "left")]
    assert [desk.handlers(one)[-1] for one in (listening, nearly)] == [("human", "taken")] * 2


def test_an_answer_to_a_visitor_who_is_long_gone(desk: Desk) -> None:
    """Who takes a conversation that was left hours ago has five minutes for it, too."""
    session_hash = asked(desk.log)
    desk.set_back(session_hash, 3 * VISITOR_AWAY_MS)
    desk.people.take(session_hash, ANNA)
    sweeper = desk.sweeper()
    for _ in range(2):
        assert sweeper.sweep()
    assert desk.handlers(session_hash) == [("human", "taken")]
    desk.set_back(session_hash, VISITOR_AWAY_MS)
    desk.sweep_until(lambda: desk.handlers(session_hash)[-1] == ("bot", "left"), "the bot to have it", sweeper)


def test_one_sweeps_at_a_time(desk: Desk) -> None:
    """Another worker sweeps only when the first has stopped, or was killed and its lease has ended."""
    first, second = desk.sweeper("first"), desk.sweeper("second")
    assert [first.sweep(), second.sweep(), first.sweep()] == [True, False, True]
    first.stop()
    assert [second.sweep(), first.sweep()] == [True, False]
    left = desk.backend.holder("desk").pttl("baton:desk:{desk}:sweeper")
    assert 0 < left <= LEASE_MS
    short = SweepRules(300, 60_000, 60_000)
    second.stop()
    assert desk.index.due("killed", short) is not None
    assert first.sweep() is False
    until(first.sweep, 3, "the dead worker's lease to end")


def test_a_session_that_fails_holds_up_nobody(desk: Desk) -> None:
    """A session that is gone, or whose rule fails, is left out; the others are swept."""
    gone, sound = asked(desk.log), asked(desk.log)
    for one in (gone, sound):
        queue(desk.log, one)
    desk.index.refresh(gone, sound)
    for key in desk.backend.holder(gone).keys("baton:{" + gone + "}:*"):
        desk.backend.holder(gone).delete(key)
    desk.sweep_until(lambda: desk.index.counts("")["queue"] == 0, "the queue to be empty")
    assert desk.handlers(sound)[-1] == ("bot", "timeout")
    assert refs(desk.index, "bot") == [ref_of(sound)]
