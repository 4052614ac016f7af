"""The calls on messages: append, list, rate, download."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, request

from app.api import schemas
from app.api.auth import OWNER, SessionContext, session_route, validate_after_session_exists
from app.api.desk_auth import authenticate
from app.api.human import people_service
from app.api.json_body import read_json_object
from app.api.openapi import SESSION_ERRORS, TEXT, WRITE_ERRORS, ResponseSpec, openapi_operation
from app.api.sessions import page_response
from app.conversations.events import serialize_message
from app.conversations.export import Format, render_transcript
from app.errors import (
    AlreadyTaken,
    InvalidRequest,
    NotAllowed,
    PathNotFound,
    RateLimited,
    RoleForbidden,
    SessionFull,
    SessionNotFound,
)
from app.extensions import services
from app.rate_limit import address_limit, set_rate_limit_headers
from app.storage.base import AppendResult, NewMessage

blueprint = Blueprint("messages", __name__)
MEDIA_TYPES = {"md": "text/markdown", "txt": "text/plain", "json": "application/json"}


def message_response(message: bytes, status: int = 200) -> Response:
    """A stored message, which is JSON already."""
    return Response(b'{"success":true,"message":%b}' % message, status, mimetype="application/json")


def stored_response(stored: AppendResult) -> Response:
    """201 for a message that is new, 200 for one that was there."""
    return message_response(stored.message, 201 if stored.is_new else 200)


@session_route(blueprint, "POST", "/messages")
@openapi_operation(
    {201: schemas.MessageStored, 200: schemas.MessageStored},
    body=schemas.AppendMessageRequest,
    errors=(NotAllowed, RoleForbidden, SessionFull, AlreadyTaken, *WRITE_ERRORS),
    auth="apiKey",
)
@address_limit
def append_message(context: SessionContext) -> Response:
    """Append a message; a known client id gets its first answer again.

    With the API key and `Baton-Operator` it is that operator's, who takes the conversation where nobody has it.
    """
    if context.actor == OWNER and services().people and "Baton-Operator" in request.headers:
        return append_operator_message(context)
    stored = store_message(
        context, validate_after_session_exists(context, lambda: parse_message(context, read_json_object()))
    )
    response = stored_response(stored)
    if not stored.is_new:
        return response
    return set_rate_limit_headers(response, services().store.limits.session_limit, stored.remaining, stored.reset_ms)


def append_operator_message(context: SessionContext) -> Response:
    """As the desk does it, for a server that knows the id. Raises NotAllowed or AlreadyTaken."""
    operator = authenticate("operator").acting
    body = validate_after_session_exists(context, lambda: parse_message(context, read_json_object()))
    stored = people_service().send_message(context.session_hash, operator, body.message, body.client_id)
    with suppress(SessionNotFound):  # a claim has moved it since
        ref = services().conversations.get_page(context.session_hash, OWNER).session.ref
        if desk := services().desk:
            desk.taken(ref, operator.id, by_server=True)
    return stored_response(stored)


def store_message(context: SessionContext, body: schemas.AppendMessageRequest) -> AppendResult:
    """Stores a message that was validated."""
    message = serialize_message(body.role or "user", body.message, body.metadata, body.client_id)
    return services().conversations.append_message(
        context.session_hash, context.actor, NewMessage(message, body.client_id or "")
    )


def parse_message(context: SessionContext, fields: dict[str, Any]) -> schemas.AppendMessageRequest:
    """The message in ``fields``. Raises RoleForbidden or InvalidRequest."""
    if fields.get("role") not in (None, "user") and context.actor != OWNER:
        raise RoleForbidden("Only the service's owner may speak in another role than user.")
    return schemas.AppendMessageRequest.parse(fields, max_chars=services().config.max_message_chars)


@session_route(blueprint, "GET", "/messages")
@openapi_operation(
    {200: schemas.MessagePage}, query=schemas.ListMessagesQuery, errors=(InvalidRequest, *SESSION_ERRORS)
)
def list_messages(context: SessionContext) -> Response:
    """List messages, oldest first; this is not an activity."""
    query = validate_after_session_exists(context, lambda: schemas.ListMessagesQuery.parse(request.args.to_dict()))
    page = services().conversations.get_page(context.session_hash, context.actor, *query.position, query.limit)
    return page_response(context.session_id, page)


@session_route(blueprint, "POST", "/messages/<message_id>/feedback")
@openapi_operation(
    {200: schemas.MessageStored}, body=schemas.RateMessageRequest, errors=(PathNotFound, RateLimited, *SESSION_ERRORS)
)
@address_limit
def rate_message(context: SessionContext, message_id: str) -> Response:
    """Say whether an answer helped."""
    body = validate_after_session_exists(context, lambda: schemas.RateMessageRequest.parse(read_json_object()))
    rating: dict[str, Any] | None = body.model_dump(exclude_none=True) if body.rating else None
    message = services().conversations.set_feedback(context.session_hash, context.actor, message_id, rating)
    return message_response(message)


@session_route(blueprint, "GET", "/transcript")
@openapi_operation(
    {
        200: ResponseSpec(
            "The conversation as a file.",
            {"text/markdown": TEXT, "text/plain": TEXT, "application/json": schemas.Transcript},
            ("Content-Disposition",),
        )
    },
    query=schemas.TranscriptQuery,
    errors=(InvalidRequest, *SESSION_ERRORS),
)
def get_transcript(context: SessionContext) -> Response:
    """Download the conversation."""
    query = validate_after_session_exists(context, lambda: schemas.TranscriptQuery.parse(request.args.to_dict()))
    limit = services().config.max_messages + 1
    snapshot = services().conversations.get_page(context.session_hash, context.actor, limit=limit).session
    return transcript_response(snapshot.messages, query.format)


def transcript_response(messages: Sequence[bytes], file_format: Format) -> Response:
    """A conversation as a file to download."""
    response = Response(render_transcript(messages, file_format), mimetype=MEDIA_TYPES[file_format])
    response.headers["Content-Disposition"] = f'attachment; filename="conversation.{file_format}"'
    return response
