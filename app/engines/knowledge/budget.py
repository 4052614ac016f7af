"""The limits of one question: its time, and how many of its words have their spelling corrected."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 0.5
"""After this no further step is started, and the answer is built from what was found so far."""
REPAIRS = 3
"""Words of a question whose spelling is corrected: each is compared with thousands of words of the folder."""
_STEPS = 1_000
"""Steps of SQLite between two checks of the clock."""


class Budget:
    """The time and the spelling corrections that one question has left; the time starts when this is created."""

    def __init__(self, seconds: float = SECONDS, repairs: int = REPAIRS) -> None:
        self._until = time.monotonic() + seconds
        self._repairs = repairs
        self._repaired: set[str] = set()

    def spent(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._until

    def repairs(self, word: str) -> bool:
        """Whether this word's spelling may be corrected; each word counts once."""
        if word not in self._repaired:
            if len(self._repaired) >= self._repairs or self.spent():
                return False
            self._repaired.add(word)
        return True

    def unrepaired(self) -> Budget:
        """The same time limit, without spelling corrections."""
        other = Budget(repairs=0)
        other._until = self._until
        return other

    @contextmanager
    def bounds(self, db: sqlite3.Connection) -> Iterator[None]:
        """In the block SQLite stops a query when the time is over, and the rest of the block is then skipped."""
        db.set_progress_handler(self.spent, _STEPS)
        try:
            yield
        except sqlite3.OperationalError:
            if not self.spent():
                raise
        finally:
            db.set_progress_handler(None, 0)
