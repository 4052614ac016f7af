"""What happens to conversations by the clock: abandoned, waiting for too long, held by somebody who is gone.

One worker at a time sweeps, under a lease. Each rule is decided where the session is, in one atomic step that also
records that it was applied. So it does not matter when a worker dies, or that two of them sweep for a moment.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from app.auth.operators import PRESENT_MS, OperatorDirectory
from app.conversations.people import VISITOR_AWAY_MS, PeopleService
from app.errors import BatonError, SessionNotFound, StorageUnavailable, error_location
from app.storage.base import ConversationStore
from app.storage.desk_index import DeskIndex, SweepRules

TICK_SECONDS = 1.0
LEASE_MS = 5_000
STOP_SECONDS = 1.0
"""How long a worker that leaves waits for its own sweep to end."""
RECHECK_MS = 15_000
"""How often a visitor of a conversation that a person has is looked for."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class People:
    """What the sweeper needs where operators answer too."""

    service: PeopleService
    operators: OperatorDirectory
    queue_timeout_ms: int


class Sweeper:
    """One worker's part: ``run`` in a thread of its own."""

    def __init__(
        self,
        index: DeskIndex,
        store: ConversationStore,
        worker: str,
        people: People | None = None,
    ) -> None:
        self._index, self._store, self._worker, self._people = index, store, worker, people
        self._rules = SweepRules(LEASE_MS, people.queue_timeout_ms if people else 10**15, RECHECK_MS)
        self._stopped, self._sweeping = threading.Event(), threading.Lock()
        self._repair_cursor = "0"
        self._is_holder = False
        self._known_positions: AbstractSet[tuple[str, int]] = frozenset()

    def run(self) -> None:
        """Sweeps every second until ``stop``."""
        while not self._stopped.wait(TICK_SECONDS):
            try:
                with self._sweeping:
                    if not self._stopped.is_set():
                        self.sweep()
            except StorageUnavailable:
                continue
            except Exception as error:  # noqa: BLE001 - a fault here must not end the thread
                _log.error("a sweep failed: %s", type(error).__name__, extra={"at": error_location(error)})

    def stop(self) -> None:
        """Ends ``run``, and lets another worker sweep."""
        self._stopped.set()
        is_idle = self._sweeping.acquire(timeout=STOP_SECONDS)  # a sweep that has just begun may still take the lease
        try:
            if self._is_holder:
                self._index.release_sweeper(self._worker)
        except StorageUnavailable:
            _log.info("the sweeper's lease is left to expire")
        finally:
            if is_idle:
                self._sweeping.release()

    def sweep(self) -> bool:
        """Applies every rule once; False where another worker sweeps."""
        due = self._index.due(self._worker, self._rules)
        self._is_holder = due is not None
        if due is None:
            self._known_positions = frozenset()
            return False
        for ref, session_hash in due.idle:
            self._attempt(session_hash, self._store.mark_abandoned, ref)
        if self._people:
            service = self._people.service
            timeout = str(self._people.queue_timeout_ms)
            for ref, session_hash in due.waiting:
                self._attempt(session_hash, partial(service.put_back, reason="timeout", value=timeout), ref)
            for ref, session_hash in due.held:
                self._attempt(session_hash, partial(service.put_back, reason="left", value=str(VISITOR_AWAY_MS)), ref)
            # Somebody to whom a colleague gave it has as long to come as others may be away.
            present = self._people.operators.present_ids()
            for operator_id, session_hash in self._index.held_by_others(present, PRESENT_MS):
                self._attempt(session_hash, partial(service.put_back, reason="absent", value=operator_id))
            self._known_positions = service.publish_positions(self._known_positions)
        self._repair_cursor = self._index.repair(self._repair_cursor)
        return True

    def _attempt(self, session_hash: str, rule: Callable[[str], object], ref: str = "") -> None:
        """Applies a rule to one session and shows what came of it; one that fails does not hold up the others."""
        if not session_hash or self._stopped.is_set():
            return
        try:
            with suppress(SessionNotFound):
                rule(session_hash)
            self._index.refresh(f"{session_hash}:{ref}" if ref else session_hash)
        except StorageUnavailable:
            raise
        except BatonError as error:
            _log.warning("a conversation could not be swept: %s", error.code)
