"""Locks between the processes of a service, held on a file."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path, seconds: float = 0.0) -> Iterator[int | None]:
    """The lock as a file descriptor, which a child process that inherits it goes on holding.

    None where another process has held it for ``seconds``. The wait does not block gevent's event loop.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + seconds
    try:
        while not (is_held := _try(lock)) and time.monotonic() < end:
            time.sleep(0.05)
        yield lock if is_held else None
    finally:
        os.close(lock)


def _try(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
