"""AG-UI (``HttpAgent``, CopilotKit, assistant-ui): the turns of a session as runs of an agent.

https://docs.ag-ui.com/concepts/events. A run that broke off is taken up again by the same call with ``Last-Event-ID``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flask import Blueprint, Response, request
from pydantic import Field

from app.api import schemas
from app.api.auth import (
    SessionContext,
    bearer_token,
    get_signed_in_user,
    is_api_key_request,
    load_session_context,
    validate_after_session_exists,
)
from app.api.chat import read_body_or_404, start_turn, turn_events
from app.api.client_protocols import (
    KEEP_ALIVE,
    MAX_BODY_BYTES,
    TURN_ERRORS,
    client_id_from,
    data_line,
    last_question,
)
from app.api.openapi import TEXT, WRITE_ERRORS, ResponseSpec, openapi_operation
from app.api.sessions import session_name
from app.api.sse import stream_response
from app.conversations.events import (
    SESSION_ENDED_EVENT,
    TERMINAL_EVENTS,
    Event,
    EventCursor,
    parse_cursor,
    parse_message_id,
)
from app.conversations.ids import hash_session_id, session_tag
from app.conversations.names import SessionName
from app.errors import InvalidRequest, SessionNotFound
from app.extensions import services
from app.rate_limit import address_limit, create_limit
from app.storage.base import TurnStart

blueprint = Blueprint("ag_ui", __name__)

POSITION_GONE = Event(None, "reset", b"{}")
BREAKS = {
    "reset": {
        "type": "RUN_ERROR",
        "message": "This position is gone. Run again without Last-Event-ID to have the answer whole.",
        "code": "reset",
    },
    "session": {"type": "RUN_ERROR", "message": "The conversation is gone.", "code": SessionNotFound.code},
}
"""The end of a run whose log cannot be read to its end, by the event that says so."""


class RunAgentInput(schemas.RequestModel):
    """What an AG-UI client sends. Only the last of its messages is read: the history is the session's."""

    model_config = schemas.example(
        threadId="support", runId="r1", messages=[{"id": "m1", "role": "user", "content": "What is AI risk?"}]
    )
    threadId: str = Field(description="The session id or, with `Baton-User` or the API key, a key.")  # noqa: N815
    runId: str = Field(min_length=1, max_length=1000, description="A run that is sent again gets the same events.")  # noqa: N815
    messages: list[dict[str, Any]] = Field(min_length=1)


@blueprint.post("/api/ag-ui")
@openapi_operation(
    {200: ResponseSpec("The events of the run.", {"text/event-stream": TEXT})},
    body=RunAgentInput,
    headers=("Last-Event-ID",),
    errors=(*WRITE_ERRORS, *TURN_ERRORS),
    auth="session",
)
@address_limit
def run_agent() -> Response:
    """Ask a question as an AG-UI client does."""
    fields = read_body_or_404(MAX_BODY_BYTES)
    context = load_session_context(session_id_from(fields))
    body, question = validate_after_session_exists(context, lambda: parse_body(fields))
    last_event_id = request.headers.get("Last-Event-ID")
    turn = start_turn(context, question, client_id_from(body.runId), retry_failed=not last_event_id)
    run = {"threadId": body.threadId, "runId": body.runId}
    if turn.outcome == "held":
        return stream_response(stream_held_run(turn_events(context, turn), run))
    events = events_after(context, turn, last_event_id) if last_event_id else turn_events(context, turn)
    outage = data_line({"type": "RUN_ERROR", "message": "Storage cannot be reached just now.", "code": "outage"})
    run_events = stream_run(events, turn.turn_id, run, continues=bool(last_event_id))
    return stream_response(run_events, on_outage=outage)


def session_id_from(fields: dict[str, Any]) -> str:
    """The bearer id, else the thread id: a session id, or with a proof the key of a conversation, which may be new.

    Raises SessionNotFound, and InvalidRequest for a body that cannot begin a conversation.
    """
    is_owner, thread_id = is_api_key_request(), fields.get("threadId")
    token = None if is_owner else bearer_token()
    if token or not isinstance(thread_id, str):
        return token or ""
    user = get_signed_in_user()
    if hash_session_id(thread_id) or not (user or is_owner):
        return thread_id
    try:
        key = schemas.CreateSessionRequest.parse({"key": thread_id}).key
    except InvalidRequest:
        raise SessionNotFound from None
    name = session_name(key or "", user, is_owner=is_owner)
    session_id = services().names.find(name)
    if session_id is None:
        parse_body(fields)
    return session_id or create_named_session(name)


@create_limit
def create_named_session(name: SessionName) -> str:
    """The id of the conversation of this name, which is new; it counts as any other create."""
    return services().names.get_or_create(name, None).session_id


def parse_body(fields: dict[str, Any]) -> tuple[RunAgentInput, str]:
    """The body, and the text of its last message. Raises InvalidRequest."""
    body = RunAgentInput.parse(fields)
    return body, last_question(body.messages, "content")[1]


def events_after(context: SessionContext, turn: TurnStart, last_event_id: str) -> Iterator[Event | None]:
    """The events of a turn after the one that the client saw last; ``reset`` where that position is gone."""
    conversations, tag = services().conversations, session_tag(context.session_hash)
    cursor = parse_cursor(last_event_id, tag)
    if cursor and turn.outcome == "failed":
        return rest_of_failed_turn(context, turn, cursor.after_event)
    if cursor and turn.outcome == "completed":
        end = conversations.wait_for_answer(context.session_hash, context.actor, turn)
        number = parse_message_id(end["message"]["id"], tag) if end["message"] else cursor.after_event
        if cursor.after_event == number:
            return iter(())
        cursor = None if cursor.after_event > (number or 0) else cursor
    if cursor is None or (turn.outcome != "completed" and cursor.after_event < turn.start):
        return iter([POSITION_GONE])
    start = conversations.resolve_cursor(context.session_hash, context.actor, last_event_id)
    events = conversations.stream_events(context.session_hash, context.actor, EventCursor(start.after_event))
    return _until_end(events, turn.turn_id)


def rest_of_failed_turn(context: SessionContext, turn: TurnStart, after: int) -> Iterator[Event]:
    """The events of the turn after a number, and its last one in any case: who goes on does not start it again."""
    tag = session_tag(context.session_hash)
    seen = TurnStart("failed", turn.turn_id, max(after - 1, 0))
    rest = [
        Event(EventCursor(number).encode(tag), event.type, event.data)
        for number, event in services().conversations.read_turn(context.session_hash, context.actor, seen)
        if number > after or event.type in TERMINAL_EVENTS
    ]
    return iter(rest or [POSITION_GONE])


def _until_end(events: Iterator[Event | None], turn_id: str) -> Iterator[Event | None]:
    for event in events:
        yield event
        if event and (event.type == "reset" or _ends(event, turn_id)):
            return


def _ends(event: Event, turn_id: str) -> bool:
    return event.type in TERMINAL_EVENTS and event.payload().get("turn_id") == turn_id


def stream_run(
    events: Iterable[Event | None], turn_id: str, run: dict[str, str], *, continues: bool
) -> Iterator[bytes]:
    """The events of a turn as those of a run. ``continues``: the client has seen a part of it.

    Only what has been sent completely has an id: each piece of text, and the end.
    """
    yield data_line({"type": "RUN_STARTED", **run})
    is_open = False
    for event in events:
        if event is None:
            yield KEEP_ALIVE
            continue
        if event.type == "reset" or event == SESSION_ENDED_EVENT:
            yield data_line(BREAKS[event.type])
            return
        data = event.payload()
        if data.get("turn_id") != turn_id:
            continue
        has_text = event.type == "answer.delta" or (continues and event.type in TERMINAL_EVENTS and data.get("message"))
        if has_text and not is_open:
            yield data_line({"type": "TEXT_MESSAGE_START", "messageId": turn_id, "role": "assistant"})
            is_open = True
        if event.type == "answer.delta":
            content = {"type": "TEXT_MESSAGE_CONTENT", "messageId": turn_id, "delta": data["text"]}
            yield data_line(content, event.id)
        elif event.type in TERMINAL_EVENTS:
            if is_open:
                yield data_line({"type": "TEXT_MESSAGE_END", "messageId": turn_id})
            yield from _end_of_run(event, data, run)
            return
    if continues:
        yield data_line({"type": "RUN_FINISHED", **run})


def stream_held_run(events: Iterable[Event | None], run: dict[str, str]) -> Iterator[bytes]:
    """A run whose question a person is to answer: who that is."""
    yield data_line({"type": "RUN_STARTED", **run})
    for event in events:
        if event and event.type == "handler":
            yield data_line({"type": "CUSTOM", "name": "handler", "value": event.payload()})
    yield data_line({"type": "RUN_FINISHED", **run})


def _end_of_run(event: Event, data: dict[str, Any], run: dict[str, str]) -> Iterator[bytes]:
    if event.type == "answer.error":
        yield data_line({"type": "RUN_ERROR", "message": data["detail"], "code": data["code"]}, event.id)
        return
    if data["citations"]:
        yield data_line({"type": "CUSTOM", "name": "citations", "value": data["citations"]})
    yield data_line({"type": "RUN_FINISHED", **run}, event.id)
