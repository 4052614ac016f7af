"""Answers by any model behind an OpenAI-compatible server, grounded in the knowledge folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from app.engines import prompt
from app.engines.base import (
    AnswerChunk,
    CancelToken,
    Citation,
    CitationsChunk,
    EngineRequest,
    FinishReason,
    TextChunk,
    ThinkingChunk,
    TokenUsage,
)
from app.engines.citations import CitationRewriter, host_of
from app.engines.http_client import CallGuard, http_client
from app.engines.sanitize import MAX_CITATIONS, IdleTimer, finish_reason, sanitize_chunks
from app.engines.thinking import hide_thinking
from app.engines.upstream import ChatParameters, Refusal, read_refusal, retry_after, status_in
from app.errors import EngineFailed, EngineTimeout

if TYPE_CHECKING:
    from app.config import Settings

_log = logging.getLogger(__name__)

OPENAI_BASE_URL = "https://api.openai.com/v1"
MAX_RETRY_SECONDS = 10.0
"""A server that asks to wait longer than this gets no retry."""
DEFAULT_RETRY_SECONDS = 0.5
UNREACHABLE = "The model could not be reached."
BROKEN = "The answer broke off."
MAX_MODELS = 2_000
MODELS_SECONDS = 60.0
"""How long the server's list of models is believed."""
MAX_LIST_BYTES = 8 * 1024 * 1024
LIST_TIMEOUT = 10.0
MAX_LEARNED = 200
"""Models whose refused parameters are remembered."""


class OpenAIEngine:
    """One SDK client for all visitors; it keeps no state of a turn."""

    name = "openai"

    def __init__(self, config: Settings) -> None:
        import openai  # 46 MB and half a second: only where it is used

        self._sdk = openai
        self._model = config.openai_model
        self._system_prompt = prompt.load_system_prompt(config.openai_prompt_file)
        self._history_tokens = config.openai_history_tokens
        names = ("max_tokens", "max_completion_tokens")
        limit_names = names if config.openai_base_url else names[::-1]
        self._parameters = ChatParameters(config.openai_max_tokens, limit_names)
        self._learned: dict[str, ChatParameters] = {}
        """What a model takes that refused a parameter, by its name."""
        self._models: list[str] = []
        self._models_at = -MODELS_SECONDS
        own = (config.public_url, config.knowledge_base, config.chat_page, *(config.allowed_origins or ()))
        self._trusted_hosts = frozenset(filter(None, map(host_of, own))) | frozenset(config.link_hosts)
        self._secrets = (config.openai_api_key.get_secret_value(),) if config.openai_api_key else ()
        self.problem = ""
        """What only the operator can mend, such as a wrong key; empty while the model answers."""
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

    def list_models(self) -> list[str]:
        """The names of the server's models, at most a minute old; empty where it does not list them."""
        if time.monotonic() - self._models_at < MODELS_SECONDS:
            return self._models
        self._models_at = time.monotonic()  # whoever asks meanwhile gets the earlier list
        guard = CallGuard(CancelToken(), IdleTimer(LIST_TIMEOUT), MAX_LIST_BYTES)
        try:
            with guard.activate():
                models = self._api.models.list().data[:MAX_MODELS]
            self._models = [model.id for model in models if isinstance(model.id, str) and 0 < len(model.id) <= 256]
        except Exception as error:  # noqa: BLE001 - a server without such a list is no failure
            _log.warning("the server's models cannot be listed: %s", type(error).__name__)
        return self._models

    def _chunks(self, request: EngineRequest, timer: IdleTimer) -> Iterator[AnswerChunk]:
        sources = self._find_sources(request)
        messages = prompt.build_messages(request, self._system_prompt, sources, self._history_tokens)
        rewriter = CitationRewriter(sources, self._trusted_hosts)
        guard = CallGuard(request.cancel, timer)
        failure: EngineFailed | None = None
        try:
            for chunk in hide_thinking(self._stream_with_retry(request, guard, messages)):
                if not isinstance(chunk, TextChunk):
                    yield chunk
                elif text := rewriter.feed(chunk.text):
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
    ) -> Iterator[AnswerChunk]:
        """The model's chunks; one retry where it may help, and never after the first one."""
        model = request.model or self._model
        started, retried, parameters = False, False, self._learned.get(model, self._parameters)
        while True:
            try:
                for chunk in self._stream(guard, model, parameters.arguments(messages)):
                    started = True
                    yield chunk
                self.problem = ""
                return
            except Exception as error:  # noqa: BLE001 - all of it becomes an EngineFailed
                if request.cancel.is_set():
                    return
                refusal = self._refusal(error, request)
                if refusal and not started and (learned := parameters.after(refusal)):
                    _log.warning("the model refused a parameter, and is asked without it from now on: %s", refusal)
                    parameters = self._learn(model, learned)
                    continue
                delay = None if started or retried or guard.error else self._retry_delay(error, refusal)
                if delay is None or delay >= guard.timer.remaining():
                    raise self._engine_error(error, refusal, guard, request.model, started=started) from None
                _log.info("the model failed (%s), retrying in %.1f s", type(error).__name__, delay)
            retried = True
            if request.cancel.wait(delay):
                return

    def _learn(self, model: str, parameters: ChatParameters) -> ChatParameters:
        """Remembers what a model takes; forgets the model learned first where there are too many."""
        while len(self._learned) >= MAX_LEARNED:
            self._learned.pop(next(iter(self._learned)), None)
        self._learned[model] = parameters
        return parameters

    def _refusal(self, error: Exception, request: EngineRequest) -> Refusal | None:
        """What a server says that answered with an error, by its status or inside the stream."""
        if isinstance(error, self._sdk.APIConnectionError) or not isinstance(error, self._sdk.APIError):
            return None
        private = (request.question, *(message.content for message in request.history))
        status = getattr(error, "status_code", 0) or status_in(error.body)
        return read_refusal(status, error.body, secrets=self._secrets, private=private)

    def _stream(self, guard: CallGuard, model: str, arguments: dict[str, Any]) -> Iterator[AnswerChunk]:
        create: Any = self._api.chat.completions.create  # its overloads do not understand **arguments
        with guard.activate():
            chunks = create(model=model, stream=True, **arguments)
        finished, usage = "", None
        try:
            while True:
                with guard.activate():
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                guard.reset_byte_budget()
                usage = _usage_from(chunk) or usage
                part, reason = _parse_chunk(chunk)
                finished = reason or finished
                if part is not None:
                    guard.timer.reset()
                    yield part
                else:
                    guard.timer.remaining()
        finally:
            chunks.close()
        if not finished and b"[DONE]" not in guard.tail:
            raise EngineFailed(BROKEN)
        if usage is not None:
            yield usage
        if reason := finish_reason(finished):
            _log.warning("the model ended its answer early: %s", reason)
            yield FinishReason(reason)

    def _retry_delay(self, error: Exception, refusal: Refusal | None) -> float | None:
        """Seconds to wait before a retry; None where a retry cannot help."""
        sdk = self._sdk
        if isinstance(error, sdk.APITimeoutError) or (refusal and refusal.is_final):
            return None
        if isinstance(error, sdk.APIConnectionError):
            return DEFAULT_RETRY_SECONDS
        if isinstance(error, sdk.APIStatusError) and (error.status_code == 429 or error.status_code >= 500):
            delay = retry_after(error.response.headers.get("retry-after", ""))
            return DEFAULT_RETRY_SECONDS if delay is None else delay if delay <= MAX_RETRY_SECONDS else None
        return None

    def _engine_error(
        self, error: Exception, refusal: Refusal | None, guard: CallGuard, chosen: str, *, started: bool
    ) -> EngineFailed:
        """The error in words that may be shown; the log gets its type, and what the server itself says of it."""
        sdk = self._sdk
        if refusal is not None:
            _log.warning("the model failed: %s %s", type(error).__name__, refusal)
            if refusal.is_final and (not chosen or refusal.status in (401, 402)):
                self.problem = f"the model refuses every call: {refusal}"
        else:
            _log.warning("the model failed: %s", type(error).__name__)
        for known in (guard.error, error, error.__cause__):
            if isinstance(known, EngineFailed):
                return known
        if isinstance(error, sdk.APITimeoutError):
            return EngineTimeout()
        if refusal is not None and refusal.status:
            wait = error.response.headers.get("retry-after", "") if isinstance(error, sdk.APIStatusError) else ""
            return refusal.as_error(f"The model {chosen}".rstrip(), wait)
        if isinstance(error, sdk.APIConnectionError):
            return EngineFailed(BROKEN if started else UNREACHABLE)
        return EngineFailed("The answer could not be read.")


def _usage_from(chunk: Any) -> TokenUsage | None:
    """The token usage in a chunk; that in the last chunk that has one is the answer's total."""
    usage = getattr(chunk, "usage", None)
    counts = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    valid = [count for count in counts if isinstance(count, int) and count >= 0]
    return TokenUsage(*valid) if len(valid) == 2 else None


def _parse_chunk(chunk: Any) -> tuple[AnswerChunk | None, str]:
    """The words or the sign of life in a chunk, and why the answer ends, in the last one.

    Raises EngineFailed for what is no chunk.
    """
    choices = getattr(chunk, "choices", None)
    if not choices:  # usage alone, or a proxy's keep-alive
        return None, ""
    try:
        choice = choices[0]
        delta = getattr(choice, "delta", None)  # some servers leave it out, or send null, in the last chunk
        text = _text_from(getattr(delta, "content", None)) or _text_from(getattr(delta, "refusal", None))
        part = TextChunk(text) if text else ThinkingChunk() if _is_thinking(delta) else None
        return part, str(getattr(choice, "finish_reason", None) or "")
    except (TypeError, IndexError, KeyError):
        raise EngineFailed("The answer could not be read.") from None


def _is_thinking(delta: Any) -> bool:
    """Whether a delta without words holds some of the model's thoughts, under any of the names in use."""
    fields = ("reasoning_content", "reasoning", "reasoning_details", "thinking", "content")
    return any(getattr(delta, name, None) for name in fields)


def _text_from(content: Any) -> str:
    """The text of a delta, which may also be a list of content parts. Raises TypeError for anything else."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise TypeError
    parts = [part.get("text") if isinstance(part, dict) else getattr(part, "text", None) for part in content]
    return "".join(part for part in parts if isinstance(part, str))
