"""How gunicorn runs the service: settings checked first, the embedded server around the workers, JSON lines for logs.

The master loads ``app/config.py`` and ``app/storage/embedded_redis.py`` as single files, without the package around
them: what it imports is there before the workers patch their sockets and threads, and so has to be little.
"""

from __future__ import annotations

import contextlib
import contextvars
import email.utils
import functools
import importlib
import importlib.util
import inspect
import json
import logging
import logging.config
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import gevent
from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.http import message, wsgi
from gunicorn.workers.ggevent import GeventWorker

ROOT = Path(__file__).resolve().parent


def _alone(name: str) -> ModuleType:
    """A module of ours loaded from its file, not from its package, and forgotten again."""
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


class _Line(logging.Formatter):
    """The master's own JSON lines; the workers write theirs through app/logging_config.py once the service is up."""

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        entry = {"time": when, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class _RequestTimeout(gevent.Timeout):
    """The wait of one connection for its next request, counted among its worker's."""

    def __init__(self, seconds: float, connection: Any, address: str, waits: set[_RequestTimeout]) -> None:
        super().__init__(seconds, False)
        self.began, self.connection, self._waits = time.monotonic(), connection, waits
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


class _Gathered(list[bytes]):
    """A socket as far as a response knows it, that only keeps what is sent."""

    sendall = list.append


_Plain = getattr(wsgi.Response, "plain", wsgi.Response)
"""gunicorn's own; a reload reads this file again and finds ours in its place."""


class _Response(_Plain):
    """gunicorn's response, whose head goes out together with the first of the body: one packet instead of two."""

    plain = _Plain

    def write(self, arg: bytes) -> None:
        """Sends some of the body."""
        if self.headers_sent:
            super().write(arg)
            return
        sock, gathered = self.sock, _Gathered()
        self.sock = gathered
        try:
            super().write(arg)
        finally:
            self.sock = sock
        data = b"".join(gathered)
        sent = sock.send(data)
        if sent < len(data):  # sendall alone would ask the socket for its buffer's size every time
            sock.sendall(data[sent:])


_errors = functools.cache(inspect.unwrap(wsgi.WSGIErrorsWrapper))
"""The place for an application's complaints, made once instead of for every request."""


@functools.lru_cache(maxsize=1)
def _second(whole: int) -> str:
    return email.utils.formatdate(whole, usegmt=True)


def _date(timestamp: float | None = None) -> str:
    """The ``Date`` of an answer (RFC 9110), spelt once a second."""
    return _second(int(time.time() if timestamp is None else timestamp))


def _trusts_nobody(_address: str, _allowed: object, _networks: object) -> bool:
    """What ``forwarded_allow_ips`` below comes to, without reading the address of every request to find that out."""
    return False


def _refuse(sock: Any, status_int: int, reason: str, _told: str) -> None:
    """gunicorn's word on a request that reaches no application, as a problem (RFC 9457) that repeats nothing of it."""
    code, detail = "invalid_request", "The request could not be understood."
    if status_int >= 500:
        code, detail = "internal_error", "Something went wrong on our side."
    told = {"type": f"/docs#{code}", "title": reason, "status": status_int, "detail": detail}
    body = json.dumps(told | {"success": False, "code": code, "retryable": False})
    head = "Connection: close\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n"
    head += "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    sent = f"HTTP/1.1 {status_int} {reason}\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"
    util.write_nonblock(sock, sent.encode())


class Worker(GeventWorker):
    """gunicorn's gevent worker, with an end that is told: to the service, and to connections that only wait.

    Flask's ``extensions`` may hold ``baton.leaving`` (called once at SIGTERM, must not block) and ``baton.drain``
    (called with seconds after the last request has been answered; returns when no turn is running).
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        wsgi.Response, util.write_error = _Response, _refuse
        wsgi.WSGIErrorsWrapper, util.http_date = _errors, _date
        message._ip_in_allow_list = _trusts_nobody
        self._waits: set[_RequestTimeout] = set()
        self._open = 0
        self._left = 0.0

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection; see app/slow_clients.py for who has to make room for it."""
        network = importlib.import_module("app.client_address").network
        address = network(str(addr[0])) if isinstance(addr, tuple) else "unix"
        _client.set((client, address))
        self._open += 1
        try:
            _slow_clients().make_room(self._open, self.worker_connections)
            super().handle(listener, client, addr)
        finally:
            self._open -= 1

    def timeout_ctx(self) -> _RequestTimeout:
        """Bounds the wait for a request's head, and lets the end of the worker cut it short."""
        return _RequestTimeout(self.cfg.keepalive, *_client.get(), self._waits)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: answer what is being asked, let go of who only waits."""
        super().handle_exit(sig, frame)
        if not self._left:
            self._left = time.monotonic()
            gevent.spawn(self._leave)

    def load_wsgi(self) -> None:
        """Load the service under its own redacting logs; a setting that only it can judge stops the start."""
        logging.config.dictConfig(importlib.import_module("app.logging_config").configure(_config.log_level))
        try:
            super().load_wsgi()
        except importlib.import_module("app.config").ConfigError as error:
            if 1 < self.age <= self.cfg.workers:  # the first worker says it, and once is enough
                while self.alive:
                    time.sleep(0.05)
                sys.exit(0)
            sys.stderr.write(f"{error}\n")
            sys.exit(Arbiter.APP_LOAD_ERROR)

    def run(self) -> None:
        """Serve until told to stop, then give running turns what is left of the graceful time."""
        super().run()
        left = self.cfg.graceful_timeout - 2 - (time.monotonic() - (self._left or time.monotonic()))
        if drain := self._hook("baton.drain"):
            drain(max(left, 0.0))

    def _leave(self) -> None:
        if leaving := self._hook("baton.leaving"):
            leaving()
        while True:
            for wait in list(self._waits):
                if time.monotonic() - wait.began > 0.5:
                    _slow_clients().stop_reading(wait.connection)
            gevent.sleep(0.2)

    def _hook(self, name: str) -> Any:
        return getattr(getattr(self, "wsgi", None), "extensions", {}).get(name)


_settings = _alone("app.config")
_embedded = _alone("app.storage.embedded_redis")
try:
    _config = _settings.Settings.from_env()
except _settings.ConfigError as error:
    raise SystemExit(str(error)) from None
_server = _embedded.EmbeddedServer(_config.data_dir) if _config.redis_url is None else None

with contextlib.suppress(ValueError, OSError):  # a feed is an open file, and many shells allow only 1,024
    _soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(_soft, min(_hard, 65_536)), _hard))

_level = _config.log_level.upper()
logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": _Line}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "app": {"level": _level, "handlers": ["stderr"], "propagate": False},
            "gunicorn.error": {"level": _level, "handlers": ["stderr"], "propagate": False},
        },
    }
)

wsgi_app = "app:create_app()"
chdir = str(ROOT)
bind = _config.bind
workers = _config.web_concurrency
worker_class = Worker
worker_connections = 4000
preload_app = False
control_socket_disable = True
loglevel = _config.log_level
errorlog = None  # or gunicorn would add a handler of its own beside ours
accesslog = None  # its line holds the query and the Referer, and costs an eighth of the throughput
timeout = 60
graceful_timeout = 30
keepalive = 20  # seconds for the head of a request as well
limit_request_line = 8190
forwarded_allow_ips = ""  # app/routes decides by BATON_TRUSTED_PROXIES whom to believe


_COUNTS = f"baton-counts-{os.getuid()}-"
"""How the names of the folders begin in which workers count; the master's process id and something random follow."""


def _counts() -> Path:
    return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])


def _sweep() -> None:
    """Remove the folders of masters that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_COUNTS}*"):
        try:
            os.kill(int(left.name.split("-")[3]), 0)
        except (ProcessLookupError, ValueError, OverflowError):
            shutil.rmtree(left, ignore_errors=True)
        except PermissionError:
            continue


def on_starting(arbiter: Any) -> None:
    """Before any worker: the embedded server, and a folder where the workers count; else stop with one line."""
    try:
        if _server is not None:
            _server.start()
            arbiter.embedded = _server  # a reload reads this file again and forgets what stands in it
    except _embedded.EmbeddedError as error:
        raise SystemExit(str(error)) from None
    _sweep()
    # A name that nobody can guess: the folder of temporary files is everybody's.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=f"{_COUNTS}{os.getpid()}-")


def post_fork(_: Any, __: Any) -> None:
    """A stop that comes before the worker listens for signals ends it, instead of being lost in the master's queue."""
    for sent in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(sent, signal.SIG_DFL)


def child_exit(_: Any, worker: Any) -> None:
    """What a worker had open or running is over with it; what it counted stays counted."""
    for gauge in _counts().glob(f"gauge_live*_{worker.pid}.db"):
        gauge.unlink(missing_ok=True)


def on_exit(arbiter: Any) -> None:
    """Once the workers are gone: the embedded server too."""
    if embedded := getattr(arbiter, "embedded", None):
        embedded.stop()
    shutil.rmtree(_counts(), ignore_errors=True)
