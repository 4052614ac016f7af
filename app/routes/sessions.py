"""The calls on a session itself: create, look, heartbeat, end, handoff, resume, delete."""

from __future__ import annotations

from typing import cast

import orjson
from flask import Blueprint, Response
from flask.globals import request

from app.conversation import Page, Resumed
from app.errors import InvalidRequest
from app.identity import Person
from app.ports import Toll
from app.routes import body, calls, limits
from app.routes.caller import Caller, baton, checked, has_key, on_session, person, vouched, who
from app.routes.openapi import describes
from app.routes.service import Json
from app.session import timestamp

blueprint = Blueprint("sessions", __name__)


def reply(told: dict[str, object], status: int = 200) -> Response:
    """A JSON answer."""
    return Json(orjson.dumps({"success": True, **told}), status)


@blueprint.post("/api/session/create")
@describes(calls.CREATE)
def create() -> Response:
    """Begins a conversation."""
    config = baton().config
    if "HTTP_AUTHORIZATION" in request.environ:
        has_key()  # refuses a browser that carries it
    sent = body.read_object(optional=True)
    metadata, token = body.together(
        lambda: body.metadata(sent), lambda: body.text(sent, "user_token", 4096, required=False)
    )
    user = person(token)
    owner = user.user if user else ""
    limit = Toll("", 0, 0)

    def opened(toll: Toll | None) -> tuple[str, int, int]:
        nonlocal limit
        limit = toll or limit
        return cast("tuple[str, int, int]", baton().conversations.open(metadata, owner, toll))

    session_id, created, expires = baton().create_limit.charge(opened)
    if user:
        baton().ownership.remember(user, session_id)
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
    return limits.show(answer, limit.amount, limit.left, limit.reset)


@on_session(blueprint, "GET", "", calls.READ)
def look(caller: Caller) -> Response:
    """How the conversation stands; not an activity."""
    page = caller.baton.conversations.look(caller.ref, caller.who)
    return reply(
        {
            "session_id": caller.session_id,
            "status": page.status,
            "created_at": timestamp(page.look.created),
            "updated_at": timestamp(page.look.updated),
            "last_seen_at": timestamp(page.look.seen),
            "expires_at": timestamp(page.look.expires),
            "message_count": page.look.count,
        }
    )


@on_session(blueprint, "POST", "/heartbeat", calls.BEAT)
def heartbeat(caller: Caller) -> Response:
    """The visitor is there."""
    checked(caller, body.read_nothing)
    expires = caller.baton.conversations.beat(caller.ref, caller.who)
    return reply({"status": "active", "expires_at": timestamp(expires)})


@on_session(blueprint, "POST", "/end", calls.END)
def end(caller: Caller) -> Response:
    """Ends the conversation for good."""
    checked(caller, body.read_nothing)
    caller.baton.conversations.end(caller.ref, caller.who)
    return reply({"status": "ended"})


@on_session(blueprint, "POST", "/handoff", calls.HANDOFF)
def hand_off(caller: Caller) -> Response:
    """A link that carries the conversation on elsewhere."""
    kind = checked(caller, lambda: body.choice(body.read_object(optional=True), "kind", ("once", "share"), "once"))
    # The page has no token of the site: a link for once brings it that of whoever made the link.
    token = request.environ.get("HTTP_BATON_USER", "") if kind == "once" and caller.who != "*" else ""
    kind = "signed" if token else kind
    ticket, left = caller.baton.conversations.hand_off(caller.ref, caller.who, caller.session_id, kind, token)
    page = caller.baton.config.chat_page
    url = f"{page}{'&' if '?' in page else '?'}session={ticket}"
    return reply({"url": url, "ticket": ticket, "expires_in": max(1, round(left / 1000))})


@blueprint.post("/api/session/resume")
@describes(calls.RESUME)
def resume() -> Response:
    """Takes up a conversation by its id or a ticket, or a signed-in user's last."""
    sent = body.read_object()
    proof = sent.get("user_token") or request.environ.get("HTTP_BATON_USER")
    by_user = proof and sent.get("session") is None
    text, client_id, token = body.together(
        lambda: body.text(sent, "session", 4096, required=not by_user),
        lambda: body.client_id(sent),
        lambda: body.text(sent, "user_token", 4096, required=False),
    )
    asker, user = who(token), person(token)
    if user and not text:
        return _taken_up(baton().ownership.last(user), user)
    resumed = baton().conversations.resume(text, asker, client_id, vouched)
    if resumed.token:
        user = person(resumed.token)
    if user:
        baton().ownership.remember(user, resumed.session_id)
    return _whole(resumed)


@on_session(blueprint, "POST", "/claim", calls.CLAIM)
def claim(caller: Caller) -> Response:
    """An anonymous conversation becomes its visitor's, who has signed in meanwhile."""

    def claimant() -> Person | None:
        sent = body.read_object(optional=True)
        proven = "HTTP_BATON_USER" in request.environ
        return person(body.text(sent, "user_token", 4096, required=not proven))

    user = checked(caller, claimant)
    if user is None:  # an empty header
        raise InvalidRequest("user_token", "is missing")
    return _taken_up(caller.baton.ownership.claim(caller.session_id, user), user)


def _taken_up(session_id: str, user: Person) -> Response:
    resumed = baton().conversations.resume(session_id, user.user, None)
    baton().ownership.remember(user, session_id)
    return _whole(resumed)


def _whole(resumed: Resumed) -> Response:
    """A conversation just taken up, with the newest of its history."""
    more: dict[str, object] = {"user_token": resumed.token} if resumed.token else {}
    if resumed.kind == "share":
        more["shared"] = True
    return page_of(resumed.session_id, resumed.page, more)


@on_session(blueprint, "DELETE", "", calls.ERASE)
def erase(caller: Caller) -> Response:
    """Nothing of the conversation is left."""
    caller.baton.conversations.erase(caller.ref, caller.who)
    return Response(status=204)


def page_of(session_id: str, page: Page, more: dict[str, object] | None = None) -> Response:
    """A page of the history. The messages are stored as they go over the wire, so they are only joined."""
    look = page.look
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
    return Json(told)
