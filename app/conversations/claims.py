"""Claims: an anonymous conversation becomes a signed-in user's, and users find their last conversation again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from app.auth.user_tokens import SignedInUser
from app.conversations import ids
from app.errors import SessionNotFound, StorageUnavailable, TurnInProgress
from app.storage.base import ConversationStore

if TYPE_CHECKING:
    from app.conversations.service import ConversationService

_CLAIM_TIMEOUT_SECONDS = 8.0
"""How long a claim waits for another one that migrates the same conversation."""
_MIGRATION_LEASE_SECONDS = 2.0
"""After this the exported session is discarded: another worker may have taken over the migration."""


@dataclass(frozen=True, slots=True)
class ClaimState:
    """How a claim stands.

    ``outcome``: ``owned`` by this user already; ``migrate`` what was exported; ``migrated`` before; ``wait`` for
    another worker; ``turn_expired``, where the worker of a running answer has died.
    """

    outcome: str
    encrypted_id: str = ""
    """The new id, readable with the old one."""
    wait_ms: int = 0
    """How long another worker may still take."""
    session_data: tuple[Any, ...] = ()


class OwnershipStore(Protocol):
    """Which session belongs to which user. Raises SessionNotFound, Forbidden, Conflict or StorageUnavailable."""

    def export_session(self, session_hash: str, user: str, encrypted_id: str, new_hash: str) -> ClaimState:
        """Exports an anonymous session for its user; ``encrypted_id`` is the id that it is to have, with its hash."""

    def import_session(
        self, session_hash: str, user: str, previous: str, claim: ClaimState, profile: bytes = b""
    ) -> None:
        """Writes it under its new id, once. ``profile``: the user for the operators, as JSON."""

    def finish_migration(self, session_hash: str, user: str) -> None:
        """Deletes what was kept under the old id."""

    def is_unnamed(self, user: str, session_hash: str) -> bool:
        """Whether the session is the user's, and they have given it no name."""

    def set_last_session(self, user: str, session_hash: str, encrypted_id: str) -> None:
        """Remembers a user's last session."""

    def get_last_session(self, user: str) -> tuple[str, str] | None:
        """The hash and the encrypted id of a user's last session."""


class ClaimService:
    """What a signed-in user can do besides chatting: claim a conversation, find their last one."""

    def __init__(
        self,
        ownership: OwnershipStore,
        store: ConversationStore,
        conversations: ConversationService,
        on_claimed: Callable[[str], None] = lambda _session_hash: None,
    ) -> None:
        """``on_claimed`` is called with the new hash of a session that has moved."""
        self._on_claimed = on_claimed
        self._ownership = ownership
        self._store = store
        self._conversations = conversations

    def claim(self, session_id: str, user: SignedInUser) -> str:
        """Makes an anonymous conversation the user's and returns its new id, or the same id where it is theirs already.

        Safe to call again, and concurrently: every caller gets the same new id.
        """
        session_hash = ids.hash_session_id(session_id) or ""
        key = b"move:" + session_id.encode()
        proposed_id = ids.new_session_id()
        proposed = ids.encrypt(proposed_id, key), ids.hash_session_id(proposed_id) or ""
        deadline = time.monotonic() + _CLAIM_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            started = time.monotonic()
            claim = self._ownership.export_session(session_hash, user.user, *proposed)
            if claim.outcome == "owned":
                return session_id
            if claim.outcome == "migrated":
                return ids.decrypt(claim.encrypted_id, key)
            if claim.outcome == "migrate":
                new_id = ids.decrypt(claim.encrypted_id, key)
                if time.monotonic() - started < _MIGRATION_LEASE_SECONDS:
                    new_hash = ids.hash_session_id(new_id) or ""
                    self._ownership.import_session(new_hash, user.user, session_hash, claim, user.profile)
                    self._ownership.finish_migration(session_hash, user.user)
                    self._on_claimed(new_hash)
                    return new_id
            self._wait(session_hash, claim)
        raise StorageUnavailable("timeout")

    def _wait(self, session_hash: str, claim: ClaimState) -> None:
        if claim.outcome == "wait":
            with self._store.subscribe(session_hash, local=False) as subscription:
                subscription.wait(min(claim.wait_ms / 1000, 0.1))
        elif claim.outcome == "turn_expired" and not self._store.expire_dead_turn(session_hash):
            raise TurnInProgress("An answer is being written. Wait for it.", retry_after=2)

    def set_last_session(self, user: SignedInUser, session_id: str) -> None:
        """Remembers the user's last conversation; does nothing where it is not theirs, or is found by its name."""
        session_hash = ids.hash_session_id(session_id) or ""
        if self._ownership.is_unnamed(user.user, session_hash):
            self._ownership.set_last_session(user.user, session_hash, user.encrypt(session_hash, session_id))

    def get_last_session(self, user: SignedInUser) -> str:
        """The id of their last conversation. Raises SessionNotFound where there is none, or it is over."""
        last = self._ownership.get_last_session(user.user)
        session_id = user.decrypt(*last) if last else None
        if session_id is None or last is None:
            raise SessionNotFound
        if self._conversations.get_page(last[0], user.user).status == "ended":
            raise SessionNotFound
        return session_id
