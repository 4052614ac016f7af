"""The queue of events to the owner's own systems: a Redis stream with a consumer group, in order for each session.

A session's first unsent event holds back that session's later ones, and no other session's. What a worker has claimed
and not settled in time, because it was killed, is claimed by another one. Events that could not be delivered for a day
are kept as dead letters. ``scripts/_event_queue.lua`` describes the keys.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.conversations.ids import timestamp
from app.storage.client import RedisClient, load_script

_log = logging.getLogger(__name__)

QUEUE_KEY = "baton:events:{desk}"
REMIND_AFTER_MS = 60_000
"""A request for a person that nobody has taken by then is sent again; not where there was nobody to wait for."""
FIELDS: dict[str, tuple[str, ...]] = {
    "session.created": (),
    "session.restored": (),
    "session.handed_off": ("kind",),
    "session.ended": ("by",),
    "session.abandoned": ("handler",),
    "human.requested": ("by", "available"),
    "human.taken": ("operator", "waited_ms"),
    "human.released": ("to", "reason"),
    "answer.failed": ("code",),
    "answer.not_found": (),
    "rating.given": ("rating",),
}
"""The types of events that are sent, and what ``data`` may hold beside ``ref``: no text and no session id."""
MAX_FIELD_CHARS = 100

Entry = tuple[str, str, str, str, str, str]
"""What the queue stores of an event: id, ref, type and body; of a request for a person also when to send it again (ms)
and with which body, else twice nothing."""


def entry(event: Mapping[str, Any], ref: str) -> Entry | None:
    """A domain event (``{"n", "type", "at" in ms, ...}``) as the queue stores it; None where it is not for sending.

    The same event of the same session gets the same id each time.
    """
    event_type, happened_at = event["type"], int(event["at"])
    if event_type not in FIELDS:
        return None
    data = {"ref": ref} | {name: event[name] for name in FIELDS[event_type] if _is_plain(event.get(name))}
    remind_at = reminder = ""
    if _begins_waiting(event):
        remind_at = str(happened_at + REMIND_AFTER_MS)
        waits = {"ref": ref, "by": data.get("by", "operator"), "waiting_s": REMIND_AFTER_MS // 1000}
        reminder = _body("human.requested", happened_at + REMIND_AFTER_MS, waits)
    return (
        f"evt_{ref.removeprefix('cnv_')}_{event['n']}",
        ref,
        event_type,
        _body(event_type, happened_at, data),
        remind_at,
        reminder,
    )


def _begins_waiting(event: Mapping[str, Any]) -> bool:
    """Whether the visitor waits for a person from now on."""
    if event["type"] == "human.requested":
        return bool(event.get("available", True))
    return bool(event["type"] == "human.released" and event.get("to") == "queue")


def _is_plain(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and 0 < len(value) <= MAX_FIELD_CHARS)


def _body(event_type: str, happened_at: int, data: dict[str, Any]) -> str:
    return orjson.dumps({"type": event_type, "timestamp": timestamp(happened_at), "data": data}).decode()


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event to send: ``id`` and ``body`` are the same at every attempt."""

    entry: str
    """Its position in the queue."""
    ref: str
    id: str
    type: str
    body: str
    attempts: int
    """How often it has been tried before."""
    age_ms: int
    """How long it has been in the queue."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be delivered."""

    id: str
    type: str
    ref: str
    queued_at: int
    """In ms."""
    attempts: int
    problem: str


class EventQueue:
    """The queue as one worker sees it; ``worker`` is its name in the consumer group."""

    def __init__(self, client: RedisClient, worker: str, lease_ms: int, longest_delay_ms: int) -> None:
        self._client = client
        self._worker = worker
        self._times = lease_ms, longest_delay_ms
        self.waiting = 0
        """How many events were in the queue at the last claim."""

    def add(self, entries: Iterable[Entry]) -> None:
        """Puts events at the end of the queue. Raises StorageUnavailable."""
        if fields := [field for entry in entries for field in entry]:
            self._client.run(load_script("add_events"), (QUEUE_KEY,), *fields)

    def claim(self, max_events: int) -> list[QueuedEvent]:
        """Events to send now, each of another session. Raises StorageUnavailable.

        Each is this worker's until it is settled, or ``lease_ms`` have passed.
        """
        lease_ms, longest_delay_ms = self._times
        args = (self._worker, lease_ms, max_events, longest_delay_ms)
        self.waiting, clock, broken, *claimed = self._client.run(load_script("claim_events"), (QUEUE_KEY,), *args)
        if broken:
            _log.error("%d entries of the queue were not events of this service and are dead letters now", broken)
        events = []
        for *fields, attempts in claimed:
            entry_id, ref, event_id, event_type, body = (field.decode() for field in fields)
            age_ms = clock - _milliseconds(entry_id)
            events.append(QueuedEvent(entry_id, ref, event_id, event_type, body, attempts, age_ms))
        return events

    def delivered(self, event: QueuedEvent) -> None:
        """The receiver has it. Raises StorageUnavailable; then it is sent again later."""
        self._settle(event, "sent", "", 0)

    def failed(self, event: QueuedEvent, problem: str, retry_in_ms: int) -> None:
        """The attempt failed; the next one comes later."""
        self._settle(event, "failed", problem, retry_in_ms)

    def give_up(self, event: QueuedEvent, problem: str) -> None:
        """Makes it a dead letter; the session's next event may be sent."""
        self._settle(event, "dead", problem, 0)

    def _settle(self, event: QueuedEvent, outcome: str, problem: str, retry_in_ms: int) -> None:
        args = (event.entry, event.ref, outcome, event.attempts + 1, problem, retry_in_ms)
        self._client.run(load_script("settle_event"), (QUEUE_KEY,), *args)

    def dead_letters(self, max_events: int = 1_000) -> list[DeadLetter]:
        """The oldest dead letters, oldest first."""
        letters = []
        for _, raw in self._client.call("XRANGE", f"{QUEUE_KEY}:dead", "-", "+", "COUNT", max_events):
            field = {name.decode(): value.decode("utf-8", "replace") for name, value in raw.items()}
            letters.append(
                DeadLetter(
                    field["id"], field["type"], field["ref"], _milliseconds(field["queued"]),
                    int(field["attempts"]), field["problem"],
                )
            )  # fmt: skip
        return letters

    def count(self) -> tuple[int, int]:
        """How many events wait in the queue, and how many dead letters there are."""
        return int(self._client.call("XLEN", QUEUE_KEY)), int(self._client.call("XLEN", f"{QUEUE_KEY}:dead"))

    def retry(self, ids: Iterable[str] = ()) -> int:
        """Puts dead letters back into the queue, all of them or those with these ids; how many there were."""
        chosen, total = tuple(ids), 0
        while count := int(self._client.run(load_script("retry_events"), (QUEUE_KEY,), *chosen)[0]):
            total += count
        return total


def _milliseconds(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
