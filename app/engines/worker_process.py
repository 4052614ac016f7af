"""The worker's side of an engine process: starts it, takes turns to it, and ends one that does not answer."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from app.engines import ipc
from app.engines.base import AnswerChunk, EngineRequest
from app.engines.sanitize import Patience
from app.errors import EngineFailed

_log = logging.getLogger(__name__)

TICK_SECONDS = 3.0
"""How long one write may take, and how often a silent process is looked after."""
HEARD_SECONDS = 3.0
"""A process that does not even take note of a stop for so long is frozen: something holds its interpreter."""
MORE = 32
"""Pieces after which the engine is told that there is room for as many."""
_APP = Path(__file__).resolve().parents[1]
# The package without its __init__: an engine needs neither Flask nor Redis (40 MB and 0.2 s for every worker).
_START = (
    "import sys, types; app = sys.modules['app'] = types.ModuleType('app'); app.__path__ = [sys.argv.pop(1)]; "
    "from app.engines.worker_main import main; main()"
)


class Child:
    """One engine process and the turns in it. It is started by the thread that reads from it, which outlives it."""

    def __init__(self, target: str) -> None:
        self.ready = threading.Event()
        """Set once it can take turns, or never will: see ``dead``."""
        self.dead = False
        self.pid = 0
        self.wrong = ""
        """Why the engine cannot be loaded."""
        self.strays: set[int] = set()
        """Turns that are over and whose threads do not end."""
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(TICK_SECONDS)
        self._writing = threading.Lock()
        self._numbers = itertools.count(1)
        self._turns: dict[int, queue.SimpleQueue[ipc.Frame]] = {}
        self._unheard: dict[int, float] = {}
        self._retired = False
        threading.Thread(target=self._live, args=(target, theirs), name="baton-engine", daemon=True).start()

    def pieces(self, turn: EngineRequest, patience: Patience) -> Iterator[AnswerChunk]:
        """What the engine says in this turn. Raises EngineFailed as it says, EngineTimeout when it is silent."""
        number = next(self._numbers)
        said = self._turns[number] = queue.SimpleQueue()
        turn.cancel.add_callback(lambda: said.put({}))
        ended = False
        try:
            self._send(ipc.turn_frame(number, turn))
            for taken in itertools.count(1):
                frame = self._next(said, turn, patience)
                if frame is None:
                    return
                if "end" in frame:
                    ended = True
                    if (failed := ipc.failure_of(frame)) is not None:
                        raise failed
                    return
                yield ipc.piece_of(frame)
                if taken % MORE == 0:
                    self._send({"room": number, "more": MORE})
        finally:
            self._part(number, ended=ended)

    def retire(self) -> None:
        """Take no more turns; the process ends with the last of those it has."""
        self._retired = True
        if not self._turns:
            self.close()

    def close(self) -> None:
        """End the process now; turns in it fail."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)

    def _next(self, said: queue.SimpleQueue[ipc.Frame], turn: EngineRequest, patience: Patience) -> ipc.Frame | None:
        """A piece or the end; None when stopped. Searches are made here, where locks and connections live."""
        while not turn.cancel.is_set():
            try:
                frame = said.get(timeout=patience.left())
            except queue.Empty:
                continue
            if "asking" in frame:
                self._send(_found(turn, frame))
            elif frame:
                return frame
        return None

    def _send(self, frame: ipc.Frame) -> None:
        data = ipc.packed(frame)
        try:
            with self._writing:
                if self.dead:
                    raise BrokenPipeError
                self._channel.sendall(data)
        except OSError:
            self.close()  # half a frame may have gone
            raise EngineFailed from None

    def _part(self, number: int, *, ended: bool) -> None:
        self._turns.pop(number, None)
        if not ended:
            self._unheard[number] = time.monotonic()
            with contextlib.suppress(EngineFailed):
                self._send({"stop": number})
        if self._retired and not self._turns:
            self.close()

    def _live(self, target: str, theirs: socket.socket) -> None:
        process = None
        try:
            command = [sys.executable, "-P", "-c", _START, str(_APP), str(theirs.fileno()), str(os.getpid())]
            process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            self.pid = process.pid
            theirs.close()
            level = logging.getLogger("app").getEffectiveLevel()
            self._send({"target": target, "path": sys.path, "level": level})
            self._read()
        except (OSError, ValueError, EngineFailed) as error:
            _log.error("the engine process failed: %s", type(error).__name__)
        finally:
            self._bury(process)

    def _read(self) -> None:
        frames = ipc.Frames()
        while True:
            if any(time.monotonic() - since > HEARD_SECONDS for since in list(self._unheard.values())):
                _log.error("the engine process is frozen and is replaced")
                return
            try:
                data = self._channel.recv(65_536)
            except TimeoutError:
                continue
            if not data:
                return
            for frame in frames.feed(data):
                self._take(frame)

    def _take(self, frame: ipc.Frame) -> None:
        number = frame.get("piece") or frame.get("end") or frame.get("asking") or 0
        if (said := self._turns.get(number)) is not None:
            said.put(frame)
        elif "end" in frame:
            self.strays.discard(number)
        elif "stray" in frame:
            self.strays.add(frame["stray"])
        elif "heard" in frame:
            self._unheard.pop(frame["heard"], None)
        elif "log" in frame:
            logging.getLogger(frame["log"]).log(frame["level"], "%s", frame["said"])
        elif "ready" in frame:
            self.ready.set()
        elif "wrong" in frame:
            self.wrong = frame["wrong"]

    def _bury(self, process: subprocess.Popen[bytes] | None) -> None:
        self.dead = True
        self._channel.close()
        for number, said in list(self._turns.items()):
            said.put(ipc.end_frame(number, EngineFailed()))
        self.ready.set()
        if process is not None:
            process.kill()
            process.wait()


def _found(turn: EngineRequest, frame: ipc.Frame) -> ipc.Frame:
    told: ipc.Frame = {"found": frame["asking"], "find": frame["find"]}
    try:
        return told | {"cited": ipc.spelt(turn.search(frame["query"], frame["most"]))}
    except Exception as error:  # noqa: BLE001 - it is the engine's to deal with
        return told | {"failed": type(error).__name__}
