"""Applies what has changed in sessions to the desk's index and to the queue of events: the step after each verb.

A verb marks its session in Redis, in the same atomic step as its work (``scripts/_track.lua``). One worker at a time
applies all marks, a moment after any of them was set. A worker that dies loses nothing, since a mark goes only when its
change is applied, and whatever is done twice changes nothing (app/storage/desk_index.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from app.errors import StorageUnavailable, error_location
from app.storage.desk_index import MAX_MARKS, DeskIndex, Mark

COALESCE_SECONDS, MAX_COALESCE_SECONDS = 0.3, 0.7
"""Changes of one session within this time are applied together; up to the second where steps take long."""
MAX_SHARE = 0.1
"""What part of its time a worker may spend on steps, within MAX_COALESCE_SECONDS."""
IDLE_SECONDS = 1.0
"""How often a worker looks for marks that another one has left."""
SKIP_SECONDS = 30.0
"""A session whose changes cannot be applied is not tried again for this long."""

_log = logging.getLogger(__name__)


def pause_after(step_seconds: float) -> float:
    """For how long changes are collected after a step that took so long."""
    return min(max(step_seconds / MAX_SHARE, COALESCE_SECONDS), MAX_COALESCE_SECONDS)


class ChangeTracker:
    """Applies the marked changes, in a thread (``run``); ``changed`` is set when this worker has marked a session."""

    def __init__(self, index: DeskIndex, worker: str, changed: threading.Event) -> None:
        self._index, self._worker, self._changed = index, worker, changed
        self._stopped = threading.Event()
        self._step_lock = threading.Lock()
        self._applied: dict[str, float] = {}
        self._skipped: dict[str, float] = {}

    def run(self) -> None:
        """Applies changes until ``drain``."""
        coalesce = COALESCE_SECONDS
        while not self._stopped.is_set():
            if self._changed.wait(IDLE_SECONDS):
                self._stopped.wait(coalesce)
            started = time.monotonic()
            try:
                self.step()
                coalesce = pause_after(time.monotonic() - started)
            except StorageUnavailable:
                self._stopped.wait(IDLE_SECONDS)
            except Exception as error:  # noqa: BLE001 - a fault here must not end the thread
                extra = {"at": error_location(error)}
                _log.error("changes could not be applied: %s", type(error).__name__, extra=extra)
                self._stopped.wait(IDLE_SECONDS)

    def step(self) -> bool:
        """Applies all changes that there are; False while another worker does it. Raises StorageUnavailable."""
        with self._step_lock:
            self._changed.clear()
            marks = self._index.take_marks(self._worker)
            if marks is None:
                self._changed.set()  # it may have looked before our changes came
                return False
            if not marks:
                return True
            try:
                while self._apply(marks) and len(marks) >= MAX_MARKS:
                    marks = self._index.take_marks(self._worker) or []
            finally:
                self._index.release_marks(self._worker)
            return True

    def drain(self, seconds: float) -> None:
        """Ends ``run``, and applies what has changed until now; what takes longer is left to the other workers."""
        self._stopped.set()
        deadline = time.monotonic() + min(seconds, 2.0)
        try:
            while not self.step() and time.monotonic() < deadline:
                time.sleep(0.05)
        except StorageUnavailable:
            _log.warning("what has changed is left to another worker")

    def _apply(self, marks: Sequence[Mark]) -> bool:
        """Whether there was anything new."""
        now = time.monotonic()
        self._skipped = {member: until for member, until in self._skipped.items() if until > now}
        wanted = [mark for mark in marks if mark.member not in self._skipped and self._is_new(mark)]
        self._applied = {mark.member: mark.score for mark in marks if not mark.is_final}
        if not wanted:
            return False
        try:
            self._index.apply(wanted)
        except StorageUnavailable:
            raise
        except Exception:  # noqa: BLE001 - found out below which one it is
            self._apply_each(wanted)
        return True

    def _is_new(self, mark: Mark) -> bool:
        return mark.is_final or self._applied.get(mark.member) != mark.score

    def _apply_each(self, marks: Sequence[Mark]) -> None:
        """One session must not hold up the others."""
        for mark in marks:
            try:
                self._index.apply([mark])
            except StorageUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - logged, and tried again later
                self._skipped[mark.member] = time.monotonic() + SKIP_SECONDS
                extra = {"session": mark.member[:10], "at": error_location(error)}
                _log.error("what a conversation has changed could not be applied", extra=extra)
