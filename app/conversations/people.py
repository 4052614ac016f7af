"""People who answer: a conversation is the bot's, waits in the queue, or an operator has it.

Who has it is a fact in the session's log, set by one atomic step that also ends a running answer. So no word of the bot
follows an operator who has taken over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Literal, TypeVar

import orjson

from app.auth.operators import Operator, OperatorDirectory
from app.conversations.events import serialize_message
from app.engines.base import operator_author
from app.errors import BatonError, InvalidRequest, SessionEnded, SessionNotFound, StorageUnavailable
from app.storage.base import AppendResult, ConversationStore, NewMessage, Release, SessionSnapshot
from app.storage.desk_index import DeskIndex

T = TypeVar("T")
PutBackReason = Literal["timeout", "absent", "left"]

MOVE_SECONDS = 4.0
"""How long a call waits for a claim that is moving the conversation to its user."""
VISITOR_AWAY_MS = 300_000
"""A visitor without a feed and without a heartbeat for this long has left."""
CHANGED_POSITIONS = 50
"""So many of those who wait are notified when they move up."""
_PUT_BACK = {"timeout": ("bot", "waiting"), "absent": ("queue", "holder"), "left": ("bot", "left")}


class PeopleService:
    """What visitors, operators and the service itself do about who answers."""

    def __init__(
        self,
        store: ConversationStore,
        operators: OperatorDirectory,
        index: DeskIndex | None = None,
    ) -> None:
        self._store = store
        self._operators = operators
        self._index = index

    # The visitor

    def request_human(
        self,
        session_hash: str,
        actor: str,
        reason: str = "",
        contact: Mapping[str, str] | None = None,
        by: str = "visitor",
    ) -> dict[str, Any]:
        """Asks for a person: ``handler``, ``queue_position`` and ``people``. Asked again, it changes nothing.

        With nobody there the bot stays, and reason and contact are kept for the operators. Raises SessionEnded.
        """
        people = self._operators.people_state()
        position = str(self.next_position()) if people == "online" else ""
        handler, changed = self._store.request_human(
            session_hash, actor, orjson.dumps(contact) if contact else b"", reason, position, by
        )
        self.refresh(session_hash)
        state: dict[str, Any] = {"handler": handler, "people": people}
        if handler == "queue":
            current = self.state(self._store.read_messages(session_hash, actor, "", 0, 0)).get("queue_position")
            queue_position = current or (int(position) if changed and position else 0)
            state |= {"queue_position": queue_position} if queue_position else {}
        return state

    def state(self, session: SessionSnapshot) -> dict[str, Any]:
        """``handler``, ``assigned_to`` and in the queue ``queue_position``, as every reader of a session gets them."""
        assigned_to = {"name": session.assigned_to} if session.handler == "human" else None
        state: dict[str, Any] = {"handler": session.handler or "bot", "assigned_to": assigned_to}
        if session.handler == "queue" and (position := self._queue_position(session.ref)):
            state["queue_position"] = position
        return state

    def _queue_position(self, ref: str) -> int:
        """0 where it is not known: in a Cluster the index may be away while the session is not."""
        with suppress(StorageUnavailable):
            return self._index.queue_position(ref) if self._index else 0
        return 0

    def next_position(self) -> int:
        """The position that somebody gets who asks for a person now."""
        return self._index.counts("")["queue"] + 1 if self._index else 1

    def handoff_position(self) -> str:
        """Where a conversation goes that the engine hands over: a position in the queue, or ``bot``."""
        return str(self.next_position()) if self._operators.people_state() == "online" else "bot"

    # Operators

    def take(self, session_hash: str, operator: Operator, *, force: bool = False) -> bool:
        """Gives the operator the conversation; False where they had it already.

        ``force`` is for leads and admins: it takes it from somebody. A running answer ends with its words so far.
        Raises AlreadyTaken or SessionEnded.
        """
        return self._change(
            session_hash, lambda current: self._store.take(current, operator.id, operator.name, force=force)
        )

    def release(self, session_hash: str, operator: Operator, to: str) -> bool:
        """Gives the conversation to the ``bot``, the ``queue`` or the operator with the id ``to``.

        Raises AlreadyTaken, SessionEnded, or InvalidRequest where ``to`` names nobody who may answer.
        """
        by = "*" if operator.is_at_least("lead") else operator.id
        if to == "bot":
            release = Release("bot", "released", by)
        elif to == "queue":
            release = Release("queue", "released", by, position=str(self.next_position()))
        else:
            colleague = self._operators.get(to)
            if colleague is None or not colleague.is_at_least("operator"):
                raise InvalidRequest("to", "must be bot, queue or the id of somebody who may answer")
            release = Release("human", "taken", by, colleague.id, colleague.name)
        return self._change(session_hash, lambda current: self._store.release(current, release))

    def send_message(
        self, session_hash: str, operator: Operator, text: str, client_id: str | None = None
    ) -> AppendResult:
        """Says something as the operator, who takes the conversation first where nobody has it. Raises AlreadyTaken."""
        author = operator_author(operator.name)
        message = NewMessage(serialize_message("assistant", text, None, client_id, author), client_id or "")
        (result, _), session_hash = self._follow(
            session_hash,
            lambda current: self._store.append_operator_message(current, message, operator.id, operator.name),
        )
        self.refresh(session_hash)
        return result

    def add_note(self, session_hash: str, operator: Operator, text: str, client_id: str | None = None) -> AppendResult:
        """Stores a note, which operators alone read."""
        author = {"type": "operator", "id": operator.id, "name": operator.name}
        note = NewMessage(serialize_message("note", text, None, client_id, author), client_id or "")
        return self._follow(session_hash, lambda current: self._store.add_note(current, note, operator.id))[0]

    def get_notes(self, session_hash: str) -> list[bytes]:
        """All notes as JSON, oldest first."""
        return self._follow(session_hash, self._store.read_notes)[0]

    def mark_read(self, session_hash: str, operator: Operator) -> None:
        """The operator has read what there is."""
        _, session_hash = self._follow(session_hash, lambda current: self._store.mark_read(current, operator.id))
        self.refresh(session_hash)

    def set_typing(
        self, session_hash: str, who: Literal["operator", "visitor"], name: str = "", actor: str = "*"
    ) -> None:
        """Somebody types; the other side is notified, once in 3 s at most. Raises SessionEnded."""
        self._store.set_typing(session_hash, actor, who, name)

    def end(self, session_hash: str, operator: Operator) -> None:
        """Ends the conversation. Raises AlreadyTaken where somebody else has it and the operator is no lead."""
        unless_taken_from = "" if operator.is_at_least("lead") else operator.id
        self._change(session_hash, lambda current: self._store.end_session(current, "*", "operator", unless_taken_from))

    # The service itself

    def put_back(self, session_hash: str, reason: PutBackReason, value: str) -> bool:
        """Takes a conversation from somebody who does nothing about it; False where that is not so (any more).

        ``timeout``: nobody took it within ``value`` ms, so the bot has it again. ``absent``: the operator ``value`` is
        away, so it goes back to the queue. ``left``: the visitor has been away for ``value`` ms, so the bot has it.
        """
        to, condition = _PUT_BACK[reason]
        position = str(self.next_position()) if to == "queue" else ""
        release = Release(to, reason, position=position, condition=condition, value=value)
        try:
            changed = self._store.release(session_hash, release)
        except (SessionEnded, SessionNotFound):
            return False
        if changed:
            self.refresh(session_hash)
        return changed

    def publish_positions(self, known: AbstractSet[tuple[str, int]] = frozenset()) -> AbstractSet[tuple[str, int]]:
        """Notifies those who wait of their place in the queue, but for the sessions and positions that are ``known``.

        Returns what is known by then. The sweeper does it for all who have left the queue since it was done last:
        done for each of them, a long queue that nobody comes for would be too much work.
        """
        published: set[tuple[str, int]] = set()
        for waiting in self._index.waiting(CHANGED_POSITIONS) if self._index else ():
            with suppress(BatonError):
                if waiting not in known:
                    self._store.set_queue_position(*waiting)
                published.add(waiting)
        return published

    def _change(self, session_hash: str, verb: Callable[[str], T]) -> T:
        result, session_hash = self._follow(session_hash, verb)
        self.refresh(session_hash)
        return result

    def refresh(self, session_hash: str) -> None:
        """Shows operators a change at once. Where that fails, the change tracker does it a little later."""
        if self._index:
            with suppress(BatonError):
                self._index.refresh(session_hash)

    def _follow(self, session_hash: str, verb: Callable[[str], T]) -> tuple[T, str]:
        """Runs a verb with the conversation's current hash, which a claim may be changing. The result and that hash."""
        deadline = time.monotonic() + MOVE_SECONDS
        while True:
            try:
                return verb(session_hash), session_hash
            except SessionNotFound:
                successor = self._store.get_successor(session_hash)
                if not successor or time.monotonic() > deadline:
                    raise
            with suppress(SessionNotFound):  # the claim is under way
                return verb(successor), successor
            time.sleep(0.05)
