"""Named conversations: a signed-in user, or the service's owner, finds a conversation again by a key of their choice.

The entry of a name is a Redis key of its own. It holds the session id encrypted, so a name opens nothing by itself, and
it may be elsewhere in a Cluster than its session: an entry whose session is gone or has ended counts as none.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from nacl.encoding import URLSafeBase64Encoder
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from app.auth.user_tokens import SignedInUser
from app.conversations.claims import ClaimService
from app.conversations.ids import hash_session_id
from app.errors import Forbidden, NotFound, SessionEnded, SessionNotFound, StorageUnavailable
from app.storage.base import ConversationStore

if TYPE_CHECKING:
    from app.conversations.service import ConversationService

SERVICE = "*"
"""The actor that may do everything: whoever has the API key."""
_ATTEMPTS = 8
"""How often a create starts again because somebody else took the name meanwhile; each time another one was faster."""
_SESSION_HASH_CHARS = 32
_SERVER_PREFIX = "baton:name:server:"


@dataclass(frozen=True, slots=True)
class SessionName:
    """The name of a conversation: the Redis key of its entry, and the keys that encrypt what the entry holds."""

    entry: str
    actor: str
    """Who finds the conversation by it: a user's hash, or the service itself."""
    secrets: tuple[bytes, ...] = field(repr=False)
    """32 bytes each; the first one encrypts, each of them decrypts."""

    @property
    def owner(self) -> str:
        """To whom a conversation belongs that is created under this name; empty for nobody."""
        return "" if self.actor == SERVICE else self.actor

    def seal(self, session_id: str) -> bytes:
        """The value of the entry: the session's hash and its encrypted id, readable under this name only."""
        session_hash = (hash_session_id(session_id) or "").encode()
        aad = session_hash + self.entry.encode()
        return session_hash + Aead(self.secrets[0]).encrypt(session_id.encode(), aad, encoder=URLSafeBase64Encoder)

    def open(self, value: bytes) -> str | None:
        """The session id; None where the entry was made under another name, for another user or with another secret."""
        session_hash, sealed = value[:_SESSION_HASH_CHARS], value[_SESSION_HASH_CHARS:]
        for secret in self.secrets:
            try:
                aad = session_hash + self.entry.encode()
                return Aead(secret).decrypt(sealed, aad, encoder=URLSafeBase64Encoder).decode()
            except (CryptoError, ValueError):
                continue
        return None


def user_session_name(user: SignedInUser, key: str) -> SessionName:
    """The name ``key`` of this user's."""
    return SessionName(f"baton:name:user:{_hash('user', user.user, key)}", user.user, user.derive_keys(b"name:"))


def server_session_name(api_key: str, key: str) -> SessionName:
    """The name ``key`` of the service's owner."""
    return SessionName(_SERVER_PREFIX + _hash("server", "", key), SERVICE, (_server_secret(api_key),))


def _hash(kind: str, user: str, key: str) -> str:
    """A hash tag, so that the entry is in one slot; ``kind`` and ``user`` have a fixed form, so no two are alike."""
    return f"{{{hashlib.sha256(f'{kind}:{user}:{key}'.encode()).hexdigest()[:32]}}}"


def _server_secret(api_key: str) -> bytes:
    return hmac.digest(api_key.encode(), b"name:", "sha256")


class NameStore(Protocol):
    """The entries of names and of stored responses, and what a session knows of them. Raises StorageUnavailable."""

    def get_name(self, entry: str) -> bytes:
        """The value of an entry; empty where there is none."""

    def set_name(self, entry: str, known: bytes, value: bytes, created_at: int, expires_at: int) -> bool:
        """Sets an entry that expires with its session; False where it is no longer as it was ``known``."""

    def delete_name(self, entry: str) -> None:
        """Deletes an entry."""

    def add_name(self, session_hash: str, actor: str, entry: str) -> bool:
        """Stores in a session which entry leads to it; False where it has another name of this kind already."""

    def get_names(self, session_hash: str) -> list[str]:
        """The entries that lead to a session."""


@dataclass(frozen=True, slots=True)
class NamedSession:
    """The conversation of a name, and whether it was created just now. Times in ms."""

    session_id: str
    is_new: bool
    now: int
    created_at: int
    expires_at: int


class NamedConversations:
    """Finds, creates and claims conversations by their name."""

    def __init__(
        self,
        names: NameStore,
        store: ConversationStore,
        conversations: ConversationService,
        claims: ClaimService,
        api_key: str = "",
    ) -> None:
        self._names = names
        self._store = store
        self._conversations = conversations
        self._claims = claims
        self._api_key = api_key

    def find(self, name: SessionName) -> str | None:
        """The id of the living conversation of this name, which is active with it; None where there is none."""
        return self._find(name, self._names.get_name(name.entry))

    def _find(self, name: SessionName, value: bytes) -> str | None:
        session_id = name.open(value) if value else None
        session_hash = hash_session_id(session_id)
        if session_hash is None:
            return None
        try:
            self._store.heartbeat(session_hash, name.actor, resume=False)
        except (NotFound, SessionEnded, Forbidden):
            return None
        return session_id

    def get_or_create(self, name: SessionName, metadata: dict[str, Any] | None, profile: bytes = b"") -> NamedSession:
        """The living conversation of this name, or a new one; calls that race all get the same one.

        ``profile``: its signed-in user for the operators, as JSON.
        """
        for _ in range(_ATTEMPTS):
            value = self._names.get_name(name.entry)
            session_id = self._find(name, value)
            if session_id is not None:
                session = self._conversations.get_page(hash_session_id(session_id) or "", name.actor).session
                return NamedSession(session_id, False, session.now, session.created_at, session.expires_at)
            # The session comes first, so that no entry ever leads to one that is not there yet.
            session_id, created, expires = self._conversations.create_session(metadata, name.owner, name.entry, profile)
            if self._names.set_name(name.entry, value, name.seal(session_id), created, expires):
                return NamedSession(session_id, True, created, created, expires)
            self._conversations.delete_session(hash_session_id(session_id) or "", SERVICE)
        raise StorageUnavailable("timeout")

    def claim(self, session_id: str, user: SignedInUser, key: str | None = None) -> str:
        """Makes an anonymous conversation the user's, under the name ``key``, and returns its new id.

        Where the user has a living conversation of that name already, that one is returned, and the anonymous one stays
        as it is.
        """
        name = user_session_name(user, key) if key else None
        if name is not None and (named := self.find(name)):
            self._check_claimable(session_id, user)
            return named
        claimed = self._claims.claim(session_id, user)
        if claimed != session_id:
            self._move_server_name(hash_session_id(session_id) or "", claimed)
        return self._give_name(claimed, name) if name is not None else claimed

    def _check_claimable(self, session_id: str, user: SignedInUser) -> None:
        """Raises for a session that is unknown or another user's."""
        try:
            self._conversations.get_page(hash_session_id(session_id) or "", user.user)
        except SessionNotFound:
            self._claims.claim(session_id, user)  # finds the id that an earlier claim has replaced; else raises

    def _give_name(self, session_id: str, name: SessionName) -> str:
        """Makes the user's session the one of this name; returns the one that has it then."""
        session_hash = hash_session_id(session_id) or ""
        for _ in range(_ATTEMPTS):
            value = self._names.get_name(name.entry)
            named = self._find(name, value)
            if named is not None or not self._names.add_name(session_hash, name.actor, name.entry):
                return named or session_id
            if self._set(name, value, session_id):
                return session_id
        raise StorageUnavailable("timeout")

    def _move_server_name(self, previous: str, session_id: str) -> None:
        """A conversation that the owner's server has named keeps that name when a user claims it."""
        for entry in self._names.get_names(hash_session_id(session_id) or ""):
            if entry.startswith(_SERVER_PREFIX) and self._api_key:
                value = self._names.get_name(entry)
                if value.startswith(previous.encode()):
                    self._set(SessionName(entry, SERVICE, (_server_secret(self._api_key),)), value, session_id)

    def _set(self, name: SessionName, known: bytes, session_id: str) -> bool:
        session = self._conversations.get_page(hash_session_id(session_id) or "", name.actor).session
        return self._names.set_name(name.entry, known, name.seal(session_id), session.created_at, session.expires_at)
