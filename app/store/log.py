"""The log of every conversation, in Redis: one Lua script a verb, one atomic trip each."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

import orjson
from redis.exceptions import RedisError

from app.errors import Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, StorageUnavailable
from app.ports import Batch, Begun, Closing, Look, Watch, Words, Written
from app.store.bell import Bell
from app.store.commands import Commands, Script
from app.transcript import rated

LEASE_MS = 10_000
_FEED_MS = 45_000
_BATCH = 500
_VERBS = (
    "create", "append", "begin", "grow", "close", "finish", "touch", "read", "follow", "handoff", "take", "rate",
    "erase", "count", "refund", "budget", "feed",
)  # fmt: skip
_BUDGET = ("baton:limits:{engine}:running", "baton:limits:{engine}:minute")
_STOPPED = Closing("stopped", metadata=b'{"stopped":true}')
_DEAD = Closing(
    "error", "engine_failed", "The answer broke off. Ask again to have it whole.", metadata=b'{"interrupted":true}'
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the log holds every session to. Times in ms; a limit of 0 is none."""

    ttl: int
    max_age: int
    idle: int
    ticket_ttl: int
    most_messages: int
    session_limit: int
    session_window: int
    engines_at_once: int
    engines_a_minute: int


def _check(reply: list[Any], refusal: Exception | None = None) -> list[Any]:
    """The reply, where the verb did its work; else the error that its first word names."""
    word = reply[0]
    if word == b"gone":
        raise NotFound
    if word == b"not_owner":
        raise Forbidden("This conversation belongs to a signed-in user.", code="not_owner")
    if word == b"ended":
        raise Conflict("This conversation has ended. Start a new one.")
    if word == b"busy":
        raise Conflict("An answer is being made. Wait for it or stop it.", code="turn_in_progress", retry_after=2)
    if word == b"full":
        raise Conflict("This conversation is full. Start a new one.", code="session_full")
    if word == b"limited":
        raise RateLimited("Too many messages in this conversation.", retry_after=math.ceil(reply[1] / 1000))
    if word == b"refused":
        raise refusal or RateLimited()
    return reply


class RedisLog:
    """SessionLog on Redis. ``ref`` names a session; its keys share one hash tag and so one Cluster slot."""

    def __init__(self, commands: Commands, bell: Bell, rules: Rules) -> None:
        self._redis = commands
        self._bell = bell
        self.rules = rules
        self._scripts = {name: Script(name) for name in _VERBS}
        self._life = (rules.ttl, rules.max_age)

    def _run(self, verb: str, ref: str, *args: Any, wait: bool = False) -> Any:
        return self._redis.run(self._scripts[verb], (f"baton:{{{ref}}}:meta",), *args, wait=wait)

    def create(self, ref: str, metadata: bytes, owner: str) -> tuple[int, int]:
        _, created, expires = self._run("create", ref, *self._life, metadata, owner, wait=True)
        return created, expires

    def append(self, ref: str, who: str, words: Words) -> Written:
        rules = self.rules
        reply = self._run(
            "append", ref, who, *self._life, words.client_id, words.body, rules.most_messages, rules.session_limit,
            rules.session_window, "0" if words.refusal else "1", wait=True,
        )  # fmt: skip
        _check(reply, words.refusal)
        if reply[0] == b"replay":
            return Written(reply[1], fresh=False)
        self.ring(ref)
        return Written(reply[1], True, reply[2], reply[3])

    def begin(self, ref: str, who: str, words: Words, turn_id: str) -> Begun:
        rules = self.rules
        for _ in range(3):
            reply = self._run(
                "begin", ref, who, *self._life, words.client_id, words.body, rules.most_messages, rules.session_limit,
                rules.session_window, "0" if words.refusal else "1", turn_id, LEASE_MS, wait=True,
            )  # fmt: skip
            if reply[0] != b"dead":
                break
            self.reap(ref)
        _check(reply, words.refusal)
        outcome = reply[0].decode()
        if outcome == "done":
            return Begun(outcome, reply[2].decode(), message=reply[1])
        if outcome == "joined":
            return Begun(outcome, reply[1].decode(), int(reply[2]))
        self.ring(ref)
        return Begun("begun", reply[1].decode(), int(reply[2]), reply[3], reply[4], reply[5])

    def grow(self, ref: str, turn_id: str, offset: int, text: str, stage: str) -> bool:
        reply = self._run("grow", ref, "*", *self._life, turn_id, LEASE_MS, offset, text, stage)
        alive = bool(reply[0] == b"ok")
        if text or stage or not alive:
            self.ring(ref)
        return alive

    def close(self, ref: str, turn_id: str, closing: Closing) -> bool:
        return self._close(ref, "*", turn_id, closing)

    def stop(self, ref: str, who: str) -> bool:
        return self._close(ref, who, "", _STOPPED)

    def reap(self, ref: str) -> None:
        with suppress(NotFound):
            self._close(ref, "*", "", _DEAD)

    def _close(self, ref: str, who: str, turn_id: str, closing: Closing) -> bool:
        reply = self._run(
            "close", ref, who, *self._life, turn_id, closing.outcome, closing.code, closing.detail, closing.metadata,
            closing.citations, closing.offset, closing.tail, "1" if closing is _DEAD else "0", wait=True,
        )  # fmt: skip
        _check(reply)
        self.ring(ref)
        return bool(reply[0] == b"ok")

    def finish(self, ref: str, who: str) -> None:
        _check(self._run("finish", ref, who, wait=True))
        self.ring(ref)

    def touch(self, ref: str, who: str, *, resume: bool) -> int:
        reply = _check(self._run("touch", ref, who, *self._life, self.rules.idle, "1" if resume else "0"))
        return int(reply[1])

    def read(self, ref: str, who: str, where: str, number: int, most: int) -> Look:
        reply = self._run("read", ref, who, where, number, most)
        if reply[0] == b"unknown":
            raise InvalidRequest(where, "names no message of this conversation")
        if reply[0].__class__ is bytes:
            _check(reply)
        head, found = reply
        has_more = len(found) > most > 0
        if has_more:
            found = found[:most]
        if where != "after":
            found.reverse()
        if head[13]:
            found = rated(found, self._ratings(ref))
        return Look(
            head[1], head[2], head[3], head[4], head[5], bool(head[6]), head[7], head[8], head[11].decode(),
            int(head[9] or 0), int(head[10] or 0), orjson.loads(head[12]) if head[12] else {}, found, has_more,
        )  # fmt: skip

    def _ratings(self, ref: str) -> dict[str, bytes]:
        flat = self._redis.call("HGETALL", f"baton:{{{ref}}}:ratings")
        return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}

    def follow(self, ref: str, who: str, after: int) -> Batch:
        reply = _check(self._run("follow", ref, who, after, _BATCH))
        flat = reply[3]
        events = [(flat[i].decode(), flat[i + 1]) for i in range(0, len(flat), 2)]
        reset = reply[0] == b"reset"
        return Batch(reply[1], events, reset, int(reply[2]) if reply[2] != b"" else None)

    def watch(self, ref: str, *, near: bool) -> AbstractContextManager[Watch]:
        return self._bell.watch(f"baton:{{{ref}}}:bell", near=near)

    def ring(self, ref: str) -> None:
        """Wakes this worker's own readers of the session at once."""
        self._bell.ring(f"baton:{{{ref}}}:bell")

    def hand_off(self, ref: str, who: str, ticket: str, kind: str, sealed: str) -> int:
        reply = _check(self._run("handoff", ref, who, ticket, kind, self.rules.ticket_ttl, sealed, wait=True))
        return int(reply[1]) if kind == "share" else min(self.rules.ticket_ttl, int(reply[1]))

    def take(self, ref: str, who: str, ticket: str, client_id: str) -> tuple[str, str]:
        reply = _check(self._run("take", ref, who, ticket, client_id, self.rules.ticket_ttl, wait=True))
        return reply[1].decode(), reply[2].decode()

    def rate(self, ref: str, who: str, number: int, rating: bytes) -> bytes:
        word, *rest = _check(self._run("rate", ref, who, number, rating, wait=True))
        if word == b"unknown":
            raise NotFound("No such answer in this conversation.", code="not_found")
        message = rest[0]
        return rated([message], {str(number): rating})[0] if rating else bytes(message)

    def erase(self, ref: str, who: str) -> None:
        _check(self._run("erase", ref, who, wait=True))
        self.ring(ref)

    def claim(self, member: str) -> int:
        rules = self.rules
        budget = (member, rules.engines_at_once, rules.engines_a_minute, LEASE_MS * 12)
        return int(self._redis.run(self._scripts["budget"], _BUDGET, *budget)[0])

    def release(self, member: str, *, unused: bool = False) -> None:
        with suppress(StorageUnavailable):
            self._redis.call("ZREM", _BUDGET[0], member)
            if unused:
                self.refund(_BUDGET[1])

    def count(self, key: str, limit: int, window: int) -> tuple[bool, int, int]:
        """One call of an address: whether it is admitted, how many are left, ms until the window is whole again."""
        admitted, left, reset = self._redis.run(self._scripts["count"], (key,), limit, window)
        return bool(admitted), left, reset

    def refund(self, key: str) -> None:
        """Gives a counted call back."""
        with suppress(StorageUnavailable):
            self._redis.run(self._scripts["refund"], (key,))

    def feed(self, name: str, most: int, feed: str, ref: str | None = None) -> bool:
        """Takes or renews a place among the feeds of a session or an address; False where all are taken."""
        key = f"baton:{{{ref}}}:feeds" if ref else f"baton:limits:{{{name}}}:feeds"
        keys = (key, f"baton:{{{ref}}}:meta") if ref else (key,)
        return bool(self._redis.run(self._scripts["feed"], keys, feed, most, _FEED_MS)[0])

    def unfeed(self, name: str, feed: str, ref: str | None = None) -> None:
        """Gives the place back."""
        with suppress(StorageUnavailable):
            self._redis.call("ZREM", f"baton:{{{ref}}}:feeds" if ref else f"baton:limits:{{{name}}}:feeds", feed)

    def nudge(self, ref: str) -> None:
        """Wakes every reader of the session, so that those whose client has left notice it."""
        self._redis.call("PUBLISH", f"baton:{{{ref}}}:bell", "")

    def close_doors(self) -> None:
        """The worker is going: every listener is told."""
        self._bell.close()

    def health(self) -> dict[str, str]:
        """``redis``: ``ok`` or the kind of trouble; ``durability``: ``append-only``, ``none`` or ``unknown``."""
        try:
            self._redis.call("PING")
        except StorageUnavailable as error:
            return {"redis": error.kind, "durability": "unknown"}
        try:
            flat = self._redis.call("CONFIG", "GET", "appendonly")
        except (StorageUnavailable, RedisError):  # a managed Redis may forbid CONFIG; that is not ill health
            return {"redis": "ok", "durability": "unknown"}
        found = flat[1] if len(flat) > 1 else b""
        return {"redis": "ok", "durability": {b"yes": "append-only", b"no": "none"}.get(found, "unknown")}
