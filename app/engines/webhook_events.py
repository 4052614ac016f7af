"""Reads one JSON object of a webhook's answer: Baton's own form, and the forms of tools that people put behind one.

Known are n8n, Flowise, Dify, OpenAI (chat completions and responses), Ollama, Anthropic, the AI SDK and AG-UI.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.engines.base import AnswerChunk, CitationsChunk, FinishReason, TextChunk, ThinkingChunk, outcome_chunks
from app.engines.sanitize import clean_citations, finish_reason
from app.errors import EngineFailed

TEXT_FIELDS = ("text", "answer", "output", "output_text", "response", "content")
"""Fields that may hold the text, the documented ones first; ``output`` is the name that n8n's agents use."""
_TEXT_BY_EVENT: dict[str, tuple[str, ...]] = {
    "item": ("content",),  # n8n
    "token": ("data",),  # Flowise
    "text_chunk": ("data", "text"),  # Dify's workflows
    "content_block_delta": ("delta", "text"),  # Anthropic
    "response.output_text.delta": ("delta",),  # OpenAI's responses
    "response.refusal.delta": ("delta",),
    "text-delta": ("delta",),  # the AI SDK
    "TEXT_MESSAGE_CONTENT": ("delta",),  # AG-UI
}
"""Where the text is, by the object's ``type`` or ``event``."""
_THINKING_EVENTS = (
    "agent_thought",
    "agentReasoning",
    "thinking",
    "reasoning-delta",
    "response.reasoning_text.delta",
    "response.reasoning_summary_text.delta",
    "THINKING_TEXT_MESSAGE_CONTENT",
)
_ERROR_EVENTS = ("error", "response.failed", "RUN_ERROR")
_REPEATING_PREFIXES = ("response.", "message_replace", "node_", "workflow_", "TEXT_", "RUN_")
"""Events of known tools that may hold once more what has been said."""


def read_event(payload: Any) -> Iterator[AnswerChunk]:
    """The chunks in one object of a stream; none in one that says nothing of the answer. Raises EngineFailed."""
    if not isinstance(payload, Mapping):
        raise unreadable()
    event = _event_name(payload)
    if (
        payload.get("error")
        or event in _ERROR_EVENTS
        or (event == "workflow_finished" and _at(payload, ("data", "error")))
    ):
        raise upstream_failed()
    text = _text_of_event(payload, event)
    if text:
        yield TextChunk(text)
    elif event in _THINKING_EVENTS or _delta(payload, ("reasoning_content", "reasoning", "thinking")):
        yield ThinkingChunk()
    if (citations := find_citations(payload)) is not None:
        yield CitationsChunk(clean_citations(citations))
    if reason := finish_reason(_end_of(payload)):
        yield FinishReason(reason)
    yield from outcome_chunks(payload)


def read_answer(payload: Mapping[str, Any]) -> str:
    """The text of an object that holds the whole answer. Raises EngineFailed where it holds none."""
    if payload.get("error"):
        raise upstream_failed()
    text = _text_field(payload) or _delta(payload, ("content", "refusal")) or _text_of_output(payload)
    if text is None:
        raise unreadable()
    return text


def find_citations(payload: Mapping[str, Any]) -> list[Any] | None:
    """The citations in an object, in Baton's form; None where it has none."""
    if isinstance(citations := payload.get("citations"), list):
        return citations
    documents = payload.get("sourceDocuments")  # Flowise
    if documents is None and payload.get("event") == "sourceDocuments":
        documents = payload.get("data")
    if isinstance(documents, list):
        return [_flowise_citation(document) for document in documents if isinstance(document, Mapping)]
    resources = _at(payload, ("metadata", "retriever_resources"))  # Dify
    if isinstance(resources, list):
        return [
            {"title": source.get("document_name"), "url": source.get("url"), "snippet": source.get("content")}
            for source in resources
            if isinstance(source, Mapping)
        ]
    return None


def end_of_answer(payload: Mapping[str, Any]) -> str:
    """Why a whole answer ends early; empty for a complete one."""
    return finish_reason(_end_of(payload))


def unreadable() -> EngineFailed:
    """The error for what is no answer."""
    return EngineFailed("The answer could not be read.")


def upstream_failed() -> EngineFailed:
    """The error for an answer that says that it failed."""
    return EngineFailed("The answering service is in trouble just now.")


def _event_name(payload: Mapping[str, Any]) -> str:
    names = (payload.get(name) for name in ("type", "event"))
    return next((name for name in names if isinstance(name, str)), "")


def _text_of_event(payload: Mapping[str, Any], event: str) -> str:
    if event in _TEXT_BY_EVENT:
        text = _at(payload, _TEXT_BY_EVENT[event])
        return text if isinstance(text, str) else ""
    if event.startswith(_REPEATING_PREFIXES) or event in _THINKING_EVENTS:
        return ""
    return _text_field(payload) or _delta(payload, ("content", "refusal")) or ""


def _text_field(payload: Mapping[str, Any]) -> str | None:
    texts = [payload[name] for name in TEXT_FIELDS if name in payload]
    return next((text for text in texts if isinstance(text, str)), None)


def _delta(payload: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """A text of OpenAI's ``choices``, of a chunk or of a whole answer, or of Ollama's ``message``."""
    choice = _at(payload, ("choices", 0))
    for part in (_at(choice, ("delta",)), _at(choice, ("message",)), choice, payload.get("message")):
        for name in names:
            text = _at(part, (name,)) or (_at(part, ("text",)) if name == "content" else None)
            if isinstance(text, list):
                text = "".join(str(_at(item, ("text",)) or "") for item in text)
            if isinstance(text, str) and text:
                return text
    return None


def _text_of_output(payload: Mapping[str, Any]) -> str | None:
    """The text of OpenAI's responses, ``output[].content[].text``, and of Anthropic's, ``content[].text``."""
    parts = [part for item in (*_list(payload.get("output")), payload) for part in _list(_at(item, ("content",)))]
    texts = [text for part in parts if isinstance(text := _at(part, ("text",)), str)]
    return "".join(texts) if texts else None


def _end_of(payload: Mapping[str, Any]) -> object:
    paths: tuple[tuple[str | int, ...], ...] = (
        ("choices", 0, "finish_reason"),
        ("done_reason",),  # Ollama
        ("finish_reason",),
        ("finishReason",),
        ("stop_reason",),  # Anthropic
        ("delta", "stop_reason"),
        ("response", "incomplete_details", "reason"),  # OpenAI's responses
        ("incomplete_details", "reason"),
    )
    return next((reason for path in paths if isinstance(reason := _at(payload, path), str)), None)


def _flowise_citation(document: Mapping[str, Any]) -> dict[str, Any]:
    about = document.get("metadata")
    about = about if isinstance(about, Mapping) else {}
    url = about.get("url") or about.get("source")
    return {"title": about.get("title") or about.get("source"), "url": url, "snippet": document.get("pageContent")}


def _at(value: Any, path: Sequence[str | int]) -> Any:
    """What is at a path of keys and indexes; None where the path ends before."""
    for step in path:
        if isinstance(step, str) and isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and len(value) > step:
            value = value[step]
        else:
            return None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
