"""What a start says, through the real commands: one plain line for whatever is not as meant (S6, S8, S9, S11)."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.config import Settings, startup_warnings
from tests.conftest import ROOT, Service, until
from tests.ports import free_port

Start = Callable[..., Service]
SCRIPTED = {"BATON_ENGINE": "python:tests.engines.scripted_engine:make"}


def stopped(one: Service) -> list[str]:
    """The lines of a service that stops by itself with an error, without those in JSON."""
    assert one.process.wait(60) != 0
    until(lambda: not one.reading, what="the output to be complete")
    assert "Traceback" not in one.output
    return [line for line in one.output.splitlines() if not line.startswith("{")]


def warnings(one: Service) -> list[str]:
    """The messages of the service's warnings."""
    records = [json.loads(line) for line in one.output.splitlines()]
    return [record["message"] for record in records if record["level"] == "warning"]


def test_a_port_in_use_is_one_line(service: Start, tmp_path: Path) -> None:
    """S8: a port that another program has stops the start with one line that names it and what to set."""
    first = service(WEB_CONCURRENCY="1", **SCRIPTED)
    second = service(wait=False, PORT=str(first.port), BATON_DATA_DIR=str(tmp_path / "second"), **SCRIPTED)
    [line] = stopped(second)
    assert re.fullmatch(rf"PORT: 127\.0\.0\.1:{first.port} is in use by another program; .+ PORT", line)
    assert httpx.get(f"{first.url}/health").status_code == 200


def test_an_address_of_another_machine_is_one_line(service: Start) -> None:
    """A HOST that this machine does not have stops the start with one line."""
    assert stopped(service(wait=False, HOST="192.0.2.1", **SCRIPTED)) == [
        "HOST: 192.0.2.1 is no address of this machine"
    ]


def test_redis_away_is_one_line(service: Start) -> None:
    """S8: Redis away at start: one line that says where, without the password; the service runs and says so."""
    port = free_port()
    one = service(wait=False, REDIS_URL=f"redis://user:hunter2@127.0.0.1:{port}/0", **SCRIPTED)
    until(lambda: "The demo site: " in one.output, 60, "the service to be up")
    assert httpx.get(f"{one.url}/health", timeout=10).status_code == 503
    lines = [line for line in warnings(one) if line.startswith("REDIS_URL")]
    assert lines == [
        f"REDIS_URL: Redis at redis://127.0.0.1:{port}/0: unreachable. The service goes on and keeps trying."
    ]
    assert "hunter2" not in one.output
    assert one.stop() == 0


@pytest.mark.parametrize(
    ("query", "message"),
    [("bogus=1", "its query has an option"), ("socket_timeout=abc", "invalid value for 'socket_timeout'")],
)
def test_a_wrong_option_of_redis_is_one_line(service: Start, query: str, message: str) -> None:
    """An option in REDIS_URL's query that redis-py does not take stops the start with one line."""
    (line,) = stopped(service(wait=False, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0?{query}", **SCRIPTED))
    assert line.startswith(f"REDIS_URL: {message}")


def test_misspelled_and_missing_settings_are_named(service: Start) -> None:
    """S8, S9: a misspelt name and a missing public address are one line each, once, and stop nothing."""
    one = service(HOST="0.0.0.0", BATON_TITEL="x", BATON_NOTHING_LIKE_IT="x", BATON_DESKS_AND_CHAIRS="on", **SCRIPTED)
    no_address = (
        f"BATON_PUBLIC_URL is not set, so links lead to http://127.0.0.1:{one.port}. "
        "Set it to the address that visitors use, such as https://chat.example.com."
    )
    assert warnings(one) == [
        "BATON_DESKS_AND_CHAIRS is no setting of this version.",
        "BATON_NOTHING_LIKE_IT is no setting of this version.",
        "BATON_TITEL is no setting of this version; did you mean BATON_TITLE?",
        no_address,
    ]
    assert one.stop() == 0


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HOST": "0.0.0.0", "BATON_PUBLIC_URL": "https://chat.example.com"},
        {"HOST": "::", "RAILWAY_PUBLIC_DOMAIN": "x.up.railway.app"},
        {"BATON_PAGES": "demo", "BATON_KNOWLEDGE_URL": "https://docs.example.com"},
    ],
)
def test_settings_as_meant_bring_no_warning(environ: dict[str, str]) -> None:
    """Settings that fit together cause no warning."""
    assert startup_warnings(Settings.from_env(environ), environ) == []


def test_citations_that_lead_nowhere_bring_a_warning() -> None:
    """Without the knowledge pages and without another place for them, the start says where citations lead."""
    environ = {"BATON_PAGES": "demo"}
    [line] = startup_warnings(Settings.from_env(environ), environ)
    assert line.startswith("BATON_PAGES leaves out knowledge")


class Terminal:
    """`make run` at a terminal; ``text`` is what stands on it."""

    def __init__(self, tmp_path: Path, **environ: str) -> None:
        self.port = free_port()
        self._master, slave = pty.openpty()
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        given = {"PATH": path, "HOME": str(tmp_path), "PORT": str(self.port), "BATON_DATA_DIR": str(tmp_path / "data")}
        self.process = subprocess.Popen(
            ["make", "--no-print-directory", "--assume-old=.venv/.run", "run"],
            cwd=ROOT, env={**given, **environ}, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self._bytes = b""
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def text(self) -> str:
        return self._bytes.decode(errors="replace").replace("\r\n", "\n")

    def _read(self) -> None:
        try:
            while part := os.read(self._master, 4096):
                self._bytes += part
        except OSError:
            return  # the other end is closed

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
        self.process.wait(40)
        os.close(self._master)


def test_make_run_at_a_terminal_is_readable(tmp_path: Path) -> None:
    """S11: a few short lines, none in JSON, then one with the address once the service really answers there; the
    built-in answer is written as it is read.
    """
    terminal = Terminal(tmp_path)
    try:
        until(lambda: "The demo site: " in terminal.text or terminal.process.poll() is not None, 90, "the address")
        assert f"The demo site: http://127.0.0.1:{terminal.port}/" in terminal.text
        assert httpx.get(f"http://127.0.0.1:{terminal.port}/", timeout=10).status_code == 200
        until(lambda: "GET / 200" in terminal.text, what="the line of the request")
        lines = terminal.text.splitlines()
        assert len(lines) <= 8, lines
        assert not [line for line in lines if "{" in line]
        assert str(tmp_path / "data") in terminal.text
    finally:
        terminal.stop()


def test_make_run_with_a_wrong_value_is_one_line(tmp_path: Path) -> None:
    """S6: a secret that is too short is one line of ours, at once; make adds its own about the error."""
    terminal = Terminal(tmp_path, BATON_IDENTITY_SECRET="2025=old-secret,2026=new-secret")
    try:
        assert terminal.process.wait(60) != 0
        until(lambda: "Error" in terminal.text, what="the output to be complete")
        lines = [line for line in terminal.text.splitlines() if not line.startswith("make")]
        assert lines == ["BATON_IDENTITY_SECRET: must have at least 16 characters"]
    finally:
        terminal.stop()
