"""What one can do with a conversation: open, say, ask, follow, beat, end, hand off, resume, rate, erase."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

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
from app.engines.base import AnswerChunk
from app.errors import (
    EngineBusy,
    EngineFailed,
    EngineTimeout,
    InvalidRequest,
    NotFound,
    SessionNotFound,
    StorageUnavailable,
)
from app.storage.base import (
    AppendResult,
    ConversationStore,
    EventBatch,
    NewMessage,
    RateLimitCheck,
    SessionSnapshot,
    Subscription,
    TurnStart,
)

PING_SECONDS = 5.0
MAX_STORAGE_OUTAGE_SECONDS = 2.0
"""A call that waits for its answer gives up after storage has been away this long; the question is kept."""
RESUME_PAGE_SIZE = 100


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class ConversationPage:
    """Some of a conversation: how it stands, and where to go on from so that nothing is missed or told twice."""

    look: SessionSnapshot
    status: Status
    cursor: str


@dataclass(frozen=True, slots=True)
class ResumeResult:
    """A conversation taken up from a link; ``kind`` of its ticket, empty where it came by its id.

    ``token`` is its owner's proof, where the ticket carried one.
    """

    session_id: str
    page: ConversationPage
    kind: str
    token: str = ""


class StatelessAnswer:
    """The pieces of an answer that is stored nowhere; ``close`` ends it, also before its first piece was asked for."""

    def __init__(self, log: ConversationStore, turn_id: str, address: str, pieces: Generator[AnswerChunk]) -> None:
        self._store = log
        self._turn_id = turn_id
        self._address = address
        self._pieces = pieces
        self._open = True

    def __iter__(self) -> Iterator[AnswerChunk]:
        return self._pieces

    def close(self) -> None:
        """Stops the engine and gives its place in the budget back."""
        if self._open:
            self._open = False
            self._pieces.close()
            self._store.release_engine_slot(self._turn_id, self._address)


class ConversationService:
    """All conversations. ``who`` asks: ``""`` nobody known, ``"*"`` the service's owner, else a signed-in user."""

    def __init__(self, log: ConversationStore, answering: AnswerRunner, *, idle: int) -> None:
        self._store = log
        self._answering = answering
        self._idle = idle

    def create_session(
        self, metadata: dict[str, Any] | None, owner: str = "", toll: RateLimitCheck | None = None
    ) -> tuple[str, int, int]:
        """A new conversation: its id, when it was created and when it expires (ms)."""
        session_id = ids.new_session_id()
        session_hash = ids.hash_session_id(session_id) or ""
        created, expires = self._store.create_session(
            session_hash, orjson.dumps(metadata) if metadata else b"", owner, toll
        )
        return session_id, created, expires

    def get_page(
        self, session_hash: str, actor: str, where: str = "", message_id: str = "", most: int = 0
    ) -> ConversationPage:
        """How it stands, with at most ``most`` messages: the newest, or those ``after`` or ``before`` a message."""
        tag = ids.session_tag(session_hash)
        number = parse_message_id(message_id, tag) if where else 0
        if number is None:
            self._store.read_messages(
                session_hash, actor, "", 0, 0
            )  # a session that is not there is that before all else
            raise InvalidRequest(where, "names no message of this conversation")
        look = self._store.read_messages(session_hash, actor, where, number, most)
        if look.turn_dead:
            self._store.expire_dead_turn(session_hash)
            look = self._store.read_messages(session_hash, actor, where, number, most)
        status = ids.session_status(ended=look.ended, seen=look.seen, now=look.now, idle=self._idle)
        return ConversationPage(look, status, _cursor(look, where).spell(tag))

    def append_message(self, session_hash: str, actor: str, words: NewMessage) -> AppendResult:
        """Stores a message; a known client id gets its first answer again."""
        return self._store.append_message(session_hash, actor, words)

    def start_turn(
        self,
        session_hash: str,
        actor: str,
        question: str,
        client_id: str | None = None,
        toll: RateLimitCheck | None = None,
        *,
        address: str = "",
    ) -> TurnStart:
        """Stores a question and sets a turn going; a known client id joins its turn or has its answer already.

        ``address``: whose share of the engine budget the turn takes; empty where it takes nobody's.
        """
        turn_id = "turn_" + secrets.token_urlsafe(12)
        body = serialize_message("user", question, None, client_id)
        words = NewMessage(body, client_id or "", toll=toll, address=address)
        try:
            begun = self._store.start_turn(session_hash, actor, words, turn_id, claim=True)
        except StorageUnavailable:
            # Its reply may be lost and the turn begun: sent again, it is begun once. If that fails too, it must not
            # stand there with nobody answering until its lease is over.
            try:
                begun = self._store.start_turn(session_hash, actor, words, turn_id, claim=True)
            except StorageUnavailable:
                self._answering.fail_when_storage_returns(session_hash, turn_id, address)
                raise
        if begun.outcome == "begun":
            message = orjson.loads(begun.message)
            number = parse_message_id(message["id"], ids.session_tag(session_hash)) or 0
            again = number != begun.start
            asked = TurnRequest(
                session_hash, turn_id, message["content"], number, again, begun.earlier, begun.metadata, address
            )
            self._answering.start(asked)
        return begun

    def answer_stateless(self, question: str, address: str = "") -> StatelessAnswer:
        """An answer from the question alone; nothing is stored. Raises EngineBusy where the budget is used up."""
        turn_id = "turn_" + secrets.token_urlsafe(12)
        if wait := self._store.acquire_engine_slot(turn_id, address):
            raise EngineBusy(retry_after=math.ceil(wait / 1000))
        return StatelessAnswer(
            self._store, turn_id, address, self._answering.stream_stateless(question, turn_id, address)
        )

    def wait_for_answer(self, session_hash: str, actor: str, begun: TurnStart) -> dict[str, Any]:
        """The whole answer: ``answer.end``'s data. Raises EngineFailed or EngineTimeout as the turn ended."""
        if begun.outcome == "done":
            message = orjson.loads(begun.message)
            return {"message": message, "citations": message["metadata"].get("citations", [])}
        # Most answers are over soon and in this worker: then what the log said at their end need not be read again.
        ended = self._answering.wait(begun.turn_id, 1.0)
        if ended:
            return _told(ended.kind, orjson.loads(ended.data))
        for event in self.stream_turn(session_hash, actor, begun):
            if event and event.kind in TERMINAL_EVENTS:
                return _told(event.kind, event.read())
        raise SessionNotFound

    def stream_turn(self, session_hash: str, actor: str, begun: TurnStart) -> Iterator[Event | None]:
        """The events from the turn's start to its end, and None whenever nothing came for a while."""
        near = begun.outcome == "begun"
        for event in self.stream_events(session_hash, actor, EventCursor(begun.start), near=near):
            yield event
            if event is None:
                continue
            if event.kind == "reset" or (
                event.kind in TERMINAL_EVENTS and event.read().get("turn_id") == begun.turn_id
            ):
                return

    def resolve_cursor(self, session_hash: str, actor: str, text: str | None) -> EventCursor:
        """The place a reader wants: None is the end of the log; one that cannot be brings ``reset``."""
        now = EventCursor(self._store.read_events(session_hash, actor, -1).after)
        if text is None:
            return now
        found = parse_cursor(text, ids.session_tag(session_hash))
        return found if found and found.told <= now.after else EventCursor(10**15)

    def stream_events(
        self,
        session_hash: str,
        actor: str,
        start: EventCursor,
        *,
        near: bool = False,
        gone: Callable[[], bool] | None = None,
    ) -> Iterator[Event | None]:
        """The one reader of the log: events in order, None when nothing came for a while, until the session is gone.

        ``near``: the turn followed runs in this worker. ``gone``: whether the reader has left; a reader that cannot
        leave (None) stays while the worker drains, and raises StorageUnavailable when that lasts.
        """
        after, told, well = start.after, start.told, time.monotonic()
        tag = ids.session_tag(session_hash)
        with self._store.subscribe(session_hash, near=near) as watch:
            while True:
                try:
                    batch = self._store.read_events(session_hash, actor, after)
                except NotFound:
                    yield SESSION_ENDED_EVENT
                    return
                except StorageUnavailable:
                    if gone is None and time.monotonic() - well > MAX_STORAGE_OUTAGE_SECONDS:
                        raise
                    batch = None
                if batch is not None:
                    well = time.monotonic()
                    told = 0 if batch.reset else told
                    yield from _events(batch, told, tag)
                    after = batch.after + len(batch.events)
                if gone is not None and (watch.closing or gone()):
                    return
                if not self._waited(session_hash, batch, watch, near=near):
                    yield None

    def _waited(self, session_hash: str, batch: EventBatch | None, watch: Subscription, *, near: bool) -> bool:
        """Waits for news, not longer than a dead worker's lease; False where none came. None: storage is away."""
        if batch is None:
            watch.wait(1.0)
            return False
        if batch.events or batch.reset:
            return True
        seconds = 1.0 if near else PING_SECONDS
        if batch.turn_left is not None:
            if batch.turn_left < 0 and self._store.expire_dead_turn(session_hash):
                return True
            seconds = min(seconds, max(batch.turn_left / 1000 + 0.05, 0.5))
        return watch.wait(seconds)

    def heartbeat(self, session_hash: str, actor: str) -> int:
        """The visitor is there; when the session expires now (ms)."""
        return self._store.heartbeat(session_hash, actor, resume=False)

    def stop_turn(self, session_hash: str, actor: str) -> bool:
        """Ends the running answer with what was said so far; False where none runs."""
        return self._store.stop_turn(session_hash, actor)

    def end_session(self, session_hash: str, actor: str) -> None:
        """Final; a running answer is stopped. The history stays until it expires."""
        self._store.end_session(session_hash, actor)

    def create_handoff_ticket(
        self, session_hash: str, actor: str, session_id: str, kind: ids.TicketKind, token: str = ""
    ) -> tuple[str, int]:
        """A ticket in place of the id, and for how many ms it is good. ``token``: its owner's proof, to go with it."""
        ticket = ids.new_ticket(session_hash)
        left = self._store.save_ticket(session_hash, actor, ticket.hash, kind, ticket.encrypt(session_id, token))
        return ticket.text, left

    def resume(
        self, text: str, actor: str, client_id: str | None, vouch: Callable[[str], str] = lambda _: ""
    ) -> ResumeResult:
        """Takes up a conversation by its id or a ticket. Raises NotFound for whatever is neither, or spent.

        ``vouch`` says whom a proof in a ticket names.
        """
        session_id, kind, token = text, "", ""
        ticket = ids.parse_ticket(text)
        if ticket:
            sealed, kind = self._store.redeem_ticket(ticket.session_hash, actor, ticket.hash, client_id or "")
            session_id, token = ticket.decrypt_with_token(sealed)
            actor = vouch(token) if token else actor
        session_hash = ids.hash_session_id(session_id)
        if session_hash is None:
            raise SessionNotFound
        if not ticket:
            self._store.heartbeat(session_hash, actor, resume=True)
        return ResumeResult(session_id, self.get_page(session_hash, actor, most=RESUME_PAGE_SIZE), kind, token)

    def set_feedback(self, session_hash: str, actor: str, message_id: str, rating: dict[str, Any] | None) -> bytes:
        """Keeps what a visitor thinks of an answer (None takes it back); the message.

        Raises NotFound, coded ``not_found`` where the session is there and the answer is not.
        """
        number = parse_message_id(message_id, ids.session_tag(session_hash)) or 0  # 0 names no message
        return self._store.set_feedback(session_hash, actor, number, orjson.dumps(rating) if rating else b"")

    def delete_session(self, session_hash: str, actor: str) -> None:
        """Nothing of the conversation is left; a running answer is stopped."""
        self._store.delete_session(session_hash, actor)


def _cursor(look: SessionSnapshot, where: str) -> EventCursor:
    """Where to go on from after reading: a running answer from its first word, no message that was read."""
    told = look.seq
    if where == "after" and look.has_more:
        told = int(orjson.loads(look.messages[-1])["id"].split("_")[1])
    if look.turn_id and look.turn_start < told:
        return EventCursor(look.turn_start, told)
    return EventCursor(told)


def _events(batch: EventBatch, told: int, tag: str) -> Iterator[Event]:
    """The batch's events with their ids, without the messages up to number ``told``; first that the place is gone."""
    if batch.reset:
        yield Event(EventCursor(batch.after).spell(tag), "reset", b"{}")
    for number, (kind, data) in enumerate(batch.events, batch.after + 1):
        if kind == "message" and number <= told:
            continue
        yield Event(EventCursor(number, told).spell(tag), kind, data)


def _told(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """The data of ``answer.end``; ``answer.error`` is raised."""
    if kind == "answer.end":
        return data
    error = EngineTimeout if data["code"] == EngineTimeout.code else EngineFailed
    raise error(data["detail"])
