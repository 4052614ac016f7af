"""GET /health for whoever routes traffic here, GET /metrics for Prometheus."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify

from app import metrics
from app.api import schemas
from app.api.openapi import TEXT, ResponseSpec, openapi_operation
from app.errors import StorageUnavailable

CACHE_SECONDS = 1.0
"""How long one probe of Redis is good, so that a flood of health checks costs it nothing."""

Probe = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class HealthInfo:
    """What /health reports: two probes, and what never changes."""

    storage: Probe
    """``{"redis": "ok" or what is wrong, "durability": ...}``; may raise StorageUnavailable."""
    knowledge: Probe
    engine: str
    version: str


class CachedProbe:
    """A probe of the storage that runs once a second at most, for one caller at a time."""

    def __init__(self, probe: Probe, clock: Callable[[], float] = time.monotonic) -> None:
        self._probe, self._clock = probe, clock
        self._probing = threading.Lock()
        self._last: tuple[float, Mapping[str, Any]] | None = None

    def __call__(self) -> Mapping[str, Any]:
        """The last result; while another caller probes, the one before. Never raises StorageUnavailable."""
        last = self._last
        if last is not None and self._clock() - last[0] < CACHE_SECONDS:
            return last[1]
        if not self._probing.acquire(blocking=last is None):
            return last[1] if last is not None else {}
        try:
            if self._last is last:
                self._last = (self._clock(), _probe_or_reason(self._probe))
            return self._last[1] if self._last is not None else {}
        finally:
            self._probing.release()


def _probe_or_reason(probe: Probe) -> Mapping[str, Any]:
    try:
        return probe()
    except StorageUnavailable as error:
        return {"redis": error.kind, "durability": "unknown"}


def blueprint(info: HealthInfo) -> Blueprint:
    """GET /health and GET /metrics."""
    result = Blueprint("health", __name__)
    storage = CachedProbe(info.storage)

    @result.get("/health")
    @openapi_operation({200: schemas.Health, 503: schemas.Health})
    def health() -> tuple[Response, int]:
        """Whether the service can work."""
        state = dict(storage())
        is_ok = state.get("redis") == "ok"
        body = {"success": is_ok, "status": "ok" if is_ok else "unavailable", **state}
        if not is_ok:
            body |= {"code": StorageUnavailable.code, "retryable": StorageUnavailable.retryable}
        body |= {"version": info.version, "engine": info.engine, "knowledge": dict(info.knowledge())}
        response = jsonify(body)
        response.headers["Cache-Control"] = "no-store"
        if not is_ok:
            response.headers["Retry-After"] = "1"
        return response, 200 if is_ok else 503

    @result.get("/metrics")
    @openapi_operation({200: ResponseSpec("The figures.", {"text/plain": TEXT})})
    def metrics_view() -> Response:
        """Figures as Prometheus text."""
        return Response(metrics.render_metrics(), content_type=metrics.CONTENT_TYPE)

    return result
