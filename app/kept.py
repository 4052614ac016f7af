"""Values that take long to make: made once, outside of the event loop, and kept within bounds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from app.errors import EngineBusy
from app.offload import offload

T = TypeVar("T")

WAIT = 5.0
"""Seconds that a caller waits for values which others have made."""


class Kept(Generic[T]):
    """The values used last, at most ``most`` bytes of them by their makers' estimates."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._making = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """The value of this key; where it is not there, what ``make`` gives. One is made at a time.

        Raises EngineBusy where too many wait, and what ``make`` raises.
        """
        if key not in self._values:
            if not self._making.acquire(timeout=WAIT):
                raise EngineBusy(retry_after=1)
            try:
                if key not in self._values:
                    value = offload(make)
                    self._keep(key, value, size(value))
                    return value
            finally:
                self._making.release()
        return self._have(key, make)

    def _have(self, key: Hashable, make: Callable[[], T]) -> T:
        try:
            self._values.move_to_end(key)
            return self._values[key][0]
        except KeyError:  # another thread has let go of it in between
            return offload(make)

    def _keep(self, key: Hashable, value: T, size: int) -> None:
        self._values[key] = (value, size)
        self._bytes += size
        while self._bytes > self._most and len(self._values) > 1:
            self._bytes -= self._values.popitem(last=False)[1][1]
