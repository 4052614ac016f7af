"""What the desk costs visitors, and how quickly its lists answer: `make bench BENCH=desk`.

Two services under the same load, one with the desk off and one with it on, each with 10,000 conversations on a Redis of
its own; 20 operators follow the desk's feed. The load says and asks in a thousand of the conversations, as fast as one
worker can. Rounds in turns, medians; beside the rate stands the CPU time of worker and Redis for one call, which is
steadier on a busy machine and holds whatever the desk does in the background. ``ROUNDS``, ``SECONDS_A_ROUND``,
``CONVERSATIONS`` and ``OPERATORS`` make it shorter. Needs wrk.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import redis

from app.config import Settings
from app.conversations import ids
from app.conversations.events import serialize_message
from app.storage import open_store
from app.storage.base import NewMessage
from app.storage.embedded_redis import EmbeddedServer, embedded_url
from bench.http import BODY, LIMITS, Case, cpu, load, start, worker
from bench.http import redis as start_redis
from bench.scale import RULES
from tests.contract.desk_client import ServerClient

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS_A_ROUND", "4"))
CONVERSATIONS = int(os.environ.get("CONVERSATIONS", "10000"))
OPERATORS = int(os.environ.get("OPERATORS", "20"))
ACTIVE = 1_000
"""In so many of the conversations something happens."""
KEY = "key-of-the-server-0123456789"
PORTS = {"off": 8711, "on": 8712}


@dataclass
class Side:
    """A service, its Redis, and conversations in it."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    server: EmbeddedServer
    redis: redis.Redis
    sessions: list[str]

    def cpu(self) -> float:
        """Seconds that the worker and Redis have used."""
        info = self.redis.info("cpu")
        return cpu(worker(self.process)) + float(info["used_cpu_user"]) + float(info["used_cpu_sys"])

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()
        self.server.stop()


def fill(url: str, tracking: str) -> list[str]:
    """Makes conversations with a message each; their ids."""
    rules = {name: getattr(RULES, name) for name in RULES.__slots__} | {"tracking": tracking}
    store = open_store(Settings(redis_url=url), type(RULES)(**rules))  # type: ignore[arg-type]
    made = []
    for number in range(CONVERSATIONS):
        session_id = ids.new_session_id()
        session_hash = ids.hash_session_id(session_id) or ""
        store.create_session(session_hash, b'{"page":"/pricing","title":"Pricing"}', "")
        text = f"Question number {number}: what does it cost to send a parcel of two kilos to Norway?"
        store.append_message(session_hash, "", NewMessage(serialize_message("user", text, None)))
        made.append(session_id)
    store.close()
    return made


def side(name: str) -> Side:
    folder = tempfile.mkdtemp()
    server = start_redis(folder)
    url = embedded_url(Path(folder))
    sessions = fill(url, "desk" if name == "on" else "")
    settings = {"BATON_MAX_MESSAGES": "900000000", "REDIS_URL": url, "BATON_API_KEY": KEY, "BATON_DESK": name}
    settings |= {"BATON_ENGINE_PER_MINUTE": "900000000", "BATON_ENGINE_CONCURRENCY": "4000", **LIMITS}
    process = start("bench.baseline:echo_app()", PORTS[name], **settings)
    return Side(name, f"http://127.0.0.1:{PORTS[name]}", process, server, redis.Redis.from_url(url), sessions)


def cases(one: Side) -> list[Case]:
    chosen = one.sessions[: ACTIVE * 2]
    appends = tuple(f"/api/session/{session_id}/messages" for session_id in chosen[:ACTIVE])
    chats = tuple(f'{{"query": "What is AI risk?", "session_id": "{session_id}"}}' for session_id in chosen[ACTIVE:])
    return [
        Case("append", one.name, "POST", "", (BODY,), paths=appends),
        Case("chat, an engine that echoes", one.name, "POST", "/api/chat", chats),
    ]


def listen(port: int, cookies: list[str]) -> None:
    """Follows the desk's feed for each of the cookies and throws away what comes; an own process."""
    selector = selectors.DefaultSelector()
    for cookie in cookies:
        connection = socket.create_connection(("127.0.0.1", port))
        head = f"GET /api/desk/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nCookie: {cookie}\r\n\r\n"
        connection.sendall(head.encode())
        selector.register(connection, selectors.EVENT_READ)
    total = 0
    print("listening", flush=True)
    while True:
        for key, _ in selector.select():
            received = key.fileobj.recv(1 << 20)  # type: ignore[union-attr]
            total += len(received)
            if not received:
                selector.unregister(key.fileobj)


def operators(one: Side) -> tuple[list[str], subprocess.Popen[bytes]]:
    """Logs the operators in and lets them listen."""
    server = ServerClient(one.url, KEY)
    cookies = [server.log_in(f"Operator {number}", "operator").cookie for number in range(max(OPERATORS, 1))]
    command = [
        "taskset",
        "-c",
        "1",
        sys.executable,
        "-m",
        "bench.desk",
        "listen",
        str(PORTS[one.name]),
        *cookies[:OPERATORS],
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return cookies, process


def await_index(one: Side) -> float:
    """Seconds until all conversations are listed."""
    began = time.perf_counter()
    server = ServerClient(one.url, KEY)
    while server.call("GET", "/conversations?limit=1").json()["counts"]["bot"] < CONVERSATIONS:
        time.sleep(0.1)
    return time.perf_counter() - began


def measure(sides: list[Side]) -> None:
    """Runs the rounds and prints the medians and their ratios."""
    rates: dict[tuple[str, str], list[float]] = {}
    costs: dict[tuple[str, str], list[float]] = {}
    for number in range(ROUNDS):
        for one in sides if number % 2 else sides[::-1]:
            for case in cases(one):
                before = one.cpu()
                rate = load(one.url, case, SECONDS)
                rates.setdefault((case.name, one.name), []).append(rate)
                costs.setdefault((case.name, one.name), []).append((one.cpu() - before) / (rate * SECONDS) * 1e6)
    print(f"{'call':30} {'off /s':>8} {'on /s':>8} {'ratio':>6} {'off us':>8} {'on us':>8} {'by CPU':>7}")
    for name in dict.fromkeys(case for case, _ in rates):
        off, on = (statistics.median(rates[name, which]) for which in ("off", "on"))
        cost_off, cost_on = (statistics.median(costs[name, which]) for which in ("off", "on"))
        print(
            f"{name:30} {off:8.0f} {on:8.0f} {off / on:6.2f} {cost_off:8.0f} {cost_on:8.0f} {cost_on / cost_off:7.2f}"
        )


def idle(sides: list[Side]) -> None:
    """What a second without any call costs."""
    before = [one.cpu() for one in sides]
    time.sleep(10)
    for one, was in zip(sides, before, strict=True):
        print(f"idle, desk {one.name}: {(one.cpu() - was) / 10 * 100:.1f} % of a core")


def lists(one: Side, cookie: str) -> None:
    """How long the desk's lists take, one call after the other over one connection."""
    deep = ""
    with httpx.Client(base_url=f"{one.url}/api/desk", headers={"Cookie": cookie}, timeout=30) as client:
        for _ in range(CONVERSATIONS // 200):
            deep = client.get(f"/conversations?view=bot&limit=100&cursor={deep}".rstrip("=")).json()["cursor"]
        calls = {
            "first page of 50": "/conversations?view=bot",
            "page of 100 in the middle": f"/conversations?view=bot&limit=100&cursor={deep}",
            "a search that finds nothing": "/conversations?view=bot&q=nowhere",
        }
        for name, path in calls.items():
            times = []
            for _ in range(200):
                began = time.perf_counter()
                assert client.get(path).status_code == 200
                times.append((time.perf_counter() - began) * 1000)
            times.sort()
            print(f"{name:30} p50 {times[100]:6.1f} ms  p99 {times[197]:6.1f} ms")


def memory(one: Side) -> None:
    """What the index weighs in Redis."""
    keys = list(one.redis.scan_iter("baton:desk:*", count=1000)) + list(one.redis.scan_iter("baton:changes:*"))
    weighed = sum(int(one.redis.memory_usage(key, samples=0) or 0) for key in keys)
    print(f"the index: {weighed / 1e6:.1f} MB, {weighed / CONVERSATIONS:.0f} bytes a conversation")


def main() -> None:
    """Prints the tables."""
    if not shutil.which("wrk"):
        raise SystemExit("This needs wrk: apt-get install wrk")
    sides = [side("off"), side("on")]
    listeners = None
    try:
        print(f"{CONVERSATIONS} conversations listed after {await_index(sides[1]):.1f} s")
        memory(sides[1])
        cookies, listeners = operators(sides[1])
        idle(sides)
        lists(sides[1], cookies[0])
        measure(sides)
    finally:
        if listeners:
            listeners.kill()
        for one in sides:
            one.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["listen"]:
        listen(int(sys.argv[2]), sys.argv[3:])
    main()
