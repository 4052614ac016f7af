"""Starts Redis in every shape that the store is for, on loopback: one server, a primary with Sentinels, a Cluster."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot

from app.storage.embedded_redis import EmbeddedServer, server_binary
from tests.conftest import free_port, until

NAME = "baton"
COUNTED = ("evalsha", "hget", "hset", "hmget", "xadd", "xrange", "xrevrange", "exists", "pexpireat", "get", "time")


class Server:
    """One process: a data server, a Sentinel or a Cluster's node."""

    def __init__(self, folder: Path, *options: str, binary: Path | None = None, sentinel: str = "") -> None:
        self.port = free_port()
        self.folder = folder / str(self.port)
        self.folder.mkdir(parents=True)
        address = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--loglevel", "warning"]
        quick = ["--save", "", "--repl-diskless-sync-delay", "0"]
        self._command = [str(binary or server_binary()), *address, *quick, *options]
        if sentinel:
            own = self.folder / "sentinel.conf"
            own.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\nloglevel warning\n{sentinel}")
            self._command = [str(binary or server_binary()), str(own), "--sentinel"]
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(self._command, stdout=said, stderr=said, start_new_session=True)
        until(self.answers, 20, f"{self.address} to answer: {(self.folder / 'said').read_text()[-500:]}")

    def answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.ask("PING"))
        return False

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, retry=None, socket_timeout=5, protocol=2)

    def ask(self, *words: Any) -> Any:
        """A reply as it comes over the wire."""
        with self.client() as asked:
            connection = asked.connection_pool.get_connection()
            connection.send_command(*words)
            return connection.read_response()

    def role(self) -> bytes:
        """``master``, ``slave`` or ``sentinel``; empty where it does not answer now."""
        with contextlib.suppress(redis.RedisError):
            return bytes(self.ask("ROLE")[0])
        return b""

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Backend:
    """A Redis to run the suite on."""

    def __init__(self, name: str, url: str, primaries: list[redis.Redis]) -> None:
        self.name, self.url, self.primaries = name, url, primaries
        self.replicas = int(name in ("sentinel", "cluster"))
        """How many replicas every primary has."""

    def holder(self, session_hash: str) -> redis.Redis:
        """The server that holds the session."""
        if len(self.primaries) == 1:
            return self.primaries[0]
        slot = key_slot(session_hash.encode())
        return self.primaries[slot * len(self.primaries) // 16384]

    def held(self) -> list[bytes]:
        """Every key there is."""
        return [key for one in self.primaries for key in one.keys("*")]

    def flush(self) -> None:
        for one in self.primaries:
            one.flushall()

    def commands(self) -> int:
        """How many commands on data have been run so far, those inside scripts included."""
        found = [one.info("commandstats") for one in self.primaries]
        return sum(stat["calls"] for stats in found for name, stat in stats.items() if name[8:] in COUNTED)

    def endless(self) -> list[bytes]:
        """The keys that would live for ever."""
        return [key for one in self.primaries for key in one.keys("*") if one.pttl(key) == -1]


class Sentinels:
    """A primary, its replicas and three Sentinels that take a second to give up on the primary."""

    def __init__(self, folder: Path, *options: str, replicas: int = 1) -> None:
        self.data = [Server(folder, "--appendonly", "yes", *options)]
        first = self.data[0]
        self.replicas = replicas
        follow = ("--appendonly", "yes", "--replicaof", "127.0.0.1", str(first.port))
        self.data += [Server(folder, *follow, *options) for _ in range(replicas)]
        self.sentinels = [
            Server(
                folder,
                sentinel=f"sentinel monitor {NAME} 127.0.0.1 {first.port} 2\n"
                f"sentinel down-after-milliseconds {NAME} 1000\nsentinel failover-timeout {NAME} 3000\n",
            )
            for _ in range(3)
        ]
        until(self.ready, 30, "the Sentinels to know each other and the replica")

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(one.address for one in self.sentinels)}/{NAME}/0"

    def ready(self) -> bool:
        for one in self.sentinels:
            flat = one.ask("SENTINEL", "MASTER", NAME)
            master = dict(zip(flat[::2], flat[1::2], strict=True))
            if int(master[b"num-slaves"]) < self.replicas or int(master[b"num-other-sentinels"]) < 2:
                return False
        return self.linked()

    def linked(self) -> bool:
        """Whether the primary has its replicas online, and they have all that it has."""
        with contextlib.suppress(redis.RedisError):
            replication = [one.ask("INFO", "replication") for one in self.data]
            up = sum(b"master_link_status:up" in one for one in replication)
            return max(map(_replicas, self.data)) >= self.replicas <= up
        return False

    def primary(self) -> Server:
        """The server that says it is the primary."""
        return next(one for one in self.data if one.role() == b"master")

    def stop(self) -> None:
        for one in [*self.sentinels, *self.data]:
            one.thaw()
            one.kill()


def _replicas(server: Server) -> int:
    """How many replicas a primary has; none where it is no primary."""
    with contextlib.suppress(redis.RedisError):
        role = server.ask("ROLE")
        return len(role[2]) if role[0] == b"master" else 0
    return 0


class ClusterServers:
    """Three primaries, each with a replica, that take a second to give up on a node."""

    def __init__(self, folder: Path, *options: str) -> None:
        bus = [free_port() for _ in range(6)]
        given = "--cluster-enabled yes --cluster-node-timeout 1000 --cluster-replica-validity-factor 0 --appendonly yes"
        self.nodes = [Server(folder, *given.split(), "--cluster-port", str(port), *options) for port in bus]
        first, *others = self.nodes
        for number, one in enumerate(self.nodes[:3]):
            one.ask("CLUSTER", "ADDSLOTSRANGE", -(-16384 * number // 3), -(-16384 * (number + 1) // 3) - 1)
        for one, port in zip(others, bus[1:], strict=True):
            first.ask("CLUSTER", "MEET", "127.0.0.1", one.port, port)
        until(
            lambda: all(one.ask("CLUSTER", "NODES").count(b" connected") == 6 for one in self.nodes), 30, "them to meet"
        )
        for primary, replica in zip(self.nodes[:3], self.nodes[3:], strict=True):
            name = primary.ask("CLUSTER", "MYID")
            until(lambda name=name, replica=replica: _follows(replica, name), 20, "a replica to follow")
        until(self.ready, 30, "the Cluster to be whole")

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(one.address for one in self.nodes[:2])}"

    def met(self) -> bool:
        """Whether every node is connected to every other."""
        return all(one.ask("CLUSTER", "NODES").count(b" connected") == 6 for one in self.nodes)

    def ready(self) -> bool:
        """Whether every node finds the Cluster well and every primary has its replica online."""
        with contextlib.suppress(redis.RedisError):
            if not all(b"cluster_state:ok" in one.ask("CLUSTER", "INFO") for one in self.nodes):
                return False
        return sum(map(_replicas, self.nodes)) == 3

    def holder(self, session_hash: str) -> Server | None:
        """The primary that holds the session, where one says so of itself now."""
        slot = key_slot(session_hash.encode())
        for one in self.nodes:
            with contextlib.suppress(redis.RedisError):
                for first, last, primary, *_ in one.ask("CLUSTER", "SLOTS"):
                    if first <= slot <= last and int(primary[1]) == one.port:
                        return one
        return None

    def stop(self) -> None:
        for one in self.nodes:
            one.thaw()
            one.kill()


def _follows(replica: Server, name: Any) -> bool:
    with contextlib.suppress(redis.ResponseError):
        replica.ask("CLUSTER", "REPLICATE", name)
        return True
    return False


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[Backend]:
    with EmbeddedServer(folder / "embedded") as url, redis.Redis.from_url(url) as client:
        yield Backend("embedded", url, [client])


@contextlib.contextmanager
def on_path(folder: Path) -> Iterator[Backend]:
    found = shutil.which("redis-server")
    server = Server(folder, "--appendonly", "yes", binary=Path(found) if found else None)
    try:
        with server.client() as client:
            yield Backend("redis-server", f"redis://{server.address}/0", [client])
    finally:
        server.kill()


@contextlib.contextmanager
def sentinel(folder: Path) -> Iterator[Backend]:
    servers = Sentinels(folder)
    try:
        with servers.data[0].client() as client:
            yield Backend("sentinel", servers.url, [client])
    finally:
        servers.stop()


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Backend]:
    servers = ClusterServers(folder)
    try:
        with contextlib.ExitStack() as clients:
            primaries = [clients.enter_context(one.client()) for one in servers.nodes[:3]]
            yield Backend("cluster", servers.url, primaries)
    finally:
        servers.stop()


BACKENDS = {"embedded": embedded, "sentinel": sentinel, "cluster": cluster}
if shutil.which("redis-server"):
    BACKENDS["redis-server"] = on_path
