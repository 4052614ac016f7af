"""Answers by the site's own Python, in a process beside each worker, so that its work slows down nobody else."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from app.config import ConfigError
from app.engines import ipc
from app.engines.base import AnswerChunk, EngineRequest
from app.engines.sanitize import IdleTimer, sanitize_chunks
from app.engines.thinking import hide_thinking
from app.errors import EngineFailed, EngineTimeout

_log = logging.getLogger(__name__)

CONFIG_HELP = "BATON_ENGINE: must be python:package.module:attribute, a function or a class with a method answer"
START_SECONDS = 20.0
"""How long the start of the service waits for the engine to be loaded; after that its first turns wait."""
POLL_SECONDS = 1.0
"""How often a turn without news is checked for its cancellation and its idle timeout."""
STOP_ACK_TIMEOUT = 3.0
"""A process that does not even close a connection for so long is frozen: something holds its interpreter."""
_APP = Path(__file__).resolve().parents[1]
# The package without its __init__.py, which imports Flask and Redis: an engine needs neither (26 MB a worker).
_START = (
    "import sys, types; app = sys.modules['app'] = types.ModuleType('app'); app.__path__ = [sys.argv.pop(1)]; "
    "from app.engines.python_worker import main; main()"
)


class EngineProcess:
    """One engine process. Each turn is a socket of its own, handed over through the control socket."""

    def __init__(self, target: str) -> None:
        self.settled = threading.Event()
        """Set once the engine is loaded, or cannot be."""
        self.loaded = False
        self.load_error = ""
        self.closed = False
        """Takes no more turns."""
        self.pid = 0
        self._target = target
        self._control, child_end = socket.socketpair()
        # The thread that starts the process has to outlive it: PR_SET_PDEATHSIG watches that thread.
        threading.Thread(target=self._supervise, args=(child_end,), name="baton-engine", daemon=True).start()

    def connect(self) -> socket.socket:
        """A connection for one turn. Raises OSError where the process takes no more."""
        own_end, other_end = socket.socketpair()
        with other_end:
            try:
                socket.send_fds(self._control, [b"\0"], [other_end.fileno()])
            except OSError:
                own_end.close()
                raise
        return own_end

    def kill(self) -> None:
        """Ends the process now; turns in it fail."""
        self.closed = True
        if self._process is not None:
            self._process.kill()

    _process: subprocess.Popen[bytes] | None = None

    def _supervise(self, child_end: socket.socket) -> None:
        try:
            with child_end:
                self._process = self._start(child_end)
            self.pid = self._process.pid
            for message in ipc.receive(self._control, lambda: STOP_ACK_TIMEOUT):
                self._handle(message)
            self._process.wait()
        except OSError as error:
            _log.error("the engine process could not be started: %s", error.strerror)
        finally:
            self.closed = True
            self.settled.set()
            self._control.close()

    def _start(self, child_end: socket.socket) -> subprocess.Popen[bytes]:
        options = {
            "control": child_end.fileno(),
            "worker": os.getpid(),
            "target": self._target,
            "path": sys.path,
            "level": logging.getLogger("app").getEffectiveLevel(),
        }
        command = [sys.executable, "-P", "-c", _START, str(_APP), json.dumps(options)]
        return subprocess.Popen(command, pass_fds=[child_end.fileno()], stdin=subprocess.DEVNULL)

    def _handle(self, message: ipc.Message) -> None:
        if "log" in message:
            logging.getLogger(message["log"]).log(message["level"], "%s", message["message"])
        elif "loaded" in message:
            self.loaded = True
            self.settled.set()
        elif "load_error" in message:
            self.load_error = message["load_error"]


class PythonEngine:
    """``module:attribute``, imported once in a process that takes the turns of one worker; replaced when it dies."""

    name = "python"

    def __init__(self, target: str, citation_base: str = "") -> None:
        """Raises ConfigError where it cannot be imported or called."""
        self._target = target
        self._citation_base = citation_base
        self._replacing = threading.Lock()
        self._process = EngineProcess(target)
        self._process.settled.wait(START_SECONDS)
        if self._process.closed:
            reason = self._process.load_error or "its process ended"
            raise ConfigError(" ".join(f'{CONFIG_HELP} (is "python:{target}": {reason})'.split()))

    def answer(self, request: EngineRequest) -> Iterator[AnswerChunk]:
        """Raises EngineFailed where the code raises or its process dies, EngineTimeout when it is silent."""
        timer = IdleTimer(request.idle_timeout)
        return sanitize_chunks(hide_thinking(self._chunks(request, timer)), timer, request.cancel, self._citation_base)

    def close(self) -> None:
        """End the process."""
        self._process.kill()

    def _chunks(self, request: EngineRequest, timer: IdleTimer) -> Iterator[AnswerChunk]:
        process, connection = self._connect()
        request.cancel.add_callback(lambda: _end_input(connection))
        try:
            connection.settimeout(timer.remaining())
            connection.sendall(ipc.encode_request(request))
            for message in ipc.receive(connection, lambda: min(timer.remaining(), POLL_SECONDS)):
                if request.cancel.is_set():
                    return
                if "end" in message:
                    ipc.raise_error(message)
                    return
                if "search" in message:
                    connection.sendall(_search(request, message))
                elif message:
                    yield ipc.decode_chunk(message)
        except OSError:
            pass  # as if it had been closed
        finally:
            _disconnect(connection, process)
        if not request.cancel.is_set():
            process.kill()  # it is dead, or sends nonsense
            raise EngineFailed

    def _connect(self) -> tuple[EngineProcess, socket.socket]:
        """A connection to the process there is, or to a new one where that takes no more turns."""
        with self._replacing:
            for _ in range(2):
                if self._process.closed:
                    _log.warning("the engine process is gone; a new one is started")
                    self._process = EngineProcess(self._target)
                try:
                    return self._process, self._process.connect()
                except OSError:
                    self._process.closed = True
        raise EngineFailed


def _end_input(connection: socket.socket) -> None:
    """Notifies the process that the turn is over."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


def _disconnect(connection: socket.socket, process: EngineProcess) -> None:
    """Ends a turn, and the process too if that does not take note."""
    _end_input(connection)
    timer = IdleTimer(STOP_ACK_TIMEOUT)
    try:
        for _ in ipc.receive(connection, timer.remaining):
            timer.remaining()
    except EngineTimeout:
        if process.loaded:
            _log.error("the engine process is frozen and is replaced")
            process.kill()
    finally:
        connection.close()


def _search(request: EngineRequest, message: ipc.Message) -> bytes:
    """Searches in the worker, where the index is; a failure is the engine's to deal with."""
    try:
        return ipc.encode({"citations": ipc.encode_citations(request.search(message["search"], message["limit"]))})
    except Exception as error:  # noqa: BLE001 - whatever it is
        return ipc.encode({"error": type(error).__name__})
