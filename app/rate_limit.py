"""Rate limits by client address: decorators for views, their storage in Redis, and the headers of every limit.

The limit by session is part of the store: it is counted in the same step that stores a message.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

import limits
from flask import Flask, Response
from flask.globals import g
from flask_limiter import RequestLimit
from limits.storage import Storage

from app.config import Settings
from app.errors import RateLimited, StorageUnavailable
from app.extensions import limiter, services
from app.metrics import RATE_LIMITED_TOTAL

P = ParamSpec("P")
T = TypeVar("T")
_NO_LIMIT = 2**31
"""For the counting script: Flask-Limiter compares the count with the limit itself."""


class RedisWindows(Storage):
    """Fixed windows in the service's Redis, through its own client: Sentinel, Cluster and unix sockets work alike.

    One round trip counts a call and returns the state of the window, which is cached for the rest of the request.
    """

    STORAGE_SCHEME = ["baton"]  # noqa: RUF012 - as the base class has it

    @property
    def base_exceptions(self) -> type[Exception]:
        """The error by which Flask-Limiter recognises that the storage is unavailable."""
        return StorageUnavailable

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:  # noqa: ARG002 - every call costs 1
        """Count one call in a window of ``expiry`` seconds; the calls so far."""
        _, remaining, reset = services().store.hit_rate_limit(f"baton:limits:{{{key}}}", _NO_LIMIT, expiry * 1000)
        count = _NO_LIMIT - remaining
        _windows()[key] = (count, time.time() + reset / 1000)
        return count

    def get(self, key: str) -> int:
        """The calls counted in a window that this request has counted in; 0 for any other."""
        return _windows().get(key, (0, 0.0))[0]

    def get_expiry(self, key: str) -> float:
        """When that window ends (Unix time)."""
        return _windows().get(key, (0, time.time()))[1]

    def check(self) -> bool:
        """Whether Redis answers again."""
        return services().store.health()["redis"] == "ok"

    def reset(self) -> int | None:
        """Not offered: the windows expire by themselves."""
        raise NotImplementedError

    def clear(self, key: str) -> None:
        """Not offered: the windows expire by themselves."""
        raise NotImplementedError


def _windows() -> dict[str, tuple[int, float]]:
    """Count and end of the windows that the current request has counted in."""
    windows: dict[str, tuple[int, float]] = g.setdefault("rate_limit_windows", {})
    return windows


def _by_address(name: str, rate: Callable[[], str]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator that counts every call of its views, in one window per address, before the view itself runs.

    It goes below the route's decorator: above it, it would limit nothing. ``session_route`` checks the form of the
    session id and the credentials first, so what it refuses is not counted. An empty rate is no limit.
    """

    def count_refusal(_: RequestLimit) -> None:
        RATE_LIMITED_TOTAL.labels(name).inc()
        g.refused_by = name

    def decorate(view: Callable[P, T]) -> Callable[P, T]:
        limited_view = limiter.shared_limit(rate, scope=name, on_breach=count_refusal)(view)

        @wraps(view)
        def call(*args: P.args, **named: P.kwargs) -> T:
            if not limiter.enabled:
                return view(*args, **named)
            g.reached_limited_view = True
            return limited_view(*args, **named)

        return call

    return decorate


@limiter.request_filter
def has_no_limit() -> bool:
    """Keeps Flask-Limiter's hook before every request from looking for limits: only the decorators above set any."""
    return "reached_limited_view" not in g


create_limit = _by_address("create", lambda: services().config.rate_limit_create)
address_limit = _by_address("address", lambda: services().config.rate_limit_address)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``amount`` calls in ``window_ms``; an amount of 0 is no limit."""

    amount: int
    window_ms: int


def parse_rate(rate: str) -> RateLimit:
    """The limit that a checked rate such as ``30 per minute`` names; an empty one limits nothing."""
    if not rate:
        return RateLimit(0, 1)
    item = limits.parse(rate)
    return RateLimit(item.amount, item.get_expiry() * 1000)


def init_app(app: Flask) -> None:
    """Sets up Flask-Limiter, and shows the state of the address limit on successful responses."""
    config: Settings = app.extensions["baton"].config
    app.config["RATELIMIT_ENABLED"] = bool(config.rate_limit_create or config.rate_limit_address)
    limiter.init_app(app)

    @app.after_request
    def show_address_limit(response: Response) -> Response:
        current = limiter.current_limit
        if current and response.status_code < 400 and "X-RateLimit-Limit" not in response.headers:
            reset = current.window.reset_time - time.time()
            set_rate_limit_headers(response, current.limit.amount, current.remaining, int(reset * 1000))
        return response


def rate_limited_error() -> RateLimited:
    """The error for a call that Flask-Limiter has just refused."""
    current = limiter.current_limit
    seconds = current.window.reset_time - time.time() if current else 1
    error = RateLimited("Too many requests from this address.", retry_after=max(math.ceil(seconds), 1))
    error.limit = current.limit.amount if current else 0
    error.scope = g.get("refused_by", "")
    return error


def set_rate_limit_headers(response: Response, limit: int, remaining: int, reset_ms: int) -> Response:
    """Shows a limit: calls in all, calls left, and the second (Unix time) in which the window ends."""
    if limit:
        headers = response.headers
        headers["X-RateLimit-Limit"] = str(limit)
        headers["X-RateLimit-Remaining"] = str(remaining)
        headers["X-RateLimit-Reset"] = str(int(time.time() + reset_ms / 1000) + 1)
    return response
