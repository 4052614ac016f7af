"""Finds the server that takes the writes: one address, the primary of the Sentinels, or a slot's node in a Cluster."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlencode

from redis.backoff import NoBackoff
from redis.connection import Connection as DriverConnection
from redis.connection import parse_url
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from app.storage.connection_pool import CONNECT_SECONDS, READ_SECONDS, Connection, Connections, Redis

Connect = Callable[[], Connection]
Address = tuple[str, int]

_ASK_SECONDS = 0.3
"""How long one Sentinel or node may take to tell where a primary is."""
_SEARCH_SECONDS = 1.0
"""And all of them together."""
_REFRESH_SECONDS = 0.2
"""A Cluster that does not answer is asked for its slots no more often than this."""
_MOVING = ("MOVED", "CLUSTERDOWN", "READONLY", "NOREPLICAS")
_NO_KEY = ("PING", "CONFIG", "INFO")


@dataclass(frozen=True, slots=True)
class Reach:
    """How a Redis is reached: what takes commands, and what makes the doorbell's connection."""

    redis: Redis
    connect: Connect


def reach(url: str) -> Reach:
    """What ``REDIS_URL`` leads to; nothing is connected yet."""
    scheme = url.partition("://")[0]
    if scheme == "redis+cluster":
        cluster = Cluster(read_place(url))
        return Reach(cluster, cluster.connect_any)
    connect = through_sentinels(read_place(url)) if scheme == "redis+sentinel" else one_server(url)
    return Reach(Connections(connect), connect)


@dataclass(frozen=True, slots=True)
class Place:
    """The addresses to begin with, and what is said to the servers there."""

    hosts: tuple[Address, ...]
    path: str
    login: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def url(self, address: Address, database: str = "0") -> str:
        """The plain address of one data server."""
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        options = dict(self.options)
        scheme = "rediss" if options.pop("tls", "").lower() in ("1", "true", "yes", "on") else "redis"
        for name in ("sentinel_username", "sentinel_password"):
            options.pop(name, None)
        return f"{scheme}://{self.login}{host}:{address[1]}/{database}?{urlencode(options)}"


def read_place(url: str) -> Place:
    """What a ``redis+sentinel://`` or ``redis+cluster://`` address says; a port left out is the usual one."""
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    netloc, _, path = rest.partition("/")
    login, at, hosts = netloc.rpartition("@")
    port = 26379 if scheme == "redis+sentinel" else 6379
    found = tuple(_address(one, port) for one in hosts.split(","))
    return Place(found, path, login + at, tuple(parse_qsl(query, keep_blank_values=True)))


def _address(text: str, default: int) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, str(default)
    return host.strip("[]"), int(port)


def one_server(url: str, seconds: float = READ_SECONDS, **options: Any) -> Connect:
    """Makes connections to one address: bounded waits, and no retry that the driver would choose."""
    given: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    kind = given.pop("connection_class", DriverConnection)
    for name in ("max_connections", "timeout"):  # a pool's, and there is none
        given.pop(name, None)
    ours = {
        "protocol": 2,
        "socket_connect_timeout": min(CONNECT_SECONDS, seconds),
        "socket_timeout": seconds,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "driver_info": None,  # two trips less for each connection
    }
    return cast("Connect", partial(kind, **{**given, **options, **ours}))


def _asked(connect: Connect, *command: Any) -> Any:
    """The reply of a server that is asked one thing on a connection of its own."""
    connection = connect()
    try:
        connection.send_command(*command)
        return connection.read_response()
    finally:
        connection.disconnect()


def through_sentinels(place: Place) -> Connect:
    """Makes connections to the primary that the Sentinels name at that moment, so that a new one is a new search."""
    name, _, database = place.path.partition("/")
    order = deque(place.hosts)

    def connect() -> Connection:
        address = _primary(place, order, unquote(name) or "mymaster")
        connection = one_server(place.url(address, database or "0"))()
        connection.send_command("ROLE")
        if connection.read_response()[0] != b"master":
            connection.disconnect()
            raise RedisConnectionError("the Sentinels name a server that is no primary")
        return connection

    return connect


def _primary(place: Place, order: deque[Address], name: str) -> Address:
    """The primary by the newest account of all Sentinels that answer; those that do not are asked last next time."""
    deadline = time.monotonic() + _SEARCH_SECONDS
    best: tuple[int, Address] | None = None
    for address in list(order):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            flat = _ask_sentinel(place, address, name, min(left, _ASK_SECONDS))
        except (RedisError, OSError):
            with suppress(ValueError):
                order.remove(address)
                order.append(address)
            continue
        told = {bytes(flat[i]): bytes(flat[i + 1]) for i in range(0, len(flat), 2)}
        epoch = int(told.get(b"config-epoch", b"0"))
        if best is None or epoch > best[0]:
            best = epoch, (told[b"ip"].decode(), int(told[b"port"]))
    if best is None:
        raise RedisConnectionError("no Sentinel answers")
    return best[1]


def _ask_sentinel(place: Place, address: Address, name: str, seconds: float) -> Any:
    """What one Sentinel knows of the primary. It may want the data servers' password, its own, or none."""
    options = dict(place.options)
    own = {key: options[f"sentinel_{key}"] or None for key in ("username", "password") if f"sentinel_{key}" in options}
    command = ("SENTINEL", "MASTER", name)
    if own:
        own = {"username": None, "password": None, **own}
        return _asked(one_server(place.url(address), seconds, **own), *command)
    try:
        return _asked(one_server(place.url(address), seconds), *command)
    except AuthenticationError:
        if not place.login:
            raise
        return _asked(one_server(place.url(address), seconds, username=None, password=None), *command)


class Cluster:
    """Sends each command to the node that holds its key's slot; a redirection is followed once, nothing is retried."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known = deque(place.hosts)
        self._slots: list[Address] = []
        self._nodes: dict[Address, Connections] = {}
        self._stale = True
        self._refreshed = float("-inf")
        self._refreshing = threading.Lock()

    def execute(self, *args: Any, wait: int = 0) -> Any:
        """The reply. After an error that a failover can explain the slots are asked for anew before the next call."""
        node = self.node(args)
        try:
            return self._at(node).execute(*args, wait=wait)
        except ResponseError as error:
            word, *rest = str(error).split(" ")
            self._stale = self._stale or word in _MOVING
            if word not in ("MOVED", "ASK") or len(rest) != 2:
                raise
            host, _, port = rest[1].rpartition(":")
            other = self._at((host or node[0], int(port)))
            return other.execute(*args, wait=wait, asking=word == "ASK")
        except (RedisError, OSError):
            self._stale = True
            self._put_last(node)
            raise

    def node(self, args: tuple[Any, ...]) -> Address:
        """The node that a command belongs to."""
        if self._stale:
            self._refresh()
        if args[0] in _NO_KEY:
            return self._known[0]
        if not self._slots:
            raise RedisConnectionError("no node of the Cluster answers")
        key = args[3] if args[0].startswith("EVAL") else args[1]
        return self._slots[key_slot(str(key).encode())]

    def connect_any(self) -> Connection:
        """A connection to any node that answers: messages reach all of them."""
        failure: Exception = RedisConnectionError("no node of the Cluster answers")
        for address in list(self._known):
            connection = one_server(self._place.url(address))()
            try:
                connection.connect()
            except (RedisError, OSError) as error:
                failure = error
                self._put_last(address)
                continue
            return connection
        raise failure

    def _at(self, address: Address) -> Connections:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes.setdefault(address, Connections(one_server(self._place.url(address))))
        return node

    def _refresh(self) -> None:
        """Asks for the slots, by one caller at a time; the others go on with what is known."""
        if time.monotonic() - self._refreshed < _REFRESH_SECONDS or not self._refreshing.acquire(
            blocking=not self._slots
        ):
            return
        try:
            if self._stale:
                self._stale = not self._learn()
                self._refreshed = time.monotonic()
        finally:
            self._refreshing.release()

    def _learn(self) -> bool:
        deadline = time.monotonic() + _SEARCH_SECONDS
        for address in list(self._known):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                ranges = _asked(one_server(self._place.url(address), min(left, _ASK_SECONDS)), "CLUSTER", "SLOTS")
            except (RedisError, OSError):
                self._put_last(address)
                continue
            if len(ranges) and self._took_in(ranges, address):
                return True
        return False

    def _took_in(self, ranges: list[Any], asked: Address) -> bool:
        slots: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        known = [asked]
        for first, last, *nodes in ranges:
            addresses = list(_addresses(nodes, asked))
            slots[first : last + 1] = [addresses[0]] * (last + 1 - first)
            known += addresses
        self._known = deque(dict.fromkeys([*known, *self._place.hosts]))
        if None in slots:
            return False
        self._slots = cast("list[Address]", slots)
        for address in [one for one in self._nodes if one not in known]:
            self._nodes.pop(address, None)
        return True

    def _put_last(self, address: Address) -> None:
        with suppress(ValueError):
            self._known.remove(address)
            self._known.append(address)


def _addresses(nodes: list[Any], asked: Address) -> Iterator[Address]:
    """The nodes of a range, its primary first; one without a name is the one that was asked."""
    for node in nodes:
        yield (bytes(node[0] or b"").decode() or asked[0]), int(node[1])
