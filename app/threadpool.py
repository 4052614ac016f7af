"""Runs long computations in a native thread, so that a worker's event loop serves others meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def run_in_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises: run in gevent's thread pool under gevent, else where it is called.

    ``work`` runs beside the event loop, so it may neither take a lock that greenlets take nor write to a log.
    """
    monkey: Any = sys.modules.get("gevent.monkey")  # the command line and the engine process run without gevent
    if monkey is None or not monkey.is_module_patched("threading"):
        return work()

    from gevent import get_hub

    def attempt() -> Any:
        try:
            return work(), None
        except Exception as error:  # noqa: BLE001 - raised below; gevent would print it as well
            return None, error

    result: T
    result, error = get_hub().threadpool.apply(attempt)
    if error is not None:
        raise error
    return result
