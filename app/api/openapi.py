"""The OpenAPI document, made from the models in schemas.py, the URL map, and what each view declares of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Blueprint, Flask, Response, current_app, request
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from werkzeug.routing import Rule

from app import errors
from app.api import desk_schemas, schemas
from app.errors import BatonError

View = TypeVar("View", bound=Callable[..., Any])
Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}

SESSION_ERRORS = (errors.SessionNotFound, errors.NotOwner, errors.StorageUnavailable)
"""Of every call on a session."""
WRITE_ERRORS = (*SESSION_ERRORS, errors.SessionEnded, errors.RateLimited)
BODY_ERRORS = (errors.BadRequest, errors.PayloadTooLarge, errors.UnsupportedMediaType, errors.InvalidRequest)
"""Of every call with a body; added by themselves."""
DESK_ERRORS = (
    errors.LoginRequired, errors.NotAllowed, errors.PathNotFound, errors.InvalidRequest, errors.UnsupportedMediaType,
    errors.StorageUnavailable,
)  # fmt: skip
"""Of every call of the desk."""
TAGS = {
    "sessions": "Sessions", "messages": "Messages", "chat": "Chat", "events": "Live", "websocket": "Live",
    "human": "People", "desk_operators": "Desk", "desk_conversations": "Desk", "desk_analytics": "Desk",
    "ai_sdk": "Other clients", "ag_ui": "Other clients", "health": "Service", "site": "Service", "openapi": "Service",
}  # fmt: skip
"""By blueprint."""
ME_SUFFIX = "_me"
"""The operation of the path with ``me`` is named like that with the id, and this."""
_PARAMETER = re.compile(r"<(?:[a-z]+(?:\([^)]*\))?:)?([a-z_]+)>")
_BEARER = {"type": "string", "pattern": "^Bearer ses_[A-Za-z0-9_-]{32}$"}


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """A response that is more than the JSON of one model; ``content`` is by media type."""

    description: str
    content: Mapping[str, type[BaseModel] | Schema] = field(default_factory=dict)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """What a view declares: what it is sent, what it answers, and which errors it can answer with.

    ``auth``: ``apiKey`` where the API key allows more, ``session`` where the bearer id may name the session, ``desk``
    for the operators' calls.
    """

    responses: Mapping[int, type[BaseModel] | ResponseSpec]
    body: type[BaseModel] | None = None
    body_required: bool = True
    query: type[BaseModel] | None = None
    headers: tuple[str, ...] = ()
    errors: tuple[type[BatonError], ...] = ()
    auth: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """What may be called with what a response brought, in OpenAPI's runtime expressions."""

    operation: str
    session: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


_ID = "$response.body#/session_id"
_PATH_ID = "$request.path.session_id"
LINKS: dict[str, tuple[Link, ...]] = {
    "create_session": (
        *(Link(name, _ID) for name in ("get_session", "list_messages", "heartbeat", "stop_answer", "get_transcript")),
        Link("append_message", _ID, body={"message": "What is AI risk?"}),
        Link("chat", body={"query": "What is Baton?", "session_id": _ID}),
        Link("create_handoff", _ID, body={"kind": "share"}),
        Link("resume_session", body={"session": _ID}),
        Link("claim_session", _ID, body={"user_token": "TOKEN"}),
        Link("end_session", _ID),
        Link("delete_session", _ID),
    ),
    "append_message": (Link("list_messages", _PATH_ID, {"before": "$response.body#/message/id"}),),
    "create_handoff": (Link("resume_session", body={"session": "$response.body#/ticket"}),),
    "chat": (
        Link("rate_message", _ID, {"message_id": "$response.body#/message_id"}, {"rating": "up", "comment": "Good."}),
        Link("list_messages", _ID, {"before": "$response.body#/message_id"}),
    ),
}  # fmt: skip
"""By operation: with these a tester that follows links reaches live sessions, messages and tickets."""


def openapi_operation(
    responses: Mapping[int, type[BaseModel] | ResponseSpec], **declared: Any
) -> Callable[[View], View]:
    """Declares a view's ``Operation``; its name is the function's, its summary the docstring's first line."""

    def declare(view: View) -> View:
        view.openapi = Operation(responses, **declared)  # type: ignore[attr-defined]
        return view

    return declare


def undescribed(app: Flask) -> list[str]:
    """Rules under /api that no view declares an operation for."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api")]
    return sorted({rule.rule for rule in rules} - {rule.rule for rule in rules if _spec(app, rule)})


def _spec(app: Flask, rule: Rule) -> Operation | None:
    return getattr(app.view_functions[rule.endpoint], "openapi", None)


class _JsonSchema(GenerateJsonSchema):
    """Pydantic's schemas without a title for each field: it only repeats the name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - its signature
        return False


def openapi_document(app: Flask, *, server: str, version: str, max_chars: int) -> dict[str, Any]:
    """The document in OpenAPI 3.1. ``server`` is the public address; ``max_chars`` the limit of a message."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        spec = _spec(app, rule)
        if spec is not None:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                path = paths.setdefault(_PARAMETER.sub(r"{\1}", rule.rule), {})
                path[method.lower()] = _operation(rule, app.view_functions[rule.endpoint], spec)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Baton",
            "version": version,
            "description": "A chat whose conversation can change hands. A session id is a capability: "
            "browsers send it as a bearer credential to the `me` forms, so that no URL carries it. Any call may carry "
            "the token of a signed-in visitor in the header `Baton-User`; without it their sessions answer 403. "
            "The paths under `/v1` speak OpenAI's API, which OpenAI describes; docs/integrations.md says how.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": server}],
        "tags": [{"name": name} for name in dict.fromkeys(TAGS.values())],
        "paths": paths,
        "components": {
            "schemas": _schemas(max_chars),
            "securitySchemes": {
                "session": {"type": "http", "scheme": "bearer", "description": "The session id; without one, 404."},
                "desk": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "baton-desk",
                    "description": "An operator's login; `__Host-baton-desk` over https.",
                },
                "apiKey": {"type": "http", "scheme": "bearer", "description": "BATON_API_KEY, server to server."},
            },
        },
    }


def _schemas(max_chars: int) -> dict[str, Any]:
    named = {**vars(schemas), **vars(desk_schemas)}
    models = [model for model in named.values() if isinstance(model, type) and issubclass(model, BaseModel)]
    modes = [(model, "validation" if issubclass(model, schemas.RequestModel) else "serialization") for model in models]
    _, definitions = models_json_schema(
        [(model, mode) for model, mode in modes if model is not BaseModel],  # type: ignore[misc]
        ref_template="#/components/schemas/{model}",
        schema_generator=_JsonSchema,
    )
    result: dict[str, Any] = definitions["$defs"]
    result["AppendMessageRequest"]["properties"]["message"]["maxLength"] = max_chars
    result["ChatRequest"]["properties"]["query"]["maxLength"] = max_chars
    return result


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _summary(documented: Any) -> str:
    return (documented.__doc__ or "").partition("\n")[0].rstrip(".").replace("`", "")  # it is shown as plain text


def _operation(rule: Rule, view: Callable[..., Any], spec: Operation) -> dict[str, Any]:
    name, is_me = view.__name__, rule.rule.startswith("/api/session/me")
    result: dict[str, Any] = {
        "operationId": name + (ME_SUFFIX if is_me else ""),
        "summary": _summary(view),
        "tags": [TAGS[rule.endpoint.partition(".")[0]]],
        "parameters": _parameters(rule.rule, spec, is_me=is_me),
        "responses": {str(status): _response(answer) for status, answer in spec.responses.items()},
    }
    for response in result["responses"].values():
        response["links"] = dict(_links(LINKS.get(name, ()), is_me=is_me))
    for status, failure in _failures(spec).items():
        result["responses"].setdefault(status, failure)
    if spec.body is not None:
        media = {"schema": _ref(spec.body), "example": spec.body.model_json_schema()["examples"][0]}
        result["requestBody"] = {"required": spec.body_required, "content": {"application/json": media}}
    if spec.auth == "desk":
        result["security"] = [{"desk": []}, {"apiKey": []}]
    elif is_me or spec.auth:
        result["security"] = [{"session": []}, {}] if is_me else [{}, {spec.auth: []}]
    return result


def _parameters(rule: str, spec: Operation, *, is_me: bool) -> list[dict[str, Any]]:
    result = [_parameter("path", name, TEXT) for name in _PARAMETER.findall(rule)]
    if spec.query is not None:
        properties = spec.query.model_json_schema(schema_generator=_JsonSchema)["properties"]
        result += [_parameter("query", name, _without_null(schema)) for name, schema in properties.items()]
    result += [_parameter("header", name, TEXT) for name in spec.headers]
    if is_me:  # OpenAPI lets security schemes speak for this header; named here too, links can fill it in
        result.append(_parameter("header", "Authorization", _BEARER))
    return result


def _parameter(location: str, name: str, schema: Any) -> dict[str, Any]:
    return {"in": location, "name": name, "required": location == "path", "schema": schema}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is absent or there; null cannot be sent."""
    if "anyOf" not in schema:
        return schema
    others = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**schema["anyOf"][0], **others}


def _response(answer: type[BaseModel] | ResponseSpec) -> dict[str, Any]:
    if not isinstance(answer, ResponseSpec):
        answer = ResponseSpec(f"{_summary(answer)}.", {"application/json": answer})
    return {
        "description": answer.description,
        "content": {
            media: {"schema": _ref(schema) if isinstance(schema, type) else schema}
            for media, schema in answer.content.items()
        },
        "headers": {name: {"schema": TEXT} for name in answer.headers},
    }


def _links(links: Iterable[Link], *, is_me: bool) -> Iterable[tuple[str, dict[str, Any]]]:
    """Each link, by its operation: to the path with the session's id, and to ``me`` with the bearer made of it."""
    for link in links:
        body = {} if link.body is None else {"requestBody": link.body}
        if not link.session:
            yield link.operation, {"operationId": link.operation, "parameters": dict(link.parameters), **body}
        elif not (is_me and link.session == _PATH_ID):  # a call by bearer has no id in its path
            for suffix, name, value in (
                ("", "session_id", link.session),
                (ME_SUFFIX, "header.Authorization", f"Bearer {{{link.session}}}"),
            ):
                parameters = {**link.parameters, name: value}
                operation = link.operation + suffix
                yield operation, {"operationId": operation, "parameters": parameters, **body}


def _failures(spec: Operation) -> dict[str, dict[str, Any]]:
    """The error responses by status, the codes of one status together."""
    by_status: dict[int, list[type[BatonError]]] = {}
    for error in dict.fromkeys((*spec.errors, *(BODY_ERRORS if spec.body else ()))):
        by_status.setdefault(error.status, []).append(error)
    result: dict[str, dict[str, Any]] = {}
    for status, errors_of_status in sorted(by_status.items()):
        result[str(status)] = {
            "description": " or ".join(f"`{error.code}`" for error in errors_of_status),
            "content": {"application/problem+json": {"schema": _ref(schemas.Problem)}},
        }
        if any(error.retryable for error in errors_of_status):
            retry_after = {"description": "Seconds.", "schema": {"type": "integer"}}
            result[str(status)]["headers"] = {"Retry-After": retry_after}
    return result


def blueprint(*, server: str, version: str, max_chars: int) -> Blueprint:
    """GET /openapi.json, made at the first call, when every route is there, and kept as bytes."""
    result = Blueprint("openapi", __name__)
    cached: list[bytes] = []

    @result.get("/openapi.json")
    @openapi_operation({200: ResponseSpec("OpenAPI 3.1.", {"application/json": {"type": "object"}})})
    def openapi() -> Response:
        """This description."""
        if not cached:
            document = openapi_document(current_app, server=server, version=version, max_chars=max_chars)
            cached.append(json.dumps(document).encode())
        response = Response(cached[0], mimetype="application/json")
        response.headers["Cache-Control"] = "no-cache"
        response.add_etag()
        return response.make_conditional(request)  # type: ignore[return-value]

    return result
