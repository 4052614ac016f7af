"""Answers by any model behind an OpenAI-compatible server, grounded in the knowledge folder."""

from __future__ import annotations

import email.utils
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from app.engines import prompt
from app.engines.base import AnswerChunk, Citation, CitationsChunk, EngineRequest, TextChunk, TokenUsage
from app.engines.citations import CitationRewriter
from app.engines.http_client import CallGuard, http_client
from app.engines.sanitize import MAX_CITATIONS, IdleTimer, sanitize_chunks
from app.errors import EngineFailed, EngineTimeout

if TYPE_CHECKING:
    import openai

    from app.config import Settings

_log = logging.getLogger(__name__)

OPENAI_BASE_URL = "https://api.openai.com/v1"
MAX_RETRY_SECONDS = 10.0
"""A server that asks to wait longer than this gets no retry."""
DEFAULT_RETRY_SECONDS = 0.5
UNREACHABLE = "The model could not be reached."
BROKEN = "The answer broke off."


class OpenAIEngine:
    """One SDK client for all visitors; it keeps no state of a turn."""

    name = "openai"

    def __init__(self, config: Settings) -> None:
        import openai  # 46 MB and half a second: only where it is used

        self._sdk = openai
        self._model = config.openai_model
        self._system_prompt = prompt.load_system_prompt(config.openai_prompt_file)
        self._history_tokens = config.openai_history_tokens
        max_tokens = "max_tokens" if config.openai_base_url else "max_completion_tokens"
        self._limits: dict[str, Any] = {max_tokens: config.openai_max_tokens, "stream_options": {"include_usage": True}}
        self._api = openai.OpenAI(
            base_url=config.openai_base_url or OPENAI_BASE_URL,
            api_key=config.openai_api_key.get_secret_value() if config.openai_api_key else "none",
            http_client=http_client(),
            max_retries=0,
            timeout=None,
        )

    def answer(self, request: EngineRequest) -> Iterator[AnswerChunk]:
        """Raises EngineFailed for every failure of the server, EngineTimeout when it is silent for too long."""
        timer = IdleTimer(request.idle_timeout)
        return sanitize_chunks(self._chunks(request, timer), timer, request.cancel)

    def _chunks(self, request: EngineRequest, timer: IdleTimer) -> Iterator[AnswerChunk]:
        sources = self._find_sources(request)
        messages = prompt.build_messages(request, self._system_prompt, sources, self._history_tokens)
        rewriter = CitationRewriter(sources)
        failure: EngineFailed | None = None
        try:
            for chunk in self._stream_with_retry(request, CallGuard(request.cancel, timer), messages):
                if isinstance(chunk, TokenUsage):
                    yield chunk
                elif text := rewriter.feed(chunk):
                    yield TextChunk(text)
        except EngineFailed as error:
            failure = error
        if text := rewriter.flush():  # also of an answer that broke off
            yield TextChunk(text)
        if failure:
            raise failure
        yield CitationsChunk(rewriter.cited)

    def _find_sources(self, request: EngineRequest) -> list[Citation]:
        """A search that fails leaves the model without sources, not the visitor without an answer."""
        try:
            return list(request.search(prompt.search_query(request), MAX_CITATIONS))[: prompt.MAX_SOURCES]
        except Exception as error:  # noqa: BLE001 - whatever it is
            _log.warning("no sources for a question: %s", type(error).__name__)
            return []

    def _stream_with_retry(
        self, request: EngineRequest, guard: CallGuard, messages: list[dict[str, str]]
    ) -> Iterator[str | TokenUsage]:
        """The model's text; one retry where it may help, and never after the first token."""
        started = False
        for last_try in (False, True):
            try:
                for chunk in self._stream(guard, messages):
                    started = True
                    yield chunk
                return
            except Exception as error:  # noqa: BLE001 - all of it becomes an EngineFailed
                if request.cancel.is_set():
                    return
                delay = None if started or last_try or guard.error else self._retry_delay(error)
                if delay is None or delay >= guard.timer.remaining():
                    raise self._engine_error(error, guard, started=started) from None
                _log.info("the model failed (%s), retrying in %.1f s", type(error).__name__, delay)
            if request.cancel.wait(delay):
                return

    def _stream(self, guard: CallGuard, messages: list[dict[str, str]]) -> Iterator[str | TokenUsage]:
        create: Any = self._api.chat.completions.create  # its overloads do not understand **limits
        with guard.activate():
            chunks = create(model=self._model, messages=messages, stream=True, **self._limits)
        ended, usage = False, None
        try:
            while True:
                with guard.activate():
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                guard.reset_byte_budget()
                usage = _usage_from(chunk) or usage
                text, finished = _parse_chunk(chunk)
                ended = ended or finished
                if text:
                    guard.timer.reset()
                    yield text
                else:
                    guard.timer.remaining()
        finally:
            chunks.close()
        if not ended and b"[DONE]" not in guard.tail:
            raise EngineFailed(BROKEN)
        if usage is not None:
            yield usage

    def _retry_delay(self, error: Exception) -> float | None:
        """Seconds to wait before a retry; None where a retry cannot help."""
        sdk = self._sdk
        if isinstance(error, sdk.APITimeoutError):
            return None
        if isinstance(error, sdk.APIConnectionError):
            return DEFAULT_RETRY_SECONDS
        if isinstance(error, sdk.APIStatusError) and (error.status_code == 429 or error.status_code >= 500):
            delay = retry_after(error.response.headers.get("retry-after", ""))
            return DEFAULT_RETRY_SECONDS if delay is None else delay if delay <= MAX_RETRY_SECONDS else None
        return None

    def _engine_error(self, error: Exception, guard: CallGuard, *, started: bool) -> EngineFailed:
        """The error in words that may be shown; the log gets the type, never the text."""
        sdk = self._sdk
        _log.warning("the model failed: %s", f"{type(error).__name__} {getattr(error, 'status_code', '')}".strip())
        for known in (guard.error, error, error.__cause__):
            if isinstance(known, EngineFailed):
                return known
        if isinstance(error, sdk.APITimeoutError):
            return EngineTimeout()
        if isinstance(error, sdk.APIStatusError):
            return _error_from_status(error)
        if isinstance(error, sdk.APIConnectionError):
            return EngineFailed(BROKEN if started else UNREACHABLE)
        return EngineFailed("The answer could not be read.")


def _usage_from(chunk: Any) -> TokenUsage | None:
    """The token usage in a chunk; that in the last chunk that has one is the answer's total."""
    usage = getattr(chunk, "usage", None)
    counts = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    valid = [count for count in counts if isinstance(count, int) and count >= 0]
    return TokenUsage(*valid) if len(valid) == 2 else None


def _parse_chunk(chunk: Any) -> tuple[str, bool]:
    """The words in a chunk, and whether it is the last. Raises EngineFailed for what is no chunk."""
    choices = getattr(chunk, "choices", None)
    if not choices:  # usage alone, or a proxy's keep-alive
        return "", False
    try:
        choice = choices[0]
        delta = getattr(choice, "delta", None)  # some servers leave it out, or send null, in the last chunk
        return _text_from(getattr(delta, "content", None)), bool(getattr(choice, "finish_reason", None))
    except (TypeError, IndexError, KeyError):
        raise EngineFailed("The answer could not be read.") from None


def _text_from(content: Any) -> str:
    """The text of a delta, which may also be a list of content parts. Raises TypeError for anything else."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise TypeError
    parts = [part.get("text") if isinstance(part, dict) else getattr(part, "text", None) for part in content]
    return "".join(part for part in parts if isinstance(part, str))


def _error_from_status(error: openai.APIStatusError) -> EngineFailed:
    if error.status_code == 429:
        delay = retry_after(error.response.headers.get("retry-after", ""))
        return EngineFailed("The model is too busy just now.", retry_after=int(min(delay or 1, 3_600)) or 1)
    if error.status_code >= 500:
        return EngineFailed("The model is in trouble just now.")
    return EngineFailed("The model refused the question.")


def retry_after(value: str) -> float | None:
    """Seconds from a Retry-After header, a number or a date; None where there is none."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
