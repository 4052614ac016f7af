"""What each shape of Redis costs a write, what a session weighs in it, and how far that goes: `make bench BENCH=scale`.

One Redis, a primary under Sentinels (with and without a replica to wait for) and a Cluster, in turns, five rounds;
figures are medians, and ratios to the one Redis. The second table is a model on paper out of the first figures.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from redis import Redis

from app.config import Settings
from app.conversations import ids
from app.conversations.events import serialize_message
from app.storage import open_store
from app.storage.base import NewMessage, TurnResult
from app.storage.redis_store import RedisConversationStore, StoreLimits
from tests.storage.servers import ClusterServers, Sentinels, Server

ROUNDS, TURNS = 5, 40
QUESTIONS, PIECES, PIECE = 4, 12, "x" * 100
PEAK_SHARE, ANSWER_SECONDS = 0.2, 10
RULES = StoreLimits(
    ttl=86_400_000, max_age=604_800_000, idle=1_800_000, ticket_ttl=300_000, max_messages=500, session_limit=0,
    session_window=1, max_engine_calls=1_000_000, max_engine_calls_per_minute=1_000_000,
)  # fmt: skip


def opened(url: str, wait_replicas: int = 0) -> RedisConversationStore:
    return open_store(Settings(redis_url=url, wait_replicas=wait_replicas), RULES)


def new(log: RedisConversationStore) -> str:
    session_hash = ids.hash_session_id(ids.new_session_id()) or ""
    log.create_session(session_hash, b"", "")
    return session_hash


def say(log: RedisConversationStore, session_hash: str, number: int) -> None:
    log.append_message(
        session_hash, "", NewMessage(serialize_message("user", "q" * 120, None, f"c{number}"), f"c{number}")
    )


def turn(log: RedisConversationStore, session_hash: str, number: int) -> None:
    """A question and an answer of 1,200 characters in twelve pieces, as a model gives it."""
    name = f"turn_{number}"
    log.acquire_engine_slot(name)
    log.start_turn(session_hash, "", NewMessage(serialize_message("user", "q" * 120, None, name), name), name)
    for piece in range(PIECES):
        log.append_delta(session_hash, name, piece * len(PIECE), PIECE)
    log.finish_turn(session_hash, name, TurnResult("end", offset=PIECES * len(PIECE)))
    log.release_engine_slot(name)


def timed(log: RedisConversationStore) -> tuple[float, float]:
    """Microseconds of an append and of a whole turn, of one caller after the other."""
    session_hash = new(log)
    began = time.perf_counter()
    for number in range(TURNS * 4):
        say(log, session_hash, number)
    between = time.perf_counter()
    for number in range(TURNS):
        turn(log, session_hash, number)
    ended = time.perf_counter()
    return (between - began) / TURNS / 4 * 1e6, (ended - between) / TURNS * 1e6


def cpu(client: Redis) -> float:
    cpu_info = client.info("cpu")
    return float(cpu_info["used_cpu_user"]) + float(cpu_info["used_cpu_sys"])


def weighed(log: RedisConversationStore, client: Redis) -> tuple[float, float, float]:
    """Redis' own microseconds for a turn, and the bytes of a session while its events are kept and afterwards."""
    refs = [new(log) for _ in range(200)]
    before = cpu(client)
    for session_hash in refs:
        for number in range(QUESTIONS):
            turn(log, session_hash, number)
    spent = (cpu(client) - before) / len(refs) / QUESTIONS * 1e6

    def size(session_hash: str) -> dict[bytes, int]:
        return {key: client.memory_usage(key, samples=0) for key in client.keys(f"baton:{{{session_hash}}}:*")}

    sizes = [size(session_hash) for session_hash in refs[:20]]
    fresh = statistics.mean(sum(one.values()) for one in sizes)
    rested = statistics.mean(sum(n for key, n in one.items() if not key.endswith(b":live")) for one in sizes)
    return spent, fresh, rested


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="baton-scale-")))
        one, sentinels, cluster = Server(folder, "--appendonly", "yes"), Sentinels(folder), ClusterServers(folder)
        stack.callback(one.kill)
        stack.callback(sentinels.stop)
        stack.callback(cluster.stop)
        logs = {
            "one Redis": opened(f"redis://{one.address}/0"),
            "Sentinels": opened(sentinels.url),
            "Sentinels, WAIT_REPLICAS=1": opened(sentinels.url, 1),
            "Cluster": opened(cluster.url),
            "Cluster, WAIT_REPLICAS=1": opened(cluster.url, 1),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in logs}
        for number in range(ROUNDS + 1):
            for name, log in logs.items():
                figures = timed(log)
                if number:  # the first round only warms up
                    found[name].append(figures)
        client = stack.enter_context(one.client())
        spent, fresh, rested = weighed(logs["one Redis"], client)
    table(found)
    print(f"\nRedis' own CPU for a turn of {PIECES + 4} writes: {spent:.0f} us")
    print(
        f"A session of {QUESTIONS} turns: {fresh / 1000:.1f} KB while its events are kept, {rested / 1000:.1f} KB after"
    )
    model(spent, fresh, rested)


def table(found: dict[str, list[tuple[float, float]]]) -> None:
    print(f"\n{'':28}{'append':>10}{'ratio':>8}{'turn':>10}{'ratio':>8}")
    base = [statistics.median(column) for column in zip(*found["one Redis"], strict=True)]
    for name, rounds in found.items():
        append, whole = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:28}{append:7.0f} us{append / base[0]:8.2f}{whole:7.0f} us{whole / base[1]:8.2f}")


def model(spent: float, fresh: float, rested: float) -> None:
    """Sessions a day against what they need: a fifth of a day's traffic falls into its busiest hour."""
    print(f"\n{'sessions a day':>15}{'turns/s':>9}{'answers at once':>17}{'of a Redis core':>17}{'memory':>10}")
    for sessions in (1_000, 10_000, 100_000, 1_000_000):
        turns = sessions * QUESTIONS * PEAK_SHARE / 3600
        kept = sessions * rested + sessions * PEAK_SHARE / 12 * (fresh - rested)
        share = turns * spent / 1e6
        print(f"{sessions:15,}{turns:9.1f}{turns * ANSWER_SECONDS:17.0f}{share:16.2%}{kept / 1e6:7.0f} MB")


if __name__ == "__main__":
    main()
