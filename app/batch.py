"""Gathers what every request leaves to be noted, and notes it together: one by one that costs several times as much."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

MOST_WAITING = 64
WAIT_SECONDS = 0.05

T = TypeVar("T")


class Batch(Generic[T]):
    """Entries on their way to ``write``, a function that takes a list of them and must not raise.

    An entry waits 50 ms at most; a process that is killed loses what waited, one that ends writes it.
    """

    def __init__(self, write: Callable[[list[T]], None], name: str) -> None:
        self._write = write
        self._name = name
        self._entries: list[T] = []
        self._some = threading.Event()
        self._started = False

    def add(self, entry: T) -> None:
        """Take an entry."""
        entries = self._entries
        entries.append(entry)
        if len(entries) >= MOST_WAITING:
            self.flush()
        elif len(entries) == 1:
            if not self._started:
                self._start()
            self._some.set()

    def flush(self) -> None:
        """Write what waits."""
        entries, self._entries = self._entries, []
        if entries:
            self._write(entries)

    def _start(self) -> None:
        # At the first entry, so that it runs in the worker that writes and not in what forked it.
        self._started = True
        atexit.register(self.flush)
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            time.sleep(WAIT_SECONDS)
            self.flush()
