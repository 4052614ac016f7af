"""The Redis client: bounded waits, no retries, a circuit breaker, and every failure a StorageUnavailable.

``RedisClient`` talks to whatever ``REDIS_URL`` names: one server, the primary behind Sentinels, or a Cluster.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.cluster import ClusterNode
from redis.connection import Connection, ConnectionPool, SSLConnection, parse_url
from redis.exceptions import (
    AskError,
    DataError,
    MaxConnectionsError,
    MovedError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

from app.errors import StorageUnavailable

_log = logging.getLogger(__name__)

CONNECT_SECONDS = 0.5
READ_SECONDS = 1.0
WAIT_MS = 800
SENTINEL_CONNECT_SECONDS, SENTINEL_READ_SECONDS = 0.2, 0.3
MAX_CONNECTIONS = 64
IDLE_SECONDS = 5.0
"""A connection that was idle for longer is checked before it is used: the server may have closed it."""
UNUSED_SECONDS = 30.0
"""A free connection that was not used for this long is closed: fewer are needed at once than before."""
BREAKER_SECONDS = 0.5
FIRST_SLOTS_SECONDS = 2.0
"""How long a call waits for the slots of a Cluster that no call has reached yet."""
REFRESH_SECONDS = 0.2
"""The slots of a Cluster are read no more often than this."""

_OPTIONS: dict[str, Any] = {
    "protocol": 2,
    "socket_connect_timeout": CONNECT_SECONDS,
    "socket_timeout": READ_SECONDS,
    "driver_info": None,  # saves two commands for every connection
}
_WRITES = ("EVALSHA", "EVAL", "ZREM", "PUBLISH", "DEL")
_SCRIPTS = ("EVALSHA", "EVAL", "EVALSHA_RO", "EVAL_RO")
_KEYLESS = ("PING", "INFO", "CONFIG GET")
_OPTIONAL = ("INFO", "CONFIG GET")
"""A managed Redis may forbid these: that is no failure of storage."""
_FAILURES = (RedisError, RedisClusterException, OSError)
_ERROR_CODE = re.compile(r"ERR(?: [A-Za-z]+\b){0,5}|[A-Z]+")
_ERROR_PATTERNS = (
    # Errors without a code of their own.
    ("invalid username", "WRONGPASS"),
    ("uthentication", "NOAUTH"),
    ("unauthenticated", "NOAUTH"),
    ("NOAUTH", "NOAUTH"),
    ("max number of clients", "MAXCLIENTS"),
    ("loading", "LOADING"),
    # A script whose slot is moving to another node key by key.
    ("non local key", "TRYAGAIN"),
)


class LuaScript:
    """One verb: its Lua file, after the files that it names in its first lines, ``-- @include name``.

    ``tracking``: for whom it records what happened, the owner's own systems (``events``) or operators too (``desk``).
    """

    def __init__(self, name: str, tracking: str = "") -> None:
        folder = Path(__file__).parent / "scripts"
        verb = (folder / f"{name}.lua").read_text()
        parts = [
            (folder / f"_{included}.lua").read_text()
            for included in re.findall(r"^-- @include (\w+)", verb, re.MULTILINE)
        ]
        self.writes = not re.search(r"^-- @no-writes$", verb, re.MULTILINE)
        # With the flag and EVALSHA_RO it runs while writes are paused, refused or out of memory (Redis 7).
        shebang = "#!lua\n" if self.writes else "#!lua flags=no-writes\n"
        self.evalsha, self.eval = ("EVALSHA", "EVAL") if self.writes else ("EVALSHA_RO", "EVAL_RO")
        switches = ", ".join("true" if switch else "false" for switch in (tracking, tracking == "desk"))
        self.source = f"{shebang}local tracking, desk = {switches}\n" + "\n".join([*parts, verb])
        self.sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()


load_script = cache(LuaScript)


class CircuitBreaker:
    """After two failures in a row it fails calls at once, and lets one try every half second.

    Logs each kind of failure once, and once that storage works again.
    """

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._failures = 0
        self._open_until = 0.0
        self._kind = "unreachable"
        self._logged: set[str] = set()

    def before_call(self) -> None:
        """Raises StorageUnavailable while open."""
        if self._failures >= 2:
            now = time.monotonic()
            if now < self._open_until:
                raise StorageUnavailable(self._kind)
            self._open_until = now + BREAKER_SECONDS

    def failed(self, kind: str) -> None:
        self._failures += 1
        self._kind = kind
        self._open_until = time.monotonic() + BREAKER_SECONDS
        if kind not in self._logged:
            self._logged.add(kind)
            _log.warning("storage unavailable for %s: %s", self._operation, kind)

    def worked(self) -> None:
        self._failures = 0
        if self._logged:
            self._logged.clear()
            _log.warning("storage works again for %s", self._operation)


class RedisClient:
    """Runs scripts and commands. Reads and writes have circuit breakers of their own: one may fail without the other.

    In a Cluster every node has both, so the sessions on the other nodes go on when one fails.
    """

    def __init__(self, url: str, *, wait_replicas: int = 0) -> None:
        self._wait_replicas = wait_replicas
        self._cluster: _ClusterNodes | None = None
        scheme = url.partition("://")[0]
        if scheme == "redis+cluster":
            self._cluster = _ClusterNodes(parse_multi_host_url(url))
            self.pubsub: Callable[[], PubSub] = self._cluster.pubsub
        else:
            connect = _sentinel_redis if scheme == "redis+sentinel" else _single_redis
            self._redis = connect(url, Retry(NoBackoff(), 0))
            # The retry of redis-py's PubSub reconnects in whichever thread meets the error: only ours may.
            self.pubsub = connect(url, Retry(NoBackoff(), 0, supported_errors=())).pubsub
        self.is_cluster = self._cluster is not None
        """Keys of different sessions are on different servers: no script may use both."""
        self._breakers: dict[tuple[bool, object], CircuitBreaker] = {}
        self._last_failure = float("-inf")

    def run(self, script: LuaScript, keys: tuple[str, ...], *args: Any, wait: bool = False) -> Any:
        """The script's reply; with ``wait`` only once ``BATON_WAIT_REPLICAS`` replicas have what it wrote.

        Raises StorageUnavailable; the outcome of a write is then unknown.
        """
        replicas = self._wait_replicas if wait else 0
        try:
            return self._execute((script.evalsha, script.sha, len(keys), *keys, *args), replicas)
        except NoScriptError:  # nothing ran, so sending the source is safe
            return self._execute((script.eval, script.source, len(keys), *keys, *args), replicas)

    def call(self, *args: Any) -> Any:
        """One command's reply as redis-py parses it. Raises StorageUnavailable."""
        return self._execute(args)

    def close(self) -> None:
        """Closes the connections that no call uses just now; a later call opens new ones."""
        pools = [self._redis.connection_pool] if self._cluster is None else self._cluster.pools()
        for pool in pools:
            pool.disconnect_free_connections()

    def failed_within(self, seconds: float) -> bool:
        """Whether storage has failed within the last ``seconds``."""
        return time.monotonic() - self._last_failure < seconds

    def _execute(self, args: tuple[Any, ...], replicas: int = 0) -> Any:
        breaker, redis = None, None
        try:
            redis = self._redis if self._cluster is None else self._cluster.redis_for(_key(args))
            breaker = self._breaker(args[0] in _WRITES, redis)
            breaker.before_call()
            reply = self._send(redis, args, replicas)
        except _FAILURES as error:
            breaker = breaker or self._breaker(args[0] in _WRITES, None)
            kind = classify_error(error)
            if kind is None or (args[0] in _OPTIONAL and kind.startswith(("ERR", "NOPERM"))):
                breaker.worked()
                raise
            breaker.failed(kind)
            self._last_failure = time.monotonic()
            self._reconnect(redis)
            raise StorageUnavailable(kind) from None
        breaker.worked()
        return reply

    def _send(self, redis: Redis, args: tuple[Any, ...], replicas: int) -> Any:
        """Sends a command once; where a Cluster's node names another one, there too."""
        if self._cluster is None:
            return _send_once(redis, args, replicas)
        try:
            return _send_once(redis, args, replicas)
        except MovedError as error:
            return _send_once(self._cluster.moved(error), args, replicas)
        except AskError as error:
            return _send_once(self._cluster.node_at(error.host, error.port), args, replicas, asking=True)

    def _breaker(self, writes: bool, redis: Redis | None) -> CircuitBreaker:
        key = (writes, redis)
        breaker = self._breakers.get(key)
        if breaker is None:
            breaker = self._breakers.setdefault(key, CircuitBreaker("writes" if writes else "reads"))
        return breaker

    def _reconnect(self, redis: Redis | None) -> None:
        """What broke one connection has most likely broken all of them, and the primary may have moved."""
        if redis is not None:
            redis.connection_pool.disconnect_free_connections()
        if self._cluster is not None:
            self._cluster.failed(redis)


def _key(args: tuple[Any, ...]) -> str | None:
    """The key that says which node of a Cluster a command belongs to."""
    if args[0] in _KEYLESS:
        return None
    return str(args[3] if args[0].startswith("EVAL") else args[1])


def _send_once(redis: Redis, args: tuple[Any, ...], replicas: int, *, asking: bool = False) -> Any:
    if not replicas and not asking:
        return _run_script(redis, args) if args[0] in _SCRIPTS else redis.execute_command(*args)
    pipeline = redis.pipeline(transaction=False)
    if asking:
        pipeline.execute_command("ASKING")
    pipeline.execute_command(*args)
    if replicas:
        pipeline.execute_command("WAIT", replicas, WAIT_MS)
    # Raised by redis-py, an error would quote the command and with it a visitor's text.
    replies = pipeline.execute(raise_on_error=False)[1 if asking else 0 :]
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    if replicas and replies[1] < replicas:
        raise ResponseError("NOREPLICAS too few replicas acknowledged")
    return replies[0]


def _run_script(redis: Redis, args: tuple[Any, ...]) -> Any:
    """A script's reply as the server sends it.

    ``execute_command`` would add a retry, which we do not want, and a parser, which replies of scripts do not have: a
    third of the time. A connection that fails, or whose caller is cancelled, closes itself.
    """
    pool = redis.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_command(*args)
        return connection.read_response()
    finally:
        pool.release(connection)


def classify_error(error: BaseException) -> str | None:
    """The kind of failure, by Redis' own error code where there is one; None for our own fault and an unknown script.

    An error that nobody expected is a failure of storage too. Of its text only the plain words at the start are used:
    the rest may quote a visitor.
    """
    if isinstance(error, DataError | NoScriptError):
        return None
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return "timeout"
    code, text = getattr(error, "status_code", None), str(error)
    if code and code != "ERR":
        return str(code)
    known = [kind for pattern, kind in _ERROR_PATTERNS if pattern in text]
    if known:
        return known[0]
    if isinstance(error, RedisConnectionError | OSError | RedisClusterException):
        return "unreachable"
    match = _ERROR_CODE.match(f"ERR {text}" if code else text)
    return match[0] if match else type(error).__name__


# How the servers are reached.


class LifoConnectionPool(ConnectionPool):
    """redis-py's pool with less work for each command: no lock, no metrics, no check of a connection just used.

    A full pool waits a second for a free connection. docs/decisions/speed.md has the measurement.
    """

    def reset(self) -> None:
        super().reset()
        self._released = threading.Event()
        self._next_trim_at = 0.0

    def get_connection(self, *_: Any, **__: Any) -> Any:
        """A connected connection, the one released last first."""
        self._checkpid()
        connection = self._next()
        self._in_use_connections.add(connection)
        try:
            if time.monotonic() - getattr(connection, "released_at", 0.0) > IDLE_SECONDS:
                _disconnect_if_closed(connection)
            if not connection.is_connected:
                connection.connect()
        except BaseException:
            self.release(connection)
            raise
        return connection

    def release(self, connection: Any) -> None:
        """Takes a connection back."""
        self._checkpid()
        self._in_use_connections.discard(connection)
        if connection.should_reconnect() or not self.owns_connection(connection):
            connection.disconnect()
        now = connection.released_at = time.monotonic()
        self._available_connections.append(connection)
        self._released.set()
        if now > self._next_trim_at:
            self._next_trim_at = now + IDLE_SECONDS
            self._disconnect_unused(now)

    def disconnect_free_connections(self, moving_address_src: str | None = None) -> None:  # noqa: ARG002 - as redis-py's
        """Disconnects the free connections, each while nobody else can take it."""
        for _ in range(len(self._available_connections)):
            with suppress(IndexError):
                connection = self._available_connections.pop()
                connection.disconnect()
                self._available_connections.insert(0, connection)

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Disconnects the free connections, and on request those in use."""
        self.disconnect_free_connections()
        if inuse_connections:
            super().disconnect()

    def _disconnect_unused(self, now: float) -> None:
        """Disconnects what a burst has left behind: the free connections at the front, unused for UNUSED_SECONDS."""
        unused = []
        with suppress(IndexError):  # none is free, or another thread has taken the last one
            while now - self._available_connections[0].released_at > UNUSED_SECONDS:
                unused.append(self._available_connections.pop(0))
        for connection in unused:
            connection.disconnect()
        self._available_connections[:0] = unused

    def _next(self) -> Any:
        deadline = 0.0
        while True:
            with suppress(IndexError):
                return self._available_connections.pop()
            with suppress(MaxConnectionsError):
                return self.make_connection()
            now = time.monotonic()
            deadline = deadline or now + READ_SECONDS
            if now > deadline:
                raise RedisTimeoutError("no free connection")
            self._released.clear()
            self._released.wait(0.05)


def _disconnect_if_closed(connection: Any) -> None:
    """Disconnects a connection that the server has closed, or that holds a reply that nobody asked for."""
    if connection.is_connected:
        try:
            usable = not connection.can_read()
        except (RedisError, OSError):
            usable = False
        if not usable:
            connection.disconnect()


def _single_redis(url: str, retry: Retry) -> Redis:
    options = _pool_options(url) | {"retry": retry}
    return Redis(connection_pool=LifoConnectionPool(max_connections=MAX_CONNECTIONS, **options))


def _pool_options(url: str) -> dict[str, Any]:
    """What the URL says, and waits that it cannot change. Raises ValueError for options that redis-py does not take."""
    options: dict[str, Any] = parse_url(url)
    for name in ("max_connections", "timeout"):
        options.pop(name, None)
    options |= _OPTIONS
    arguments = {name: value for name, value in options.items() if name != "connection_class"}
    try:
        options.get("connection_class", Connection)(**arguments)  # opens no connection yet
    except (TypeError, RedisError):
        raise ValueError("its query has an option that redis-py does not know") from None
    return options


@dataclass(frozen=True, slots=True)
class NodeAddresses:
    """A ``redis+sentinel://`` or ``redis+cluster://`` URL: the hosts to ask first, and the data servers' options."""

    hosts: tuple[tuple[str, int], ...]
    service_name: str
    options: dict[str, Any] = field(repr=False)
    sentinel_login: dict[str, str | None] | None = field(repr=False)
    """What the URL says of the Sentinels' own login."""


def parse_multi_host_url(url: str) -> NodeAddresses:
    """Reads a URL of several hosts; a port left out is the default one."""
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    netloc, _, path = rest.partition("/")
    login, at, hosts = netloc.rpartition("@")
    service_name, _, database = path.partition("/") if scheme == "redis+sentinel" else ("", "", path)
    parameters = dict(parse_qsl(query.partition("#")[0], keep_blank_values=True))
    tls = parameters.pop("tls", "").lower() in ("1", "true", "yes", "on")
    names = [name for name in ("username", "password") if f"sentinel_{name}" in parameters]
    sentinel_login = {name: parameters.pop(f"sentinel_{name}") or None for name in names}
    server = f"{'rediss' if tls else 'redis'}://{login}{at}host/{database}?{urlencode(parameters)}"
    options = _pool_options(server)
    del options["host"]
    default_port = 26379 if scheme == "redis+sentinel" else 6379
    addresses = tuple(_address(host, default_port) for host in hosts.split(","))
    return NodeAddresses(addresses, unquote(service_name) or "mymaster", options, sentinel_login or None)


def _address(text: str, default_port: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, str(default_port)
    return host.strip("[]"), int(port)


class _PrimaryConnection(SentinelManagedConnection):
    """A connection to the primary that the Sentinels name.

    redis-py leaves it open when a call is cancelled while it waits, and the next caller would read that call's reply.
    """

    def read_response(self, *args: Any, disconnect_on_error: bool | None = True, **options: Any) -> Any:
        return super().read_response(*args, disconnect_on_error=disconnect_on_error, **options)


class _PrimarySSLConnection(_PrimaryConnection, SSLConnection):
    """The same with TLS."""


class _LifoSentinelPool(LifoConnectionPool, SentinelConnectionPool):
    """redis-py's Sentinel pool, last in, first out."""


def _sentinel_redis(url: str, retry: Retry) -> Redis:
    addresses = parse_multi_host_url(url)
    options = addresses.options | {"retry": retry}
    options.pop("port", None)
    tls = options.pop("connection_class", None) is SSLConnection
    login = {name: options.get(name) for name in ("username", "password")}
    no_retry = Retry(NoBackoff(), 0)
    sentinel_options = {name: value for name, value in options.items() if name not in (*login, "db")} | {
        "socket_connect_timeout": SENTINEL_CONNECT_SECONDS,
        "socket_timeout": SENTINEL_READ_SECONDS,
        "retry": no_retry,
    }
    if addresses.sentinel_login:
        sentinel_options |= addresses.sentinel_login
    elif login["password"]:
        credentials = tuple(value for value in login.values() if value)
        sentinel_options["redis_connect_func"] = lambda connection: _offer_login(connection, credentials)
    if tls:
        sentinel_options["ssl"] = True
    sentinel = Sentinel(addresses.hosts, sentinel_kwargs=sentinel_options)
    client: Redis = sentinel.master_for(
        addresses.service_name,
        connection_pool_class=_LifoSentinelPool,
        connection_class=_PrimarySSLConnection if tls else _PrimaryConnection,
        redis_connect_func=_require_primary,
        max_connections=MAX_CONNECTIONS,
        **options,
    )
    return client


def _offer_login(connection: Any, login: tuple[str, ...]) -> None:
    """Signs in to a Sentinel with the data servers' login, which it may not have."""
    connection.on_connect()
    connection.send_command("AUTH", *login)
    with suppress(ResponseError, RedisConnectionError):
        connection.read_response(disconnect_on_error=False)


def _require_primary(connection: Any) -> None:
    """Refuses a server that the Sentinels name but that is no primary itself."""
    connection.on_connect()
    connection.send_command("ROLE")
    if connection.read_response()[0] != b"master":
        raise RedisConnectionError("the Sentinels name a server that is no primary")


class _ClusterNodes:
    """redis-py's RedisCluster as the map from keys to nodes.

    Its own ``execute_command`` reads the slots again inside the call that failed, one caller after the other, so a dead
    Cluster would hold requests for much longer than a second. Here one thread reads them for all callers.
    """

    def __init__(self, addresses: NodeAddresses) -> None:
        self._addresses = addresses
        self._cluster: RedisCluster | None = None
        self._refreshing = threading.Lock()
        self._tried = threading.Event()
        self._failures: dict[str, float] = {}

    def redis_for(self, key: str | None) -> Redis:
        """The client of the node that holds the key; without a key one that works. Raises ConnectionError."""
        cluster = self._connected()
        return _client_of(cluster, cluster.get_node_from_key(key) if key else self._working_node(cluster))

    def moved(self, error: MovedError) -> Redis:
        """The node that a slot has moved to, from now on."""
        cluster = self._connected()
        cluster.nodes_manager.move_slot(error)
        self._refresh_soon()
        return self.node_at(error.host, error.port)

    def node_at(self, host: str, port: int) -> Redis:
        """The client of the node at an address. Raises ConnectionError where it is not known yet."""
        cluster = self._connected()
        node = cluster.get_node(host, port)
        if node is None:
            self._refresh_soon()
            raise RedisConnectionError("a new node of the Cluster")
        return _client_of(cluster, node)

    def failed(self, redis: Redis | None) -> None:
        """A call has failed: its slots may be elsewhere by now."""
        if self._cluster is not None:
            for node in self._cluster.get_nodes():
                if node.redis_connection is redis:
                    self._failures[node.name] = time.monotonic()
        self._refresh_soon()

    def pubsub(self) -> PubSub:
        """A subscriber at any node that works: a published message reaches all of them."""
        node = self._working_node(self._connected())
        retry = Retry(NoBackoff(), 0, supported_errors=())
        options = self._addresses.options | {"host": node.host, "port": node.port, "retry": retry}
        subscriber: PubSub = Redis(connection_pool=ConnectionPool(**options)).pubsub()
        return subscriber

    def pools(self) -> list[ConnectionPool]:
        """The connection pools of all nodes known so far."""
        nodes = self._cluster.get_nodes() if self._cluster is not None else []
        return [node.redis_connection.connection_pool for node in nodes if node.redis_connection is not None]

    def _working_node(self, cluster: RedisCluster) -> ClusterNode:
        node: ClusterNode = min(cluster.get_nodes(), key=lambda node: self._failures.get(node.name, 0.0))
        return node

    def _connected(self) -> RedisCluster:
        if self._cluster is None:
            self._refresh_soon()
            self._tried.wait(FIRST_SLOTS_SECONDS)
        if self._cluster is None:
            raise RedisConnectionError("no node of the Cluster answers")
        return self._cluster

    def _refresh_soon(self) -> None:
        if self._refreshing.acquire(blocking=False):
            if self._cluster is None:
                self._tried.clear()
            threading.Thread(target=self._refresh, name="baton-cluster-slots", daemon=True).start()

    def _refresh(self) -> None:
        try:
            with suppress(*_FAILURES):
                if self._cluster is None:
                    self._cluster = self._connect()
                else:
                    self._cluster.nodes_manager.initialize(
                        additional_startup_nodes_info=list(self._addresses.hosts),
                        last_failed_node_name=max(self._failures, key=lambda name: self._failures[name], default=None),
                    )
            self._tried.set()
            time.sleep(REFRESH_SECONDS)
        finally:
            self._refreshing.release()

    def _connect(self) -> RedisCluster:
        options = dict(self._addresses.options)
        options.pop("db", None)
        tls = options.pop("connection_class", None) is SSLConnection
        first, *others = self._addresses.hosts
        host = f"[{first[0]}]" if ":" in first[0] else first[0]
        return RedisCluster(
            url=f"{'rediss' if tls else 'redis'}://{host}:{first[1]}",
            startup_nodes=[ClusterNode(*address) for address in others],
            connection_pool_class=LifoConnectionPool,
            require_full_coverage=False,
            retry=Retry(NoBackoff(), 0),
            max_connections=MAX_CONNECTIONS,
            **options,
        )


def _client_of(cluster: RedisCluster, node: ClusterNode) -> Redis:
    client: Redis = cluster.get_redis_connection(node)
    return client


# What a Redis would lose.


def warn_about_redis_config(client: RedisClient) -> None:
    """Warns once, as soon as Redis answers, of an evicting memory policy and of no append-only file."""
    for _ in range(300):
        try:
            info = client.call("INFO", "memory") | client.call("INFO", "persistence")
        except StorageUnavailable:
            time.sleep(2.0)
            continue
        except RedisError:  # a managed Redis may forbid INFO
            return
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            _log.warning("Redis evicts conversations when its memory is full: maxmemory-policy is %s", policy)
        if str(info.get("aof_enabled")) == "0":
            _log.warning("Redis forgets everything when it restarts: appendonly is off")
        return
