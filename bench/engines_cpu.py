"""How much a Python engine that computes slows the other sessions: p95 beside it over p95 without it.

``python -m bench.engines_cpu [workers]``; a real service with the scripted engine on loopback. Quiet and busy rounds
take turns, so that what else the machine does falls on both; the figures are medians over the rounds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from tests.conftest import Service

ROUNDS = 5
CALLS = 40


def p95(call: Callable[[], httpx.Response]) -> float:
    """Milliseconds, 95th percentile."""
    seconds = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call().raise_for_status()
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[int(CALLS * 0.95)] * 1000


def measure(client: httpx.Client) -> dict[str, float]:
    """What other sessions do, and how long each of it takes."""
    session = client.post("/api/session/create").raise_for_status().json()["session_id"]
    messages = f"/api/session/{session}/messages"
    return {
        "read": p95(lambda: client.get(messages)),
        "append": p95(lambda: client.post(messages, json={"message": "x"})),
        "short answer": p95(lambda: client.post("/api/chat", json={"query": "hello"})),
        "20 tokens, 10 ms each": p95(lambda: client.post("/api/chat", json={"query": "tokens=20 delay=0.01"})),
    }


@contextmanager
def burning(url: str) -> Iterator[None]:
    """One visitor whose answers are computed, one after the other, all the while."""
    over = threading.Event()

    def burn() -> None:
        while not over.is_set():
            httpx.post(f"{url}/api/chat", json={"query": "burn=1"}, timeout=60).raise_for_status()

    burner = threading.Thread(target=burn)
    burner.start()
    time.sleep(0.2)
    try:
        yield
    finally:
        over.set()
        burner.join()


def main(workers: str) -> None:
    limits = dict.fromkeys(("BATON_RATE_LIMIT_CREATE", "BATON_RATE_LIMIT_SESSION", "BATON_RATE_LIMIT_ADDRESS"), "")
    alone, beside = [], []
    with tempfile.TemporaryDirectory() as folder:
        service = Service({
            **limits, "BATON_ENGINE": "python:tests.engines.scripted_engine:make", "BATON_ENGINE_PER_MINUTE": "100000",
            "BATON_DATA_DIR": folder, "WEB_CONCURRENCY": workers,
        })  # fmt: skip
        try:
            with httpx.Client(base_url=service.url, timeout=30) as client:
                measure(client)  # warm
                for _ in range(ROUNDS):
                    alone.append(measure(client))
                    with burning(service.url):
                        beside.append(measure(client))
        finally:
            service.stop()
    print(f"p95 with {workers} worker(s), medians of {ROUNDS} rounds, alone and beside a computing engine:")
    for name in alone[0]:
        quiet, busy = (statistics.median(one[name] for one in side) for side in (alone, beside))
        print(f"  {name:24} {quiet:8.1f} ms {busy:8.1f} ms   x {busy / quiet:.2f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "1")
