"""What Redis knows of signed-in users: a session that moves to its user, and which one of his was the last."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from app.conversations.claims import ClaimState
from app.conversations.ids import session_tag
from app.errors import StorageUnavailable
from app.storage.client import Commands, Script
from app.storage.script_errors import raise_for_reply

if TYPE_CHECKING:
    from app.storage.redis_store import StoreLimits

MIGRATION_LEASE_MS = 3_000
"""Whoever carries a session to its new place has so long before another may try."""
_SCRIPTS = ("export_session", "import_session", "finish_migration", "set_last_session", "delete_pointers")
_OF_THE_MOVE = (b"user", b"to", b"till")


class RedisOwnershipStore:
    """OwnerLog on Redis. A session's old and new place may stand on different servers, so moving takes three steps."""

    def __init__(self, commands: Commands, rules: StoreLimits) -> None:
        self._redis = commands
        self._rules = rules
        self._scripts = {name: Script(name) for name in _SCRIPTS}

    def _run(self, verb: str, session_hash: str, *args: Any) -> Any:
        return self._redis.run(self._scripts[verb], (f"baton:{{{session_hash}}}:meta",), *args, wait=True)

    def export_session(self, session_hash: str, user: str, sealed: str) -> ClaimState:
        reply = self._run("export_session", session_hash, user, sealed, MIGRATION_LEASE_MS)
        outcome = reply[0].decode()
        if outcome not in ("mine", "wait", "dead"):
            raise_for_reply(reply)
        if outcome == "carry":
            return ClaimState("migrate", reply[1].decode(), session_data=tuple(reply[2:]))
        if outcome == "moved":
            return ClaimState("migrated", reply[1].decode())
        if outcome == "wait":
            return ClaimState("wait", wait_ms=int(reply[1]))
        return ClaimState({"mine": "owned", "dead": "turn_expired"}[outcome])

    def import_session(self, session_hash: str, user: str, previous: str, claim: ClaimState) -> None:
        meta, entries, cids, ratings = claim.session_data
        pairs = dict(zip(meta[::2], meta[1::2], strict=True))
        expires = pairs[b"expires"]
        kept = [word for name, value in pairs.items() if name not in _OF_THE_MOVE for word in (name, value)]
        # The id stands first in each message, and ends with the mark of its session.
        was, now = f'_{session_tag(previous)}"'.encode(), f'_{session_tag(session_hash)}"'.encode()
        said = [word for number, (_, json) in entries for word in (number, json.replace(was, now, 1))]
        goods = ([*kept, b"owner", user, b"was", previous], said, cids, ratings)
        words = [word for part in goods for word in part]
        raise_for_reply(self._run("import_session", session_hash, expires, *map(len, goods), *words))

    def finish_migration(self, session_hash: str, user: str) -> None:
        raise_for_reply(self._run("finish_migration", session_hash, user, self._rules.ticket_ttl))

    def owns(self, user: str, session_hash: str) -> bool:
        return bool(self._redis.call("HGET", f"baton:{{{session_hash}}}:meta", "owner") == user.encode())

    def set_last_session(self, user: str, session_hash: str, sealed: str) -> None:
        self._redis.run(self._scripts["set_last_session"], (_last(user),), session_hash + sealed, self._rules.max_age)

    def get_last_session(self, user: str) -> tuple[str, str] | None:
        found = self._redis.call("GET", _last(user))
        return (found[:32].decode(), found[32:].decode()) if found else None

    def delete_pointers(self, user: str, session_hash: str, was: str) -> None:
        """The session is erased: nothing is to lead to it, neither its user nor the place where it stood before."""
        with suppress(StorageUnavailable):  # what stays leads nowhere any more, and ends by itself
            self._redis.run(self._scripts["delete_pointers"], (_last(user),), session_hash)
            if was:
                self._redis.run(self._scripts["delete_pointers"], (f"baton:{{{was}}}:moved",))


def _last(user: str) -> str:
    return f"baton:user:{{{user}}}"
