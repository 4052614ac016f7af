"""The calls on a session itself: create, look, heartbeat, end, handoff, resume, delete."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response
from flask.globals import request

from app.api import json_body, openapi_operations
from app.api.auth import Caller, actor, baton, checked, has_key, on_session, person
from app.api.openapi import describes
from app.auth.user_tokens import SignedInUser
from app.conversations.ids import hash_session_id, parse_ticket, timestamp
from app.conversations.service import ConversationPage, ResumeResult
from app.errors import InvalidRequest
from app.rate_limit import address_limit, create_limit

blueprint = Blueprint("sessions", __name__)


def reply(told: dict[str, object], status: int = 200) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps({"success": True, **told}), status, mimetype="application/json")


@blueprint.post("/api/session/create")
@describes(openapi_operations.CREATE)
@create_limit
def create() -> Response:
    """Begins a conversation."""
    config = baton().config
    if "HTTP_AUTHORIZATION" in request.environ:
        has_key()  # refuses a browser that carries it
    sent = json_body.read_object(optional=True)
    metadata, token = json_body.together(
        lambda: json_body.metadata(sent), lambda: json_body.text(sent, "user_token", 4096, required=False)
    )
    user = person(token)
    owner = user.user if user else ""
    session_id, created, expires = baton().conversations.create_session(metadata, owner)
    if user:
        baton().claims.set_last_session(user, session_id)
    answer = reply(
        {
            "session_id": session_id,
            "status": "active",
            "created_at": timestamp(created),
            "expires_at": timestamp(expires),
            "expires_in": round((expires - created) / 1000),
            "chat_url": config.chat_page,
        },
        201,
    )
    answer.headers["Location"] = f"/api/session/{session_id}"
    return answer


@on_session(blueprint, "GET", "", openapi_operations.READ)
def look(caller: Caller) -> Response:
    """How the conversation stands; not an activity."""
    page = caller.baton.conversations.get_page(caller.session_hash, caller.actor)
    return reply(
        {
            "session_id": caller.session_id,
            "status": page.status,
            "created_at": timestamp(page.session.created),
            "updated_at": timestamp(page.session.updated),
            "last_seen_at": timestamp(page.session.seen),
            "expires_at": timestamp(page.session.expires),
            "message_count": page.session.count,
        }
    )


@on_session(blueprint, "POST", "/heartbeat", openapi_operations.BEAT)
def heartbeat(caller: Caller) -> Response:
    """The visitor is there."""
    checked(caller, json_body.read_nothing)
    expires = caller.baton.conversations.heartbeat(caller.session_hash, caller.actor)
    return reply({"status": "active", "expires_at": timestamp(expires)})


@on_session(blueprint, "POST", "/end", openapi_operations.END)
def end(caller: Caller) -> Response:
    """Ends the conversation for good."""
    checked(caller, json_body.read_nothing)
    caller.baton.conversations.end_session(caller.session_hash, caller.actor)
    return reply({"status": "ended"})


@on_session(blueprint, "POST", "/handoff", openapi_operations.HANDOFF)
@address_limit
def hand_off(caller: Caller) -> Response:
    """A link that carries the conversation on elsewhere."""
    kind = checked(
        caller, lambda: json_body.choice(json_body.read_object(optional=True), "kind", ("once", "share"), "once")
    )
    # The page has no token of the site: a link for once brings it one that opens this conversation and no other.
    user = person(session_hash=caller.session_hash) if kind == "once" and caller.actor != "*" else None
    token = user.token_for(caller.session_hash) if user else ""
    kind = "signed" if token else kind
    ticket, left = caller.baton.conversations.create_handoff_ticket(
        caller.session_hash, caller.actor, caller.session_id, kind, token
    )
    page = caller.baton.config.chat_page
    url = f"{page}{'&' if '?' in page else '?'}session={ticket}"
    return reply({"url": url, "ticket": ticket, "expires_in": max(1, round(left / 1000))})


@blueprint.post("/api/session/resume")
@describes(openapi_operations.RESUME)
@address_limit
def resume() -> Response:
    """Takes up a conversation by its id or a ticket, or a signed-in user's last."""
    sent = json_body.read_object()
    proof = sent.get("user_token") or request.environ.get("HTTP_BATON_USER")
    by_user = proof and sent.get("session") is None
    text, client_id, token = json_body.together(
        lambda: json_body.text(sent, "session", 4096, required=not by_user),
        lambda: json_body.client_id(sent),
        lambda: json_body.text(sent, "user_token", 4096, required=False),
    )
    session_hash = _named_session(text)
    asker, user = actor(token, session_hash), person(token, session_hash)
    if user and not text:
        return _taken_up(baton().claims.get_last_session(user), user)
    resumed = baton().conversations.resume(text, asker, client_id, lambda token: actor(token, session_hash))
    if resumed.token:
        user = person(resumed.token, session_hash)
    if user:
        baton().claims.set_last_session(user, resumed.session_id)
    return _whole(resumed)


def _named_session(text: str) -> str | None:
    """The session that an id or a ticket names; None where it is neither."""
    ticket = parse_ticket(text)
    return ticket.session_hash if ticket else hash_session_id(text)


@on_session(blueprint, "POST", "/claim", openapi_operations.CLAIM)
def claim(caller: Caller) -> Response:
    """An anonymous conversation becomes its visitor's, who has signed in meanwhile."""

    def claimant() -> SignedInUser | None:
        sent = json_body.read_object(optional=True)
        proven = "HTTP_BATON_USER" in request.environ
        return person(json_body.text(sent, "user_token", 4096, required=not proven), caller.session_hash)

    user = checked(caller, claimant)
    if user is None:  # an empty header, or a token that is good for another session only
        raise InvalidRequest("user_token", "is missing")
    return _taken_up(caller.baton.claims.claim(caller.session_id, user), user)


def _taken_up(session_id: str, user: SignedInUser) -> Response:
    resumed = baton().conversations.resume(session_id, user.user, None)
    baton().claims.set_last_session(user, session_id)
    return _whole(resumed)


def _whole(resumed: ResumeResult) -> Response:
    """A conversation just taken up, with the newest of its history."""
    more: dict[str, object] = {"user_token": resumed.token} if resumed.token else {}
    if resumed.kind == "share":
        more["shared"] = True
    return page_of(resumed.session_id, resumed.page, more)


@on_session(blueprint, "DELETE", "", openapi_operations.ERASE)
def erase(caller: Caller) -> Response:
    """Nothing of the conversation is left."""
    caller.baton.conversations.delete_session(caller.session_hash, caller.actor)
    return Response(status=204)


def page_of(session_id: str, page: ConversationPage, more: dict[str, object] | None = None) -> Response:
    """A page of the history. The messages are stored as they go over the wire, so they are only joined."""
    look = page.session
    head = {
        "success": True,
        "session_id": session_id,
        "status": page.status,
        "has_more": look.has_more,
        "cursor": page.cursor,
        "expires_at": timestamp(look.expires),
    }
    head |= more or {}
    told = b'%b,"messages":[%b]}' % (orjson.dumps(head)[:-1], b",".join(look.messages))
    return Response(told, mimetype="application/json")
