"""What happened each day, as counts: no text, no id, nothing that leads to a conversation.

A day is one hash in Redis, which expires ``BATON_ANALYTICS_DAYS`` later. Times are counted in buckets whose bounds grow
by 2 %, so that a median is right to 1 % however many there were (DDSketch, https://arxiv.org/abs/1908.10693).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from app.storage.client import RedisClient, load_script

ACCURACY = 0.01
"""A quantile is at most this part away from the true one."""
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)
DAY_MS = 86_400_000
ANY_KEY = "baton:analytics:{desk}"
"""In the slot of all days, and no day's."""
HANDLERS = ("bot", "queue", "human")
COUNTS = (
    "sessions", "asked", "restored", "handed_off", "ended", "answers", "not_found", "failed", "up", "down",
    "requested_human", "taken",
)  # fmt: skip
_COUNTED_AS = {
    "session.created": "sessions",
    "session.restored": "restored",
    "session.handed_off": "handed_off",
    "session.ended": "ended",
    "answer": "answers",
    "answer.not_found": "not_found",
    "answer.failed": "failed",
    "human.taken": "taken",
}


def counted(event: Mapping[str, Any], created_at: int, last_seen_at: int, kept_days: int) -> dict[str, Any] | None:
    """What a domain event adds to which day, for scripts/_analytics.lua; None where it adds nothing.

    ``created_at`` and ``last_seen_at`` (ms) are of its session.
    """
    fields: dict[str, int] = {}
    event_type, happened_at = event["type"], int(event["at"])
    if event_type in _COUNTED_AS:
        fields[_COUNTED_AS[event_type]] = 1
    elif event_type == "question" and event.get("first"):
        fields["asked"] = 1
    elif event_type == "session.abandoned":
        handler = event.get("handler")
        fields[f"abandoned_{handler if handler in HANDLERS else 'bot'}"] = 1
    elif event_type == "human.requested" and event.get("by") != "operator":
        fields["requested_human"] = 1
    elif event_type in ("rating.given", "rating.removed"):
        _count_rating(fields, event)
    _measure(fields, event, created_at, last_seen_at)
    if not fields:
        return None
    day = datetime.fromtimestamp(happened_at / 1000, UTC).date()
    expires_at = _midnight_ms(day) + (kept_days + 1) * DAY_MS
    return {"key": _key(day), "until": expires_at, "fields": fields}


def _count_rating(fields: dict[str, int], event: Mapping[str, Any]) -> None:
    """A rating that replaces another one takes that one's place."""
    for name, by in (("was", -1), ("rating", 1)):
        if event.get(name) in ("up", "down"):
            fields[event[name]] = fields.get(event[name], 0) + by


def _measure(fields: dict[str, int], event: Mapping[str, Any], created_at: int, last_seen_at: int) -> None:
    """A time that an event brings with it: how long a conversation was, or how long somebody waited."""
    event_type, ms = event["type"], None
    if event_type == "session.ended":
        name, ms = "duration", int(event["at"]) - created_at
    elif event_type == "session.abandoned":
        name, ms = "duration", last_seen_at - created_at
    elif event_type == "answer":
        name, ms = "first_answer", event.get("first_ms")
    elif event_type == "human.taken":
        name, ms = "wait", event.get("waited_ms")
    if ms is not None:
        fields[f"{name}:{bucket(ms)}"] = 1


def bucket(value: float) -> int:
    """The number of the bucket of a value; 0 for whatever is below 1, and then 1, 2, 3 ..."""
    return 0 if value < 1 else 1 + math.ceil(math.log(value) / _LOG_GAMMA - 1e-9)


def median(buckets: Mapping[int, int]) -> float | None:
    """The middle one of the values in the buckets, the lower one where there are two; None where there are none."""
    rank = (sum(buckets.values()) - 1) // 2
    for number in sorted(buckets):
        rank -= buckets[number]
        if rank < 0:
            return 0.0 if number == 0 else 2 * _GAMMA ** (number - 1) / (_GAMMA + 1)
    return None


def _key(day: date) -> str:
    return f"baton:analytics:{{desk}}:{day.isoformat()}"


def _midnight_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class DayCounts:
    """The counts of one day."""

    date: date
    fields: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """As the API has it."""
        counts = {name: max(self.fields.get(name, 0), 0) for name in COUNTS}
        abandoned = {name: self.fields.get(f"abandoned_{name}", 0) for name in HANDLERS}
        duration, first_answer, wait = (self._median_ms(name) for name in ("duration", "first_answer", "wait"))
        return {
            "date": self.date.isoformat(),
            **{name: counts[name] for name in COUNTS[:5]},
            "abandoned": abandoned,
            "duration_p50_s": _seconds(duration),
            "first_answer_p50_ms": None if first_answer is None else round(first_answer),
            **{name: counts[name] for name in COUNTS[5:]},
            "wait_p50_s": _seconds(wait),
        }

    def _median_ms(self, name: str) -> float | None:
        prefix = f"{name}:"
        return median({int(key[len(prefix) :]): n for key, n in self.fields.items() if key.startswith(prefix)})


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else round(ms / 1000, 1)


class Analytics:
    """The counts of all days."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def today(self) -> date:
        """By Redis' clock, in UTC."""
        now_ms = self._client.run(load_script("read_analytics"), (ANY_KEY,))[0]
        return datetime.fromtimestamp(now_ms / 1000, UTC).date()

    def days(self, first: date, last: date) -> list[DayCounts]:
        """Every day from ``first`` to ``last``, also those on which nothing happened."""
        wanted = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        return [DayCounts(day, fields) for day, fields in zip(wanted, self._read(wanted), strict=True)]

    def _read(self, wanted: Sequence[date]) -> list[dict[str, int]]:
        hashes = self._client.run(load_script("read_analytics"), tuple(map(_key, wanted)))[1:] if wanted else []
        return [{flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)} for flat in hashes]
