"""Lets a second engine answer where the first fails before its first word."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from app.engines.base import AnswerChunk, Engine, EngineRequest, FallbackNotice, TextChunk
from app.errors import EngineFailed

_log = logging.getLogger(__name__)

REASON = "The usual assistant is not available just now, so this answer comes from the site's pages."


class WithFallback:
    """An engine, and another one that stands in for it and says so."""

    def __init__(self, first: Engine, second: Engine) -> None:
        self.name = first.name
        self._first = first
        self._second = second

    def answer(self, turn: EngineRequest) -> Iterator[AnswerChunk]:
        """The first engine's pieces; ``FallbackNotice`` and the second's where the first fails without a word."""
        said = False
        try:
            for piece in self._first.answer(turn):
                said = said or isinstance(piece, TextChunk)
                yield piece
            return
        except EngineFailed as error:
            if said or turn.cancel.is_set():
                raise
            _log.warning("engine %s failed (%s): the fallback answers", self._first.name, error.code)
        yield FallbackNotice(REASON)
        yield from self._second.answer(turn)
