"""The embedded server: it keeps what was said, belongs to one service, heals, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import redis

from app.storage.embedded_redis import (
    EmbeddedError,
    EmbeddedServer,
    FolderInUse,
    embedded_url,
    socket_path,
    start_or_reuse,
)
from tests.conftest import ROOT, Service, until

OWNER = """
import signal, sys, time
from pathlib import Path
from app.storage.embedded_redis import EmbeddedServer
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
print(EmbeddedServer(Path(sys.argv[1])).start(), flush=True)
time.sleep(600)
"""
ENSURER = """
import sys
from pathlib import Path
from app.storage.embedded_redis import start_or_reuse
print(start_or_reuse(Path(sys.argv[1])), flush=True)
"""


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, retry=None, socket_timeout=2, decode_responses=True)


def answers(url: str) -> bool:
    with contextlib.suppress(redis.RedisError), client(url) as asked:
        return bool(asked.ping())
    return False


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def server_pid(url: str) -> int:
    with client(url) as asked:
        return int(asked.info("server")["process_id"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with a space in its name, deeper than any socket's path may be long."""
    return tmp_path / "with a space" / ("deep" * 30) / "data"


@pytest.fixture
def owner(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has started the server on the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == embedded_url(folder)
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    until(lambda: not socket_path(folder).exists(), what="the server of the killed owner to be gone")


def test_it_listens_on_a_short_private_socket_and_nowhere_else(folder: Path) -> None:
    """However deep the data folder, the socket's path is short, only this user may enter, and no port is open."""
    with EmbeddedServer(folder) as url, client(url) as asked:
        assert len(str(socket_path(folder))) < 100
        assert socket_path(folder).parent.stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_mode & 0o777 == 0o700
        assert asked.config_get("port")["port"] == "0"
        assert asked.config_get("appendonly")["appendonly"] == "yes"
        assert asked.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_what_was_written_is_there_after_a_restart(folder: Path) -> None:
    """Stopped and started again, the server has everything; its socket is gone in between."""
    with EmbeddedServer(folder) as url, client(url) as asked:
        asked.set("said", "hello")
    assert not socket_path(folder).parent.exists()
    with EmbeddedServer(folder) as url, client(url) as asked:
        assert asked.get("said") == "hello"


def test_killed_in_mid_write_it_heals_within_two_seconds_and_has_lost_nothing(folder: Path) -> None:
    """kill -9 of the server: it is back by itself, with every write that it had acknowledged."""
    with EmbeddedServer(folder) as url:
        acknowledged = 0
        for round_number in range(3):
            pid = server_pid(url)
            with client(url) as asked:
                for _ in range(500):
                    asked.rpush("log", "x" * 200)
                    acknowledged += 1
            os.kill(pid, signal.SIGKILL)
            until(lambda: answers(url), 2, f"the server to be back (round {round_number})")
            with client(url) as asked:
                assert asked.llen("log") == acknowledged


def test_a_polite_signal_to_the_server_does_not_take_it_from_the_service(folder: Path) -> None:
    """A SIGTERM to the whole group, as some init systems send it, leaves workers a server to finish on."""
    with EmbeddedServer(folder) as url:
        pid = server_pid(url)
        os.kill(parent(pid), signal.SIGTERM)
        os.kill(pid, signal.SIGTERM)
        until(lambda: not alive(pid), 5, "the old server to end")
        until(lambda: answers(url), 2, "a new one to answer")


def test_a_second_service_on_the_folder_refuses_with_one_line(folder: Path, owner: subprocess.Popen[str]) -> None:
    """Two services cannot share a data folder: the second says so, names it and says what to do."""
    with pytest.raises(FolderInUse) as refused:
        EmbeddedServer(folder, lock_timeout=0.1).start()
    assert str(folder) in str(refused.value)
    assert "BATON_DATA_DIR" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert answers(embedded_url(folder))


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_behind_however_the_service_ends(
    folder: Path, owner: subprocess.Popen[str], ending: signal.Signals
) -> None:
    """When the service ends, by kill -9 too, server and supervisor end, and the socket and its folder are gone."""
    server = server_pid(embedded_url(folder))
    supervisor = parent(server)
    owner.send_signal(ending)
    until(lambda: not alive(server) and not alive(supervisor), 5, "both processes to end")
    assert not socket_path(folder).parent.exists()


def test_a_killed_supervisor_is_replaced(folder: Path, owner: subprocess.Popen[str]) -> None:
    """kill -9 of the supervisor ends its server too; both are back by themselves, with everything, and end in order."""
    url = embedded_url(folder)
    for said in ("one", "two"):
        server = server_pid(url)
        with client(url) as asked:
            asked.rpush("log", said)
        os.kill(parent(server), signal.SIGKILL)
        until(lambda before=server: not alive(before) and answers(url), 10, "the server to be back")
    with client(url) as asked:
        assert asked.lrange("log", 0, -1) == ["one", "two"]
    server = server_pid(url)
    owner.send_signal(signal.SIGTERM)
    until(lambda: not alive(server), 5, "the server to end with its service")


def test_a_service_heals_when_its_supervisor_is_killed(service: Callable[..., Service], tmp_path: Path) -> None:
    """Under gunicorn too: its workers go on with the new server, conversations are all there, and it ends in order."""
    running = service()
    url = embedded_url(tmp_path / "data")
    with httpx.Client(base_url=running.url, timeout=10) as visitor:
        session = visitor.post("/api/session/create").json()["session_id"]
        workers = running.workers()
        server = server_pid(url)
        os.kill(parent(server), signal.SIGKILL)
        until(lambda: not alive(server) and answers(url), 10, "the server to be back")
        until(lambda: visitor.get(f"/api/session/{session}").status_code == 200, 10, "the conversation to be there")
        until(lambda: visitor.get("/health").status_code == 200, 10, "the service to be healthy")
        assert running.workers() == workers
    assert "supervisor died and is started again" in running.output
    server = server_pid(url)
    assert running.stop() == 0
    assert not alive(server)


def test_the_server_does_not_outlive_supervisor_and_service(folder: Path, owner: subprocess.Popen[str]) -> None:
    """Should both be killed, the server ends with them; the next start takes over the stale socket."""
    server = server_pid(embedded_url(folder))
    owner.kill()
    os.kill(parent(server), signal.SIGKILL)
    until(lambda: not alive(server), 5, "the server to end")
    with EmbeddedServer(folder) as url:
        assert answers(url)


def test_a_restart_right_after_a_kill_waits_for_the_old_server(folder: Path, owner: subprocess.Popen[str]) -> None:
    """A service that comes while the old one's server is still shutting down gets the folder and all that is in it."""
    with client(embedded_url(folder)) as asked:
        asked.set("said", "hello")
    owner.kill()
    with EmbeddedServer(folder) as url, client(url) as asked:
        assert asked.get("said") == "hello"


def test_ensure_uses_the_server_that_runs(folder: Path, owner: subprocess.Popen[str]) -> None:
    """A worker gets the address of the server that its master started, and starts none of its own."""
    before = server_pid(embedded_url(folder))
    assert start_or_reuse(folder) == embedded_url(folder)
    assert server_pid(embedded_url(folder)) == before


def test_ensure_starts_one_where_none_runs_and_ends_it_with_the_process(folder: Path) -> None:
    """Without a master the process starts the server itself, and takes it along when it ends."""
    process = subprocess.run(
        [sys.executable, "-c", ENSURER, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert process.stdout.strip() == embedded_url(folder)
    assert not socket_path(folder).parent.exists()


def test_a_forked_child_does_not_keep_the_server(folder: Path) -> None:
    """Workers are forks of the master: one that outlives it does not keep the server alive, nor can it stop it."""
    server = EmbeddedServer(folder)
    url = server.start()
    pid = server_pid(url)
    kept, keeper = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(keeper)
        server.stop()
        os.read(kept, 1)
        os._exit(0)
    assert answers(url)
    server.stop()
    assert not alive(pid)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.close(keeper)
    os.waitpid(child, 0)
    os.close(kept)


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    """A data folder that cannot be made is refused in a line that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="cannot be used"):
        EmbeddedServer(tmp_path / "file" / "data").start()


def test_a_damaged_log_is_reported_and_not_thrown_away(folder: Path) -> None:
    """When the append-only file cannot be read the start fails with the server's own reason; the file stays."""
    with EmbeddedServer(folder) as url, client(url) as asked:
        asked.set("said", "hello")
    manifest = next(folder.glob("appendonlydir/*.manifest"))
    manifest.write_text("no manifest at all\n")
    with pytest.raises(EmbeddedError, match="did not start on"):
        EmbeddedServer(folder).start()
    assert manifest.read_text() == "no manifest at all\n"


def test_a_socket_folder_of_somebody_else_is_not_entered(folder: Path) -> None:
    """A socket folder that others may enter is refused: whoever made it could listen in."""
    socket_path(folder).parent.mkdir(mode=0o755)
    try:
        with pytest.raises(EmbeddedError, match="private"):
            EmbeddedServer(folder).start()
    finally:
        socket_path(folder).parent.rmdir()
