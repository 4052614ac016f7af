"""Streams side by side, as ratios: `make bench BENCH=stream`.

First word and whole answer against the engine's bare generator under the same gunicorn; from an append to every
listener at 1, 100, 500 and 1,000 feeds on two workers; memory a feed; what a 1,000-token answer costs a browser.
Medians of interleaved rounds.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

ROUNDS = int(os.environ.get("ROUNDS", "5"))
FEEDS = (1, 100, 500, 1000)
APPENDS = 20
ANSWERS = {
    "100 tokens, 1 stream": ("tokens=100 delay=0.01", 1),
    "100 tokens, 20 streams": ("tokens=100 delay=0.01", 20),
    "5,000 tokens at full speed": ("tokens=5000", 1),
}


def bare() -> Flask:
    """The engine alone: its words as they come, framed by nothing but what server-sent events need."""
    app = Flask(__name__)

    @app.get("/health")
    def health() -> str:
        return "ok"

    @app.post("/api/chat")
    def chat() -> Response:
        words = dict(part.split("=") for part in request.get_json()["query"].split())

        def events() -> Iterator[str]:
            for number in range(int(words["tokens"])):
                time.sleep(float(words.get("delay", 0)))
                yield f'event: answer.delta\ndata: {{"text": "w{number} "}}\n\n'
            yield "event: answer.end\ndata: {}\n\n"

        return Response(events(), mimetype="text/event-stream")

    return app


def row(name: str, *cells: float | str) -> None:
    """One line of a table."""
    print(
        f"{name:30}" + "".join(f"{cell:>12}" if isinstance(cell, str) else f"{cell:12.2f}" for cell in cells),
        flush=True,
    )


async def ask(port: int, query: str, bearer: str) -> tuple[float, float]:
    """Seconds to the first word and to the end of one streamed answer."""
    body = json.dumps({"query": query}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /api/chat HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n{bearer}"
    )
    started = time.perf_counter()
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
    seen, first = b"", 0.0
    while piece := await reader.read(65536):
        seen = (seen + piece)[-4096:] if first else seen + piece
        if not first and b"answer.delta" in seen:
            first = time.perf_counter() - started
        if b"answer.end" in seen:
            break
    total = time.perf_counter() - started
    writer.close()
    return first, total


async def asked(port: int, query: str, bearers: list[str]) -> tuple[float, float]:
    """Medians over as many streams at once."""
    times = await asyncio.gather(*(ask(port, query, bearer) for bearer in bearers))
    return statistics.median(first for first, _ in times), statistics.median(whole for _, whole in times)


def answers(service: Any, plain: Any) -> None:
    """First word and whole answer, ours against the bare generator."""
    from tests.contract.api_client import ApiClient

    row("answer", "first word", "bare", "added", "whole", "bare", "ratio", f"(ms, median of {ROUNDS})")
    for name, (query, streams) in ANSWERS.items():
        ours, theirs = [], []
        for _ in range(ROUNDS):
            bearers = [f"Authorization: Bearer {ApiClient(service.base).create().id}\r\n" for _ in range(streams)]
            ours.append(asyncio.run(asked(service.port, query, bearers)))
            theirs.append(asyncio.run(asked(plain.port, query, [""] * streams)))
        first, whole, first_bare, whole_bare = (
            1000 * statistics.median(one[n] for one in side) for side in (ours, theirs) for n in (0, 1)
        )
        row(name, first, first_bare, first - first_bare, whole, whole_bare, whole / whole_bare)


def said(session_id: str, text: str) -> bytes:
    """The bytes of an append."""
    body = json.dumps({"message": text})
    head = f"POST /api/session/me/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {session_id}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def fan_out(port: int, count: int, visitors: list[Any], at_rest: Callable[[], int]) -> tuple[list[float], int]:
    """Seconds from an append to each of ``count`` listeners, and the service's memory with all of them open."""
    streams = []
    for number in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        visitor = visitors[number % len(visitors)]
        writer.write(
            f"GET /api/session/me/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {visitor.id}\r\n\r\n".encode()
        )
        await reader.readuntil(b"come back")
        streams.append((reader, writer, visitor.id))
    memory = at_rest()
    waits: list[float] = []
    append = await asyncio.open_connection("127.0.0.1", port)
    for number in range(APPENDS):
        visitor, mark = visitors[number % len(visitors)], f"mark-{number}-"
        started = [0.0]

        async def seen(reader: asyncio.StreamReader, mark: str = mark, started: list[float] = started) -> float:
            await reader.readuntil(mark.encode())
            return time.perf_counter() - started[0]

        tasks = [asyncio.create_task(seen(reader)) for reader, _, owner in streams if owner == visitor.id]
        await asyncio.sleep(0.05)
        started[0] = time.perf_counter()
        append[1].write(said(visitor.id, mark))
        waits += await asyncio.gather(*tasks)
        await append[0].readuntil(b'"success"')
    for _, writer, _ in streams:
        writer.close()
    return waits, memory


def memory_of(service: Any) -> int:
    """Kilobytes that the workers have for themselves."""
    rows = [row for pid in service.workers() for row in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    return sum(int(row.split()[1]) for row in rows if row.startswith("Private_"))


def feeds(service: Any) -> None:
    """From an append to every listener, all on one session; and memory a feed."""
    from tests.contract.api_client import ApiClient

    print()
    row("feeds of one session", "p50 ms", "p99 ms", "last ms", "last, to 1", "KB a feed")
    alone = 0.0
    for count in FEEDS:
        empty = memory_of(service)
        visitor = ApiClient(service.base).create()
        waits, full = asyncio.run(fan_out(service.port, count, [visitor], lambda: memory_of(service)))
        waits.sort()
        last = statistics.median(sorted(waits)[-APPENDS:])
        alone = alone or last
        middle, late = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
        memory = (full - empty) / count if count >= 100 else float("nan")
        row(str(count), 1000 * middle, 1000 * late, 1000 * last, last / alone, memory)
    visitors = [ApiClient(service.base).create() for _ in range(200)]
    waits, _ = asyncio.run(fan_out(service.port, 1000, visitors, lambda: 0))
    waits.sort()
    row("1,000 of 200 sessions", 1000 * waits[len(waits) // 2], 1000 * waits[int(len(waits) * 0.99)], 1000 * waits[-1])


def browser(service: Any) -> None:
    """Main-thread work of the full page for a 1,000-token answer that grows, against the same answer come whole."""
    from playwright.sync_api import sync_playwright

    from tests.contract.api_client import ApiClient

    costs: dict[str, float] = {}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, query in (("grown in 10 s", "tokens=1000 delay=0.01"), ("come at once", "tokens=1000")):
            page = chromium.new_page()
            page.goto(f"{service.base}/chat?session={ApiClient(service.base).create().ticket()}")
            devtools = page.context.new_cdp_session(page)
            devtools.send("Performance.enable")

            def spent(session: Any = devtools) -> float:
                rows = session.send("Performance.getMetrics")["metrics"]
                return float(next(row["value"] for row in rows if row["name"] == "TaskDuration"))

            box = page.get_by_role("textbox", name="Message")
            box.fill(query)
            before = spent()
            box.press("Enter")
            page.get_by_text("w999").first.wait_for(timeout=60_000)
            page.wait_for_timeout(500)
            costs[name] = 1000 * (spent() - before)
        chromium.close()
    grown, whole = costs["grown in 10 s"], costs["come at once"]
    print(
        f"\nbrowser, main thread, 1,000 tokens: grown {grown:.0f} ms, at once {whole:.0f} ms, ratio {grown / whole:.1f}"
    )


@contextmanager
def running(app: str, **settings: str) -> Iterator[Any]:
    """A service on a Redis of its own."""
    from tests.contract.launch import RedisProcess, Service

    redis = RedisProcess()
    service = Service(redis.url, app=app, **settings)
    try:
        yield service
    finally:
        service.remove()
        redis.stop()


def main() -> None:
    """All of it."""
    from tests.contract.conftest import PLAIN

    settings = {
        **PLAIN,
        "BATON_FEEDS_PER_SESSION": "5000",
        "BATON_FEEDS_PER_ADDRESS": "5000",
        "BATON_LOG_LEVEL": "warning",
    }
    with running("app:create_app()", **settings) as service:
        with running("bench.stream:bare()") as plain:
            answers(service, plain)
        feeds(service)
        browser(service)


if __name__ == "__main__":
    main()
