"""Answers by any model behind an OpenAI-compatible server, grounded in the knowledge folder."""

from __future__ import annotations

import email.utils
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from app.engines import prompt
from app.engines.base import AnswerChunk, Citation, CitationsChunk, EngineRequest, TextChunk, TokenUsage
from app.engines.citations import Markers
from app.engines.http_client import Watch, client
from app.engines.sanitize import MOST_CITATIONS, Patience, checked
from app.errors import EngineFailed, EngineTimeout

if TYPE_CHECKING:
    import openai

    from app.config import Settings

_log = logging.getLogger(__name__)

OPENAI = "https://api.openai.com/v1"
MOST_WAIT = 10.0
"""Seconds: a server that asks for more than this before the second try gets none."""
USUAL_WAIT = 0.5
UNREACHABLE = "The model could not be reached."
BROKEN = "The answer broke off."


class OpenAIEngine:
    """One SDK client for all visitors; nothing of a turn outlives it."""

    name = "openai"

    def __init__(self, config: Settings) -> None:
        import openai  # 46 MB and half a second: only where it is used

        self._sdk = openai
        self._model = config.openai_model
        self._rules = prompt.rules(config.openai_prompt_file)
        self._history_tokens = config.openai_history_tokens
        limit = "max_tokens" if config.openai_base_url else "max_completion_tokens"
        self._limits: dict[str, Any] = {limit: config.openai_max_tokens, "stream_options": {"include_usage": True}}
        self._api = openai.OpenAI(
            base_url=config.openai_base_url or OPENAI,
            api_key=config.openai_api_key.get_secret_value() if config.openai_api_key else "none",
            http_client=client(),
            max_retries=0,
            timeout=None,
        )

    def answer(self, turn: EngineRequest) -> Iterator[AnswerChunk]:
        """Raises EngineFailed for whatever the server does wrong, EngineTimeout when it is silent for too long."""
        patience = Patience(turn.idle_timeout)
        return checked(self._pieces(turn, patience), patience, turn.cancel)

    def _pieces(self, turn: EngineRequest, patience: Patience) -> Iterator[AnswerChunk]:
        sources = self._sources(turn)
        asked = prompt.messages(turn, self._rules, sources, self._history_tokens)
        markers = Markers(sources)
        broken: EngineFailed | None = None
        try:
            for words in self._words(turn, Watch(turn.cancel, patience), asked):
                if isinstance(words, TokenUsage):
                    yield words
                elif text := markers.feed(words):
                    yield TextChunk(text)
        except EngineFailed as error:
            broken = error
        if text := markers.rest():  # also of an answer that broke off: it was said
            yield TextChunk(text)
        if broken:
            raise broken
        yield CitationsChunk(markers.cited)

    def _sources(self, turn: EngineRequest) -> list[Citation]:
        """A search that fails leaves the model without sources, not the visitor without an answer."""
        try:
            return list(turn.search(prompt.search_words(turn), MOST_CITATIONS))[: prompt.MOST_SOURCES]
        except Exception as error:  # noqa: BLE001 - whatever it is
            _log.warning("no sources for a question: %s", type(error).__name__)
            return []

    def _words(self, turn: EngineRequest, watch: Watch, asked: list[dict[str, str]]) -> Iterator[str | TokenUsage]:
        """The model's words; one more try where it may help, and never after the first word."""
        said = False
        for last_try in (False, True):
            try:
                for words in self._stream(watch, asked):
                    said = True
                    yield words
                return
            except Exception as error:  # noqa: BLE001 - all of it becomes an EngineFailed
                if turn.cancel.is_set():
                    return
                wait = None if said or last_try or watch.broken else self._pause(error)
                if wait is None or wait >= watch.patience.left():
                    raise self._failure(error, watch, said=said) from None
                _log.info("the model failed (%s), once more in %.1f s", type(error).__name__, wait)
            if turn.cancel.wait(wait):
                return

    def _stream(self, watch: Watch, asked: list[dict[str, str]]) -> Iterator[str | TokenUsage]:
        create: Any = self._api.chat.completions.create  # its overloads do not see through **limits
        with watch.on():
            chunks = create(model=self._model, messages=asked, stream=True, **self._limits)
        ended, used = False, None
        try:
            while True:
                with watch.on():
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                watch.heard()
                used = _used(chunk) or used
                words, finished = _read(chunk)
                ended = ended or finished
                if words:
                    watch.patience.word()
                    yield words
                else:
                    watch.patience.left()
        finally:
            chunks.close()
        if not ended and b"[DONE]" not in watch.tail:
            raise EngineFailed(BROKEN)
        if used is not None:
            yield used

    def _pause(self, error: Exception) -> float | None:
        """Seconds to wait before another try; None where none may help."""
        sdk = self._sdk
        if isinstance(error, sdk.APITimeoutError):
            return None
        if isinstance(error, sdk.APIConnectionError):
            return USUAL_WAIT
        if isinstance(error, sdk.APIStatusError) and (error.status_code == 429 or error.status_code >= 500):
            wait = retry_after(error.response.headers.get("retry-after", ""))
            return USUAL_WAIT if wait is None else wait if wait <= MOST_WAIT else None
        return None

    def _failure(self, error: Exception, watch: Watch, *, said: bool) -> EngineFailed:
        """What went wrong in words that may be shown; the log gets the kind, never what was said."""
        sdk = self._sdk
        kind = f"{type(error).__name__} {getattr(error, 'status_code', '')}".strip()
        _log.warning("the model failed: %s", kind)
        for known in (watch.broken, error, error.__cause__):
            if isinstance(known, EngineFailed):
                return known
        if isinstance(error, sdk.APITimeoutError):
            return EngineTimeout()
        if isinstance(error, sdk.APIStatusError):
            return _refused(error)
        if isinstance(error, sdk.APIConnectionError):
            return EngineFailed(BROKEN if said else UNREACHABLE)
        return EngineFailed("The answer could not be read.")


def _used(chunk: Any) -> TokenUsage | None:
    """The tokens that a chunk tells of; those in the last one that does are the whole answer's."""
    usage = getattr(chunk, "usage", None)
    counts = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    sound = [count for count in counts if isinstance(count, int) and count >= 0]
    return TokenUsage(*sound) if len(sound) == 2 else None


def _read(chunk: Any) -> tuple[str, bool]:
    """The words in a chunk, and whether it is the last. Raises EngineFailed for what is no chunk."""
    choices = getattr(chunk, "choices", None)
    if not choices:  # usage, or a proxy's sign of life
        return "", False
    try:
        words = choices[0].delta.content
        finished = bool(choices[0].finish_reason)
    except (AttributeError, TypeError, IndexError, KeyError):
        raise EngineFailed("The answer could not be read.") from None
    if words is not None and not isinstance(words, str):
        raise EngineFailed("The answer could not be read.")
    return words or "", finished


def _refused(error: openai.APIStatusError) -> EngineFailed:
    if error.status_code == 429:
        wait = retry_after(error.response.headers.get("retry-after", ""))
        return EngineFailed("The model is too busy just now.", retry_after=int(min(wait or 1, 3_600)) or 1)
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
