"""The desk's index in Redis: which conversations there are, who has them, and what has changed.

A conversation is written in one Cluster slot and listed in another, so the index follows the sessions: ``refresh``
reads a session, and writes its row. It may be repeated, skipped or overtaken at any time;
app/conversations/change_tracker.py makes sure that it happens.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from app.conversations.ids import hash_user_id
from app.errors import InvalidRequest, PathNotFound, StorageUnavailable
from app.storage.base import Subscription
from app.storage.client import RedisClient, load_script
from app.storage.desk_rows import CHECK_FIELDS, FIELDS, SessionSummary, fold, present, search_text, serialize
from app.storage.event_queue import QUEUE_KEY
from app.storage.pubsub import PubSubNotifier
from app.storage.redis_store import CHANGES_KEY, meta_key

View = Literal["queue", "mine", "open", "bot", "ended"]
VIEWS: tuple[View, ...] = ("queue", "mine", "open", "bot", "ended")
PREFIX = "baton:desk:{desk}:"
ROWS_PER_SEARCH_STEP, MAX_STEPS = 400, 12
"""How many rows a search looks at in one step, which holds up everybody else, and how many steps a page may take."""
MAX_LIVE = 1_000
MAX_MARKS = 1_000
"""How many marks are taken at once."""
TRACKER_LEASE_MS = 1_500
CLUSTER_MARK_MS = 1_500
REPAIR_BATCH = 200
EXPIRES_MAY_DIFFER_MS = 120_000
BATCH = 50
"""How many sessions are read and written in one step."""
_REF = re.compile(r"cnv_[0-9a-f]{24}\Z")
_CURSOR = re.compile(r"([0-9]{1,15})-(cnv_[0-9a-f]{24})\Z")
_NO_ROW = (0, b"", b"", 0)
_POSITION = re.compile(r"([0-9]{1,15})-([0-9a-f]{8})\Z")

Queued = Callable[[Mapping[str, Any], str], Sequence[str] | None]
"""Makes of a domain event and a ref what the queue of events stores; None for an event that is not sent."""
Counted = Callable[[Mapping[str, Any], int, int], Mapping[str, Any] | None]
"""Makes of a domain event, and of when its session began and was last seen, what is added to the counts of a day."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A session that has changed. ``member`` names it among the marks, which have it until its change is applied."""

    member: str
    score: float
    is_final: bool = True
    """Its mark can be taken away with this change; False where the change itself may still come."""

    @property
    def session_hash(self) -> str:
        return self.member.partition(":")[0]

    @property
    def ref(self) -> str:
        """Its ref, where it may be gone by now."""
        return self.member.partition(":")[2] or f"cnv_{self.session_hash[:24]}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Some sessions at one moment: what desk_apply.lua is given of each, and the last number of each outbox."""

    changes: list[bytes]
    outboxes: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class SweepRules:
    """For how long one worker sweeps, how long a conversation may wait, how often a visitor is looked for."""

    lease_ms: int
    queue_timeout_ms: int
    recheck_ms: int


@dataclass(frozen=True, slots=True)
class Due:
    """Refs and session hashes that a rule may apply to; whether it does is decided where the session is."""

    idle: list[tuple[str, str]]
    waiting: list[tuple[str, str]]
    held: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class RowPage:
    """A page of the list. ``cursor``: where the next one begins, None where this is the last."""

    rows: list[dict[str, Any]]
    counts: dict[str, int]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class LivePosition:
    """The number of the last change that a desk has, and the tag of the numbering."""

    number: int
    tag: str

    def encode(self, number: int | None = None) -> str:
        return f"{self.number if number is None else number}-{self.tag}"


@dataclass(slots=True)
class LiveBatch:
    """What has changed after a position. ``reset``: the position is gone, go on from this one."""

    position: LivePosition
    reset: bool
    changes: list[tuple[int, str, dict[str, Any] | None, int]]
    """Number, ref, stored row (None: gone) and position in the queue."""
    now: int
    rendered: dict[str, bytes] = field(default_factory=dict)
    """What the readers of one worker share, by operator."""


class DeskIndex:
    """The index of conversations. ``with_desk``: False where changes are followed for events to other systems only."""

    def __init__(
        self,
        client: RedisClient,
        notifier: PubSubNotifier,
        *,
        idle_ms: int,
        kept_ms: int,
        with_desk: bool = True,
        queued: Queued | None = None,
        counted: Counted | None = None,
    ) -> None:
        self._client, self._notifier = client, notifier
        self._idle_ms, self._kept_ms = idle_ms, kept_ms
        self._with_desk, self._queued, self._counted = with_desk, queued, counted
        self._live_cache: tuple[LivePosition, LiveBatch] | None = None
        self._live_lock = threading.Lock()

    # Keeping up with the sessions

    def refresh(self, *session_hashes: str) -> None:
        """Brings these sessions up to date, now; ``hash:ref`` for one that may be gone and that was claimed before."""
        self.apply([Mark(session_hash, -1) for session_hash in session_hashes])

    def take_marks(self, worker: str) -> list[Mark] | None:
        """Sessions that have changed, for this worker to apply; None while another worker does it."""
        keys = (CHANGES_KEY, f"{PREFIX}tracker")
        args = (worker, TRACKER_LEASE_MS, MAX_MARKS, self._kept_ms)
        reply = self._client.run(load_script("desk_take_marks"), keys, *args)
        if not reply:
            return None
        now, members, scores = reply[0], reply[1::2], [float(score) for score in reply[2::2]]
        # In a Cluster a mark is set before the verb. It stays until the verb has surely been done.
        final_ms = CLUSTER_MARK_MS if self._client.is_cluster else 0
        return [
            Mark(member.decode(), score, is_final=now - score >= final_ms)
            for member, score in zip(members, scores, strict=True)
        ]

    def release_marks(self, worker: str) -> None:
        """Lets another worker apply what has changed."""
        self._release("tracker", worker)

    def _release(self, lease: str, worker: str) -> None:
        self._client.run(load_script("desk_release"), (f"{PREFIX}{lease}",), worker)

    def apply(self, marks: Sequence[Mark]) -> None:
        """Reads the marked sessions, writes what has changed, and takes the marks away."""
        for start in range(0, len(marks), BATCH):
            snapshot = self.snapshot(marks[start : start + BATCH])
            self.write(snapshot)
            self._trim(snapshot.outboxes)

    def _trim(self, outboxes: Sequence[tuple[str, int]]) -> None:
        script, groups = load_script("trim_outbox"), [outboxes]
        if self._client.is_cluster:
            groups = [[outbox] for outbox in outboxes]
        for group in groups:
            if group:
                keys = tuple(meta_key(session_hash) for session_hash, _ in group)
                self._client.run(script, keys, *(number for _, number in group))

    def snapshot(self, marks: Sequence[Mark]) -> Snapshot:
        """The marked sessions as they are now."""
        changes, outboxes = [], []
        for mark, reply in zip(marks, self._read([mark.session_hash for mark in marks]), strict=True):
            change: dict[str, Any] = {"hash": mark.session_hash, "member": mark.member}
            if mark.is_final and mark.score >= 0:
                change["mark"] = mark.score
            if reply == b"":
                changes.append(change | {"gone": True, "ref": mark.ref})
            elif reply == b"moved":  # its new hash has a mark of its own
                changes.append(change | {"gone": True, "ref": ""})
            else:
                summary = SessionSummary.parse(mark.session_hash, reply)
                changes.append(change | self._change(summary))
                if summary.outbox:
                    outboxes.append((mark.session_hash, summary.outbox[-1]["n"]))
        return Snapshot([orjson.dumps(change) for change in changes], outboxes)

    def write(self, snapshot: Snapshot) -> None:
        """Writes what has changed. An older snapshot after a newer one, or one a second time, changes nothing."""
        keys = (CHANGES_KEY, QUEUE_KEY)
        self._client.run(load_script("desk_apply"), keys, self._kept_ms, *snapshot.changes, wait=True)

    def _read(self, session_hashes: list[str]) -> list[Any]:
        script = load_script("read_changes")
        keys = [meta_key(session_hash) for session_hash in session_hashes]
        if not self._client.is_cluster:
            return list(self._client.run(script, tuple(keys), *FIELDS)[1:])
        return [self._client.run(script, (key,), *FIELDS)[1] for key in keys]

    def _change(self, summary: SessionSummary) -> dict[str, Any]:
        """What desk_apply.lua is given of a session."""
        row = summary.row() if self._with_desk else {}
        json, sig = serialize(row, summary.time("seen"), is_abandoned=summary.is_abandoned)
        view = summary.view if self._with_desk else ""
        active = summary.active_at()
        change = {
            "ref": summary.ref,
            "number": summary.number,
            "json": json,
            "text": search_text(row),
            "sig": sig,
            "view": view,
            "operator": summary.operator if view else "",
            "user": summary.fields["owner"].strip("*"),
            "score": summary.time("waiting") if view == "queue" else active,
            "active": active,
            "expires": summary.time("expires"),
            "check": summary.check,
            "events": [self._event(summary, event) for event in summary.outbox],
        }
        if not summary.fields["ended"]:
            if not summary.is_abandoned:
                change["seen"] = summary.time("seen")
            if view == "open":
                change["held"] = max(summary.time("seen"), summary.time("present"))
        return change

    def _event(self, summary: SessionSummary, event: dict[str, Any]) -> dict[str, Any]:
        queued = self._queued(event, summary.ref) if self._queued else None
        counted = self._counted(event, summary.time("created"), summary.time("seen")) if self._counted else None
        return {"n": event["n"]} | ({"queued": queued} if queued else {}) | ({"counted": counted} if counted else {})

    def leave(self, session_hash: str) -> str:
        """A session is about to be deleted: what ``forget`` needs to know then; the mark stays if this worker dies."""
        ref = self._client.call("HGET", meta_key(session_hash), "ref")
        member = f"{session_hash}:{ref.decode()}" if ref else session_hash
        self._client.run(load_script("desk_mark"), (CHANGES_KEY,), member, self._kept_ms)
        return member

    def forget(self, member: str) -> None:
        """Takes a deleted session out of the index; ``member`` is what ``leave`` has returned."""
        scores = self._client.call("ZMSCORE", CHANGES_KEY, member)
        self.apply([Mark(member, -1 if scores[0] is None else float(scores[0]))])

    # Sweeping

    def due(self, worker: str, rules: SweepRules) -> Due | None:
        """What is to be looked at now; None where another worker does it. Sweeps what has expired."""
        reply = self._client.run(
            load_script("desk_due"), (f"{PREFIX}sweeper",), worker, rules.lease_ms, self._kept_ms, BATCH, self._idle_ms,
            rules.queue_timeout_ms, rules.recheck_ms,
        )  # fmt: skip
        return Due(*(_pairs(part) for part in reply)) if reply else None

    def release_sweeper(self, worker: str) -> None:
        """Lets another worker sweep."""
        self._release("sweeper", worker)

    def taken(self, ref: str, operator_id: str, *, by_server: bool) -> None:
        """An operator has taken a conversation, or a server for them, whose absence then does not matter."""
        key = f"{PREFIX}by_server:{ref}"
        if by_server:
            self._client.call("SET", key, operator_id, "PX", self._kept_ms)
        else:
            self._client.call("DEL", key)

    def held_by_others(self, present: Iterable[str], min_ms: int) -> list[tuple[str, str]]:
        """Operator and session hash of conversations that operators have, for so long, who are not among these."""
        return _pairs(self._client.run(load_script("desk_held"), (f"{PREFIX}holders",), BATCH, min_ms, *present))

    def repair(self, cursor: str) -> str:
        """Compares some of the rows with their sessions and mends what differs; where to go on, "0" at the end."""
        is_here = "0" if self._client.is_cluster else "1"
        args = (cursor, REPAIR_BATCH, is_here, EXPIRES_MAY_DIFFER_MS, *CHECK_FIELDS)
        next_cursor, reply = self._client.run(load_script("desk_rows"), (f"{PREFIX}rows",), *args)
        rows = [(ref.decode(), session_hash.decode(), check) for ref, session_hash, check in reply]
        if self._client.is_cluster:
            checks = self._checks([session_hash for _, session_hash, _ in rows])
            pairs = zip(rows, checks, strict=True)
            rows = [row for row, current in pairs if _differs(row[2].decode(), current.decode())]
        if rows:
            self.apply([Mark(f"{session_hash}:{ref}", -1) for ref, session_hash, _ in rows])
        return str(next_cursor.decode())

    def _checks(self, session_hashes: list[str]) -> list[bytes]:
        script = load_script("check_session")
        return [self._client.run(script, (meta_key(session_hash),), *CHECK_FIELDS) for session_hash in session_hashes]

    # Reading

    def resolve(self, ref: str) -> str:
        """The hash of the session that a ref names. Raises PathNotFound."""
        session_hash = self._client.call("HGET", f"{PREFIX}row:{ref}", "hash") if _REF.match(ref) else None
        if session_hash is None:
            raise PathNotFound("No such conversation.")
        return str(session_hash.decode())

    def row(self, ref: str, operator_id: str) -> dict[str, Any]:
        """One conversation's row. Raises PathNotFound."""
        keys = (f"{PREFIX}row:{ref}", f"{PREFIX}view:queue")
        now, json, _, position = self._client.run(load_script("desk_row"), keys, ref) if _REF.match(ref) else _NO_ROW
        if not json:
            raise PathNotFound("No such conversation.")
        return self.present(orjson.loads(json), operator_id, int(position), now=int(now))

    def present(self, row: dict[str, Any], operator_id: str, position: int, *, now: int) -> dict[str, Any]:
        """A stored row as this operator gets it."""
        return present(row, operator_id, position, now=now, idle_ms=self._idle_ms)

    def rows(
        self,
        view: View | None,
        operator_id: str,
        q: str = "",
        cursor: str | None = None,
        limit: int = 50,
        user: str | None = None,
    ) -> RowPage:
        """A page of a view, or of a user's conversations. A search may end early: its cursor then goes on.

        Raises InvalidRequest for a cursor that is none.
        """
        after = _CURSOR.match(cursor) if cursor else None
        if cursor and not after:
            raise InvalidRequest("cursor", "is not one that a list has given")
        newest_first = user is not None or view != "queue"
        if user is not None:
            key = f"user:{hash_user_id(user)}"
        else:
            key = f"view:mine:{operator_id}" if view == "mine" else f"view:{view}"
        only = (view or "").replace("mine", "open") if user is not None else ""
        last_row = after.groups() if after else ("", "")
        rows: list[dict[str, Any]] = []
        for _ in range(MAX_STEPS):
            now, counts, last_score, last_ref, flat = self._client.run(
                load_script("desk_list"), (PREFIX + key,), "1" if newest_first else "0", *last_row, limit - len(rows),
                fold(q), ROWS_PER_SEARCH_STEP, only, operator_id,
            )  # fmt: skip
            last_row = (last_score.decode(), last_ref.decode())
            for json, position in zip(flat[::2], flat[1::2], strict=True):
                rows.append(self.present(orjson.loads(json), operator_id, int(position), now=now))
            if len(rows) >= limit or not last_row[0]:
                break
        next_cursor = "-".join(last_row) if last_row[0] else None
        return RowPage(rows, dict(zip(VIEWS, map(int, counts), strict=True)), next_cursor)

    def counts(self, operator_id: str) -> dict[str, int]:
        """How many conversations each view has."""
        return self.counts_of([operator_id])[operator_id]

    def counts_of(self, operator_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """The same for some operators."""
        keys = (f"{PREFIX}view:queue",)
        queue, opened, bot, ended, *of_operators = map(
            int, self._client.run(load_script("desk_counts"), keys, *operator_ids)
        )
        return {
            operator_id: {"queue": queue, "mine": mine, "open": opened, "bot": bot, "ended": ended}
            for operator_id, mine in zip(operator_ids, of_operators, strict=True)
        }

    def queue_position(self, ref: str) -> int:
        """The position in the queue of a conversation that waits, from 1; 0 where it does not."""
        rank = self._client.call("ZRANK", f"{PREFIX}view:queue", ref)
        return 0 if rank is None else int(rank) + 1

    def waiting(self, limit: int = 50) -> list[tuple[str, int]]:
        """The first in the queue: hash of the session and position."""
        hashes = self._client.run(load_script("desk_waiting"), (f"{PREFIX}view:queue",), limit)
        return [(session_hash.decode(), position) for position, session_hash in enumerate(hashes, 1) if session_hash]

    def view(self, ref: str, viewer: str, kept_ms: int) -> list[tuple[str, str]]:
        """``viewer`` ("id name") looks at a conversation for so long (0: not any more); ids and names of all who do."""
        viewers = self._client.run(load_script("desk_view"), (f"{PREFIX}viewers:{ref}",), viewer, kept_ms)
        return sorted(
            (operator_id, name) for operator_id, _, name in (entry.decode().partition(" ") for entry in viewers)
        )

    # Following

    def open_live(self, after: str | None) -> LivePosition:
        """The position that ``after`` names, or the last one where it is None."""
        if after is not None:
            match = _POSITION.match(after)
            return LivePosition(int(match[1]), match[2]) if match else LivePosition(-1, "")
        key = f"{PREFIX}position"
        try:
            number, tag = self._client.run(load_script("desk_open_live"), (key,), secrets.token_hex(4), self._kept_ms)
        except StorageUnavailable:  # Redis may still be read
            number, tag = self._client.call("HMGET", key, "n", "tag")
        return LivePosition(int(number or 0), (tag or b"").decode())

    def read_live(self, after: LivePosition) -> LiveBatch:
        """What has changed after a position. Readers of one worker that are at the same place share one batch."""
        with self._live_lock:
            if self._live_cache and self._live_cache[0] == after:
                return self._live_cache[1]
            keys = (f"{PREFIX}position", f"{PREFIX}live")
            outcome, number, tag, now, entries = self._client.run(
                load_script("desk_read_live"), keys, max(after.number, 0), after.tag, MAX_LIVE
            )
            changes = [
                (int(change), ref.decode(), orjson.loads(row) if row else None, int(position))
                for change, ref, row, position in entries
            ]
            batch = LiveBatch(LivePosition(int(number), tag.decode()), outcome == b"reset", changes, int(now))
            if changes:
                self._live_cache = (after, batch)
            return batch

    def wake(self) -> None:
        """Wakes everybody who waits for changes."""
        self._client.call("PUBLISH", f"{PREFIX}bell", "")

    def subscribe(self) -> AbstractContextManager[Subscription]:
        """Waits for changes."""
        return self._notifier.subscribe(f"{PREFIX}bell")


def _pairs(flat: list[bytes]) -> list[tuple[str, str]]:
    texts = [text.decode() for text in flat]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _differs(check: str, current: str) -> bool:
    """A heartbeat alone may be up to a minute ahead of the row."""
    if not check or not current:
        return True
    (known, known_expires), (now, expires) = check.rsplit(" ", 1), current.rsplit(" ", 1)
    return known != now or abs(int(expires) - int(known_expires)) > EXPIRES_MAY_DIFFER_MS
