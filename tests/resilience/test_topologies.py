"""The whole service on Sentinels and on a Cluster: the contract suite, and a primary killed under load."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.api_client import ApiClient
from tests.contract.launch import ROOT, Service, eventually
from tests.resilience.write_auditor import WriteAuditor, note
from tests.storage.servers import ClusterServers, Sentinels

Serve = Callable[..., Service]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SUITE = (
    "answers",
    "bodies",
    "chat",
    "events",
    "messages",
    "positions",
    "retries",
    "sessions",
    "tickets",
    "races",
    "model",
)
DESK_SUITE = {"people": "", "desk_conversations": "", "own_systems": "not without_the_desk"}
"""Files about people, each on servers of its own, and which of their tests."""
KINDS = {"sentinel": Sentinels, "cluster": ClusterServers}


@pytest.mark.parametrize("kind", KINDS)
def test_the_contract_suite(serve: Serve, tmp_path: Path, kind: str) -> None:
    """F9, F10: the contract suite, by URL, against a service on Sentinels and on a six-node Cluster."""
    servers = KINDS[kind](tmp_path)
    try:
        service = serve(servers.url, BATON_ENGINE_TIMEOUT="2")
        files = [f"tests/contract/test_{name}.py" for name in SUITE]
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *files]
        run = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"BATON_TEST_URL": service.base},
            capture_output=True,
            text=True,
            check=False,
        )
        passed = re.search(r"(\d+) passed", run.stdout)
        assert passed, run.stdout[-4000:]
        note(ok=int(passed[1]))
        assert run.returncode == 0, run.stdout[-6000:]
    finally:
        servers.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DESK_SUITE)
def test_the_contract_suite_with_the_desk(tmp_path: Path, kind: str, name: str) -> None:
    """F9, F10: what the contract says of people, of the desk and of events, on Sentinels and on a Cluster."""
    servers = KINDS[kind](tmp_path)
    try:
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"]
        run = subprocess.run(
            [*command, f"tests/contract/test_{name}.py", "-k", DESK_SUITE[name]],
            cwd=ROOT,
            env=os.environ | {"BATON_TEST_REDIS_URL": servers.url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout[-6000:]
        passed = re.search(r"(\d+) passed", run.stdout)
        note(ok=int(passed[1]) if passed else 0)
    finally:
        servers.stop()


@pytest.mark.parametrize("replicas", ["0", "1"])
def test_a_primary_of_sentinels_killed(serve: Serve, tmp_path: Path, replicas: str) -> None:
    """F9: Sentinels, the primary killed under load: a gap of at most 5 s; with `WAIT_REPLICAS` 1 nothing is lost."""
    servers = Sentinels(tmp_path, replicas=2)
    try:
        service = serve(servers.url, BATON_WAIT_REPLICAS=replicas)
        caller = ApiClient(service.base)
        assert eventually(lambda: caller.post("/api/session/create").status_code == 201, 10, 0.1)
        with WriteAuditor([caller.create() for _ in range(6)]) as writers:
            assert eventually(lambda: writers.acknowledged > 100, 20)
            servers.primary().kill()
            assert writers.goes_on(6), "no write within 6 s"
            assert eventually(lambda: writers.acknowledged > 200, 20)
        if replicas == "1":
            writers.check()
        writers.resend_all()
    finally:
        servers.stop()


def test_a_primary_of_a_cluster_killed(serve: Serve, tmp_path: Path) -> None:
    """F10: a Cluster, one primary killed under load: its sessions go on within 3 s, 5 on a busy machine."""
    servers = ClusterServers(tmp_path)
    try:
        service = serve(servers.url)
        caller = ApiClient(service.base)
        assert eventually(lambda: caller.post("/api/session/create").status_code == 201, 10, 0.1)
        with WriteAuditor([caller.create() for _ in range(12)]) as writers:
            assert eventually(lambda: min(len(outcome.ok) for outcome in writers.outcomes) > 5, 20)
            servers.nodes[0].kill()
            counts = [len(outcome.ok) for outcome in writers.outcomes]
            started = time.monotonic()

            def all_go_on() -> bool:
                return all(len(outcome.ok) > count for outcome, count in zip(writers.outcomes, counts, strict=True))

            assert eventually(all_go_on, 5, 0.05)
            note(heal=time.monotonic() - started)
        writers.check()
        writers.resend()
    finally:
        servers.stop()
