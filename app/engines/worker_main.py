"""The engine process: runs somebody's Python for one worker, each turn in a thread, and ends with that worker."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from app.engines import ipc
from app.engines.base import CancelToken, Citation, EngineRequest
from app.engines.callable_adapter import NoEngine, load, place, said
from app.errors import EngineFailed

_log = logging.getLogger(__name__)

MOST_WAITING = 64
"""Pieces that may lie between an engine and its reader; an engine that is faster is held back."""
GRACE_SECONDS = 1.0
"""How long an engine whose turn is over may take to end by itself, at its next piece or by its stop signal."""
TRIES = 5
NICE = 5
"""An engine that computes gives way to the worker, which serves everybody."""
SWITCH_SECONDS = 0.00005
"""How long a turn that computes may keep the other turns from theirs; Python's own 5 ms would be felt."""

Send = Callable[[ipc.Frame], None]


class Abandoned(SystemExit):
    """Raised inside an engine whose turn is over. A SystemExit, so that a thread that ends by it ends in silence."""


class Running:
    """One turn at work."""

    def __init__(self, frame: ipc.Frame, target: Callable[..., Any], send: Send) -> None:
        self.number: int = frame["turn"]
        self.room = threading.Semaphore(MOST_WAITING)
        self._send = send
        self._target = target
        self._stop = CancelToken()
        self._over = False
        self._asking = itertools.count()
        self._asked: dict[int, queue.SimpleQueue[ipc.Frame]] = {}
        self._turn = EngineRequest(
            frame["question"],
            ipc.history_of(frame),
            self._stop,
            self._find,
            frame["ref"],
            frame["metadata"],
            frame["idle_timeout"],
        )
        self._inside = True
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def leave(self) -> None:
        """Nobody reads any more: the engine is told, and made to end where it does not."""
        self._over = True
        self.room.release()
        threading.Thread(target=self._see_off, daemon=True).start()

    def found(self, frame: ipc.Frame) -> None:
        """A search of this turn has come back."""
        if (asked := self._asked.pop(frame["find"], None)) is not None:
            asked.put(frame)

    def _run(self) -> None:
        end: ipc.Frame = ipc.end_frame(self.number)
        try:
            self._drive()
        except EngineFailed as failed:
            end = ipc.end_frame(self.number, failed)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it fails this turn alone
            if not self._over:
                _log.warning("the Python engine raised %s %s", type(error).__name__, place(error))
            end = ipc.end_frame(self.number, EngineFailed())
        finally:
            self._inside = False
            self._send(end)

    def _drive(self) -> None:
        given = said(self._target, self._turn)
        try:
            for piece in given:
                self._put(ipc.piece_frame(self.number, piece))
        finally:
            given.close()  # type: ignore[attr-defined]  # said() is a generator

    def _put(self, frame: ipc.Frame) -> None:
        self.room.acquire()
        if self._over:
            raise Abandoned
        self._send(frame)

    def _find(self, query: str, most: int) -> Sequence[Citation]:
        """``Turn.find`` inside the engine: the worker looks it up."""
        number = next(self._asking)
        self._asked[number] = queue.SimpleQueue()
        answer = self._asked[number]
        self._send({"asking": self.number, "find": number, "query": query, "most": most})
        while not self._over:
            with contextlib.suppress(queue.Empty):
                frame = answer.get(timeout=1.0)
                if "failed" in frame:
                    raise EngineFailed(f"The search failed ({frame['failed']}).")
                return ipc.citations_of(frame["cited"])
        raise Abandoned

    def _see_off(self) -> None:
        """Ends a loop that computes for nobody; one that waits in foreign code is left until that returns."""
        self._stop.set()
        for _ in range(TRIES):
            self._thread.join(GRACE_SECONDS)
            if not self._thread.is_alive():
                return
            if self._inside:
                ident = ctypes.c_ulong(self._thread.ident or 0)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Abandoned))
        self._send({"stray": self.number})
        self._thread.join()
        self._send({"end": self.number})


class _Forwarded(logging.Handler):
    """Hands log records to the worker, whose logs they are."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._tell = send

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # a record that cannot be told is lost, the turn is not
            self._tell({"log": record.name, "level": record.levelno, "said": self.format(record)[:10_000]})


class _Channel:
    """The way to the worker. One thread writes, so that a turn broken off in the middle cannot leave half a frame."""

    def __init__(self, wire_: socket.socket) -> None:
        self._socket = wire_
        self._frames: queue.SimpleQueue[ipc.Frame] = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()

    def send(self, frame: ipc.Frame) -> None:
        self._frames.put(frame)

    def last(self, frame: ipc.Frame) -> None:
        """Sent at once; nothing else is under way."""
        self._socket.sendall(ipc.packed(frame))

    def received(self) -> Iterator[ipc.Frame]:
        """Frames until the worker is gone."""
        frames = ipc.Frames()
        with contextlib.suppress(ConnectionError):
            while data := self._socket.recv(65_536):
                yield from frames.feed(data)

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = ipc.packed(self._frames.get())
                while len(data) < 65_536 and not self._frames.empty():
                    data += ipc.packed(self._frames.get())
                self._socket.sendall(data)


def main() -> None:
    """``<number of the socket> <process id of the worker>`` on the command line; the rest is told over the socket."""
    _fd, worker = int(sys.argv[1]), int(sys.argv[2])
    sys.argv[1:] = []
    _settle(worker)
    pair = socket.socket(fileno=_fd)
    pair.setblocking(True)
    channel = _Channel(pair)
    frames = channel.received()
    hello = next(frames)
    sys.path[:] = hello["path"]
    logging.basicConfig(level=logging.WARNING, handlers=[_Forwarded(channel.send)])
    logging.getLogger("app").setLevel(hello["level"])
    try:
        target = load(hello["target"])
    except NoEngine as wrong:
        channel.last({"wrong": str(wrong)})
        os._exit(1)
    turns = _Turns(target, channel.send)
    channel.send({"ready": True})
    try:
        for frame in frames:
            turns.take(frame)
    finally:
        os._exit(0)  # without waiting for engines that are at work for nobody


def _settle(worker: int) -> None:
    """Gives way to the worker, lives as long as it does, and leaves signals to it: it has turns to end first."""
    os.nice(NICE)
    with contextlib.suppress(OSError, AttributeError):  # Linux alone; elsewhere the end of the socket must do
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != worker:
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which programs that an engine starts would inherit
    sys.setswitchinterval(SWITCH_SECONDS)
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what an engine prints is seen at once


class _Turns:
    """The turns at work, by their numbers."""

    def __init__(self, target: Callable[..., Any], send: Send) -> None:
        self._target = target
        self._send = send
        self._running: dict[int, Running] = {}

    def take(self, frame: ipc.Frame) -> None:
        """One frame from the worker."""
        if "turn" in frame:
            turn = self._running[frame["turn"]] = Running(frame, self._target, self._tell)
            turn.start()
            return
        running = self._running.get(frame.get("room") or frame.get("found") or frame.get("stop") or 0)
        if "stop" in frame:
            self._send({"heard": frame["stop"]})
        if running is None:
            return  # it has ended meanwhile
        if "room" in frame:
            running.room.release(frame["more"])
        elif "found" in frame:
            running.found(frame)
        else:
            running.leave()

    def _tell(self, frame: ipc.Frame) -> None:
        if "end" in frame:
            self._running.pop(frame["end"], None)
        self._send(frame)
