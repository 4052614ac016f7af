"""Runs somebody's code in a real thread, also under gevent, so that its work stalls nobody; a queue leads out of it."""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import logging
import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from gevent._hub_local import get_hub_if_exists  # type: ignore[import-not-found,import-untyped,unused-ignore]
from gevent.monkey import get_original  # type: ignore[import-not-found,import-untyped,unused-ignore]

from app.engines.checked import Patience
from app.errors import EngineBusy
from app.ports import Citation, Piece, StopSignal, Turn

_log = logging.getLogger(__name__)

# gevent puts greenlets in the place of threads; these are the real ones, whether or not it did.
_start = get_original("_thread", "start_new_thread")
_lock = get_original("_thread", "allocate_lock")

MOST_WAITING = 64
"""Pieces that wait to be taken; an engine that is faster is held back."""
MOST_STRAYS = 16
"""Threads that may be at work for turns that are over; past it no new one is begun."""
GRACE_SECONDS = 1.0
"""How long an engine whose turn is over may take to end by itself, at its next piece or by its stop signal."""
TRIES = 5
GEVENT = f"{os.sep}gevent{os.sep}"
SWITCH_SECONDS = 0.00005
"""How long a thread that computes may keep the others from their turn; Python's own 5 ms would be felt by all."""

Work = Callable[[Turn], Iterator[Any]]
"""What runs in the thread: takes a turn, yields pieces or strings."""


class Abandoned(SystemExit):
    """Raised inside an engine whose turn is over. A SystemExit, so that a thread that ends by it ends in silence."""


@dataclass(frozen=True, slots=True)
class _Find:
    """A search asked for in the thread, to be made on the reader's side, where locks and connections live."""

    query: str
    most: int
    found: list[Any]
    done: Any


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


class _HandOver:
    """A bounded queue out of a real thread. The reader waits on a socket, which is right for threads and greenlets."""

    def __init__(self) -> None:
        self.items: deque[object] = deque()
        self.closed = False
        self._reader, bell = socket.socketpair()
        self._bell = bell.detach()
        os.set_blocking(self._bell, False)
        self._guard = _lock()
        self._room = _lock()
        self._room.acquire()

    def put(self, item: object) -> None:
        """From the thread. Waits for room; raises Abandoned when nobody reads any more."""
        while len(self.items) >= MOST_WAITING and not self.closed:
            self._room.acquire(timeout=1.0)
        if self.closed:
            raise Abandoned
        self.items.append(item)
        self.ring()

    def take(self, patience: Patience, stop: StopSignal) -> object | None:
        """For the reader: the next item, None when stopped. Raises EngineTimeout when it took too long."""
        while not self.items:
            if stop.is_set():
                return None
            self._reader.settimeout(patience.left())
            with contextlib.suppress(TimeoutError):
                self._reader.recv(4096)
        item = self.items.popleft()
        with contextlib.suppress(RuntimeError):  # nobody waits for room
            self._room.release()
        return item

    def ring(self) -> None:
        """Wakes the reader; from anywhere, at any time."""
        with self._guard:  # or the number could be another socket's by now
            if not self.closed:
                with contextlib.suppress(BlockingIOError):  # it has rung often enough
                    os.write(self._bell, b"!")

    def close(self) -> None:
        """Nobody reads any more."""
        with self._guard:
            self.closed = True
            os.close(self._bell)
        self._reader.close()
        with contextlib.suppress(RuntimeError):
            self._room.release()


class _Stop:
    """The turn's stop signal as the thread sees it: real locks in the place of the reader's."""

    def __init__(self, stop: StopSignal, over: _HandOver) -> None:
        self._stop = stop
        self._over = over
        self._gate = _lock()
        self._gate.acquire()
        self._callbacks: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        return self._over.closed or self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        if not self.is_set() and self._gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            self._gate.release()  # for whoever else waits
        return self.is_set()

    def on_set(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)
        if self.is_set():
            self.release()

    def release(self) -> None:
        """Lets go of all who wait, once it is set."""
        with contextlib.suppress(RuntimeError):
            self._gate.release()
        while self._callbacks:
            try:
                self._callbacks.pop()()
            except Exception as error:  # noqa: BLE001 - an engine's own clean-up must not harm the turn
                _log.warning("a stop callback failed: %s", type(error).__name__)


class Thread:
    """One turn's work in one real thread."""

    _strays: ClassVar[set[int]] = set()

    def __init__(self, work: Work, turn: Turn) -> None:
        if self.strays() >= MOST_STRAYS:
            raise EngineBusy("Too many earlier answers still run.", retry_after=5)
        self._turn = turn
        self._over = _HandOver()
        self._stop = _Stop(turn.stop, self._over)
        self._work = work
        self._ident = 0
        self._inside = True
        self._broken_off = False
        self._left = _lock()
        self._left.acquire()

    @classmethod
    def strays(cls) -> int:
        """How many threads are still at work for turns that are over."""
        cls._strays &= sys._current_frames().keys()
        return len(cls._strays)

    def pieces(self, patience: Patience) -> Iterator[Piece | str]:
        """What the work yields. Raises what it raises, and EngineTimeout when it is silent for too long."""
        seen = replace(self._turn, stop=self._stop, find=self._find)
        self._ident = _start(self._run, (seen,))
        self._turn.stop.on_set(self._stopped)
        try:
            while (item := self._over.take(patience, self._turn.stop)) is not None:
                if isinstance(item, _Find):
                    self._answer(item)
                elif isinstance(item, _End):
                    if item.error is not None:
                        raise item.error
                    return
                else:
                    yield item  # type: ignore[misc]  # checked by who takes it
        finally:
            self._leave()

    def _stopped(self) -> None:
        self._over.ring()
        self._stop.release()

    def _leave(self) -> None:
        self._over.close()
        self._stop.release()
        if self._inside:
            self._strays.add(self._ident)
            _start(self._end, ())

    def _end(self) -> None:
        """Ends a loop that computes for nobody; one that waits in foreign code is left to end when that returns."""
        for _ in range(TRIES):
            if self._left.acquire(timeout=GRACE_SECONDS):
                return
            frame = sys._current_frames().get(self._ident)
            # Raised inside gevent's own loop it would break that loop, and what waits there costs nothing.
            if self._inside and frame is not None and GEVENT not in frame.f_code.co_filename:
                self._broken_off = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._ident), ctypes.py_object(Abandoned))

    def _run(self, turn: Turn) -> None:
        error: BaseException | None = None
        try:
            # An empty context: nothing of the reader's is seen in there.
            contextvars.Context().run(self._drive, turn)
        except BaseException as raised:  # noqa: BLE001 - it is raised again where the turn is
            error = raised
        finally:
            self._inside = False
            self._strays.discard(self._ident)
            self._left.release()
            with contextlib.suppress(Abandoned):
                self._over.put(_End(error))
            if not self._broken_off:
                _tidy()

    def _drive(self, turn: Turn) -> None:
        given = self._work(turn)
        try:
            for piece in given:
                self._over.put(piece)
        finally:
            close = getattr(given, "close", None)
            if close is not None:
                close()

    def _find(self, query: str, most: int) -> Sequence[Citation]:
        """``Turn.find`` inside the thread."""
        asked = _Find(query, most, [], _lock())
        asked.done.acquire()
        self._over.put(asked)
        while not asked.done.acquire(timeout=1.0):
            if self._over.closed:
                raise Abandoned
        found = asked.found[0]
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return]

    def _answer(self, asked: _Find) -> None:
        try:
            asked.found.append(self._turn.find(asked.query, asked.most))
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread that asked
            asked.found.append(error)
        finally:
            asked.done.release()


def _tidy() -> None:
    """Takes away what gevent and threading made for a thread they did not start."""
    threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]
    if (hub := get_hub_if_exists()) is not None:
        hub.destroy(destroy_loop=True)
