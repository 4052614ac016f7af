"""What Redis knows of signed-in users: a session that moves to its user, and which one of his was the last."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from app.errors import StorageUnavailable
from app.ownership import Move
from app.session import tag_of
from app.store.commands import Commands, Script
from app.store.replies import check

if TYPE_CHECKING:
    from app.store.log import Rules

CARRY_MS = 3_000
"""Whoever carries a session to its new place has so long before another may try."""
_VERBS = ("moveout", "movein", "moved", "remember", "forget")
_OF_THE_MOVE = (b"user", b"to", b"till")


class RedisOwners:
    """OwnerLog on Redis. A session's old and new place may stand on different servers, so moving takes three steps."""

    def __init__(self, commands: Commands, rules: Rules) -> None:
        self._redis = commands
        self._rules = rules
        self._scripts = {name: Script(name) for name in _VERBS}

    def _run(self, verb: str, ref: str, *args: Any) -> Any:
        return self._redis.run(self._scripts[verb], (f"baton:{{{ref}}}:meta",), *args, wait=True)

    def move_out(self, ref: str, user: str, sealed: str) -> Move:
        reply = self._run("moveout", ref, user, sealed, CARRY_MS)
        outcome = reply[0].decode()
        if outcome not in ("mine", "wait", "dead"):
            check(reply)
        if outcome == "carry":
            return Move(outcome, reply[1].decode(), goods=tuple(reply[2:]))
        if outcome == "moved":
            return Move(outcome, reply[1].decode())
        return Move(outcome, left=int(reply[1]) if outcome == "wait" else 0)

    def move_in(self, ref: str, user: str, old: str, move: Move) -> None:
        meta, entries, cids, ratings = move.goods
        pairs = dict(zip(meta[::2], meta[1::2], strict=True))
        expires = pairs[b"expires"]
        kept = [word for name, value in pairs.items() if name not in _OF_THE_MOVE for word in (name, value)]
        # The id stands first in each message, and ends with the mark of its session.
        was, now = f'_{tag_of(old)}"'.encode(), f'_{tag_of(ref)}"'.encode()
        said = [word for number, (_, json) in entries for word in (number, json.replace(was, now, 1))]
        goods = ([*kept, b"owner", user, b"was", old], said, cids, ratings)
        words = [word for part in goods for word in part]
        check(self._run("movein", ref, expires, *map(len, goods), *words))

    def moved(self, ref: str, user: str) -> None:
        check(self._run("moved", ref, user, self._rules.ticket_ttl))

    def owns(self, user: str, ref: str) -> bool:
        return bool(self._redis.call("HGET", f"baton:{{{ref}}}:meta", "owner") == user.encode())

    def remember(self, user: str, ref: str, sealed: str) -> None:
        self._redis.run(self._scripts["remember"], (_last(user),), ref + sealed, self._rules.max_age)

    def last(self, user: str) -> tuple[str, str] | None:
        found = self._redis.call("GET", _last(user))
        return (found[:32].decode(), found[32:].decode()) if found else None

    def forget(self, user: str, ref: str, was: str) -> None:
        """The session is erased: nothing is to lead to it, neither its user nor the place where it stood before."""
        with suppress(StorageUnavailable):  # what stays leads nowhere any more, and ends by itself
            self._redis.run(self._scripts["forget"], (_last(user),), ref)
            if was:
                self._redis.run(self._scripts["forget"], (f"baton:{{{was}}}:moved",))


def _last(user: str) -> str:
    return f"baton:user:{{{user}}}"
