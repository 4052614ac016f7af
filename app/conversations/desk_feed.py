"""What an open desk is told: rows that have changed, how many conversations each view has, who is there to answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from app.auth.operators import OperatorDirectory
from app.conversations.events import Event
from app.errors import StorageUnavailable
from app.storage.desk_index import DeskIndex, LiveBatch, LivePosition

COALESCE_SECONDS = 0.15
"""Changes within this time come together: the newest row of each conversation, in one write."""
PING_SECONDS = 5.0
OPERATORS_SECONDS = 2.0
"""For so long the readers of a worker share what they know of the operators."""


@dataclass(frozen=True, slots=True)
class DeskReader:
    """Whose feed it is, and when it ends."""

    operator_id: str
    may_read: Callable[[], bool]
    """Whether their login still lives; it marks them as present too."""
    disconnected: Callable[[], bool]


class DeskFeed:
    """The changes of all conversations, for any number of readers in this worker."""

    def __init__(self, index: DeskIndex, operators: OperatorDirectory, render: Callable[[Event], bytes]) -> None:
        self._index, self._operators, self._render = index, operators, render
        self._operators_event = b""
        self._operators_known_until = float("-inf")
        self._lock = threading.Lock()

    def stream(self, reader: DeskReader, after: str | None) -> Iterator[bytes | None]:
        """Rendered events after a position (None: from now on); None when nothing came for a while."""
        return self._stream(reader, self._index.open_live(after), after)

    def _stream(self, reader: DeskReader, position: LivePosition, after: str | None) -> Iterator[bytes | None]:
        counts = operators = b""
        first_id = position.encode() if after is None else None
        with self._index.subscribe() as subscription:
            while True:
                parts: list[bytes] = []
                try:
                    batch = self._index.read_live(position)
                    position = batch.position
                    parts.append(self._changes(batch, reader.operator_id))
                    current = orjson.dumps(self._index.counts(reader.operator_id))
                    if current != counts:
                        counts = current
                        parts.append(self._render(Event(first_id, "counts", counts)))
                        first_id = None
                    current = self._operators_data()
                    if current != operators:
                        operators = current
                        parts.append(self._render(Event(None, "operators", operators)))
                except StorageUnavailable:
                    subscription.wait(1.0)
                yield b"".join(parts) or None
                if subscription.closing or reader.disconnected() or not reader.may_read():
                    return
                if subscription.wait(PING_SECONDS):
                    time.sleep(COALESCE_SECONDS)

    def _changes(self, batch: LiveBatch, operator_id: str) -> bytes:
        """The rows as this operator gets them. Readers to whom they look the same share them."""
        whose = (
            operator_id if any(row and operator_id in row.get("reads", ()) for _, _, row, _ in batch.changes) else ""
        )
        rendered = batch.rendered.get(whose)
        if rendered is None:
            events = self._events(batch, whose)
            rendered = batch.rendered[whose] = b"".join(self._render(event) for event in events)
        return rendered

    def _events(self, batch: LiveBatch, operator_id: str) -> Iterator[Event]:
        if batch.reset:
            yield Event(batch.position.encode(), "reset", b"{}")
        for number, ref, row, place in batch.changes:
            shown: dict[str, Any] = {"ref": ref, "deleted": True}
            if row:
                shown = self._index.present(row, operator_id, place, now=batch.now)
            yield Event(LivePosition(number, batch.position.tag).encode(), "conversation", orjson.dumps(shown))

    def _operators_data(self) -> bytes:
        with self._lock:
            if time.monotonic() > self._operators_known_until:
                self._operators_event = orjson.dumps({"operators": self._operators.summary()})
                self._operators_known_until = time.monotonic() + OPERATORS_SECONDS
            return self._operators_event

    def forget_operators(self) -> None:
        """They have changed: the feeds of all workers are told."""
        self._operators_known_until = float("-inf")
        self._index.wake()
