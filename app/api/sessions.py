"""The calls on a session itself: create, get, heartbeat, end, handoff, resume, claim, delete."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, request
from pydantic import BaseModel

from app.api import schemas
from app.api.auth import (
    OWNER,
    SessionContext,
    get_actor,
    get_signed_in_user,
    is_api_key_request,
    session_route,
    validate_after_session_exists,
)
from app.api.json_body import read_json_object
from app.api.openapi import SESSION_ERRORS, ResponseSpec, openapi_operation
from app.auth.user_tokens import SignedInUser
from app.conversations.ids import TicketKind, hash_session_id, parse_ticket, timestamp
from app.conversations.names import NamedSession, SessionName, server_session_name, user_session_name
from app.conversations.service import ConversationPage, ResumeResult
from app.errors import (
    BadToken,
    InvalidRequest,
    NotOwner,
    RateLimited,
    SessionEnded,
    SessionNotFound,
    StorageUnavailable,
    TurnInProgress,
)
from app.extensions import services
from app.rate_limit import address_limit, create_limit
from app.storage.base import SessionSnapshot

blueprint = Blueprint("sessions", __name__)


def json_response(model: BaseModel, status: int = 200, **more: object) -> Response:
    """A response with the JSON of this model, and ``more`` members."""
    body = orjson.dumps(model.model_dump(mode="json") | more) if more else model.model_dump_json()
    return Response(body, status, mimetype="application/json")


def people_state(snapshot: SessionSnapshot) -> dict[str, Any]:
    """Who answers in a conversation; nothing while the desk is off."""
    people = services().people
    return people.state(snapshot) if people else {}


def page_response(session_id: str, page: ConversationPage, **more: object) -> Response:
    """A part of the history. The messages are stored as they go over the wire, so they are only joined."""
    snapshot = page.session
    fields = {
        "success": True,
        "session_id": session_id,
        "status": page.status,
        "has_more": snapshot.has_more,
        "cursor": page.cursor,
        "expires_at": timestamp(snapshot.expires_at),
        **people_state(snapshot),
        **more,
    }
    body = b'%b,"messages":[%b]}' % (orjson.dumps(fields)[:-1], b",".join(snapshot.messages))
    return Response(body, mimetype="application/json")


@blueprint.post("/api/session/create")
@openapi_operation(
    {
        200: ResponseSpec(
            "The living session that this `key` names.", {"application/json": schemas.SessionCreated}, ("Location",)
        ),
        201: ResponseSpec(
            "The session; `session_id` is a capability to it.",
            {"application/json": schemas.SessionCreated},
            ("Location",),
        ),
    },
    body=schemas.CreateSessionRequest,
    body_required=False,
    errors=(BadToken, NotOwner, RateLimited, StorageUnavailable),
)
@create_limit
def create_session() -> Response:
    """Start a conversation, or find the one that `key` names."""
    is_owner = is_api_key_request()  # refuses a browser that carries it
    body = schemas.CreateSessionRequest.parse(read_json_object(optional=True))
    user = get_signed_in_user(body.user_token)
    if body.key is not None:
        name = session_name(body.key, user, is_owner=is_owner)
        return session_created(services().names.get_or_create(name, body.metadata, user.profile if user else b""))
    session_id, created, expires = services().conversations.create_session(
        body.metadata, user.user if user else "", profile=user.profile if user else b""
    )
    if user:
        services().claims.set_last_session(user, session_id)
    return session_created(NamedSession(session_id, True, created, created, expires))


def session_name(key: str, user: SignedInUser | None, *, is_owner: bool) -> SessionName:
    """Whose name ``key`` is: the user's, else the owner's. Raises NotOwner where the call proves neither."""
    if user is not None:
        return user_session_name(user, key)
    api_key = services().config.api_key
    if not is_owner or api_key is None:
        raise NotOwner("A key needs a user's token or the API key: it names a conversation of theirs.")
    return server_session_name(api_key.get_secret_value(), key)


def session_created(session: NamedSession) -> Response:
    """The response to a create: 201 for a new session, 200 for one that was found."""
    response = json_response(
        schemas.SessionCreated(
            session_id=session.session_id,
            created_at=timestamp(session.created_at),
            expires_at=timestamp(session.expires_at),
            expires_in=round((session.expires_at - session.now) / 1000),
            chat_url=services().config.chat_page,
        ),
        201 if session.is_new else 200,
    )
    response.headers["Location"] = f"/api/session/{session.session_id}"
    return response


@session_route(blueprint, "GET", "")
@openapi_operation({200: schemas.SessionState}, errors=SESSION_ERRORS)
def get_session(context: SessionContext) -> Response:
    """Get the state of a conversation; this is not an activity."""
    page = services().conversations.get_page(context.session_hash, context.actor)
    snapshot = page.session
    return json_response(
        schemas.SessionState(
            session_id=context.session_id,
            status=page.status,
            created_at=timestamp(snapshot.created_at),
            updated_at=timestamp(snapshot.updated_at),
            last_seen_at=timestamp(snapshot.last_seen_at),
            expires_at=timestamp(snapshot.expires_at),
            message_count=snapshot.message_count,
        ),
        **people_state(snapshot),
    )


@session_route(blueprint, "POST", "/heartbeat")
@openapi_operation({200: schemas.HeartbeatReceived}, errors=(SessionEnded, *SESSION_ERRORS))
def heartbeat(context: SessionContext) -> Response:
    """Say that the visitor is there."""
    validate_after_session_exists(context, lambda: read_json_object(optional=True))
    expires = services().conversations.heartbeat(context.session_hash, context.actor)
    return json_response(schemas.HeartbeatReceived(expires_at=timestamp(expires)))


@session_route(blueprint, "POST", "/end")
@openapi_operation({200: schemas.SessionEnded}, errors=SESSION_ERRORS)
def end_session(context: SessionContext) -> Response:
    """End a conversation for good; its history stays until it expires."""
    validate_after_session_exists(context, lambda: read_json_object(optional=True))
    by = "owner" if context.actor == OWNER else "visitor"
    services().conversations.end_session(context.session_hash, context.actor, by)
    return json_response(schemas.SessionEnded())


@session_route(blueprint, "POST", "/handoff")
@openapi_operation(
    {200: schemas.HandoffCreated},
    body=schemas.HandoffRequest,
    body_required=False,
    errors=(SessionEnded, *SESSION_ERRORS),
)
@address_limit
def create_handoff(context: SessionContext) -> Response:
    """Make a link that continues the conversation elsewhere."""
    body = validate_after_session_exists(context, lambda: schemas.HandoffRequest.parse(read_json_object(optional=True)))
    kind: TicketKind = body.kind or "once"
    # The full page has no user token of the site: a link for one use carries one that opens this conversation only.
    user = get_signed_in_user(session_hash=context.session_hash) if kind == "once" and context.actor != OWNER else None
    token = user.token_for(context.session_hash) if user else ""
    ticket, remaining = services().conversations.create_handoff_ticket(
        context.session_hash, context.actor, context.session_id, "signed" if token else kind, token
    )
    page = services().config.chat_page
    url = f"{page}{'&' if '?' in page else '?'}session={ticket}"
    return json_response(schemas.HandoffCreated(url=url, ticket=ticket, expires_in=max(1, round(remaining / 1000))))


@blueprint.post("/api/session/resume")
@openapi_operation(
    {200: schemas.SessionResumed, 204: ResponseSpec("The user has no living conversation named `key`.")},
    body=schemas.ResumeRequest,
    errors=(BadToken, RateLimited, *SESSION_ERRORS),
)
@address_limit
def resume_session() -> Response:
    """Resume by session id or ticket, or a signed-in user's named or last conversation, with all that a page needs."""
    body = schemas.ResumeRequest.parse(read_json_object())
    if body.session is None and not (body.user_token or request.headers.get("Baton-User")):
        raise InvalidRequest("session", "is missing")
    ticket = parse_ticket(body.session or "")
    session_hash = ticket.session_hash if ticket else hash_session_id(body.session)
    actor, user = get_actor(body.user_token, session_hash), get_signed_in_user(body.user_token, session_hash)
    if body.session is None:
        if user is None:
            raise SessionNotFound
        session_id = find_named_or_last_session(user, body.key)
        # Nothing was asked for that must be there: a browser reports each 404 in its console.
        return resume_by_id(session_id, user) if session_id else Response(status=204)
    resumed = services().conversations.resume(
        body.session, actor, body.client_id, lambda token: get_actor(token, session_hash)
    )
    user = get_signed_in_user(resumed.token, session_hash) if resumed.token else user
    if user:
        services().claims.set_last_session(user, resumed.session_id)
    return resume_response(resumed)


def find_named_or_last_session(user: SignedInUser, key: str | None) -> str | None:
    """The id of the user's living conversation named ``key``, if any; without a key of their last one.

    Raises SessionNotFound where they have no last one.
    """
    if key is None:
        return services().claims.get_last_session(user)
    return services().names.find(user_session_name(user, key))


@session_route(blueprint, "POST", "/claim")
@openapi_operation(
    {200: schemas.SessionResumed},
    body=schemas.ClaimRequest,
    body_required=False,
    errors=(BadToken, SessionEnded, TurnInProgress, *SESSION_ERRORS),
)
def claim_session(context: SessionContext) -> Response:
    """Make an anonymous conversation the signed-in user's, by `user_token` or `Baton-User`, and name it by `key`."""

    def get_claimant() -> tuple[SignedInUser, str | None]:
        body = schemas.ClaimRequest.parse(read_json_object(optional=True))
        user = get_signed_in_user(body.user_token, context.session_hash)
        if user is None:  # no token, or one that is good for another session only
            raise InvalidRequest("user_token", "is missing")
        if body.key is not None and user.session_hash:
            raise NotOwner("This token is good for one conversation; a key may name another one.")
        return user, body.key

    user, key = validate_after_session_exists(context, get_claimant)
    return resume_by_id(services().names.claim(context.session_id, user, key), user)


def resume_by_id(session_id: str, user: SignedInUser) -> Response:
    """The user's own conversation, which becomes the last one that they used."""
    resumed = services().conversations.resume(session_id, user.user, None)
    services().claims.set_last_session(user, session_id)
    return resume_response(resumed)


def resume_response(resumed: ResumeResult) -> Response:
    """A resumed conversation, with the newest part of its history."""
    more: dict[str, Any] = {"user_token": resumed.token} if resumed.token else {}
    if resumed.kind == "share":
        more["shared"] = True
    return page_response(resumed.session_id, resumed.page, **more)


@session_route(blueprint, "DELETE", "")
@openapi_operation({204: ResponseSpec("It is deleted.")}, errors=SESSION_ERRORS)
def delete_session(context: SessionContext) -> Response:
    """Delete a conversation; nothing of it is left."""
    services().conversations.delete_session(context.session_hash, context.actor)
    return Response(status=204)
