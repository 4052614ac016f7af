"""What one question may cost: time, and words whose spelling is repaired."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 0.5
"""After this nothing more is begun, and what was found by then is the answer."""
REPAIRS = 3
"""Words of a question whose spelling is repaired: each is compared with thousands of words of the folder."""
_STEPS = 1_000
"""Steps of SQLite between two looks at the clock."""


class Budget:
    """Begins to run out as it is made."""

    def __init__(self, seconds: float = SECONDS, repairs: int = REPAIRS) -> None:
        self._until = time.monotonic() + seconds
        self._repairs = repairs
        self._repaired: set[str] = set()

    def spent(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._until

    def repairs(self, word: str) -> bool:
        """Whether this word may be repaired; each word counts once."""
        if word not in self._repaired:
            if len(self._repaired) >= self._repairs or self.spent():
                return False
            self._repaired.add(word)
        return True

    def unrepaired(self) -> Budget:
        """The same time, with every word taken as it is spelt."""
        other = Budget(repairs=0)
        other._until = self._until
        return other

    @contextmanager
    def bounds(self, db: sqlite3.Connection) -> Iterator[None]:
        """Within it a query ends as the time does; what is left of the block is passed over then."""
        db.set_progress_handler(self.spent, _STEPS)
        try:
            yield
        except sqlite3.OperationalError:
            if not self.spent():
                raise
        finally:
            db.set_progress_handler(None, 0)
