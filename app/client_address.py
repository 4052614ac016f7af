"""The client's address: read behind trusted proxies, and grouped as rate limits and connection limits count it."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask.globals import request
from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from flask import Flask

_WITH_PORT = re.compile(r'"?(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]*)?"?')


def init_app(app: Flask, *, trusted_proxies: int) -> None:
    """Makes ``request.remote_addr`` what the ``trusted_proxies`` nearest proxies say. With 0, headers change nothing.

    ``X-Forwarded-For`` is read by werkzeug's ProxyFix; where a proxy sends ``X-Real-IP`` alone, that is taken.
    """
    if trusted_proxies:
        proxy_fix = ProxyFix(app.wsgi_app, x_for=trusted_proxies, x_proto=0, x_host=0, x_port=0, x_prefix=0)
        app.wsgi_app = _prepare_headers(proxy_fix)  # type: ignore[method-assign]


def _prepare_headers(wsgi_app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def prepared(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if forwarded := environ.get("HTTP_X_FORWARDED_FOR"):
            # A quote that a client sends would swallow the comma before the address that the proxy adds.
            environ["HTTP_X_FORWARDED_FOR"] = forwarded.replace('"', "")
        elif _is_address(real_ip := environ.get("HTTP_X_REAL_IP", "").strip()):
            environ["REMOTE_ADDR"] = real_ip
        return wsgi_app(environ, start_response)

    return prepared


def _is_address(text: str) -> bool:
    match = _WITH_PORT.fullmatch(text)
    try:
        ipaddress.ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return False
    return True


def network(address: str) -> str:
    """What an address counts as: an IPv4 address itself, the /64 of an IPv6 one, and any other text unchanged.

    Some proxies add the port (``192.0.2.1:4711``, ``[2001:db8::1]:4711``), which is another for each connection.
    """
    match = _WITH_PORT.fullmatch(address)
    try:
        ip = ipaddress.ip_address((match[1] or match[2]) if match else address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


def client_network_hash() -> str:
    """The network of the current request's client, hashed, so that Redis holds no address."""
    return _hash(request.remote_addr or "unknown")


@lru_cache(maxsize=4096)
def _hash(address: str) -> str:
    return hashlib.sha256(b"address:" + network(address).encode()).hexdigest()[:24]
