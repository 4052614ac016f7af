"""Asking: POST /api/chat as one JSON answer or as the events of the turn, and stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

import orjson
from flask import Blueprint, Response
from flask.globals import request

from app.api import json_body, openapi_operations
from app.api.auth import Caller, baton, bearer, caller, checked, has_key, on_session
from app.api.openapi import describes
from app.api.sessions import reply
from app.api.sse import stream
from app.client_address import client_network_hash
from app.conversations.events import Event, EventCursor, parse_message_id
from app.conversations.ids import hash_session_id, session_tag
from app.engines.base import AnswerChunk, Citation, CitationsChunk, TextChunk
from app.errors import BatonError, EngineFailed, InvalidRequest
from app.rate_limit import address_limit, set_rate_limit_headers
from app.storage.base import TurnStart

blueprint = Blueprint("chat", __name__)


@blueprint.post("/api/chat")
@describes(openapi_operations.CHAT)
@address_limit
def ask() -> Response:
    """Asks a question: in a session, or alone."""
    sent = _read()
    session_id = _session(sent)
    if session_id is None:
        return _alone(_question(sent)[0])
    one = caller(session_id)
    question, client_id = checked(one, lambda: _question(sent))
    begun = baton().conversations.start_turn(
        one.session_hash, one.actor, question, client_id, address=client_network_hash()
    )
    answer = _events(one, begun) if _wants_events() else _json(one, begun)
    if begun.left:
        set_rate_limit_headers(answer, baton().store.rules.session_limit, begun.left, begun.reset)
    return answer


def _read() -> dict[str, Any]:
    """The body; where it is broken, a session named outside of it is looked for first."""
    try:
        return json_body.read_object()
    except BatonError:
        named = request.args.get("session") or bearer()
        session_hash = hash_session_id(named)
        if session_hash:
            baton().conversations.get_page(session_hash, "")
        raise


def _question(sent: dict[str, Any]) -> tuple[str, str | None]:
    most = baton().config.max_message_chars
    question, client_id = json_body.together(
        lambda: json_body.text(sent, "query", most), lambda: json_body.client_id(sent)
    )
    return question, client_id


def _session(sent: dict[str, Any]) -> str | None:
    """The id that the call names in its body, its query or as bearer; None where it names none."""
    named = sent.get("session_id")
    if named is None:
        named = request.args.get("session")
    if named is None and not has_key():
        named = bearer()
    if named is not None and not isinstance(named, str):
        raise InvalidRequest("session_id", "must be a string")
    return named


def _wants_events() -> bool:
    if "text/event-stream" not in request.headers.get("Accept", "").lower():
        return False
    return any(kind.lower() == "text/event-stream" and quality > 0 for kind, quality in request.accept_mimetypes)


def _json(one: Caller, begun: TurnStart) -> Response:
    told = baton().conversations.wait_for_answer(one.session_hash, one.actor, begun)
    message = told["message"]
    return _answer(message["content"], told["citations"], one.session_id, message["id"])


def _answer(text: str, citations: object, session_id: str | None, message_id: str | None) -> Response:
    told = {"answer": text, "citations": citations, "session_id": session_id, "message_id": message_id}
    return reply(told)


def _events(one: Caller, begun: TurnStart) -> Response:
    """The turn as events; an answer that is there already is told in one piece."""
    if begun.outcome != "done":
        return stream(baton().conversations.stream_turn(one.session_hash, one.actor, begun))
    told = baton().conversations.wait_for_answer(one.session_hash, one.actor, begun)
    turn = {"turn_id": begun.turn_id}
    tag = session_tag(one.session_hash)
    place = EventCursor(parse_message_id(told["message"]["id"], tag) or 0).encode(tag)  # where the log told its end
    return stream(
        Event(place if kind == "answer.end" else None, kind, orjson.dumps(turn | data))
        for kind, data in (
            ("answer.start", {}),
            ("answer.delta", {"text": told["message"]["content"]}),
            ("answer.end", told),
        )
    )


def _alone(question: str) -> Response:
    """An answer from the question alone: nothing is stored."""
    alone = baton().conversations.answer_stateless(question, client_network_hash())
    if _wants_events():
        answer = stream(_alone_events(alone))
        answer.call_on_close(alone.close)
        return answer
    text: list[str] = []
    citations: Any = ()
    with closing(alone):
        for piece in alone:
            if isinstance(piece, TextChunk):
                text.append(piece.text)
            elif isinstance(piece, CitationsChunk):
                citations = piece.citations
    return _answer("".join(text), _plain(citations), None, None)


def _plain(citations: Any) -> list[dict[str, str]]:
    return [asdict(one) for one in list(citations)[:5] if isinstance(one, Citation)]


def _alone_events(pieces: Iterable[AnswerChunk]) -> Iterator[Event]:
    turn: dict[str, Any] = {"turn_id": None}
    tell: Callable[[str, dict[str, Any]], Event] = lambda kind, data: Event(None, kind, orjson.dumps(turn | data))  # noqa: E731
    yield tell("answer.start", {})
    said: list[str] = []
    citations: Any = ()
    try:
        for piece in pieces:
            if isinstance(piece, TextChunk):
                said.append(piece.text)
                yield tell("answer.delta", {"text": piece.text})
            elif isinstance(piece, CitationsChunk):
                citations = piece.citations
    except EngineFailed as error:
        yield tell("answer.error", {"code": error.code, "detail": error.detail})
        return
    message: dict[str, Any] = {
        "id": None,
        "role": "assistant",
        "content": "".join(said),
        "metadata": {},
        "created_at": None,
    }
    yield tell("answer.end", {"message": message, "citations": _plain(citations)})


@on_session(blueprint, "POST", "/stop", openapi_operations.STOP)
def stop(one: Caller) -> Response:
    """Ends the running answer with what was said so far."""
    checked(one, json_body.read_nothing)
    return reply({"stopped": baton().conversations.stop_turn(one.session_hash, one.actor)})
