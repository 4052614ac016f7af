"""Requests a second of each call against a Flask route that does nothing: `make bench BENCH=http`.

Every service runs under the same gunicorn: one worker on one core, the load and Redis on the other. Five rounds, all
calls in each; medians. Beside the rate stands the worker's CPU time for one request, which is steadier on a busy
machine. ``ROUNDS``, ``SECONDS_A_ROUND`` and ``CASES`` (parts of the names of the calls, separated by commas) make it
shorter. Needs wrk.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.storage.embedded_redis import EmbeddedServer, embedded_url

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS_A_ROUND", "3"))
BODY = '{"message": "What is AI risk?", "role": "user"}'
LIMITS = dict.fromkeys(("BATON_RATE_LIMIT_CREATE", "BATON_RATE_LIMIT_SESSION", "BATON_RATE_LIMIT_ADDRESS"), "")
HIGH = dict.fromkeys(LIMITS, "100000000 per hour")


@dataclass(frozen=True)
class Case:
    """One call under load."""

    name: str
    service: str
    method: str
    path: str
    bodies: tuple[str, ...] = ("",)
    """Sent in turn, one a request."""
    against: str = "noop POST"
    paths: tuple[str, ...] = ()
    """Requested in turn, in place of ``path``."""
    headers: tuple[tuple[str, str], ...] = ()


def redis(folder: str) -> EmbeddedServer:
    """The embedded server on the second core, set up as shipped."""
    server = EmbeddedServer(Path(folder))
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    server.start()
    os.sched_setaffinity(0, cores)
    return server


def start(app: str, port: int, **env: str) -> subprocess.Popen[bytes]:
    """A service of one worker on the first core."""
    env = os.environ | {"PORT": str(port), "WEB_CONCURRENCY": "1", "BATON_DATA_DIR": tempfile.mkdtemp(), **env}
    command = ["taskset", "-c", "0", sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", app]
    log = (Path(env["BATON_DATA_DIR"]) / "log").open("wb")
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
        except urllib.error.HTTPError:
            break
        except OSError:
            time.sleep(0.1)
            continue
        break
    return process


def worker(process: subprocess.Popen[bytes]) -> int:
    """The pid of the one worker."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return next(int(pid) for pid in children if b"gunicorn" in Path(f"/proc/{pid}/cmdline").read_bytes())


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(url: str, case: Case, seconds: int = SECONDS) -> float:
    """Requests a second; SystemExit where one of them failed."""
    script = Path(tempfile.mkdtemp()) / "call.lua"
    bodies, paths = (", ".join(f"[[{text}]]" for text in texts) for texts in (case.bodies, case.paths or (case.path,)))
    headers = "".join(
        f'["{name}"] = "{value}", ' for name, value in (("Content-Type", "application/json"), *case.headers)
    )
    script.write_text(
        f"local bodies, paths, headers, n = {{{bodies}}}, {{{paths}}}, {{{headers}}}, 0\n"
        "request = function()\n  n = n + 1\n"
        f'  return wrk.format("{case.method}", paths[n % #paths + 1], headers, bodies[n % #bodies + 1])\nend\n'
    )
    command = ["taskset", "-c", "1", "wrk", "-t1", "-c16", f"-d{seconds}s", "-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output:
        raise SystemExit(f"{case.name}: {output}")
    return float(next(line.split()[1] for line in output.splitlines() if line.startswith("Requests/sec")))


def cases(url: str) -> list[Case]:
    """All calls, each with a session of its own."""

    def session(messages: int = 0) -> str:
        path = httpx.post(f"{url}/api/session/create").headers["Location"]
        for _ in range(messages):
            httpx.post(f"{url}{path}/messages", content=BODY, headers={"Content-Type": "application/json"})
        return path

    read, fresh = session(50), session()
    # So many that none gets a second question while its answer is being made.
    ids = [session().rpartition("/")[2] for _ in range(300)]
    chats = tuple(f'{{"query": "What is AI risk?", "session_id": "{session_id}"}}' for session_id in ids)
    return [
        Case("noop POST", "noop", "POST", "/noop", (BODY,)),
        Case("noop GET", "noop", "GET", "/noop", against="noop GET"),
        Case("append, limits off", "free", "POST", f"{fresh}/messages", (BODY,)),
        Case("append, both limits on", "limited", "POST", "", (BODY,)),
        Case("read of the last 50", "free", "GET", f"{read}/messages?limit=50", against="noop GET"),
        Case("create, limit on", "limited", "POST", "/api/session/create", ("{}",)),
        Case("chat alone, echo", "free", "POST", "/api/chat", ('{"query": "What is AI risk?"}',)),
        Case("chat in a session, echo", "free", "POST", "/api/chat", chats),
        Case("the same, a Python engine", "threaded", "POST", "/api/chat", chats),
    ]


def main() -> None:
    """Prints a table."""
    if not shutil.which("wrk"):
        raise SystemExit("This needs wrk: apt-get install wrk")
    folder = tempfile.mkdtemp()
    server = redis(folder)
    huge = {"BATON_MAX_MESSAGES": "900000000", "REDIS_URL": embedded_url(Path(folder))}
    huge |= {"BATON_ENGINE_PER_MINUTE": "900000000", "BATON_ENGINE_CONCURRENCY": "4000"}
    threaded = {"BATON_ENGINE": "python:bench.baseline:echo"}
    ports = {"noop": 8701, "free": 8702, "limited": 8703, "threaded": 8704}
    services = {
        "noop": start("bench.baseline:create_app()", ports["noop"], REDIS_URL=huge["REDIS_URL"]),
        "free": start("bench.baseline:echo_app()", ports["free"], **huge, **LIMITS),
        "limited": start("bench.baseline:echo_app()", ports["limited"], **huge, **HIGH),
        "threaded": start("app:create_app()", ports["threaded"], **huge, **LIMITS, **threaded),
    }
    try:
        measure(services, {name: f"http://127.0.0.1:{port}" for name, port in ports.items()})
    finally:
        for process in services.values():
            os.killpg(process.pid, signal.SIGTERM)
        for process in services.values():
            process.wait()
        server.stop()


def measure(services: dict[str, subprocess.Popen[bytes]], urls: dict[str, str]) -> None:
    """Runs the rounds and prints the medians."""
    path = httpx.post(f"{urls['limited']}/api/session/create").headers["Location"]
    every = [
        case if case.path else Case(case.name, case.service, case.method, f"{path}/messages", case.bodies)
        for case in cases(urls["free"])
    ]
    wanted = os.environ.get("CASES", "").split(",")
    every = [case for case in every if case.name.startswith("noop") or any(word in case.name for word in wanted)]
    rates: dict[str, list[float]] = {case.name: [] for case in every}
    costs: dict[str, list[float]] = {case.name: [] for case in every}
    for _ in range(ROUNDS):
        for case in every:
            pid = worker(services[case.service])
            before = cpu(pid)
            rate = load(urls[case.service], case)
            rates[case.name].append(rate)
            costs[case.name].append((cpu(pid) - before) / (rate * SECONDS) * 1e6)
    print(f"{'call':26} {'a second':>9} {'ratio':>6} {'CPU us':>7} {'by CPU':>7}")
    for case in every:
        rate, cost = statistics.median(rates[case.name]), statistics.median(costs[case.name])
        base = statistics.median(rates[case.against]), statistics.median(costs[case.against])
        print(f"{case.name:26} {rate:9.0f} {rate / base[0]:6.2f} {cost:7.0f} {base[1] / cost:7.2f}")


if __name__ == "__main__":
    main()
