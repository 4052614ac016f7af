"""Lets an engine speak into a log, under a lease: the first word at once, later ones together, always one end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TypeVar

import orjson

from app.conversations.export import LazyHistory
from app.conversations.pump import END_OF_STREAM, CancelSource, EngineThread, StartThread
from app.engines.base import (
    AnswerChunk,
    Citation,
    CitationsChunk,
    Engine,
    EngineRequest,
    FallbackNotice,
    TextChunk,
    TokenUsage,
)
from app.errors import BatonError, EngineFailed, EngineTimeout, NotFound, StorageUnavailable
from app.storage.base import ConversationStore, TerminalEvent, TurnResult

_log = logging.getLogger(__name__)
T = TypeVar("T")

FLUSH_INTERVAL_SECONDS = 0.03
"""What comes within this time of the last write goes into the next one together."""
LEASE_RENEW_SECONDS = 1.0
SLOT_RENEW_SECONDS = 15.0
MAX_ANSWER_SECONDS = 600.0
"""However it dribbles, an answer takes no longer: its events must all be at hand until its end."""
MAX_ANSWER_CHARS = 100_000
"""An answer that does not end is ended; the wire has no use for a longer one."""
STORAGE_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class TurnMetrics:
    """What is told of turns to whoever counts: an engine's name and how it went."""

    began: Callable[[str], None] = lambda _engine: None
    first_word: Callable[[str, float], None] = lambda _engine, _seconds: None
    ended: Callable[[str, str], None] = lambda _engine, _outcome: None
    used: Callable[[str, int, int, int], None] = lambda _engine, _words, _prompt, _completion: None
    """Words said, and tokens charged for question and answer where the engine tells."""


class EngineSlot:
    """A turn's place in the engine budget, kept while it runs."""

    def __init__(self, log: ConversationStore, turn_id: str, address: str) -> None:
        self._store = log
        self._turn_id = turn_id
        self._address = address
        self._kept = time.monotonic()

    def keep(self) -> None:
        """Renews it where it is time."""
        if time.monotonic() - self._kept > SLOT_RENEW_SECONDS:
            self._kept = time.monotonic()
            self._store.renew_engine_slot(self._turn_id, self._address)


@dataclass(slots=True)
class AnswerBuffer:
    """What has come of an answer and is not written yet."""

    pending: str = ""
    written: int = 0
    """Bytes of UTF-8 in the log."""
    chars: int = 0
    citations: Sequence[Citation] = ()
    degraded: str = ""
    words: int = 0
    """Runs of letters between spaces."""
    tokens: tuple[int, int] = (0, 0)
    """Charged for the question and for the answer."""
    _in_word: bool = False

    @property
    def ready(self) -> str:
        """What may be written: nothing before there is a word, for white space alone is no answer."""
        return self.pending if self.words else ""

    def hear(self, piece: object) -> bool:
        """Takes in what a pump hands out; False at the end. Raises the engine's error."""
        if piece is END_OF_STREAM:
            return False
        if isinstance(piece, BatonError):
            raise piece
        self._add(piece)
        return True

    def _add(self, piece: object) -> None:
        """Takes in one piece. Raises EngineFailed for what is none, or past MOST_CHARS."""
        if isinstance(piece, TextChunk) and isinstance(piece.text, str):
            # Half a surrogate pair cannot be kept; the rest of the piece can.
            self.pending += piece.text.encode("utf-8", "replace").decode()
            self.chars += len(piece.text)
            self._count(piece.text)
            if self.chars > MAX_ANSWER_CHARS:
                raise EngineFailed("The answer was too long.")
        elif isinstance(piece, CitationsChunk) and isinstance(piece.citations, Sequence):
            self.citations = tuple(piece.citations)[:5]
        elif isinstance(piece, FallbackNotice):
            self.degraded = piece.reason
        elif isinstance(piece, TokenUsage):
            self.tokens = (self.tokens[0] + piece.prompt, self.tokens[1] + piece.completion)
        else:
            raise EngineFailed("The engine gave something that is no piece of an answer.")

    def _count(self, text: str) -> None:
        """A word may come in several pieces."""
        if text:
            self.words += len(text.split()) - (self._in_word and not text[0].isspace())
            self._in_word = not text[-1].isspace()

    def closing(self) -> TurnResult:
        """The good end of the answer. Raises EngineFailed where it has no word, or its citations cannot be kept."""
        if not self.words:
            raise EngineFailed("The engine had no answer.")
        try:
            citations = [asdict(one) for one in self.citations]
            metadata: dict[str, object] = {"citations": citations} if citations else {}
            if self.degraded:
                metadata["degraded"] = self.degraded
            return TurnResult("end", metadata=orjson.dumps(metadata), citations=orjson.dumps(citations))
        except (TypeError, ValueError):
            raise EngineFailed("The engine gave something that is no piece of an answer.") from None


@dataclass(slots=True)
class TurnRequest:
    """One turn to be answered."""

    session_hash: str
    turn_id: str
    question: str
    number: int
    """The question's message number."""
    again: bool
    earlier: Sequence[bytes] = ()
    """The newest messages as stored, oldest first, the question among them."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    address: str = ""
    """Whose place in the engine budget it has."""
    stop: CancelSource = field(default_factory=CancelSource)
    """Set when the turn is over."""
    ended: TerminalEvent | None = None
    """What the log said as this worker closed the turn."""


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """What a turn runs by: passages on request, seconds of silence allowed, threads, and who counts."""

    find: Callable[[str, int], Sequence[Citation]]
    silence: float
    spawn: StartThread
    ears: TurnMetrics = TurnMetrics()


class AnswerRunner:
    """Runs turns apart from the requests that asked for them."""

    def __init__(self, log: ConversationStore, engine: Engine, means: RunnerConfig) -> None:
        self._store = log
        self.engine = engine
        self._means = means
        self._running: dict[str, TurnRequest] = {}

    def start(self, asked: TurnRequest) -> None:
        """Sets the turn going and returns."""
        self._running[asked.turn_id] = asked
        self._means.spawn(lambda: self._run(asked))

    def stream_stateless(self, question: str, turn_id: str, address: str = "") -> Generator[AnswerChunk]:
        """The pieces of an answer to a question without a session; nothing of it is kept."""
        stop, place = CancelSource(), EngineSlot(self._store, turn_id, address)
        pump = self._pump(EngineRequest(question, (), stop, self._means.find, silence=self._means.silence))
        said = AnswerBuffer()
        try:
            going = True
            while going:
                pieces = pump.take(SLOT_RENEW_SECONDS)
                place.keep()
                for piece in pieces:
                    going = said.hear(piece)
                    if going and not isinstance(piece, TokenUsage):
                        yield piece  # type: ignore[misc]  # hear() lets nothing but pieces pass
            said.closing()
        finally:
            stop.set()
            self._means.ears.used(self.engine.name, said.words, *said.tokens)

    def fail_when_storage_returns(self, session_hash: str, turn_id: str, address: str = "") -> None:
        """Closes a turn that may have begun and that nobody answers, as soon as storage is back; returns at once."""
        lost = TurnResult("error", EngineFailed.code, "The question got lost on its way. Ask again.")

        def close() -> None:
            with suppress(BatonError):
                self._patiently(
                    lambda: self._store.finish_turn(session_hash, turn_id, lost, release=True, address=address)
                )

        self._means.spawn(close)

    def drain(self, seconds: float) -> bool:
        """Waits for the running turns to end; False where some still run after ``seconds``."""
        deadline = time.monotonic() + seconds
        while self._running and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self._running

    def wait(self, turn_id: str, seconds: float) -> TerminalEvent | None:
        """Waits for a turn of this worker; the event by which it was closed, None at once for any other's turn."""
        asked = self._running.get(turn_id)
        return asked.ended if asked and asked.stop.wait(seconds) else None

    def running(self) -> int:
        """How many turns run in this worker."""
        return len(self._running)

    def _pump(self, turn: EngineRequest) -> EngineThread:
        return EngineThread(self.engine, turn, self._means.spawn)

    def _run(self, asked: TurnRequest) -> None:
        name, began = self.engine.name, time.monotonic()
        self._means.ears.began(name)
        outcome = "lost"
        try:
            outcome = self._answer(asked, lambda: self._means.ears.first_word(name, time.monotonic() - began))
        except NotFound:
            outcome = "stopped"  # erased or expired meanwhile
        except StorageUnavailable as error:
            _log.error("turn of %s lost: storage %s", asked.session_hash[:10], error.kind)
        except Exception as error:  # noqa: BLE001 - the lease ends it for those who listen
            _log.error("turn of %s lost: %s", asked.session_hash[:10], type(error).__name__)
        finally:
            asked.stop.set()
            self._means.ears.ended(name, outcome)
            if outcome in ("lost", "stopped"):  # else the place in the budget went with the turn
                self._store.release_engine_slot(asked.turn_id, asked.address)
            self._running.pop(asked.turn_id, None)

    def _answer(self, asked: TurnRequest, first_word: Callable[[], None]) -> str:
        means, past = self._means, LazyHistory(asked.earlier, asked.number, again=asked.again)
        pump = self._pump(
            EngineRequest(
                asked.question, past, asked.stop, means.find, asked.session_hash[:10], asked.metadata, means.silence
            )
        )
        said = AnswerBuffer()
        try:
            if not self._speak(asked, pump, said, first_word):
                return "stopped"
            closing = said.closing()
        except BatonError as error:
            if not isinstance(error, EngineFailed):
                raise
            closing = TurnResult("error", error.code, error.detail, b'{"interrupted":true}')
        finally:
            self._means.ears.used(self.engine.name, said.words, *said.tokens)
        closing = replace(closing, offset=said.written, tail=said.ready)
        asked.ended = self._patiently(
            lambda: self._store.finish_turn(
                asked.session_hash, asked.turn_id, closing, release=True, address=asked.address
            )
        )
        return closing.code or closing.outcome

    def _speak(
        self, asked: TurnRequest, pump: EngineThread, said: AnswerBuffer, first_word: Callable[[], None]
    ) -> bool:
        """Writes as words come; True at the engine's end, False where the turn was closed by somebody else."""
        renew, deadline = time.monotonic() + LEASE_RENEW_SECONDS, time.monotonic() + MAX_ANSWER_SECONDS
        place = EngineSlot(self._store, asked.turn_id, asked.address)
        gather = 0.0  # until when words may wait for each other: not at all before the first
        while True:
            # What is due goes out with what is at hand: an engine that never pauses would else be heard at its end.
            for piece in pump.take((gather if said.ready else renew) - time.monotonic()):
                silent = not said.words
                if not said.hear(piece):
                    return True
                if silent and said.words:
                    first_word()
            if time.monotonic() < (gather if said.ready else renew):
                continue
            if time.monotonic() > deadline:
                raise EngineTimeout("The answer took too long.")
            if not self._write(asked, said):
                return False
            place.keep()
            gather = time.monotonic() + FLUSH_INTERVAL_SECONDS
            renew = time.monotonic() + LEASE_RENEW_SECONDS

    def _write(self, asked: TurnRequest, said: AnswerBuffer) -> bool:
        text = said.ready
        alive = self._patiently(lambda: self._store.append_delta(asked.session_hash, asked.turn_id, said.written, text))
        if text:
            said.written += len(text.encode())
            said.pending = ""
        return alive

    def _patiently(self, write: Callable[[], T]) -> T:
        """Writes, again while storage is away: safe, since words go by their offset and a turn closes once."""
        deadline = time.monotonic() + STORAGE_RETRY_SECONDS
        while True:
            try:
                return write()
            except StorageUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
