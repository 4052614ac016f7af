"""Answers by somebody's own service: a signed POST, and its answer whole or as a stream."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx2

from app.engines import webhook_parsers
from app.engines.base import AnswerChunk, EngineRequest
from app.engines.http_client import Watch, client
from app.engines.sanitize import Patience, checked, sound
from app.errors import EngineBusy, EngineFailed, EngineTimeout

if TYPE_CHECKING:
    from app.config import Settings

_log = logging.getLogger(__name__)

MOST_REDIRECTS = 3
_UNREAD = "The answer could not be read."


class WebhookEngine:
    """One address for all visitors; nothing of a turn outlives it."""

    name = "webhook"

    def __init__(self, config: Settings) -> None:
        self._url = config.webhook_url or ""
        self._secret = config.webhook_secret.get_secret_value() if config.webhook_secret else ""
        self._allow_private = config.webhook_allow_private

    def answer(self, turn: EngineRequest) -> Iterator[AnswerChunk]:
        """Raises EngineFailed for whatever the service does wrong, EngineTimeout when it is silent for too long."""
        patience = Patience(turn.idle_timeout)
        return checked(self._pieces(turn, patience), patience, turn.cancel)

    def _pieces(self, turn: EngineRequest, patience: Patience) -> Iterator[AnswerChunk]:
        watch = Watch(turn.cancel, patience)
        try:
            yield from self._read(self._post(watch, body(turn)), watch)
        except Exception as error:  # noqa: BLE001 - all of it becomes an EngineFailed
            if turn.cancel.is_set():
                return
            raise _failure(error, watch) from None

    def _post(self, watch: Watch, sent: bytes) -> httpx2.Response:
        """The response, its body still to come. A redirect is followed only with the same method and body."""
        url, caller = self._url, client()
        for _ in range(MOST_REDIRECTS + 1):
            request = caller.build_request("POST", url, content=sent, headers=self._headers(sent))
            with watch.on():
                response = caller.send(request, stream=True)
            if response.status_code not in (307, 308):
                return response
            with watch.on():
                response.close()
            url = urljoin(url, response.headers.get("location", ""))
            if not sound(url):
                break
            # The operator chose the first address; where it points from there must not be a way into his network.
            caller = client(public_only=not self._allow_private)
        raise EngineFailed("The answering service sent us elsewhere.")

    def _headers(self, sent: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream, application/x-ndjson, application/json",
            "User-Agent": "Baton",
        }
        if self._secret:
            stamp = str(int(time.time()))
            headers |= {"X-Baton-Timestamp": stamp, "X-Baton-Signature": signature(self._secret, stamp, sent)}
        return headers

    def _read(self, response: httpx2.Response, watch: Watch) -> Iterator[AnswerChunk]:
        blocks = response.iter_bytes()
        try:
            if response.status_code != 200:
                raise _refused(response)
            read = webhook_parsers.READERS.get(
                response.headers.get("content-type", "").partition(";")[0].strip().lower()
            )
            if read is None:
                raise EngineFailed(_UNREAD)
            for piece in read(_watched(blocks, watch)):
                watch.heard()
                yield piece
        finally:
            with watch.on():
                response.close()


def body(turn: EngineRequest) -> bytes:
    """What is sent: ``{query, history, session_ref, metadata}`` in UTF-8."""
    told: dict[str, Any] = {
        "query": turn.question,
        "history": [{"role": said.role, "content": said.content} for said in turn.history],
        "session_ref": turn.session_ref,
        "metadata": dict(turn.metadata),
    }
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")


def signature(secret: str, timestamp: str, sent: bytes) -> str:
    """``sha256=`` and the HMAC in hex over the timestamp, a full stop and the body as sent."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + sent, hashlib.sha256).hexdigest()


def _watched(blocks: Iterator[bytes], watch: Watch) -> Iterator[bytes]:
    while True:
        with watch.on():
            block = next(blocks, None)
        if block is None:
            return
        yield block
        watch.patience.left()


def _refused(response: httpx2.Response) -> EngineFailed:
    _log.warning("the webhook answered %d", response.status_code)
    if response.status_code in (429, 503):
        return EngineBusy("The answering service is too busy just now.", retry_after=5)
    return EngineFailed("The answering service is in trouble just now.")


def _failure(error: Exception, watch: Watch) -> EngineFailed:
    """What went wrong in words that may be shown; the log gets the kind, never what was said."""
    _log.warning("the webhook failed: %s", type(error).__name__)
    if watch.broken is not None:
        return watch.broken
    if isinstance(error, EngineFailed):
        return error
    if isinstance(error, httpx2.TimeoutException):
        return EngineTimeout()
    if isinstance(error, (httpx2.ConnectError, httpx2.UnsupportedProtocol, httpx2.InvalidURL)):
        return EngineFailed("The answering service could not be reached.")
    if isinstance(error, httpx2.HTTPError):
        return EngineFailed("The answer broke off.")
    return EngineFailed(_UNREAD)
