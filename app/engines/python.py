"""Answers by somebody's Python, in a process of its own beside each worker, so that its work stalls nobody else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from app.config import ConfigError
from app.engines.base import AnswerChunk, EngineRequest
from app.engines.sanitize import Patience, checked
from app.engines.worker_process import Child
from app.errors import EngineFailed

_log = logging.getLogger(__name__)

MUST = "BATON_ENGINE: must be python:package.module:attribute, a function or a class with a method answer"
START_SECONDS = 20.0
"""How long the start of the service waits for the engine to be loaded; after that its first turns wait."""
MOST_STRAYS = 16
"""Threads at work for turns that are over; a process with so many is replaced by a new one."""


class PythonEngine:
    """``module:attribute``, imported once in a process that takes the turns of one worker; replaced where it dies."""

    name = "python"

    def __init__(self, target: str) -> None:
        """Raises ConfigError where it cannot be imported or called."""
        self._target = target
        self._choosing = threading.Lock()
        self._child = Child(target)
        self._child.ready.wait(START_SECONDS)
        if self._child.dead:
            why = self._child.wrong or "its process ended"
            raise ConfigError(" ".join(f'{MUST} (is "python:{target}": {why})'.split()))

    def answer(self, turn: EngineRequest) -> Iterator[AnswerChunk]:
        """Raises EngineFailed where the code raises or its process dies, EngineTimeout when it is silent."""
        patience = Patience(turn.idle_timeout)
        return checked(self._pieces(turn, patience), patience, turn.cancel)

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def _pieces(self, turn: EngineRequest, patience: Patience) -> Iterator[AnswerChunk]:
        child = self._serving()
        while not child.ready.wait(0.2):
            patience.left()
            if turn.cancel.is_set():
                return
        if child.dead:
            raise EngineFailed
        yield from child.pieces(turn, patience)

    def _serving(self) -> Child:
        """The process for a new turn: the one there is, or a new one where that has died or is choked."""
        with self._choosing:
            choked = len(self._child.strays) >= MOST_STRAYS
            if self._child.dead or choked:
                _log.warning("the engine process %s; a new one is started", "is choked" if choked else "died")
                self._child.retire()
                self._child = Child(self._target)
            return self._child
