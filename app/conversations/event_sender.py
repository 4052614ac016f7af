"""Sends events to the owner's own systems, signed as Standard Webhooks asks.

Every worker has one sender. It claims events from the queue and posts each within a few seconds, a few at once, apart
from the requests of visitors: a receiver that hangs keeps nobody waiting. What fails is tried again after 1, 2, 4 ...
seconds, at most an hour apart, for a day.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import httpx2
from standardwebhooks import Webhook

from app.engines.base import CancelToken
from app.engines.http_client import ANY_ENCODING, CallGuard, http_client
from app.engines.sanitize import IdleTimer
from app.errors import EngineFailed, EngineTimeout, StorageUnavailable, error_location
from app.storage.event_queue import EventQueue, QueuedEvent

_log = logging.getLogger(__name__)

MAX_RESPONSE_BYTES = 16 * 1024
"""How much of a response's body is read, so that the connection can be used again."""
LOG_SECONDS = 60.0
"""No more than one line about failures in this time."""


@dataclass(frozen=True, slots=True)
class SenderConfig:
    """How events are sent. Times in seconds."""

    url: str
    secret: str
    allow_private: bool = False
    attempt_timeout: float = 10.0
    """For one attempt in all, from resolving the name to the response."""
    first_delay: float = 1.0
    longest_delay: float = 3_600.0
    give_up_after: float = 86_400.0
    min_attempts: int = 5
    """Made in any case, also where the service itself was off for a day."""
    at_once: int = 8
    poll: float = 1.0
    """How often the queue is looked at for what other workers have added."""

    @property
    def lease_ms(self) -> int:
        """When an event may be claimed from a worker that has not settled it: longer than any attempt takes."""
        return int(self.attempt_timeout * 2_000)

    @property
    def longest_delay_ms(self) -> int:
        """As the queue wants it."""
        return int(self.longest_delay * 1_000)

    def delay(self, attempts: int) -> float:
        """Seconds to wait after so many attempts."""
        return float(min(self.first_delay * 2 ** min(attempts - 1, 30), self.longest_delay))


@dataclass(frozen=True, slots=True)
class SenderMetrics:
    """What the sender reports: the outcome of each attempt, and how many events are in the queue."""

    on_attempt: Callable[[str, str], None] = lambda kind, outcome: None  # noqa: ARG005 - named for callers
    on_claim: Callable[[int], None] = lambda waiting: None  # noqa: ARG005


class DeliveryFailed(Exception):
    """An attempt failed; the text says how, and holds nothing that the receiver has sent."""


class EventSender:
    """Sends what is in the queue until it is stopped."""

    def __init__(
        self,
        queue: EventQueue,
        config: SenderConfig,
        start_thread: Callable[[Callable[[], None]], object],
        metrics: SenderMetrics | None = None,
    ) -> None:
        self._queue, self._config = queue, config
        self._webhook = Webhook(config.secret)
        self._http = http_client(public_only=not config.allow_private)
        self._start_thread = start_thread
        self._metrics = metrics or SenderMetrics()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._slots = threading.Semaphore(config.at_once)
        self._next_log_at = 0.0

    def stop(self) -> None:
        """Claims nothing more. What is being sent is finished if time allows, else another worker sends it again."""
        self._stopped.set()
        self._wake.set()

    def run(self) -> None:
        """Sends until ``stop`` is called."""
        while not self._stopped.is_set():
            self._slots.acquire()
            free = 1
            while self._slots.acquire(blocking=False):
                free += 1
            self._wake.clear()
            events = self._claim(free)
            for event in events:
                self._start_thread(partial(self._send, event))
            for _ in range(free - len(events)):
                self._slots.release()
            if not events:
                self._wake.wait(self._config.poll)

    def _claim(self, max_events: int) -> list[QueuedEvent]:
        try:
            events = self._queue.claim(max_events)
        except StorageUnavailable:
            return []  # the client has said so in the log
        except Exception as error:  # noqa: BLE001 - a fault here must not end the thread
            _log.error("events could not be claimed: %s", type(error).__name__, extra={"at": error_location(error)})
            return []
        self._metrics.on_claim(self._queue.waiting)
        return events

    def _send(self, event: QueuedEvent) -> None:
        try:
            problem = self._attempt(event)
            self._record_outcome(event, problem)
        except StorageUnavailable:
            pass  # it is sent again once its lease is over; the receiver knows it by its id
        finally:
            self._slots.release()
            self._wake.set()  # the session's next event may be sent now

    def _attempt(self, event: QueuedEvent) -> str:
        """What went wrong; empty where the receiver has taken the event."""
        try:
            self._post(event)
        except DeliveryFailed as error:
            return str(error)
        except EngineTimeout:
            return "timeout"
        except EngineFailed as error:  # the client's own refusals: a private address, an unknown name
            return error.detail.removeprefix("The answering service ").removesuffix(".")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            return type(error).__name__
        except Exception as error:  # noqa: BLE001 - an event that cannot be sent at all becomes a dead letter too
            _log.error("an event could not be sent: %s", type(error).__name__, extra={"at": error_location(error)})
            return "internal error"
        return ""

    def _post(self, event: QueuedEvent) -> None:
        """Raises DeliveryFailed unless the receiver answers with a status from 200 to 299 in time."""
        config = self._config
        guard = CallGuard(CancelToken(), IdleTimer(config.attempt_timeout))
        call = self._http.build_request(
            "POST", config.url, content=event.body.encode(), headers=self._headers(event),
            extensions={ANY_ENCODING: True},
        )  # fmt: skip
        with guard.activate():
            response = self._http.send(call, stream=True)
            try:
                if not 200 <= response.status_code < 300:
                    raise DeliveryFailed(f"status {response.status_code}")
                size = 0
                for block in response.iter_raw():
                    size += len(block)
                    if size > MAX_RESPONSE_BYTES:
                        break
                    guard.timer.remaining()
            finally:
                response.close()

    def _headers(self, event: QueuedEvent) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "Content-Type": "application/json",
            "User-Agent": "Baton",
            "webhook-id": event.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(event.id, now, event.body),
        }

    def _record_outcome(self, event: QueuedEvent, problem: str) -> None:
        if not problem:
            self._queue.delivered(event)
            self._metrics.on_attempt(event.type, "delivered")
            return
        config, attempts = self._config, event.attempts + 1
        if event.age_ms >= config.give_up_after * 1000 and attempts >= config.min_attempts:
            self._queue.give_up(event, problem)
            _log.error("event %s could not be delivered and is a dead letter now: %s", event.id, problem)
            self._metrics.on_attempt(event.type, "dead")
            return
        self._queue.failed(event, problem, int(config.delay(attempts) * 1000))
        self._log_problem(problem)
        self._metrics.on_attempt(event.type, "failed")

    def _log_problem(self, problem: str) -> None:
        """One line, and no other for a minute."""
        if (now := time.monotonic()) >= self._next_log_at:
            self._next_log_at = now + LOG_SECONDS
            _log.warning("BATON_EVENTS_URL: an event could not be delivered and is tried again: %s", problem)
