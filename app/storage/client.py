"""Talks to Redis: bounded waits, no blind retry, every failure one StorageUnavailable."""

from __future__ import annotations

import logging
import re
import time
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.errors import StorageUnavailable
from app.storage.connection_pool import Nodes, Redis

_log = logging.getLogger(__name__)

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
_WRITES = ("ZREM", "PUBLISH")
_OPTIONAL = ("CONFIG", "INFO")
"""Commands that a managed Redis may forbid: a refusal of these is no trouble with storage."""
_KIND = re.compile(r"[A-Z]+(?: [A-Za-z]+){0,5}")
_SIGNS = (
    # The driver's own words while it signs in.
    ("invalid username", "WRONGPASS"),
    ("WRONGPASS", "WRONGPASS"),
    ("uthentication", "NOAUTH"),
    ("unauthenticated", "NOAUTH"),
    ("NOAUTH", "NOAUTH"),
    ("max number of clients", "MAXCLIENTS"),
    ("loading", "LOADING"),
    # A script in a slot that is on its way to another node.
    ("non local key", "TRYAGAIN"),
)


class Breaker:
    """After two failures in a row answers at once for half a second, then lets one call try.

    Says once in the log that something fails, for each kind of trouble, and once that it works again.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._failures = 0
        self._until = 0.0
        self._kind = "unreachable"
        self._told: set[str] = set()

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
        if kind not in self._told:
            self._told.add(kind)
            _log.warning("storage unavailable for %s: %s", self._what, kind)

    def worked(self) -> None:
        self._failures = 0
        if self._told:
            self._told.clear()
            _log.warning("storage works again for %s", self._what)


class Script:
    """One verb: its Lua file and what that includes by its first line, ``--! name name``."""

    def __init__(self, name: str) -> None:
        folder = Path(__file__).parent / "scripts"
        own = (folder / f"{name}.lua").read_text()
        words = own.split("\n", 1)[0].removeprefix("--!").split()
        self.name = name
        self.writes = "no-writes" not in words
        parts = [(folder / f"_{word}.lua").read_text() for word in words if word != "no-writes"]
        # By the flag and EVALSHA_RO it runs while writes are paused, refused or out of memory (Redis 7).
        shebang = "#!lua\n" if self.writes else "#!lua flags=no-writes\n"
        self.by_name, self.whole = ("EVALSHA", "EVAL") if self.writes else ("EVALSHA_RO", "EVAL_RO")
        self.source = shebang + "\n".join([*parts, own])
        self.sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class Commands:
    """Runs scripts and commands. Reads and writes break apart: one may go on while the other is refused."""

    def __init__(self, redis: Redis, *, wait_replicas: int = 0) -> None:
        self._redis = redis
        self._wait = wait_replicas
        self._troubled = float("-inf")
        self._node = redis.node if isinstance(redis, Nodes) else None
        self.apart = self._node is not None
        """Keys of different sessions stand on different servers: no script may take both."""
        self._breakers: dict[object, Breaker] = {True: Breaker("writes"), False: Breaker("reads")}

    def run(self, script: Script, keys: tuple[str, ...], *args: Any, wait: bool = False) -> Any:
        """The script's reply. Raises StorageUnavailable; after a write its outcome is then unknown."""
        replicas = self._wait if wait else 0
        rest = (len(keys), *keys, *args)
        try:
            return self._once(script.writes, (script.by_name, script.sha, *rest), replicas)
        except ResponseError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        # Nothing was run, so sending it whole is safe.
        return self._once(script.writes, (script.whole, script.source, *rest), replicas)

    def troubled_for(self, seconds: float) -> bool:
        """Whether storage has failed within the last ``seconds``."""
        return time.monotonic() - self._troubled < seconds

    def call(self, *args: Any) -> Any:
        """One command's reply."""
        return self._once(args[0] in _WRITES, args, 0)

    def _once(self, writes: bool, args: tuple[Any, ...], replicas: int) -> Any:
        breaker = self._breakers[writes] if self._node is None else self._breaker_of_node(writes, args)
        breaker.check()
        try:
            reply = self._redis.execute(*args, wait=replicas)
        except (RedisError, OSError) as error:
            kind = kind_of(error)
            if kind is None or (args[0] in _OPTIONAL and kind.startswith("ERR")):
                breaker.worked()
                raise
            breaker.failed(kind)
            self._troubled = time.monotonic()
            raise StorageUnavailable(kind) from None
        breaker.worked()
        return reply

    def _breaker_of_node(self, writes: bool, args: tuple[Any, ...]) -> Breaker:
        """A Cluster's nodes break apart: those that are well go on."""
        try:
            key = (writes, self._node(args) if self._node else None)
        except (RedisError, OSError):
            key = (writes, None)
        breaker = self._breakers.get(key)
        if breaker is None:
            breaker = self._breakers.setdefault(key, Breaker("writes" if writes else "reads"))
        return breaker


def kind_of(error: BaseException) -> str | None:
    """The kind of trouble, in Redis' own words where it has some; None for a fault of ours and an unknown script.

    An answer that nobody foresaw is trouble too. Of its text only the plain words at its start are taken: what follows
    may quote a visitor.
    """
    if isinstance(error, DataError) or str(error).startswith("NOSCRIPT"):
        return None
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return "timeout"
    text = str(error)
    word = str(getattr(error, "status_code", None) or text.split(" ", 1)[0])
    if word in _REFUSALS:
        return word
    for sign, kind in _SIGNS:
        if sign in text:
            return kind
    if isinstance(error, RedisConnectionError | OSError | RedisClusterException):
        return "unreachable"
    known = _KIND.match(text)
    return known[0] if known else type(error).__name__
