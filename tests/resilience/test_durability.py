"""What survives when whole machines go: replicas asked for, the embedded server, restarts of the service."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.contract.api_client import ApiClient, Visitor, is_problem
from tests.contract.launch import RedisProcess, Service, eventually
from tests.resilience.write_auditor import WriteAuditor, bounded, heals, is_unavailable

Serve = Callable[..., Service]


def test_for_want_of_replicas(redis: RedisProcess, serve: Serve) -> None:
    """R27: with `WAIT_REPLICAS` 1 a write that no replica has is 503, outcome unknown; with a replica the same client
    id succeeds.
    """
    service = serve(redis.url, BATON_WAIT_REPLICAS="1")
    caller = ApiClient(service.base)
    is_problem(caller.post("/api/session/create"), 503, "storage_unavailable")
    replica = RedisProcess("--replicaof", f"127.0.0.1 {redis.port}")
    try:
        assert eventually(lambda: caller.post("/api/session/create").status_code == 201, 10, 0.1)
        visitor = eventually(
            lambda: (
                (r := caller.post("/api/session/create")).status_code == 201 and Visitor(caller, r.json()["session_id"])
            ),
            5,
        )
        assert visitor
        first = eventually(
            lambda: (r := visitor.say("kept twice", client_id="a")).is_success and r.json()["message"], 4, 0.1
        )
        assert first
        replica.send(signal.SIGSTOP)
        is_problem(visitor.say("kept once", client_id="b"), 503, "storage_unavailable")
        is_problem(visitor.say("kept once", client_id="b"), 503, "storage_unavailable")
        assert {visitor.get("/messages").status_code for _ in range(6)} == {200}, "reads need no replica"
        replica.send(signal.SIGCONT)
        again = eventually(
            lambda: (r := visitor.say("kept once", client_id="b")).status_code in (200, 201) and r, 10, 0.1
        )
        assert again
        assert visitor.texts() == ["kept twice", "kept once"]
        same = eventually(
            lambda: (r := visitor.say("kept twice", client_id="a")).is_success and r.json()["message"], 4, 0.1
        )
        assert same == first
    finally:
        replica.stop()


def test_a_primary_lost(redis: RedisProcess, serve: Serve) -> None:
    """F9: the primary is lost under load with `WAIT_REPLICAS` 1: on the replica everything acknowledged is there
    once.
    """
    replica = RedisProcess("--replicaof", f"127.0.0.1 {redis.port}")
    try:
        service = serve(redis.url, BATON_WAIT_REPLICAS="1")
        caller = ApiClient(service.base)
        assert heals(caller, 9)
        with WriteAuditor([caller.create() for _ in range(4)]) as writers:
            assert writers.goes_on()
            assert eventually(lambda: writers.acknowledged > 60, 10)
            redis.send(signal.SIGKILL)
        with replica.client() as admin:
            admin.execute_command("REPLICAOF", "NO", "ONE")
        elsewhere = ApiClient(serve(replica.url).base)
        writers.visitors = [Visitor(elsewhere, visitor.id) for visitor in writers.visitors]
        writers.check()
        writers.resend()
    finally:
        replica.stop()


def test_the_embedded_server(serve: Serve, tmp_path: Path) -> None:
    """F6: without `REDIS_URL` sessions survive a restart of the service, and a kill -9 of its embedded Redis."""
    settings = {"REDIS_URL": "", "BATON_DATA_DIR": str(tmp_path / "data")}
    service = serve("", **settings)
    caller = ApiClient(service.base)
    assert caller.get("/health").json()["durability"] == "append-only"
    assert str(tmp_path / "data") in service.log(), "the log does not name the data folder"
    visitor = caller.create()
    visitor.said("kept")
    for pid in embedded(service):
        os.kill(pid, signal.SIGKILL)
    assert heals(caller)
    assert visitor.texts() == ["kept"]
    assert service.stop(20) == 0
    assert not embedded(service)
    after = Visitor(ApiClient(serve("", **settings).base), visitor.id)
    assert after.texts() == ["kept"]
    assert after.say("and on").status_code == 201


def embedded(service: Service) -> list[int]:
    """Process ids of Redis servers that work in the service's data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            folder = str((entry / "cwd").readlink()) if entry.name.isdigit() else ""
            name = (entry / "comm").read_text() if folder else ""
        except OSError:
            continue
        if "data" in folder and str(service.data_folder) in folder and ("valkey" in name or "redis" in name):
            found.append(int(entry.name))
    return found


def test_the_service_killed(serve: Serve, tmp_path: Path) -> None:
    """F6: the whole service killed -9, embedded Redis and all: nothing acknowledged is lost, nothing is left behind."""
    settings = {"REDIS_URL": "", "BATON_DATA_DIR": str(tmp_path / "data")}
    service = serve("", **settings)
    with WriteAuditor([ApiClient(service.base).create() for _ in range(3)]) as writers:
        assert eventually(lambda: writers.acknowledged > 60, 10)
        os.kill(service.process.pid, signal.SIGKILL)
        for pid in service.workers():
            os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not embedded(service), 10), "a Redis was left behind"
    started = time.monotonic()
    again = ApiClient(serve("", **settings).base)
    assert time.monotonic() - started < 20
    writers.visitors = [Visitor(again, visitor.id) for visitor in writers.visitors]
    writers.check()
    writers.resend()


def test_not_there_at_start(serve: Serve) -> None:
    """F1: it starts without Redis; `/health` 503, the API 503 in bounded time; it heals by itself within 3 s."""
    redis = RedisProcess()
    try:
        redis.send(signal.SIGKILL)
        service = serve(redis.url)
        caller = ApiClient(service.base)
        health = bounded(lambda: caller.get("/health"))
        assert health.status_code == 503
        assert health.json()["redis"] != "ok"
        for _ in range(3):
            is_unavailable(bounded(lambda: caller.post("/api/session/create")))
            is_unavailable(bounded(lambda: caller.get("/api/session/ses_" + "A" * 32)))
        assert caller.get("/widget.js").status_code == 200
        redis.start()
        assert heals(caller)
    finally:
        redis.stop()


def test_without_append_only_file(serve: Serve) -> None:
    """F7: without an append-only file it says so at start and in `/health`; after a restart clients get 404 and begin
    anew.
    """
    redis = RedisProcess(append_only=False)
    try:
        service = serve(redis.url)
        caller = ApiClient(service.base)
        assert caller.get("/health").json()["durability"] == "none"
        assert "append-only" in service.log() or "appendonly" in service.log()
        visitor = caller.create()
        redis.send(signal.SIGKILL)
        redis.start()
        assert heals(caller)
        is_problem(visitor.get(), 404, "session_not_found")
    finally:
        redis.stop()
