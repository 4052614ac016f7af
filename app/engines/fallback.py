"""Lets a second engine answer where the first fails before its first token."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from app.engines.base import AnswerChunk, Engine, EngineRequest, FallbackNotice, HasModels, TextChunk
from app.errors import EngineFailed

_log = logging.getLogger(__name__)

FALLBACK_NOTICE = "The usual assistant is not available just now, so this answer comes from the site's pages."


class FallbackEngine:
    """An engine with a fallback that answers where the first one fails, and says so."""

    def __init__(self, primary: Engine, fallback: Engine) -> None:
        self.name = primary.name
        self._primary = primary
        self._fallback = fallback

    @property
    def problem(self) -> str:
        """What only the operator can mend about the first engine."""
        return str(getattr(self._primary, "problem", ""))

    def list_models(self) -> list[str]:
        """The models of the first engine, where it has any to choose from."""
        names: list[str] = self._primary.list_models() if isinstance(self._primary, HasModels) else []
        return names

    def answer(self, request: EngineRequest) -> Iterator[AnswerChunk]:
        """The first engine's chunks; ``FallbackNotice`` and the second's where the first fails without text."""
        has_text = False
        try:
            for chunk in self._primary.answer(request):
                has_text = has_text or isinstance(chunk, TextChunk)
                yield chunk
            return
        except EngineFailed as error:
            if has_text or request.cancel.is_set():
                raise
            _log.warning("engine %s failed (%s): the fallback answers", self._primary.name, error.code)
        yield FallbackNotice(FALLBACK_NOTICE)
        yield from self._fallback.answer(request)
