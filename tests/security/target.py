"""What an attacker may look at of a service under attack: its output, and every key of its Redis."""

from __future__ import annotations

from dataclasses import dataclass

from tests.contract.launch import RedisProcess, Service


@dataclass(frozen=True)
class Target:
    """A service and the Redis behind it."""

    service: Service
    redis: RedisProcess

    @property
    def base(self) -> str:
        return self.service.base

    def names(self, part: str = "") -> list[str]:
        """The names of all keys that hold ``part``."""
        with self.redis.client() as look:
            return sorted(name for name in look.scan_iter(count=1000) if part in name)

    def endless(self) -> list[str]:
        """The names of the keys without an expiry."""
        with self.redis.client() as look:
            return [name for name in look.scan_iter(count=1000) if look.pttl(name) == -1]

    def everything(self) -> str:
        """Every name with its value in Redis, a line each."""
        values: list[str] = []
        with self.redis.client() as look:
            for name in look.scan_iter(count=1000):
                kind = look.type(name)
                if kind == "none":
                    continue  # expired meanwhile
                read = {
                    "string": lambda n: look.get(n),
                    "hash": look.hgetall,
                    "stream": look.xrange,
                    "zset": lambda n: look.zrange(n, 0, -1),
                    "set": look.smembers,
                    "list": lambda n: look.lrange(n, 0, -1),
                }[kind]
                values.append(f"{name} {read(name)!r}")
        return "\n".join(values)

    def commands(self) -> int:
        """How many commands Redis has run, but for those that look or keep company."""
        quiet = (
            "ping",
            "info",
            "client",
            "hello",
            "config",
            "subscribe",
            "unsubscribe",
            "ssubscribe",
            "auth",
            "select",
        )
        with self.redis.client() as look:
            stats: dict[str, dict[str, int]] = look.info("commandstats")
        return sum(
            entry["calls"] for name, entry in stats.items() if not name.removeprefix("cmdstat_").startswith(quiet)
        )
