"""Prometheus metrics: requests, engines, feeds, turns and refusals, summed over all workers. No label names a session.

Each worker counts into a file of its own in ``PROMETHEUS_MULTIPROC_DIR`` (made by the server before this module is
imported); without one, or without its folder, this process counts for itself alone.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
if not os.path.isdir(os.environ.get(_FOLDER, "")):
    os.environ.pop(_FOLDER, None)  # read by the next import

from prometheus_client import (  # noqa: E402
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402

from app.conversations.answer_runner import TurnMetrics  # noqa: E402

if TYPE_CHECKING:
    from app.conversations.event_sender import SenderMetrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The format that every scraper reads."""

_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.5, 10.0, 60.0)


TURNS_RUNNING = Gauge("baton_turns_running", "Answers being made right now.", multiprocess_mode="livesum")
REQUESTS = Counter("baton_requests_total", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "baton_request_seconds", "Seconds until an answer began.", ["method", "route"], buckets=_SECONDS
)
ENGINE_CALLS = Counter("baton_engine_calls_total", "Questions given to an engine.", ["engine"])
ENGINE_FAILURES = Counter("baton_engine_failures_total", "Answers that could not be made.", ["engine", "code"])
ENGINE_WORDS = Counter("baton_engine_words_total", "Words that engines said.", ["engine"])
ENGINE_TOKENS = Counter("baton_engine_tokens_total", "Tokens that engines were charged with.", ["engine", "kind"])
TIME_TO_FIRST_TOKEN_SECONDS = Histogram(
    "baton_engine_first_word_seconds", "Seconds from the question to the first token.", ["engine"], buckets=_SECONDS
)
FEEDS_OPEN = Gauge("baton_feeds_open", "Open feeds, by way of listening.", ["kind"], multiprocess_mode="livesum")
RATE_LIMITED_TOTAL = Counter("baton_limited_total", "Calls refused by a limit.", ["limit"])

EVENTS = Counter("baton_events_total", "Attempts to deliver an event to the owner's systems.", ["type", "outcome"])
EVENTS_QUEUED = Gauge("baton_events_queued", "Events that wait to be delivered.", multiprocess_mode="livemostrecent")


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Counts a request that has been answered after ``seconds``."""
    requests, request_seconds = _request_metrics(method, route, status)
    requests.inc()
    request_seconds.observe(seconds)


@lru_cache(maxsize=4096)
def _request_metrics(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The two metrics with their labels set, which costs as much as counting does."""
    return REQUESTS.labels(method, route, status), REQUEST_SECONDS.labels(method, route)


def turn_metrics() -> TurnMetrics:
    """What the answer runner reports of each turn, as metrics."""

    def on_start(engine: str) -> None:
        ENGINE_CALLS.labels(engine).inc()
        TURNS_RUNNING.inc()

    def on_first_token(engine: str, seconds: float) -> None:
        TIME_TO_FIRST_TOKEN_SECONDS.labels(engine).observe(seconds)

    def on_finish(engine: str, outcome: str) -> None:
        TURNS_RUNNING.dec()
        if outcome not in ("end", "stopped"):
            ENGINE_FAILURES.labels(engine, outcome).inc()

    def on_usage(engine: str, words: int, prompt_tokens: int, completion_tokens: int) -> None:
        ENGINE_WORDS.labels(engine).inc(words)
        for kind, tokens in (("prompt", prompt_tokens), ("completion", completion_tokens)):
            if tokens:
                ENGINE_TOKENS.labels(engine, kind).inc(tokens)

    return TurnMetrics(on_start, on_first_token, on_finish, on_usage)


def sender_metrics() -> SenderMetrics:
    """What the sender of events reports, as metrics."""
    from app.conversations.event_sender import SenderMetrics

    return SenderMetrics(lambda kind, outcome: EVENTS.labels(kind, outcome).inc(), EVENTS_QUEUED.set)


def render_metrics() -> bytes:
    """All metrics as Prometheus text, those of the other workers included where there are any."""
    if _FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(REGISTRY)
