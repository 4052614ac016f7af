"""OpenAI's Chat Completions and list of models, for servers with the API key: the configured engine behind them.

Nothing is stored: the messages that come with a call are the engine's history.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Literal

import orjson
from flask import Blueprint, Response, request
from pydantic import Field

from app.api import schemas
from app.api.auth import bearer_token
from app.api.client_protocols import MAX_BODY_BYTES, data_line, last_question, stream_response, text_of
from app.api.json_body import read_json_object
from app.api.openai_errors import error_body, error_response
from app.client_address import client_network_hash
from app.conversations.service import StatelessAnswer
from app.engines.base import ChatMessage, CitationsChunk, FinishReason, TextChunk
from app.errors import EngineFailed, InvalidRequest, PathNotFound, RoleForbidden
from app.extensions import services
from app.rate_limit import address_limit

blueprint = Blueprint("openai", __name__, url_prefix="/v1")

DONE = b"data: [DONE]\n\n"
UNSUPPORTED = ("tools", "functions", "audio", "modalities", "conversation")
_ROLES: dict[str, Literal["user", "assistant", "system"]] = {
    "user": "user", "assistant": "assistant", "system": "system", "developer": "system",
}  # fmt: skip


class ChatCompletionRequest(schemas.RequestModel):
    """What Baton reads of a call; other fields are ignored."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    model: str = ""
    stream: bool | None = False


@blueprint.before_request
def authorize() -> Response | None:
    """Only servers with the API key; without a key in the settings there is nothing at these paths."""
    key = services().config.api_key
    if key is None:
        raise PathNotFound("There is nothing at this path.")
    if "Origin" in request.headers:
        raise RoleForbidden("The API key is for servers; a browser must not carry it.")
    token = bearer_token() or ""
    if not hmac.compare_digest(token.encode(), key.get_secret_value().encode()):
        return error_response(401, "This is not the API key of this service.", "invalid_api_key")
    return None


@blueprint.get("/models")
def list_models() -> Response:
    """The one model that the configured engine is."""
    model = {"id": model_name(), "object": "model", "created": 0, "owned_by": "baton"}
    return _json({"object": "list", "data": [model]})


@blueprint.get("/models/<path:name>")
def get_model(name: str) -> Response:
    """The model, where it is the configured one."""
    if name != model_name():
        raise PathNotFound("There is no such model.")
    return _json({"id": name, "object": "model", "created": 0, "owned_by": "baton"})


@blueprint.post("/chat/completions")
@address_limit
def create_chat_completion() -> Response:
    """Answer the last of the messages, whole or as a stream."""
    fields = read_json_object(max_bytes=MAX_BODY_BYTES)
    refuse_unsupported(fields)
    body = ChatCompletionRequest.parse(fields)
    question = last_question(body.messages, "content")[1]
    history = parse_history(body.messages[:-1], "messages")
    answer = services().conversations.answer_stateless(
        question, client_network_hash(), history, is_streamed=bool(body.stream)
    )
    head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": body.model or model_name()}
    if not body.stream:
        return json_completion(head, answer)
    response = stream_response(stream_completion(head, answer), b"")
    response.call_on_close(answer.close)
    return response


def model_name() -> str:
    """The name of the model behind the service: OpenAI's where the engine is ``openai``, else the engine's."""
    config = services().config
    return config.openai_model if config.engine == "openai" else services().engine.name


def refuse_unsupported(fields: Mapping[str, Any]) -> None:
    """Raises InvalidRequest for what the answer would have to do without."""
    for name in UNSUPPORTED:
        if fields.get(name) not in (None, [], ["text"]):
            raise InvalidRequest(name, "is not supported")
    if fields.get("n") not in (None, 1):
        raise InvalidRequest("n", "must be 1")


def parse_history(messages: list[dict[str, Any]], field: str) -> list[ChatMessage]:
    """The messages before the question. Raises InvalidRequest."""
    history = []
    for message in messages:
        role = _ROLES.get(str(message.get("role")))
        if role is None:
            raise InvalidRequest(field, "have an unknown role")
        history.append(ChatMessage(role, text_of(message.get("content"), field)))
    return [message for message in history if message.content]


def json_completion(head: dict[str, Any], answer: StatelessAnswer) -> Response:
    """The answer as one object. Raises EngineFailed or EngineTimeout."""
    text, reason, annotations = [], "stop", []
    with closing(answer):
        for chunk in answer:
            if isinstance(chunk, TextChunk):
                text.append(chunk.text)
            elif isinstance(chunk, CitationsChunk):
                annotations = annotations_of(chunk)
            elif isinstance(chunk, FinishReason):
                reason = chunk.reason
    message = {"role": "assistant", "content": "".join(text), "refusal": None, "annotations": annotations}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return _json({**head, "object": "chat.completion", "choices": [choice]})


def stream_completion(head: dict[str, Any], answer: StatelessAnswer) -> Iterator[bytes]:
    """The answer as chunks; an error after the first of them is told in the stream."""

    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return data_line({**head, "object": "chat.completion.chunk", "choices": [choice]})

    reason = "stop"
    yield chunk({"role": "assistant", "content": ""})
    try:
        for part in answer:
            if isinstance(part, TextChunk):
                yield chunk({"content": part.text})
            elif isinstance(part, CitationsChunk):
                yield chunk({"annotations": annotations_of(part)})
            elif isinstance(part, FinishReason):
                reason = part.reason
        yield chunk({}, reason)
    except EngineFailed as error:
        yield data_line(error_body(error.status, error.detail or error.title, error.code))
    yield DONE


def annotations_of(chunk: CitationsChunk) -> list[dict[str, Any]]:
    """Citations as OpenAI's models tell them."""
    return [
        {"type": "url_citation", "url_citation": {"title": citation.title, "url": citation.url}}
        for citation in list(chunk.citations)[:5]
    ]


def _json(value: dict[str, Any]) -> Response:
    return Response(orjson.dumps(value), mimetype="application/json")
