"""Runs an engine for one turn and appends its output to the session's log.

The first chunk is written at once, later ones together every 30 ms, and each turn gets exactly one terminal event. An
engine runs in a thread of its own behind a bounded queue; the turn renews its lease while it runs.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol, TypeVar

import orjson

from app.conversations.export import LazyHistory
from app.engines.base import (
    AnswerChunk,
    CancelToken,
    ChatMessage,
    Citation,
    CitationsChunk,
    Engine,
    EngineRequest,
    FallbackNotice,
    FinishReason,
    Handoff,
    NotFound,
    TextChunk,
    ThinkingChunk,
    TokenUsage,
)
from app.engines.knowledge.small_talk import sentence, sentence_language
from app.errors import BatonError, EngineFailed, EngineTimeout, SessionNotFound, StorageUnavailable
from app.storage.base import ConversationStore, TerminalEvent, TextLost, TurnResult

_log = logging.getLogger(__name__)
T = TypeVar("T")
StartThread = Callable[[Callable[[], None]], object]

FLUSH_INTERVAL_SECONDS = 0.03
"""Chunks that arrive within this time after a write go into the next write together."""
LEASE_RENEW_SECONDS = 1.0
SLOT_RENEW_SECONDS = 15.0
KEEP_ALIVE_SECONDS = 5.0
MAX_ANSWER_SECONDS = 600.0
"""Hard limit per answer, so that all its events are still in the stream when it ends."""
MAX_ANSWER_CHARS = 100_000
STORAGE_RETRY_SECONDS = 60.0
QUEUE_SIZE = 256
"""Chunks that an engine may be ahead of the log; after that it waits."""
MIN_POLL_SECONDS = 0.001
"""Short enough to go unnoticed, long enough for an engine that has everything ready to get it into one write."""
END_OF_STREAM = object()


@dataclass(frozen=True, slots=True)
class TurnMetrics:
    """Callbacks that count turns. The first argument is always the engine's name."""

    on_start: Callable[[str], None] = lambda _engine: None
    on_first_token: Callable[[str, float], None] = lambda _engine, _seconds: None
    on_finish: Callable[[str, str], None] = lambda _engine, _outcome: None
    on_usage: Callable[[str, int, int, int], None] = lambda _engine, _words, _prompt, _completion: None
    """Words of the answer, and tokens of prompt and completion where the engine reports them."""


class HandoffTarget(Protocol):
    """Where the conversations go that an engine hands over."""

    def handoff_position(self) -> str:
        """The next position in the queue, or ``bot`` where no operator is there."""

    def refresh(self, session_hash: str) -> None:
        """Shows operators that it was handed over."""


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """What every turn uses. ``search(query, limit)`` finds passages; ``idle_timeout`` is in seconds."""

    search: Callable[[str, int], Sequence[Citation]]
    idle_timeout: float
    start_thread: StartThread
    metrics: TurnMetrics = TurnMetrics()
    people: HandoffTarget | None = None
    """Who takes what the engine hands over; None while the desk is off."""
    on_not_found: Callable[[str], None] = lambda _question: None
    """Is given each question of a conversation that the engine could not answer."""


@dataclass(slots=True)
class TurnRequest:
    """One turn to run."""

    session_hash: str
    turn_id: str
    question: str
    question_number: int
    """The question's message number."""
    is_retry: bool
    history: Sequence[bytes] = ()
    """The newest messages as stored, oldest first, the question among them."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    address: str = ""
    """Hash of the address whose share of the engine budget the turn uses."""
    is_streamed: bool = False
    """Whether it was asked for as a stream."""
    model: str = ""
    """The model that the caller chose; empty for the configured one."""
    cancel: CancelToken = field(default_factory=CancelToken)
    """Set when the turn is over."""
    terminal_event: TerminalEvent | None = None
    """The event by which this worker closed the turn."""


class EngineThread:
    """Runs an engine in a thread of its own and hands out its chunks through a bounded queue."""

    def __init__(self, engine: Engine, request: EngineRequest, start_thread: StartThread) -> None:
        self._engine = engine
        self._request = request
        # queue.Queue takes several locks a chunk; with one producer and one consumer a SimpleQueue is enough.
        self._chunks: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._has_room = threading.Event()
        self._last_chunk_at = time.monotonic()
        start_thread(self._run)

    def get(self, timeout: float) -> list[object]:
        """The chunks that are ready: each an AnswerChunk, an error, or END_OF_STREAM; empty after ``timeout`` seconds.

        Raises EngineTimeout when the engine has been silent for ``idle_timeout``.
        """
        remaining = self._last_chunk_at + self._request.idle_timeout - time.monotonic()
        try:
            chunks = [self._chunks.get(timeout=max(min(timeout, remaining), MIN_POLL_SECONDS))]
        except queue.Empty:
            if time.monotonic() - self._last_chunk_at >= self._request.idle_timeout:
                raise EngineTimeout from None
            return []
        with suppress(queue.Empty):
            while len(chunks) < QUEUE_SIZE:
                chunks.append(self._chunks.get_nowait())
        self._last_chunk_at = time.monotonic()
        if not self._has_room.is_set() and self._chunks.qsize() < QUEUE_SIZE // 2:
            self._has_room.set()
        return chunks

    def _run(self) -> None:
        last: object = END_OF_STREAM
        chunks: Iterator[AnswerChunk] | None = None
        try:
            chunks = self._engine.answer(self._request)
            for chunk in chunks:
                if not self._put(chunk):
                    break
        except BatonError as error:
            last = error
        except Exception as error:  # noqa: BLE001 - whatever an engine raises fails its own turn only
            _log.warning("engine %s failed: %s", self._engine.name, type(error).__name__)
            last = EngineFailed()
        finally:
            self._put(last)
            close = getattr(chunks, "close", None)
            if close is not None:
                with suppress(Exception):  # an engine that fails to clean up changes nothing for the visitor
                    close()

    def _put(self, chunk: object) -> bool:
        cancel = self._request.cancel
        while self._chunks.qsize() >= QUEUE_SIZE and not cancel.is_set():
            self._has_room.clear()
            if self._chunks.qsize() >= QUEUE_SIZE:
                self._has_room.wait(1.0)
        if cancel.is_set():
            return False
        self._chunks.put(chunk)
        return True


@dataclass(slots=True)
class AnswerBuffer:
    """The part of an answer that is not written yet, and what is known of the whole."""

    pending: str = ""
    written: str = ""
    """The text that is in the log."""
    bytes_written: int = 0
    """UTF-8 bytes in the log."""
    char_count: int = 0
    word_count: int = 0
    citations: Sequence[Citation] = ()
    fallback_reason: str = ""
    finish_reason: str = ""
    not_found: bool = False
    handoff: Handoff | None = None
    """The engine gives the conversation to a person."""
    tokens: tuple[int, int] = (0, 0)
    """Of prompt and completion."""
    _in_word: bool = False

    @property
    def flushable(self) -> str:
        """What may be written now: nothing before the first word, since white space alone is no answer."""
        return self.pending if self.word_count else ""

    def add(self, chunk: object) -> bool:
        """Adds what an EngineThread handed out; False at the end, or where a person is to go on.

        Raises the engine's error, and EngineFailed for anything that is no chunk or exceeds MAX_ANSWER_CHARS.
        """
        if chunk is END_OF_STREAM:
            return False
        if isinstance(chunk, BatonError):
            raise chunk
        if isinstance(chunk, Handoff):
            self.handoff = chunk
            return False
        if isinstance(chunk, TextChunk) and isinstance(chunk.text, str):
            self._add_text(chunk.text)
        elif isinstance(chunk, CitationsChunk) and isinstance(chunk.citations, Sequence):
            self.citations = tuple(chunk.citations)[:5]
        else:
            self._add_note(chunk)
        return True

    def _add_note(self, chunk: object) -> None:
        if isinstance(chunk, FallbackNotice):
            self.fallback_reason = chunk.reason
        elif isinstance(chunk, TokenUsage):
            self.tokens = (self.tokens[0] + chunk.prompt, self.tokens[1] + chunk.completion)
        elif isinstance(chunk, FinishReason):
            self.finish_reason = chunk.reason
        elif isinstance(chunk, NotFound):
            self.not_found = True
        elif not isinstance(chunk, ThinkingChunk):
            raise EngineFailed("The engine returned something that is not part of an answer.")

    def _add_text(self, text: str) -> None:
        # Half a surrogate pair cannot be stored; the rest of the chunk can.
        self.pending += text.encode("utf-8", "replace").decode()
        self.char_count += len(text)
        if text:  # a word may arrive in several chunks
            self.word_count += len(text.split()) - (self._in_word and not text[0].isspace())
            self._in_word = not text[-1].isspace()
        if self.char_count > MAX_ANSWER_CHARS:
            raise EngineFailed("The answer was too long.")

    def result(self, handoff: str = "") -> TurnResult:
        """The successful end of the turn. Raises EngineFailed without a word, or where citations cannot be stored.

        ``handoff``: where the engine gives the conversation to: the position in the queue, or ``bot``.
        """
        if not self.word_count and handoff in ("", "bot"):
            raise EngineFailed("The engine had no answer.")
        try:
            citations = [asdict(citation) for citation in self.citations]
            metadata: dict[str, object] = {"citations": citations} if citations else {}
            if self.fallback_reason:
                metadata["degraded"] = self.fallback_reason
            if self.finish_reason:
                metadata["finish_reason"] = self.finish_reason
            if self.not_found:
                metadata["not_found"] = True
            if handoff:
                metadata["handoff"] = handoff != "bot"  # false: a page can offer to leave a message
            return TurnResult(
                "end",
                metadata=orjson.dumps(metadata),
                citations=orjson.dumps(citations),
                not_found=self.not_found,
                handoff=handoff,
                handoff_reason=self.handoff.reason if self.handoff else "",
            )
        except (TypeError, ValueError):
            raise EngineFailed("The engine returned something that is not part of an answer.") from None


class EngineSlot:
    """A turn's slot in the engine budget, renewed while the turn runs."""

    def __init__(self, store: ConversationStore, turn_id: str, address: str) -> None:
        self._store = store
        self._turn_id = turn_id
        self._address = address
        self._renewed_at = time.monotonic()

    def renew(self) -> None:
        """Renews the slot when it is due."""
        if time.monotonic() - self._renewed_at > SLOT_RENEW_SECONDS:
            self._renewed_at = time.monotonic()
            self._store.renew_engine_slot(self._turn_id, self._address)


class AnswerRunner:
    """Runs turns apart from the requests that started them."""

    def __init__(self, store: ConversationStore, engine: Engine, config: RunnerConfig) -> None:
        self._store = store
        self.engine = engine
        self._config = config
        self._metrics = config.metrics
        self._running: dict[str, TurnRequest] = {}
        self._has_problem = False

    def start(self, turn: TurnRequest) -> None:
        """Starts the turn and returns."""
        self._running[turn.turn_id] = turn
        self._config.start_thread(lambda: self._run(turn))

    def stream_stateless(
        self,
        question: str,
        turn_id: str,
        address: str = "",
        history: Sequence[ChatMessage] = (),
        *,
        is_streamed: bool = False,
        model: str = "",
    ) -> Generator[AnswerChunk | None]:
        """The chunks of an answer to a question without a session, and None whenever nothing came for a while.

        Nothing of it is stored.
        """
        cancel, slot = CancelToken(), EngineSlot(self._store, turn_id, address)
        timeout = self._config.idle_timeout
        request = EngineRequest(
            question, history, cancel, self._config.search, idle_timeout=timeout, is_streamed=is_streamed, model=model
        )
        thread = EngineThread(self.engine, request, self._config.start_thread)
        buffer = AnswerBuffer()
        try:
            running, deadline = True, time.monotonic() + MAX_ANSWER_SECONDS
            keep_alive_at = time.monotonic() + KEEP_ALIVE_SECONDS
            while running:
                chunks = thread.get(min(keep_alive_at - time.monotonic(), SLOT_RENEW_SECONDS))
                slot.renew()
                if time.monotonic() > deadline:
                    raise EngineTimeout("The answer took too long.")
                for chunk in chunks:
                    running = buffer.add(chunk)
                    if running and not isinstance(chunk, ThinkingChunk):
                        yield chunk  # type: ignore[misc]  # add() accepts nothing but chunks
                        keep_alive_at = time.monotonic() + KEEP_ALIVE_SECONDS
                if time.monotonic() > keep_alive_at:
                    yield None
                    keep_alive_at = time.monotonic() + KEEP_ALIVE_SECONDS
            if buffer.handoff and not buffer.word_count:
                buffer.add(nobody := TextChunk(sentence("nobody", sentence_language(question))))
                yield nobody
            buffer.result()
        finally:
            cancel.set()
            self._metrics.on_usage(self.engine.name, buffer.word_count, *buffer.tokens)
            self._report_problem()

    def fail_when_storage_returns(self, session_hash: str, turn_id: str, address: str = "") -> None:
        """Closes a turn that may have started and that nobody runs, as soon as storage is back; returns at once."""
        lost = TurnResult("error", EngineFailed.code, "The question was lost on its way. Please ask again.")

        def close() -> None:
            with suppress(BatonError):
                self._retry_while_unavailable(
                    lambda: self._store.finish_turn(session_hash, turn_id, lost, release=True, address=address)
                )

        self._config.start_thread(close)

    def drain(self, seconds: float) -> bool:
        """Waits for the running turns to end; False where some still run after ``seconds``."""
        deadline = time.monotonic() + seconds
        while self._running and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self._running

    def wait(self, turn_id: str, seconds: float) -> TerminalEvent | None:
        """Waits for a turn of this worker and returns its terminal event; None at once for one that runs elsewhere."""
        turn = self._running.get(turn_id)
        return turn.terminal_event if turn and turn.cancel.wait(seconds) else None

    def _run(self, turn: TurnRequest) -> None:
        name = self.engine.name
        self._metrics.on_start(name)
        outcome = "lost"
        try:
            outcome = self._answer(turn)
        except SessionNotFound:
            outcome = "stopped"  # deleted or expired meanwhile
        except StorageUnavailable as error:
            _log.error("turn of %s lost: storage %s", turn.session_hash[:10], error.kind)
        except Exception as error:  # noqa: BLE001 - the turn's lease expires, so its readers see an end
            _log.error("turn of %s lost: %s", turn.session_hash[:10], type(error).__name__)
        finally:
            turn.cancel.set()
            self._metrics.on_finish(name, outcome)
            if outcome in ("lost", "stopped"):  # otherwise finish_turn released the slot
                self._store.release_engine_slot(turn.turn_id, turn.address)
            self._running.pop(turn.turn_id, None)

    def forget_problem(self) -> None:
        """Forgets what was wrong with the engine before this start: the settings may be others now."""
        with suppress(StorageUnavailable):
            self._store.set_engine_problem("")

    def _report_problem(self) -> None:
        """Stores for every worker's /health what only the operator can mend about the engine, and when that is over."""
        problem = str(getattr(self.engine, "problem", ""))
        if problem or self._has_problem:
            with suppress(StorageUnavailable):
                self._store.set_engine_problem(problem)
            self._has_problem = bool(problem)

    def _answer(self, turn: TurnRequest) -> str:
        history = LazyHistory(turn.history, turn.question_number, is_retry=turn.is_retry)
        request = EngineRequest(
            turn.question,
            history,
            turn.cancel,
            self._config.search,
            turn.session_hash[:10],
            turn.metadata,
            self._config.idle_timeout,
            turn.is_streamed,
            turn.model,
        )
        buffer = AnswerBuffer()
        try:
            if not self._stream_to_log(turn, request, buffer):
                return "stopped"
            result = buffer.result(self._hand_over(buffer, turn.question))
        except EngineFailed as error:
            final = not error.retryable
            result = TurnResult("error", error.code, error.detail, b'{"interrupted":true}', final=final)
        finally:
            self._metrics.on_usage(self.engine.name, buffer.word_count, *buffer.tokens)
            self._report_problem()
        result = replace(result, offset=buffer.bytes_written, tail=buffer.flushable)
        try:
            turn.terminal_event = self._finish(turn, result)
        except TextLost:
            turn.terminal_event = self._finish(turn, replace(result, offset=0, tail=buffer.written + result.tail))
        if result.not_found and turn.terminal_event:
            with suppress(StorageUnavailable):
                self._config.on_not_found(turn.question)
        if result.handoff and self._config.people:
            self._config.people.refresh(turn.session_hash)
        return result.code or result.outcome

    def _finish(self, turn: TurnRequest, result: TurnResult) -> TerminalEvent | None:
        return self._retry_while_unavailable(
            lambda: self._store.finish_turn(turn.session_hash, turn.turn_id, result, release=True, address=turn.address)
        )

    def _hand_over(self, buffer: AnswerBuffer, question: str) -> str:
        """Where the engine's handoff leads; an answer without a word says that nobody is there.

        Empty without one, and where no operators answer.
        """
        if buffer.handoff is None:
            return ""
        people = self._config.people
        position = self._retry_while_unavailable(people.handoff_position) if people else ""
        if position in ("", "bot") and not buffer.word_count:
            buffer.add(TextChunk(sentence("nobody", sentence_language(question))))
        return position

    def _stream_to_log(self, turn: TurnRequest, request: EngineRequest, buffer: AnswerBuffer) -> bool:
        """Writes chunks as they come; True at the engine's end, False where somebody else closed the turn."""
        started = time.monotonic()
        thread = EngineThread(self.engine, request, self._config.start_thread)
        slot = EngineSlot(self._store, turn.turn_id, turn.address)
        renew_at, deadline = started + LEASE_RENEW_SECONDS, started + MAX_ANSWER_SECONDS
        flush_at = 0.0  # the first word is not held back
        while True:
            for chunk in thread.get((flush_at if buffer.flushable else renew_at) - time.monotonic()):
                had_words = buffer.word_count
                if not buffer.add(chunk):
                    return True
                if buffer.word_count and not had_words:
                    self._metrics.on_first_token(self.engine.name, time.monotonic() - started)
            # Flush on the interval even if chunks keep coming; otherwise a fast engine would be flushed at its end.
            if time.monotonic() < (flush_at if buffer.flushable else renew_at):
                continue
            if time.monotonic() > deadline:
                raise EngineTimeout("The answer took too long.")
            if not self._flush(turn, buffer):
                return False
            slot.renew()
            flush_at = time.monotonic() + FLUSH_INTERVAL_SECONDS
            renew_at = time.monotonic() + LEASE_RENEW_SECONDS

    def _flush(self, turn: TurnRequest, buffer: AnswerBuffer) -> bool:
        """Writes what is pending and renews the lease; False where the turn is closed."""
        text, offset = buffer.flushable, buffer.bytes_written

        def append(offset: int, text: str) -> bool:
            return self._retry_while_unavailable(
                lambda: self._store.append_delta(turn.session_hash, turn.turn_id, offset, text)
            )

        try:
            is_open = append(offset, text)
        except TextLost:
            is_open = append(0, buffer.written + text)
        if text:
            buffer.written += text
            buffer.bytes_written += len(text.encode())
            buffer.pending = ""
        return is_open

    def _retry_while_unavailable(self, write: Callable[[], T]) -> T:
        """Repeats a write while storage is away. Safe: text is written by its offset, and a turn closes once."""
        deadline = time.monotonic() + STORAGE_RETRY_SECONDS
        while True:
            try:
                return write()
            except StorageUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
