"""The service around the sessions: health, metrics, pages, and its shortest durations."""

from __future__ import annotations

import re

from tests.contract.api_client import ApiClient, Visitor
from tests.contract.conftest import RunningService
from tests.contract.launch import RedisProcess, Service, eventually


def test_health(plain: RunningService) -> None:
    """`/health`: 200 `{"status": "ok", "redis": "ok", ...}`, and whether anything is durable."""
    answer = ApiClient(plain.base).get("/health")
    body = answer.json()
    assert answer.status_code == 200
    assert (body["status"], body["redis"], body["durability"]) == ("ok", "ok", "append-only")


def test_metrics(visitor: Visitor) -> None:
    """`/metrics`: Prometheus text, counting over all workers."""

    def created() -> float:
        text = visitor.caller.get("/metrics").text
        return sum(
            float(value)
            for value in re.findall(
                r"^baton_[a-z_]*requests[a-z_]*total\{[^}]*create[^}]*\} ([\d.e+]+)$", text, re.MULTILINE
            )
        )

    before = created()
    for _ in range(10):
        visitor.caller.create()
    assert eventually(lambda: created() >= before + 10, 10, 0.2), "creates are not counted"
    answer = visitor.caller.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    for line in answer.text.splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-zA-Z_:][\w:]*(\{.*\})? \S+( \d+)?", line), line


def test_docs(caller: ApiClient) -> None:
    """`/docs`: browsable, nothing loaded from elsewhere."""
    answer = caller.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"[^>]*(?:rel="stylesheet"|>\s*</script)', answer.text) == []
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_durations_down_to_one_second(caller: ApiClient) -> None:
    """Durations are whole positive seconds, down to 1; `LOG_LEVEL` in any case; a service without an append-only file
    says so.
    """
    redis = RedisProcess(append_only=False)
    names = ("SESSION_TTL", "SESSION_MAX_AGE", "IDLE_TIMEOUT", "TICKET_TTL", "ENGINE_TIMEOUT")
    service = Service(
        redis.url, BATON_LOG_LEVEL="WaRning", BATON_RATE_LIMIT_CREATE="", WEB_CONCURRENCY="1",
        **{f"BATON_{name}": "1" for name in names},
    )  # fmt: skip
    try:
        one = ApiClient(service.base)
        assert one.get("/health").json()["durability"] == "none"
        visitor = one.create()
        assert visitor.created is not None
        assert visitor.created.json()["expires_in"] == 1
        assert eventually(lambda: visitor.get().status_code == 404, 4)
        assert all(not list(look.scan_iter(match="*ses*")) for look in [redis.client()])
    finally:
        service.remove()
        redis.stop()


def test_pages_are_there(caller: ApiClient) -> None:
    """Every path of the page's table answers, and a path that is none is 404."""
    for path, kind in (
        ("/", "text/html"),
        ("/widget.js", "text/javascript"),
        ("/chat", "text/html"),
        ("/install", "text/html"),
        ("/docs", "text/html"),
        ("/openapi.json", "application/json"),
        ("/health", "application/json"),
        ("/metrics", "text/plain"),
    ):
        answer = caller.get(path)
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, kind), path
        assert answer.headers["x-content-type-options"] == "nosniff", path
    assert caller.get("/nowhere").status_code == 404
    assert "max-age" in caller.get("/widget.js").headers["cache-control"]
    assert caller.get("/chat").headers["x-robots-tag"] == "noindex"
