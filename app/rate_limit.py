"""Limits by address and by session: fixed windows counted in Redis, in this worker's memory while Redis is away."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeVar

import limits
from flask import Response
from flask.globals import request

from app import slow_clients
from app.errors import RateLimited, StorageUnavailable
from app.metrics import LIMITED, child
from app.storage.base import RateLimitCheck

T = TypeVar("T")


class Counts(Protocol):
    """What counts over all workers."""

    def hit_rate_limit(self, key: str, limit: int, window: int) -> tuple[bool, int, int]: ...


@dataclass(frozen=True, slots=True)
class Window:
    """A limit: so many calls in so many ms; an ``amount`` of 0 is no limit."""

    amount: int
    ms: int


def window_of(rate: str) -> Window:
    """The window that a checked rate such as ``30 per minute`` names; an empty one limits nothing."""
    if not rate:
        return Window(0, 1)
    item = limits.parse(rate)
    return Window(item.amount, item.get_expiry() * 1000)


@dataclass(frozen=True, slots=True)
class Admission:
    """How one call stands with its address' limit: ``refusal`` is what to raise where it is past it."""

    limit: int
    left: int
    reset: int
    refusal: RateLimited | None


class AddressLimit:
    """One limit by address."""

    def __init__(self, counts: Counts, name: str, rate: str, *, proxies: int) -> None:
        self._counts = counts
        self._name = name
        self._window = window_of(rate)
        self._proxies = proxies
        self._memory = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())
        self._item = limits.parse(rate) if rate else None

    def count(self) -> Admission:
        """Counts the current call. Never raises; a call without a limit is always admitted."""
        if self._item is None:
            return Admission(0, 0, 0, None)
        key = self._key()
        try:
            admitted, left, reset = self._counts.hit_rate_limit(key, self._window.amount, self._window.ms)
        except StorageUnavailable:
            admitted, left, reset = self._remembered(key)
        if admitted:
            return Admission(self._window.amount, left, reset, None)
        return Admission(self._window.amount, 0, reset, self._refusal(reset))

    def charge(self, verb: Callable[[RateLimitCheck | None], T]) -> T:
        """What a verb of the log gives that counts the current call in its own step: one trip instead of two.

        Raises RateLimited past the limit, by this worker's own count where Redis is away, and what the verb raises.
        """
        if self._item is None:
            return verb(None)
        toll = RateLimitCheck(self._key(), self._window.amount, self._window.ms)
        try:
            return verb(toll)
        except RateLimited:
            if toll.refused:
                child(LIMITED, self._name).inc()
            raise
        except StorageUnavailable:
            admitted, _, reset = self._remembered(toll.key)
            if not admitted:
                raise self._refusal(reset) from None
            raise

    def _key(self) -> str:
        return f"baton:limits:{{{network(self._proxies)}}}:{self._name}"

    def _remembered(self, key: str) -> tuple[bool, int, int]:
        """The same count, kept by this worker alone."""
        if self._item is None:
            return True, 0, 0
        admitted = self._memory.hit(self._item, key)
        stats = self._memory.get_window_stats(self._item, key)
        return admitted, stats.remaining, max(int((stats.reset_time - time.time()) * 1000), 1)

    def _refusal(self, reset: int) -> RateLimited:
        child(LIMITED, self._name).inc()
        error = RateLimited("Too many requests from this address.", retry_after=math.ceil(reset / 1000))
        error.limit = self._window.amount
        return error


def show(answer: Response, limit: int, left: int, reset: int) -> Response:
    """The limit on the answer: calls in all, calls left, and the second (Unix time) when the window is whole again."""
    if limit:
        headers = answer.headers
        headers["X-RateLimit-Limit"] = str(limit)
        headers["X-RateLimit-Remaining"] = str(left)
        headers["X-RateLimit-Reset"] = str(int(time.time() + reset / 1000) + 1)
    return answer


def network(proxies: int) -> str:
    """What the caller's address counts as, hashed: an IPv4 address, or the /64 of an IPv6 one."""
    return _hashed(_address(proxies))


@lru_cache(maxsize=4096)
def _hashed(text: str) -> str:
    return hashlib.sha256(b"address:" + slow_clients.network(text).encode()).hexdigest()[:24]


def _address(proxies: int) -> str:
    """The caller's address: the socket's own, or what the nearest trusted proxies say of it."""
    environ = request.environ
    if proxies:
        hops = [hop.strip() for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        if hops:
            return str(hops[-min(proxies, len(hops))])
        if environ.get("HTTP_X_REAL_IP"):
            return str(environ["HTTP_X_REAL_IP"]).strip()
    return str(environ.get("REMOTE_ADDR") or "unknown")
