"""The calls on messages: add, read, rate, download."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, Response
from flask.globals import request

from app.api import json_body, openapi_operations
from app.api.auth import Caller, checked, on_session
from app.api.sessions import page_of
from app.conversations.events import serialize_message
from app.conversations.export import Format, render_transcript
from app.errors import InvalidRequest, RoleForbidden
from app.rate_limit import address_limit, set_rate_limit_headers
from app.storage.base import NewMessage

blueprint = Blueprint("messages", __name__)
_TYPES = {"md": "text/markdown", "txt": "text/plain", "json": "application/json"}
_ROLES = ("user", "assistant", "system")


def _one(message: bytes, status: int) -> Response:
    return Response(b'{"success":true,"message":%b}' % message, status, mimetype="application/json")


@on_session(blueprint, "POST", "/messages", openapi_operations.ADD)
@address_limit
def add(caller: Caller) -> Response:
    """Adds a message; a known client id gets its first answer again."""
    spelt, client_id = checked(caller, lambda: _spell(caller))
    message = NewMessage(spelt, client_id or "")
    written = caller.baton.conversations.append_message(caller.session_hash, caller.actor, message)
    if not written.fresh:
        return _one(written.message, 200)
    return set_rate_limit_headers(
        _one(written.message, 201), caller.baton.store.rules.session_limit, written.left, written.reset
    )


def _spell(caller: Caller) -> tuple[bytes, str | None]:
    """The message of the body, ready to be stored. Raises BadRequest, Forbidden or InvalidRequest."""
    sent = json_body.read_object()
    role = sent.get("role")
    if role is None:
        role = "user"
    if role != "user":
        if not isinstance(role, str) or caller.actor != "*":
            raise RoleForbidden("Only the service's owner may speak in another role than user.")
        if role not in _ROLES:
            raise InvalidRequest("role", "must be one of user, assistant, system")
    most = caller.baton.config.max_message_chars
    content, metadata, client_id = json_body.together(
        lambda: json_body.text(sent, "message", most),
        lambda: json_body.metadata(sent),
        lambda: json_body.client_id(sent),
    )
    return serialize_message(role, content, metadata, client_id), client_id


@on_session(blueprint, "GET", "/messages", openapi_operations.HISTORY)
def read(caller: Caller) -> Response:
    """A page of the history, oldest first; not an activity."""
    args = request.args
    where, message_id, most = checked(caller, _part) if args else ("", "", 100)
    page = caller.baton.conversations.get_page(caller.session_hash, caller.actor, where, message_id, most)
    return page_of(caller.session_id, page)


def _part() -> tuple[str, str, int]:
    """Which part of the history is wanted: after or before which message, and at most how many."""
    args = request.args
    most = json_body.whole(args, "limit", 100, 1, 500)
    if "after" in args and "before" in args:
        raise InvalidRequest("before", "cannot be used together with after")
    for where in ("after", "before"):
        if where in args:
            return where, args[where], most
    return "", "", most


@on_session(blueprint, "POST", "/messages/<message_id>/feedback", openapi_operations.FEEDBACK)
def rate(caller: Caller, message_id: str) -> Response:
    """What a visitor thinks of an answer."""
    rating = checked(caller, _rating)
    return _one(caller.baton.conversations.set_feedback(caller.session_hash, caller.actor, message_id, rating), 200)


def _rating() -> dict[str, Any] | None:
    sent = json_body.read_object()
    if "rating" not in sent:
        raise InvalidRequest("rating", "is missing")
    rating = json_body.choice(sent, "rating", ("up", "down"), "")
    comment = json_body.text(sent, "comment", 500, required=False)
    if not rating:
        return None
    return {"rating": rating, "comment": comment} if comment else {"rating": rating}


@on_session(blueprint, "GET", "/transcript", openapi_operations.TRANSCRIPT)
def transcript(caller: Caller) -> Response:
    """The conversation as a file."""
    kind = cast("Format", checked(caller, lambda: json_body.choice(request.args, "format", tuple(_TYPES), "md")))
    look = caller.baton.conversations.get_page(
        caller.session_hash, caller.actor, limit=caller.baton.config.max_messages + 1
    ).session
    answer = Response(render_transcript(look.messages, kind), mimetype=_TYPES[kind])
    answer.headers["Content-Disposition"] = f'attachment; filename="conversation.{kind}"'
    return answer
