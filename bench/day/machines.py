"""The machines of the simulated day: the service, its Redis, what befalls them, and what they use."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import redis

from tests.contract.launch import Service, eventually
from tests.storage.servers import Sentinels, Server

TICKS = os.sysconf("SC_CLK_TCK")
LIVE_SECONDS = 300.0
"""How long a session's live events are kept after the last one."""


class Fleet:
    """The service as its visitors reach it: ``host`` leads to the release that runs now, as behind a proxy."""

    def __init__(self, redis_url: str, settings: dict[str, str]) -> None:
        self._redis_url, self._settings = redis_url, settings
        self.releases = [Service(redis_url, **settings)]

    @property
    def current(self) -> Service:
        return self.releases[-1]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.current.port}"

    def replace(self) -> None:
        """A new release starts, gets the traffic, and the old one is told to end."""
        old = self.current
        self.releases.append(Service(self._redis_url, **self._settings))
        old.process.terminate()
        old.process.wait(90)

    def remove(self) -> None:
        for release in self.releases:
            release.remove()


class Meter:
    """CPU seconds and resident bytes of processes, those that have ended since included."""

    def __init__(self, fleet: Fleet, servers: list[Server]) -> None:
        self._fleet, self._servers = fleet, servers
        self._cpu: dict[tuple[str, int], float] = {}
        self.resident: dict[int, int] = {}
        """Of the workers that there were at the last look."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def look(self) -> None:
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
        masters = {release.process.pid for release in self._fleet.releases if release.process.poll() is None}
        workers = {pid for pid, parent in parents.items() if parent in masters}
        theirs = workers | masters | {pid for pid, parent in parents.items() if parent in workers}
        self.resident = {}
        for kind, pids in (("service", theirs), ("redis", {server.process.pid for server in self._servers})):
            for pid in pids:
                with suppress(OSError, ValueError):
                    fields = _stat(pid)
                    self._cpu[kind, pid] = (int(fields[11]) + int(fields[12])) / TICKS
                    if pid in workers and b"gunicorn" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        self.resident[pid] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self, kind: str) -> float:
        self.look()
        return sum(seconds for (known, _), seconds in self._cpu.items() if known == kind)

    def _run(self) -> None:
        while not self._over.wait(1.0):
            self.look()

    def stop(self) -> None:
        self._over.set()


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def held_bytes(client: redis.Redis) -> int:
    """What the data takes with its index, without buffers, scripts, what an empty server takes, and the desk's own
    feed, which is capped.
    """
    stats = client.memory_stats()
    index = sum(int(value) for name, value in stats.get("db.0", {}).items() if name.startswith("overhead"))
    return int(stats["dataset.bytes"]) + index - int(client.memory_usage("baton:desk:{desk}:live", samples=0) or 0)


def live_bytes(client: redis.Redis) -> int:
    """What the live events of all sessions take."""
    keys = list(client.scan_iter("baton:*:live", count=1000))
    return sum(client.memory_usage(key, samples=0) or 0 for key in keys)


def incidents(fleet: Fleet, sentinels: Sentinels) -> list[tuple[float, str, Callable[[], None]]]:
    """The hour of each thing that befalls the service, its name, and what does it."""

    def reload() -> None:
        os.kill(fleet.current.process.pid, signal.SIGHUP)

    def kill() -> None:
        workers = eventually(fleet.current.workers, 30)  # after a reload there may be none for a moment
        os.kill(min(workers), signal.SIGKILL)

    def fail_over() -> None:
        primary = sentinels.primary()
        primary.kill()
        time.sleep(8)
        primary.start()

    return [
        (3.0, "deploy (HUP)", reload),
        (9.5, "worker killed", kill),
        (11.0, "new release, old one SIGTERM", fleet.replace),
        (13.5, "Redis failed over", fail_over),
        (16.0, "worker killed", kill),
        (19.0, "deploy (HUP)", reload),
        (20.5, "worker killed", kill),
    ]
