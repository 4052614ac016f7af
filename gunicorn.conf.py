"""How gunicorn runs the service: settings checked first, the embedded server around the workers, JSON lines for logs.

The master loads three modules of ``app`` as single files, without the package around them: what it imports is there
before the workers patch their sockets and threads, and so has to be little.
"""

from __future__ import annotations

import contextlib
import contextvars
import errno
import functools
import gc
import importlib
import importlib.util
import json
import logging
import logging.config
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import gevent
from gevent.socket import socket as GeventSocket  # noqa: N812 - gevent's class has the name of the module
from gunicorn.arbiter import Arbiter
from gunicorn.http import errors as http_errors
from gunicorn.workers.ggevent import GeventWorker

ROOT = Path(__file__).resolve().parent


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """Pauses the garbage collector, which would go through all modules again and again: a quarter of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _load_file(name: str) -> ModuleType:
    """Loads a module of ``app`` from its file alone, and leaves no trace of it in ``sys.modules``."""
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


class _RequestTimeout(gevent.Timeout):
    """Bounds the wait of one connection for its next request, and counts it among those of its worker."""

    def __init__(self, seconds: float, connection: Any, address: str, waits: set[_RequestTimeout]) -> None:
        super().__init__(seconds, False)
        self.started_at, self.connection, self._waits = time.monotonic(), connection, waits
        self._counted = _slow_clients().waiting(connection, address)

    def __enter__(self) -> Self:
        self._waits.add(self)
        self._counted.__enter__()
        return super().__enter__()

    def __exit__(self, *raised: object) -> Any:
        self._waits.discard(self)
        self._counted.__exit__(None, None, None)
        return super().__exit__(*raised)


@functools.cache
def _slow_clients() -> ModuleType:
    return importlib.import_module("app.slow_clients")


_client: contextvars.ContextVar[tuple[Any, str]] = contextvars.ContextVar("client")
"""The connection that this greenlet serves, and its address."""


_STATUS: dict[type[Exception], tuple[int, str]] = {
    http_errors.LimitRequestLine: (414, "URI Too Long"),
    http_errors.LimitRequestHeaders: (431, "Request Header Fields Too Large"),
    http_errors.ExpectationFailed: (417, "Expectation Failed"),
    http_errors.UnsupportedTransferCoding: (501, "Not Implemented"),
}
"""Status and reason for a request that gunicorn cannot parse; 400 for every other error of this kind."""


_OWN_ERRORS = (
    http_errors.InvalidResponseHeader,
    http_errors.InvalidResponseHeaderName,
    http_errors.ConfigurationProblem,
)
"""Parse errors of gunicorn's that are no fault of the client."""


def _problem(status: int, reason: str) -> bytes:
    code, detail = "invalid_request", "The request could not be understood."
    if status == 500:
        code, detail = "internal_error", "Something went wrong on our side."
    problem = {"type": f"/docs#{code}", "title": reason, "status": status, "detail": detail}
    body = json.dumps(problem | {"success": False, "code": code, "retryable": False})
    head = "Connection: close\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n"
    head += "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    return f"HTTP/1.1 {status} {reason}\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Worker(GeventWorker):
    """gunicorn's gevent worker that bounds slow clients and ends gracefully. Only methods are overridden.

    Flask's ``app.extensions`` may hold ``baton.leaving`` (called once at SIGTERM, must not block) and ``baton.drain``
    (called with seconds after the last request has been answered; returns when no turn is running).
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._waits: set[_RequestTimeout] = set()
        self._exit_started_at = 0.0

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serves one connection; app/slow_clients.py says which other may be closed for it."""
        network = importlib.import_module("app.client_address").network
        address = network(str(addr[0])) if isinstance(addr, tuple) else "unix"
        if type(client) is GeventSocket:  # and not TLS, which a --certfile on the command line would bring
            client = _slow_clients().ClientSocket(client, address, self.cfg.keepalive)
        _client.set((client, address))
        _slow_clients().worker_connections = self.worker_connections
        with _slow_clients().connection_open():
            super().handle(listener, client, addr)

    def timeout_ctx(self) -> _RequestTimeout:
        """Bounds the wait for a request's head, and lets the end of the worker cut it short.

        First other connections have their turn: requests that were sent all at once would be answered all at once.
        """
        gevent.sleep(0)
        return _RequestTimeout(self.cfg.keepalive, *_client.get(), self._waits)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: requests in progress are answered, idle connections are closed."""
        super().handle_exit(sig, frame)
        if not self._exit_started_at:
            self._exit_started_at = time.monotonic()
            gevent.spawn(self._close_idle_connections)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002 - its signature
        """Answers a request that reaches no application with a problem (RFC 9457), which repeats nothing of it."""
        status, reason = 500, "Internal Server Error"
        if isinstance(exc, http_errors.ParseException) and not isinstance(exc, _OWN_ERRORS):
            status, reason = _STATUS.get(type(exc), (400, "Bad Request"))
            self.log.info("request refused: %s", type(exc).__name__)
        else:
            self.log.error("request failed: %s", type(exc).__name__, exc_info=exc)
        with contextlib.suppress(OSError):
            client.settimeout(1)
            client.sendall(_problem(status, reason))

    def load_wsgi(self) -> None:
        """Loads the service; a setting that only it can judge stops the start."""
        try:
            with _loading():
                super().load_wsgi()
        except importlib.import_module("app.config").ConfigError as error:
            if 1 < self.age <= self.cfg.workers:  # the first worker says it, and once is enough
                while self.alive:
                    time.sleep(0.05)
                sys.exit(0)
            sys.stderr.write(f"{error}\n")
            sys.exit(Arbiter.APP_LOAD_ERROR)

    def run(self) -> None:
        """Serves until told to stop, then gives running turns the rest of the graceful time."""
        super().run()
        remaining = self.cfg.graceful_timeout - 2 - (time.monotonic() - (self._exit_started_at or time.monotonic()))
        if drain := self._hook("baton.drain"):
            drain(max(remaining, 0.0))

    def _close_idle_connections(self) -> None:
        if leaving := self._hook("baton.leaving"):
            leaving()
        while True:
            for wait in list(self._waits):
                if time.monotonic() - wait.started_at > 0.5:
                    _slow_clients().stop_reading(wait.connection)
            gevent.sleep(0.2)

    def _hook(self, name: str) -> Any:
        return getattr(getattr(self, "wsgi", None), "extensions", {}).get(name)


with _loading():
    _settings = _load_file("app.config")
    _embedded = _load_file("app.storage.embedded_redis")
try:
    _config = _settings.Settings.from_env()
except _settings.ConfigError as error:
    raise SystemExit(str(error)) from None
_server = _embedded.EmbeddedServer(_config.data_dir) if _config.redis_url is None else None

with contextlib.suppress(ValueError, OSError):  # a feed is an open file, and many shells allow only 1,024
    _soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(_soft, min(_hard, 65_536)), _hard))

_at_terminal = sys.stderr.isatty()
logging.config.dictConfig(_load_file("app.logging_config").configure(_config.log_level, readable=_at_terminal))
_log = logging.getLogger("baton.start")

wsgi_app = "app:create_app()"
chdir = str(ROOT)
bind = _config.bind
workers = _config.web_concurrency
worker_class = Worker
worker_connections = 4000
preload_app = False
control_socket_disable = True
loglevel = "warning" if _at_terminal and _config.log_level == "info" else _config.log_level
errorlog = None  # or gunicorn would add a handler of its own beside ours
accesslog = None  # its line holds the query and the Referer, and costs an eighth of the throughput
timeout = 60
graceful_timeout = 30
keepalive = 20  # seconds for the head of a request as well
limit_request_line = 8190
forwarded_allow_ips = ""  # app/client_address.py reads forwarded headers, by BATON_TRUSTED_PROXIES


_FOLDER_PREFIX = f"baton-metrics-{os.getuid()}-"
"""Folders of workers' metrics are named by this, the master's process id and something random."""


def _metrics_folder() -> Path:
    return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])


def _remove_stale_folders() -> None:
    """Remove the folders of masters that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        try:
            os.kill(int(left.name.split("-")[3]), 0)
        except (ProcessLookupError, ValueError, OverflowError):
            shutil.rmtree(left, ignore_errors=True)
        except PermissionError:
            continue


_ADDRESS_ERRORS = {
    errno.EADDRINUSE: "PORT: {bind} is in use by another program; stop that one or set another PORT",
    errno.EADDRNOTAVAIL: "HOST: {host} is no address of this machine",
    errno.EACCES: "PORT: {port} may not be used by this user; set one from 1024 upwards",
}


def _check_address() -> None:
    """Stops with one line where the address cannot be listened on; gunicorn would try five times and say so in six."""
    family = socket.AF_INET6 if ":" in _config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_config.host, _config.port))
        except OSError as error:
            if line := _ADDRESS_ERRORS.get(error.errno or 0):
                raise SystemExit(line.format(bind=bind, host=_config.host, port=_config.port)) from None


def post_worker_init(worker: Any) -> None:
    """When the first worker has loaded the application: says that the service is up, where, and without what."""
    if worker.age != 1:
        return
    if _config.redis_url is not None:
        _warn_without_redis(worker.wsgi.extensions["baton"].store)
    host = "127.0.0.1" if _config.host in ("0.0.0.0", "::") else _config.host  # noqa: S104
    page, what = ("", "The demo site") if "demo" in _config.pages else ("chat", "The chat")
    line = f"{what}: http://{f'[{host}]' if ':' in host else host}:{_config.port}/{page}"
    if _at_terminal or os.environ.get(_ANNOUNCE):
        sys.stdout.write(f"{line}  (Ctrl+C stops the service)\n")
        sys.stdout.flush()
    else:
        _log.info(line)


_ANNOUNCE = "RUN_BY_MAKE"
"""Set by ``make run``, which promises to print the address also where there is no terminal."""


def _warn_without_redis(store: Any) -> None:
    try:
        reason = store.health().get("redis", "ok")
    except Exception as error:  # noqa: BLE001 - whatever is wrong: the service starts, and works when Redis does
        reason = getattr(error, "kind", type(error).__name__)
    if reason != "ok":
        _log.warning("REDIS_URL: Redis at %s: %s. The service goes on and keeps trying.", _redis_place(), reason)


def _redis_place() -> str:
    """REDIS_URL without user, password and options."""
    url = _config.redis_url.get_secret_value()
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


def on_starting(arbiter: Any) -> None:
    """Before any worker: the embedded server, and a folder for the workers' metrics; else stop with one line."""
    try:
        if "GUNICORN_FD" not in os.environ:  # else an upgrade (USR2), which takes over the open port
            _check_address()
        for line in _settings.startup_warnings(_config, os.environ):
            _log.warning(line)
        if _server is not None:
            _server.start()
            arbiter.embedded = _server  # a reload reads this file again and forgets what stands in it
    except _embedded.EmbeddedError as error:
        raise SystemExit(str(error)) from None
    _remove_stale_folders()
    # A name that nobody can guess: the folder of temporary files is everybody's.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-")


def post_fork(_: Any, __: Any) -> None:
    """A signal that arrives before the worker handles signals ends it, instead of being lost in the master's queue."""
    for sent in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(sent, signal.SIG_DFL)


def child_exit(_: Any, worker: Any) -> None:
    """Forgets the open feeds and running turns of a worker that ended; its counters stay."""
    for gauge in _metrics_folder().glob(f"gauge_live*_{worker.pid}.db"):
        gauge.unlink(missing_ok=True)


def on_exit(arbiter: Any) -> None:
    """After the last worker: stops the embedded server."""
    if embedded := getattr(arbiter, "embedded", None):
        embedded.stop()
    shutil.rmtree(_metrics_folder(), ignore_errors=True)
