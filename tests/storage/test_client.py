"""Where REDIS_URL leads: its forms, who signs in where, how connections are used, how redirections are followed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.crc import key_slot

from app.errors import StorageUnavailable
from app.storage.client import MAX_CONNECTIONS, RedisClient, parse_multi_host_url
from tests.conftest import ROOT
from tests.contract.launch import eventually
from tests.storage.conftest import log_at, new, texts, words
from tests.storage.servers import NAME, Backend, ClusterServers, Sentinels, Server


def test_what_a_sentinel_url_says() -> None:
    """Hosts, the primary's name, the database and the logins are read; a port left out is the default one."""
    url = "redis+sentinel://ada:p%40ss@one:26380,two,[::1]:26381/my%20name/3?tls=true&sentinel_password=eye"
    addresses = parse_multi_host_url(url)
    assert addresses.hosts == (("one", 26380), ("two", 26379), ("::1", 26381))
    assert addresses.service_name == "my name"
    options = addresses.options
    assert (options["username"], options["password"], options["db"]) == ("ada", "p@ss", 3)
    assert options["connection_class"] is SSLConnection
    assert addresses.sentinel_login == {"password": "eye"}


def test_what_a_cluster_url_says() -> None:
    """Hosts with and without ports; options go on to every node."""
    addresses = parse_multi_host_url("redis+cluster://one,two:7000?ssl_ca_certs=/a/b.pem&tls=1")
    assert addresses.hosts == (("one", 6379), ("two", 7000))
    assert addresses.options["ssl_ca_certs"] == "/a/b.pem"
    assert addresses.options["connection_class"] is SSLConnection


def test_parsed_addresses_do_not_show_their_secrets() -> None:
    """Neither login is shown when the parsed URL is printed."""
    shown = repr(parse_multi_host_url("redis+sentinel://ada:word@h/baton/0?sentinel_password=eye"))
    assert "word" not in shown
    assert "eye" not in shown


def connection_to(url: str) -> Any:
    """A connection as the client makes it, not connected yet."""
    return RedisClient(url)._redis.connection_pool.make_connection()


def test_a_connection_waits_and_retries_as_we_say() -> None:
    """Whatever the URL asks for, waits are bounded and redis-py retries nothing; TLS and names go through."""
    plain = connection_to("redis://ada:pw@h:1/2?socket_timeout=99&max_connections=5&timeout=9")
    assert isinstance(plain, Connection)
    assert (plain.username, plain.password, plain.db) == ("ada", "pw", 2)
    assert (plain.socket_connect_timeout, plain.socket_timeout) == (0.5, 1.0)
    assert plain.retry.get_retries() == 0
    secure = connection_to("rediss://h:1/0?ssl_ca_certs=/a.pem&ssl_cert_reqs=required")
    assert isinstance(secure, SSLConnection)
    assert secure.ca_certs == "/a.pem"
    socket = connection_to("unix:///tmp/with%20space.sock")
    assert isinstance(socket, UnixDomainSocketConnection)
    assert socket.path == "/tmp/with space.sock"
    through = connection_to("redis+sentinel://h/baton/0?tls=true")
    assert isinstance(through, SSLConnection)
    assert through.retry.get_retries() == 0


def test_nobody_there_is_said_within_the_bound() -> None:
    """Where no Sentinel and no node answers, the search ends with one error and no wait to speak of."""
    for url in ("redis+sentinel://127.0.0.1:1,127.0.0.1:2/baton/0", "redis+cluster://127.0.0.1:1,127.0.0.1:2"):
        client = RedisClient(url)
        with pytest.raises(StorageUnavailable):
            client.call("PING")
        with pytest.raises((redis.RedisError, OSError)):
            client.pubsub().subscribe("any")
        with pytest.raises(StorageUnavailable) as refused:
            new(log_at(url))
        assert refused.value.kind == "unreachable"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A Redis of the test's own."""
    one = Server(tmp_path)
    yield one
    one.thaw()
    one.kill()


def clients(server: Server) -> int:
    """How many connections the server has, the asking one included."""
    with server.client() as asked:
        return int(asked.info("clients")["connected_clients"])


def test_more_callers_than_connections_wait_for_one(server: Server) -> None:
    """Three times as many callers at once as there may be connections: all are served, and no more are made."""
    client = RedisClient(f"redis://{server.address}/0")
    failures: list[Exception] = []
    most = [0]

    def call(number: int) -> None:
        try:
            for turn in range(5):
                assert client.call("ECHO", f"{number}.{turn}") == f"{number}.{turn}".encode()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(3 * MAX_CONNECTIONS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most[0] = max(most[0], clients(server))
    assert failures == []
    assert most[0] <= MAX_CONNECTIONS + 2


def test_connections_of_a_burst_are_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """When fewer calls come at once, connections that nobody used for a while are closed; the next burst is served."""
    monkeypatch.setattr("app.storage.client.UNUSED_SECONDS", 0.05)
    monkeypatch.setattr("app.storage.client.IDLE_SECONDS", 0.01)
    client = RedisClient(f"redis://{server.address}/0")
    before = clients(server)
    for _ in range(2):
        barrier = threading.Barrier(8)

        def sleep(barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            client.call("BLPOP", "nothing", "0.3")

        threads = [threading.Thread(target=sleep) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert clients(server) >= before + 4
        assert eventually(lambda: bool(client.call("PING")) and clients(server) <= before + 1)


def test_a_connection_closed_while_it_was_idle_is_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server closes idle connections: the next call makes a new one and does not fail."""
    monkeypatch.setattr("app.storage.client.IDLE_SECONDS", 0.0)
    client = RedisClient(f"redis://{server.address}/0")
    for _ in range(3):
        assert client.call("PING")
        server.ask("CLIENT", "KILL", "TYPE", "normal")


CANCELLED = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from app.errors import StorageUnavailable
from app.storage.client import LuaScript, RedisClient, load_script

client = RedisClient(sys.argv[1], wait_replicas=int(sys.argv[2]))
script = load_script("rate_limit")
script.source = "#!lua\\nfor _ = 1, ARGV[2] do redis.call('INCR', KEYS[1]) end return ARGV[1]"
import hashlib
script.sha = hashlib.sha1(script.source.encode()).hexdigest()
wrong = answered = 0


def own(number, busy):
    global wrong, answered
    word = f"canary-{number}".encode()
    try:
        reply = client.run(script, ("baton:limits:{x}:count",), word, busy, wait=True)
    except StorageUnavailable:
        return
    answered += 1
    wrong += reply != word


def cut(number):
    with gevent.Timeout(0.001 * (number % 5), False):
        own(number, 3000)


own(0, 0)
for round in range(40):
    calls = [gevent.spawn(cut, 10 * round + n) for n in range(6)]
    killed = [gevent.spawn(own, 1000 + 10 * round + n, 3000) for n in range(3)]
    gevent.sleep(0.002)
    gevent.killall(killed)
    later = [gevent.spawn(own, 2000 + 10 * round + n, 0) for n in range(4)]
    gevent.joinall(calls + later)
print(wrong, answered)
"""


@pytest.mark.parametrize("replicas", [0, 1])
def test_a_cancelled_call_leaves_no_reply_for_the_next(backend: Backend, replicas: int) -> None:
    """R28: calls are timed out and killed while Redis works on them; whoever uses a connection later gets its own."""
    done = subprocess.run(
        [sys.executable, "-c", CANCELLED, backend.url, str(replicas if backend.replicas else 0)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wrong, answered = map(int, done.stdout.split())
    assert wrong == 0
    assert answered > 40


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
    client = RedisClient(cluster.url)
    source, target = cluster.nodes[0], cluster.nodes[1]
    key = next(f"{{{n}}}:x" for n in range(10_000) if key_slot(str(n).encode()) < 5_000)
    slot = key_slot(key.encode())
    assert client.call("HSET", key, "a", 1) == 1
    names = {one: one.ask("CLUSTER", "MYID") for one in cluster.nodes[:3]}
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 5_000)
    before = counted(source)
    assert client.call("HGET", key, "a") == b"1"
    assert counted(source) == before + 1, "an ASK was given and followed"
    for one in (target, source, cluster.nodes[2]):
        one.ask("CLUSTER", "SETSLOT", slot, "NODE", names[target])
    assert client.call("HGET", key, "a") == b"1"
    assert counted(source) == before + 2, "a MOVED was given and followed"
    for _ in range(10):
        assert client.call("HGET", key, "a") == b"1"
    assert counted(source) == before + 2


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
        with log.subscribe(session_hash, local=False) as watch:
            log_at(servers.url).append_message(session_hash, "", words("more"))
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


def test_a_server_that_is_no_primary_is_not_used(tmp_path: Path) -> None:
    """A server that the Sentinels name is asked for its role before it gets a write."""
    servers = Sentinels(tmp_path)
    try:
        assert RedisClient(servers.url).call("ROLE")[0] == b"master"
        for one in servers.sentinels:
            one.freeze()
        servers.sentinels[0].thaw()
        assert RedisClient(servers.url).call("ROLE")[0] == b"master", "one Sentinel is enough"
        servers.primary().ask("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StorageUnavailable):
            RedisClient(servers.url).call("ROLE")
    finally:
        servers.stop()
