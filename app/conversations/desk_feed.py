"""What an open desk receives: rows that have changed, how many conversations each view has, who is there to answer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from app.auth.operators import OperatorDirectory
from app.conversations.events import Event
from app.errors import StorageUnavailable
from app.storage.desk_index import DeskIndex, LiveBatch, LivePosition

COALESCE_SECONDS = 0.5
"""Changes within this time of the last write come together: the newest row of each conversation."""
MIN_SECONDS = 0.03
"""Readers that are woken together share what the first of them has read."""
PING_SECONDS = 5.0
COUNTS_SECONDS = 0.7
"""How often a feed counts the views."""
OPERATORS_SECONDS = 2.0
"""For so long the readers of a worker share what they know of the operators."""


@dataclass(frozen=True, slots=True)
class DeskReader:
    """Whose feed it is, and when it ends."""

    operator_id: str
    may_read: Callable[[], bool]
    """Whether their login still lives; it marks them as present too."""
    disconnected: Callable[[], bool]


@dataclass(slots=True)
class _State:
    """What a reader has been sent so far."""

    first_id: str | None
    """The position that a new reader starts from, sent with the first event."""
    counts: bytes = b""
    operators: bytes = b""
    counted_at: float = float("-inf")
    sent_at: float = float("-inf")
    may_have_changed: bool = False
    """There were changes since the views were counted."""


class DeskFeed:
    """The changes of all conversations, for any number of readers in this worker."""

    def __init__(self, index: DeskIndex, operators: OperatorDirectory, render: Callable[[Event], bytes]) -> None:
        self._index, self._operators, self._render = index, operators, render
        self._listening: Counter[str] = Counter()
        self._counts: dict[str, dict[str, int]] = {}
        self._counted_at = LivePosition(-1, "")
        self._operators_event = b""
        self._operators_known_until = float("-inf")
        self._lock = threading.Lock()

    def stream(self, reader: DeskReader, after: str | None) -> Iterator[bytes | None]:
        """Rendered events after a position (None: from now on); None when nothing came for a while."""
        return self._stream(reader, self._index.open_live(after), after)  # raises now, not at the first event

    def _stream(self, reader: DeskReader, position: LivePosition, after: str | None) -> Iterator[bytes | None]:
        state = _State(position.encode() if after is None else None)
        with self._index.subscribe() as subscription, self._listen(reader.operator_id):
            while True:
                rendered = b""
                try:
                    batch = self._index.read_live(position)
                    rendered = self._changes(batch, reader.operator_id) + self._notices(
                        state, batch, reader.operator_id
                    )
                    position = batch.position  # last: where Redis goes away in between, all of it is read again
                except StorageUnavailable:
                    subscription.wait(1.0)
                if not reader.may_read():
                    return
                if rendered or time.monotonic() - state.sent_at > PING_SECONDS:
                    state.sent_at = time.monotonic()
                    yield rendered or None
                if subscription.closing or reader.disconnected():
                    return
                if subscription.wait(COUNTS_SECONDS if state.may_have_changed else PING_SECONDS):
                    time.sleep(max(COALESCE_SECONDS - (time.monotonic() - state.sent_at), MIN_SECONDS))

    def _notices(self, state: _State, batch: LiveBatch, operator_id: str) -> bytes:
        """Counts and operators, where they have changed since the reader was sent them."""
        rendered = b""
        state.may_have_changed |= bool(batch.changes) or batch.reset
        since = time.monotonic() - state.counted_at
        is_due = since > PING_SECONDS or (state.may_have_changed and since > COUNTS_SECONDS)
        # Both are read first: where Redis goes away in between, neither counts as sent.
        counts = orjson.dumps(self._counts_for(operator_id, batch.position)) if is_due else state.counts
        operators = self._operators_data()
        if is_due:
            state.counted_at, state.may_have_changed = time.monotonic(), False
        if counts != state.counts:
            rendered = self._render(Event(state.first_id, "counts", counts))
            state.counts, state.first_id = counts, None
        if operators != state.operators:
            state.operators = operators
            rendered += self._render(Event(None, "operators", operators))
        return rendered

    def _changes(self, batch: LiveBatch, operator_id: str) -> bytes:
        """The rows as this operator gets them. Readers to whom they look the same share them."""
        has_read = any(row and operator_id in row.get("reads", ()) for _, _, row, _ in batch.changes)
        reader = operator_id if has_read else ""
        if reader not in batch.rendered:
            batch.rendered[reader] = b"".join(map(self._render, self._events(batch, reader)))
        return batch.rendered[reader]

    def _events(self, batch: LiveBatch, operator_id: str) -> Iterator[Event]:
        if batch.reset:
            yield Event(batch.position.encode(), "reset", b"{}")
        for number, ref, row, queue_position in batch.changes:
            shown: dict[str, Any] = {"ref": ref, "deleted": True}
            if row:
                shown = self._index.present(row, operator_id, queue_position, now=batch.now)
            yield Event(LivePosition(number, batch.position.tag).encode(), "conversation", orjson.dumps(shown))

    @contextmanager
    def _listen(self, operator_id: str) -> Iterator[None]:
        self._listening[operator_id] += 1
        try:
            yield
        finally:
            self._listening[operator_id] -= 1
            self._listening += Counter()  # drops those at zero

    def _counts_for(self, operator_id: str, position: LivePosition) -> dict[str, int]:
        """The views are counted for all readers of this worker together: those who are no further share the counts."""
        with self._lock:
            counted = self._counted_at
            if counted.tag != position.tag or counted.number < position.number or operator_id not in self._counts:
                self._counts = self._index.counts_of(list({operator_id, *self._listening}))
                self._counted_at = position
            return self._counts[operator_id]

    def _operators_data(self) -> bytes:
        with self._lock:
            if time.monotonic() > self._operators_known_until:
                self._operators_event = orjson.dumps({"operators": self._operators.summary()})
                self._operators_known_until = time.monotonic() + OPERATORS_SECONDS
            return self._operators_event

    def forget_operators(self) -> None:
        """They have changed: wakes the feeds of all workers."""
        self._operators_known_until = float("-inf")
        self._index.wake()
