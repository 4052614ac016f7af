"""M6 and M7: the streams and answers of tools that people put behind a webhook, and citations without an address."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app import engines
from app.config import Settings
from app.engines import webhook_parsers
from app.engines.base import AnswerChunk, Citation, CitationsChunk, FinishReason
from app.errors import EngineFailed, EngineTimeout
from tests.engines.conftest import MakeSettings, answer, ask, python_engine, text_of
from tests.engines.faulty_server import FaultyServer

STREAMS: dict[str, list[dict[str, Any]]] = {
    "n8n": [
        {"type": "begin", "metadata": {"nodeId": "1", "nodeName": "AI Agent"}},
        {"type": "item", "content": "Hi", "metadata": {"nodeId": "1"}},
        {"type": "item", "content": " there"},
        {"type": "end", "metadata": {"nodeId": "1"}},
    ],
    "flowise": [
        {"event": "start", "data": "Hi"},
        {"event": "token", "data": "Hi"},
        {"event": "token", "data": " there"},
        {"event": "metadata", "data": {"chatId": "c", "question": "no"}},
        {"event": "usedTools", "data": [{"tool": "no"}]},
        {"event": "end", "data": "[DONE]"},
    ],
    "openai": [
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": " there"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"total_tokens": 4}},
    ],
    "openai responses": [
        {"type": "response.created", "response": {"output": []}},
        {"type": "response.reasoning_summary_text.delta", "delta": "no"},
        {"type": "response.output_text.delta", "delta": "Hi"},
        {"type": "response.output_text.delta", "delta": " there"},
        {"type": "response.output_text.done", "text": "Hi there"},
        {"type": "response.completed", "response": {"output": [{"content": [{"text": "Hi there"}]}]}},
    ],
    "dify": [
        {"event": "workflow_started", "data": {"id": "w"}},
        {"event": "agent_thought", "thought": "no", "observation": ""},
        {"event": "message", "answer": "Hi", "task_id": "t"},
        {"event": "agent_message", "answer": " there"},
        {"event": "message_end", "metadata": {"usage": {}}},
        {
            "event": "workflow_finished",
            "data": {"status": "succeeded", "outputs": {"answer": "Hi there"}, "error": None},
        },
    ],
    "dify workflow": [
        {"event": "text_chunk", "data": {"text": "Hi"}},
        {"event": "text_chunk", "data": {"text": " there"}},
        {"event": "node_finished", "data": {"outputs": {"text": "Hi there"}}},
    ],
    "ollama": [
        {"message": {"role": "assistant", "content": "", "thinking": "no"}, "done": False},
        {"message": {"role": "assistant", "content": "Hi"}, "done": False},
        {"message": {"role": "assistant", "content": " there"}, "done": False},
        {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"},
    ],
    "ollama generate": [{"response": "Hi", "done": False}, {"response": " there", "done": True}],
    "anthropic": [
        {"type": "message_start", "message": {"role": "assistant", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "no"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " there"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ],
    "ai sdk": [
        {"type": "start"},
        {"type": "reasoning-delta", "id": "0", "delta": "no"},
        {"type": "text-start", "id": "1"},
        {"type": "text-delta", "id": "1", "delta": "Hi"},
        {"type": "text-delta", "id": "1", "delta": " there"},
        {"type": "finish"},
    ],
    "ag-ui": [
        {"type": "RUN_STARTED", "runId": "r"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Hi"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": " there"},
        {"type": "RUN_FINISHED", "result": "no"},
    ],
    "baton": [{"text": "Hi"}, {"text": " there"}, {"citations": []}],
    "langserve": [{"content": "Hi", "type": "AIMessageChunk"}, {"content": " there", "type": "AIMessageChunk"}],
}
WHOLE: dict[str, Any] = {
    "openai": {"choices": [{"message": {"role": "assistant", "content": "Hi there"}, "finish_reason": "stop"}]},
    "openai responses": {"output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi there"}]}]},
    "dify": {"event": "message", "answer": "Hi there", "metadata": {}},
    "ollama": {"message": {"role": "assistant", "content": "Hi there"}, "done": True},
    "anthropic": {"type": "message", "content": [{"type": "text", "text": "Hi there"}], "stop_reason": "end_turn"},
    "n8n": [{"output": "Hi there"}],
    "flowise": {"text": "Hi there", "chatId": "c", "sourceDocuments": []},
    "indented": {"answer": "Hi there", "type": "answer"},
}


def as_lines(events: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def as_sse(events: list[dict[str, Any]], before: bytes = b"") -> bytes:
    return b"".join(before + b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


@pytest.fixture
def hook(settings: MakeSettings) -> Settings:
    return settings(engine="webhook")


@pytest.mark.parametrize("tool", STREAMS)
@pytest.mark.parametrize("form", ["sse", "ndjson", "json"])
def test_streams_of_known_tools(hook: Settings, server: FaultyServer, tool: str, form: str) -> None:
    """The words come once, as server-sent events, as JSON lines, and as JSON lines that say they are JSON (n8n)."""
    types = {"sse": "text/event-stream", "ndjson": "application/x-ndjson", "json": "application/json; charset=utf-8"}
    body = as_sse(STREAMS[tool]) + b"data: [DONE]\n\n" if form == "sse" else as_lines(STREAMS[tool])
    for blocks in ([body], [body[at : at + 7] for at in range(0, len(body), 7)]):
        server.script = (types[form], list(blocks))
        assert text_of(answer(hook, "hello")) == "Hi there"


def test_n8n_is_shown_as_it_streams(hook: Settings, server: FaultyServer) -> None:
    """JSON lines with the type of JSON are not held back until the end."""
    begin, *rest = (json.dumps(event).encode() + b"\n" for event in STREAMS["n8n"])
    server.script = ("application/json", [begin, rest[0], 20.0, *rest[1:]])
    said: list[AnswerChunk] = []
    with pytest.raises(EngineTimeout):
        said.extend(engines.create_engine(hook).answer(ask("hello", idle_timeout=0.5)))
    assert text_of(said) == "Hi"


def test_flowise_with_its_own_line_before_each_event(hook: Settings, server: FaultyServer) -> None:
    """Flowise writes `message:` before the data of each event."""
    server.script = ("text/event-stream", [as_sse(STREAMS["flowise"], b"message:\n").replace(b"data: {", b"data:{")])
    assert text_of(answer(hook, "hello")) == "Hi there"


@pytest.mark.parametrize("tool", WHOLE)
def test_whole_answers_of_known_tools(hook: Settings, server: FaultyServer, tool: str) -> None:
    """One JSON object with the answer, indented or not, with or without a line break at its end."""
    for indent, end in ((None, ""), (None, "\n"), (2, "\n\n")):
        server.script = ("application/json", [(json.dumps(WHOLE[tool], indent=indent) + end).encode()])
        assert text_of(answer(hook, "hello")) == "Hi there"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "content": "private words"},  # n8n
        {"event": "error", "data": "private words"},  # Flowise
        {"event": "error", "status": 400, "message": "private words"},  # Dify
        {"event": "workflow_finished", "data": {"status": "failed", "error": "private words"}},
        {"error": {"message": "private words"}},  # OpenAI
        {"type": "response.failed", "response": {"error": {"message": "private words"}}},
        {"type": "error", "errorText": "private words"},  # the AI SDK
        {"type": "RUN_ERROR", "message": "private words"},  # AG-UI
    ],
)
def test_errors_of_known_tools(hook: Settings, server: FaultyServer, event: dict[str, Any]) -> None:
    """An error inside the stream fails the answer, in our own words; what was said before it stays."""
    server.script = ("text/event-stream", [as_sse([{"text": "Hi"}, event, {"text": "never"}])])
    with pytest.raises(EngineFailed) as failed:
        answer(hook, "hello")
    assert "private" not in failed.value.detail


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ({"choices": [{"delta": {}, "finish_reason": "length"}]}, "length"),
        ({"choices": [{"delta": {}, "finish_reason": "content_filter"}]}, "content_filter"),
        ({"message": {"content": ""}, "done": True, "done_reason": "length"}, "length"),
        ({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}, "length"),
        (
            {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}},
            "length",
        ),
        ({"type": "finish", "finishReason": "length"}, "length"),
        ({"text": "", "finish_reason": "length"}, "length"),
    ],
)
def test_a_webhooks_answer_that_was_cut(hook: Settings, server: FaultyServer, end: dict[str, Any], reason: str) -> None:
    """M5: the reason for an early end comes through, by whatever name."""
    server.script = ("text/event-stream", [as_sse([{"text": "Hi"}, end])])
    assert FinishReason(reason) in answer(hook, "hello")


def cited(chunks: list[AnswerChunk]) -> list[Citation]:
    return [one for chunk in chunks if isinstance(chunk, CitationsChunk) for one in chunk.citations]


RELATIVE = [
    {"title": "Handbook", "snippet": "Page 3."},
    {"title": "Prices", "url": "/prices#eu", "snippet": "20 euros."},
    {"title": "", "url": "guide/start.html"},
    {"title": "Elsewhere", "url": "https://x.test/a"},
    {"title": "Handbook", "url": None},
]


@pytest.mark.parametrize("form", ["json", "sse"])
def test_citations_without_an_address(settings: MakeSettings, server: FaultyServer, form: str) -> None:
    """M7: joined to BATON_KNOWLEDGE_URL where that is set, else shown without a link; the markers stay right."""
    text = "See [1], [2], [3] and [4]."
    body = as_sse([{"text": text}, {"citations": RELATIVE}])
    if form == "json":
        body = json.dumps({"answer": text, "citations": RELATIVE}).encode()
    server.script = ("application/json" if form == "json" else "text/event-stream", [body])
    plain = answer(settings(engine="webhook"), "hello")
    assert text_of(plain) == text
    assert [(one.title, one.url) for one in cited(plain)] == [
        ("Handbook", ""), ("Prices", ""), ("guide/start.html", ""), ("Elsewhere", "https://x.test/a"),
    ]  # fmt: skip
    joined = answer(settings(engine="webhook", knowledge_url="https://docs.test/help"), "hello")
    assert [one.url for one in cited(joined)] == [
        "", "https://docs.test/prices#eu", "https://docs.test/help/guide/start.html", "https://x.test/a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//evil.test/x",
        "data:text/html,x",
        "\\\\evil.test",
        "mailto:a@b.test",
        "http://a@b.test/",
    ],
)
def test_an_address_that_must_not_be_opened(settings: MakeSettings, server: FaultyServer, url: str) -> None:
    """Such a citation is left out, and joining does not lead there either."""
    body = {"answer": "See [1] and [2].", "citations": [{"title": "Bad", "url": url}, {"title": "Good", "url": "/ok"}]}
    server.script = ("application/json", [json.dumps(body).encode()])
    chunks = answer(settings(engine="webhook", knowledge_url="https://docs.test"), "hello")
    assert [one.url for one in cited(chunks)] == ["https://docs.test/ok"]
    assert text_of(chunks) == "See and [1]."


def test_sources_of_flowise_and_dify(hook: Settings, server: FaultyServer) -> None:
    """Their own lists of sources become citations."""
    documents = [{"pageContent": "20 euros.", "metadata": {"source": "prices.pdf"}},
                 {"pageContent": "Nine.", "metadata": {"title": "Hours", "url": "https://x.test/h"}}]  # fmt: skip
    expected = [Citation("prices.pdf", "", "20 euros."), Citation("Hours", "https://x.test/h", "Nine.")]
    for body in (
        as_sse([{"event": "token", "data": "Hi"}, {"event": "sourceDocuments", "data": documents}]),
        as_sse([{"text": "Hi", "sourceDocuments": documents}]),
    ):
        server.script = ("text/event-stream", [body])
        assert cited(answer(hook, "hello")) == expected
    resources = [{"position": 1, "document_name": "prices.md", "content": "20 euros."}, "odd"]
    end = {"event": "message_end", "metadata": {"retriever_resources": resources}}
    server.script = ("text/event-stream", [as_sse([{"event": "message", "answer": "Hi"}, end])])
    assert cited(answer(hook, "hello")) == [Citation("prices.md", "", "20 euros.")]


def test_a_python_engines_citations_without_an_address(settings: MakeSettings) -> None:
    """The same of a Python engine: the base is the operator's."""
    engine = python_engine("cites_relative")
    assert [one.url for one in cited(list(engine.answer(ask("hello"))))] == ["", ""]
    engine = python_engine("cites_relative", citation_base="https://docs.test/help")
    assert [one.url for one in cited(list(engine.answer(ask("hello"))))] == ["", "https://docs.test/prices"]


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, {"a": [{}]}, [[]], True])
def test_odd_values_where_text_is_expected(value: Any) -> None:
    """Whatever stands at the known places, it is read or skipped, never raised as anything but a failed answer."""
    shapes: list[Any] = [
        {"choices": value}, {"choices": [value]}, {"choices": [{"delta": value}]}, {"message": value},
        {"output": value}, {"content": value}, {"data": value, "event": "token"}, {"type": value, "event": value},
        {"metadata": value}, {"metadata": {"retriever_resources": value}}, {"citations": value}, {"delta": value},
        {"sourceDocuments": value}, {"response": value}, {"type": "item", "content": value}, value,
        {"sourceDocuments": [{"metadata": value, "pageContent": value}]}, {"choices": [{"delta": {"content": value}}]},
    ]  # fmt: skip
    for shape in shapes:
        for parse in (webhook_parsers.parse_json, webhook_parsers.parse_ndjson):
            try:
                chunks = list(parse(iter([json.dumps(shape).encode() + b"\n"])))
            except EngineFailed:
                continue
            assert all(isinstance(text_of([chunk]), str) for chunk in chunks)
