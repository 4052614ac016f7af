"""What is counted: requests, engine work, feeds, turns and refusals, summed over all workers; no label names a session.

Each worker counts into a file of its own in ``PROMETHEUS_MULTIPROC_DIR`` (made by the server before this module is
imported); without one, or without its folder, this process counts for itself alone.
"""

from __future__ import annotations

from typing import Any, TypeVar

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

from app.batch import Batch

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The form that every scraper knows; our names need nothing of the newer one."""

_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.5, 10.0, 60.0)


def _turns_running() -> Gauge:
    return Gauge("baton_turns_running", "Answers being made right now.", multiprocess_mode="livesum")


try:
    TURNS_RUNNING = _turns_running()  # the first to open its file
except FileNotFoundError:
    values.ValueClass = values.MutexValue
    TURNS_RUNNING = _turns_running()
REQUESTS = Counter("baton_requests_total", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "baton_request_seconds", "Seconds until an answer began.", ["method", "route"], buckets=_SECONDS
)
ENGINE_CALLS = Counter("baton_engine_calls_total", "Questions given to an engine.", ["engine"])
ENGINE_FAILURES = Counter("baton_engine_failures_total", "Answers that could not be made.", ["engine", "code"])
ENGINE_WORDS = Counter("baton_engine_words_total", "Words that engines said.", ["engine"])
ENGINE_TOKENS = Counter("baton_engine_tokens_total", "Tokens that engines were charged with.", ["engine", "kind"])
FIRST_WORD_SECONDS = Histogram(
    "baton_engine_first_word_seconds", "Seconds from the question to the first word.", ["engine"], buckets=_SECONDS
)
FEEDS_OPEN = Gauge("baton_feeds_open", "Open feeds, by way of listening.", ["kind"], multiprocess_mode="livesum")
LIMITED = Counter("baton_limited_total", "Calls refused by a limit.", ["limit"])

_M = TypeVar("_M", Counter, Gauge, Histogram)
_children: dict[tuple[object, tuple[str, ...]], Any] = {}


def child(metric: _M, *labels: str) -> _M:
    """The child of a metric with these labels, looked up once and kept: no label is of a visitor's choice."""
    found: _M | None = _children.get((metric, labels))
    if found is None:
        found = _children[metric, labels] = metric.labels(*labels)
    return found


def _count(answered: list[tuple[str, str, str, float]]) -> None:
    for method, route, status, seconds in answered:
        child(REQUESTS, method, route, status).inc()
        child(REQUEST_SECONDS, method, route).observe(seconds)


_ANSWERED = Batch(_count, "metrics")


def count_request(method: str, route: str, status: str, seconds: float) -> None:
    """Count one answered request, 50 ms later at most."""
    _ANSWERED.add((method, route, status, seconds))


def exposition() -> bytes:
    """All figures as Prometheus text, those of the other workers included where there are any."""
    _ANSWERED.flush()
    if values.ValueClass is not values.MutexValue:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(REGISTRY)
