"""A cache with a limit in bytes, for values that take long to compute."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from app.errors import EngineBusy
from app.threadpool import run_in_thread

T = TypeVar("T")

WAIT_SECONDS = 5.0
"""How long a caller waits while others compute."""


class ByteBoundedCache(Generic[T]):
    """The least recently used values are dropped where all of them together exceed ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._lock, self._computing = threading.Lock(), threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], T], size: Callable[[T], int]) -> T:
        """The cached value, or what ``compute`` returns in a thread; ``size`` estimates its bytes.

        One value is computed at a time. Raises EngineBusy where too many wait, and what ``compute`` raises.
        """
        entry = self._find(key)
        if entry is None:
            if not self._computing.acquire(timeout=WAIT_SECONDS):
                raise EngineBusy(retry_after=1)
            try:
                entry = self._find(key)
                if entry is None:
                    value = run_in_thread(compute)
                    entry = (value, size(value))
                    self._store(key, entry)
            finally:
                self._computing.release()
        return entry[0]

    def _find(self, key: Hashable) -> tuple[T, int] | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def _store(self, key: Hashable, entry: tuple[T, int]) -> None:
        with self._lock:
            self._entries[key] = entry
            self._bytes += entry[1]
            while self._bytes > self._max_bytes and len(self._entries) > 1:
                self._bytes -= self._entries.popitem(last=False)[1][1]
