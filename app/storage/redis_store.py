"""The log of every conversation, in Redis: one Lua script a verb, one atomic trip each."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson
from redis.exceptions import RedisError

from app.conversations.export import with_feedback
from app.errors import EngineBusy, InvalidRequest, NotFound, StorageUnavailable
from app.storage.base import (
    AppendResult,
    EventBatch,
    NewMessage,
    RateLimitCheck,
    SessionSnapshot,
    Subscription,
    TerminalEvent,
    TurnResult,
    TurnStart,
)
from app.storage.client import Commands, Script
from app.storage.ownership import RedisOwnershipStore
from app.storage.pubsub import Bell
from app.storage.script_errors import raise_for_reply

LEASE_MS = 10_000  # well below what session.lua takes for the longest
LEASE_GRACE_MS = 2_000  # seen to be over for so long, a lease is: a living worker renews it sooner
_FEED_MS = 45_000
_CLAIM_MS = 45_000
_BATCH = 500
_GRACE_SECONDS = 2.0
_EARLIER = 100
_SCRIPTS = (
    "create_session",
    "append_message",
    "start_turn",
    "append_delta",
    "finish_turn",
    "end_session",
    "heartbeat",
    "read_messages",
    "read_events",
    "create_ticket",
    "redeem_ticket",
    "set_feedback",
    "delete_session",
    "rate_limit",
    "undo_rate_limit",
    "acquire_engine_slot",
    "renew_engine_slot",
    "acquire_feed_slot",
)
_RUNNING, _MINUTE = "baton:limits:{engine}:running", "baton:limits:{engine}:minute"
_STOPPED = TurnResult("stopped", metadata=b'{"stopped":true}')
_DEAD = TurnResult(
    "error", "engine_failed", "The answer broke off. Ask again to have it whole.", metadata=b'{"interrupted":true}'
)


@dataclass(frozen=True, slots=True)
class StoreLimits:
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


class RedisConversationStore:
    """SessionLog on Redis. ``ref`` names a session; its keys share one hash tag and so one Cluster slot."""

    def __init__(self, commands: Commands, bell: Bell, rules: StoreLimits) -> None:
        self._redis = commands
        self._bell = bell
        self.rules = rules
        self.ownership = RedisOwnershipStore(commands, rules)
        self._scripts = {name: Script(name) for name in _SCRIPTS}
        self._life = (rules.ttl, rules.max_age)

    def _run(self, verb: str, session_hash: str, *args: Any, wait: bool = False) -> Any:
        return self._redis.run(self._scripts[verb], (f"baton:{{{session_hash}}}:meta",), *args, wait=wait)

    def _tolled(
        self,
        verb: str,
        session_hash: str,
        args: tuple[Any, ...],
        toll: RateLimitCheck | None,
        more: tuple[str, ...] = (),
    ) -> Any:
        """A verb and its toll in one step, where all keys may stand together: not in a Cluster."""
        meta = f"baton:{{{session_hash}}}:meta"
        if toll is None:
            return self._redis.run(self._scripts[verb], (meta, *more), *args, 0, 0, wait=True)
        if self._redis.apart:
            admitted, toll.left, toll.reset = self.hit_rate_limit(toll.key, toll.amount, toll.window)
            toll.refused = not admitted
            # With a limit of nothing that is counted nowhere, the verb refuses all but replays.
            reply = self._redis.run(self._scripts[verb], (meta, *more), *args, 0 if admitted else -1, 0, wait=True)
            if reply[0] == b"refused":
                reply[1:] = toll.reset, toll.amount
            if admitted and reply[0] in (b"replay", b"joined", b"done"):
                self.undo_rate_limit_hit(toll.key)
            return reply
        keys = (meta, *more, toll.key)
        reply = self._redis.run(self._scripts[verb], keys, *args, toll.amount, toll.window, wait=True)
        toll.refused = reply[0] == b"refused"
        return reply

    def create_session(
        self, session_hash: str, metadata: bytes, owner: str, toll: RateLimitCheck | None = None
    ) -> tuple[int, int]:
        reply = raise_for_reply(self._tolled("create_session", session_hash, (*self._life, metadata, owner), toll))
        if toll and not self._redis.apart:
            toll.left, toll.reset = reply[3:]
        return reply[1], reply[2]

    def append_message(self, session_hash: str, actor: str, words: NewMessage) -> AppendResult:
        rules = self.rules
        args = (
            actor, *self._life, words.client_id, words.body, rules.most_messages, rules.session_limit,
            rules.session_window, "0" if words.refusal else "1",
        )  # fmt: skip
        reply = self._tolled("append_message", session_hash, args, words.toll)
        raise_for_reply(reply, words.refusal)
        if reply[0] == b"replay":
            return AppendResult(reply[1], fresh=False)
        self.notify_local(session_hash)
        return AppendResult(reply[1], True, reply[2], reply[3])

    def start_turn(
        self, session_hash: str, actor: str, words: NewMessage, turn_id: str, *, claim: bool = False
    ) -> TurnStart:
        apart = claim and self._redis.apart and not words.refusal
        wait = self.acquire_engine_slot(turn_id, words.address) if apart else 0
        if wait:
            words = replace(words, refusal=EngineBusy(retry_after=math.ceil(wait / 1000)))
        begun = None
        try:
            budget = (_RUNNING, _MINUTE, _running(words.address)) if claim and not self._redis.apart else ()
            begun = self._begin(session_hash, actor, words, turn_id, budget)
            return begun
        finally:
            if apart and not wait and not (begun and begun.outcome == "begun"):
                self.release_engine_slot(turn_id, words.address, unused=True)

    def _begin(
        self, session_hash: str, actor: str, words: NewMessage, turn_id: str, budget: tuple[str, ...]
    ) -> TurnStart:
        rules = self.rules
        args = (
            actor, *self._life, words.client_id, words.body, rules.most_messages, rules.session_limit,
            rules.session_window, "0" if words.refusal else "1", turn_id, LEASE_MS, _EARLIER,
            rules.engines_at_once if budget else 0, rules.engines_a_minute, _CLAIM_MS, self._share(budget[2:]),
        )  # fmt: skip
        reply = self._tolled("start_turn", session_hash, args, words.toll, budget)
        for _ in range(2):
            if reply[0] != b"dead":
                break
            self.expire_dead_turn(session_hash)
            reply = self._tolled("start_turn", session_hash, args, words.toll, budget)
        raise_for_reply(reply, words.refusal)
        outcome = reply[0].decode()
        if outcome == "done":
            return TurnStart(outcome, reply[2].decode(), message=reply[1])
        if outcome == "joined":
            return TurnStart(outcome, reply[1].decode(), int(reply[2]))
        self.notify_local(session_hash)
        metadata = orjson.loads(reply[7]) if reply[7] else {}
        _, turn, start, message, left, reset, earlier, _ = reply
        return TurnStart("begun", turn.decode(), int(start), message, left, reset, earlier[::-1], metadata)

    def append_delta(self, session_hash: str, turn_id: str, offset: int, text: str) -> bool:
        reply = self._run("append_delta", session_hash, "*", *self._life, turn_id, LEASE_MS, offset, text)
        alive = bool(reply[0] == b"ok")
        if text or not alive:
            self.notify_local(session_hash)
        return alive

    def finish_turn(
        self, session_hash: str, turn_id: str, closing: TurnResult, *, release: bool = False, address: str = ""
    ) -> TerminalEvent | None:
        apart = release and self._redis.apart
        running = (_RUNNING, _running(address)) if release and not apart else ()
        reply = self._end(session_hash, "*", turn_id, closing, running)
        if apart:
            self.release_engine_slot(turn_id, address)
        return TerminalEvent(reply[1].decode(), reply[2]) if reply[0] == b"ok" else None

    def stop_turn(self, session_hash: str, actor: str) -> bool:
        return bool(self._end(session_hash, actor, "", _STOPPED)[0] == b"ok")

    def expire_dead_turn(self, session_hash: str) -> bool:
        if self._redis.troubled_for(_GRACE_SECONDS):
            return False  # no lease could be renewed: its worker may well be alive
        with suppress(NotFound):
            for _ in range(3):
                reply = self._end(session_hash, "*", "", _DEAD)
                if reply[0] != b"doubt":
                    return bool(reply[0] == b"ok")
                time.sleep((reply[1] + 10) / 1000)
        return False

    def _end(
        self, session_hash: str, actor: str, turn_id: str, closing: TurnResult, more: tuple[str, ...] = ()
    ) -> list[Any]:
        reply: list[Any] = self._redis.run(
            self._scripts["finish_turn"], (f"baton:{{{session_hash}}}:meta", *more), actor, *self._life, turn_id,
            closing.outcome, closing.code, closing.detail, closing.metadata,
            closing.citations, closing.offset, closing.tail, "1" if closing is _DEAD else "0", LEASE_GRACE_MS,
            wait=True,
        )  # fmt: skip
        raise_for_reply(reply)
        self.notify_local(session_hash)
        return reply

    def end_session(self, session_hash: str, actor: str) -> None:
        raise_for_reply(self._run("end_session", session_hash, actor, wait=True))
        self.notify_local(session_hash)

    def heartbeat(self, session_hash: str, actor: str, *, resume: bool) -> int:
        return int(
            raise_for_reply(
                self._run("heartbeat", session_hash, actor, *self._life, self.rules.idle, "1" if resume else "0")
            )[1]
        )

    def read_messages(self, session_hash: str, actor: str, where: str, number: int, most: int) -> SessionSnapshot:
        reply = self._run("read_messages", session_hash, actor, where, number, most)
        if reply[0] == b"unknown":
            raise InvalidRequest(where, "names no message of this conversation")
        if reply[0].__class__ is bytes:
            raise_for_reply(reply)
        head, found = reply
        has_more = len(found) > most > 0
        found = found[:most] if has_more else found
        if where != "after":
            found.reverse()
        if head[13]:
            found = with_feedback(found, self._ratings(session_hash))
        return SessionSnapshot(
            head[1], head[2], head[3], head[4], head[5], bool(head[6]), head[7], head[8], head[11].decode(),
            int(head[9] or 0), bool(head[10]), orjson.loads(head[12]) if head[12] else {}, found, has_more,
        )  # fmt: skip

    def _ratings(self, session_hash: str) -> dict[str, bytes]:
        flat = self._redis.call("HGETALL", f"baton:{{{session_hash}}}:ratings")
        return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}

    def read_events(self, session_hash: str, actor: str, after: int) -> EventBatch:
        reply = raise_for_reply(self._run("read_events", session_hash, actor, after, _BATCH))
        flat = reply[3]
        events = [(flat[i].decode(), flat[i + 1]) for i in range(0, len(flat), 2)]
        reset = reply[0] == b"reset"
        return EventBatch(reply[1], events, reset, int(reply[2]) if reply[2] != b"" else None)

    def subscribe(self, session_hash: str, *, near: bool) -> AbstractContextManager[Subscription]:
        return self._bell.watch(f"baton:{{{session_hash}}}:bell", near=near)

    def notify_local(self, session_hash: str) -> None:
        """Wakes this worker's own readers of the session at once."""
        self._bell.ring(f"baton:{{{session_hash}}}:bell")

    def save_ticket(self, session_hash: str, actor: str, ticket: str, kind: str, sealed: str) -> int:
        reply = raise_for_reply(
            self._run("create_ticket", session_hash, actor, ticket, kind, self.rules.ticket_ttl, sealed, wait=True)
        )
        return int(reply[1]) if kind == "share" else min(self.rules.ticket_ttl, int(reply[1]))

    def redeem_ticket(self, session_hash: str, actor: str, ticket: str, client_id: str) -> tuple[str, str]:
        given = (ticket, client_id, self.rules.ticket_ttl, actor, *self._life, self.rules.idle)
        reply = raise_for_reply(self._run("redeem_ticket", session_hash, "*", *given, wait=True))
        return reply[1].decode(), reply[2].decode()

    def set_feedback(self, session_hash: str, actor: str, number: int, rating: bytes) -> bytes:
        message = raise_for_reply(self._run("set_feedback", session_hash, actor, number, rating, wait=True))[1]
        return with_feedback([message], {str(number): rating})[0] if rating else bytes(message)

    def delete_session(self, session_hash: str, actor: str) -> None:
        _, owner, was = raise_for_reply(self._run("delete_session", session_hash, actor, wait=True))
        self.notify_local(session_hash)
        if owner:
            self.ownership.delete_pointers(owner.decode(), session_hash, was.decode())

    def acquire_engine_slot(self, member: str, address: str = "") -> int:
        keys = (_RUNNING, _MINUTE, _running(address))
        budget = (member, self.rules.engines_at_once, self.rules.engines_a_minute, _CLAIM_MS, self._share(keys[2:]))
        return int(self._redis.run(self._scripts["acquire_engine_slot"], keys, *budget)[0])

    def _share(self, running: tuple[str, ...]) -> int:
        """How many engine calls one address may have at once: a quarter of all, rounded up."""
        most = self.rules.engines_at_once
        return most if running == (_RUNNING,) else -(-most // 4)

    def renew_engine_slot(self, member: str, address: str = "") -> None:
        with suppress(StorageUnavailable):
            self._redis.run(self._scripts["renew_engine_slot"], (_RUNNING, _running(address)), member, _CLAIM_MS)

    def release_engine_slot(self, member: str, address: str = "", *, unused: bool = False) -> None:
        with suppress(StorageUnavailable):
            for key in {_RUNNING, _running(address)}:
                self._redis.call("ZREM", key, member)
            if unused:
                self.undo_rate_limit_hit(_MINUTE)

    def hit_rate_limit(self, key: str, limit: int, window: int) -> tuple[bool, int, int]:
        """One call of an address: whether it is admitted, how many are left, ms until the window is whole again."""
        admitted, left, reset = self._redis.run(self._scripts["rate_limit"], (key,), limit, window)
        return bool(admitted), left, reset

    def undo_rate_limit_hit(self, key: str) -> None:
        """Gives a counted call back."""
        with suppress(StorageUnavailable):
            self._redis.run(self._scripts["undo_rate_limit"], (key,))

    def acquire_feed_slot(self, name: str, most: int, feed: str, session_hash: str | None = None) -> bool:
        """Takes or renews a place among the feeds of a session or an address; False where all are taken."""
        key = f"baton:{{{session_hash}}}:feeds" if session_hash else f"baton:limits:{{{name}}}:feeds"
        keys = (key, f"baton:{{{session_hash}}}:meta") if session_hash else (key,)
        return bool(self._redis.run(self._scripts["acquire_feed_slot"], keys, feed, most, _FEED_MS)[0])

    def release_feed_slot(self, name: str, feed: str, session_hash: str | None = None) -> None:
        """Gives the place back."""
        with suppress(StorageUnavailable):
            self._redis.call(
                "ZREM", f"baton:{{{session_hash}}}:feeds" if session_hash else f"baton:limits:{{{name}}}:feeds", feed
            )

    def wake_subscribers(self, session_hash: str) -> None:
        """Wakes every reader of the session, so that those whose client has left notice it."""
        self._redis.call("PUBLISH", f"baton:{{{session_hash}}}:bell", "")

    def shut_down_subscribers(self) -> None:
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
