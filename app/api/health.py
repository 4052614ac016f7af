"""Tells machines how the service is: GET /health for whoever routes traffic, GET /metrics for whoever draws curves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify

from app import metrics
from app.api import openapi_operations
from app.api.openapi import describes
from app.errors import StorageUnavailable

FRESH = 1.0
"""Seconds for which one look at Redis is good, so that a flood of checks costs it nothing."""

Look = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class About:
    """What /health is made of: two looks that answer with plain facts, and what never changes."""

    storage: Look
    """``{"redis": "ok" or what is wrong, "durability": ...}``; may raise StorageUnavailable."""
    knowledge: Look
    engine: str
    version: str


class Remembered:
    """A look at the storage that is taken once a second at most, by one caller at a time."""

    def __init__(self, look: Look, clock: Callable[[], float] = time.monotonic) -> None:
        self._look, self._clock = look, clock
        self._busy = threading.Lock()
        self._seen: tuple[float, Mapping[str, Any]] | None = None

    def __call__(self) -> Mapping[str, Any]:
        """The last facts; while somebody else looks, those before. Never raises StorageUnavailable."""
        seen = self._seen
        if seen is not None and self._clock() - seen[0] < FRESH:
            return seen[1]
        if not self._busy.acquire(blocking=seen is None):
            return seen[1] if seen is not None else {}
        try:
            if self._seen is seen:
                self._seen = (self._clock(), _facts(self._look))
            return self._seen[1] if self._seen is not None else {}
        finally:
            self._busy.release()


def _facts(look: Look) -> Mapping[str, Any]:
    try:
        return look()
    except StorageUnavailable as error:
        return {"redis": error.kind, "durability": "unknown"}


def blueprint(about: About) -> Blueprint:
    """GET /health and GET /metrics."""
    made = Blueprint("health", __name__)
    storage = Remembered(about.storage)

    @made.get("/health")
    @describes(openapi_operations.HEALTH)
    def health() -> tuple[Response, int]:
        """200 where the service can work, 503 naming what is wrong where it cannot."""
        facts = dict(storage())
        works = facts.get("redis") == "ok"
        told = {"success": works, "status": "ok" if works else "unavailable", **facts}
        if not works:
            told |= {"code": "storage_unavailable", "retryable": True}
        told |= {"version": about.version, "engine": about.engine, "knowledge": dict(about.knowledge())}
        answer = jsonify(told)
        answer.headers["Cache-Control"] = "no-store"
        if not works:
            answer.headers["Retry-After"] = "1"
        return answer, 200 if works else 503

    @made.get("/metrics")
    @describes(openapi_operations.METRICS)
    def figures() -> Response:
        """Prometheus text."""
        return Response(metrics.render_metrics(), content_type=metrics.CONTENT_TYPE)

    return made
