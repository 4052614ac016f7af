"""OpenAI's Responses API, for servers with the API key: a response is a turn, and the session behind it its history.

A response can be followed and replayed from any ``sequence_number``, by any worker, while it lives.
https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from flask import Blueprint, Response, request
from pydantic import Field

from app.api import schemas
from app.api.auth import SessionContext
from app.api.chat import citations_as_dicts
from app.api.client_protocols import KEEP_ALIVE, MAX_BODY_BYTES, last_question, start_turn
from app.api.client_protocols import stream_response as sse_response
from app.api.json_body import read_json_object
from app.api.openai_chat import authorize, model_name, parse_history, refuse_unsupported
from app.api.openai_errors import openai_error
from app.client_address import client_network_hash
from app.conversations.events import TERMINAL_EVENTS, Event, parse_cursor, parse_message_id, serialize_message
from app.conversations.export import read_messages
from app.conversations.ids import hash_session_id, session_tag
from app.conversations.names import SERVICE
from app.conversations.responses import ResponseDirectory, StoredResponse
from app.conversations.service import StatelessAnswer
from app.engines.base import ChatMessage, CitationsChunk, FinishReason, TextChunk
from app.errors import BatonError, EngineFailed, InvalidRequest, NotFound, PathNotFound, TurnInProgress
from app.extensions import services
from app.rate_limit import address_limit
from app.storage.base import NewMessage, TurnStart

blueprint = Blueprint("openai_responses", __name__, url_prefix="/v1/responses")
blueprint.before_request(authorize)

NumberedEvent = tuple[int, str, dict[str, Any]]
"""An event's number in the log, its type and its data."""
_FIRST_DELTA = 4
"""The sequence number of the first piece of text: four events announce the response, its message and its text."""
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseRequest(schemas.RequestModel):
    """What Baton reads of a call; other fields are ignored."""

    input: str | list[dict[str, Any]]
    model: str = ""
    stream: bool | None = False
    background: bool | None = False
    store: bool | None = True
    previous_response_id: str | None = None


class RetrieveQuery(schemas.RequestModel):
    """Whether the response is wanted as a stream, and after which of its events."""

    stream: str = "false"
    starting_after: int = Field(-1, ge=-1, le=2**53)


@dataclass(slots=True)
class Progress:
    """What is known of a response: its text so far, and how it ended."""

    text: str = ""
    status: str = "in_progress"
    end: int = 0
    """The number of the event that ended it."""
    message_id: str | None = None
    citations: list[dict[str, str]] = field(default_factory=list)
    error: dict[str, str] | None = None
    incomplete: str | None = None

    def add(self, number: int, kind: str, data: dict[str, Any]) -> None:
        """One event of the turn."""
        if kind == "answer.delta":
            self.text += data["text"]
        if kind not in TERMINAL_EVENTS:
            return
        self.end = number
        message = data.get("message")
        metadata = message["metadata"] if message else {}
        self.message_id = message["id"] if message else None
        self.citations = data.get("citations", [])
        self.incomplete = _INCOMPLETE.get(metadata.get("finish_reason", ""))
        if kind == "answer.error":
            self.status, self.error = "failed", {"code": "server_error", "message": data["detail"]}
        elif metadata.get("stopped"):
            self.status = "cancelled"
        else:
            self.status = "incomplete" if self.incomplete else "completed"


@blueprint.post("")
@address_limit
def create_response() -> Response:
    """Ask a question; answer it whole, as a stream, or in the background."""
    fields = read_json_object(max_bytes=MAX_BODY_BYTES)
    refuse_unsupported(fields)
    body = ResponseRequest.parse(fields)
    items = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else body.input
    if not items:
        raise InvalidRequest("input", "must not be empty")
    question = last_question(items, "content", "input")[1]
    history = parse_history(items[:-1], "input")
    previous = directory().find(body.previous_response_id) if body.previous_response_id else None
    if not body.store:
        if body.background:
            raise InvalidRequest("background", "needs store")
        return answer_unstored(body, question, [*(history_up_to(previous) if previous else ()), *history])
    stored = store_question(body, question, history, previous)
    try:
        if body.stream:
            return response_stream(stored, -1)
        if body.background:
            return _json(render(stored, read_progress(stored)))
        return wait_for_response(stored)
    except BatonError as error:  # the question is stored: a retry of the client's would ask it again
        response = openai_error(error)
        response.headers["x-should-retry"] = "false"
        return response


@blueprint.get("/<response_id>")
def get_response(response_id: str) -> Response:
    """The response as it is now, or its events after ``starting_after``."""
    stored = directory().find(response_id)
    query = RetrieveQuery.parse(request.args.to_dict())
    if query.stream.lower() == "true":
        return response_stream(stored, query.starting_after)
    return _json(render(stored, read_progress(stored)))


@blueprint.post("/<response_id>/cancel")
def cancel_response(response_id: str) -> Response:
    """Stop the response; what was said so far stays."""
    stored = directory().find(response_id)
    running = services().conversations.get_running_turn(_session_hash(stored), SERVICE)
    if running and running.turn_id == stored.turn_id:
        services().conversations.stop_turn(_session_hash(stored), SERVICE)
    return _json(render(stored, read_progress(stored)))


@blueprint.delete("/<response_id>")
def delete_response(response_id: str) -> Response:
    """Forget the response, and its conversation where nothing came before or after it."""
    stored = directory().find(response_id)
    progress = read_progress(stored)
    directory().delete(response_id)
    if stored.previous_id is None and _is_newest(stored, progress):
        services().conversations.delete_session(_session_hash(stored), SERVICE)
    return _json({"id": response_id, "object": "response", "deleted": True})


def directory() -> ResponseDirectory:
    """Where responses are found; there is one wherever ``authorize`` lets a call pass."""
    found = services().responses
    if found is None:
        raise PathNotFound
    return found


def _session_hash(stored: StoredResponse) -> str:
    return hash_session_id(stored.session_id) or ""


def store_question(
    body: ResponseRequest, question: str, history: list[ChatMessage], previous: StoredResponse | None
) -> StoredResponse:
    """Starts the turn of a question, in the session of the previous response or in a new one."""
    conversations = services().conversations
    if previous and _is_newest(previous, read_progress(previous)):
        session_id = previous.session_id
    else:
        if previous:
            history = [*history_up_to(previous), *history]
        session_id = conversations.create_session(None, SERVICE)[0]
    session_hash = hash_session_id(session_id) or ""
    for message in history:
        new_message = NewMessage(serialize_message(message.role, message.content, None))
        conversations.append_message(session_hash, SERVICE, new_message)
    owner = SessionContext(session_id, session_hash, SERVICE)
    turn = start_turn(owner, question, None, is_streamed=bool(body.stream))
    stored = StoredResponse(
        id=directory().new_id(),
        session_id=session_id,
        turn_id=turn.turn_id,
        start=turn.start,
        created_at=int(time.time()),
        model=body.model or model_name(),
        background=bool(body.background),
        previous_id=body.previous_response_id,
    )
    config = services().config
    directory().save(stored, (stored.created_at + config.session_max_age) * 1000)
    return stored


def _is_newest(stored: StoredResponse, progress: Progress) -> bool:
    """Whether nothing was said in the session after this response. Raises TurnInProgress while it is being made."""
    if progress.status == "in_progress":
        raise TurnInProgress("The response is being made. Wait for it or cancel it.", retry_after=2)
    page = services().conversations.get_page(_session_hash(stored), SERVICE, limit=1)
    last_id = read_messages(page.session.messages)[-1]["id"]
    if progress.message_id is None:  # it failed without a word, so its question is the last message
        return parse_message_id(last_id, session_tag(_session_hash(stored))) == stored.start
    return bool(last_id == progress.message_id)


def history_up_to(stored: StoredResponse) -> list[ChatMessage]:
    """The messages of the session up to the end of this response."""
    limit = services().config.max_messages + 1
    page = services().conversations.get_page(_session_hash(stored), SERVICE, limit=limit)
    end = read_progress(stored).end
    tag = session_tag(_session_hash(stored))
    return [
        ChatMessage(message["role"], message["content"])
        for message in read_messages(page.session.messages)
        if message["content"] and (parse_message_id(message["id"], tag) or 0) <= end
    ]


def read_progress(stored: StoredResponse) -> Progress:
    """What there is of a response by now. Raises PathNotFound where its session is gone."""
    turn, progress = TurnStart("joined", stored.turn_id, stored.start), Progress()
    try:
        for number, event in services().conversations.read_turn(_session_hash(stored), SERVICE, turn):
            progress.add(number, event.type, event.payload())
    except NotFound:
        raise PathNotFound("There is no such response.") from None
    return progress


def wait_for_response(stored: StoredResponse) -> Response:
    """The whole response. Raises EngineFailed or EngineTimeout as the turn ended."""
    turn = TurnStart("started", stored.turn_id, stored.start)
    services().conversations.wait_for_answer(_session_hash(stored), SERVICE, turn)
    return _json(render(stored, read_progress(stored)))


def render(stored: StoredResponse, progress: Progress, *, store: bool = True) -> dict[str, Any]:
    """The response object."""
    done = progress.status != "in_progress"
    return {
        "id": stored.id,
        "object": "response",
        "created_at": stored.created_at,
        "status": progress.status,
        "background": stored.background,
        "error": progress.error,
        "incomplete_details": {"reason": progress.incomplete} if progress.incomplete else None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": stored.model,
        "output": [_output_item(stored, progress)] if done and progress.text else [],
        "parallel_tool_calls": False,
        "previous_response_id": stored.previous_id,
        "store": store,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "none",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
    }


def _output_item(stored: StoredResponse, progress: Progress) -> dict[str, Any]:
    status = "completed" if progress.status == "completed" else "incomplete"
    content = [_text_part(progress)]
    return {"id": _item_id(stored), "type": "message", "status": status, "role": "assistant", "content": content}


def _text_part(progress: Progress) -> dict[str, Any]:
    end = len(progress.text)
    annotations = [
        {"type": "url_citation", "title": found["title"], "url": found["url"], "start_index": end, "end_index": end}
        for found in progress.citations
    ]
    return {"type": "output_text", "text": progress.text, "annotations": annotations, "logprobs": []}


def _item_id(stored: StoredResponse) -> str:
    return "msg_" + stored.id.removeprefix("resp_")


def response_stream(stored: StoredResponse, starting_after: int) -> Response:
    """The events of the response after a sequence number, up to its end."""
    turn = TurnStart("joined", stored.turn_id, stored.start)
    tag = session_tag(_session_hash(stored))
    read_progress(stored)  # raises where the session is gone, before the first byte
    events = services().conversations.stream_turn(_session_hash(stored), SERVICE, turn)
    lost = {"code": "storage_unavailable", "message": "Storage cannot be reached just now.", "param": None}
    outage = sequence_line(lost, "error", starting_after + 1)
    return sse_response(lines(numbered(stored, events, tag), stored, starting_after), outage)


def numbered(stored: StoredResponse, events: Iterable[Event | None], tag: str) -> Iterator[NumberedEvent | None]:
    """Number, type and data of the turn's own events; None whenever nothing came for a while."""
    for event in events:
        if event is None:
            yield None
            continue
        data = event.payload()
        cursor = parse_cursor(event.id or "", tag)
        if cursor and data.get("turn_id") == stored.turn_id:
            yield cursor.after_event, event.type, data


def lines(
    events: Iterable[NumberedEvent | None],
    stored: StoredResponse,
    starting_after: int,
    *,
    store: bool = True,
) -> Iterator[bytes]:
    """The protocol's events. Their numbers come from the numbers in the log, so that every replay has the same."""
    progress = Progress()
    for event in events:
        if event is None:
            yield KEEP_ALIVE
            continue
        number, kind, data = event
        progress.add(number, kind, data)
        first = 0 if kind == "answer.start" else number - stored.start - 2 + _FIRST_DELTA
        for offset, (name, value) in enumerate(protocol_events(kind, data, stored, progress, store=store)):
            if first + offset > starting_after:
                yield sequence_line(value, name, first + offset)


def protocol_events(
    kind: str, data: dict[str, Any], stored: StoredResponse, progress: Progress, *, store: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What one event of the log is in this protocol."""
    item = {"output_index": 0, "item_id": _item_id(stored)}
    part = item | {"content_index": 0}
    response = render(stored, progress, store=store)
    if kind == "answer.start":
        yield "response.created", {"response": response}
        yield "response.in_progress", {"response": response}
        added = _output_item(stored, progress) | {"status": "in_progress", "content": []}
        yield "response.output_item.added", {"output_index": 0, "item": added}
        yield "response.content_part.added", part | {"part": _text_part(Progress())}
    elif kind == "answer.delta":
        yield "response.output_text.delta", part | {"delta": data["text"], "logprobs": []}
    else:
        yield "response.output_text.done", part | {"text": progress.text, "logprobs": []}
        yield "response.content_part.done", part | {"part": _text_part(progress)}
        yield "response.output_item.done", {"output_index": 0, "item": _output_item(stored, progress)}
        ends = {"failed": "response.failed", "completed": "response.completed"}
        yield ends.get(progress.status, "response.incomplete"), {"response": response}


def sequence_line(value: dict[str, Any], name: str, number: int) -> bytes:
    """One event as it goes over the wire."""
    return b"event: %b\ndata: %b\n\n" % (
        name.encode(),
        orjson.dumps({"type": name, "sequence_number": number, **value}),
    )


def answer_unstored(body: ResponseRequest, question: str, history: list[ChatMessage]) -> Response:
    """A response of which nothing is kept after its end."""
    answer = services().conversations.answer_stateless(
        question, client_network_hash(), history, is_streamed=bool(body.stream)
    )
    created = int(time.time())
    stored = StoredResponse(
        directory().new_id(), "", "", 0, created, body.model or model_name(), previous_id=body.previous_response_id
    )
    if body.stream:
        response = sse_response(lines(unstored_events(answer), stored, -1, store=False), b"")
        response.call_on_close(answer.close)
        return response
    progress = Progress()
    for number, kind, data in unstored_events(answer):
        if kind == "answer.error":
            raise EngineFailed(data["detail"])
        progress.add(number, kind, data)
    return _json(render(stored, progress, store=False))


def unstored_events(answer: StatelessAnswer) -> Iterator[NumberedEvent]:
    """The chunks of an answer as the events of a log that begins with them."""
    number, citations, reason = 1, [], ""
    yield number, "answer.start", {}
    try:
        for chunk in answer:
            if isinstance(chunk, TextChunk):
                number += 1
                yield number, "answer.delta", {"text": chunk.text}
            elif isinstance(chunk, CitationsChunk):
                citations = citations_as_dicts(chunk)
            elif isinstance(chunk, FinishReason):
                reason = chunk.reason
    except EngineFailed as error:
        yield number + 1, "answer.error", {"detail": error.detail or error.title}
        return
    finally:
        answer.close()
    message = {"id": None, "metadata": {"finish_reason": reason}}
    yield number + 1, "answer.end", {"message": message, "citations": citations}


def _json(value: dict[str, Any]) -> Response:
    return Response(orjson.dumps(value), mimetype="application/json")
