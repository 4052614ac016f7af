"""People, as the visitor meets them: ask for a person, and say that one is typing. Both are 404 without the desk."""

from __future__ import annotations

from flask import Blueprint, Response

from app.api import schemas
from app.api.auth import SessionContext, session_route, validate_after_session_exists
from app.api.json_body import read_json_object
from app.api.openapi import SESSION_ERRORS, WRITE_ERRORS, openapi_operation
from app.api.sessions import json_response
from app.conversations.people import PeopleService
from app.errors import PathNotFound, SessionEnded
from app.extensions import services
from app.rate_limit import address_limit

blueprint = Blueprint("human", __name__)
"""Registered only where the desk is on."""


def people_service() -> PeopleService:
    """Who answers. Raises PathNotFound while the desk is off."""
    people = services().people
    if people is None:
        raise PathNotFound("No operators answer here.")
    return people


@session_route(blueprint, "POST", "/human")
@openapi_operation(
    {200: schemas.HumanRequested}, body=schemas.RequestHumanRequest, body_required=False, errors=WRITE_ERRORS
)
@address_limit
def request_human(context: SessionContext) -> Response:
    """Ask for a person; asked again, it changes nothing."""
    body = validate_after_session_exists(
        context, lambda: schemas.RequestHumanRequest.parse(read_json_object(optional=True))
    )
    contact = body.contact.model_dump(exclude_none=True) if body.contact else None
    state = people_service().request_human(context.session_hash, context.actor, body.reason or "", contact)
    return json_response(schemas.HumanRequested(**state))


@session_route(blueprint, "POST", "/typing")
@openapi_operation({200: schemas.TypingNoted}, errors=(SessionEnded, *SESSION_ERRORS))
@address_limit
def visitor_types(context: SessionContext) -> Response:
    """Say that the visitor is typing; operators see it for a few seconds."""
    validate_after_session_exists(context, lambda: read_json_object(optional=True))
    people_service().set_typing(context.session_hash, "visitor", actor=context.actor)
    return json_response(schemas.TypingNoted())
