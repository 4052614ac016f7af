"""What the comparisons with other projects share: an environment for the peer, services on one core, rounds, a table.

Baton runs as shipped (one gunicorn worker, its limits on but high, log lines and metrics) with an engine that echoes.
Service under load on one core, load and Redis on the other; both services take turns within each round; medians.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.storage.embedded_redis import embedded_url
from bench.http import HIGH, ROUNDS, SECONDS, Case, load, redis, start

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = Path(os.environ.get("PEER_ENVIRONMENTS", Path(tempfile.gettempdir()) / f"baton-peers-{os.getuid()}"))
WIDE = {
    "BATON_MAX_MESSAGES": "900000000",
    "BATON_ENGINE_PER_MINUTE": "900000000",
    "BATON_ENGINE_CONCURRENCY": "1000",
    "BATON_FEEDS_PER_ADDRESS": "5000",
}
SESSIONS = 300
"""So many that none is asked again while its answer is being made."""

Round = tuple[float, float]
"""How many calls were answered, and in how many seconds."""
Rate = tuple[float, float]
"""Calls a second, and microseconds of the service's CPU for each."""


def environment(name: str, *packages: str) -> Path:
    """The Python of a virtual environment with these packages, made at the first call."""
    folder = ENVIRONMENTS / name
    if not (folder / "complete").exists():
        print(f"Installing {', '.join(packages)} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", *packages], check=True)
        (folder / "complete").touch()
    return folder / "bin" / "python"


@contextlib.contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A service in a process group of its own, ended afterwards."""
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def baton(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Baton with an engine that echoes, on a Redis of its own."""
    folder = Path(tempfile.mkdtemp())
    server = redis(str(folder))
    try:
        with running(
            start("bench.baseline:echo_app()", port, REDIS_URL=embedded_url(folder), **WIDE, **HIGH)
        ) as process:
            yield process
    finally:
        server.stop()


@contextlib.contextmanager
def peer(command: list[str], port: int, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A peer's server on the first core; SystemExit with its log where it does not answer within a minute."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        for path in HERE.glob("*_app.py"):
            shutil.copy(path, folder)
        for path in HERE.glob("*.json"):
            shutil.copy(path, folder)
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["taskset", "-c", "0", *command], cwd=folder, env=os.environ | env, stdout=output, stderr=output,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        with running(process):
            deadline = time.monotonic() + 60
            while True:
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(f"http://127.0.0.1:{port}/", timeout=5)
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the peer does not answer: {log.read_text()[-2000:]}")
                time.sleep(0.2)
            yield process


def cpu(process: subprocess.Popen[bytes]) -> float:
    """Seconds of CPU that a service and its children have used."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == process.pid:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(process: subprocess.Popen[bytes], make_round: Callable[[], Round]) -> Rate:
    """What one round comes to."""
    before = cpu(process)
    count, seconds = make_round()
    return count / seconds, (cpu(process) - before) / max(count, 1) * 1e6


@dataclass(frozen=True)
class Call:
    """The same work on both sides: each function makes one round."""

    name: str
    wanted: float
    """Baton is to answer so many times as many; 0 where nothing is wanted."""
    baton: Callable[[], Round]
    peer: Callable[[], Round]


def over_http(port: int, case: Case, expected: str = "", seconds: int = SECONDS) -> Callable[[], Round]:
    """A round of wrk, after one request whose response has to contain the expected text."""
    url = f"http://127.0.0.1:{port}"
    path = case.paths[0] if case.paths else case.path
    headers = {"Content-Type": "application/json", **dict(case.headers)}
    response = httpx.request(case.method, url + path, content=case.bodies[0], headers=headers, timeout=60)
    if not response.is_success or expected not in response.text:
        raise SystemExit(f"{case.name}: {response.status_code} {response.text[:500]}")
    return lambda: (load(url, case, seconds) * seconds, seconds)


def sessions(port: int) -> list[str]:
    """Ids of fresh sessions of Baton."""
    url = f"http://127.0.0.1:{port}/api/session/create"
    return [httpx.post(url).json()["session_id"] for _ in range(SESSIONS)]


def compare(name: str, services: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]], calls: list[Call]) -> None:
    """Rounds over all calls and both services; prints a Markdown table of the medians."""
    rates: dict[tuple[str, str], list[Rate]] = {}
    for _ in range(ROUNDS):
        for call in calls:
            for side, process, work in (("baton", services[0], call.baton), ("peer", services[1], call.peer)):
                rates.setdefault((call.name, side), []).append(measured(process, work))
    print(f"| call | Baton a second | {name} a second | ratio | Baton CPU us | {name} CPU us | ratio | wanted |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for call in calls:
        ours, theirs = (
            [statistics.median(column) for column in zip(*rates[call.name, side], strict=True)]
            for side in ("baton", "peer")
        )
        cells = f"{ours[0]:.0f} | {theirs[0]:.0f} | {ours[0] / theirs[0]:.2f} | {ours[1]:.0f} | {theirs[1]:.0f}"
        print(f"| {call.name} | {cells} | {theirs[1] / ours[1]:.2f} | {f'{call.wanted:g}' if call.wanted else ''} |")
