"""Conversations at the desk: the lists, one conversation as operators see it, and what they do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any

import orjson
from flask import Blueprint, Response, request

from app.api import desk_schemas, schemas
from app.api.desk_auth import DeskCaller, desk_operators, desk_route
from app.api.human import people_service
from app.api.json_body import read_json_object
from app.api.messages import stored_response, transcript_response
from app.api.openapi import DESK_ERRORS, TEXT, ResponseSpec, openapi_operation
from app.api.sessions import json_response
from app.api.sse import (
    EVENT_STREAM,
    PREAMBLE,
    client_disconnected,
    format_sse,
    iterate_until_deadline,
    open_slot,
    requested_position,
    sse_response,
    stream_response,
)
from app.conversations.desk_conversation import OperatorEvents, created_at, merge_notes
from app.conversations.desk_feed import DeskReader
from app.conversations.events import PING, SESSION_ENDED_EVENT, Event
from app.conversations.ids import timestamp
from app.conversations.service import ConversationPage
from app.errors import AlreadyTaken, NotAllowed, PathNotFound, RateLimited, SessionEnded, SessionFull, SessionNotFound
from app.extensions import services
from app.storage.base import SessionSnapshot
from app.storage.desk_index import DeskIndex

blueprint = Blueprint("desk_conversations", __name__)
CHANGE_ERRORS = (AlreadyTaken, SessionEnded, *DESK_ERRORS)
OWNER = "*"
LAST_TIME = "9999"
"""After all times."""


def desk_index() -> DeskIndex:
    """The index. Raises PathNotFound while the desk is off."""
    index = services().desk
    if index is None:
        raise PathNotFound("There is nothing at this path.")
    return index


def _resolve(ref: str) -> str:
    """The hash of the session that a ref names. Raises PathNotFound."""
    session_hash = desk_index().resolve(ref)
    request.environ["baton.session_ref"] = session_hash[:10]  # for the access log
    return session_hash


@desk_route(blueprint, "GET", "/conversations", "viewer")
@openapi_operation(
    {200: desk_schemas.ConversationList}, query=desk_schemas.ListConversationsQuery, auth="desk", errors=DESK_ERRORS
)
def list_conversations(caller: DeskCaller) -> Response:
    """List the conversations of a view, or of a verified user."""
    query = desk_schemas.ListConversationsQuery.parse(request.args.to_dict())
    view = query.view or ("queue" if query.user is None else None)
    page = desk_index().rows(view, caller.operator_id, query.q, query.cursor, query.limit, query.user)
    return _json({"conversations": page.rows, "counts": page.counts, "cursor": page.cursor})


@desk_route(blueprint, "GET", "/conversations/<ref>", "viewer", audit="read")
@openapi_operation({200: desk_schemas.ConversationState}, auth="desk", errors=DESK_ERRORS)
def get_conversation(caller: DeskCaller, ref: str) -> Response:
    """Get one conversation."""
    return _conversation_response(caller, ref)


def _conversation_response(caller: DeskCaller, ref: str) -> Response:
    """The row, with what only the session itself knows for certain."""
    page = _page(_resolve(ref))
    row = desk_index().row(ref, caller.operator_id)
    more = {"updated_at": timestamp(page.session.updated_at), "message_count": page.session.message_count}
    return _json(row | _state(page, row) | more)


def _state(page: ConversationPage, row: dict[str, Any]) -> dict[str, Any]:
    """Who answers, as the session knows it, which may be a moment ahead of its row."""
    session, assigned_to = page.session, row["assigned_to"]
    if not assigned_to or assigned_to["name"] != session.assigned_to:
        assigned_to = {"name": session.assigned_to}
    return {
        "status": page.status,
        "handler": session.handler or "bot",
        "assigned_to": assigned_to if session.handler == "human" else None,
        "expires_at": timestamp(session.expires_at),
    }


def _page(session_hash: str, direction: str = "", message_id: str = "", limit: int = 0) -> ConversationPage:
    """Some of the session's messages. Raises PathNotFound where it is gone, as for a ref that never was."""
    try:
        return services().conversations.get_page(session_hash, OWNER, direction, message_id, limit)
    except SessionNotFound:
        raise PathNotFound("No such conversation.") from None


@desk_route(blueprint, "GET", "/conversations/<ref>/messages", "viewer", audit="read")
@openapi_operation(
    {200: desk_schemas.DeskMessagePage}, query=schemas.ListMessagesQuery, auth="desk", errors=DESK_ERRORS
)
def list_desk_messages(caller: DeskCaller, ref: str) -> Response:
    """List messages, oldest first, and the notes of that time among them."""
    session_hash = _resolve(ref)
    query = schemas.ListMessagesQuery.parse(request.args.to_dict())
    page = _page(session_hash, *query.position, query.limit)
    session = page.session
    since, until = _time_span(session_hash, query.position[0], session)
    messages = merge_notes(session.messages, people_service().get_notes(session_hash), since, until)
    fields = {
        "success": True,
        "ref": ref,
        "has_more": session.has_more,
        "cursor": page.cursor,
        **_state(page, desk_index().row(ref, caller.operator_id)),
    }
    body = b'%b,"messages":[%b]}' % (orjson.dumps(fields)[:-1], b",".join(messages))
    return Response(body, mimetype="application/json")


def _time_span(session_hash: str, direction: str, session: SessionSnapshot) -> tuple[str, str]:
    """From when to when a page of the history reaches, so that each note is in one page alone."""
    first = created_at(session.messages[0]) if session.messages else ""
    if direction == "after":
        first_id = orjson.loads(session.messages[0])["id"] if session.messages else ""
        preceding = _page(session_hash, "before" if first_id else "", first_id, 1).session.messages[0]
        return created_at(preceding), created_at(session.messages[-1]) if session.has_more else ""
    since = first if session.has_more else ""
    if direction == "before":
        if not session.messages:
            return LAST_TIME, ""
        following = _page(session_hash, "after", orjson.loads(session.messages[-1])["id"], 1).session.messages
        return since, created_at(following[0])
    return since, ""


@desk_route(blueprint, "POST", "/conversations/<ref>/take", "operator", audit="take")
@openapi_operation(
    {200: desk_schemas.ConversationState},
    body=desk_schemas.TakeRequest,
    body_required=False,
    auth="desk",
    errors=CHANGE_ERRORS,
)
def take_conversation(caller: DeskCaller, ref: str) -> Response:
    """Take a conversation; a running answer ends with the words said so far."""
    fields = read_json_object(optional=True)
    if fields.get("force") is True and not caller.acting.is_at_least("lead"):  # a 403 comes before the 404
        raise NotAllowed("Only leads and admins may take a conversation from somebody.")
    session_hash = _resolve(ref)
    body = desk_schemas.TakeRequest.parse(fields)
    people_service().take(session_hash, caller.acting, force=body.force)
    desk_index().taken(ref, caller.operator_id, by_server=caller.by_api_key)
    return _conversation_response(caller, ref)


@desk_route(blueprint, "POST", "/conversations/<ref>/release", "operator", audit="release")
@openapi_operation(
    {200: desk_schemas.ConversationState}, body=desk_schemas.ReleaseRequest, auth="desk", errors=CHANGE_ERRORS
)
def release_conversation(caller: DeskCaller, ref: str) -> Response:
    """Give a conversation to the bot, back to the queue or to a colleague."""
    session_hash = _resolve(ref)
    body = desk_schemas.ReleaseRequest.parse(read_json_object())
    people_service().release(session_hash, caller.acting, body.to)
    return _conversation_response(caller, ref)


@desk_route(blueprint, "POST", "/conversations/<ref>/messages", "operator", audit="message")
@openapi_operation(
    {201: schemas.MessageStored, 200: schemas.MessageStored},
    body=desk_schemas.OperatorMessageRequest,
    auth="desk",
    errors=(SessionFull, *CHANGE_ERRORS),
)
def send_operator_message(caller: DeskCaller, ref: str) -> Response:
    """Say something; where nobody has the conversation, this takes it."""
    session_hash = _resolve(ref)
    body = _parse_message()
    stored = people_service().send_message(session_hash, caller.acting, body.message, body.client_id)
    desk_index().taken(ref, caller.operator_id, by_server=caller.by_api_key)
    return stored_response(stored)


@desk_route(blueprint, "POST", "/conversations/<ref>/notes", "operator", audit="note")
@openapi_operation(
    {201: desk_schemas.NoteStored, 200: desk_schemas.NoteStored},
    body=desk_schemas.OperatorMessageRequest,
    auth="desk",
    errors=(SessionFull, *DESK_ERRORS),
)
def add_note(caller: DeskCaller, ref: str) -> Response:
    """Add a note, which operators alone read."""
    session_hash = _resolve(ref)
    body = _parse_message()
    stored = people_service().add_note(session_hash, caller.acting, body.message, body.client_id)
    return stored_response(stored)


def _parse_message() -> desk_schemas.OperatorMessageRequest:
    return desk_schemas.OperatorMessageRequest.parse(read_json_object(), max_chars=services().config.max_message_chars)


@desk_route(blueprint, "POST", "/conversations/<ref>/end", "operator", audit="end")
@openapi_operation({200: desk_schemas.ConversationState}, auth="desk", errors=(AlreadyTaken, *DESK_ERRORS))
def end_conversation(caller: DeskCaller, ref: str) -> Response:
    """End a conversation for good."""
    session_hash = _resolve(ref)
    read_json_object(optional=True)
    people_service().end(session_hash, caller.acting)
    return _conversation_response(caller, ref)


@desk_route(blueprint, "POST", "/conversations/<ref>/typing", "operator")
@openapi_operation({200: desk_schemas.Done}, auth="desk", errors=CHANGE_ERRORS)
def operator_types(caller: DeskCaller, ref: str) -> Response:
    """Say that the operator types; the visitor is notified, once in 3 s at most."""
    session_hash = _resolve(ref)
    read_json_object(optional=True)
    people_service().set_typing(session_hash, "operator", caller.acting.name)
    return json_response(desk_schemas.Done())


@desk_route(blueprint, "POST", "/conversations/<ref>/read", "operator")
@openapi_operation({200: desk_schemas.Done}, auth="desk", errors=DESK_ERRORS)
def mark_read(caller: DeskCaller, ref: str) -> Response:
    """Say that the operator has read what there is."""
    session_hash = _resolve(ref)
    read_json_object(optional=True)
    people_service().mark_read(session_hash, caller.acting)
    return json_response(desk_schemas.Done())


@desk_route(blueprint, "DELETE", "/conversations/<ref>", "lead", audit="delete")
@openapi_operation({204: ResponseSpec("It is deleted.")}, auth="desk", errors=DESK_ERRORS)
def delete_conversation(_caller: DeskCaller, ref: str) -> Response:
    """Delete a conversation; nothing of it is left."""
    session_hash = _resolve(ref)
    try:
        services().conversations.delete_session(session_hash, OWNER)
    except SessionNotFound:
        raise PathNotFound("No such conversation.") from None
    return Response(status=204)


@desk_route(blueprint, "GET", "/conversations/<ref>/transcript", "viewer", audit="export")
@openapi_operation(
    {
        200: ResponseSpec(
            "The conversation as a file, without notes.",
            {"text/markdown": TEXT, "text/plain": TEXT, "application/json": schemas.Transcript},
            ("Content-Disposition",),
        )
    },
    query=schemas.TranscriptQuery,
    auth="desk",
    errors=DESK_ERRORS,
)
def get_desk_transcript(_caller: DeskCaller, ref: str) -> Response:
    """Download a conversation."""
    session_hash = _resolve(ref)
    query = schemas.TranscriptQuery.parse(request.args.to_dict())
    session = _page(session_hash, limit=services().config.max_messages + 1).session
    return transcript_response(session.messages, query.format)


def _json(fields: dict[str, Any]) -> Response:
    return Response(orjson.dumps({"success": True, **fields}), mimetype="application/json")


# Feeds


@desk_route(blueprint, "GET", "/events", "viewer")
@openapi_operation(
    {200: EVENT_STREAM},
    query=schemas.EventsQuery,
    headers=("Last-Event-ID",),
    auth="desk",
    errors=(RateLimited, *DESK_ERRORS),
)
def follow_desk(caller: DeskCaller) -> Response:
    """Follow what changes at the desk as server-sent events."""
    if request.method == "HEAD":
        return Response(mimetype="text/event-stream")
    operators = desk_operators()
    reader = DeskReader(caller.operator_id, lambda: caller.renew(operators), client_disconnected(request.environ))
    resources, slot = open_slot("desk", reader=f"desk:{caller.operator_id or 'key'}")
    feed = services().desk_feed
    events = feed.stream(reader, requested_position()) if feed else iter(())
    ping = format_sse(PING)
    response = stream_response((part or ping for part in iterate_until_deadline(events, slot)), PREAMBLE)
    response.call_on_close(resources.close)
    return response


@desk_route(blueprint, "GET", "/conversations/<ref>/events", "viewer", audit="read")
@openapi_operation(
    {200: EVENT_STREAM},
    query=schemas.EventsQuery,
    headers=("Last-Event-ID",),
    auth="desk",
    errors=(RateLimited, *DESK_ERRORS),
)
def follow_conversation(caller: DeskCaller, ref: str) -> Response:
    """Follow a conversation as server-sent events: the visitor's, notes, typing and who else looks."""
    session_hash = _resolve(ref)
    _page(session_hash)
    if request.method == "HEAD":
        return Response(mimetype="text/event-stream")
    conversations, store, people, operators = (
        services().conversations,
        services().store,
        people_service(),
        desk_operators(),
    )
    start = conversations.resolve_cursor(session_hash, OWNER, requested_position())
    resources, slot = open_slot("desk", reader=f"desk:{ref}")
    operator = caller.operator
    more = OperatorEvents(
        ref,
        f"{operator.id} {operator.name}" if operator else "",
        desk_index(),
        lambda: people.get_notes(session_hash),
        lambda: store.wake_subscribers(session_hash),
    )
    resources.callback(more.close)
    disconnected = client_disconnected(request.environ)
    events = conversations.stream_events(
        session_hash,
        OWNER,
        start,
        disconnected=lambda: disconnected() or not caller.renew(operators),
        typist="visitor",
        more=more.read,
    )
    events = takewhile(lambda _: caller.renew(operators), events)  # a removed operator gets nothing more
    feed = _until_moved(iterate_until_deadline(events, slot), lambda: bool(store.get_successor(session_hash)))
    response = sse_response(feed, PREAMBLE)
    response.call_on_close(resources.close)
    return response


def _until_moved(events: Iterator[Event | None], has_moved: Callable[[], bool]) -> Iterator[Event | None]:
    """The events; where a claim moves the conversation to its user, ``reset`` at the end: it goes on under its ref."""
    for event in events:
        yield Event(None, "reset", b"{}") if event is SESSION_ENDED_EVENT and has_moved() else event
