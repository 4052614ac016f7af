"""Login and logout at the desk, the caller's own availability, the operators, and the canned replies."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response, request

from app.api import desk_schemas
from app.api.desk_auth import (
    DeskCaller,
    demand_json,
    desk_operators,
    desk_route,
    refuse_other_sites,
)
from app.api.json_body import read_json_object
from app.api.openapi import DESK_ERRORS, ResponseSpec, openapi_operation
from app.api.sessions import json_response
from app.audit import audit_line
from app.auth.operators import Invitation, Operator
from app.client_address import client_network_hash
from app.errors import (
    BatonError,
    InvalidRequest,
    LoginRequired,
    NotAllowed,
    PathNotFound,
    RateLimited,
    StorageUnavailable,
)
from app.extensions import services
from app.login_cookie import cookie_name, set_login_cookie

blueprint = Blueprint("desk_operators", __name__)


@blueprint.post("/api/desk/login")
@openapi_operation(
    {
        200: ResponseSpec(
            "The operator, whose login is the cookie.", {"application/json": desk_schemas.Me}, ("Set-Cookie",)
        )
    },
    body=desk_schemas.LoginRequest,
    errors=(LoginRequired, NotAllowed, PathNotFound, RateLimited, StorageUnavailable),
)
def log_in() -> Response:
    """Log in with an invitation."""
    operators = desk_operators()
    refuse_other_sites()
    demand_json()
    body = desk_schemas.LoginRequest.parse(read_json_object())
    address = client_network_hash()
    try:
        login = operators.log_in_by_invitation(body.invite, request.cookies.get(cookie_name()), address)
    except BatonError as error:
        audit_line("login", error.status, None, address=address[:10])
        raise
    audit_line("login", 200, login.operator)
    response = _me(login.operator)
    set_login_cookie(response, login.token)
    return response


@desk_route(blueprint, "POST", "/logout", "viewer", audit="logout")
@openapi_operation({200: desk_schemas.LoggedOut}, auth="desk", errors=DESK_ERRORS)
def log_out(caller: DeskCaller) -> Response:
    """Log out."""
    if caller.token:
        desk_operators().log_out(caller.token)
    response = json_response(desk_schemas.LoggedOut())
    set_login_cookie(response, "")
    return response


@desk_route(blueprint, "GET", "/me", "viewer")
@openapi_operation({200: desk_schemas.Me}, auth="desk", errors=DESK_ERRORS)
def get_me(caller: DeskCaller) -> Response:
    """Who calls, and whether they are switched on."""
    return _me(caller.operator)


@desk_route(blueprint, "POST", "/me", "viewer")
@openapi_operation({200: desk_schemas.Me}, body=desk_schemas.AvailabilityRequest, auth="desk", errors=DESK_ERRORS)
def set_me(caller: DeskCaller) -> Response:
    """Switch oneself available or away."""
    body = desk_schemas.AvailabilityRequest.parse(read_json_object())
    desk_operators().set_available(caller.acting.id, body.available)
    return _me(caller.operator)


def _me(operator: Operator | None) -> Response:
    available = operator is not None and desk_operators().is_switched_on(operator.id)
    return json_response(desk_schemas.Me(operator=_info(operator) if operator else None, available=available))


def _info(operator: Operator) -> desk_schemas.OperatorInfo:
    return desk_schemas.OperatorInfo(id=operator.id, name=operator.name, role=operator.role)


@desk_route(blueprint, "GET", "/operators", "admin")
@openapi_operation({200: desk_schemas.OperatorList}, auth="desk", errors=DESK_ERRORS)
def list_operators(_caller: DeskCaller) -> Response:
    """List the operators."""
    return json_response(desk_schemas.OperatorList.model_validate({"operators": desk_operators().summary()}))


@desk_route(blueprint, "POST", "/operators", "admin", audit="invite", key_alone=True)
@openapi_operation(
    {201: desk_schemas.OperatorInvited}, body=desk_schemas.InviteRequest, auth="desk", errors=DESK_ERRORS
)
def invite_operator(_caller: DeskCaller) -> Response:
    """Invite an operator, or make a new link for one."""
    invitation = _invite(desk_schemas.InviteRequest.parse(read_json_object()))
    operator = _info(invitation.operator)
    url = invitation_url(services().config.public_url, invitation)
    return json_response(desk_schemas.OperatorInvited(operator=operator, url=url), 201)


def invitation_url(public_url: str, invitation: Invitation) -> str:
    """The link, with the token behind a ``#``: browsers do not send that part, so no log and no proxy sees it."""
    return f"{public_url}/desk#invite={invitation.token}"


def _invite(body: desk_schemas.InviteRequest) -> Invitation:
    operators = desk_operators()
    if body.id is not None:
        known = operators.get(body.id)
        if known is None:
            raise PathNotFound("There is no such operator.")
        return operators.invite_again(Operator(known.id, body.name or known.name, body.role or known.role))
    if body.name is None or body.role is None:
        missing = [(name, "is missing") for name in ("name", "role") if getattr(body, name) is None]
        raise InvalidRequest(*missing[0], *missing[1:])
    return operators.invite(body.name, body.role)


@desk_route(blueprint, "DELETE", "/operators/<operator_id>", "admin", audit="remove operator", key_alone=True)
@openapi_operation({204: ResponseSpec("Removed, and logged out everywhere.")}, auth="desk", errors=DESK_ERRORS)
def remove_operator(_caller: DeskCaller, operator_id: str) -> Response:
    """Remove an operator with all their logins."""
    if not desk_operators().remove(operator_id):
        raise PathNotFound("There is no such operator.")
    return Response(status=204)


@desk_route(blueprint, "GET", "/replies", "viewer")
@openapi_operation({200: desk_schemas.ReplyList}, auth="desk", errors=DESK_ERRORS)
def get_replies(_caller: DeskCaller) -> Response:
    """List the canned replies."""
    return _replies(desk_operators().get_replies())


@desk_route(blueprint, "PUT", "/replies", "lead")
@openapi_operation({200: desk_schemas.ReplyList}, body=desk_schemas.SetRepliesRequest, auth="desk", errors=DESK_ERRORS)
def set_replies(_caller: DeskCaller) -> Response:
    """Replace the canned replies."""
    body = desk_schemas.SetRepliesRequest.parse(read_json_object(array_name="replies"))
    replies = orjson.dumps([reply.model_dump() for reply in body.replies])
    desk_operators().set_replies(replies)
    return _replies(replies)


def _replies(replies: bytes) -> Response:
    return Response(b'{"success":true,"replies":%b}' % replies, mimetype="application/json")
