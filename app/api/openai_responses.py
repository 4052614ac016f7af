"""OpenAI's Responses API, for servers with the API key: a response is a turn, and the session behind it its history.

A response can be followed and replayed from any ``sequence_number``, by any worker, while it lives.
https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Literal

import orjson
from flask import Blueprint, Response, request
from pydantic import Field

from app import errors
from app.api import openai_chat, schemas
from app.api.auth import SessionContext
from app.api.chat import start_turn, stream_without_session
from app.api.client_protocols import KEEP_ALIVE, MAX_BODY_BYTES, json_response, last_question
from app.api.json_body import read_json_object
from app.api.openai_errors import openai_error
from app.api.sse import escape_line_breaks, stream_response
from app.client_address import client_network_hash
from app.conversations.events import TERMINAL_EVENTS, Event, parse_cursor, parse_message_id, serialize_message
from app.conversations.export import author_name, read_messages
from app.conversations.ids import hash_session_id, session_tag
from app.conversations.names import SERVICE
from app.conversations.responses import StoredResponse
from app.engines.base import ChatMessage
from app.extensions import services
from app.rate_limit import address_limit
from app.storage.base import NewMessage, TurnStart

blueprint = Blueprint("openai_responses", __name__, url_prefix="/v1/responses")

NumberedEvent = tuple[int, str, dict[str, Any]]
"""An event's number in the log, its type and its data."""
_FIRST_DELTA = 4
"""The sequence number of the first piece of text: four events announce the response, its message and its text."""
HELD = "held"
"""What stands for the answer where a person has the conversation: the response is complete, and has no output."""
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_RUNNING = "The response is being made. Wait for it or cancel it."
_TOO_LONG = 'More messages than a conversation holds. With truncation "auto" it goes on with the newest of them.'
_LOST = {"code": "server_error", "message": "The events cannot be read to their end just now.", "param": None}
_ENDS = {"failed": "response.failed", "completed": "response.completed"}
_UNSET = dict.fromkeys(("instructions", "max_output_tokens", "temperature", "top_p", "usage"))
_FIXED_FIELDS: dict[str, Any] = {"object": "response", "metadata": {}, "parallel_tool_calls": False, **_UNSET,
                 "text": {"format": {"type": "text"}}, "tool_choice": "none", "tools": []}  # fmt: skip


class ResponseRequest(schemas.RequestModel):
    """What Baton reads of a call; other fields are ignored."""

    input: str | list[dict[str, Any]]
    model: str = Field("", max_length=openai_chat.MAX_MODEL_CHARS)
    stream: openai_chat.Switch = False
    background: openai_chat.Switch = False
    store: openai_chat.Switch = True
    previous_response_id: str | None = None
    truncation: Literal["auto", "disabled"] | None = "disabled"


class RetrieveQuery(schemas.RequestModel):
    """Whether the response is wanted as a stream, and after which of its events."""

    stream: str = "false"
    starting_after: int = Field(-1, ge=-1, le=2**53)


@dataclass(slots=True)
class Progress:
    """What is known of a response: its text so far, and how it ended."""

    stored: StoredResponse
    is_kept: bool = True
    text: str = ""
    status: str = "in_progress"
    end: int = 0
    """The number of the event that ended it."""
    citations: list[dict[str, str]] = field(default_factory=list)
    error: dict[str, str] | None = None
    incomplete: str | None = None

    def add(self, number: int, event_type: str, data: dict[str, Any]) -> None:
        """One event of the turn."""
        if event_type == "answer.delta":
            self.text += data["text"]
        if event_type == HELD:
            self.end, self.status = number, "completed"
        if event_type not in TERMINAL_EVENTS:
            return
        self.end = number
        metadata = data["message"]["metadata"] if data.get("message") else {}
        self.citations = data.get("citations", [])
        self.incomplete = _INCOMPLETE.get(metadata.get("finish_reason", ""))
        if event_type == "answer.error":
            self.status, self.error = "failed", {"code": "server_error", "message": data["detail"]}
        elif metadata.get("stopped"):
            self.status = "cancelled"
        else:
            self.status = "incomplete" if self.incomplete else "completed"

    def response(self) -> dict[str, Any]:
        """The response object."""
        stored = self.stored
        return _FIXED_FIELDS | {
            "id": stored.id,
            "created_at": stored.created_at,
            "status": self.status,
            "background": stored.background,
            "error": self.error,
            "incomplete_details": {"reason": self.incomplete} if self.incomplete else None,
            "model": stored.model,
            "output": [self.item()] if self.end and self.text else [],
            "previous_response_id": stored.previous_id,
            "store": self.is_kept,
            "truncation": stored.truncation,
        }

    @property
    def item_id(self) -> str:
        """The id of its one message."""
        return "msg_" + self.stored.id.removeprefix("resp_")

    def item(self, status: str = "") -> dict[str, Any]:
        """Its one message; with a status of its own where nothing of it has been sent yet."""
        content = [] if status else [self.text_part()]
        status = status or ("completed" if self.status == "completed" else "incomplete")
        return {"id": self.item_id, "type": "message", "status": status, "role": "assistant", "content": content}

    def text_part(self) -> dict[str, Any]:
        """The text of its message, with its sources."""
        span = {"start_index": len(self.text), "end_index": len(self.text)}
        sources = [{"type": "url_citation", "title": page["title"], "url": page["url"]} for page in self.citations]
        annotations = [source | span for source in sources]
        return {"type": "output_text", "text": self.text, "annotations": annotations, "logprobs": []}


@blueprint.post("")
@address_limit
def create_response() -> Response:
    """Ask a question; answer it whole, as a stream, or in the background."""
    fields = read_json_object(max_bytes=MAX_BODY_BYTES)
    openai_chat.refuse_unsupported(fields)
    body = ResponseRequest.parse(fields)
    items = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else body.input
    if not items:
        raise errors.InvalidRequest("input", "must not be empty")
    question = last_question(items, "content", "input")[1]
    history = openai_chat.parse_history(items[:-1], "input")
    previous = services().responses.find(body.previous_response_id) if body.previous_response_id else None
    if previous and not read_progress(previous).end:
        raise errors.TurnInProgress(_RUNNING, retry_after=2)
    if body.store is False:
        if body.background:
            raise errors.InvalidRequest("background", "needs store")
        return answer_unstored(body, question, [*(history_up_to(previous) if previous else ()), *history])
    stored = store_question(body, question, history, previous)
    try:
        services().responses.save(stored)
        if body.stream:
            return response_stream(stored, -1)
        if not body.background and stored.turn_id:
            turn = TurnStart("started", stored.turn_id, stored.start)
            services().conversations.wait_for_answer(_session_hash(stored), SERVICE, turn)
        return json_response(read_progress(stored).response())
    except errors.BatonError as error:  # the question is stored: a retry of the client's would ask it again
        response = openai_error(error)
        response.headers["x-should-retry"] = "false"
        return response


@blueprint.get("/<response_id>")
def get_response(response_id: str) -> Response:
    """The response as it is now, or its events after ``starting_after``."""
    stored = services().responses.find(response_id)
    query = RetrieveQuery.parse(request.args.to_dict())
    if query.stream.lower() == "true":
        return response_stream(stored, query.starting_after)
    return json_response(read_progress(stored).response())


@blueprint.post("/<response_id>/cancel")
def cancel_response(response_id: str) -> Response:
    """Stop the response; what was said so far stays."""
    stored = services().responses.find(response_id)
    running = services().conversations.get_running_turn(_session_hash(stored), SERVICE)
    if running and running.turn_id == stored.turn_id:
        services().conversations.stop_turn(_session_hash(stored), SERVICE)
    return json_response(read_progress(stored).response())


@blueprint.delete("/<response_id>")
def delete_response(response_id: str) -> Response:
    """Forget the response, and its conversation where nothing came before or after it."""
    stored = services().responses.find(response_id)
    if not read_progress(stored).end:
        raise errors.TurnInProgress(_RUNNING, retry_after=2)
    if stored.previous_id is None and services().responses.claim(response_id):
        services().conversations.delete_session(_session_hash(stored), SERVICE)
    services().responses.delete(response_id)
    return json_response({"id": response_id, "object": "response", "deleted": True})


def _session_hash(stored: StoredResponse) -> str:
    return hash_session_id(stored.session_id) or ""


def store_question(
    body: ResponseRequest, question: str, history: list[ChatMessage], previous: StoredResponse | None
) -> StoredResponse:
    """Starts the turn of a question: in the session of the previous response, if nobody else went on there, or in a
    new one that begins with a copy of what was said.

    Raises SessionFull or InvalidRequest where the messages are more than a session holds.
    """
    conversations, model = services().conversations, openai_chat.passed_model(body.model)
    room = services().config.max_messages - 2
    session_id = previous.session_id if previous and _continues(previous, room - len(history)) else ""
    if not session_id:
        history = [*(history_up_to(previous) if previous else ()), *history]
        if len(history) > room and body.truncation != "auto":
            raise errors.SessionFull(_TOO_LONG) if previous else errors.InvalidRequest("input", _TOO_LONG)
        history = history if len(history) <= room else history[-(room // 2 or 1) :]
        session_id = conversations.create_session(None, SERVICE)[0]
    owner = SessionContext(session_id, hash_session_id(session_id) or "", SERVICE)
    for message in history:
        new_message = NewMessage(serialize_message(message.role, message.content, None), is_counted=False)
        conversations.append_message(owner.session_hash, SERVICE, new_message)
    turn = start_turn(owner, question, None, is_streamed=bool(body.stream), model=model)
    return describe(body, session_id, turn)


def _continues(previous: StoredResponse, room: int) -> bool:
    """Whether the next question goes into the session of this response: one caller's does, where there is room."""
    session = services().conversations.get_page(_session_hash(previous), SERVICE).session
    return session.message_count <= room and services().responses.claim(previous.id)


def describe(body: ResponseRequest, session_id: str, turn: TurnStart) -> StoredResponse:
    """A new response, as it is to be found later."""
    response_id, model = services().responses.new_id(), body.model or openai_chat.model_name()
    stored = StoredResponse(response_id, session_id, turn.turn_id, turn.start, int(time.time()), model)
    previous_id, truncation = body.previous_response_id, body.truncation or "disabled"
    return replace(stored, background=bool(body.background), previous_id=previous_id, truncation=truncation)


def history_up_to(stored: StoredResponse) -> list[ChatMessage]:
    """The messages of the session up to the end of this response."""
    limit = services().config.max_messages + 1
    page = services().conversations.get_page(_session_hash(stored), SERVICE, limit=limit)
    end = read_progress(stored).end
    tag = session_tag(_session_hash(stored))
    return [
        ChatMessage(message["role"], message["content"], author_name(message))
        for message in read_messages(page.session.messages)
        if message["content"] and (parse_message_id(message["id"], tag) or 0) <= end
    ]


def read_progress(stored: StoredResponse) -> Progress:
    """What there is of a response by now. Raises PathNotFound where its session is gone."""
    turn, progress = TurnStart("joined", stored.turn_id, stored.start), Progress(stored)
    try:
        if not stored.turn_id:
            services().conversations.get_page(_session_hash(stored), SERVICE)
            progress.add(stored.start, HELD, {})
            return progress
        is_logged = False
        for number, event in services().conversations.read_turn(_session_hash(stored), SERVICE, turn):
            is_logged = True
            progress.add(number, event.type, event.payload())
        if not is_logged:
            read_end_from_history(stored, progress)
    except errors.NotFound:
        raise errors.PathNotFound("There is no such response.") from None
    return progress


def read_end_from_history(stored: StoredResponse, progress: Progress) -> None:
    """The end of a response whose events are no longer kept: its message follows the question's."""
    tag, number = session_tag(_session_hash(stored)), stored.start
    page = services().conversations.get_page(_session_hash(stored), SERVICE, "after", f"msg_{number}_{tag}", 1)
    answer = next((message for message in read_messages(page.session.messages) if message["role"] == "assistant"), None)
    if answer:
        number = parse_message_id(answer["id"], tag) or number
        progress.add(number, "answer.delta", {"text": answer["content"]})
    if answer and not answer["metadata"].get("interrupted"):
        citations = answer["metadata"].get("citations", [])
        progress.add(number, "answer.end", {"message": answer, "citations": citations})
    else:
        progress.add(number, "answer.error", {"detail": "The answer could not be made."})


def response_stream(stored: StoredResponse, starting_after: int) -> Response:
    """The events of the response after a sequence number, up to its end."""
    turn = TurnStart("joined", stored.turn_id, stored.start)
    read_progress(stored)  # raises where the session is gone, before the first byte
    if stored.turn_id:
        events = numbered(stored, services().conversations.stream_turn(_session_hash(stored), SERVICE, turn))
    else:
        events = iter([(stored.start, HELD, {})])
    return stream_response(lines(events, Progress(stored), starting_after))


def numbered(stored: StoredResponse, events: Iterable[Event | None]) -> Iterator[NumberedEvent | None]:
    """Number, type and data of the turn's own events; None whenever nothing came for a while."""
    tag = session_tag(_session_hash(stored))
    for event in events:
        cursor = parse_cursor(event.id or "", tag) if event else None
        if event is None:
            yield None
        elif cursor and event.payload().get("turn_id") == stored.turn_id:
            yield cursor.after_event, event.type, event.payload()


def lines(events: Iterable[NumberedEvent | None], progress: Progress, starting_after: int = -1) -> Iterator[bytes]:
    """The protocol's events. Their numbers come from the numbers in the log, so that every replay has the same.

    Where the log cannot be read to the response's end, an error says so. It repeats the last number, after which the
    client may go on.
    """
    last = starting_after
    with suppress(errors.StorageUnavailable):
        for event in events:
            if event is None:
                yield KEEP_ALIVE
                continue
            number, event_type, data = event
            progress.add(number, event_type, data)
            first = 0 if event_type in ("answer.start", HELD) else number - progress.stored.start - 2 + _FIRST_DELTA
            for sequence_number, (name, value) in enumerate(protocol_events(event_type, data, progress), first):
                if sequence_number > last:
                    last = sequence_number
                    yield sequence_line(value, name, sequence_number)
    if not progress.end:
        yield sequence_line(_LOST, "error", max(last, 0))


def protocol_events(event_type: str, data: dict[str, Any], progress: Progress) -> Iterator[tuple[str, dict[str, Any]]]:
    """What one event of the log is in this protocol."""
    part = {"output_index": 0, "item_id": progress.item_id, "content_index": 0}
    if event_type in ("answer.start", HELD):
        waiting = progress.response() | {"status": "in_progress"}
        yield "response.created", {"response": waiting}
        yield "response.in_progress", {"response": waiting}
    if event_type == HELD:
        yield "response.completed", {"response": progress.response()}
    elif event_type == "answer.start":
        yield "response.output_item.added", {"output_index": 0, "item": progress.item("in_progress")}
        yield "response.content_part.added", part | {"part": progress.text_part()}
    elif event_type == "answer.delta":
        yield "response.output_text.delta", part | {"delta": data["text"], "logprobs": []}
    else:
        yield "response.output_text.done", part | {"text": progress.text, "logprobs": []}
        yield "response.content_part.done", part | {"part": progress.text_part()}
        yield "response.output_item.done", {"output_index": 0, "item": progress.item()}
        yield _ENDS.get(progress.status, "response.incomplete"), {"response": progress.response()}


def sequence_line(value: dict[str, Any], name: str, number: int) -> bytes:
    """One event as it goes over the wire."""
    data = escape_line_breaks(orjson.dumps({"type": name, "sequence_number": number, **value}))
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def answer_unstored(body: ResponseRequest, question: str, history: list[ChatMessage]) -> Response:
    """A response of which nothing is kept after its end."""
    model = openai_chat.passed_model(body.model)
    answer = services().conversations.answer_stateless(
        question, client_network_hash(), history, is_streamed=bool(body.stream), model=model
    )
    progress = Progress(describe(body, "", TurnStart("started", "", 0)), is_kept=False)
    numbers = count(1)
    events: Iterator[NumberedEvent | None] = (
        (next(numbers), event.type, event.payload()) if event else None for event in stream_without_session(answer)
    )
    if body.stream:
        response = stream_response(lines(events, progress))
        response.call_on_close(answer.close)
        return response
    with closing(answer):
        for number, event_type, data in filter(None, events):
            if event_type == "answer.error":
                raise (errors.EngineTimeout if data["code"] == "engine_timeout" else errors.EngineFailed)(
                    data["detail"]
                )
            progress.add(number, event_type, data)
    return json_response(progress.response())
