"""What a call costs while a conversation grows: `make bench BENCH=history_growth`.

One worker on one core, Redis and one client on the other. Sessions of 0, 100, 250 and 500 messages take turns, so that
other load on the machine affects all of them alike. Medians, and the ratio to the shortest session.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from app.storage.embedded_redis import embedded_url
from bench.http import BODY, LIMITS, redis, start

LENGTHS = (0, 100, 250, 500)
SESSIONS = 12
"""Sessions of each length: so many that the appends hardly change the length of one."""
ROUNDS = int(os.environ.get("ROUNDS", "25"))
JSON = {"Content-Type": "application/json"}


def sessions(api: httpx.Client, length: int) -> list[str]:
    """Paths of sessions with so many messages."""
    paths = [api.post("/api/session/create").headers["Location"] for _ in range(SESSIONS)]
    for path in paths:
        for _ in range(length):
            api.post(f"{path}/messages", content=BODY, headers=JSON)
    return paths


def measured(call: Callable[[str], httpx.Response], every: dict[int, list[str]]) -> dict[int, float]:
    """Microseconds of a call, by length: the median over all rounds and sessions."""
    times: dict[int, list[float]] = {length: [] for length in every}
    for _ in range(ROUNDS):
        for number in range(SESSIONS):
            for length, paths in every.items():
                started = time.perf_counter()
                response = call(paths[number])
                times[length].append((time.perf_counter() - started) * 1e6)
                response.raise_for_status()
    return {length: statistics.median(values) for length, values in times.items()}


def main() -> None:
    """Prints a table."""
    folder = Path(tempfile.mkdtemp())
    server = redis(str(folder))
    service = start(
        "bench.baseline:echo_app()", 8709, BATON_MAX_MESSAGES="100000", REDIS_URL=embedded_url(folder), **LIMITS
    )
    try:
        with httpx.Client(base_url="http://127.0.0.1:8709", timeout=30) as api:
            every = {length: sessions(api, length) for length in LENGTHS}
            calls: dict[str, Callable[[str], httpx.Response]] = {
                "read of the last 50": lambda path: api.get(f"{path}/messages?limit=50"),
                "append": lambda path: api.post(f"{path}/messages", content=BODY, headers=JSON),
            }
            print(f"{'call':20} {'messages':>8} {'us':>7} {'ratio':>6}")
            for name, call in calls.items():
                lengths = {n: paths for n, paths in every.items() if n >= 50 or name == "append"}
                costs = measured(call, lengths)
                first = costs[min(costs)]
                for length, cost in costs.items():
                    print(f"{name:20} {length:8} {cost:7.0f} {first / cost:6.2f}")
    finally:
        os.killpg(service.pid, signal.SIGTERM)
        service.wait()
        server.stop()


if __name__ == "__main__":
    main()
