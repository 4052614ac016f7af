"""What a conversation store is: one atomic method a verb, and the results they return."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class SessionSnapshot:
    """A session as it stands, and some of its messages (oldest first, JSON as stored). Times in ms by the log."""

    now: int
    created: int
    seen: int
    updated: int
    expires: int
    ended: bool
    count: int
    seq: int
    """The number of the last event."""
    turn_id: str
    """The running answer; empty where there is none."""
    turn_start: int
    turn_dead: bool
    """It is being made by a worker that is no more."""
    metadata: dict[str, Any]
    messages: list[bytes]
    has_more: bool


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class AppendResult:
    """A stored message, ``fresh`` unless its client id was known; what is ``left`` of the limit, ``reset`` in ms."""

    message: bytes
    fresh: bool
    left: int = 0
    reset: int = 0


@dataclass(frozen=True, slots=True)
class TurnStart:
    """What came of a question: a turn ``begun`` or ``joined`` (its events follow ``start``), or an answer ``done``."""

    outcome: str
    turn_id: str = ""
    start: int = 0
    message: bytes = b""
    """The question where begun, the answer where done."""
    left: int = 0
    reset: int = 0
    earlier: list[bytes] = field(default_factory=list)
    """The newest messages where begun, oldest first, the question among them."""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events after number ``after``, in order: kind and JSON. ``reset``: that place is gone, go on from ``after``."""

    after: int
    events: list[tuple[str, bytes]]
    reset: bool
    turn_left: int | None
    """Ms until the lease of the running answer ends; None where none runs."""


@dataclass(frozen=True, slots=True)
class TurnResult:
    """How a turn ends: ``end``, ``stopped`` or ``error``, with what is to be told and kept of it.

    ``tail`` are its last words, from byte ``offset`` on.
    """

    outcome: str
    code: str = ""
    detail: str = ""
    metadata: bytes = b"{}"
    citations: bytes = b"[]"
    offset: int = 0
    tail: str = ""


@dataclass(frozen=True, slots=True)
class TerminalEvent:
    """The event that ended a turn, as it stands in the log: ``answer.end`` or ``answer.error``, and its JSON."""

    kind: str
    data: bytes


@dataclass(slots=True)
class RateLimitCheck:
    """A call that counts against a limit of its own in the same step as its verb; afterwards, how the limit stands.

    ``amount`` calls in ``window`` ms are admitted; ``reset``: ms until the count begins anew.
    """

    key: str
    amount: int
    window: int
    left: int = 0
    reset: int = 0
    refused: bool = False


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class NewMessage:
    """A message to be stored, spelt by ``spell_message``; ``refusal``: what to raise unless its client id is known."""

    body: bytes
    client_id: str = ""
    refusal: Exception | None = None
    toll: RateLimitCheck | None = None
    """Counted, unless the client id is known; RateLimited past it."""
    address: str = ""
    """Whose share of the engine budget a turn takes; empty where it takes nobody's."""


class Subscription(Protocol):
    """One waiting reader."""

    @property
    def closing(self) -> bool:
        """The worker is going: the reader should take leave."""
        ...

    def wait(self, seconds: float) -> bool:
        """True as soon as something may have happened; False after ``seconds``."""
        ...


class ConversationStore(Protocol):
    """Where conversations live. Each verb is atomic.

    Verbs on a session take its ``ref`` and ``who`` asks (``""`` nobody known, ``"*"`` the service's owner, else a
    signed-in user) and raise NotFound, Forbidden (``not_owner``), Conflict, RateLimited or StorageUnavailable.
    """

    def create_session(
        self, session_hash: str, metadata: bytes, owner: str, toll: RateLimitCheck | None = None
    ) -> tuple[int, int]:
        """Begins a session; when it was created and when it expires, in ms. Raises RateLimited past the toll."""

    def append_message(self, session_hash: str, actor: str, words: NewMessage) -> AppendResult: ...

    def start_turn(
        self, session_hash: str, actor: str, words: NewMessage, turn_id: str, *, claim: bool = False
    ) -> TurnStart:
        """``claim``: a turn that begins takes a place in the engine budget; EngineBusy where there is none."""

    def append_delta(self, session_hash: str, turn_id: str, offset: int, text: str) -> bool:
        """Adds words at a byte offset and renews the lease; False where the turn is closed already."""

    def finish_turn(
        self, session_hash: str, turn_id: str, closing: TurnResult, *, release: bool = False, address: str = ""
    ) -> TerminalEvent | None:
        """Ends the turn; None where it was closed already. ``release``: its place in the budget is given back."""

    def stop_turn(self, session_hash: str, actor: str) -> bool:
        """Ends the running turn with what was said so far; False where none runs."""

    def expire_dead_turn(self, session_hash: str) -> bool:
        """Closes the turn of a worker that is no more, if that is what it is; whether it did.

        Waits a little to be sure: by a clock that jumped every worker looks dead.
        """

    def end_session(self, session_hash: str, actor: str) -> None: ...

    def heartbeat(self, session_hash: str, actor: str, *, resume: bool) -> int:
        """The session is seen; when it expires now, in ms."""

    def read_messages(self, session_hash: str, actor: str, where: str, number: int, most: int) -> SessionSnapshot:
        """``where`` is ``""`` (the newest), ``after`` or ``before`` message ``number``; InvalidRequest if unknown."""

    def read_events(self, session_hash: str, actor: str, after: int) -> EventBatch:
        """Events after number ``after``; -1 is the end of the log."""

    def subscribe(self, session_hash: str, *, near: bool) -> AbstractContextManager[Subscription]:
        """Waits for news of a session; ``near``: this worker writes them itself."""

    def save_ticket(self, session_hash: str, actor: str, ticket: str, kind: str, sealed: str) -> int:
        """Keeps a ticket's hash; ms until it is dead. ``kind``: once, signed (once, with its owner's proof), share."""

    def redeem_ticket(self, session_hash: str, actor: str, ticket: str, client_id: str) -> tuple[str, str]:
        """Takes a ticket, which is activity the first time: what it seals, and its kind."""

    def set_feedback(self, session_hash: str, actor: str, number: int, rating: bytes) -> bytes:
        """Keeps what a visitor thinks of an answer; the message."""

    def delete_session(self, session_hash: str, actor: str) -> None: ...

    def acquire_engine_slot(self, member: str, address: str = "") -> int:
        """Takes a slot of the engine budget, of which one address has at most a quarter; 0, or the ms to wait."""

    def renew_engine_slot(self, member: str, address: str = "") -> None:
        """Keeps the place while its turn runs: it is good for 45 s at a time."""

    def release_engine_slot(self, member: str, address: str = "", *, unused: bool = False) -> None:
        """Gives the place back; ``unused``: no call was made, so it does not count for the minute either."""
