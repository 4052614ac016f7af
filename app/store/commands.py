"""Talks to Redis: bounded waits, no blind retry, every failure one StorageUnavailable."""

from __future__ import annotations

import time
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.errors import StorageUnavailable
from app.store.connections import Redis

_REFUSALS = {
    "READONLY",
    "OOM",
    "NOREPLICAS",
    "LOADING",
    "BUSY",
    "MISCONF",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "MASTERDOWN",
}
_REFUSALS |= {"CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK"}


class Breaker:
    """After two failures in a row answers at once for half a second, then lets one call try."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0
        self._kind = "unreachable"

    def check(self) -> None:
        """Raises StorageUnavailable while open."""
        if self._failures >= 2:
            now = time.monotonic()
            if now < self._until:
                raise StorageUnavailable(self._kind)
            self._until = now + 0.5

    def failed(self, kind: str) -> None:
        self._failures += 1
        self._kind = kind
        self._until = time.monotonic() + 0.5

    def worked(self) -> None:
        self._failures = 0


class Script:
    """One verb: its Lua file and what that includes by its first line, ``--! name name``."""

    def __init__(self, name: str) -> None:
        folder = Path(__file__).parent / "lua"
        own = (folder / f"{name}.lua").read_text()
        words = own.split("\n", 1)[0].removeprefix("--!").split()
        self.name = name
        self.writes = "no-writes" not in words
        parts = [(folder / f"{word}.lua").read_text() for word in words if word != "no-writes"]
        # The flag lets Redis run it while writes are paused, refused or out of memory (Redis 7, "Script flags").
        shebang = "#!lua\n" if self.writes else "#!lua flags=no-writes\n"
        self.source = shebang + "\n".join([*parts, own])
        self.sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class Commands:
    """Runs scripts and commands. Reads and writes break apart: one may go on while the other is refused."""

    def __init__(self, redis: Redis, *, wait_replicas: int = 0) -> None:
        self._redis = redis
        self._wait = wait_replicas
        self._breakers = {True: Breaker(), False: Breaker()}

    def run(self, script: Script, keys: tuple[str, ...], *args: Any, wait: bool = False) -> Any:
        """The script's reply. Raises StorageUnavailable; after a write its outcome is then unknown."""
        replicas = self._wait if wait else 0
        try:
            return self._once(script.writes, ("EVALSHA", script.sha, len(keys), *keys, *args), replicas)
        except NoScriptError:  # nothing was run, so sending it whole is safe
            return self._once(script.writes, ("EVAL", script.source, len(keys), *keys, *args), replicas)

    def call(self, *args: Any) -> Any:
        """One reading command's reply."""
        return self._once(False, args, 0)

    def _once(self, writes: bool, args: tuple[Any, ...], replicas: int) -> Any:
        breaker = self._breakers[writes]
        breaker.check()
        try:
            reply = self._redis.execute(*args, wait=replicas)
        except NoScriptError:
            breaker.worked()
            raise
        except (RedisError, OSError) as error:
            kind = kind_of(error)
            if kind is None:
                raise
            breaker.failed(kind)
            raise StorageUnavailable(kind) from None
        breaker.worked()
        return reply


def kind_of(error: BaseException) -> str | None:
    """The kind of trouble, in Redis' own word where it has one; None for a fault of ours."""
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return "timeout"
    text = str(error)
    word = text.split(" ", 1)[0]
    if word in _REFUSALS:
        return word
    for sign, kind in (
        ("NOAUTH", "NOAUTH"), ("uthentication", "NOAUTH"), ("WRONGPASS", "WRONGPASS"), ("invalid username", "WRONGPASS"),
        ("max number of clients", "MAXCLIENTS"), ("loading", "LOADING"), ("read only", "READONLY"),
        ("OOM", "OOM"), ("BUSY", "BUSY"), ("MISCONF", "MISCONF"), ("NOREPLICAS", "NOREPLICAS"),
    ):  # fmt: skip
        if sign in text:
            return kind
    if isinstance(error, RedisConnectionError | OSError | RedisClusterException):
        return "unreachable"
    return None
