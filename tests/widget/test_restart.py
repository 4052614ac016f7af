"""The service goes away under an open chat and comes back on the same data and port; a feed falls silent."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.conftest import Service
from tests.ports import free_port
from tests.widget.conftest import SLOW_BOT, Visitor, answered
from tests.widget.fake_bot import words

Visit = Callable[..., Visitor]


class Relay:
    """A stretch of the network between browser and service that can be frozen: it then swallows every byte."""

    def __init__(self, to: int) -> None:
        self.to = to
        self._states: list[dict[str, bool]] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self._sockets: list[socket.socket] = [self.server]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.server.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            self._sockets += [near, far]
            # What was open when it froze stays frozen; what is opened later is carried.
            state = {"frozen": False}
            self._states.append(state)
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, target, state), daemon=True).start()

    def freeze(self) -> None:
        """Nothing more comes through the connections that are open now, and none of them is closed."""
        for state in self._states:
            state["frozen"] = True

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket, state: dict[str, bool]) -> None:
        try:
            while data := source.recv(65536):
                if not state["frozen"]:
                    target.sendall(data)
        except OSError:
            pass
        if not state["frozen"]:
            for one in (source, target):
                one.close()


@pytest.fixture
def relay(baton: str) -> Iterator[Relay]:
    one = Relay(int(baton.rsplit(":", 1)[1]))
    yield one
    one.close()


def test_the_service_restarts(visit: Visit, tmp_path: Path) -> None:
    """Started again on the same folder under an open chat: the chat says so, heals by itself, and loses nothing."""
    environ = {
        **SLOW_BOT, "BATON_DATA_DIR": str(tmp_path / "data"), "PORT": str(free_port()), "WEB_CONCURRENCY": "1",
    }  # fmt: skip
    first = Service(environ)
    second = None
    try:
        visitor = visit(f"{first.url}/chat")
        visitor.ask("quick 1")
        expect(visitor.answers).to_have_count(1)
        first.stop()
        expect(visitor.status).to_contain_text("connection")
        visitor.ask("quick 2")
        second = Service(environ)
        expect(visitor.answers).to_have_count(2, timeout=30_000)
        expect(visitor.articles).to_have_count(4)
        expect(visitor.status).not_to_contain_text("connection")
        visitor.page.reload()
        expect(visitor.articles).to_have_count(4)
        visitor.ask("quick 3")
        expect(visitor.answers).to_have_count(3)
        assert visitor.errors == []
    finally:
        for one in (first, second):
            if one:
                one.stop()


def test_a_silent_feed(visit: Visit, relay: Relay) -> None:
    """F18: a feed that falls silent without being closed is given up after 20 s and taken up again: nothing missed."""
    there = f"http://localhost:{relay.port}"
    one = answered(visit(f"{there}/chat"), "quick 1")
    relay.freeze()
    one.ask("quick 2")
    expect(one.answers).to_have_count(2, timeout=40_000)
    expect(one.articles).to_have_count(4)


def test_killed_in_mid_answer(visit: Visit, service: Callable[..., Service]) -> None:
    """When the workers are killed in mid-answer the words so far stay, marked as broken off, and Retry answers."""
    one = service(**SLOW_BOT)
    visitor = visit(f"{one.url}/chat").ask("words=60 pace=0.05")
    expect(visitor.answers).to_contain_text("w20 ")
    for worker in one.workers():
        os.kill(worker, signal.SIGKILL)
    retry = visitor.page.get_by_role("button", name="Retry")
    expect(retry).to_be_visible(timeout=45_000)
    expect(visitor.answers).to_contain_text("w20 ")
    expect(visitor.answers).to_contain_text("broke off")
    retry.click()
    expect(visitor.answers).to_have_count(2)
    expect(visitor.answers.last.locator(".text")).to_have_text(words(60))
    expect(visitor.page.get_by_role("article", name="You")).to_have_count(1)
