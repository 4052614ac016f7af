"""Asking a question (POST /api/chat), as one JSON answer or as the events of the turn, and stopping the answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

import orjson
from flask import Blueprint, Response, request

from app.api import schemas
from app.api.auth import (
    SessionContext,
    bearer_token,
    is_api_key_request,
    load_session_context,
    session_route,
    validate_after_session_exists,
)
from app.api.json_body import MAX_BYTES, read_json_object
from app.api.openapi import SESSION_ERRORS, TEXT, WRITE_ERRORS, ResponseSpec, openapi_operation
from app.api.sessions import json_response, people_state
from app.api.sse import sse_response
from app.client_address import client_network_hash
from app.conversations.events import Event, EventCursor, parse_message_id
from app.conversations.ids import hash_session_id, session_tag
from app.engines.base import AnswerChunk, Citation, CitationsChunk, FinishReason, TextChunk
from app.errors import (
    BatonError,
    EngineBusy,
    EngineFailed,
    EngineTimeout,
    InvalidRequest,
    SessionFull,
    TurnInProgress,
)
from app.extensions import services
from app.rate_limit import address_limit, set_rate_limit_headers
from app.storage.base import TurnStart

blueprint = Blueprint("chat", __name__)


@blueprint.post("/api/chat")
@openapi_operation(
    {
        200: ResponseSpec(
            "The answer; with `Accept: text/event-stream`, the events of the turn.",
            {"application/json": schemas.Answer, "text/event-stream": TEXT},
        ),
        202: ResponseSpec("The question is stored; a person is to answer it.", {"application/json": schemas.Answer}),
    },
    body=schemas.ChatRequest,
    query=schemas.ChatQuery,
    errors=(*WRITE_ERRORS, SessionFull, TurnInProgress, EngineFailed, EngineTimeout, EngineBusy),
    auth="session",
)
@address_limit
def chat() -> Response:
    """Ask a question."""
    fields = read_body_or_404()
    session_id = session_id_from_request(fields)
    if session_id is None:
        return answer_without_session(parse_question(fields).query)
    context = load_session_context(session_id)
    question = validate_after_session_exists(context, lambda: parse_question(fields))
    turn = start_turn(context, question.query, question.client_id, is_streamed=wants_events())
    response = sse_response(turn_events(context, turn)) if wants_events() else turn_as_json(context, turn)
    if turn.reset_ms > 0:  # a replay counts against the limit by address alone
        set_rate_limit_headers(response, services().store.limits.session_limit, turn.remaining, turn.reset_ms)
    return response


def start_turn(
    context: SessionContext,
    question: str,
    client_id: str | None,
    *,
    regenerate: bool = False,
    is_streamed: bool = True,
    model: str = "",
    retry_failed: bool = True,
) -> TurnStart:
    """Starts the turn of a question that was validated, on the engine budget of the caller's address."""
    return services().conversations.start_turn(
        context.session_hash,
        context.actor,
        question,
        client_id,
        address=client_network_hash(),
        regenerate=regenerate,
        is_streamed=is_streamed,
        model=model,
        retry_failed=retry_failed,
    )


def read_body_or_404(max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The body. Where it is broken, a session that is named outside of it and does not exist is reported instead."""
    try:
        return read_json_object(max_bytes=max_bytes)
    except BatonError:
        session_hash = hash_session_id(request.args.get("session") or bearer_token())
        if session_hash:
            services().conversations.get_page(session_hash, "")
        raise


def parse_question(fields: dict[str, Any]) -> schemas.ChatRequest:
    """The question of the body. Raises InvalidRequest."""
    return schemas.ChatRequest.parse(fields, max_chars=services().config.max_message_chars)


def session_id_from_request(fields: dict[str, Any]) -> str | None:
    """The id in the body, in the query or as bearer; None where the call names no session."""
    session_id = fields.get("session_id")
    if session_id is None:
        session_id = request.args.get("session")
    if session_id is None and not is_api_key_request():
        session_id = bearer_token()
    if session_id is not None and not isinstance(session_id, str):
        raise InvalidRequest("session_id", "must be a string")
    return session_id


def wants_events() -> bool:
    """Whether the caller names text/event-stream in Accept, not with q=0, and would not rather have JSON."""
    wanted = {media.lower(): quality for media, quality in request.accept_mimetypes}
    events = wanted.get("text/event-stream", 0)
    return events > 0 and events >= wanted.get("application/json", 0)


def turn_as_json(context: SessionContext, turn: TurnStart) -> Response:
    """Waits for the end of the turn. An answer that a person has cut short says who answers now."""
    if turn.outcome == "held":
        return answer_response(None, [], context.session_id, None, 202, handler=turn.handler)
    end = services().conversations.wait_for_answer(context.session_hash, context.actor, turn)
    message = end["message"]
    metadata = message["metadata"] if message else {"interrupted": True}
    more: dict[str, Any] = {}
    if services().people and not metadata.keys().isdisjoint(("interrupted", "handoff")):
        session = services().conversations.get_page(context.session_hash, context.actor).session
        more["handler"] = session.handler
    text, message_id = (message["content"], message["id"]) if message else ("", None)
    return answer_response(text, end["citations"], context.session_id, message_id, **more)


def answer_response(
    text: str | None,
    citations: Any,
    session_id: str | None,
    message_id: str | None,
    status: int = 200,
    **more: object,
) -> Response:
    """The JSON answer."""
    answer = schemas.Answer(answer=text, citations=citations, session_id=session_id, message_id=message_id)
    return json_response(answer, status, **more)


def turn_events(context: SessionContext, turn: TurnStart) -> Iterator[Event | None]:
    """The events of a turn, and None whenever nothing came for a while.

    Of an answer that is there already: the same, with its text in one piece. Of a question for a person: the question,
    and who answers.
    """
    if turn.outcome == "held":
        return held_events(context, turn)
    if turn.outcome != "completed":
        return services().conversations.stream_turn(context.session_hash, context.actor, turn)
    end = services().conversations.wait_for_answer(context.session_hash, context.actor, turn)
    start = answer_event("answer.start", turn.turn_id)
    if end["message"] is None:
        return iter([start, answer_event("answer.end", turn.turn_id, **end)])
    tag = session_tag(context.session_hash)
    position = EventCursor(parse_message_id(end["message"]["id"], tag) or 0).encode(tag)  # of the logged answer.end
    text = end["message"]["content"]  # empty where it was stopped before its first word
    deltas = [answer_event("answer.delta", turn.turn_id, text=text)] if text else []
    return iter([start, *deltas, answer_event("answer.end", turn.turn_id, position, **end)])


def held_events(context: SessionContext, turn: TurnStart) -> Iterator[Event]:
    """A question that a person is to answer, and who that is or where in the queue the visitor waits."""
    question = Event(EventCursor(turn.start).encode(session_tag(context.session_hash)), "message", turn.message)
    state: dict[str, Any] = {"handler": turn.handler, "assigned_to": None}
    if turn.handler == "human":
        state["assigned_to"] = {"name": turn.assigned_to}
    elif services().people:
        now = people_state(services().conversations.get_page(context.session_hash, context.actor).session)
        state |= {name: value for name, value in now.items() if name == "queue_position"}
    return iter([question, Event(None, "handler", orjson.dumps(state))])


def answer_event(event_type: str, turn_id: str | None, event_id: str | None = None, **data: Any) -> Event:
    """An event of a turn that is not read from the log."""
    return Event(event_id, event_type, orjson.dumps({"turn_id": turn_id, **data}))


def answer_without_session(question: str) -> Response:
    """An answer from the question alone; nothing is stored."""
    answer = services().conversations.answer_stateless(question, client_network_hash(), is_streamed=wants_events())
    if wants_events():
        response = sse_response(stream_without_session(answer))
        response.call_on_close(answer.close)
        return response
    text: list[str] = []
    citations: list[dict[str, str]] = []
    with closing(answer):
        for chunk in answer:
            if isinstance(chunk, TextChunk):
                text.append(chunk.text)
            elif isinstance(chunk, CitationsChunk):
                citations = citations_as_dicts(chunk)
    return answer_response("".join(text), citations, None, None)


def citations_as_dicts(chunk: CitationsChunk) -> list[dict[str, str]]:
    """At most five, as they go over the wire."""
    return [asdict(citation) for citation in list(chunk.citations)[:5] if isinstance(citation, Citation)]


def stream_without_session(chunks: Iterable[AnswerChunk | None]) -> Iterator[Event | None]:
    """The same events as those of a turn in a session, without ids; None whenever nothing came for a while."""
    text: list[str] = []
    citations: list[dict[str, str]] = []
    metadata: dict[str, str] = {}
    yield answer_event("answer.start", None)
    try:
        for chunk in chunks:
            if chunk is None:
                yield None
            elif isinstance(chunk, TextChunk):
                text.append(chunk.text)
                yield answer_event("answer.delta", None, text=chunk.text)
            elif isinstance(chunk, CitationsChunk):
                citations = citations_as_dicts(chunk)
            elif isinstance(chunk, FinishReason):
                metadata["finish_reason"] = chunk.reason
    except EngineFailed as error:
        final: dict[str, Any] = {} if error.retryable else {"retryable": False}
        yield answer_event("answer.error", None, code=error.code, detail=error.detail, **final)
        return
    unstored: dict[str, Any] = {"id": None, "metadata": metadata, "created_at": None}
    message = {"role": "assistant", "content": "".join(text), **unstored}
    yield answer_event("answer.end", None, message=message, citations=citations)


@session_route(blueprint, "POST", "/stop")
@openapi_operation({200: schemas.AnswerStopped}, errors=SESSION_ERRORS)
def stop_answer(context: SessionContext) -> Response:
    """Stop the answer that is being made; what was said so far stays."""
    validate_after_session_exists(context, lambda: read_json_object(optional=True))
    stopped = services().conversations.stop_turn(context.session_hash, context.actor)
    return json_response(schemas.AnswerStopped(stopped=stopped))
