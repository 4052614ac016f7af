"""Writes the OpenAPI description from what each view says of itself; costs nothing at a request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Blueprint, Flask, Response, current_app
from flask.globals import request

from app.api.schemas import COMPONENTS, Schema, ref
from app.errors import ERRORS

View = TypeVar("View", bound=Callable[..., Any])

HERE = "$request.path.session_id"
"""The session that a call was about, as links name it."""
_ME, _OF_ME = "/api/session/me", "OfBearer"
_PARAMETER = re.compile(r"<(?:[a-z]+(?:\([^)]*\))?:)?([a-z_]+)>")
_ALWAYS_WITH_BODY = ("invalid_json", "payload_too_large", "unsupported_media_type", "invalid_request")
_BEARER: Schema = {"type": "string", "pattern": "^Bearer ses_[A-Za-z0-9_-]{32}$"}
_RETRY = frozenset(("rate_limited", "turn_in_progress", "engine_busy", "storage_unavailable"))


@dataclass(frozen=True, slots=True)
class Body:
    """What a call is sent. ``example`` is one body that works."""

    schema: Schema
    required: bool = True
    example: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One way a call may go well: JSON of ``schema``, or ``types`` by media type, or nothing."""

    description: str
    schema: Schema | None = None
    types: Mapping[str, Schema] = field(default_factory=dict)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """What may be called with what an answer brought: ``parameters`` and ``body`` hold runtime expressions."""

    operation: str
    parameters: Mapping[str, str]
    body: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """All that is said of one call. ``errors`` are codes of the contract; those of any body are added by themselves.

    ``key``: the API key widens it; ``bearer``: the session may come as the bearer id though the path has no ``me``.
    """

    name: str
    tag: str
    summary: str
    answers: Mapping[int, Reply]
    body: Body | None = None
    query: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    links: Mapping[str, Link] = field(default_factory=dict)
    key: bool = False
    bearer: bool = False


def describes(operation: Operation) -> Callable[[View], View]:
    """Let a view carry what the API says of it; stands anywhere among its decorators that keep attributes."""

    def carry(view: View) -> View:
        view.operation = operation  # type: ignore[attr-defined]
        return view

    return carry


def operations(app: Flask) -> list[tuple[str, str, Operation | None]]:
    """Every (rule, method) of the API and of the service's own calls, with what its view says, or None."""
    found = []
    for rule in app.url_map.iter_rules():
        told = getattr(app.view_functions[rule.endpoint], "operation", None)
        if told is not None or rule.rule.startswith("/api"):
            found += [(rule.rule, method, told) for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
    return found


def document(app: Flask, *, server: str, version: str, most_chars: int = 4000) -> dict[str, Any]:
    """The whole description in OpenAPI 3.1. ``server`` is the public address; ``most_chars`` as configured."""
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, told in sorted(operations(app), key=lambda one: (one[0], one[1])):
        if told is not None:
            paths.setdefault(_PARAMETER.sub(r"{\1}", rule), {})[method.lower()] = _operation(rule, told)
    text = json.dumps(paths).replace('"maxLength": 4000', f'"maxLength": {most_chars}')
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Baton",
            "version": version,
            "description": "A chat whose conversation can change hands. A session id is a capability: "
            "browsers send it as a bearer credential to the `me` forms, so that no URL carries it. Any call may carry "
            "the token of a signed-in visitor in the header `Baton-User`; without it his sessions answer 403.",
        },
        "servers": [{"url": server}],
        "tags": [{"name": name} for name in ("Sessions", "Messages", "Chat", "Live", "Service")],
        "paths": json.loads(text),
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {
                "session": {"type": "http", "scheme": "bearer", "description": "The session id; without one, 404."},
                "apiKey": {"type": "http", "scheme": "bearer", "description": "BATON_API_KEY, server to server."},
            },
        },
    }


def _operation(rule: str, told: Operation) -> dict[str, Any]:
    me = rule.startswith(_ME)
    written: dict[str, Any] = {
        "operationId": told.name + (_OF_ME if me else ""),
        "summary": told.summary,
        "tags": [told.tag],
        "parameters": _parameters(rule, told),
        "responses": _responses(told, me=me),
    }
    if told.body is not None:
        media: dict[str, Any] = {"schema": told.body.schema}
        if told.body.example is not None:
            media["example"] = told.body.example
        written["requestBody"] = {"required": told.body.required, "content": {"application/json": media}}
    if me:
        written["security"] = [{"session": []}, {}]
    elif told.key or told.bearer:
        written["security"] = [{}, {"apiKey" if told.key else "session": []}]
    return written


def _parameters(rule: str, told: Operation) -> list[dict[str, Any]]:
    places: list[tuple[str, str, Schema]] = [("path", name, {"type": "string"}) for name in _PARAMETER.findall(rule)]
    places += [("query", name, schema) for name, schema in told.query.items()]
    places += [("header", name, schema) for name, schema in told.headers.items()]
    if rule.startswith(_ME):
        # OpenAPI lets security schemes speak for this header; named here too, links can fill it in.
        places.append(("header", "Authorization", _BEARER))
    return [
        {"in": place, "name": name, "required": place == "path", "schema": schema} for place, name, schema in places
    ]


def _responses(told: Operation, *, me: bool) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, reply in told.answers.items():
        responses[str(status)] = written = _reply(reply)
        if told.links:
            written["links"] = _links(told, me=me)
    codes = (*told.errors, *(_ALWAYS_WITH_BODY if told.body is not None else ()))
    for status, known in sorted(_by_status(codes).items()):
        if str(status) not in responses:
            responses[str(status)] = _failure(known)
    return responses


def _reply(reply: Reply) -> dict[str, Any]:
    types = dict(reply.types) or ({"application/json": reply.schema} if reply.schema else {})
    written: dict[str, Any] = {"description": reply.description}
    if types:
        written["content"] = {name: {"schema": schema} for name, schema in types.items()}
    if reply.headers:
        written["headers"] = {name: {"schema": {"type": "string"}} for name in reply.headers}
    return written


def _links(told: Operation, *, me: bool) -> dict[str, Any]:
    """The links of an answer: to the plain form by the session's id, to the ``me`` form by the bearer that it makes."""
    written: dict[str, Any] = {}
    for name, link in told.links.items():
        parameters = dict(link.parameters)
        session = parameters.pop("session_id", None)
        body = {} if link.body is None else {"requestBody": link.body}
        if session is None:
            written[name] = {"operationId": link.operation, "parameters": parameters, **body}
        elif not (me and session == HERE):
            written[name] = {"operationId": link.operation, "parameters": dict(link.parameters), **body}
            bearer = {**parameters, "header.Authorization": f"Bearer {{{session}}}"}
            written[name + _OF_ME] = {"operationId": link.operation + _OF_ME, "parameters": bearer, **body}
    return written


def _failure(codes: list[str]) -> dict[str, Any]:
    written: dict[str, Any] = {
        "description": " or ".join(f"`{code}`" for code in codes),
        "content": {"application/problem+json": {"schema": ref("Problem")}},
    }
    if _RETRY.intersection(codes):
        written["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return written


def _by_status(codes: tuple[str, ...]) -> dict[int, list[str]]:
    """The codes under the status that each has in the contract."""
    found: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        found.setdefault(STATUSES[code], []).append(code)
    return found


STATUSES: dict[str, int] = {error.code: error.status for error in ERRORS}


def blueprint(operation: Operation, *, server: str, version: str, most_chars: int) -> Blueprint:
    """GET /openapi.json, written at the first call, when every route is there, and kept as bytes."""
    made = Blueprint("openapi", __name__)
    kept: list[bytes] = []

    @made.get("/openapi.json")
    @describes(operation)
    def openapi_document() -> Response:
        """The description of the API."""
        if not kept:
            told = document(current_app, server=server, version=version, most_chars=most_chars)
            kept.append(json.dumps(told).encode())
        answer = Response(kept[0], mimetype="application/json")
        answer.headers["Cache-Control"] = "no-cache"
        answer.add_etag()
        return answer.make_conditional(request)  # type: ignore[return-value]

    return made
