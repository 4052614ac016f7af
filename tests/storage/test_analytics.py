"""What happened each day, counted: exact numbers, medians to 1 %, nothing that leads to a conversation."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app.storage.analytics import ACCURACY, Analytics, DayCounts, bucket, counted, median
from app.storage.client import RedisClient

NOON = int(datetime(2026, 3, 14, 12, tzinfo=UTC).timestamp() * 1000)
CONTRACT = [
    "date", "sessions", "asked", "restored", "handed_off", "ended", "abandoned", "duration_p50_s",
    "first_answer_p50_ms", "answers", "not_found", "failed", "up", "down", "requested_human", "taken", "wait_p50_s",
]  # fmt: skip


def day_of(events: list[dict[str, Any]], created_at: int = NOON - 60_000) -> dict[str, Any]:
    """The day of some events, all of a conversation of a minute."""
    fields: Counter[str] = Counter()
    for event in events:
        if found := counted({"n": 1, "at": NOON, **event}, created_at, NOON, 90):
            assert found["key"] == "baton:analytics:{desk}:2026-03-14"
            fields.update(found["fields"])
    return DayCounts(date(2026, 3, 14), fields).as_dict()


def test_each_event_is_counted_as_what_it_is() -> None:
    """A day of everything: the fields of the contract, in its order, each with the number that happened."""
    events = [
        {"type": "session.created"}, {"type": "session.created"},
        {"type": "question", "first": True}, {"type": "question"}, {"type": "question"},
        {"type": "session.restored"}, {"type": "session.handed_off"},
        {"type": "answer", "first_ms": 400}, {"type": "answer", "first_ms": 600}, {"type": "answer", "first_ms": None},
        {"type": "answer.not_found"}, {"type": "answer.failed", "code": "engine_failed"},
        {"type": "rating.given", "rating": "up"}, {"type": "rating.given", "rating": "down", "was": "up"},
        {"type": "rating.given", "rating": "up"}, {"type": "rating.removed", "was": "up"},
        {"type": "human.requested", "by": "visitor"}, {"type": "human.requested", "by": "engine", "available": False},
        {"type": "human.requested", "by": "operator"},
        {"type": "human.taken", "operator": "op_1", "waited_ms": 12_000},
        {"type": "human.taken", "operator": "op_1", "waited_ms": None},
        {"type": "human.released", "to": "bot", "reason": "released"},
        {"type": "session.ended", "by": "visitor"},
        {"type": "session.abandoned", "handler": "bot"}, {"type": "session.abandoned", "handler": "queue"},
    ]  # fmt: skip
    day = day_of(events)
    assert list(day) == CONTRACT
    medians = {name: day.pop(name) for name in ("duration_p50_s", "first_answer_p50_ms", "wait_p50_s")}
    assert day == {
        "date": "2026-03-14", "sessions": 2, "asked": 1, "restored": 1, "handed_off": 1, "ended": 1,
        "abandoned": {"bot": 1, "queue": 1, "human": 0}, "answers": 3, "not_found": 1, "failed": 1, "up": 0, "down": 1,
        "requested_human": 2, "taken": 2,
    }  # fmt: skip
    assert medians["duration_p50_s"] == pytest.approx(60, rel=ACCURACY)
    assert medians["first_answer_p50_ms"] == pytest.approx(400, rel=ACCURACY)
    assert medians["wait_p50_s"] == pytest.approx(12, rel=ACCURACY)


def test_a_day_without_anything_has_zeros_and_no_medians() -> None:
    """A median of nothing is null, not 0."""
    day = day_of([])
    assert list(day) == CONTRACT
    assert {name for name, value in day.items() if value is None} == {
        "duration_p50_s", "first_answer_p50_ms", "wait_p50_s",
    }  # fmt: skip


@pytest.mark.parametrize("spread", [1.2, 10, 100_000])
def test_a_median_is_right_to_one_per_cent(spread: float) -> None:
    """For many values and few, close together and far apart; what is below 1 ms counts as 0."""
    chance = random.Random(7)
    for size in (1, 2, 3, 10, 999, 5_000):
        values = [chance.uniform(1, spread) * chance.choice((1, 7, 300)) for _ in range(size)]
        found = median(Counter(map(bucket, values)))
        assert found == pytest.approx(statistics.median_low(values), rel=ACCURACY * 1.001)
    assert median(Counter([bucket(0), bucket(0.5), bucket(9)])) == 0
    assert median({}) is None


def test_a_day_ends_at_midnight_in_utc() -> None:
    """An event belongs to the day of its own time, however late it is applied; the day expires after the days kept."""
    midnight = int(datetime(2026, 3, 15, tzinfo=UTC).timestamp() * 1000)
    before = counted({"type": "session.created", "at": midnight - 1}, 0, 0, 90)
    after = counted({"type": "session.created", "at": midnight}, 0, 0, 90)
    assert before
    assert after
    assert before["key"].endswith("2026-03-14")
    assert after["key"].endswith("2026-03-15")
    assert before["until"] == midnight + 90 * 86_400_000


def test_days_are_read_in_order_and_filled(redis_url: str) -> None:
    """Every day of the period, also those on which nothing happened; today is Redis' day."""
    client = RedisClient(redis_url)
    today = datetime.now(UTC).date()
    client.call("HSET", f"baton:analytics:{{desk}}:{today}", "sessions", 3, "wait:0", 1)
    days = Analytics(client).days(today - timedelta(days=2), today)
    assert [day.as_dict()["date"] for day in days] == [str(today - timedelta(days=n)) for n in (2, 1, 0)]
    assert [day.as_dict()["sessions"] for day in days] == [0, 0, 3]
    assert days[2].as_dict()["wait_p50_s"] == 0
    assert abs((Analytics(client).today() - datetime.fromtimestamp(time.time(), UTC).date()).days) <= 1
    client.close()
