"""The queue of events to the owner's own systems, on every Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from app.storage.client import RedisClient
from app.storage.event_queue import FIELDS, QUEUE_KEY, EventQueue, QueuedEvent, entry
from tests.conftest import until
from tests.storage.servers import Backend

LEASE_MS = 300
A, B = (f"cnv_{letter * 24}" for letter in "ab")
Open = Callable[[str], EventQueue]


@pytest.fixture
def queue(backend: Backend) -> Iterator[Open]:
    """The queue as a worker of that name sees it."""
    client = RedisClient(backend.url)
    yield lambda worker: EventQueue(client, worker, LEASE_MS, 3_600_000)
    client.close()


def now() -> int:
    return int(time.time() * 1000)


def event(number: int, ref: str, kind: str = "session.created", **more: object) -> tuple[str, ...]:
    made = entry({"n": number, "type": kind, "at": now(), **more}, ref)
    assert made
    return made


def numbers(events: list[QueuedEvent]) -> list[tuple[str, int]]:
    return [(one.ref[4], int(one.id.rpartition("_")[2])) for one in events]


def test_events_of_a_session_come_one_after_the_other(queue: Open) -> None:
    """The next event of a session is given out once the one before was delivered; other sessions do not wait for it."""
    one, other = queue("one"), queue("other")
    one.add([event(1, A), event(2, A), event(3, A), event(1, B)])
    first = one.claim(10)
    assert numbers(first) == [("a", 1), ("b", 1)]
    assert other.claim(10) == []
    one.delivered(first[1])
    assert other.claim(10) == []
    one.delivered(first[0])
    second = other.claim(10)
    assert numbers(second) == [("a", 2)]
    other.delivered(second[0])
    assert numbers(one.claim(1)) == [("a", 3)]


def test_an_entry_of_another_program_is_a_dead_letter(
    queue: Open, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """What lacks a ref or a body cannot be sent: it holds up nothing, is logged and kept, and retrying passes it by."""
    one = queue("one")
    server = backend.holder("desk")
    server.xadd(QUEUE_KEY, {"id": "evt_odd", "type": "odd", "body": b"\xff"})
    server.xadd(QUEUE_KEY, {"nonsense": "1"})
    one.add([event(1, A)])
    assert numbers(one.claim(10)) == [("a", 1)]
    assert "2 entries" in caplog.text
    letters = one.dead_letters()
    assert [(letter.type, letter.ref, letter.problem) for letter in letters] == [
        ("odd", "", "not an event"), ("", "", "not an event"),
    ]  # fmt: skip
    assert (letters[0].id, one.retry(), one.count()) == ("evt_odd", 0, (1, 2))


def test_what_a_dead_worker_has_claimed_goes_to_another_one(queue: Open) -> None:
    """Once the lease is over, in order; what the dead one says late changes nothing."""
    dead, alive = queue("dead"), queue("alive")
    dead.add([event(1, A), event(2, A)])
    left = dead.claim(10)
    found: list[QueuedEvent] = []
    until(lambda: found.extend(alive.claim(10)) or found, 5, "the lease to end")
    assert numbers(found) == [("a", 1)]
    assert found[0].id == left[0].id
    assert found[0].body == left[0].body
    alive.delivered(found[0])
    dead.delivered(left[0])
    dead.failed(left[0], "late", 0)
    assert numbers(alive.claim(10)) == [("a", 2)]


def test_a_failing_event_holds_back_its_own_session_alone(queue: Open) -> None:
    """It comes back when its time has come, with its attempts counted; the session's later ones stay behind it."""
    one = queue("one")
    one.add([event(1, A), event(2, A)])
    one.failed(one.claim(1)[0], "status 500", 250)
    one.add([event(1, B), event(3, A)])
    assert numbers(one.claim(10)) == [("b", 1)]
    found: list[QueuedEvent] = []
    until(lambda: found.extend(x for x in one.claim(10) if x.ref == A) or found, 5, "the delay to end")
    assert numbers(found) == [("a", 1)]
    assert found[0].attempts == 1
    assert found[0].age_ms >= 250


def test_dead_letters_are_kept_and_can_be_tried_again(queue: Open, backend: Backend) -> None:
    """A dead letter lets the next event through; a retry puts it back with its old id and body, behind the others."""
    one = queue("one")
    one.add([event(1, A), event(2, A), event(1, B)])
    dead, kept = one.claim(10)
    one.give_up(dead, "status 500")
    one.delivered(kept)
    letters = one.dead_letters()
    assert [(x.id, x.type, x.ref, x.attempts, x.problem) for x in letters] == [
        (dead.id, "session.created", A, 1, "status 500")
    ]
    assert one.count() == (1, 1)
    assert one.retry(["evt_unknown_1"]) == 0
    assert one.retry([dead.id]) == 1
    assert one.count() == (2, 0)
    second = one.claim(10)
    assert numbers(second) == [("a", 2)]
    one.delivered(second[0])
    again = one.claim(10)
    assert (again[0].id, again[0].body, again[0].attempts) == (dead.id, dead.body, 0)
    one.give_up(again[0], "timeout")
    assert one.retry() == 1


def test_a_dead_letter_is_kept_for_30_days(queue: Open, backend: Backend) -> None:
    """However many newer ones follow it."""
    one = queue("one")
    client = RedisClient(backend.url)
    for age_days, number in ((31, 1), (29, 2)):
        fields = ("id", f"evt_{number}", "ref", A, "type", "session.created", "body", "{}", "queued", "1-0")
        at = now() - age_days * 86_400_000
        client.call("XADD", "baton:events:{desk}:dead", f"{at}-0", *fields, "attempts", "5", "problem", "timeout")
    client.close()
    one.claim(1)
    assert [letter.id for letter in one.dead_letters()] == ["evt_2"]


def test_a_request_that_nobody_takes_is_sent_again_after_a_minute(queue: Open) -> None:
    """Once, behind what happened meanwhile and with how long they have waited; not where somebody has taken them."""
    one = queue("one")
    old = {"type": "human.requested", "at": now() - 60_001, "by": "visitor"}
    for ref in (A, B):
        one.add([entry(old | {"n": 1}, ref) or ()])
    one.add([event(2, A, "rating.given", rating="up"), event(2, B, "human.taken", operator="Anna", waited_ms=900)])
    sent: list[QueuedEvent] = []
    while claimed := one.claim(10):
        sent += claimed
        for each in claimed:
            one.delivered(each)
    mine = [json.loads(x.body) for x in sent if x.ref == A]
    assert [x["type"] for x in mine] == ["human.requested", "rating.given", "human.requested"]
    assert mine[0]["data"] == {"ref": A, "by": "visitor"}
    assert mine[2]["data"] == {"ref": A, "by": "visitor", "waiting_s": 60}
    assert len({x.id for x in sent}) == len(sent)
    assert [json.loads(x.body)["type"] for x in sent if x.ref == B] == ["human.requested", "human.taken"]


def test_whoever_is_put_back_into_the_queue_waits_anew(queue: Open) -> None:
    """After an operator has left, that somebody waits is sent after a minute; not where the bot goes on."""
    one = queue("one")
    old = {"type": "human.released", "at": now() - 60_001, "reason": "absent"}
    one.add([entry(old | {"n": 1, "to": "queue"}, A) or (), entry(old | {"n": 1, "to": "bot"}, B) or ()])
    one.add([entry(old | {"n": 2, "type": "human.requested", "by": "visitor", "available": False}, B) or ()])
    sent: list[QueuedEvent] = []
    while claimed := one.claim(10):
        sent += claimed
        for each in claimed:
            one.delivered(each)
    assert [x.type for x in sent if x.ref == A] == ["human.released", "human.requested"]
    reminder = [x for x in sent if x.ref == A][1]
    assert json.loads(reminder.body)["data"] == {"ref": A, "by": "operator", "waiting_s": 60}
    assert [x.type for x in sent if x.ref == B] == ["human.released", "human.requested"]
    assert "waiting_s" not in [x for x in sent if x.ref == B][1].body


def test_no_key_lives_for_ever(queue: Open, backend: Backend) -> None:
    """Also in between, and when the queue has run empty and fills again."""
    one = queue("one")
    for round_ in (1, 2):
        one.add([event(round_ * 10 + n, ref, "human.requested") for n in (1, 2, 3) for ref in (A, B)])
        assert backend.endless() == []
        for outcome in (one.give_up, lambda x, _: one.delivered(x), lambda x, _: one.failed(x, "status 500", 1)):
            for each in one.claim(10):
                outcome(each, "status 500")
                assert backend.endless() == []
        until(lambda: not [one.delivered(x) for x in one.claim(10)] and not one.count()[0], 5, "an empty queue")
        assert backend.endless() == []
        one.retry()
        assert backend.endless() == []


def test_workers_that_are_gone_leave_no_name_behind(queue: Open, backend: Backend) -> None:
    """What they had claimed goes to others first."""
    dead, alive = queue("dead"), queue("alive")
    dead.add([event(1, A)])
    assert numbers(dead.claim(1)) == [("a", 1)]
    found: list[QueuedEvent] = []

    def names() -> set[bytes]:
        for one in alive.claim(10):
            found.append(one)
            alive.delivered(one)
        known = backend.holder("desk").xinfo_consumers("baton:events:{desk}", "senders")
        return {one["name"] for one in known}

    assert b"dead" in names()
    until(lambda: names() == {b"alive"}, 60, "the name to go")
    assert numbers(found) == [("a", 1)]


def test_the_queue_goes_on_after_everything_was_lost(queue: Open, backend: Backend) -> None:
    """After FLUSHALL, and after the stream alone or the group alone is gone, new events are sent."""
    one = queue("one")
    one.add([event(1, A), event(2, A)])
    lost = one.claim(1)[0]
    backend.flush()
    assert one.claim(10) == []
    one.delivered(lost)
    one.add([event(3, A)])
    assert numbers(one.claim(10)) == [("a", 3)]
    backend.holder("desk").delete("baton:events:{desk}")
    one.add([event(4, A)])
    until(lambda: numbers(one.claim(10)) == [("a", 4)], 5, "the next event")
    backend.holder("desk").execute_command("XGROUP", "DESTROY", "baton:events:{desk}", "senders")
    one.add([event(5, B)])
    assert ("b", 5) in numbers(one.claim(10))


def test_an_event_holds_a_ref_and_no_text() -> None:
    """Only known fields get into ``data``, and only short plain values; what is for the counts alone is not sent."""
    secret = {"message": "my card is 4111", "session_id": "ses_x", "contact": {"email": "a@b.example"}}
    for kind in FIELDS:
        made = entry({"n": 7, "type": kind, "at": 0, "by": "x" * 101, **secret}, A)
        assert made
        body = json.loads(made[3])
        assert body == {"type": kind, "timestamp": "1970-01-01T00:00:00.000Z", "data": {"ref": A}}
        assert made[:3] == (f"evt_{'a' * 24}_7", A, kind)
    assert entry({"n": 1, "type": "question", "at": 0}, A) is None
    assert entry({"n": 1, "type": "answer", "at": 0, "first_ms": 3}, A) is None
