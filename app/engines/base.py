"""What an engine is: it gets an EngineRequest and yields AnswerChunks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Citation:
    """A source that an answer rests on. ``url`` opens it; ``snippet`` is plain text, at most 600 characters."""

    title: str
    url: str
    snippet: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One earlier message that an engine may trust: ``role`` is ``user``, ``assistant`` or ``system``."""

    role: str
    content: str
    author: str = ""
    """The name of the person who wrote it in place of the assistant; empty otherwise."""


@dataclass(frozen=True, slots=True)
class TextChunk:
    """The next words of the answer, exactly as they are to be shown (Markdown)."""

    text: str


@dataclass(frozen=True, slots=True)
class CitationsChunk:
    """The sources of the answer, best first; the last one given counts. ``[1]`` in the text means the first."""

    citations: Sequence[Citation]


@dataclass(frozen=True, slots=True)
class FallbackNotice:
    """The answer comes from a fallback; ``reason`` is one plain sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens that the answer was charged with, for the metrics; several add up."""

    prompt: int
    completion: int


@dataclass(frozen=True, slots=True)
class ThinkingChunk:
    """A sign of life without words: the model thinks. Visitors see that it does, never what it thinks."""


@dataclass(frozen=True, slots=True)
class FinishReason:
    """Why the answer ends early: ``length`` (the model's limit) or ``content_filter``; a complete answer has none."""

    reason: str


@dataclass(frozen=True, slots=True)
class Handoff:
    """A person is to go on: the answer ends here, also without a word. ``reason`` is for the operators."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class NotFound:
    """The engine does not know; what it says is not the answer to the question."""


AnswerChunk = (
    TextChunk | CitationsChunk | FallbackNotice | TokenUsage | ThinkingChunk | FinishReason | Handoff | NotFound
)


def outcome_chunks(answer: Mapping[str, Any]) -> Iterator[AnswerChunk]:
    """What an answer as an object says beside its text: ``{"not_found": true}`` and ``{"handoff": "reason"}``."""
    if answer.get("not_found") is True:
        yield NotFound()
    reason = answer.get("handoff")
    if isinstance(reason, str) or reason is True:
        yield Handoff(reason if isinstance(reason, str) else "")


def message_dicts(history: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Messages as JSON objects; one that a person wrote has an ``author``."""
    messages: list[dict[str, Any]] = []
    for message in history:
        entry: dict[str, Any] = {"role": message.role, "content": message.content}
        messages.append(entry | ({"author": operator_author(message.author)} if message.author else {}))
    return messages


def operator_author(name: str) -> dict[str, str]:
    """The ``author`` of an operator's message."""
    return {"type": "operator", "name": name}


class CancelToken:
    """Set once, from any thread, when the turn is to end early: stopped by the visitor, timed out or deleted."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        """Whether the turn is over."""
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """True as soon as it is set, False after ``timeout`` seconds."""
        return self._event.wait(timeout)

    def add_callback(self, callback: Callable[[], None]) -> None:
        """Calls back once when set (at once if it is already), for example to close an upstream connection."""
        self._callbacks.append(callback)
        if self.is_set():
            self._run_callbacks()

    on_set = add_callback
    """Its name in version 0.1, which Python engines may still use."""

    def set(self) -> None:
        """Ends the turn."""
        self._event.set()
        self._run_callbacks()

    def _run_callbacks(self) -> None:
        while self._callbacks:
            try:
                self._callbacks.pop()()
            except Exception as error:  # noqa: BLE001 - an engine's own clean-up must not harm the turn
                _log.warning("a cancel callback failed: %s", type(error).__name__)


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """Everything an engine gets. Nothing of it belongs to another visitor."""

    question: str
    history: Sequence[ChatMessage]
    """Oldest first, without the question."""
    cancel: CancelToken
    search: Callable[[str, int], Sequence[Citation]] = field(default=lambda _query, _limit: ())
    """``search(query, limit)``: passages of the knowledge folder, best first; empty where there is none."""
    session_ref: str = ""
    """Ten characters that name the session in logs and to webhooks; not a credential."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the site gave when the session was created."""
    idle_timeout: float = 60.0
    """Seconds an engine may be silent (``BATON_ENGINE_TIMEOUT``)."""
    is_streamed: bool = False
    """Whether the answer was asked for as a stream, so that somebody may see it being written."""
    model: str = ""
    """The model that the caller chose (``BATON_OPENAI_PASS_MODEL``); empty for the configured one."""

    @property
    def find(self) -> Callable[[str, int], Sequence[Citation]]:
        """``search`` by its name in version 0.1, which Python engines may still use."""
        return self.search

    @property
    def stop(self) -> CancelToken:
        """``cancel`` by its name in version 0.1."""
        return self.cancel


@runtime_checkable
class Engine(Protocol):
    """What answers. One instance serves all visitors and keeps nothing of any.

    ``answer`` yields chunks and may raise ``EngineFailed``, ``EngineTimeout`` or ``EngineBusy``
    (any other exception counts as ``engine_failed``). The iterator is closed when the turn ends early.
    """

    name: str

    def answer(self, request: EngineRequest) -> Iterator[AnswerChunk]: ...


@runtime_checkable
class HasModels(Protocol):
    """An engine that lets its caller choose a model."""

    def list_models(self) -> list[str]:
        """Their names; empty where they are not known now."""
