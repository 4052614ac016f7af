"""What lies between a visitor and the service, or overcomes the tab: a proxy that buffers, a tab that is frozen."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.widget.conftest import Visitor, answered
from tests.widget.fake_bot import words
from tests.widget.test_restart import Relay, relay

__all__ = ["relay"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
Visit = Callable[..., Visitor]
SILENCE_MS = 40_000
"""The 20 seconds after which a feed counts as silent, and what a busy machine adds."""


class Buffering(http.server.BaseHTTPRequestHandler):
    """A proxy that passes an answer on when it holds so many bytes of it, or all: what is little and live is stuck."""

    protocol_version = "HTTP/1.1"
    to = 0
    most = 0

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else None
        sent = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        upstream = http.client.HTTPConnection("127.0.0.1", self.to, timeout=60)
        try:
            upstream.request(self.command, self.path, body, sent | {"Host": self.headers["host"]})
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            threading.Thread(target=self._leave_together, args=(upstream.sock,), daemon=True).start()
            self._pass(answer)
        except OSError:
            pass
        finally:
            upstream.close()
            self.close_connection = True

    do_POST = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - http.server's names

    def _pass(self, answer: http.client.HTTPResponse) -> None:
        held = b""
        while piece := answer.read1(65536):
            held += piece
            if self.most and len(held) >= self.most:
                self.wfile.write(held)
                held = b""
        self.wfile.write(held)

    def _leave_together(self, upstream: socket.socket | None) -> None:
        """When the browser has left, the service's side is closed too, as proxies do."""
        with contextlib.suppress(OSError, ValueError):
            if not self.connection.recv(1, socket.MSG_PEEK) and upstream:
                upstream.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(params=[0, 16_384], ids=["all", "16 KiB"])
def buffering(request: pytest.FixtureRequest, baton: str) -> Iterator[str]:
    """The service behind a proxy that holds back whole answers, or all but full buffers."""
    handler = type("Here", (Buffering,), {"to": int(baton.rsplit(":", 1)[1]), "most": request.param})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


def freeze(context: BrowserContext, visitor: Visitor, state: str = "frozen") -> None:
    """What a browser does to a tab in the background, or a laptop to all of them; ``active`` wakes it."""
    context.new_cdp_session(visitor.page).send("Page.setWebLifecycleState", {"state": state})


def test_behind_a_buffering_proxy(visit: Visit, buffering: str) -> None:
    """F18: behind a proxy that holds every live word back: answers come all the same, each once; after the first
    silence soon.
    """
    one = visit(f"{buffering}/chat").ask("words=40 pace=0.05")
    expect(one.answers.locator(".text")).to_have_text(words(40), timeout=SILENCE_MS)
    expect(one.button("Stop")).to_have_count(0, timeout=SILENCE_MS)
    one.ask("quick 2")
    expect(one.answers).to_have_count(2, timeout=SILENCE_MS)
    expect(one.articles).to_have_count(4)
    assert one.errors == []


def test_a_frozen_tab_holds_nobody_up(visit: Visit, context: BrowserContext) -> None:
    """F18: the tab that hears for the others is frozen: another helps itself; thawed, the first has missed nothing."""
    one = answered(visit().open(), "quick 1")
    two = visit().open()
    expect(two.articles).to_have_count(2)
    freeze(context, one)
    two.ask("quick 2")
    expect(two.answers).to_have_count(2, timeout=SILENCE_MS)
    freeze(context, one, "active")
    expect(one.articles).to_have_count(4, timeout=SILENCE_MS)
    one.ask("quick 3")
    for tab in (one, two):
        expect(tab.answers).to_have_count(3, timeout=SILENCE_MS)
        expect(tab.articles).to_have_count(6)


def test_asleep_in_mid_answer(visit: Visit, context: BrowserContext, relay: Relay) -> None:
    """F18: asleep in mid-answer while the connection dies unnoticed: awake again, the answer is whole and once."""
    one = visit(f"http://localhost:{relay.port}/chat").ask("words=60 pace=0.05")
    expect(one.answers).to_contain_text("w5 ")
    freeze(context, one)
    relay.freeze()
    one.page.context.pages[0].wait_for_timeout(4000)
    freeze(context, one, "active")
    expect(one.answers.locator(".text")).to_have_text(words(60), timeout=SILENCE_MS)
    expect(one.articles).to_have_count(2)
    one.ask("quick 2")
    expect(one.answers).to_have_count(2, timeout=SILENCE_MS)
