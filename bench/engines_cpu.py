"""How much a Python engine that computes slows the other sessions: p95 beside it over p95 without it.

``python -m bench.engines_cpu [workers]``; a real service with the scripted engine on loopback.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable

import httpx

from tests.conftest import Service

ROUNDS = 100


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.95)] * 1000


def measure(client: httpx.Client) -> dict[str, float]:
    """Milliseconds, 95th percentile, of what other sessions do."""
    session = client.post("/api/session/create").json()["session_id"]
    message = f"/api/session/{session}/messages"
    calls: dict[str, Callable[[], httpx.Response]] = {
        "read": lambda: client.get(message),
        "append": lambda: client.post(message, json={"message": "x"}),
        "short answer": lambda: client.post("/api/chat", json={"query": "hello"}),
        "answer of 20 tokens, 10 ms each": lambda: client.post("/api/chat", json={"query": "tokens=20 delay=0.01"}),
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = time.perf_counter()
            call().raise_for_status()
            taken[name].append(time.perf_counter() - began)
    return {name: p95(seconds) for name, seconds in taken.items()}


def main(workers: str) -> None:
    limits = dict.fromkeys(("BATON_RATE_LIMIT_CREATE", "BATON_RATE_LIMIT_SESSION", "BATON_RATE_LIMIT_ADDRESS"), "")
    with tempfile.TemporaryDirectory() as folder:
        service = Service({
            **limits, "BATON_ENGINE": "python:tests.engines.scripted:make", "BATON_ENGINE_PER_MINUTE": "100000",
            "BATON_DATA_DIR": folder, "WEB_CONCURRENCY": workers,
        })  # fmt: skip
        over = threading.Event()

        def burn() -> None:
            while not over.is_set():
                httpx.post(f"{service.url}/api/chat", json={"query": "burn=2"}, timeout=60)

        try:
            with httpx.Client(base_url=service.url, timeout=30) as client:
                measure(client)  # warm
                quiet = measure(client)
                burner = threading.Thread(target=burn)
                burner.start()
                time.sleep(0.3)
                beside = measure(client)
                over.set()
                burner.join()
        finally:
            service.stop()
    print(f"p95 with {workers} worker(s), alone and beside a computing engine:")
    for name, alone in quiet.items():
        print(f"  {name:34} {alone:8.1f} ms {beside[name]:8.1f} ms   x {beside[name] / alone:.2f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "2")
