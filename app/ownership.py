"""Whose a conversation is: how an anonymous one becomes a signed-in user's, and how he finds his last."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

from app import session
from app.conversation import Conversations
from app.errors import Conflict, NotFound, StorageUnavailable
from app.identity import Person
from app.ports import SessionLog

_PATIENCE = 8.0
"""Seconds for which a claim waits for another one that carries the same conversation."""
_CARRY = 2.0
"""Seconds after which what was given to be carried is not set down any more: another may carry it by then."""


@dataclass(frozen=True, slots=True)
class Move:
    """How a claim stands: ``mine`` already, to ``carry``, ``moved`` before, to ``wait`` for, or its answer ``dead``."""

    outcome: str
    sealed: str = ""
    """The new id, readable with the old one."""
    left: int = 0
    """Ms for which another carries it."""
    goods: tuple[Any, ...] = ()


class OwnerLog(Protocol):
    """Where it is kept which session is whose. Raises NotFound, Forbidden, Conflict or StorageUnavailable."""

    def move_out(self, ref: str, user: str, sealed: str) -> Move:
        """Takes an anonymous session out of its place for its user; ``sealed`` is the id that it is to have."""

    def move_in(self, ref: str, user: str, old: str, move: Move) -> None:
        """Sets it down at its new place, once."""

    def moved(self, ref: str, user: str) -> None:
        """It stands at its new place: the old one forgets it."""

    def owns(self, user: str, ref: str) -> bool: ...

    def remember(self, user: str, ref: str, sealed: str) -> None:
        """Which session of a user was his last."""

    def last(self, user: str) -> tuple[str, str] | None:
        """The ref and the sealed id of his last session."""


class Ownership:
    """What a signed-in user can do besides talking: claim a conversation, find his last."""

    def __init__(self, owners: OwnerLog, log: SessionLog, conversations: Conversations) -> None:
        self._owners = owners
        self._log = log
        self._conversations = conversations

    def claim(self, session_id: str, person: Person) -> str:
        """Makes an anonymous conversation the user's; its new id, or the same where it is his already.

        Safe to be called again, and by many at once: all get one and the same new id.
        """
        ref = session.ref_of(session_id) or ""
        key = b"move:" + session_id.encode()
        sealed = session.seal(session.new_id(), key)
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            begun = time.monotonic()
            move = self._owners.move_out(ref, person.user, sealed)
            if move.outcome == "mine":
                return session_id
            if move.outcome == "moved":
                return session.unseal(move.sealed, key)
            if move.outcome == "carry":
                moved = session.unseal(move.sealed, key)
                if time.monotonic() - begun < _CARRY:
                    self._owners.move_in(session.ref_of(moved) or "", person.user, ref, move)
                    self._owners.moved(ref, person.user)
                    return moved
            self._waited(ref, move)
        raise StorageUnavailable("timeout")

    def _waited(self, ref: str, move: Move) -> None:
        if move.outcome == "wait":
            with self._log.watch(ref, near=False) as watch:
                watch.wait(min(move.left / 1000, 0.1))
        elif move.outcome == "dead" and not self._log.reap(ref):
            raise Conflict("An answer is being made. Wait for it.", code="turn_in_progress", retry_after=2)

    def remember(self, person: Person, session_id: str) -> None:
        """The user has this conversation now; nothing where it is not his."""
        ref = session.ref_of(session_id) or ""
        if self._owners.owns(person.user, ref):
            self._owners.remember(person.user, ref, person.seal(ref, session_id))

    def last(self, person: Person) -> str:
        """The id of his last conversation. Raises NotFound where there is none, or it is over."""
        found = self._owners.last(person.user)
        session_id = person.unseal(*found) if found else None
        if session_id is None or found is None:
            raise NotFound
        if self._conversations.look(found[0], person.user).status == "ended":
            raise NotFound
        return session_id
