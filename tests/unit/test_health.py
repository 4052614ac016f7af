"""Rules of /health and /metrics: true, cheap to ask, never waiting behind a Redis that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from app import error_handlers, middleware
from app.api import health
from app.errors import StorageUnavailable


def health_client(look: Callable[[], Mapping[str, Any]]) -> FlaskClient:
    app = Flask(__name__)
    middleware.init_app(app)
    error_handlers.init_app(app)
    about = health.HealthInfo(look, lambda: {"pages": 3}, engine="knowledge", version="1.2.3")
    app.register_blueprint(health.blueprint(about))
    return app.test_client()


def test_health_when_well() -> None:
    """A service that works says so, and what its Redis keeps."""
    answer = health_client(lambda: {"redis": "ok", "durability": "append-only"}).get("/health")
    body = answer.get_json()
    assert answer.status_code == 200
    assert body.items() >= {"status": "ok", "redis": "ok", "durability": "append-only", "engine": "knowledge"}.items()
    assert body["knowledge"] == {"pages": 3}
    assert body["version"] == "1.2.3"


def test_health_when_not() -> None:
    """A service without its Redis says 503 and what is wrong with it, also when the look itself fails."""

    def refused() -> Mapping[str, Any]:
        raise StorageUnavailable("NOAUTH")

    for look in (refused, lambda: {"redis": "NOAUTH", "durability": "unknown"}):
        answer = health_client(look).get("/health")
        assert answer.status_code == 503
        assert answer.get_json().items() >= {"status": "unavailable", "redis": "NOAUTH", "success": False}.items()


def test_health_asks_redis_once_a_second() -> None:
    """A flood of health checks costs Redis one look a second, and heals with the next one."""
    now, looks = [100.0], []

    def look() -> dict[str, str]:
        looks.append(now[0])
        return {"redis": "ok" if len(looks) > 1 else "timeout"}

    remembered = health.CachedProbe(look, lambda: now[0])
    assert [remembered()["redis"] for _ in range(50)] == ["timeout"] * 50
    now[0] += 1.0
    assert [remembered()["redis"] for _ in range(50)] == ["ok"] * 50
    assert looks == [100.0, 101.0]


def test_health_does_not_queue_behind_a_slow_look() -> None:
    """While one caller waits for a hanging Redis, the others get the facts of before at once."""
    now, hang, entered, calls = [100.0], threading.Event(), threading.Event(), []

    def look() -> dict[str, str]:
        calls.append(1)
        if len(calls) == 2:
            entered.set()
            assert hang.wait(20)
        return {"redis": f"look {len(calls)}"}

    remembered = health.CachedProbe(look, lambda: now[0])
    assert remembered()["redis"] == "look 1"
    now[0] += 5
    slow = threading.Thread(target=remembered)
    slow.start()
    assert entered.wait(20)
    assert remembered()["redis"] == "look 1"
    hang.set()
    slow.join(20)
    assert remembered()["redis"] == "look 2"


def test_metrics_are_prometheus_text() -> None:
    """GET /metrics is Prometheus text with the service's own figures."""
    client = health_client(lambda: {"redis": "ok"})
    client.get("/health")
    answer = client.get("/metrics")
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    assert 'baton_requests_total{method="GET",route="/health",status="200"}' in answer.get_data(as_text=True)
