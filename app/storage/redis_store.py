"""Every conversation in Redis: one Lua script per verb, one atomic round trip each.

``scripts/<verb>.lua`` holds what a verb does; the method of the same name says what it is called with.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from redis.exceptions import RedisError

from app.conversations.export import with_feedback
from app.errors import (
    AlreadyTaken,
    EngineBusy,
    InvalidRequest,
    NotFound,
    NotOwner,
    PathNotFound,
    RateLimited,
    SessionEnded,
    SessionFull,
    SessionNotFound,
    StorageUnavailable,
    TurnInProgress,
)
from app.storage.base import (
    AppendResult,
    EventBatch,
    NewMessage,
    Release,
    SessionSnapshot,
    Subscription,
    TerminalEvent,
    TextLost,
    TurnResult,
    TurnStart,
)
from app.storage.client import RedisClient, load_script
from app.storage.pubsub import NOTIFIER_CHANNEL, PubSubNotifier

if TYPE_CHECKING:
    from app.storage.ownership import RedisOwnershipStore

LEASE_MS = 10_000  # well below MAX_LEASE_MS in _clock.lua
LEASE_GRACE_MS = 2_000
"""Grace period before an expired lease is treated as a dead worker: a living one renews it sooner."""
FEED_SLOT_MS = 45_000
ENGINE_SLOT_MS = 45_000
EVENT_BATCH_SIZE = 500
OUTAGE_GRACE_SECONDS = 2.0
HISTORY_LIMIT = 100
ENGINE_RUNNING_KEY, ENGINE_MINUTE_KEY = "baton:limits:{engine}:running", "baton:limits:{engine}:minute"
PROBE_KEY, ENGINE_PROBLEM_KEY = "baton:limits:{engine}:probe", "baton:limits:{engine}:problem"
ENGINE_PROBLEM_MS = 600_000
CHANGES_KEY = "baton:changes:{desk}"
TRACKED_VERBS = frozenset(
    (
        "create_session", "append_message", "start_turn", "finish_turn", "end_session", "heartbeat", "redeem_ticket",
        "set_feedback", "take", "release", "request_human", "append_operator_message", "mark_read", "mark_abandoned",
    )
)  # fmt: skip
"""Verbs that change what operators see, or what is sent to the owner's systems."""
MAX_NOTES, MAX_NOTE_BYTES = 500, 1_048_576
"""Of one conversation, in all: a page of its history may hold every one of them."""
STOPPED_BY_USER = TurnResult("stopped", metadata=b'{"stopped":true}')
WORKER_LOST = TurnResult(
    "error", "engine_failed", "The answer broke off. Ask again to have it whole.", metadata=b'{"interrupted":true}'
)

SUCCESS_REPLIES = frozenset(
    b"ok started replay joined held completed failed reset migrate migrated taken kept closed alive "
    b"lease_suspected".split()
)
ERROR_REPLIES: dict[bytes, Callable[[list[Any]], Exception]] = {
    b"not_found": lambda _: SessionNotFound(),
    b"unknown": lambda _: PathNotFound("No such answer in this conversation."),
    b"not_owner": lambda _: NotOwner("This conversation belongs to a signed-in user."),
    b"ended": lambda _: SessionEnded("This conversation has ended. Start a new one."),
    b"already_taken": lambda reply: AlreadyTaken(reply[1].decode()),
    b"busy": lambda _: TurnInProgress("An answer is being made. Wait for it or stop it.", retry_after=2),
    b"turn_expired": lambda _: TurnInProgress("An answer is being made. Wait for it or stop it.", retry_after=2),
    b"full": lambda _: SessionFull("This conversation is full. Start a new one."),
    b"session_limited": lambda reply: _session_limited(reply),  # noqa: PLW0108 - defined below
    b"engine_busy": lambda reply: EngineBusy(retry_after=_seconds(reply)),
    b"gap": lambda _: TextLost(),
}


def raise_for_reply(reply: list[Any]) -> list[Any]:
    """The reply of a verb that did its work; otherwise raises the error that its first word names.

    A word that no verb answers with is a failure of storage, not a success.
    """
    word = reply[0]
    if word in SUCCESS_REPLIES:
        return reply
    if word not in ERROR_REPLIES:
        raise StorageUnavailable("unexpected reply")
    raise ERROR_REPLIES[word](reply)


def _seconds(reply: list[Any]) -> int:
    return math.ceil(int(reply[1]) / 1000)


def _session_limited(reply: list[Any]) -> RateLimited:
    error = RateLimited("Too many messages in this conversation.", retry_after=_seconds(reply))
    error.limit, error.scope = int(reply[2]), "session"
    return error


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What the store holds every session to. Times in ms; a limit of 0 means none."""

    ttl: int
    max_age: int
    idle: int
    ticket_ttl: int
    max_messages: int
    session_limit: int
    session_window: int
    max_engine_calls: int
    max_engine_calls_per_minute: int
    tracking: str = ""
    """Who learns of changes: nobody, the owner's own systems (``events``), or operators too (``desk``)."""


class RedisConversationStore:
    """ConversationStore on Redis. The keys of a session share its hash as hash tag, and so one Cluster slot."""

    def __init__(
        self, client: RedisClient, notifier: PubSubNotifier, limits: StoreLimits, ownership: RedisOwnershipStore
    ) -> None:
        self._client = client
        self._notifier = notifier
        self.limits = limits
        self.ownership = ownership
        self._ttl_args = (limits.ttl, limits.max_age)
        self.changed = threading.Event()
        """Set when this worker has changed a session that is tracked; the change tracker clears it."""

    @property
    def client(self) -> RedisClient:
        """The client, for what else is kept in the same Redis."""
        return self._client

    @property
    def notifier(self) -> PubSubNotifier:
        """Wakes whoever waits for a channel of the same Redis."""
        return self._notifier

    def _run(
        self, verb: str, session_hash: str, *args: Any, keys: tuple[str, ...] = (), wait: bool = False
    ) -> list[Any]:
        """Runs a verb on a session. ``keys``: more than the session's own; ``wait``: for ``BATON_WAIT_REPLICAS``."""
        script = load_script(verb, self.limits.tracking)
        if self.limits.tracking and verb in TRACKED_VERBS:
            self._mark_changed(session_hash)
        reply: list[Any] = self._client.run(script, (meta_key(session_hash), *keys), *args, wait=wait)
        return reply

    def _mark_changed(self, session_hash: str) -> None:
        """Wakes this worker's change tracker. In a Cluster, where the verb cannot mark the session, marks it too.

        The mark comes first, so that a worker that dies in between loses nothing. Where the node of the marks is away,
        the sessions on the others go on; the desk learns of them at their next change.
        """
        if self._client.is_cluster:
            with suppress(StorageUnavailable):
                self._client.call("ZADD", CHANGES_KEY, int(time.time() * 1000), session_hash)
        if not self.changed.is_set():
            self.changed.set()

    def create_session(
        self, session_hash: str, metadata: bytes, owner: str, name: str = "", profile: bytes = b""
    ) -> tuple[int, int]:
        args = (*self._ttl_args, metadata, owner, name, profile)
        reply = raise_for_reply(self._run("create_session", session_hash, *args, wait=True))
        return reply[1], reply[2]

    def append_message(self, session_hash: str, actor: str, message: NewMessage) -> AppendResult:
        limits = self.limits
        session_limit = limits.session_limit if message.is_counted else 0
        reply = self._run(
            "append_message", session_hash, actor, *self._ttl_args, message.client_id, message.body,
            limits.max_messages, session_limit, limits.session_window, wait=True,
        )  # fmt: skip
        raise_for_reply(reply)
        if reply[0] == b"replay":
            return AppendResult(reply[1], is_new=False)
        self.notify_local(session_hash)
        return AppendResult(reply[1], True, reply[2], reply[3])

    def start_turn(
        self, session_hash: str, actor: str, message: NewMessage, turn_id: str, *, claim: bool = False
    ) -> TurnStart:
        # In a Cluster no script may use the keys of a session and those of the budget: the slot is a step of its own.
        separate = claim and self._client.is_cluster
        wait = self.acquire_engine_slot(turn_id, message.address) if separate else 0
        start = None
        try:
            start = self._start_turn(session_hash, actor, message, turn_id, claim=claim and not separate, wait=wait)
            return start
        finally:
            if separate and not wait and not (start and start.outcome == "started"):
                self.release_engine_slot(turn_id, message.address, unused=True)

    def _start_turn(
        self, session_hash: str, actor: str, message: NewMessage, turn_id: str, *, claim: bool, wait: int
    ) -> TurnStart:
        limits = self.limits
        args = (
            actor, *self._ttl_args, message.client_id, message.body, limits.max_messages, limits.session_limit,
            limits.session_window, turn_id, LEASE_MS, HISTORY_LIMIT, "0" if wait else "1",
            limits.max_engine_calls if claim else 0, limits.max_engine_calls_per_minute, ENGINE_SLOT_MS,
            self._max_engine_calls(message.address), message.address, "0" if message.retry_failed else "1",
        )  # fmt: skip
        keys = _engine_keys(message.address) if claim else ()
        reply = self._run("start_turn", session_hash, *args, keys=keys, wait=True)
        for _ in range(2):
            if reply[0] != b"turn_expired":
                break
            self.expire_dead_turn(session_hash)
            reply = self._run("start_turn", session_hash, *args, keys=keys, wait=True)
        if wait and reply[0] == b"engine_busy":
            reply[1] = wait
        raise_for_reply(reply)
        outcome = reply[0].decode()
        if outcome == "completed":
            return TurnStart(outcome, reply[2].decode(), message=reply[1])
        if outcome == "failed":
            return TurnStart(outcome, reply[1].decode())
        if outcome == "joined":
            return TurnStart(outcome, reply[1].decode(), int(reply[2]))
        self.notify_local(session_hash)
        if outcome == "held":
            _, question, handler, name, remaining, reset = reply
            return TurnStart(
                outcome, "", 0, question, remaining, reset, handler=handler.decode(), assigned_to=name.decode()
            )
        _, turn, start, question, remaining, reset, history, stored_metadata = reply
        metadata = orjson.loads(stored_metadata) if stored_metadata else {}
        return TurnStart("started", turn.decode(), int(start), question, remaining, reset, history[::-1], metadata)

    def append_delta(self, session_hash: str, turn_id: str, offset: int, text: str) -> bool:
        reply = self._run("append_delta", session_hash, "*", *self._ttl_args, turn_id, LEASE_MS, offset, text)
        if reply[0] == b"gap":
            raise TextLost
        is_open = bool(reply[0] == b"ok")
        if text or not is_open:
            self.notify_local(session_hash)
        return is_open

    def finish_turn(
        self, session_hash: str, turn_id: str, closing: TurnResult, *, release: bool = False, address: str = ""
    ) -> TerminalEvent | None:
        running, _, running_for_address = _engine_keys(address)
        keys = (running, running_for_address) if release and not self._client.is_cluster else ()
        reply = self._finish_turn(session_hash, "*", turn_id, closing, keys)
        if release and self._client.is_cluster:
            self.release_engine_slot(turn_id, address)
        return TerminalEvent(reply[1].decode(), reply[2]) if reply[0] == b"ok" else None

    def stop_turn(self, session_hash: str, actor: str) -> bool:
        return bool(self._finish_turn(session_hash, actor, "", STOPPED_BY_USER)[0] == b"ok")

    def expire_dead_turn(self, session_hash: str) -> bool:
        if self._client.failed_within(OUTAGE_GRACE_SECONDS):
            return False  # no lease could be renewed meanwhile: the worker may be alive
        with suppress(NotFound):
            for _ in range(3):
                reply = self._finish_turn(session_hash, "*", "", WORKER_LOST)
                if reply[0] == b"ok":  # its worker cannot give the slot back, which the same question needs again
                    self.release_engine_slot(reply[3].decode(), reply[4].decode())
                    return True
                if reply[0] != b"lease_suspected":
                    return False
                time.sleep((reply[1] + 10) / 1000)
        return False

    def _finish_turn(
        self, session_hash: str, actor: str, turn_id: str, closing: TurnResult, keys: tuple[str, ...] = ()
    ) -> list[Any]:
        reply = self._run(
            "finish_turn", session_hash, actor, *self._ttl_args, turn_id, closing.outcome, closing.code,
            closing.detail, closing.metadata, closing.citations, closing.offset, closing.tail,
            "1" if closing is WORKER_LOST else "0", LEASE_GRACE_MS, "1" if closing.final else "0",
            "1" if closing.not_found else "0", closing.handoff, closing.handoff_reason, keys=keys, wait=True,
        )  # fmt: skip
        raise_for_reply(reply)
        self.notify_local(session_hash)
        return reply

    def end_session(self, session_hash: str, actor: str, by: str = "visitor", unless_taken_from: str = "") -> None:
        raise_for_reply(self._run("end_session", session_hash, actor, by, unless_taken_from, wait=True))
        self.notify_local(session_hash)

    def heartbeat(self, session_hash: str, actor: str, *, resume: bool) -> int:
        return int(
            raise_for_reply(
                self._run("heartbeat", session_hash, actor, *self._ttl_args, self.limits.idle, "1" if resume else "0")
            )[1]
        )

    def read_messages(self, session_hash: str, actor: str, direction: str, number: int, limit: int) -> SessionSnapshot:
        reply = self._run("read_messages", session_hash, actor, direction, number, limit)
        if reply[0] == b"unknown":
            raise InvalidRequest(direction, "names no message of this conversation")
        if reply[0].__class__ is bytes:
            raise_for_reply(reply)
        head, messages = reply
        has_more = len(messages) > limit > 0
        messages = messages[:limit] if has_more else messages
        if direction != "after":
            messages.reverse()
        if head[13]:
            messages = with_feedback(messages, self._ratings(session_hash))
        return SessionSnapshot(
            head[1], head[2], head[3], head[4], head[5], bool(head[6]), head[7], head[8], head[11].decode(),
            int(head[9] or 0), bool(head[10]), orjson.loads(head[12]) if head[12] else {}, messages, has_more,
            head[14].decode(), head[15].decode(), head[16].decode(),
        )  # fmt: skip

    def _ratings(self, session_hash: str) -> dict[str, bytes]:
        ratings: dict[bytes, bytes] = self._client.call("HGETALL", f"baton:{{{session_hash}}}:ratings")
        return {number.decode(): rating for number, rating in ratings.items()}

    def read_events(self, session_hash: str, actor: str, after: int) -> EventBatch:
        reply = raise_for_reply(self._run("read_events", session_hash, actor, after, EVENT_BATCH_SIZE))
        flat = reply[3]
        events = [(flat[i].decode(), flat[i + 1]) for i in range(0, len(flat), 2)]
        reset = reply[0] == b"reset"
        typists = [(entry or b"").decode() for entry in reply[4]] or ["", ""]
        lease_ms = int(reply[2]) if reply[2] != b"" else None
        return EventBatch(reply[1], events, reset, lease_ms, (typists[0], typists[1]), reply[5])

    def subscribe(self, session_hash: str, *, local: bool) -> AbstractContextManager[Subscription]:
        return self._notifier.subscribe(f"baton:{{{session_hash}}}:bell", local=local)

    def notify_local(self, session_hash: str) -> None:
        """Wakes this worker's own readers of the session at once."""
        self._notifier.notify(f"baton:{{{session_hash}}}:bell")

    def save_ticket(self, session_hash: str, actor: str, ticket: str, kind: str, sealed: str) -> int:
        reply = raise_for_reply(
            self._run("create_ticket", session_hash, actor, ticket, kind, self.limits.ticket_ttl, sealed, wait=True)
        )
        return int(reply[1]) if kind == "share" else min(self.limits.ticket_ttl, int(reply[1]))

    def redeem_ticket(self, session_hash: str, actor: str, ticket: str, client_id: str) -> tuple[str, str]:
        args = (ticket, client_id, self.limits.ticket_ttl, actor, *self._ttl_args, self.limits.idle)
        reply = raise_for_reply(self._run("redeem_ticket", session_hash, "*", *args, wait=True))
        return reply[1].decode(), reply[2].decode()

    def set_feedback(self, session_hash: str, actor: str, number: int, rating: bytes) -> bytes:
        message = raise_for_reply(self._run("set_feedback", session_hash, actor, number, rating, wait=True))[1]
        return with_feedback([message], {str(number): rating})[0] if rating else bytes(message)

    def take(self, session_hash: str, operator_id: str, name: str, *, force: bool) -> bool:
        return bool(self._run_desk("take", session_hash, *self._ttl_args, operator_id, name, "1" if force else "0")[1])

    def release(self, session_hash: str, release: Release) -> bool:
        reply = self._run_desk(
            "release", session_hash, *self._ttl_args, release.to, release.operator_id, release.name, release.reason,
            release.position, release.by, release.condition, release.value,
        )  # fmt: skip
        return bool(reply[0] == b"ok" and reply[1])

    def request_human(
        self, session_hash: str, actor: str, contact: bytes, reason: str, position: str, by: str
    ) -> tuple[str, bool]:
        reply = raise_for_reply(
            self._run(
                "request_human", session_hash, actor, *self._ttl_args, self.limits.idle, contact, reason, position, by,
                wait=True,
            )
        )  # fmt: skip
        self.notify_local(session_hash)
        return reply[1].decode(), bool(reply[2])

    def append_operator_message(
        self, session_hash: str, message: NewMessage, operator_id: str, name: str
    ) -> tuple[AppendResult, bool]:
        reply = self._run_desk(
            "append_operator_message", session_hash, *self._ttl_args, message.client_id, message.body,
            self.limits.max_messages, operator_id, name,
        )  # fmt: skip
        return AppendResult(reply[1], is_new=reply[0] == b"ok"), bool(reply[2])

    def add_note(self, session_hash: str, note: NewMessage, operator_id: str) -> AppendResult:
        reply = self._run_desk(
            "add_note", session_hash, note.client_id, note.body, MAX_NOTES, operator_id, MAX_NOTE_BYTES
        )
        return AppendResult(reply[1], is_new=reply[0] == b"ok")

    def read_notes(self, session_hash: str) -> list[bytes]:
        notes: list[bytes] = raise_for_reply(self._run("read_notes", session_hash, "*"))[1]
        return notes

    def mark_read(self, session_hash: str, operator_id: str) -> None:
        raise_for_reply(self._run("mark_read", session_hash, "*", operator_id))

    def set_typing(self, session_hash: str, actor: str, who: str, name: str) -> bool:
        is_sent = bool(raise_for_reply(self._run("set_typing", session_hash, actor, who, name))[1])
        self.notify_local(session_hash)
        return is_sent

    def set_queue_position(self, session_hash: str, position: int) -> bool:
        return bool(self._run_desk("set_queue_position", session_hash, position)[0] == b"ok")

    def mark_abandoned(self, session_hash: str) -> tuple[bool, int]:
        reply = raise_for_reply(self._run("mark_abandoned", session_hash, "*", self.limits.idle))
        return bool(reply[0] == b"ok"), int(reply[1])

    def get_successor(self, session_hash: str) -> str:
        successor = self._client.call("HGET", f"baton:{{{session_hash}}}:moved", "hash")
        return successor.decode() if successor else ""

    def _run_desk(self, verb: str, session_hash: str, *args: Any) -> list[Any]:
        """A verb that an operator, or the service itself, runs on anybody's session."""
        reply = raise_for_reply(self._run(verb, session_hash, "*", *args, wait=True))
        self.notify_local(session_hash)
        return reply

    def delete_session(self, session_hash: str, actor: str) -> None:
        _, owner, previous, names = raise_for_reply(self._run("delete_session", session_hash, actor, wait=True))
        self.notify_local(session_hash)
        with suppress(StorageUnavailable):  # a pointer that stays leads nowhere, and expires
            pointers = [last_session_key(owner.decode())] if owner else []
            for pointer in (*pointers, *names.decode().split()):
                self._client.run(load_script("delete_pointers"), (pointer,), session_hash)
            if previous:
                self._client.run(load_script("delete_pointers"), (f"baton:{{{previous.decode()}}}:moved",))

    def acquire_engine_slot(self, member: str, address: str = "") -> int:
        limits = self.limits
        args = (member, limits.max_engine_calls, limits.max_engine_calls_per_minute, ENGINE_SLOT_MS)
        script = load_script("acquire_engine_slot")
        return int(self._client.run(script, _engine_keys(address), *args, self._max_engine_calls(address))[0])

    def _max_engine_calls(self, address: str) -> int:
        """How many engine calls one address may have at once: a quarter of all, rounded up."""
        return -(-self.limits.max_engine_calls // 4) if address else self.limits.max_engine_calls

    def renew_engine_slot(self, member: str, address: str = "") -> None:
        running, _, running_for_address = _engine_keys(address)
        with suppress(StorageUnavailable):
            self._client.run(load_script("renew_engine_slot"), (running, running_for_address), member, ENGINE_SLOT_MS)

    def release_engine_slot(self, member: str, address: str = "", *, unused: bool = False) -> None:
        script = load_script("release_engine_slot")
        with suppress(StorageUnavailable):
            self._client.run(script, _engine_keys(address), member, "1" if unused else "0")

    def hit_rate_limit(self, key: str, limit: int, window: int) -> tuple[bool, int, int]:
        """Counts one call in a window of ``window`` ms: whether it is within the limit, calls and ms that remain."""
        admitted, remaining, reset = self._client.run(load_script("rate_limit"), (key,), limit, window)
        return bool(admitted), remaining, reset

    def acquire_feed_slot(self, name: str, max_feeds: int, feed: str, session_hash: str | None = None) -> bool:
        """Takes or renews a slot for a feed of a session or an address; False where all are taken."""
        key = _feeds_key(name, session_hash)
        keys = (key, meta_key(session_hash)) if session_hash else (key,)
        return bool(self._client.run(load_script("acquire_feed_slot"), keys, feed, max_feeds, FEED_SLOT_MS)[0])

    def release_feed_slot(self, name: str, feed: str, session_hash: str | None = None) -> None:
        """Gives the slot back."""
        with suppress(StorageUnavailable):
            self._client.call("ZREM", _feeds_key(name, session_hash), feed)

    def wake_subscribers(self, session_hash: str) -> None:
        """Wakes every reader of the session, so that those whose client has left notice it."""
        self._client.call("PUBLISH", f"baton:{{{session_hash}}}:bell", "")

    def shut_down_subscribers(self) -> None:
        """Ends every reader: the worker is shutting down."""
        self._notifier.close()

    def close(self) -> None:
        """Ends the readers, the subscriber's thread and the connections."""
        self._notifier.close()
        self._notifier.stop()
        with suppress(StorageUnavailable):  # then the thread ends a little later
            self._client.call("PUBLISH", NOTIFIER_CHANNEL, "")
        self._client.close()

    def health(self) -> dict[str, str]:
        """``redis``: ``ok`` or the kind of failure; ``durability``: ``append-only``, ``none`` or ``unknown``.

        ``engine_problem``: what is wrong with the engine, where a worker has met that.
        """
        try:
            problem = self._probe()
        except StorageUnavailable as error:
            return {"redis": error.kind, "durability": "unknown"}
        state = {"redis": "ok", "durability": "unknown", "engine_problem": problem}
        try:
            config = self._client.call("CONFIG GET", "appendonly")
        except (StorageUnavailable, RedisError):  # a managed Redis may forbid CONFIG; that is no failure
            return state
        return state | {"durability": {"yes": "append-only", "no": "none"}.get(config.get("appendonly"), "unknown")}

    def _probe(self) -> str:
        """Writes and reads; what is wrong with the engine. Raises StorageUnavailable.

        While one node of a Cluster is away, the sessions on the others are served on: then one that answers is enough.
        """
        try:
            return str(self._client.run(load_script("probe"), (PROBE_KEY, ENGINE_PROBLEM_KEY))[1].decode())
        except StorageUnavailable as error:
            if not self._client.is_cluster or error.kind not in ("unreachable", "timeout"):
                raise
        self._client.call("PING")
        return ""

    def set_engine_problem(self, problem: str) -> None:
        self._client.run(load_script("set_engine_problem"), (ENGINE_PROBLEM_KEY,), problem, ENGINE_PROBLEM_MS)


def _engine_keys(address: str) -> tuple[str, str, str]:
    """The engine calls that run, those of this minute, and those that run for an address (all where it is unknown)."""
    return ENGINE_RUNNING_KEY, ENGINE_MINUTE_KEY, f"{ENGINE_RUNNING_KEY}:{address}" if address else ENGINE_RUNNING_KEY


def meta_key(session_hash: str) -> str:
    """The key of a session by which its scripts find the others."""
    return f"baton:{{{session_hash}}}:meta"


def _feeds_key(name: str, session_hash: str | None) -> str:
    """The open feeds of a session, or of an address or an operator by this name."""
    return f"baton:{{{session_hash}}}:feeds" if session_hash else f"baton:limits:{{{name}}}:feeds"


def last_session_key(user: str) -> str:
    """The key of a user's last session."""
    return f"baton:user:{{{user}}}"
