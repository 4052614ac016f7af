"""One conversation as operators see it: notes in its history, and what its feed has beside the visitor's events."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import orjson

from app.conversations.events import Event
from app.conversations.ids import timestamp
from app.errors import NotFound, StorageUnavailable
from app.storage.base import EventBatch
from app.storage.desk_index import DeskIndex

RECENT_SECONDS = 600.0
"""A feed begins with the notes of this time; their ids make repetition harmless."""
VIEWER_MS = 45_000
RENEW_SECONDS = 15.0
LOOK_SECONDS = 2.0
"""How often it is read who else looks, while a running answer wakes the feed all the time."""


def created_at(stored: bytes) -> str:
    """When a stored message or note was written; times of this form are in the order of their letters."""
    return str(orjson.loads(stored)["created_at"])


def merge_notes(messages: Sequence[bytes], notes: Sequence[bytes], since: str, until: str) -> list[bytes]:
    """The messages, and among them by their time the notes from ``since`` to before ``until``; empty is no bound."""
    wanted = [note for note in notes if since <= created_at(note) and (not until or created_at(note) < until)]
    return list(heapq.merge(messages, wanted, key=created_at)) if wanted else list(messages)


class OperatorEvents:
    """What an operator gets in a conversation's feed beside the visitor's events: notes, and who else looks.

    ``wake`` wakes the other feeds of the conversation.
    """

    def __init__(
        self, ref: str, viewer: str, index: DeskIndex, get_notes: Callable[[], list[bytes]], wake: Callable[[], None]
    ) -> None:
        self._ref, self._viewer, self._index = ref, viewer, index
        self._get_notes, self._wake = get_notes, wake
        self._sent_notes = 0
        self._sent_viewers: list[tuple[str, str]] | None = None
        self._renewed_at = self._looked_at = float("-inf")
        self._had_events = False

    def read(self, batch: EventBatch) -> Iterator[Event]:
        """What is new after a look at the log."""
        with suppress(NotFound, StorageUnavailable):  # the reader of the log meets the same
            if batch.note_count != self._sent_notes:
                yield from self._notes()
            if self._is_worth_looking(batch):
                yield from self._looking()

    def close(self) -> None:
        """The operator has left."""
        if self._viewer:
            with suppress(StorageUnavailable):
                self._index.view(self._ref, self._viewer, 0)
                self._wake()

    def _is_worth_looking(self, batch: EventBatch) -> bool:
        """Whether others may have come or gone: something woke the feed that is no event, or it was a while ago."""
        after_events, self._had_events = self._had_events, bool(batch.events)
        is_woken = not batch.events and not after_events  # after events the log is read once more
        return is_woken or time.monotonic() - self._looked_at > LOOK_SECONDS

    def _notes(self) -> Iterator[Event]:
        notes = self._get_notes()
        if self._sent_viewers is None:  # this is the first look
            oldest = timestamp(round((time.time() - RECENT_SECONDS) * 1000))
            self._sent_notes = sum(created_at(note) < oldest for note in notes)
        for note in notes[self._sent_notes :]:
            yield Event(None, "message", note)
        self._sent_notes = max(self._sent_notes, len(notes))

    def _looking(self) -> Iterator[Event]:
        self._looked_at = time.monotonic()
        is_due = time.monotonic() - self._renewed_at > RENEW_SECONDS
        if is_due:
            self._renewed_at = time.monotonic()
        viewers = self._index.view(self._ref, self._viewer if is_due else "", VIEWER_MS)
        if viewers != self._sent_viewers:
            joined = is_due and self._sent_viewers is None and bool(self._viewer)
            self._sent_viewers = viewers
            shown = [{"id": operator_id, "name": name} for operator_id, name in viewers]
            yield Event(None, "viewers", orjson.dumps({"operators": shown}))
            if joined:
                self._wake()
