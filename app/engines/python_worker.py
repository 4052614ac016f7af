"""The engine process: runs a Python engine for one worker, each turn in a thread, and exits with that worker."""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from app.engines import ipc
from app.engines.base import CancelToken, Citation, EngineRequest
from app.engines.callable_adapter import EngineLoadError, import_target, iterate_answer
from app.errors import EngineFailed, error_location

_log = logging.getLogger(__name__)

GRACE_SECONDS = 1.0
"""How long an engine may take to end after its turn is over, at its next chunk or by its cancel token."""
STOP_ATTEMPTS = 5
MAX_STUCK_TURNS = 16
"""Threads that cannot be stopped; a process with so many takes no more turns."""
NICE_INCREMENT = 5
"""An engine that computes gives way to the worker, which serves everybody."""
SWITCH_SECONDS = 0.00005
"""How long one turn may compute before another gets the interpreter; with Python's own 5 ms others become slow."""


class TurnCancelled(SystemExit):
    """Raised inside an engine whose turn is over. A SystemExit, so that threading does not print a traceback."""


class Server:
    """Takes a connection for each turn from the control socket, and runs its engine in a thread."""

    def __init__(self, control: socket.socket, target: Callable[..., Any]) -> None:
        self.target = target
        self.open_turns: set[RunningTurn] = set()
        self._control = control
        self._stuck = 0

    def run(self) -> None:
        """Serves until the worker is gone, or until too many threads are stuck and the other turns have ended."""
        while True:
            data, descriptors, *_ = socket.recv_fds(self._control, 1, 1)
            if not data:
                break
            turn = RunningTurn(_open_socket(descriptors[0]), self)
            self.open_turns.add(turn)
            threading.Thread(target=turn.serve, daemon=True).start()
        while self.open_turns:
            time.sleep(0.05)

    def count_stuck(self, change: int) -> None:
        """Counts threads that cannot be stopped; with too many of them the worker starts a new process."""
        self._stuck += change
        if self._stuck >= MAX_STUCK_TURNS:
            self._control.shutdown(socket.SHUT_RD)


class RunningTurn:
    """One turn: the engine runs in a thread, another reads what the worker sends."""

    def __init__(self, connection: socket.socket, server: Server) -> None:
        self._connection = connection
        self._server = server
        self._cancel = CancelToken()
        self._sending = threading.Lock()
        self._searching = threading.Lock()
        self._search_results: queue.SimpleQueue[ipc.Message] = queue.SimpleQueue()
        self._running = True
        self._closed = False

    def serve(self) -> None:
        """Runs the turn until the worker closes its side: it has the whole answer, or wants no more of it."""
        messages = ipc.receive(self._connection, lambda: None)
        thread = None
        if (first := next(messages, None)) is not None:
            request = ipc.decode_request(first, self._cancel, self._search)
            thread = threading.Thread(target=self._run, args=(request,), daemon=True)
            thread.start()
            for message in messages:
                self._search_results.put(message)
        self._closed = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # shows the worker that this process is not frozen
        self._search_results.put({})
        self._server.open_turns.discard(self)
        if thread is not None:
            self._stop(thread)
        self._connection.close()

    def _run(self, request: EngineRequest) -> None:
        end = ipc.encode_end()
        try:
            with contextlib.closing(iterate_answer(self._server.target, request)) as chunks:
                for chunk in chunks:
                    self._send(ipc.encode_chunk(chunk))
        except EngineFailed as error:
            end = ipc.encode_end(error)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it fails this turn only
            if not self._closed:
                _log.warning("the Python engine raised %s (%s)", type(error).__name__, error_location(error))
            end = ipc.encode_end(EngineFailed())
        finally:
            self._running = False
            with contextlib.suppress(TurnCancelled):
                self._send(end)

    def _send(self, data: bytes) -> None:
        """Blocks while the worker reads more slowly than the engine speaks."""
        try:
            with self._sending:
                self._connection.sendall(data)
        except OSError:
            raise TurnCancelled from None

    def _search(self, query: str, limit: int) -> Sequence[Citation]:
        """``EngineRequest.search``: the worker has the index."""
        with self._searching:
            self._send(ipc.encode({"search": query, "limit": limit}))
            reply = self._search_results.get()
        if "error" in reply:
            raise EngineFailed(f"The search failed ({reply['error']}).")
        if "citations" not in reply:
            raise TurnCancelled
        return ipc.decode_citations(reply["citations"])

    def _stop(self, thread: threading.Thread) -> None:
        """Ends a loop that computes for nobody; a call that blocks outside of Python is waited for."""
        if self._running:
            self._cancel.set()
        for _ in range(STOP_ATTEMPTS):
            thread.join(GRACE_SECONDS)
            if not thread.is_alive():
                return
            if self._running:
                thread_id = ctypes.c_ulong(thread.ident or 0)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread_id, ctypes.py_object(TurnCancelled))
        self._server.count_stuck(1)
        thread.join()
        self._server.count_stuck(-1)


class ForwardingLogHandler(logging.Handler):
    """Sends log records to the worker, which writes them as its own."""

    def __init__(self, control: socket.socket) -> None:
        super().__init__()
        self._control = control

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # a record that cannot be sent is lost, the turn is not
            message = {"log": record.name, "level": record.levelno, "message": self.format(record)[:10_000]}
            self._control.sendall(ipc.encode(message))


def configure_process(worker: int) -> None:
    """Gives way to the worker, exits when it dies, and leaves signals to it: it has turns to finish first."""
    os.nice(NICE_INCREMENT)
    with contextlib.suppress(OSError, AttributeError):  # PR_SET_PDEATHSIG is Linux only; elsewhere the socket's end
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != worker:
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which programs that an engine starts would inherit
    sys.setswitchinterval(SWITCH_SECONDS)
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what an engine prints is seen at once


def _open_socket(descriptor: int) -> socket.socket:
    """A socket from the worker, where gevent has made it non-blocking."""
    connection = socket.socket(fileno=descriptor)
    connection.setblocking(True)
    return connection


def main() -> None:
    """The options are one JSON object on the command line: ``control``, ``worker``, ``target``, ``path``, ``level``."""
    options = json.loads(sys.argv.pop())
    configure_process(options["worker"])
    sys.path[:] = options["path"]
    control = _open_socket(options["control"])
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[ForwardingLogHandler(control)])
    logging.getLogger("app").setLevel(options["level"])
    try:
        target = import_target(options["target"])
    except EngineLoadError as error:
        control.sendall(ipc.encode({"load_error": str(error)}))
        os._exit(1)
    control.sendall(ipc.encode({"loaded": True}))
    try:
        Server(control, target).run()
    finally:
        os._exit(0)  # without waiting for threads that are stuck
