"""Runs an engine in a thread of its own and hands out its pieces, within bounds of time and memory."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from app.engines.base import AnswerChunk, Engine, EngineRequest
from app.errors import BatonError, EngineFailed, EngineTimeout

_log = logging.getLogger(__name__)

END_OF_STREAM = object()
"""What a pump hands out after the last piece."""
QUEUE_SIZE = 256
MIN_POLL_SECONDS = 0.001
"""Nobody sees so short a wait, and an engine that has all its words at hand gets them into one write."""
StartThread = Callable[[Callable[[], None]], object]


class CancelSource:
    """StopSignal: set once, from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._event.wait(timeout)

    def on_set(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)
        if self.is_set():
            self._call()

    def set(self) -> None:
        self._event.set()
        self._call()

    def _call(self) -> None:
        while self._callbacks:
            try:
                self._callbacks.pop()()
            except Exception as error:  # noqa: BLE001 - an engine's own clean-up must not harm the turn
                _log.warning("a stop callback failed: %s", type(error).__name__)


class EngineThread:
    """Runs an engine in a thread of its own and hands out its pieces; bounded, so an endless one is held back."""

    def __init__(self, engine: Engine, turn: EngineRequest, spawn: StartThread) -> None:
        self._engine = engine
        self._turn = turn
        self._stop = turn.stop
        # The bounded queue of the library costs several locks a piece; here one gives and one takes.
        self._pieces: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._room = threading.Event()
        self._heard = time.monotonic()
        spawn(self._run)

    def _run(self) -> None:
        last: object = END_OF_STREAM
        pieces: Iterator[AnswerChunk] | None = None
        try:
            pieces = self._engine.answer(self._turn)
            for piece in pieces:
                if not self._put(piece):
                    break
        except BatonError as error:
            last = error
        except Exception as error:  # noqa: BLE001 - whatever an engine raises fails its own turn only
            _log.warning("engine %s failed: %s", self._engine.name, type(error).__name__)
            last = EngineFailed()
        finally:
            self._put(last)
            close = getattr(pieces, "close", None)
            if close is not None:
                with suppress(Exception):  # its own failure to tidy up changes nothing for the visitor
                    close()

    def _put(self, piece: object) -> bool:
        while self._pieces.qsize() >= QUEUE_SIZE and not self._stop.is_set():
            self._room.clear()
            if self._pieces.qsize() >= QUEUE_SIZE:
                self._room.wait(1.0)
        if self._stop.is_set():
            return False
        self._pieces.put(piece)
        return True

    def take(self, seconds: float) -> list[object]:
        """The next pieces, all that are at hand: each a piece, an error, or ``ENDED``; none after ``seconds``.

        Raises EngineTimeout after silence.
        """
        left = self._heard + self._turn.silence - time.monotonic()
        try:
            pieces = [self._pieces.get(timeout=max(min(seconds, left), MIN_POLL_SECONDS))]
        except queue.Empty:
            if time.monotonic() - self._heard >= self._turn.silence:
                raise EngineTimeout from None
            return []
        with suppress(queue.Empty):
            while len(pieces) < QUEUE_SIZE:
                pieces.append(self._pieces.get_nowait())
        self._heard = time.monotonic()
        if not self._room.is_set() and self._pieces.qsize() < QUEUE_SIZE // 2:
            self._room.set()
        return pieces
