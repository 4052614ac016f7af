"""Start, stop and restart of the service, and the files that pin what is installed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.storage.embedded_redis import socket_path
from tests.conftest import ROOT, Service, until
from tests.ports import free_port

Start = Callable[..., Service]
SCRIPTED = {"BATON_ENGINE": "python:tests.engines.scripted_engine:make"}


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BATON_SESSION_TTL", "abc"),
        ("REDIS_URL", "http://:hunter2@127.0.0.1"),
        ("WEB_CONCURRENCY", "0"),
        ("BATON_KNOWLEDGE_DIR", "/no/such/folder"),
        ("BATON_ENGINE", "python:tests.engines.scripted_engine:nothing_of_that_name"),
        ("BATON_ENGINE", "python:no.such.module:make"),
    ],
)
def test_a_wrong_value_stops_the_start(service: Start, name: str, value: str) -> None:
    """The whole service, not a worker, stops with an error code and one plain line that names the variable."""
    one = service(wait=False, **{name: value})
    assert one.process.wait(60) != 0
    until(lambda: not one.reading, what="the output to be complete")
    plain = [line for line in one.output.splitlines() if not line.startswith("{")]
    assert len(plain) == 1
    assert plain[0].startswith(f"{name}: must ")
    assert "hunter2" not in one.output
    assert "Traceback" not in one.output


def test_make_run_checks_the_settings_first() -> None:
    """What `make run` asks before it starts gunicorn refuses also what gunicorn itself would read first."""
    asked = [sys.executable, "app/config.py"]
    refused = subprocess.run(
        asked, cwd=ROOT, env={"WEB_CONCURRENCY": "many"}, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("WEB_CONCURRENCY: must be a whole number")
    assert refused.stderr.count("\n") == 1
    assert "$(PY) app/config.py ||" in (ROOT / "Makefile").read_text()
    assert subprocess.run(asked, cwd=ROOT, env={}, check=False).returncode == 0


def test_a_second_service_on_the_folder_does_not_start(service: Start, tmp_path: Path) -> None:
    """A second service on the same data folder stops with one line that names the folder; the first one serves on."""
    first = service(WEB_CONCURRENCY="1", **SCRIPTED)
    second = service(wait=False, **SCRIPTED)
    assert second.process.wait(60) != 0
    until(lambda: not second.reading, what="the output to be complete")
    assert [line for line in second.output.splitlines() if str(tmp_path / "data") in line and line[0] != "{"]
    assert httpx.get(f"{first.url}/health").status_code == 200


def test_a_conversation_survives_a_restart(service: Start) -> None:
    """Stopped and started again on the same data folder, the service knows the conversation word for word."""
    first = service(WEB_CONCURRENCY="1", **SCRIPTED)
    session = httpx.post(f"{first.url}/api/session/create").json()["session_id"]
    said = httpx.post(f"{first.url}/api/session/{session}/messages", json={"message": "What is AI risk?"}).json()
    assert first.stop() == 0
    second = service(WEB_CONCURRENCY="1", **SCRIPTED)
    body = httpx.get(f"{second.url}/api/session/{session}/messages").json()
    assert body["messages"] == [said["message"]]


def test_a_reload_keeps_the_conversation(service: Start) -> None:
    """SIGHUP replaces the workers; the embedded server and what it holds stay."""
    one = service(**SCRIPTED)
    session = httpx.post(f"{one.url}/api/session/create").json()["session_id"]
    before = set(one.workers())
    one.process.send_signal(signal.SIGHUP)
    until(lambda: len(one.workers()) == 2 and not before & set(one.workers()), 60, "new workers alone")
    assert httpx.get(f"{one.url}/api/session/{session}").status_code == 200
    assert one.stop() == 0


@dataclass(frozen=True)
class Ended:
    """A service that is over."""

    home: Path
    output: str
    exit_code: int
    sockets: str
    """The unix sockets that there were while it ran."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A service that was asked something, and stopped while a connection to it was idle."""
    home = tmp_path_factory.mktemp("home")
    environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "BATON_DATA_DIR": str(home / "data")}
    one = Service({**environ, **SCRIPTED})
    sockets = Path("/proc/net/unix").read_text()
    httpx.get(f"{one.url}/api/session/ses_no")
    with socket.create_connection(("127.0.0.1", one.port)) as line:
        line.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 200")
        return Ended(home, exit_code=one.stop(seconds=8), output=one.output, sockets=sockets)


def test_the_log_names_the_data_folder(ended: Ended) -> None:
    """Whoever reads the log knows where the embedded server keeps its files."""
    assert str(ended.home / "data") in ended.output


def test_every_line_of_the_log_is_json(ended: Ended) -> None:
    """What the service writes, gunicorn's own lines and the last ones included, are JSON objects with a level."""
    lines = [json.loads(line) for line in ended.output.splitlines()]
    assert {"gunicorn.error"} <= {line["logger"] for line in lines}
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)


def test_an_idle_connection_does_not_hold_up_the_end(ended: Ended) -> None:
    """A browser that only keeps its connection open is let go; the service ends in seconds, with code 0."""
    assert ended.exit_code == 0


def test_no_control_socket_is_opened(ended: Ended) -> None:
    """gunicorn's control socket, which every service of a user would share, is off."""
    assert str(ended.home) not in ended.sockets


def test_nothing_is_left_of_a_killed_service(service: Start, tmp_path: Path) -> None:
    """kill -9 of the master: workers, supervisor and server end by themselves, and the next start succeeds at once."""
    one = service(**SCRIPTED)
    children = [
        int(pid) for pid in Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children").read_text().split()
    ]
    assert len(children) == 3, "two workers and the supervisor"
    one.stop(signal.SIGKILL)
    until(lambda: gone(children), 60, "all of it to end")
    assert not socket_path(tmp_path / "data").exists()
    assert service(WEB_CONCURRENCY="1", **SCRIPTED).stop() == 0


def test_the_procfile_starts_it_for_the_world(tmp_path: Path) -> None:
    """The Procfile's own line starts the service on every address, IPv4 and IPv6 alike."""
    command = re.fullmatch(r"web: (.+)\n", (ROOT / "Procfile").read_text())
    assert command is not None
    port = free_port()
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PORT": str(port), "HOME": str(tmp_path),
               "BATON_DATA_DIR": str(tmp_path / "data"), **SCRIPTED}  # fmt: skip
    with subprocess.Popen(["sh", "-c", command[1]], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            for address in ("127.0.0.1", "::1"):
                until(lambda address=address: reached(address, port), 60, f"an answer at {address}")
        finally:
            process.terminate()
            process.wait(40)
    assert process.returncode == 0


def reached(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False


def test_railway_starts_what_the_procfile_starts() -> None:
    """railway.toml and Procfile name one and the same command."""
    command = (ROOT / "Procfile").read_text().removeprefix("web: ").strip()
    started = re.search(r"^startCommand = (.+)$", (ROOT / "railway.toml").read_text(), re.MULTILINE)
    assert started is not None
    assert json.loads(started[1]) == command


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_what_is_installed_is_pinned_with_hashes_and_without_addresses(name: str) -> None:
    """Every requirement stands at one version with its hashes; no line holds an address or an option."""
    entries = re.sub(r"\\\n", " ", (ROOT / name).read_text()).splitlines()
    pinned = [entry for entry in entries if entry and not entry.startswith("#")]
    assert len(pinned) > 30
    assert all(
        re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+( ; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+$", entry)
        for entry in pinned
    )
    assert "://" not in (ROOT / name).read_text()


def test_no_lock_file_holds_an_address_of_a_registry() -> None:
    """The widget's lock file records versions and hashes and no place to download from."""
    locked = json.loads((ROOT / "widget" / "package-lock.json").read_text())["packages"]
    assert len(locked) > 10
    assert not [name for name, entry in locked.items() if "resolved" in entry]
    assert all("integrity" in entry for name, entry in locked.items() if name)


def test_make_lists_its_targets() -> None:
    """`make` alone lists run, test, check, widget, bench, test-resilience, lock and clean, each with a sentence."""
    ran = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    described = dict(re.findall(r"^ +make ([a-z-]+) +(.+)$", ran.stdout, re.MULTILINE))
    assert {"run", "test", "check", "widget", "bench", "test-resilience", "lock", "clean"} <= described.keys()
