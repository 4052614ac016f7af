"""Limits by address and by session: fixed windows counted in Redis, in this worker's memory while Redis is away."""

from __future__ import annotations

import hashlib
import ipaddress
import math
import time
from dataclasses import dataclass
from typing import Protocol

import limits
from flask import Response
from flask.globals import request

from app.errors import RateLimited, StorageUnavailable
from app.routes.metrics import LIMITED


class Counts(Protocol):
    """What counts over all workers."""

    def count(self, key: str, limit: int, window: int) -> tuple[bool, int, int]: ...

    def refund(self, key: str) -> None: ...


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
    """How one call stands with its address' limit: ``refusal`` is what to raise unless the call is a replay."""

    limit: int
    left: int
    reset: int
    refusal: RateLimited | None
    key: str = ""


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
        key = f"baton:limits:{{{network(self._proxies)}}}:{self._name}"
        try:
            admitted, left, reset = self._counts.count(key, self._window.amount, self._window.ms)
        except StorageUnavailable:
            admitted = self._memory.hit(self._item, key)
            stats = self._memory.get_window_stats(self._item, key)
            left, reset = stats.remaining, max(int((stats.reset_time - time.time()) * 1000), 1)
        if admitted:
            return Admission(self._window.amount, left, reset, None, key)
        LIMITED.labels(self._name).inc()
        refusal = RateLimited("Too many requests from this address.", retry_after=math.ceil(reset / 1000))
        return Admission(self._window.amount, 0, reset, refusal)

    def refund(self, admission: Admission) -> None:
        """A replay counts against no limit."""
        if admission.key:
            self._counts.refund(admission.key)


def show(answer: Response, limit: int, left: int, reset: int) -> Response:
    """The limit on the answer: calls in all, calls left, and the second (Unix time) when the window is whole again."""
    if limit:
        headers = answer.headers
        headers["X-RateLimit-Limit"] = str(limit)
        headers["X-RateLimit-Remaining"] = str(left)
        headers["X-RateLimit-Reset"] = str(int(time.time() + reset / 1000) + 1)
    return answer


def network(proxies: int) -> str:
    """What an address counts as, hashed: an IPv4 address, or the /64 of an IPv6 one."""
    text = _address(proxies)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return _hashed(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return _hashed(str(address.ipv4_mapped))
        return _hashed(str(ipaddress.ip_network((address, 64), strict=False)))
    return _hashed(text)


def _hashed(text: str) -> str:
    return hashlib.sha256(b"address:" + text.encode()).hexdigest()[:24]


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
