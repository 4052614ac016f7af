"""Whose a conversation is: how an anonymous one becomes a signed-in user's, and how he finds his last."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from app.auth.user_tokens import SignedInUser
from app.conversations import ids
from app.errors import SessionNotFound, StorageUnavailable, TurnInProgress
from app.storage.base import ConversationStore

if TYPE_CHECKING:
    from app.conversations.service import ConversationService

_PATIENCE = 8.0
"""Seconds for which a claim waits for another one that carries the same conversation."""
_CARRY = 2.0
"""Seconds after which what was given to be carried is not set down any more: another may carry it by then."""


@dataclass(frozen=True, slots=True)
class ClaimState:
    """How a claim stands: ``mine`` already, to ``carry``, ``moved`` before, to ``wait`` for, or its answer ``dead``."""

    outcome: str
    sealed: str = ""
    """The new id, readable with the old one."""
    left: int = 0
    """Ms for which another carries it."""
    goods: tuple[Any, ...] = ()


class OwnershipStore(Protocol):
    """Where it is kept which session is whose. Raises NotFound, Forbidden, Conflict or StorageUnavailable."""

    def export_session(self, session_hash: str, user: str, sealed: str) -> ClaimState:
        """Takes an anonymous session out of its place for its user; ``sealed`` is the id that it is to have."""

    def import_session(self, session_hash: str, user: str, old: str, move: ClaimState) -> None:
        """Sets it down at its new place, once."""

    def finish_migration(self, session_hash: str, user: str) -> None:
        """It stands at its new place: the old one forgets it."""

    def owns(self, user: str, session_hash: str) -> bool: ...

    def set_last_session(self, user: str, session_hash: str, sealed: str) -> None:
        """Which session of a user was his last."""

    def get_last_session(self, user: str) -> tuple[str, str] | None:
        """The ref and the sealed id of his last session."""


class ClaimService:
    """What a signed-in user can do besides talking: claim a conversation, find his last."""

    def __init__(self, owners: OwnershipStore, log: ConversationStore, conversations: ConversationService) -> None:
        self._owners = owners
        self._store = log
        self._conversations = conversations

    def claim(self, session_id: str, person: SignedInUser) -> str:
        """Makes an anonymous conversation the user's; its new id, or the same where it is his already.

        Safe to be called again, and by many at once: all get one and the same new id.
        """
        session_hash = ids.hash_session_id(session_id) or ""
        key = b"move:" + session_id.encode()
        sealed = ids.encrypt(ids.new_session_id(), key)
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            begun = time.monotonic()
            move = self._owners.export_session(session_hash, person.user, sealed)
            if move.outcome == "mine":
                return session_id
            if move.outcome == "moved":
                return ids.decrypt(move.sealed, key)
            if move.outcome == "carry":
                moved = ids.decrypt(move.sealed, key)
                if time.monotonic() - begun < _CARRY:
                    self._owners.import_session(ids.hash_session_id(moved) or "", person.user, session_hash, move)
                    self._owners.finish_migration(session_hash, person.user)
                    return moved
            self._waited(session_hash, move)
        raise StorageUnavailable("timeout")

    def _waited(self, session_hash: str, move: ClaimState) -> None:
        if move.outcome == "wait":
            with self._store.subscribe(session_hash, near=False) as watch:
                watch.wait(min(move.left / 1000, 0.1))
        elif move.outcome == "dead" and not self._store.expire_dead_turn(session_hash):
            raise TurnInProgress("An answer is being made. Wait for it.", retry_after=2)

    def set_last_session(self, person: SignedInUser, session_id: str) -> None:
        """The user has this conversation now; nothing where it is not theirs."""
        session_hash = ids.hash_session_id(session_id) or ""
        if self._owners.owns(person.user, session_hash):
            self._owners.set_last_session(person.user, session_hash, person.encrypt(session_hash, session_id))

    def get_last_session(self, person: SignedInUser) -> str:
        """The id of their last conversation. Raises NotFound where there is none, or it is over."""
        found = self._owners.get_last_session(person.user)
        session_id = person.decrypt(*found) if found else None
        if session_id is None or found is None:
            raise SessionNotFound
        if self._conversations.get_page(found[0], person.user).status == "ended":
            raise SessionNotFound
        return session_id
