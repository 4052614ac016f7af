"""What every area's tests may use: an embedded Redis, the real service, a real Chromium; and the table at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import hypothesis
import pytest
import redis
from playwright.sync_api import Browser, sync_playwright

from app.storage.embedded_redis import EmbeddedServer
from tests import loopback
from tests.ports import free_port
from tests.resilience.report import (
    pytest_addoption,
    pytest_runtest_logreport,
    pytest_runtest_makereport,
    pytest_terminal_summary,
    select_resilience_tests,
)

__all__ = [
    "free_port",
    "pytest_addoption",
    "pytest_runtest_logreport",
    "pytest_runtest_makereport",
    "pytest_terminal_summary",
]

hypothesis.settings.register_profile("untimed", deadline=None)  # its 200 ms for an example fail on a busy machine
hypothesis.settings.load_profile("untimed")

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each service would compile all of its sources anew

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--no-sandbox", "--disable-quic", "--disable-background-networking", "--no-first-run",
         "--disable-component-update", "--disable-sync")  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The browser tests first: they take longest, and the processes of a run end together when the short are last."""
    select_resilience_tests(config, items)
    items.sort(key=lambda item: not item.nodeid.startswith("tests/widget/"))


def until(condition: Callable[[], object], seconds: float = 10.0, what: str = "it") -> None:
    """Poll until the condition holds; fail after so many seconds, saying what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


class Service:
    """Real gunicorn on a port of its own; what it writes is kept in ``output``.

    ``environ`` goes over a clean environment: settings of whoever runs the tests do not reach the service.
    """

    def __init__(self, environ: dict[str, str], *, wait: bool = True) -> None:
        self.port = int(environ.get("PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        given = {"HOST": "127.0.0.1", "PORT": str(self.port), "WEB_CONCURRENCY": "2", **environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "app:create_app()"],
            cwd=ROOT, env={**kept, **given}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._lines: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if wait:
            until(self._healthy, 60, "the service to be healthy")

    @property
    def output(self) -> str:
        """Everything written so far, stdout and stderr together."""
        return b"".join(self._lines).decode(errors="replace")

    @property
    def reading(self) -> bool:
        """Whether more output may still come."""
        return self._reader.is_alive()

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"gunicorn" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def stop(self, with_signal: int = signal.SIGTERM, seconds: float = 40) -> int:
        """End it and give its exit code; killed when it takes too long."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join(5)
        if self.process.stdout and not self._reader.is_alive():
            self.process.stdout.close()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)

    def _healthy(self) -> bool:
        assert self.process.poll() is None, f"the service stopped: {self.output[-2000:]}"
        with contextlib.suppress(httpx.HTTPError):
            return loopback.get(f"{self.url}/health", timeout=2).status_code == 200
        return False


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an embedded server that all tests share."""
    with EmbeddedServer(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The address of an empty Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts the service: ``service(BATON_SESSION_TTL="3")``; on a data folder of its own unless REDIS_URL is given.

    The scripted engine: ``BATON_ENGINE="python:tests.engines.scripted_engine:make"``.
    """
    with contextlib.ExitStack() as started:

        def start(*, wait: bool = True, **environ: str) -> Service:
            one = Service({"BATON_DATA_DIR": str(tmp_path / "data"), **environ}, wait=wait)
            started.callback(one.stop)
            return one

        yield start


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium: the system's, else the one that Playwright brought."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, headless=True, args=list(QUIET))
        yield chromium
        chromium.close()
