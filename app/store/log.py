"""The log of every conversation, in Redis: one Lua script a verb, one atomic trip each."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson
from redis.exceptions import RedisError

from app.errors import EngineBusy, InvalidRequest, NotFound, StorageUnavailable
from app.ports import Batch, Begun, Closing, Ended, Look, Toll, Watch, Words, Written
from app.store.bell import Bell
from app.store.commands import Commands, Script
from app.store.owners import RedisOwners
from app.store.replies import check
from app.transcript import rated

LEASE_MS = 10_000  # well below what session.lua takes for the longest
DOUBT_MS = 2_000  # seen to be over for so long, a lease is: a living worker renews it sooner
_FEED_MS = 45_000
_CLAIM_MS = 45_000
_BATCH = 500
_GRACE_SECONDS = 2.0
_EARLIER = 100
_VERBS = (
    "create", "append", "begin", "grow", "close", "finish", "touch", "read", "follow", "handoff", "take", "rate",
    "erase", "count", "refund", "budget", "renew", "feed",
)  # fmt: skip
_RUNNING, _MINUTE = "baton:limits:{engine}:running", "baton:limits:{engine}:minute"
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


class RedisLog:
    """SessionLog on Redis. ``ref`` names a session; its keys share one hash tag and so one Cluster slot."""

    def __init__(self, commands: Commands, bell: Bell, rules: Rules) -> None:
        self._redis = commands
        self._bell = bell
        self.rules = rules
        self.owners = RedisOwners(commands, rules)
        self._scripts = {name: Script(name) for name in _VERBS}
        self._life = (rules.ttl, rules.max_age)

    def _run(self, verb: str, ref: str, *args: Any, wait: bool = False) -> Any:
        return self._redis.run(self._scripts[verb], (f"baton:{{{ref}}}:meta",), *args, wait=wait)

    def _tolled(self, verb: str, ref: str, args: tuple[Any, ...], toll: Toll | None, more: tuple[str, ...] = ()) -> Any:
        """A verb and its toll in one step, where all keys may stand together: not in a Cluster."""
        meta = f"baton:{{{ref}}}:meta"
        if toll is None:
            return self._redis.run(self._scripts[verb], (meta, *more), *args, 0, 0, wait=True)
        if self._redis.apart:
            admitted, toll.left, toll.reset = self.count(toll.key, toll.amount, toll.window)
            toll.refused = not admitted
            # With a limit of nothing that is counted nowhere, the verb refuses all but replays.
            reply = self._redis.run(self._scripts[verb], (meta, *more), *args, 0 if admitted else -1, 0, wait=True)
            if reply[0] == b"refused":
                reply[1:] = toll.reset, toll.amount
            if admitted and reply[0] in (b"replay", b"joined", b"done"):
                self.refund(toll.key)
            return reply
        keys = (meta, *more, toll.key)
        reply = self._redis.run(self._scripts[verb], keys, *args, toll.amount, toll.window, wait=True)
        toll.refused = reply[0] == b"refused"
        return reply

    def create(self, ref: str, metadata: bytes, owner: str, toll: Toll | None = None) -> tuple[int, int]:
        reply = check(self._tolled("create", ref, (*self._life, metadata, owner), toll))
        if toll and not self._redis.apart:
            toll.left, toll.reset = reply[3:]
        return reply[1], reply[2]

    def append(self, ref: str, who: str, words: Words) -> Written:
        rules = self.rules
        args = (
            who, *self._life, words.client_id, words.body, rules.most_messages, rules.session_limit,
            rules.session_window, "0" if words.refusal else "1",
        )  # fmt: skip
        reply = self._tolled("append", ref, args, words.toll)
        check(reply, words.refusal)
        if reply[0] == b"replay":
            return Written(reply[1], fresh=False)
        self.ring(ref)
        return Written(reply[1], True, reply[2], reply[3])

    def begin(self, ref: str, who: str, words: Words, turn_id: str, *, claim: bool = False) -> Begun:
        apart = claim and self._redis.apart and not words.refusal
        wait = self.claim(turn_id, words.address) if apart else 0
        if wait:
            words = replace(words, refusal=EngineBusy(retry_after=math.ceil(wait / 1000)))
        begun = None
        try:
            budget = (_RUNNING, _MINUTE, _running(words.address)) if claim and not self._redis.apart else ()
            begun = self._begin(ref, who, words, turn_id, budget)
            return begun
        finally:
            if apart and not wait and not (begun and begun.outcome == "begun"):
                self.release(turn_id, words.address, unused=True)

    def _begin(self, ref: str, who: str, words: Words, turn_id: str, budget: tuple[str, ...]) -> Begun:
        rules = self.rules
        args = (
            who, *self._life, words.client_id, words.body, rules.most_messages, rules.session_limit,
            rules.session_window, "0" if words.refusal else "1", turn_id, LEASE_MS, _EARLIER,
            rules.engines_at_once if budget else 0, rules.engines_a_minute, _CLAIM_MS, self._share(budget[2:]),
        )  # fmt: skip
        reply = self._tolled("begin", ref, args, words.toll, budget)
        for _ in range(2):
            if reply[0] != b"dead":
                break
            self.reap(ref)
            reply = self._tolled("begin", ref, args, words.toll, budget)
        check(reply, words.refusal)
        outcome = reply[0].decode()
        if outcome == "done":
            return Begun(outcome, reply[2].decode(), message=reply[1])
        if outcome == "joined":
            return Begun(outcome, reply[1].decode(), int(reply[2]))
        self.ring(ref)
        metadata = orjson.loads(reply[7]) if reply[7] else {}
        _, turn, start, message, left, reset, earlier, _ = reply
        return Begun("begun", turn.decode(), int(start), message, left, reset, earlier[::-1], metadata)

    def grow(self, ref: str, turn_id: str, offset: int, text: str) -> bool:
        reply = self._run("grow", ref, "*", *self._life, turn_id, LEASE_MS, offset, text)
        alive = bool(reply[0] == b"ok")
        if text or not alive:
            self.ring(ref)
        return alive

    def close(
        self, ref: str, turn_id: str, closing: Closing, *, release: bool = False, address: str = ""
    ) -> Ended | None:
        apart = release and self._redis.apart
        running = (_RUNNING, _running(address)) if release and not apart else ()
        reply = self._end(ref, "*", turn_id, closing, running)
        if apart:
            self.release(turn_id, address)
        return Ended(reply[1].decode(), reply[2]) if reply[0] == b"ok" else None

    def stop(self, ref: str, who: str) -> bool:
        return bool(self._end(ref, who, "", _STOPPED)[0] == b"ok")

    def reap(self, ref: str) -> bool:
        if self._redis.troubled_for(_GRACE_SECONDS):
            return False  # no lease could be renewed: its worker may well be alive
        with suppress(NotFound):
            for _ in range(3):
                reply = self._end(ref, "*", "", _DEAD)
                if reply[0] != b"doubt":
                    return bool(reply[0] == b"ok")
                time.sleep((reply[1] + 10) / 1000)
        return False

    def _end(self, ref: str, who: str, turn_id: str, closing: Closing, more: tuple[str, ...] = ()) -> list[Any]:
        reply: list[Any] = self._redis.run(
            self._scripts["close"], (f"baton:{{{ref}}}:meta", *more), who, *self._life, turn_id,
            closing.outcome, closing.code, closing.detail, closing.metadata,
            closing.citations, closing.offset, closing.tail, "1" if closing is _DEAD else "0", DOUBT_MS, wait=True,
        )  # fmt: skip
        check(reply)
        self.ring(ref)
        return reply

    def finish(self, ref: str, who: str) -> None:
        check(self._run("finish", ref, who, wait=True))
        self.ring(ref)

    def touch(self, ref: str, who: str, *, resume: bool) -> int:
        return int(check(self._run("touch", ref, who, *self._life, self.rules.idle, "1" if resume else "0"))[1])

    def read(self, ref: str, who: str, where: str, number: int, most: int) -> Look:
        reply = self._run("read", ref, who, where, number, most)
        if reply[0] == b"unknown":
            raise InvalidRequest(where, "names no message of this conversation")
        if reply[0].__class__ is bytes:
            check(reply)
        head, found = reply
        has_more = len(found) > most > 0
        found = found[:most] if has_more else found
        if where != "after":
            found.reverse()
        if head[13]:
            found = rated(found, self._ratings(ref))
        return Look(
            head[1], head[2], head[3], head[4], head[5], bool(head[6]), head[7], head[8], head[11].decode(),
            int(head[9] or 0), bool(head[10]), orjson.loads(head[12]) if head[12] else {}, found, has_more,
        )  # fmt: skip

    def _ratings(self, ref: str) -> dict[str, bytes]:
        flat = self._redis.call("HGETALL", f"baton:{{{ref}}}:ratings")
        return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}

    def follow(self, ref: str, who: str, after: int) -> Batch:
        reply = check(self._run("follow", ref, who, after, _BATCH))
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
        reply = check(self._run("handoff", ref, who, ticket, kind, self.rules.ticket_ttl, sealed, wait=True))
        return int(reply[1]) if kind == "share" else min(self.rules.ticket_ttl, int(reply[1]))

    def take(self, ref: str, who: str, ticket: str, client_id: str) -> tuple[str, str]:
        given = (ticket, client_id, self.rules.ticket_ttl, who, *self._life, self.rules.idle)
        reply = check(self._run("take", ref, "*", *given, wait=True))
        return reply[1].decode(), reply[2].decode()

    def rate(self, ref: str, who: str, number: int, rating: bytes) -> bytes:
        message = check(self._run("rate", ref, who, number, rating, wait=True))[1]
        return rated([message], {str(number): rating})[0] if rating else bytes(message)

    def erase(self, ref: str, who: str) -> None:
        _, owner, was = check(self._run("erase", ref, who, wait=True))
        self.ring(ref)
        if owner:
            self.owners.forget(owner.decode(), ref, was.decode())

    def claim(self, member: str, address: str = "") -> int:
        keys = (_RUNNING, _MINUTE, _running(address))
        budget = (member, self.rules.engines_at_once, self.rules.engines_a_minute, _CLAIM_MS, self._share(keys[2:]))
        return int(self._redis.run(self._scripts["budget"], keys, *budget)[0])

    def _share(self, running: tuple[str, ...]) -> int:
        """How many engine calls one address may have at once: a quarter of all, rounded up."""
        most = self.rules.engines_at_once
        return most if running == (_RUNNING,) else -(-most // 4)

    def renew(self, member: str, address: str = "") -> None:
        with suppress(StorageUnavailable):
            self._redis.run(self._scripts["renew"], (_RUNNING, _running(address)), member, _CLAIM_MS)

    def release(self, member: str, address: str = "", *, unused: bool = False) -> None:
        with suppress(StorageUnavailable):
            for key in {_RUNNING, _running(address)}:
                self._redis.call("ZREM", key, member)
            if unused:
                self.refund(_MINUTE)

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
        told = {b"yes": "append-only", b"no": "none"}.get(bytes(flat[1]) if len(flat) > 1 else b"", "unknown")
        return {"redis": "ok", "durability": told}


def _running(address: str) -> str:
    """The key of the engine calls that run for an address; of all where it is not known."""
    return f"{_RUNNING}:{address}" if address else _RUNNING
