"""A small TCP proxy that misbehaves on demand: delays, swallows replies, drops and resets connections."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time


class Proxy:
    """Stands before a server on loopback. What it does may be changed at any moment, for open connections too.

    ``delay``: seconds that each reply waits. ``swallow``: replies are thrown away. ``hole``: nothing passes either way.
    ``refuse``: new connections are reset. ``swallow_after``: the next request that holds these bytes
    loses its reply.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        self.swallow = self.hole = self.refuse = False
        self.swallow_after = b""
        self.swallowed = 0
        self.open: set[socket.socket] = set()
        self.lock = threading.Lock()
        self.door = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self.door.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def reset(self) -> None:
        """Reset every open connection."""
        with self.lock:
            caught = list(self.open)
        for one in caught:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.door.close()
        self.reset()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.door.accept()
                if self.refuse:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                marked = threading.Event()
                with self.lock:
                    self.open |= {client, server}
                threading.Thread(target=self._pump, args=(client, server, marked, False), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, marked, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, marked: threading.Event, replies: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if replies:
                    if self.delay:
                        time.sleep(self.delay)
                    if self.swallow or marked.is_set():
                        self.swallowed += 1
                        marked.clear()
                        continue
                elif self.swallow_after and self.swallow_after in piece:
                    marked.set()
                    self.swallow_after = b""
                while self.hole:
                    time.sleep(0.02)
                sink.sendall(piece)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self.lock:
            self.open -= {source}
        source.close()
