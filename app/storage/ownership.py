"""Signed-in users in Redis: moving an anonymous session to its user, which of a user's sessions was the last, and the
entries of named sessions."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from app.conversations.claims import ClaimState
from app.conversations.ids import session_tag
from app.errors import StorageUnavailable
from app.storage.client import RedisClient, load_script
from app.storage.redis_store import CHANGES_KEY, StoreLimits, last_session_key, meta_key, raise_for_reply

MIGRATION_LEASE_MS = 3_000
"""A worker that moves a session has this long before another worker may try."""
MIGRATION_FIELDS = (b"user", b"to", b"till", b"hash")


class RedisOwnershipStore:
    """OwnershipStore and NameStore on Redis.

    The old and the new keys of a session may be on different servers of a Cluster, so a move takes three steps.
    """

    def __init__(self, client: RedisClient, limits: StoreLimits) -> None:
        self._client = client
        self._limits = limits

    def _run(self, verb: str, session_hash: str, *args: Any) -> Any:
        script = load_script(verb, self._limits.tracking)
        return self._client.run(script, (meta_key(session_hash),), *args, wait=True)

    def export_session(self, session_hash: str, user: str, sealed: str, new_hash: str) -> ClaimState:
        reply = self._run("export_session", session_hash, user, sealed, MIGRATION_LEASE_MS, new_hash)
        outcome = reply[0].decode()
        if outcome in ("owned", "turn_expired"):
            return ClaimState(outcome)
        if outcome == "wait":
            return ClaimState(outcome, wait_ms=int(reply[1]))
        raise_for_reply(reply)
        return ClaimState(outcome, reply[1].decode(), session_data=tuple(reply[2:]))

    def import_session(
        self, session_hash: str, user: str, previous: str, claim: ClaimState, profile: bytes = b""
    ) -> None:
        meta, entries, client_ids, ratings, note_entries, reads, outbox_entries = claim.session_data
        pairs = dict(zip(meta[::2], meta[1::2], strict=True))
        expires = pairs[b"expires"]
        fields = [item for name, value in pairs.items() if name not in MIGRATION_FIELDS for item in (name, value)]
        # The id is the first field of each message, and ends with the tag of its session.
        old_tag, new_tag = f'_{session_tag(previous)}"'.encode(), f'_{session_tag(session_hash)}"'.encode()
        messages, notes = (
            [item for number, (_, json) in stream for item in (number, json.replace(old_tag, new_tag, 1))]
            for stream in (entries, note_entries)
        )
        outbox = [item for number, (_, json) in outbox_entries for item in (number, json)]
        owner = [b"owner", user, b"was", previous, *((b"user", profile) if profile and self._limits.tracking else ())]
        parts = ([*fields, *owner], messages, client_ids, ratings, notes, reads, outbox)
        items = [item for part in parts for item in part]
        if self._limits.tracking and self._client.is_cluster:  # elsewhere the verb does it
            with suppress(StorageUnavailable):
                self._client.call("ZADD", CHANGES_KEY, int(time.time() * 1000), session_hash)
        raise_for_reply(self._run("import_session", session_hash, expires, *map(len, parts), *items))

    def finish_migration(self, session_hash: str, user: str) -> None:
        raise_for_reply(self._run("finish_migration", session_hash, user, self._limits.ticket_ttl))

    def is_unnamed(self, user: str, session_hash: str) -> bool:
        owner, names = self._client.call("HMGET", meta_key(session_hash), "owner", "names")
        return bool(owner == user.encode() and b"baton:name:user:" not in (names or b""))

    def set_last_session(self, user: str, session_hash: str, sealed: str) -> None:
        self._client.run(
            load_script("set_last_session"), (last_session_key(user),), session_hash + sealed, self._limits.max_age
        )

    def get_last_session(self, user: str) -> tuple[str, str] | None:
        value = self._client.call("GET", last_session_key(user))
        return (value[:32].decode(), value[32:].decode()) if value else None

    def get_name(self, entry: str) -> bytes:
        return bytes(self._client.call("GET", entry) or b"")

    def set_name(self, entry: str, known: bytes, value: bytes, created_at: int, expires_at: int) -> bool:
        if self._client.is_cluster:  # activity of the session cannot reach the entry
            expires_at = created_at + self._limits.max_age
        reply = self._client.run(load_script("set_name"), (entry,), known, value, expires_at, wait=True)
        return bool(raise_for_reply(reply)[0] == b"ok")

    def delete_name(self, entry: str) -> None:
        self._client.call("DEL", entry)

    def add_name(self, session_hash: str, actor: str, entry: str) -> bool:
        return bool(raise_for_reply(self._run("add_name", session_hash, actor, entry))[0] == b"ok")

    def get_names(self, session_hash: str) -> list[str]:
        names = self._client.call("HGET", meta_key(session_hash), "names")
        return names.decode().split() if names else []
