"""Conversations: create, append, ask, stream, resume, hand off, rate, end, delete. No Flask and no Redis here."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from app.conversations import ids
from app.conversations.answer_runner import AnswerRunner, TurnRequest
from app.conversations.events import (
    SESSION_ENDED_EVENT,
    TERMINAL_EVENTS,
    Event,
    EventCursor,
    parse_cursor,
    parse_message_id,
    serialize_message,
)
from app.conversations.ids import Status
from app.engines.base import AnswerChunk, ChatMessage
from app.errors import (
    EngineBusy,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    InvalidRequest,
    SessionNotFound,
    StorageUnavailable,
)
from app.storage.base import (
    AppendResult,
    ConversationStore,
    EventBatch,
    NewMessage,
    SessionSnapshot,
    Subscription,
    TurnStart,
)
from app.storage.desk_index import DeskIndex

PING_SECONDS = 5.0
MAX_STORAGE_OUTAGE_SECONDS = 2.0
"""A call that waits for its answer gives up after storage has been away this long; the question is stored."""
RESUME_PAGE_SIZE = 100
Typist = Literal["operator", "visitor"]


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class ConversationPage:
    """A session with some of its messages, and the cursor from which its events continue."""

    session: SessionSnapshot
    status: Status
    cursor: str


@dataclass(frozen=True, slots=True)
class ResumeResult:
    """A resumed conversation; ``kind`` of its ticket, empty where it was resumed by its id.

    ``token`` is the owner's user token, where the ticket carried one.
    """

    session_id: str
    page: ConversationPage
    kind: str
    token: str = ""


class StatelessAnswer:
    """The chunks of an answer that is not stored, and None whenever nothing came for a while.

    ``close`` ends it, also before its first chunk was read.
    """

    def __init__(
        self, store: ConversationStore, turn_id: str, address: str, chunks: Generator[AnswerChunk | None]
    ) -> None:
        self._store = store
        self._turn_id = turn_id
        self._address = address
        self._chunks = chunks
        self._is_open = True

    def __iter__(self) -> Iterator[AnswerChunk | None]:
        return self._chunks

    def close(self) -> None:
        """Stops the engine and releases its slot in the budget."""
        if self._is_open:
            self._is_open = False
            self._chunks.close()
            self._store.release_engine_slot(self._turn_id, self._address)


class ConversationService:
    """All conversations. ``actor`` is ``""`` for an anonymous caller, ``"*"`` for the API key, else a user's hash."""

    def __init__(
        self, store: ConversationStore, runner: AnswerRunner, *, idle_timeout_ms: int, index: DeskIndex | None = None
    ) -> None:
        """``index`` follows the sessions, where operators or other systems learn of them."""
        self._index = index
        self._store = store
        self._runner = runner
        self._idle_timeout_ms = idle_timeout_ms

    def create_session(
        self, metadata: dict[str, Any] | None, owner: str = "", name: str = "", profile: bytes = b""
    ) -> tuple[str, int, int]:
        """A new conversation: its id, when it was created and when it expires (ms).

        ``name``: the entry of its name; ``profile``: its signed-in user for the operators, as JSON.
        """
        session_id = ids.new_session_id()
        session_hash = ids.hash_session_id(session_id) or ""
        stored_metadata = orjson.dumps(metadata) if metadata else b""
        created, expires = self._store.create_session(session_hash, stored_metadata, owner, name, profile)
        return session_id, created, expires

    def get_page(
        self, session_hash: str, actor: str, direction: str = "", message_id: str = "", limit: int = 0
    ) -> ConversationPage:
        """The session with at most ``limit`` messages: the newest, or those ``after`` or ``before`` a message.

        Raises SessionNotFound or Forbidden, and InvalidRequest where the message is not of this session.
        """
        tag = ids.session_tag(session_hash)
        number = parse_message_id(message_id, tag) if direction else 0
        if number is None:
            self._store.read_messages(session_hash, actor, "", 0, 0)  # an unknown session is 404 before it is 422
            raise InvalidRequest(direction, "names no message of this conversation")
        session = self._store.read_messages(session_hash, actor, direction, number, limit)
        if session.turn_expired:
            self._store.expire_dead_turn(session_hash)
            session = self._store.read_messages(session_hash, actor, direction, number, limit)
        status = ids.session_status(
            ended=session.ended, last_seen=session.last_seen_at, now=session.now, idle_timeout=self._idle_timeout_ms
        )
        return ConversationPage(session, status, _cursor(session, direction).encode(tag))

    def append_message(self, session_hash: str, actor: str, new_message: NewMessage) -> AppendResult:
        """Stores a message; a known client id returns what its first call stored."""
        return self._store.append_message(session_hash, actor, new_message)

    def start_turn(
        self,
        session_hash: str,
        actor: str,
        question: str,
        client_id: str | None = None,
        *,
        address: str = "",
        regenerate: bool = False,
        is_streamed: bool = False,
        model: str = "",
        retry_failed: bool = True,
    ) -> TurnStart:
        """Stores a question and starts a turn; a known client id joins its running turn or gets its answer.

        ``address``: hash of the address whose share of the engine budget the turn uses; empty for none.
        ``regenerate``: the same question was asked before, and the engine does not get that answer.
        ``is_streamed``: the answer is asked for as a stream. ``model``: the one that the caller chose.
        ``retry_failed``: a known client id whose turn has failed starts another one; else the outcome is ``failed``.
        """
        turn_id = "turn_" + secrets.token_urlsafe(12)
        body = serialize_message("user", question, {"regenerate": True} if regenerate else None, client_id)
        new_message = NewMessage(body, client_id or "", address=address, retry_failed=retry_failed)
        try:
            turn_start = self._store.start_turn(session_hash, actor, new_message, turn_id, claim=True)
        except StorageUnavailable:
            # The turn may have started and only the reply be lost. The same call again starts it at most once. If that
            # fails too, a started turn must not wait for its lease to expire with nobody answering.
            try:
                turn_start = self._store.start_turn(session_hash, actor, new_message, turn_id, claim=True)
            except StorageUnavailable:
                self._runner.fail_when_storage_returns(session_hash, turn_id, address)
                raise
        if turn_start.outcome == "held":
            number = _message_number(turn_start.message, session_hash)
            return replace(turn_start, start=number)
        if turn_start.outcome == "started":
            message = orjson.loads(turn_start.message)
            number = _message_number(turn_start.message, session_hash)
            is_retry = number != turn_start.start
            self._runner.start(
                TurnRequest(
                    session_hash,
                    turn_id,
                    message["content"],
                    number,
                    is_retry,
                    turn_start.history,
                    turn_start.metadata,
                    address,
                    is_streamed,
                    model,
                )
            )
        return turn_start

    def answer_stateless(
        self,
        question: str,
        address: str = "",
        history: Sequence[ChatMessage] = (),
        *,
        is_streamed: bool = False,
        model: str = "",
    ) -> StatelessAnswer:
        """An answer from the question and ``history`` alone; nothing is stored.

        Raises EngineBusy where the budget is used up.
        """
        turn_id = "turn_" + secrets.token_urlsafe(12)
        if wait := self._store.acquire_engine_slot(turn_id, address):
            raise EngineBusy(retry_after=math.ceil(wait / 1000))
        chunks = self._runner.stream_stateless(
            question, turn_id, address, history, is_streamed=is_streamed, model=model
        )
        return StatelessAnswer(self._store, turn_id, address, chunks)

    def wait_for_answer(self, session_hash: str, actor: str, turn_start: TurnStart) -> dict[str, Any]:
        """The whole answer: ``answer.end``'s data; without a message where a person took over before the first word.

        Raises EngineFailed or EngineTimeout as the turn ended."""
        if turn_start.outcome == "completed":
            if not turn_start.message:
                return {"message": None, "citations": []}
            message = orjson.loads(turn_start.message)
            return {"message": message, "citations": message["metadata"].get("citations", [])}
        # Most answers end soon and in this worker: then their last event need not be read from the log again.
        terminal = self._runner.wait(turn_start.turn_id, 1.0)
        if terminal:
            return _answer_from(terminal.type, orjson.loads(terminal.data))
        for event in self.stream_turn(session_hash, actor, turn_start):
            if event and event.type in TERMINAL_EVENTS:
                return _answer_from(event.type, event.payload())
        raise SessionNotFound

    def get_running_turn(self, session_hash: str, actor: str) -> TurnStart | None:
        """The turn that runs at this moment, to be read from its start; None where none does."""
        session = self.get_page(session_hash, actor).session
        return TurnStart("joined", session.turn_id, session.turn_start) if session.turn_id else None

    def read_turn(self, session_hash: str, actor: str, turn: TurnStart) -> Iterator[tuple[int, Event]]:
        """The events of a turn that there are by now, with their numbers; does not wait for more."""
        after, may_be_dead = turn.start, True
        while True:
            batch = self._store.read_events(session_hash, actor, after)
            for number, (event_type, data) in enumerate(batch.events, batch.after + 1):
                event = Event(None, event_type, data)
                if event.payload().get("turn_id") == turn.turn_id:
                    yield number, event
                    if event_type in TERMINAL_EVENTS:
                        return
            after = batch.after + len(batch.events)
            if batch.events:
                continue
            lease = batch.lease_remaining_ms
            if not may_be_dead or lease is None or lease >= 0 or not self._store.expire_dead_turn(session_hash):
                return
            may_be_dead = False

    def stream_turn(self, session_hash: str, actor: str, turn_start: TurnStart) -> Iterator[Event | None]:
        """The events from the turn's start to its end, and None whenever nothing came for a while."""
        is_local = turn_start.outcome == "started"
        for event in self.stream_events(session_hash, actor, EventCursor(turn_start.start), is_local=is_local):
            yield event
            if event is None:
                continue
            if event.type == "reset" or (
                event.type in TERMINAL_EVENTS and event.payload().get("turn_id") == turn_start.turn_id
            ):
                return

    def resolve_cursor(self, session_hash: str, actor: str, text: str | None) -> EventCursor:
        """The cursor that ``text`` names; None is the end of the log. An invalid one yields ``reset`` later."""
        end = EventCursor(self._store.read_events(session_hash, actor, -1).after)
        if text is None:
            return end
        cursor = parse_cursor(text, ids.session_tag(session_hash))
        return cursor if cursor and cursor.after_message <= end.after_event else EventCursor(10**15)

    def stream_events(
        self,
        session_hash: str,
        actor: str,
        start: EventCursor,
        *,
        is_local: bool = False,
        disconnected: Callable[[], bool] | None = None,
        typist: Typist = "operator",
        more: Callable[[EventBatch], Iterable[Event]] = lambda _: (),
    ) -> Iterator[Event | None]:
        """The one reader of the log: events in order, None when nothing came for a while, until the session is gone.

        ``is_local``: the turn runs in this worker. ``disconnected``: whether the client has left. A caller that waits
        for an answer passes None: it stays while the worker drains, and gets StorageUnavailable after
        MAX_STORAGE_OUTAGE_SECONDS. ``typist``: of whom the reader hears that they type. ``more``: what else there is
        to yield after each read of the log.
        """
        typing = TypingNotices(typist)
        after_event, after_message, available_at = start.after_event, start.after_message, time.monotonic()
        tag = ids.session_tag(session_hash)
        with self._store.subscribe(session_hash, local=is_local) as subscription:
            while True:
                try:
                    batch = self._store.read_events(session_hash, actor, after_event)
                except SessionNotFound:
                    yield SESSION_ENDED_EVENT
                    return
                except StorageUnavailable:
                    if disconnected is None and time.monotonic() - available_at > MAX_STORAGE_OUTAGE_SECONDS:
                        raise
                    batch = None
                if batch is not None:
                    available_at = time.monotonic()
                    after_message = 0 if batch.reset else after_message
                    yield from _events(batch, after_message, tag)
                    after_event = batch.after + len(batch.events)
                    if disconnected is not None:
                        yield from typing.read(batch)
                    yield from more(batch)
                if disconnected is not None and (subscription.closing or disconnected()):
                    return
                if not self._wait_for_events(session_hash, batch, subscription, is_local=is_local):
                    yield None

    def _wait_for_events(
        self, session_hash: str, batch: EventBatch | None, subscription: Subscription, *, is_local: bool
    ) -> bool:
        """Waits, at most until the running turn's lease expires; False if nothing came. No batch: an outage."""
        if batch is None:
            subscription.wait(1.0)
            return False
        if batch.events or batch.reset:
            return True
        seconds = 1.0 if is_local else PING_SECONDS
        if batch.lease_remaining_ms is not None:
            if batch.lease_remaining_ms < 0 and self._store.expire_dead_turn(session_hash):
                return True
            seconds = min(seconds, max(batch.lease_remaining_ms / 1000 + 0.05, 0.5))
        return subscription.wait(seconds)

    def heartbeat(self, session_hash: str, actor: str) -> int:
        """The visitor is present; returns when the session expires now (ms)."""
        return self._store.heartbeat(session_hash, actor, resume=False)

    def stop_turn(self, session_hash: str, actor: str) -> bool:
        """Ends the running answer with the words so far; False where none runs."""
        return self._store.stop_turn(session_hash, actor)

    def end_session(self, session_hash: str, actor: str, by: str = "visitor") -> None:
        """Final; a running answer is stopped. The history stays until it expires. ``by``: visitor or owner."""
        self._store.end_session(session_hash, actor, by)
        if self._index:
            with suppress(StorageUnavailable):  # those who wait behind it move up at once
                self._index.refresh(session_hash)

    def create_handoff_ticket(
        self, session_hash: str, actor: str, session_id: str, kind: ids.TicketKind, token: str = ""
    ) -> tuple[str, int]:
        """A ticket to stand in for the id in a link, and how many ms it is valid.

        ``token``: the owner's user token, to be carried along.
        """
        ticket = ids.new_ticket(session_hash)
        valid_ms = self._store.save_ticket(session_hash, actor, ticket.hash, kind, ticket.encrypt(session_id, token))
        return ticket.text, valid_ms

    def resume(
        self, text: str, actor: str, client_id: str | None, user_id_from_token: Callable[[str], str] = lambda _: ""
    ) -> ResumeResult:
        """Resumes a conversation by its id or a ticket. Raises SessionNotFound otherwise.

        ``user_id_from_token`` verifies the user token that a ticket may carry.
        """
        session_id, kind, token = text, "", ""
        ticket = ids.parse_ticket(text)
        if ticket:
            sealed, kind = self._store.redeem_ticket(ticket.session_hash, actor, ticket.hash, client_id or "")
            session_id, token = ticket.decrypt_with_token(sealed)
            actor = user_id_from_token(token) if token else actor
        session_hash = ids.hash_session_id(session_id)
        if session_hash is None:
            raise SessionNotFound
        if not ticket:
            self._store.heartbeat(session_hash, actor, resume=True)
        return ResumeResult(session_id, self.get_page(session_hash, actor, limit=RESUME_PAGE_SIZE), kind, token)

    def set_feedback(self, session_hash: str, actor: str, message_id: str, rating: dict[str, Any] | None) -> bytes:
        """Stores a visitor's feedback on an answer (None removes it) and returns the message.

        Raises SessionNotFound, or PathNotFound where the session exists and has no such answer.
        """
        number = parse_message_id(message_id, ids.session_tag(session_hash)) or 0  # 0 names no message
        return self._store.set_feedback(session_hash, actor, number, orjson.dumps(rating) if rating else b"")

    def delete_session(self, session_hash: str, actor: str) -> None:
        """Deletes everything of the conversation; a running answer is stopped."""
        member = self._index.leave(session_hash) if self._index else ""
        self._store.delete_session(session_hash, actor)
        if self._index:
            self._index.forget(member)


class TypingNotices:
    """What one reader hears of somebody who types: each notice once, and none from before it came."""

    def __init__(self, typist: Typist) -> None:
        self._typist = typist
        self._last: str | None = None

    def read(self, batch: EventBatch) -> Iterator[Event]:
        """The ``typing`` event, where there is a new one. It has no id and is not replayed."""
        notice = batch.typing[0 if self._typist == "operator" else 1]
        if notice and self._last is not None and notice != self._last:
            name = notice.partition(":")[2]
            data = {"who": self._typist} | ({"name": name} if self._typist == "operator" else {})
            yield Event(None, "typing", orjson.dumps(data))
        self._last = notice or self._last or ""


def _message_number(message: bytes, session_hash: str) -> int:
    return parse_message_id(orjson.loads(message)["id"], ids.session_tag(session_hash)) or 0


def _cursor(session: SessionSnapshot, direction: str) -> EventCursor:
    """Where a reader of these messages continues: a running answer from its first word, no message twice."""
    last = session.last_event
    if direction == "after" and session.has_more:
        last = int(orjson.loads(session.messages[-1])["id"].split("_")[1])
    if session.turn_id and session.turn_start < last:
        return EventCursor(session.turn_start, last)
    return EventCursor(last)


def _events(batch: EventBatch, after_message: int, tag: str) -> Iterator[Event]:
    """The batch's events with their ids, without the messages up to ``after_message``; first a reset, if there was."""
    if batch.reset:
        yield Event(EventCursor(batch.after).encode(tag), "reset", b"{}")
    for number, (event_type, data) in enumerate(batch.events, batch.after + 1):
        if event_type == "message" and number <= after_message:
            continue
        yield Event(EventCursor(number, after_message).encode(tag), event_type, data)


def _answer_from(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """The data of ``answer.end``; ``answer.error`` is raised."""
    if event_type == "answer.end":
        return data
    if data.get("retryable") is False:
        raise EngineRefused(data["detail"])
    error = EngineTimeout if data["code"] == EngineTimeout.code else EngineFailed
    raise error(data["detail"])
