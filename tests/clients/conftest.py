"""Runs the published clients of other projects in Node against a service of the tests' own."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.api_client import ApiClient, Visitor
from tests.contract.conftest import LIMITED, PLAIN, RunningService

FOLDER = Path(__file__).parent
QUIET = {"SCARF_ANALYTICS": "false"}
"""Packages report nothing of their being installed."""
RunScript = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def node_modules() -> None:
    """The clients, installed once for all processes of a run."""
    if shutil.which("npm") is None:
        assert not os.environ.get("CI"), "the tests of other clients need Node 20"
        pytest.skip("the tests of other clients need Node 20")
    install(FOLDER)


def install(folder: Path, *options: str) -> None:
    """Installs the packages of a folder's lock file, where they are not there yet."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, wanted = folder / "node_modules" / ".stamp", (folder / "package-lock.json").read_text()
        if not stamp.exists() or stamp.read_text() != wanted:
            command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", *options]
            subprocess.run(command, cwd=folder, env=os.environ | QUIET, check=True, timeout=600)
            stamp.write_text(wanted)


def run_script(path: Path, **orders: Any) -> list[dict[str, Any]]:
    """What a script prints for its orders."""
    ran = subprocess.run(
        ["node", str(path), json.dumps(orders)], capture_output=True, text=True, timeout=90, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    results: list[dict[str, Any]] = json.loads(ran.stdout)
    return results


@pytest.fixture
def script(node_modules: None) -> RunScript:
    """Runs a script of this folder with its orders, and returns what it prints."""

    def run(name: str, **orders: Any) -> list[dict[str, Any]]:
        return run_script(FOLDER / name, **orders)

    return run


@pytest.fixture(scope="session")
def service() -> Iterator[RunningService]:
    """No limits, the scripted engine, which may be silent for 8 s, an API key, users; two workers."""
    started = RunningService(
        PLAIN | {"BATON_IDENTITY_SECRET": "secret-of-the-site-0123456789-abcdef", "BATON_ENGINE_TIMEOUT": "8"}
    )
    yield started
    started.stop()


@pytest.fixture(scope="session")
def limited_service() -> Iterator[RunningService]:
    """Six questions an hour in a session."""
    started = RunningService(LIMITED)
    yield started
    started.stop()


@pytest.fixture
def visitor(service: RunningService) -> Visitor:
    """A visitor with a fresh session."""
    return ApiClient(service.base).create()
