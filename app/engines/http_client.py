"""Calls to somebody's server: bounded in time and bytes, and cut at once when the turn is stopped."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpcore2
import httpx2

from app.engines.base import CancelToken
from app.engines.sanitize import Patience
from app.errors import EngineFailed

MOST_UNHEARD = 512 * 1024
"""Bytes that may come without one whole event among them: an endless line ends here."""
CONNECT_SECONDS = 5.0
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_REFUSED = tuple(
    map(
        ipaddress.ip_network,
        (
            "::/96",  # IPv4-compatible, deprecated
            "64:ff9b:1::/48",  # NAT64 inside one network
            "2001::/32",  # Teredo
            "2002::/16",  # 6to4
            "fec0::/10",  # site-local, deprecated
            "192.0.0.0/24",  # protocol assignments
            "192.88.99.0/24",  # 6to4 relays
        ),
    )
)
"""What ``ipaddress`` calls global, in some version of Python, although it may lead into a private network."""
_current = threading.local()


class Watch:
    """What one call may take of time and bytes, and how it is cut short.

    A call is watched inside ``with watch.on():`` only, so that the calls of other turns may go on between.
    """

    def __init__(self, stop: CancelToken, patience: Patience) -> None:
        self.patience = patience
        self.broken: EngineFailed | None = None
        self.tail = b""
        """The last bytes of the body, to tell an end from a break."""
        self._stop = stop
        self._unheard = 0
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        stop.add_callback(self._cut)

    @contextmanager
    def on(self) -> Iterator[None]:
        """What is read and written in here counts for this call."""
        before, _current.watch = getattr(_current, "watch", None), self
        try:
            yield
        finally:
            _current.watch = before

    def heard(self) -> None:
        """A whole event came."""
        self._unheard = 0

    def took(self, data: bytes) -> None:
        """Raises EngineFailed where too much came that is no event."""
        self.tail = (self.tail + data)[-64:]
        self._unheard += len(data)
        if self._unheard > MOST_UNHEARD:
            self.broken = EngineFailed("The answer could not be read.")
            raise self.broken

    @contextmanager
    def holding(self, stream: httpcore2.NetworkStream) -> Iterator[None]:
        """While this goes on, a stop shuts the stream's socket: closing would not wake a blocked reader."""
        with self._lock:
            self._socket = stream.get_extra_info("socket")
        if self._stop.is_set():
            self._cut()
        try:
            yield
        finally:
            with self._lock:
                self._socket = None

    def _cut(self) -> None:
        with self._lock:
            if self._socket is not None:
                try:
                    # The plain socket's own shutdown, since TLS would first wait to say goodbye.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    return  # it is closed already


class _Stream(httpcore2.NetworkStream):
    """A connection whose every wait is bounded by the patience of the call at hand."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if (watch := _watch()) is None:
            return self._inner.read(max_bytes, timeout)
        with watch.holding(self._inner):
            return self._inner.read(max_bytes, watch.patience.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if (watch := _watch()) is None:
            return self._inner.write(buffer, timeout)
        with watch.holding(self._inner):
            return self._inner.write(buffer, watch.patience.left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        watch = _watch()
        left = min(CONNECT_SECONDS, watch.patience.left()) if watch else timeout
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore2.NetworkBackend):
    """Opens connections; with ``public_only`` to public addresses only."""

    def __init__(self, *, public_only: bool) -> None:
        self._inner = httpcore2.SyncBackend()
        self._public_only = public_only

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> _Stream:
        watch = _watch()
        left = min(CONNECT_SECONDS, watch.patience.left()) if watch else timeout
        if self._public_only:
            host = public_address(host, port)
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options))


class _Body(httpx2.SyncByteStream):
    """A response's body, counted."""

    def __init__(self, inner: Iterable[bytes], close: Any) -> None:
        self._inner = inner
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        for data in self._inner:
            if (watch := _watch()) is not None:
                watch.took(data)
            yield data

    def close(self) -> None:
        self._close()


class _Transport(httpx2.HTTPTransport):
    """httpx's own transport over watched connections; takes no proxy from the environment."""

    def __init__(self, *, public_only: bool) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpcore2.default_ssl_context(),
            max_connections=None,
            max_keepalive_connections=0 if public_only else 20,
            keepalive_expiry=15.0,
            network_backend=_Backend(public_only=public_only),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise EngineFailed("The answer could not be read.")
        body = response.stream
        assert isinstance(body, httpx2.SyncByteStream)  # noqa: S101 - for the types alone
        response.stream = _Body(body, body.close)
        return response


@cache
def client(*, public_only: bool = False) -> httpx2.Client:
    """A client of this process. It follows no redirect, packs nothing, and waits as long as the watch says.

    There are two. The plain one calls the addresses that the operator chose. With ``public_only`` it calls addresses
    that somebody else chose: it checks each address as it connects, and has and keeps no connections from before.
    """
    return httpx2.Client(
        transport=_Transport(public_only=public_only),
        timeout=None,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
    )


def public_address(host: str, port: int) -> str:
    """The address to connect to. Raises EngineFailed where the name leads into a private network."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        raise EngineFailed("The answering service could not be reached.") from None
    if not found or not all(is_public(ipaddress.ip_address(address.partition("%")[0])) for address in found):
        raise EngineFailed("The answering service leads to a private address.")
    return min(found)


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one host of the public internet, and no way around to a private one.

    Translation by NAT64 (``64:ff9b::/96``) is public where the IPv4 address inside is; every other form of IPv6 that
    holds an IPv4 address is refused, and so is multicast.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
    return address.is_global and not address.is_multicast and not any(address in network for network in _REFUSED)


def _watch() -> Watch | None:
    return getattr(_current, "watch", None)
