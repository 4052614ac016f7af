"""Says at the start what the Redis at hand would lose: an evicting memory policy, nothing written to disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from app.errors import StorageUnavailable
from app.storage.client import Commands

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 2.0
_TRIES = 300


def advise(commands: Commands, sleep: Callable[[float], None] = time.sleep) -> None:
    """Warns once, as soon as Redis answers; silent where it will not tell."""
    for _ in range(_TRIES):
        try:
            told = _told(commands)
        except StorageUnavailable:
            sleep(_PAUSE_SECONDS)
            continue
        except RedisError:  # a managed Redis may forbid INFO
            return
        policy = told.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            _log.warning("Redis evicts conversations when its memory is full: maxmemory-policy is %s", policy)
        if told.get("aof_enabled") == "0":
            _log.warning("Redis forgets everything when it restarts: appendonly is off")
        return


def _told(commands: Commands) -> dict[str, str]:
    text = b"".join(commands.call("INFO", section) for section in ("memory", "persistence")).decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
