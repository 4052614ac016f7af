"""Limits by address: counted in every kind of Redis by one trip a call, and in memory while Redis is away."""

from __future__ import annotations

from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from tests.contract.launch import RedisProcess, eventually
from tests.storage.servers import Backend


def client(url: str, rate: str) -> FlaskClient:
    return create_app(Settings.from_env({"REDIS_URL": url, "BATON_RATE_LIMIT_CREATE": rate})).test_client()


def test_every_redis_counts_for_all_workers(backend: Backend) -> None:
    """Two workers count in one window, whatever Redis it is; the headers say how the window stands."""
    workers = [client(backend.url, "3 per hour") for _ in range(2)]
    responses = [workers[number % 2].post("/api/session/create") for number in range(5)]
    assert [response.status_code for response in responses] == [201] * 3 + [429] * 2
    assert [response.headers["X-RateLimit-Remaining"] for response in responses] == ["2", "1", "0", "0", "0"]
    assert {response.headers["X-RateLimit-Limit"] for response in responses} == {"3"}
    assert [response.headers.get("Retry-After") for response in responses[:3]] == [None] * 3
    assert all(3500 < int(response.headers["Retry-After"]) <= 3600 for response in responses[3:])
    windows = [name for name in backend.held() if b"baton:limits:" in name]
    assert len(windows) == 1
    assert b"127.0.0.1" not in windows[0], "no address stands in Redis"
    assert backend.endless() == []


def test_a_refused_call_is_one_trip(backend: Backend) -> None:
    """A call past the limit asks Redis once: the answer that counts also says when the window ends."""
    worker = client(backend.url, "1 per hour")
    assert [worker.post("/api/session/create").status_code for _ in range(2)] == [201, 429]
    before = backend.commands()
    assert {worker.post("/api/session/create").status_code for _ in range(20)} == {429}
    # Inside of the script Redis counts its commands too: TIME, GET, INCR and PTTL.
    assert backend.commands() - before <= 20 * 6


def test_memory_counts_while_redis_is_away() -> None:
    """Without Redis a worker counts for itself; once Redis is back, calls are counted there again."""
    redis = RedisProcess()
    try:
        worker = client(redis.url, "3 per hour")
        assert worker.post("/api/session/create").status_code == 201
        redis.stop()
        assert [worker.post("/api/session/create").status_code for _ in range(5)] == [503] * 3 + [429] * 2
    finally:
        redis.stop()
    again = RedisProcess()
    try:
        worker = client(again.url, "1000 per hour")
        with again.client() as look:

            def counted() -> bool:
                assert worker.post("/api/session/create").status_code == 201
                return bool(list(look.scan_iter("baton:limits:*create*")))

            assert eventually(counted, 40, 0.2)
    finally:
        again.stop()


def test_an_empty_rate_is_no_limit(backend: Backend) -> None:
    """Where the limit is switched off nothing is counted and no header says so."""
    worker = client(backend.url, "")
    responses = [worker.post("/api/session/create") for _ in range(40)]
    assert {response.status_code for response in responses} == {201}
    assert {response.headers.get("X-RateLimit-Limit") for response in responses} == {None}
