"""Engines that hand over to a person, that do not know, and that learn what a person has said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.engines import prompt, webhook
from app.engines.base import AnswerChunk, ChatMessage, CitationsChunk, Handoff, NotFound, TextChunk
from app.engines.fallback import FallbackEngine
from app.engines.knowledge import KnowledgeEngine
from app.engines.sanitize import IdleTimer, sanitize_chunks
from app.engines.webhook_parsers import parse_json, parse_ndjson, parse_sse
from app.errors import EngineFailed
from tests.engines.conftest import ask, python_engine

HISTORY = (ChatMessage("user", "Hi"), ChatMessage("assistant", "It is free.", "Anna"), ChatMessage("user", "Thanks"))


def without_empty_citations(chunks: list[AnswerChunk]) -> list[AnswerChunk]:
    """The chunks but for citations of nothing."""
    return [chunk for chunk in chunks if chunk != CitationsChunk(())]


def test_a_python_engine_hands_over() -> None:
    """By a mapping, with an answer or without one, or by the chunk; its reason is one line."""
    engine = python_engine("hands_over")
    assert list(engine.answer(ask("What does it cost?"))) == [TextChunk("One moment."), Handoff("money")]
    assert list(engine.answer(ask("a person"))) == [Handoff("")]


def test_a_python_engine_does_not_know() -> None:
    """`not_found` comes as a chunk; in `history` an operator's message has its author."""
    chunks = list(python_engine("knows_nothing").answer(replace(ask("hi"), history=HISTORY[:2])))
    assert chunks[:3] == [TextChunk("No idea, Anna."), NotFound(), Handoff("two lines")]


@pytest.mark.parametrize(
    ("parse", "body"),
    [
        (parse_json, b'{"answer": "One moment.", "not_found": true, "handoff": "money"}'),
        (parse_ndjson, b'{"text": "One moment."}\n{"not_found": true}\n{"handoff": "money"}\n'),
        (
            parse_sse,
            b'data: {"text": "One moment."}\n\ndata: {"not_found": true, "handoff": "money"}\n\ndata: [DONE]\n\n',
        ),
    ],
)
def test_a_webhook_hands_over(parse: Callable[..., object], body: bytes) -> None:
    """In each of the ways that it may answer."""
    chunks = list(parse(iter([body])))  # type: ignore[call-overload]
    assert without_empty_citations(chunks) == [TextChunk("One moment."), NotFound(), Handoff("money")]


def test_a_webhook_hands_over_without_a_word() -> None:
    """No answer is needed; an error, and an object that says nothing, fail as ever."""
    for parse in (parse_json, parse_ndjson):
        chunks = parse(iter([b'{"handoff": ""}']))
        request = ask("hi")
        assert without_empty_citations(list(sanitize_chunks(chunks, IdleTimer(5), request.cancel))) == [Handoff("")]
    for body in (b'{"handoff": "x", "error": "broken"}', b'{"handoff": null}', b'{"not_found": true}'):
        with pytest.raises(EngineFailed):
            list(parse_json(iter([body])))


def test_a_webhook_learns_who_said_what() -> None:
    """An operator's message has an `author`; no other has."""
    body = json.loads(webhook.encode_body(replace(ask("And now?"), history=HISTORY)))
    assert body["history"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "It is free.", "author": {"type": "operator", "name": "Anna"}},
        {"role": "user", "content": "Thanks"},
    ]


def test_a_model_learns_who_said_what() -> None:
    """An operator's message is marked by their name, and the system prompt says what that means."""
    messages = prompt.build_messages(replace(ask("And now?"), history=HISTORY), "You help.", [], 1_000)
    assert messages[2] == {"role": "assistant", "content": "[Anna, operator] It is free."}
    assert "operator" in messages[0]["content"]
    plain = prompt.build_messages(replace(ask("And now?"), history=HISTORY[:1]), "You help.", [], 1_000)
    assert "operator" not in json.dumps(plain)


@pytest.mark.parametrize("offers_people", [False, True])
def test_the_built_in_engine_says_that_it_does_not_know(tmp_path: Path, offers_people: bool) -> None:
    """It says so in words and as a chunk, and offers a person where people answer too; what it knows has neither."""
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "hours.md").write_text("# Opening hours\n\nThe bakery opens at seven in the morning.\n")
    engine = KnowledgeEngine(pages, base_url="/knowledge", data_dir=tmp_path / "data", offers_people=offers_people)
    try:
        unknown = list(engine.answer(ask("Who won the chess championship in Uruguay?")))
        known = list(engine.answer(ask("When does the bakery open?")))
        fallback = list(FallbackEngine(python_engine("fails_politely"), engine).answer(ask("Uruguay chess?")))
    finally:
        engine.close()
    assert NotFound() in unknown
    assert NotFound() in fallback
    assert NotFound() not in known
    said, answered = (
        "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk)) for chunks in (unknown, known)
    )
    assert ("a person" in said) is offers_people
    assert "a person" not in answered
