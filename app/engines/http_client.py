"""HTTP calls to an engine's server: bounded in time and bytes, and aborted at once when the turn is cancelled."""

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
from app.engines.sanitize import IdleTimer
from app.errors import EngineFailed

MAX_UNPARSED_BYTES = 512 * 1024
"""Bytes that may come without one complete event among them: the limit for an endless line."""
CONNECT_SECONDS = 5.0
ANY_ENCODING = "any_encoding"
"""The extension of a request whose response may be compressed, because its body is not used."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NON_PUBLIC = tuple(
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


class CallGuard:
    """Bounds one call in time and bytes, and aborts it on cancellation.

    It applies inside ``with guard.activate():`` only, so that calls of other turns can share the thread in between.
    """

    def __init__(self, cancel: CancelToken, timer: IdleTimer, max_bytes: int = MAX_UNPARSED_BYTES) -> None:
        self.timer = timer
        self.error: EngineFailed | None = None
        self.tail = b""
        """The last bytes of the body, which show whether it is complete."""
        self._cancel = cancel
        self._unparsed = 0
        self._max_bytes = max_bytes
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        cancel.add_callback(self._abort)

    @contextmanager
    def activate(self) -> Iterator[None]:
        """What is read and written in here counts for this call."""
        before, _current.guard = getattr(_current, "guard", None), self
        try:
            yield
        finally:
            _current.guard = before

    def reset_byte_budget(self) -> None:
        """Starts counting again, because a complete event has come."""
        self._unparsed = 0

    def count_bytes(self, data: bytes) -> None:
        """Raises EngineFailed where too much has come without a complete event."""
        self.tail = (self.tail + data)[-64:]
        self._unparsed += len(data)
        if self._unparsed > self._max_bytes:
            self.error = EngineFailed("The answer could not be read.")
            raise self.error

    @contextmanager
    def cancellable_socket(self, stream: httpcore2.NetworkStream) -> Iterator[None]:
        """In here, cancellation shuts the stream's socket down: closing it would not wake a blocked reader."""
        with self._lock:
            self._socket = stream.get_extra_info("socket")
        if self._cancel.is_set():
            self._abort()
        try:
            yield
        finally:
            with self._lock:
                self._socket = None

    def _abort(self) -> None:
        with self._lock:
            if self._socket is not None:
                try:
                    # The plain socket's own shutdown: that of TLS would first wait for the peer's close_notify.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    return  # it is already closed


class _Stream(httpcore2.NetworkStream):
    """A connection whose every wait is bounded by the idle timer of the current call."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if (guard := _current_guard()) is None:
            return self._inner.read(max_bytes, timeout)
        with guard.cancellable_socket(self._inner):
            return self._inner.read(max_bytes, guard.timer.remaining())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if (guard := _current_guard()) is None:
            return self._inner.write(buffer, timeout)
        with guard.cancellable_socket(self._inner):
            return self._inner.write(buffer, guard.timer.remaining())

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        guard = _current_guard()
        seconds = min(CONNECT_SECONDS, guard.timer.remaining()) if guard else timeout
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, seconds))

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
        guard = _current_guard()
        seconds = min(CONNECT_SECONDS, guard.timer.remaining()) if guard else timeout
        if self._public_only:
            host = resolve_public_address(host, port)
        return _Stream(self._inner.connect_tcp(host, port, seconds, local_address, socket_options))


class _Body(httpx2.SyncByteStream):
    """A response's body, counted."""

    def __init__(self, inner: Iterable[bytes], close: Any) -> None:
        self._inner = inner
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        for data in self._inner:
            if (guard := _current_guard()) is not None:
                guard.count_bytes(data)
            yield data

    def close(self) -> None:
        self._close()


class _Transport(httpx2.HTTPTransport):
    """httpx's own transport over guarded connections; takes no proxy from the environment."""

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
        is_encoded = response.headers.get("content-encoding", "identity") != "identity"
        if is_encoded and not request.extensions.get(ANY_ENCODING):
            response.close()
            raise EngineFailed("The answer could not be read.")
        body = response.stream
        assert isinstance(body, httpx2.SyncByteStream)  # noqa: S101 - for the types alone
        response.stream = _Body(body, body.close)
        return response


@cache
def http_client(*, public_only: bool = False) -> httpx2.Client:
    """A client of this process: no redirects, no compression, and waits as long as the guard allows.

    There are two. The default one calls addresses that the operator chose. With ``public_only`` it calls addresses
    that somebody else chose: it checks each address as it connects, and reuses no connection.
    """
    return httpx2.Client(
        transport=_Transport(public_only=public_only),
        timeout=None,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
    )


def resolve_public_address(host: str, port: int) -> str:
    """The address to connect to. Raises EngineFailed where the name leads into a private network."""
    try:
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        raise EngineFailed("The answering service could not be reached.") from None
    if not addresses or not all(is_public(ipaddress.ip_address(address.partition("%")[0])) for address in addresses):
        raise EngineFailed("The answering service leads to a private address.")
    return min(addresses)


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one host of the public internet, and no indirect way to a private one.

    Translation by NAT64 (``64:ff9b::/96``) is public where the IPv4 address inside is; every other form of IPv6 that
    holds an IPv4 address is refused, and so is multicast.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
    return address.is_global and not address.is_multicast and not any(address in network for network in _NON_PUBLIC)


def _current_guard() -> CallGuard | None:
    return getattr(_current, "guard", None)
