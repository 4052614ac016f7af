"""Where REDIS_URL leads: what its spellings mean, who signs in where, how a Cluster's redirections are followed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.connection import Connection, SSLConnection
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from app.errors import StorageUnavailable
from app.storage.connection_pool import Connections
from app.storage.discovery import Cluster, Place, one_server, reach, read_place, through_sentinels
from tests.conftest import until
from tests.storage.conftest import log_at, new, texts, words
from tests.storage.servers import NAME, ClusterServers, Sentinels, Server


def test_what_a_sentinel_address_says() -> None:
    """Hosts, the primary's name, the database and the sign-in are read; a port left out is the usual one."""
    place = read_place("redis+sentinel://ada:p%40ss@one:26380,two,[::1]:26381/my%20name/3?tls=true&sentinel_password=s")
    assert place.hosts == (("one", 26380), ("two", 26379), ("::1", 26381))
    assert place.path == "my%20name/3"
    assert place.url(("::1", 1), "3") == "rediss://ada:p%40ss@[::1]:1/3?"
    assert "p%40ss" not in repr(place)
    assert "sentinel_password" not in repr(place)


def test_what_a_cluster_address_says() -> None:
    """Hosts with and without ports; options go on to every node."""
    place = read_place("redis+cluster://one,two:7000?ssl_ca_certs=/a/b.pem&tls=1")
    assert place.hosts == (("one", 6379), ("two", 7000))
    assert place.url(("three", 7001)) == "rediss://three:7001/0?ssl_ca_certs=%2Fa%2Fb.pem"


def made(url: str, **more: Any) -> Any:
    return one_server(url, **more)()


def test_a_connection_waits_and_retries_as_we_say() -> None:
    """Whatever the address asks for, waits are bounded and the driver retries nothing; TLS and names go through."""
    plain = made("redis://ada:pw@h:1/2?socket_timeout=99&max_connections=5&timeout=9")
    assert isinstance(plain, Connection)
    assert (plain.username, plain.password, plain.db) == ("ada", "pw", 2)
    assert (plain.socket_connect_timeout, plain.socket_timeout) == (0.5, 1.0)
    assert plain.retry.get_retries() == 0
    secure = made("rediss://h:1/0?ssl_ca_certs=/a.pem&ssl_cert_reqs=required")
    assert isinstance(secure, SSLConnection)
    assert secure.ca_certs == "/a.pem"
    assert made("unix:///tmp/with%20space.sock").path == "/tmp/with space.sock"


def test_nobody_there_is_said_within_the_bound() -> None:
    """Where no Sentinel and no node answers, the search ends with one error and no wait to speak of."""
    for url in ("redis+sentinel://127.0.0.1:1,127.0.0.1:2/baton/0", "redis+cluster://127.0.0.1:1,127.0.0.1:2"):
        found = reach(url)
        with pytest.raises(RedisConnectionError):
            found.redis.execute("PING")
        with pytest.raises(RedisConnectionError):
            found.connect().connect()
        with pytest.raises(StorageUnavailable) as refused:
            new(log_at(url))
        assert refused.value.kind == "unreachable"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterServers]:
    servers = ClusterServers(tmp_path)
    yield servers
    servers.stop()


def counted(server: Server) -> int:
    """Redirections that a node has given so far."""
    with server.client() as asked:
        return sum(
            one["count"]
            for name, one in asked.info("errorstats").items()
            if name in ("errorstat_MOVED", "errorstat_ASK")
        )


def test_redirections_are_followed_once(cluster: ClusterServers) -> None:
    """A slot on its way to another node is served by ASK, then by MOVED, after which the new node is asked at once."""
    redis = Cluster(read_place(cluster.url))
    source, target = cluster.nodes[0], cluster.nodes[1]
    key = next(f"{{{n}}}:x" for n in range(10_000) if key_slot(str(n).encode()) < 5_000)
    slot = key_slot(key.encode())
    assert redis.execute("HSET", key, "a", 1) == 1
    names = {one: one.ask("CLUSTER", "MYID") for one in cluster.nodes[:3]}
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 5_000)
    before = counted(source)
    assert redis.execute("HGET", key, "a") == b"1"
    assert counted(source) == before + 1, "an ASK was given and followed"
    for one in (target, source, cluster.nodes[2]):
        one.ask("CLUSTER", "SETSLOT", slot, "NODE", names[target])
    assert redis.execute("HGET", key, "a") == b"1"
    moved = counted(source)
    assert moved == before + 2, "a MOVED was given and followed"
    until(lambda: redis.node(("HGET", key)) == ("127.0.0.1", target.port), 5, "the slots to be learnt")
    for _ in range(10):
        assert redis.execute("HGET", key, "a") == b"1"
    assert counted(source) == moved


def test_one_dead_node_does_not_shut_out_the_others_sessions(cluster: ClusterServers) -> None:
    """While a node hangs, the sessions of the others are served on, and nobody waits longer than the bound."""
    log = log_at(cluster.url)
    refs = [new(log) for _ in range(30)]
    old = cluster.holder(refs[0])
    assert old
    hit = [session_hash for session_hash in refs if cluster.holder(session_hash) is old]
    rest = [session_hash for session_hash in refs if session_hash not in hit]
    assert hit
    assert rest
    old.kill()
    for _ in range(3):
        for session_hash in rest:
            log.append_message(session_hash, "", words("served"))
        for session_hash in hit:
            with pytest.raises(StorageUnavailable):
                log.append_message(session_hash, "", words("refused"))
    assert log.health()["redis"] == "ok"


ACL = "user ada on >word ~baton:* &baton:* +@all"


def test_users_of_sentinel_setups(tmp_path: Path) -> None:
    """A user with rights on Baton's keys alone signs in at the data servers; Sentinels may have none."""
    servers = Sentinels(tmp_path)
    try:
        for one in servers.data:
            one.ask("ACL", "SETUSER", *ACL.split()[1:])
        hosts = ",".join(one.address for one in servers.sentinels)
        log = log_at(f"redis+sentinel://ada:word@{hosts}/{NAME}/0", wait_replicas=1)
        session_hash = new(log)
        log.append_message(session_hash, "", words("said"))
        assert texts(log, session_hash) == ["said"]
        with log.subscribe(session_hash, near=False) as watch:
            log_at(servers.url).append(session_hash, "", words("more"))
            assert watch.wait(3.0)
        with pytest.raises(StorageUnavailable) as refused:
            new(log_at(f"redis+sentinel://ada:wrong@{hosts}/{NAME}/0"))
        assert refused.value.kind == "WRONGPASS"
        for one in servers.sentinels:
            one.ask("ACL", "SETUSER", "watcher", "on", ">eye", "+@all", "allchannels")
            one.ask("ACL", "SETUSER", "default", "off")
        own = "sentinel_username=watcher&sentinel_password=eye"
        new(log_at(f"redis+sentinel://ada:word@{hosts}/{NAME}/0?{own}"))
        with pytest.raises(StorageUnavailable):
            new(log_at(f"redis+sentinel://ada:word@{hosts}/{NAME}/0"))
    finally:
        servers.stop()


def test_a_user_of_a_cluster(cluster: ClusterServers) -> None:
    """A user with rights on Baton's keys alone is enough for every node."""
    for one in cluster.nodes:
        one.ask("ACL", "SETUSER", *ACL.split()[1:])
    log = log_at(cluster.url.replace("://", "://ada:word@"))
    for _ in range(10):
        session_hash = new(log)
        log.append_message(session_hash, "", words("said"))
        assert texts(log, session_hash) == ["said"]


def test_a_server_that_is_no_primary_is_not_taken(tmp_path: Path) -> None:
    """What the Sentinels name is asked for its role before it is trusted with a write."""
    servers = Sentinels(tmp_path)
    try:
        connect = through_sentinels(read_place(servers.url))
        assert Connections(connect).execute("ROLE")[0] == b"master"
        for one in servers.sentinels:
            one.freeze()
        servers.sentinels[0].thaw()
        assert Connections(connect).execute("ROLE")[0] == b"master", "one Sentinel is enough"
        servers.primary().ask("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises((RedisConnectionError, ResponseError)):
            connect()
    finally:
        servers.stop()


def test_a_place_hides_its_secrets() -> None:
    """Neither the sign-in nor the options of an address are shown when it is printed."""
    shown = repr(Place((("h", 1),), "baton/0", "ada:word@", (("sentinel_password", "eye"),)))
    assert "word" not in shown
    assert "eye" not in shown
