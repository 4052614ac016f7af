"""OpenAI's Chat Completions and list of models, for servers with the API key: the configured engine behind them.

Nothing is stored: the messages that come with a call are the engine's history.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, request
from pydantic import Field

from app.api import schemas
from app.api.auth import bearer_token
from app.api.client_protocols import (
    KEEP_ALIVE,
    MAX_BODY_BYTES,
    data_line,
    json_response,
    last_question,
    text_of,
)
from app.api.json_body import read_json_object
from app.api.openai_errors import error_body, error_response, is_openai_path
from app.api.sse import stream_response
from app.client_address import client_network_hash
from app.conversations.service import StatelessAnswer
from app.engines.base import ChatMessage, CitationsChunk, FinishReason, HasModels, TextChunk, TokenUsage
from app.errors import BatonError, InvalidRequest, PathNotFound, RoleForbidden
from app.extensions import services
from app.rate_limit import address_limit

blueprint = Blueprint("openai", __name__, url_prefix="/v1")

DONE = b"data: [DONE]\n\n"
MAX_MODEL_CHARS = 256
UNSUPPORTED = ("tools", "functions", "audio", "modalities", "conversation")
_ROLES: dict[str, Literal["user", "assistant", "system"]] = {
    "user": "user", "assistant": "assistant", "system": "system", "developer": "system",
}  # fmt: skip
Switch = Annotated[bool, Field(strict=True)] | None
"""``"yes"`` and 1 are refused."""


class StreamOptions(schemas.RequestModel):
    """How a stream is wanted."""

    include_usage: Switch = False


class ChatCompletionRequest(schemas.RequestModel):
    """What Baton reads of a call; other fields are ignored."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    model: str = Field("", max_length=MAX_MODEL_CHARS)
    stream: Switch = False
    stream_options: StreamOptions | None = None


@blueprint.before_app_request
def authorize() -> Response | None:
    """Only servers with the API key; without a key in the settings there is nothing at any path under /v1."""
    if not is_openai_path(request.path):
        return None
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
    """The models that a call may name."""
    return json_response({"object": "list", "data": [_model(name) for name in model_names()]})


@blueprint.get("/models/<path:name>")
def get_model(name: str) -> Response:
    """The model, where it is in the list."""
    if name not in model_names():
        raise PathNotFound("There is no such model.")
    return json_response(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "baton"}


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
        question, client_network_hash(), history, is_streamed=bool(body.stream), model=passed_model(body.model)
    )
    head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": body.model or model_name()}
    if not body.stream:
        return json_completion(head, answer)
    with_usage = bool(body.stream_options and body.stream_options.include_usage)
    response = stream_response(stream_completion(head, answer, free_usage(), with_usage=with_usage))
    response.call_on_close(answer.close)
    return response


def model_name() -> str:
    """The name of the model behind the service: OpenAI's where the engine is ``openai``, else the engine's."""
    config = services().config
    return config.openai_model if config.engine == "openai" else services().engine.name


def passes_model() -> bool:
    """Whether the engine asks the model that a call names."""
    return services().config.openai_pass_model and services().config.engine == "openai"


def model_names() -> list[str]:
    """The configured model first, and where calls may choose, those of the engine's server."""
    engine = services().engine
    more = engine.list_models() if passes_model() and isinstance(engine, HasModels) else []
    return list(dict.fromkeys([model_name(), *more]))


def passed_model(name: str) -> str:
    """The model to ask instead of the configured one; empty for that one. Raises InvalidRequest."""
    if not name or not passes_model():
        return ""
    if not re.fullmatch(r"[!-~]+", name):
        raise InvalidRequest("model", "must be a name of letters, digits and signs without spaces")
    return name


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
    text, reason, annotations, usage = [], "stop", [], free_usage()
    with closing(answer):
        for chunk in answer:
            if isinstance(chunk, TextChunk):
                text.append(chunk.text)
            elif isinstance(chunk, CitationsChunk):
                annotations = annotations_of(chunk)
            elif isinstance(chunk, FinishReason):
                reason = chunk.reason
            elif isinstance(chunk, TokenUsage):
                usage = add_usage(usage, chunk)
    message = {"role": "assistant", "content": "".join(text), "refusal": None, "annotations": annotations}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    counted = {"usage": usage} if usage else {}
    return json_response({**head, "object": "chat.completion", "choices": [choice], **counted})


def stream_completion(
    head: dict[str, Any], answer: StatelessAnswer, usage: dict[str, int] | None, *, with_usage: bool
) -> Iterator[bytes]:
    """The answer as chunks; an error after the first of them is sent in the stream.

    ``with_usage``: a last chunk counts the tokens, where the engine counts them.
    """
    head = {**head, "object": "chat.completion.chunk", **({"usage": None} if with_usage else {})}

    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return data_line({**head, "choices": [choice]})

    reason = "stop"
    yield chunk({"role": "assistant", "content": ""})
    try:
        for part in answer:
            if part is None:
                yield KEEP_ALIVE
            elif isinstance(part, TextChunk):
                yield chunk({"content": part.text})
            elif isinstance(part, CitationsChunk):
                yield chunk({"annotations": annotations_of(part)})
            elif isinstance(part, FinishReason):
                reason = part.reason
            elif isinstance(part, TokenUsage):
                usage = add_usage(usage, part)
        yield chunk({}, reason)
        if with_usage and usage:
            yield data_line({**head, "choices": [], "usage": usage})
    except BatonError as error:
        yield data_line(error_body(error.status, error.detail or error.title, error.code))
    yield DONE


def free_usage() -> dict[str, int] | None:
    """The token counts before any was reported: zero where no model is asked, else unknown."""
    return add_usage(None, TokenUsage(0, 0)) if services().config.engine == "knowledge" else None


def add_usage(known: dict[str, int] | None, usage: TokenUsage) -> dict[str, int]:
    """The tokens known so far and those of this chunk, as OpenAI counts them."""
    counts = {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion}
    counts["total_tokens"] = usage.prompt + usage.completion
    return {name: count + (known or {}).get(name, 0) for name, count in counts.items()}


def annotations_of(chunk: CitationsChunk) -> list[dict[str, Any]]:
    """Citations as OpenAI's models annotate them."""
    return [
        {"type": "url_citation", "url_citation": {"title": citation.title, "url": citation.url}}
        for citation in list(chunk.citations)[:5]
    ]
