"""What one can do with a conversation: open, say, ask, follow, beat, end, hand off, resume, rate, erase."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from app import session
from app.answering import Answering, Asked
from app.errors import EngineBusy, EngineFailed, EngineTimeout, InvalidRequest, NotFound, StorageUnavailable
from app.events import GONE, TERMINAL, Event, Position, message_number, read_position, spell_message
from app.ports import Batch, Begun, Look, Piece, SessionLog, Toll, Watch, Words, Written
from app.session import Status

TICK_SECONDS = 5.0
OUTAGE_SECONDS = 2.0
"""A call that waits for its answer gives up after storage has been away this long; the question is kept."""
NEWEST = 100


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class Page:
    """Some of a conversation: how it stands, and where to go on from so that nothing is missed or told twice."""

    look: Look
    status: Status
    cursor: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """A conversation taken up from a link; ``kind`` of its ticket, empty where it came by its id.

    ``token`` is its owner's proof, where the ticket carried one.
    """

    session_id: str
    page: Page
    kind: str
    token: str = ""


class Alone:
    """The pieces of an answer that is stored nowhere; ``close`` ends it, also before its first piece was asked for."""

    def __init__(self, log: SessionLog, turn_id: str, address: str, pieces: Generator[Piece]) -> None:
        self._log = log
        self._turn_id = turn_id
        self._address = address
        self._pieces = pieces
        self._open = True

    def __iter__(self) -> Iterator[Piece]:
        return self._pieces

    def close(self) -> None:
        """Stops the engine and gives its place in the budget back."""
        if self._open:
            self._open = False
            self._pieces.close()
            self._log.release(self._turn_id, self._address)


class Conversations:
    """All conversations. ``who`` asks: ``""`` nobody known, ``"*"`` the service's owner, else a signed-in user."""

    def __init__(self, log: SessionLog, answering: Answering, *, idle: int) -> None:
        self._log = log
        self._answering = answering
        self._idle = idle

    def open(self, metadata: dict[str, Any] | None, owner: str = "", toll: Toll | None = None) -> tuple[str, int, int]:
        """A new conversation: its id, when it was created and when it expires (ms)."""
        session_id = session.new_id()
        ref = session.ref_of(session_id) or ""
        created, expires = self._log.create(ref, orjson.dumps(metadata) if metadata else b"", owner, toll)
        return session_id, created, expires

    def look(self, ref: str, who: str, where: str = "", message_id: str = "", most: int = 0) -> Page:
        """How it stands, with at most ``most`` messages: the newest, or those ``after`` or ``before`` a message."""
        tag = session.tag_of(ref)
        number = message_number(message_id, tag) if where else 0
        if number is None:
            self._log.read(ref, who, "", 0, 0)  # a session that is not there is that before all else
            raise InvalidRequest(where, "names no message of this conversation")
        look = self._log.read(ref, who, where, number, most)
        if look.turn_dead:
            self._log.reap(ref)
            look = self._log.read(ref, who, where, number, most)
        status = session.status_of(ended=look.ended, seen=look.seen, now=look.now, idle=self._idle)
        return Page(look, status, _cursor(look, where).spell(tag))

    def say(self, ref: str, who: str, words: Words) -> Written:
        """Stores a message; a known client id gets its first answer again."""
        return self._log.append(ref, who, words)

    def ask(  # noqa: PLR0913 - what one call brings
        self,
        ref: str,
        who: str,
        question: str,
        client_id: str | None = None,
        toll: Toll | None = None,
        *,
        address: str = "",
    ) -> Begun:
        """Stores a question and sets a turn going; a known client id joins its turn or has its answer already.

        ``address``: whose share of the engine budget the turn takes; empty where it takes nobody's.
        """
        turn_id = "turn_" + secrets.token_urlsafe(12)
        body = spell_message("user", question, None, client_id)
        words = Words(body, client_id or "", toll=toll, address=address)
        try:
            begun = self._log.begin(ref, who, words, turn_id, claim=True)
        except StorageUnavailable:
            # Its reply may be lost and the turn begun: sent again, it is begun once. If that fails too, it must not
            # stand there with nobody answering until its lease is over.
            try:
                begun = self._log.begin(ref, who, words, turn_id, claim=True)
            except StorageUnavailable:
                self._answering.abandon(ref, turn_id, address)
                raise
        if begun.outcome == "begun":
            message = orjson.loads(begun.message)
            number = message_number(message["id"], session.tag_of(ref)) or 0
            again = number != begun.start
            asked = Asked(ref, turn_id, message["content"], number, again, begun.earlier, begun.metadata, address)
            self._answering.start(asked)
        return begun

    def ask_alone(self, question: str, address: str = "") -> Alone:
        """An answer from the question alone; nothing is stored. Raises EngineBusy where the budget is used up."""
        turn_id = "turn_" + secrets.token_urlsafe(12)
        if wait := self._log.claim(turn_id, address):
            raise EngineBusy(retry_after=math.ceil(wait / 1000))
        return Alone(self._log, turn_id, address, self._answering.alone(question, turn_id, address))

    def answer(self, ref: str, who: str, begun: Begun) -> dict[str, Any]:
        """The whole answer: ``answer.end``'s data. Raises EngineFailed or EngineTimeout as the turn ended."""
        if begun.outcome == "done":
            message = orjson.loads(begun.message)
            return {"message": message, "citations": message["metadata"].get("citations", [])}
        # Most answers are over soon and in this worker: then what the log said at their end need not be read again.
        ended = self._answering.wait(begun.turn_id, 1.0)
        if ended:
            return _told(ended.kind, orjson.loads(ended.data))
        for event in self.turn(ref, who, begun):
            if event and event.kind in TERMINAL:
                return _told(event.kind, event.read())
        raise NotFound

    def turn(self, ref: str, who: str, begun: Begun) -> Iterator[Event | None]:
        """The events from the turn's start to its end, and None whenever nothing came for a while."""
        near = begun.outcome == "begun"
        for event in self.follow(ref, who, Position(begun.start), near=near):
            yield event
            if event is None:
                continue
            if event.kind == "reset" or (event.kind in TERMINAL and event.read().get("turn_id") == begun.turn_id):
                return

    def place(self, ref: str, who: str, text: str | None) -> Position:
        """The place a reader wants: None is the end of the log; one that cannot be brings ``reset``."""
        now = Position(self._log.follow(ref, who, -1).after)
        if text is None:
            return now
        found = read_position(text, session.tag_of(ref))
        return found if found and found.told <= now.after else Position(10**15)

    def follow(
        self, ref: str, who: str, start: Position, *, near: bool = False, gone: Callable[[], bool] | None = None
    ) -> Iterator[Event | None]:
        """The one reader of the log: events in order, None when nothing came for a while, until the session is gone.

        ``near``: the turn followed runs in this worker. ``gone``: whether the reader has left; a reader that cannot
        leave (None) stays while the worker drains, and raises StorageUnavailable when that lasts.
        """
        after, told, well = start.after, start.told, time.monotonic()
        tag = session.tag_of(ref)
        with self._log.watch(ref, near=near) as watch:
            while True:
                try:
                    batch = self._log.follow(ref, who, after)
                except NotFound:
                    yield GONE
                    return
                except StorageUnavailable:
                    if gone is None and time.monotonic() - well > OUTAGE_SECONDS:
                        raise
                    batch = None
                if batch is not None:
                    well = time.monotonic()
                    told = 0 if batch.reset else told
                    yield from _events(batch, told, tag)
                    after = batch.after + len(batch.events)
                if gone is not None and (watch.closing or gone()):
                    return
                if not self._waited(ref, batch, watch, near=near):
                    yield None

    def _waited(self, ref: str, batch: Batch | None, watch: Watch, *, near: bool) -> bool:
        """Waits for news, not longer than a dead worker's lease; False where none came. None: storage is away."""
        if batch is None:
            watch.wait(1.0)
            return False
        if batch.events or batch.reset:
            return True
        seconds = 1.0 if near else TICK_SECONDS
        if batch.turn_left is not None:
            if batch.turn_left < 0 and self._log.reap(ref):
                return True
            seconds = min(seconds, max(batch.turn_left / 1000 + 0.05, 0.5))
        return watch.wait(seconds)

    def beat(self, ref: str, who: str) -> int:
        """The visitor is there; when the session expires now (ms)."""
        return self._log.touch(ref, who, resume=False)

    def stop(self, ref: str, who: str) -> bool:
        """Ends the running answer with what was said so far; False where none runs."""
        return self._log.stop(ref, who)

    def end(self, ref: str, who: str) -> None:
        """Final; a running answer is stopped. The history stays until it expires."""
        self._log.finish(ref, who)

    def hand_off(self, ref: str, who: str, session_id: str, kind: session.Kind, token: str = "") -> tuple[str, int]:
        """A ticket in place of the id, and for how many ms it is good. ``token``: its owner's proof, to go with it."""
        ticket = session.new_ticket(ref)
        left = self._log.hand_off(ref, who, ticket.hash, kind, ticket.seal(session_id, token))
        return ticket.text, left

    def resume(self, text: str, who: str, client_id: str | None, vouch: Callable[[str], str] = lambda _: "") -> Resumed:
        """Takes up a conversation by its id or a ticket. Raises NotFound for whatever is neither, or spent.

        ``vouch`` says whom a proof in a ticket names.
        """
        session_id, kind, token = text, "", ""
        ticket = session.read_ticket(text)
        if ticket:
            sealed, kind = self._log.take(ticket.ref, who, ticket.hash, client_id or "")
            session_id, token = ticket.unseal_both(sealed)
            who = vouch(token) if token else who
        ref = session.ref_of(session_id)
        if ref is None:
            raise NotFound
        if not ticket:
            self._log.touch(ref, who, resume=True)
        return Resumed(session_id, self.look(ref, who, most=NEWEST), kind, token)

    def rate(self, ref: str, who: str, message_id: str, rating: dict[str, Any] | None) -> bytes:
        """Keeps what a visitor thinks of an answer (None takes it back); the message.

        Raises NotFound, coded ``not_found`` where the session is there and the answer is not.
        """
        number = message_number(message_id, session.tag_of(ref)) or 0  # 0 names no message
        return self._log.rate(ref, who, number, orjson.dumps(rating) if rating else b"")

    def erase(self, ref: str, who: str) -> None:
        """Nothing of the conversation is left; a running answer is stopped."""
        self._log.erase(ref, who)


def _cursor(look: Look, where: str) -> Position:
    """Where to go on from after reading: a running answer from its first word, no message that was read."""
    told = look.seq
    if where == "after" and look.has_more:
        told = int(orjson.loads(look.messages[-1])["id"].split("_")[1])
    if look.turn_id and look.turn_start < told:
        return Position(look.turn_start, told)
    return Position(told)


def _events(batch: Batch, told: int, tag: str) -> Iterator[Event]:
    """The batch's events with their ids, without the messages up to number ``told``; first that the place is gone."""
    if batch.reset:
        yield Event(Position(batch.after).spell(tag), "reset", b"{}")
    for number, (kind, data) in enumerate(batch.events, batch.after + 1):
        if kind == "message" and number <= told:
            continue
        yield Event(Position(number, told).spell(tag), kind, data)


def _told(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """The data of ``answer.end``; ``answer.error`` is raised."""
    if kind == "answer.end":
        return data
    error = EngineTimeout if data["code"] == EngineTimeout.code else EngineFailed
    raise error(data["detail"])
