"""Answers by the site's own service: a signed POST, answered as JSON or as a stream."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx2

from app.engines import webhook_parsers
from app.engines.base import AnswerChunk, EngineRequest, message_dicts
from app.engines.http_client import CallGuard, http_client
from app.engines.sanitize import IdleTimer, is_safe_url, sanitize_chunks
from app.engines.thinking import hide_thinking
from app.engines.upstream import read_refusal
from app.errors import EngineBusy, EngineFailed, EngineTimeout

if TYPE_CHECKING:
    from app.config import Settings

_log = logging.getLogger(__name__)

MAX_REDIRECTS = 3
MAX_ERROR_BLOCKS = 16
"""How much of the body of an error is read."""
_UNREADABLE = "The answer could not be read."


class WebhookEngine:
    """One address for all visitors; it keeps no state of a turn."""

    name = "webhook"

    def __init__(self, config: Settings) -> None:
        self._url = config.webhook_url or ""
        self._secret = config.webhook_secret.get_secret_value() if config.webhook_secret else ""
        self._allow_private = config.webhook_allow_private
        self._citation_base = config.knowledge_url or ""
        self.problem = ""
        """What only the operator can mend, such as a wrong address; empty while the service answers."""

    def answer(self, request: EngineRequest) -> Iterator[AnswerChunk]:
        """Raises EngineFailed for every failure of the service, EngineTimeout when it is silent for too long."""
        timer = IdleTimer(request.idle_timeout)
        chunks = hide_thinking(self._chunks(request, timer))
        return sanitize_chunks(chunks, timer, request.cancel, self._citation_base)

    def _chunks(self, request: EngineRequest, timer: IdleTimer) -> Iterator[AnswerChunk]:
        guard = CallGuard(request.cancel, timer)
        try:
            response = self._post(guard, encode_body(request))
            if response.status_code != 200:
                raise self._error_from_status(response, guard, request)
            yield from self._parse(response, guard)
            self.problem = ""
        except Exception as error:  # noqa: BLE001 - all of it becomes an EngineFailed
            if request.cancel.is_set():
                return
            raise _engine_error(error, guard) from None

    def _post(self, guard: CallGuard, body: bytes) -> httpx2.Response:
        """The response, its body still to come. A redirect is followed only with the same method and body."""
        url, http = self._url, http_client()
        for _ in range(MAX_REDIRECTS + 1):
            call = http.build_request("POST", url, content=body, headers=self._headers(body))
            with guard.activate():
                response = http.send(call, stream=True)
            if response.status_code not in (307, 308):
                return response
            with guard.activate():
                response.close()
            url = urljoin(url, response.headers.get("location", ""))
            if not is_safe_url(url):
                break
            # The operator chose the first address; a redirect must not be a way into their private network.
            http = http_client(public_only=not self._allow_private)
        raise EngineFailed("The answering service sent us elsewhere.")

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream, application/x-ndjson, application/json",
            "User-Agent": "Baton",
        }
        if self._secret:
            timestamp = str(int(time.time()))
            headers |= {"X-Baton-Timestamp": timestamp, "X-Baton-Signature": signature(self._secret, timestamp, body)}
        return headers

    def _parse(self, response: httpx2.Response, guard: CallGuard) -> Iterator[AnswerChunk]:
        blocks = response.iter_bytes()
        try:
            content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if (parse := webhook_parsers.PARSERS.get(content_type)) is None:
                raise EngineFailed(_UNREADABLE)
            for chunk in parse(_guarded(blocks, guard)):
                guard.reset_byte_budget()
                yield chunk
        finally:
            with guard.activate():
                response.close()

    def _error_from_status(self, response: httpx2.Response, guard: CallGuard, request: EngineRequest) -> EngineFailed:
        """The error for a status that is not 200; the log gets what the service says of it."""
        try:
            body = json.loads(b"".join(islice(_guarded(response.iter_bytes(), guard), MAX_ERROR_BLOCKS)))
        except (httpx2.HTTPError, EngineFailed, ValueError, RecursionError):
            body = None  # the status alone says enough
        finally:
            with guard.activate():
                response.close()
        private = (request.question, *(message.content for message in request.history))
        refusal = read_refusal(response.status_code, body, secrets=(self._secret,), private=private)
        _log.warning("the webhook answered %s", refusal)
        if response.status_code in (429, 503):
            return EngineBusy("The answering service is too busy just now.", retry_after=5)
        if refusal.is_final:
            self.problem = f"the webhook refuses every call: {refusal}"
            return refusal.as_error("The answering service")
        return EngineFailed("The answering service is in trouble just now.")


def encode_body(request: EngineRequest) -> bytes:
    """The request's body: ``{query, history, session_ref, metadata}`` in UTF-8."""
    payload: dict[str, Any] = {
        "query": request.question,
        "history": message_dicts(request.history),
        "session_ref": request.session_ref,
        "metadata": dict(request.metadata),
    }
    return json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace")


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """``sha256=`` and the HMAC in hex over the timestamp, a full stop and the body as sent."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _guarded(blocks: Iterator[bytes], guard: CallGuard) -> Iterator[bytes]:
    while True:
        with guard.activate():
            block = next(blocks, None)
        if block is None:
            return
        yield block
        guard.timer.remaining()


def _engine_error(error: Exception, guard: CallGuard) -> EngineFailed:
    """The error in words that may be shown; the log gets the type, never the text."""
    _log.warning("the webhook failed: %s", type(error).__name__)
    if guard.error is not None:
        return guard.error
    if isinstance(error, EngineFailed):
        return error
    if isinstance(error, httpx2.TimeoutException):
        return EngineTimeout()
    if isinstance(error, (httpx2.ConnectError, httpx2.UnsupportedProtocol, httpx2.InvalidURL)):
        return EngineFailed("The answering service could not be reached.")
    if isinstance(error, httpx2.HTTPError):
        return EngineFailed("The answer broke off.")
    return EngineFailed(_UNREADABLE)
