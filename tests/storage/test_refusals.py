"""Redis as it refuses: reading goes on, a write's outcome is unknown until a retry, the log names the kind."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from app.errors import StorageUnavailable
from app.storage.base import TurnResult
from app.storage.client import RedisClient, warn_about_redis_config
from app.storage.redis_store import RedisConversationStore
from tests.conftest import until
from tests.storage.conftest import log_at, new, texts, words
from tests.storage.servers import Sentinels, Server
from tests.storage.turns import dead_turn, kinds


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A Redis of the test's own."""
    one = Server(tmp_path, "--appendonly", "yes")
    yield one
    one.thaw()
    one.kill()


def url(server: Server) -> str:
    return f"redis://{server.address}/0"


def refused(work: Callable[[], object]) -> str:
    """The kind of trouble that a call meets; empty where it works."""
    try:
        work()
    except StorageUnavailable as error:
        return error.kind
    return ""


def reads(log: RedisConversationStore, session_hash: str) -> None:
    """Everything that reads works."""
    assert texts(log, session_hash) == ["before"]
    assert len(log.read_events(session_hash, "", 0).events) == 1


REFUSALS = {
    "READONLY": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "OOM": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    "NOREPLICAS": (("CONFIG", "SET", "min-replicas-to-write", "1"), ("CONFIG", "SET", "min-replicas-to-write", "0")),
    "timeout": (("CLIENT", "PAUSE", "60000", "WRITE"), ("CLIENT", "UNPAUSE")),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_reading_goes_on_while_writes_are_refused(server: Server, kind: str) -> None:
    """Paused, read-only, full or without replicas: history and feeds read on, writes and health say why, then heal."""
    refuse, heal = REFUSALS[kind]
    log = log_at(url(server))
    session_hash = new(log)
    log.append_message(session_hash, "", words("before"))
    server.ask("CONFIG", "SET", "replica-serve-stale-data", "yes")
    server.ask(*refuse)
    for _ in range(3):
        assert refused(lambda: log.append_message(session_hash, "", words("during", "c1"))) == kind
        assert refused(lambda: log.create_session("0" * 32, b"", "")) == kind
        assert log.health()["redis"] == kind
        reads(log, session_hash)
    server.ask(*heal)
    until(
        lambda: refused(lambda: log.append_message(session_hash, "", words("during", "c1"))) == "", 3, "writes to heal"
    )
    assert texts(log, session_hash) == ["before", "during"]
    assert log.health()["redis"] == "ok"


SMALL_WRITES: dict[str, Callable[[RedisConversationStore, str], object]] = {
    "a place of the engine budget": lambda log, session_hash: log.release_engine_slot("turn_1"),
    "a place among the feeds": lambda log, session_hash: log.release_feed_slot("", "f1", session_hash),
    "a word to the readers": lambda log, session_hash: refused(lambda: log.wake_subscribers(session_hash)),
}


@pytest.mark.parametrize("what", SMALL_WRITES)
def test_what_is_given_back_while_writes_are_paused_does_not_stop_the_readers(server: Server, what: str) -> None:
    """Giving a place back and ringing are writes: while they fail, history and feeds are read all the same."""
    log = log_at(url(server))
    session_hash = new(log)
    log.append_message(session_hash, "", words("before"))
    server.ask("CLIENT", "PAUSE", "60000", "WRITE")
    for _ in range(3):
        SMALL_WRITES[what](log, session_hash)
    reads(log, session_hash)
    server.ask("CLIENT", "UNPAUSE")


def test_no_turn_is_dead_for_want_of_storage(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that ran out while Redis was away is no death: for 2 s after trouble its worker may renew it first."""
    log, session_hash = dead_turn(lambda: log_at(url(server)), monkeypatch)
    server.freeze()
    assert refused(lambda: log.read_messages(session_hash, "", "", 0, 0)) == "timeout"
    server.thaw()
    since = time.monotonic()
    until(lambda: refused(lambda: log.read_messages(session_hash, "", "", 0, 0)) == "", 5, "Redis to be back")
    assert log.expire_dead_turn(session_hash) is False
    assert "answer.error" not in kinds(log, session_hash)
    until(lambda: log.expire_dead_turn(session_hash), 5, "the grace to be over")
    assert time.monotonic() - since > 1.5
    assert kinds(log, session_hash).count("answer.error") == 1


def test_a_worker_that_is_back_in_time_keeps_its_turn(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within those 2 s its next word is taken, and the turn lives on."""
    log, session_hash = dead_turn(lambda: log_at(url(server)), monkeypatch)
    server.freeze()
    assert refused(lambda: log.read_messages(session_hash, "", "", 0, 0)) == "timeout"
    server.thaw()
    until(lambda: refused(lambda: log.read_messages(session_hash, "", "", 0, 0)) == "", 5, "Redis to be back")
    assert log.expire_dead_turn(session_hash) is False
    assert log.append_delta(session_hash, "turn_1", 6, " and on")
    assert log.finish_turn(session_hash, "turn_1", TurnResult("end", offset=13))
    assert texts(log, session_hash) == ["asked", "So far and on"]


def test_reading_from_a_log_that_knows_no_script_yet(server: Server) -> None:
    """A worker that starts while writes are refused, so that Redis may not know its scripts, reads all the same."""
    first = log_at(url(server))
    session_hash = new(first)
    first.append_message(session_hash, "", words("before"))
    server.ask("SCRIPT", "FLUSH")
    server.ask("CLIENT", "PAUSE", "60000", "WRITE")
    reads(log_at(url(server)), session_hash)
    server.ask("CLIENT", "UNPAUSE")


def test_a_changed_password_is_named_and_never_shown(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """NOAUTH without a password, WRONGPASS with a wrong one, one warning with the kind, none with the password."""
    secret = "correct-horse"
    server.ask("CONFIG", "SET", "requirepass", secret)
    with caplog.at_level(logging.WARNING):
        for address, kind in ((url(server), "NOAUTH"), (f"redis://:wrong-battery@{server.address}/0", "WRONGPASS")):
            log = log_at(address)
            assert refused(lambda log=log: new(log)) == kind
            assert log.health()["redis"] == kind
            assert f"storage unavailable for writes: {kind}" in caplog.messages
        assert refused(lambda: new(log_at(f"redis://:{secret}@{server.address}/0"))) == ""
    assert secret not in caplog.text
    assert "wrong-battery" not in caplog.text


def test_a_long_command_on_a_connection_that_lost_its_login(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """H1: the password changes under load and connections are cut: NOAUTH for every append, and it heals."""
    log = log_at(url(server))
    session_hash = new(log)
    log.append_message(session_hash, "", words("before"))
    server.ask("CONFIG", "SET", "requirepass", "correct-horse")
    with redis.Redis(port=server.port, password="correct-horse", protocol=2) as operator:
        operator.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with caplog.at_level(logging.WARNING):
            kinds = [refused(lambda: log.append_message(session_hash, "", words("x" * 300))) for _ in range(4)]
        assert kinds[-1] == "NOAUTH"
        assert set(kinds) <= {"NOAUTH", "unreachable"}
        operator.config_set("requirepass", "")
    assert "storage unavailable for writes: NOAUTH" in caplog.messages
    until(lambda: refused(lambda: log.append_message(session_hash, "", words("after"))) == "", 3, "healing")


def test_an_unexpected_answer_is_an_outage_and_quotes_nobody(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A Redis that forbids or does not know a command: StorageUnavailable, the log names the kind in its own words,
    and nothing of what was sent; it heals.
    """
    log = log_at(url(server))
    session_hash = new(log)
    server.ask("ACL", "SETUSER", "default", "-@all", "+@connection", "+acl")
    with caplog.at_level(logging.WARNING):
        assert refused(lambda: log.append_message(session_hash, "", words("private words"))) == "NOPERM"
    server.ask("ACL", "SETUSER", "default", "+@all")
    until(lambda: refused(lambda: log.append_message(session_hash, "", words("before"))) == "", 5, "healing")
    with caplog.at_level(logging.WARNING):
        wrong = RedisClient(url(server))
        assert refused(lambda: wrong.call("GETX", "private words")) == "ERR unknown command"
        assert refused(lambda: wrong.call("GET", f"baton:{{{session_hash}}}:meta")).startswith("WRONGTYPE")
    assert "storage unavailable for reads: ERR unknown command" in caplog.messages
    assert "private words" not in caplog.text
    reads(log, session_hash)


def test_an_outage_and_its_end_are_logged_once(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """While Redis is away there is one line, when it is back another, however many calls fail in between."""
    log = log_at(url(server))
    session_hash = new(log)
    until(lambda: log.health()["redis"] == "ok", 5, "the start to be over")
    with caplog.at_level(logging.WARNING, "app.storage.client"):
        server.kill()
        until(
            lambda: (
                [refused(lambda: log.append_message(session_hash, "", words("x"))) for _ in range(20)].count("") == 0
            ),
            5,
            "trouble",
        )
        until(
            lambda: refused(lambda: log.append_message(session_hash, "", words("x"))) == "unreachable",
            5,
            "refusals at once",
        )
        server.start()
        until(lambda: refused(lambda: log.append_message(session_hash, "", words("x"))) == "", 3, "healing")
    lines = [line for line in caplog.messages if "writes" in line]
    assert lines == ["storage unavailable for writes: unreachable", "storage works again for writes"]


def test_a_redis_that_evicts_or_forgets_is_warned_of(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """At the start an evicting policy and a missing append-only file are each one warning; a good one none."""

    def warnings() -> list[str]:
        return [line for line in caplog.messages if line.startswith("Redis ")]

    with caplog.at_level(logging.WARNING, "app.storage.client"):
        warn_about_redis_config(RedisClient(url(server)))
        assert warnings() == []
        server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        server.ask("CONFIG", "SET", "appendonly", "no")
        log_at(url(server))
        until(lambda: len(warnings()) == 2, 10, "two warnings")
    assert "maxmemory-policy is allkeys-lru" in warnings()[0]
    assert "appendonly is off" in warnings()[1]


def test_more_than_a_hundred_broken_connections_in_a_workers_life_are_nothing(server: Server) -> None:
    """However often its connections are cut, a worker makes new ones."""
    log = log_at(url(server))
    session_hash = new(log)
    stored = 0
    for _ in range(130):
        server.ask("CLIENT", "KILL", "TYPE", "normal")
        until(lambda: refused(lambda: log.append_message(session_hash, "", words("x"))) == "", 5, "a new connection")
        stored += 1
    assert log.read_messages(session_hash, "", "", 0, 0).message_count == stored


def test_a_write_that_too_few_replicas_have_is_of_unknown_outcome(tmp_path: Path) -> None:
    """With WAIT_REPLICAS every write is a 503 while the replica hangs, retries too; then it is there once."""
    servers = Sentinels(tmp_path)
    primary = servers.primary()
    replica = next(one for one in servers.data if one is not primary)
    try:
        log = log_at(url(primary), wait_replicas=1, ticket_ttl=60_000)
        session_hash = new(log)
        log.append_message(session_hash, "", words("before"))
        ticket = "0" * 32
        log.save_ticket(session_hash, "", ticket, "once", "ab")
        writes: list[Callable[[RedisConversationStore], object]] = [
            lambda log: log.append_message(session_hash, "", words("said", "c1")),
            lambda log: log.start_turn(session_hash, "", words("asked", "c2"), "turn_1"),
            lambda log: log.finish_turn(session_hash, "turn_1", TurnResult("end", tail="answered")),
            lambda log: log.redeem_ticket(session_hash, "", ticket, "c3"),
        ]
        replica.freeze()
        for write in writes:
            for _ in range(2):
                another = log_at(url(primary), wait_replicas=1, ticket_ttl=60_000)
                assert refused(lambda write=write, another=another: write(another)) == "NOREPLICAS"
        replica.thaw()
        for write in writes:
            until(lambda write=write: refused(lambda: write(log)) == "", 10, "the replica to catch up")
        assert texts(log, session_hash) == ["before", "said", "asked", "answered"]
        assert log.append_message(session_hash, "", words("said", "c1")).is_new is False
    finally:
        servers.stop()
