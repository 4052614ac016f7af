"""Free TCP ports on loopback, for servers that the tests start."""

from __future__ import annotations

import os
import socket

_FIRST, _LAST = 11_000, 32_000
"""Below the ports that Linux gives to outgoing connections, so that none of those takes a port meanwhile; above those
that browsers refuse to open (10080 by the Fetch standard, 10082 too in Chromium).
"""
_next = os.getpid() * 97 % (_LAST - _FIRST)
"""Every process (a worker of pytest-xdist, say) begins somewhere else, and gives no port out twice in a round."""


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on."""
    global _next
    for _ in range(_LAST - _FIRST):
        port = _FIRST + _next
        _next = (_next + 1) % (_LAST - _FIRST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port on loopback")
