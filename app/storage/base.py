"""The interface of the conversation store, and the results that its methods return."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol


class TextLost(Exception):
    """A failover lost text of a running answer. Its writer sends the whole text again, from byte 0."""


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class SessionSnapshot:
    """The state of a session and some of its messages (oldest first, JSON as stored). Times in ms, by Redis' clock."""

    now: int
    created_at: int
    last_seen_at: int
    updated_at: int
    expires_at: int
    ended: bool
    message_count: int
    last_event: int
    """The number of the last event."""
    turn_id: str
    """The running turn; empty where there is none."""
    turn_start: int
    turn_expired: bool
    """Its lease has expired: its worker may be lost."""
    metadata: dict[str, Any]
    messages: list[bytes]
    has_more: bool
    handler: str = ""
    """Who answers: ``bot``, ``queue`` (waits for a person) or ``human``; empty where the desk is off."""
    assigned_to: str = ""
    """The name of the operator who has it."""
    ref: str = ""
    """Its name at the desk."""


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class AppendResult:
    """A stored message, ``is_new`` unless its client id was known; calls ``remaining`` in the limit."""

    message: bytes
    is_new: bool
    remaining: int = 0
    reset_ms: int = 0


@dataclass(frozen=True, slots=True)
class TurnStart:
    """What a question led to: a turn ``started`` or ``joined`` (events follow event ``start``), or ``completed``.

    ``held``: it was stored for the operator who answers, or for the one the visitor waits for; no turn started.
    ``failed``: its turn has failed, and the caller did not want another one.
    """

    outcome: str
    turn_id: str = ""
    start: int = 0
    message: bytes = b""
    """The question of a started turn or a held one, the answer of a completed one (empty where it was cut before its
    first word)."""
    remaining: int = 0
    reset_ms: int = 0
    history: list[bytes] = field(default_factory=list)
    """Of a started turn: the newest messages, oldest first, the question among them."""
    metadata: dict[str, Any] = field(default_factory=dict)
    handler: str = ""
    """Of a held question: ``queue`` or ``human``, as it was then."""
    assigned_to: str = ""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events after number ``after``, in order: type and JSON. ``reset``: the cursor asked for is gone, go on here."""

    after: int
    events: list[tuple[str, bytes]]
    reset: bool
    lease_remaining_ms: int | None
    """Ms until the lease of the running turn expires (negative: it has); None where none runs."""
    typing: tuple[str, str] = ("", "")
    """Who typed in the last seconds, the operator and the visitor: ``<ms>:<name>`` or empty."""
    note_count: int = 0
    """How many notes operators have added."""


@dataclass(frozen=True, slots=True)
class TurnResult:
    """How a turn ends: ``end``, ``stopped`` or ``error``, with what its last event says and its message stores.

    ``tail`` is its last text, from byte ``offset`` on.
    """

    outcome: str
    code: str = ""
    detail: str = ""
    metadata: bytes = b"{}"
    citations: bytes = b"[]"
    offset: int = 0
    tail: str = ""
    final: bool = False
    """An error that the same question would meet again."""
    not_found: bool = False
    """The engine did not know."""
    handoff: str = ""
    """Where the engine hands over: ``bot`` (nobody is there), or the position in the queue."""
    handoff_reason: str = ""


@dataclass(frozen=True, slots=True)
class TerminalEvent:
    """The event that ended a turn, as stored: ``answer.end`` or ``answer.error``, and its JSON."""

    type: str
    data: bytes


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class NewMessage:
    """A message to store, as ``serialize_message`` makes it."""

    body: bytes
    client_id: str = ""
    address: str = ""
    """Hash of the address whose share of the engine budget a turn uses; empty for nobody's."""
    retry_failed: bool = True
    """Whether a question whose turn has failed starts another one."""
    is_counted: bool = True
    """Whether it counts against the session's limit; a copy of what was said elsewhere does not."""


@dataclass(frozen=True, slots=True)
class Release:
    """Who is to have a conversation: the ``bot``, the ``queue``, or (``human``) the operator ``operator_id``."""

    to: str
    reason: str
    by: str = ""
    """The operator who gives it away; ``*`` for one who may do that for others, empty for the service itself."""
    operator_id: str = ""
    name: str = ""
    position: str = ""
    """In the queue; empty where it is not known."""
    condition: str = ""
    """Only if it is so still: ``waiting`` (for ``value`` ms in the queue), ``holder`` (the operator ``value`` has it),
    ``left`` (an operator has it, and the visitor has been away for ``value`` ms)."""
    value: str = ""


class Subscription(Protocol):
    """One waiting reader."""

    @property
    def closing(self) -> bool:
        """The worker is shutting down: the reader should end."""
        ...

    def wait(self, seconds: float) -> bool:
        """True as soon as something may have happened; False after ``seconds``."""
        ...


class ConversationStore(Protocol):
    """Where conversations are stored. Each method is atomic.

    Methods on a session take its ``session_hash`` and the ``actor`` (``""`` anonymous, ``"*"`` the service itself, else
    a signed-in user) and raise NotFound, Forbidden (``not_owner``), Conflict, RateLimited or StorageUnavailable.
    """

    def create_session(
        self, session_hash: str, metadata: bytes, owner: str, name: str = "", profile: bytes = b""
    ) -> tuple[int, int]:
        """Creates a session; when it was created and when it expires, in ms.

        ``name``: the entry that leads to it; ``profile``: its signed-in user for the operators, as JSON.
        """

    def append_message(self, session_hash: str, actor: str, message: NewMessage) -> AppendResult: ...

    def start_turn(
        self, session_hash: str, actor: str, message: NewMessage, turn_id: str, *, claim: bool = False
    ) -> TurnStart:
        """``claim``: a turn that starts takes a slot of the engine budget; EngineBusy where there is none."""

    def append_delta(self, session_hash: str, turn_id: str, offset: int, text: str) -> bool:
        """Appends text at a byte offset and renews the lease; False where the turn has ended. Raises TextLost."""

    def finish_turn(
        self, session_hash: str, turn_id: str, closing: TurnResult, *, release: bool = False, address: str = ""
    ) -> TerminalEvent | None:
        """Ends the turn; None where it has ended before. ``release``: its engine slot is given back too."""

    def stop_turn(self, session_hash: str, actor: str) -> bool:
        """Ends the running turn with the text so far; False where none runs."""

    def expire_dead_turn(self, session_hash: str) -> bool:
        """Ends the running turn if its worker is lost; whether it did.

        Waits for a grace period: after a jump of the clock every worker looks lost.
        """

    def end_session(self, session_hash: str, actor: str, by: str = "visitor", unless_taken_from: str = "") -> None:
        """``by``: visitor, operator or owner. Raises AlreadyTaken where somebody else than this operator has it."""

    def heartbeat(self, session_hash: str, actor: str, *, resume: bool) -> int:
        """Marks the session as seen; when it expires now, in ms."""

    def read_messages(self, session_hash: str, actor: str, direction: str, number: int, limit: int) -> SessionSnapshot:
        """``direction``: ``""`` (the newest), ``after`` or ``before`` message ``number``; InvalidRequest if unknown."""

    def read_events(self, session_hash: str, actor: str, after: int) -> EventBatch:
        """Events after number ``after``; -1 is the end of the stream."""

    def subscribe(self, session_hash: str, *, local: bool) -> AbstractContextManager[Subscription]:
        """Waits for changes of a session; ``local``: this worker writes them itself."""

    def save_ticket(self, session_hash: str, actor: str, ticket: str, kind: str, sealed: str) -> int:
        """Stores a ticket's hash and its encrypted session id; the ms for which it is good.

        ``kind``: once, signed (once, with its owner's proof) or share.
        """

    def redeem_ticket(self, session_hash: str, actor: str, ticket: str, client_id: str) -> tuple[str, str]:
        """Redeems a ticket, which is activity the first time: its encrypted session id, and its kind."""

    def set_feedback(self, session_hash: str, actor: str, number: int, rating: bytes) -> bytes:
        """Stores a visitor's rating of an answer; the message with it."""

    def take(self, session_hash: str, operator_id: str, name: str, *, force: bool) -> bool:
        """Gives the conversation to an operator, and ends a running answer; False where they had it already.

        Raises AlreadyTaken, unless it is taken by force.
        """

    def release(self, session_hash: str, release: Release) -> bool:
        """Gives the conversation to somebody else; False where nothing changed. Raises AlreadyTaken."""

    def request_human(
        self, session_hash: str, actor: str, contact: bytes, reason: str, position: str, by: str
    ) -> tuple[str, bool]:
        """Puts the conversation in the queue at ``position`` (empty: nobody is there, the bot stays).

        ``contact`` (JSON) and ``reason`` are kept for the operators. Returns the handler, and whether it changed.
        """

    def append_operator_message(
        self, session_hash: str, message: NewMessage, operator_id: str, name: str
    ) -> tuple[AppendResult, bool]:
        """Stores an operator's message; takes the conversation first where nobody has it, and says whether it did."""

    def add_note(self, session_hash: str, note: NewMessage, operator_id: str) -> AppendResult: ...

    def read_notes(self, session_hash: str) -> list[bytes]:
        """The operators' notes as JSON, oldest first."""

    def mark_read(self, session_hash: str, operator_id: str) -> None: ...

    def set_typing(self, session_hash: str, actor: str, who: str, name: str) -> bool:
        """The ``operator`` or the ``visitor`` types; False where that was sent within the last 3 s."""

    def set_queue_position(self, session_hash: str, position: int) -> bool:
        """Notifies a visitor who waits of their position; False where they know it, or wait no more."""

    def mark_abandoned(self, session_hash: str) -> tuple[bool, int]:
        """Records that the visitor has left; False where they have not, or it is known. And when they were seen."""

    def get_successor(self, session_hash: str) -> str:
        """The hash that a claim has given, or is giving, this session; empty where none did."""

    def delete_session(self, session_hash: str, actor: str) -> None: ...

    def acquire_engine_slot(self, member: str, address: str = "") -> int:
        """Takes a slot of the engine budget, of which one address has at most a quarter; 0, or the ms to wait."""

    def renew_engine_slot(self, member: str, address: str = "") -> None:
        """Keeps the slot for another 45 s."""

    def release_engine_slot(self, member: str, address: str = "", *, unused: bool = False) -> None:
        """Gives the slot back; ``unused``: no call was made, so it does not count for the minute either."""

    def set_engine_problem(self, problem: str) -> None:
        """Keeps what is wrong with the engine for ten minutes, for /health; empty where nothing is."""
