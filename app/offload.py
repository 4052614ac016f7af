"""Runs what computes for long in a native thread, so that a worker's event loop goes on serving meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def offload(work: Callable[[], T]) -> T:
    """What ``work`` gives or raises: computed in gevent's thread pool where gevent serves, else where it is called.

    ``work`` runs beside the event loop, so it may neither take a lock that greenlets take nor write to a log.
    """
    monkey: Any = sys.modules.get("gevent.monkey")  # the command line and the engine process do without gevent
    if monkey is None or not monkey.is_module_patched("threading"):
        return work()

    def attempt() -> tuple[T, None] | tuple[None, Exception]:
        try:
            return work(), None
        except Exception as error:  # noqa: BLE001 - raised where it was asked for; gevent would print it as well
            return None, error

    found, error = _hub().threadpool.apply(attempt)
    if error is not None:
        raise error
    return found  # type: ignore[no-any-return]


def _hub() -> Any:
    from gevent import get_hub

    return get_hub()
