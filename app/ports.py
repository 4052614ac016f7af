"""What the middle needs of the edges: an engine to answer, a log to keep, a bell to wait by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Citation:
    """A source that an answer rests on. ``url`` opens it; ``snippet`` is plain text, at most 600 characters."""

    title: str
    url: str
    snippet: str


@dataclass(frozen=True, slots=True)
class Said:
    """One earlier message that an engine may trust: ``role`` is ``user``, ``assistant`` or ``system``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Text:
    """The next words of the answer, exactly as they are to be shown (Markdown)."""

    text: str


@dataclass(frozen=True, slots=True)
class Cited:
    """The sources of the answer, best first; the last one given counts. ``[1]`` in the text means the first."""

    citations: Sequence[Citation]


@dataclass(frozen=True, slots=True)
class Degraded:
    """The answer comes from a fallback; ``reason`` is one plain sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens that the answer was charged with, for the metrics; several add up."""

    prompt: int
    completion: int


Piece = Text | Cited | Degraded | Used


class StopSignal(Protocol):
    """Set once when the turn is to end early: stopped by the visitor, timed out, erased."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool:
        """True as soon as it is set, False after ``timeout`` seconds."""
        ...

    def on_set(self, callback: Callable[[], None]) -> None:
        """Call back once when set (at once if it is already), for example to close an upstream connection."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """Everything an engine gets. Nothing of it belongs to another visitor."""

    question: str
    history: Sequence[Said]
    """Oldest first, without the question."""
    stop: StopSignal
    find: Callable[[str, int], Sequence[Citation]] = field(default=lambda _query, _most: ())
    """``find(query, most)``: passages of the knowledge folder, best first; empty where there is none."""
    session_ref: str = ""
    """Ten characters that name the session in logs and to webhooks; not a credential."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the site gave when the session was created."""
    silence: float = 60.0
    """Seconds an engine may be silent (``BATON_ENGINE_TIMEOUT``)."""


@runtime_checkable
class Engine(Protocol):
    """What answers. One instance serves all visitors and keeps nothing of any.

    ``answer`` yields pieces and may raise ``EngineFailed``, ``EngineTimeout`` or ``EngineBusy``
    (any other exception counts as ``engine_failed``). The iterator is closed when the turn ends early.
    """

    name: str

    def answer(self, turn: Turn) -> Iterator[Piece]: ...


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class Look:
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
class Written:
    """A stored message, ``fresh`` unless its client id was known; what is ``left`` of the limit, ``reset`` in ms."""

    message: bytes
    fresh: bool
    left: int = 0
    reset: int = 0


@dataclass(frozen=True, slots=True)
class Begun:
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
class Batch:
    """Events after number ``after``, in order: kind and JSON. ``reset``: that place is gone, go on from ``after``."""

    after: int
    events: list[tuple[str, bytes]]
    reset: bool
    turn_left: int | None
    """Ms until the lease of the running answer ends; None where none runs."""


@dataclass(frozen=True, slots=True)
class Closing:
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
class Ended:
    """The event that ended a turn, as it stands in the log: ``answer.end`` or ``answer.error``, and its JSON."""

    kind: str
    data: bytes


@dataclass(slots=True)
class Toll:
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
class Words:
    """A message to be stored, spelt by ``spell_message``; ``refusal``: what to raise unless its client id is known."""

    body: bytes
    client_id: str = ""
    refusal: Exception | None = None
    toll: Toll | None = None
    """Counted, unless the client id is known; RateLimited past it."""
    address: str = ""
    """Whose share of the engine budget a turn takes; empty where it takes nobody's."""


class Watch(Protocol):
    """One waiting reader."""

    @property
    def closing(self) -> bool:
        """The worker is going: the reader should take leave."""
        ...

    def wait(self, seconds: float) -> bool:
        """True as soon as something may have happened; False after ``seconds``."""
        ...


class SessionLog(Protocol):
    """Where conversations live. Each verb is atomic.

    Verbs on a session take its ``ref`` and ``who`` asks (``""`` nobody known, ``"*"`` the service's owner, else a
    signed-in user) and raise NotFound, Forbidden (``not_owner``), Conflict, RateLimited or StorageUnavailable.
    """

    def create(self, ref: str, metadata: bytes, owner: str, toll: Toll | None = None) -> tuple[int, int]:
        """Begins a session; when it was created and when it expires, in ms. Raises RateLimited past the toll."""

    def append(self, ref: str, who: str, words: Words) -> Written: ...

    def begin(self, ref: str, who: str, words: Words, turn_id: str, *, claim: bool = False) -> Begun:
        """``claim``: a turn that begins takes a place in the engine budget; EngineBusy where there is none."""

    def grow(self, ref: str, turn_id: str, offset: int, text: str) -> bool:
        """Adds words at a byte offset and renews the lease; False where the turn is closed already."""

    def close(
        self, ref: str, turn_id: str, closing: Closing, *, release: bool = False, address: str = ""
    ) -> Ended | None:
        """Ends the turn; None where it was closed already. ``release``: its place in the budget is given back."""

    def stop(self, ref: str, who: str) -> bool:
        """Ends the running turn with what was said so far; False where none runs."""

    def reap(self, ref: str) -> bool:
        """Closes the turn of a worker that is no more, if that is what it is; whether it did.

        Waits a little to be sure: by a clock that jumped every worker looks dead.
        """

    def finish(self, ref: str, who: str) -> None: ...

    def touch(self, ref: str, who: str, *, resume: bool) -> int:
        """The session is seen; when it expires now, in ms."""

    def read(self, ref: str, who: str, where: str, number: int, most: int) -> Look:
        """``where`` is ``""`` (the newest), ``after`` or ``before`` message ``number``; InvalidRequest if unknown."""

    def follow(self, ref: str, who: str, after: int) -> Batch:
        """Events after number ``after``; -1 is the end of the log."""

    def watch(self, ref: str, *, near: bool) -> AbstractContextManager[Watch]:
        """Waits for news of a session; ``near``: this worker writes them itself."""

    def hand_off(self, ref: str, who: str, ticket: str, kind: str, sealed: str) -> int:
        """Keeps a ticket's hash; ms until it is dead. ``kind``: once, signed (once, with its owner's proof), share."""

    def take(self, ref: str, who: str, ticket: str, client_id: str) -> tuple[str, str]:
        """Takes a ticket, which is activity the first time: what it seals, and its kind."""

    def rate(self, ref: str, who: str, number: int, rating: bytes) -> bytes:
        """Keeps what a visitor thinks of an answer; the message."""

    def erase(self, ref: str, who: str) -> None: ...

    def claim(self, member: str, address: str = "") -> int:
        """Takes a place in the engine budget, of which one address has at most a quarter; 0, or the ms to wait."""

    def renew(self, member: str, address: str = "") -> None:
        """Keeps the place while its turn runs: it is good for 45 s at a time."""

    def release(self, member: str, address: str = "", *, unused: bool = False) -> None:
        """Gives the place back; ``unused``: no call was made, so it does not count for the minute either."""
