"""The Vercel AI SDK's ``useChat``: the turns of a session as its UI message stream.

``DefaultChatTransport`` with ``resume: true`` works unchanged: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Blueprint, Response
from pydantic import Field

from app.api import schemas
from app.api.auth import (
    SessionContext,
    bearer_token,
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
from app.api.openapi import SESSION_ERRORS, TEXT, WRITE_ERRORS, ResponseSpec, openapi_operation
from app.api.sse import stream_response
from app.conversations.events import SESSION_ENDED_EVENT, Event
from app.extensions import services
from app.rate_limit import address_limit
from app.storage.base import TurnStart

blueprint = Blueprint("ai_sdk", __name__)

DONE = b"data: [DONE]\n\n"
STREAM = ResponseSpec("The UI message stream of the turn.", {"text/event-stream": TEXT})
OUTAGE = "The connection to the answer was lost. Load the page again to go on."


class AiSdkChat(schemas.RequestModel):
    """What ``useChat`` sends. Only the last of its messages is read: the history is the session's."""

    model_config = schemas.example(
        messages=[{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "What is AI risk?"}]}]
    )
    id: Any = Field(None, description="The session id, where no bearer credential names the session.")
    messages: list[dict[str, Any]] = Field(min_length=1)
    trigger: str = Field("submit-message", description="`regenerate-message` asks the last question once more.")
    messageId: str | None = Field(None, description="The answer to regenerate, or the question that was edited.")  # noqa: N815 - the SDK's name


@blueprint.post("/api/ai-sdk/chat")
@openapi_operation({200: STREAM}, body=AiSdkChat, errors=(*WRITE_ERRORS, *TURN_ERRORS), auth="session")
@address_limit
def ai_sdk_chat() -> Response:
    """Ask a question as the Vercel AI SDK does."""
    fields = read_body_or_404(MAX_BODY_BYTES)
    context = load_session_context(session_id_from(fields.get("id")))
    body, message_id, question = validate_after_session_exists(context, lambda: parse_body(fields))
    regenerate = body.trigger == "regenerate-message"
    turn = start_turn(context, question, client_id_of(body, message_id, question), regenerate=regenerate)
    return ui_message_stream(context, turn)


@blueprint.get("/api/ai-sdk/chat/<path:chat_id>/stream")
@openapi_operation({200: STREAM, 204: ResponseSpec("No answer is being made.")}, errors=SESSION_ERRORS, auth="session")
def ai_sdk_resume(chat_id: str) -> Response:
    """Follow the answer that is being made, from its first word."""
    context = load_session_context(session_id_from(chat_id))
    turn = services().conversations.get_running_turn(context.session_hash, context.actor)
    return ui_message_stream(context, turn) if turn else Response(status=204)


def session_id_from(chat_id: object) -> str:
    """The bearer id; without one, or where it is the API key, the chat id, which else is only the client's name."""
    token = None if is_api_key_request() else bearer_token()
    return token or (chat_id if isinstance(chat_id, str) else "")


def parse_body(fields: dict[str, Any]) -> tuple[AiSdkChat, str, str]:
    """The body, and id and text of its last message. Raises InvalidRequest."""
    body = AiSdkChat.parse(fields)
    return body, *last_question(body.messages, "parts")


def client_id_of(body: AiSdkChat, message_id: str, question: str) -> str | None:
    """The last message's id names its turn; regenerated, or edited under the id that it had, it is another turn."""
    if body.trigger == "regenerate-message":  # of an answer by its id, or once more after none came
        answer_id = body.messageId if body.messageId != message_id else ""
        return client_id_from(message_id, answer_id or secrets.token_hex(16))
    return client_id_from(message_id, body.messageId, question) if body.messageId else client_id_from(message_id)


def ui_message_stream(context: SessionContext, turn: TurnStart) -> Response:
    """The turn as the SDK's parts."""
    outage = data_line({"type": "error", "errorText": OUTAGE}) + DONE
    headers = {"x-vercel-ai-ui-message-stream": "v1"}
    events = turn_events(context, turn)
    parts = stream_held_parts(events) if turn.outcome == "held" else stream_parts(events, turn.turn_id)
    return stream_response(parts, on_outage=outage, headers=headers)


def stream_parts(events: Iterable[Event | None], turn_id: str) -> Iterator[bytes]:
    """The events of a turn as parts; the message's id is the turn's, each time that it is read."""
    yield data_line({"type": "start", "messageId": turn_id})
    yield data_line({"type": "start-step"})
    is_text_open = False
    for event in events:
        if event is None:
            yield KEEP_ALIVE
            continue
        data = event.payload()
        if data.get("turn_id") != turn_id:
            if event.type == "reset" or event == SESSION_ENDED_EVENT:
                yield data_line({"type": "error", "errorText": OUTAGE})
            continue
        if event.type == "answer.delta":
            if not is_text_open:
                yield data_line({"type": "text-start", "id": turn_id})
                is_text_open = True
            yield data_line({"type": "text-delta", "id": turn_id, "delta": data["text"]})
        elif event.type in ("answer.end", "answer.error"):
            if is_text_open:
                yield data_line({"type": "text-end", "id": turn_id})
            yield from _closing_parts(event.type, data)
    yield DONE


def stream_held_parts(events: Iterable[Event | None]) -> Iterator[bytes]:
    """An empty message, and who is to answer: a person has the conversation."""
    yield data_line({"type": "start"})
    yield data_line({"type": "start-step"})
    for event in events:
        if event and event.type == "handler":
            yield data_line({"type": "data-handler", "data": event.payload()})
    yield from _closing_parts("answer.end", {"message": None, "citations": []})
    yield DONE


def _closing_parts(event_type: str, data: dict[str, Any]) -> Iterator[bytes]:
    if event_type == "answer.error":
        yield data_line({"type": "error", "errorText": data["detail"]})
        return
    for number, citation in enumerate(data["citations"], 1):
        source = {"type": "source-url", "sourceId": f"source-{number}", "title": citation["title"]}
        yield data_line(source | {"url": citation["url"]})
    yield data_line({"type": "finish-step"})
    message = data["message"]
    metadata = {"id": message["id"], "created_at": message["created_at"]} if message else {}
    if message and message["metadata"].get("stopped"):
        metadata["stopped"] = True
    reason = message["metadata"].get("finish_reason", "stop") if message else "stop"
    yield data_line({"type": "finish", "finishReason": reason.replace("_", "-"), "messageMetadata": metadata})
