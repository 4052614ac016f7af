"""Who calls the desk and what they may do: the login cookie or the API key, roles, calls from other sites, audit.

A blueprint of the desk is registered by ``create_app`` only where ``BATON_DESK`` is on, so that all of it is 404
otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from flask import Blueprint, Response, request

from app.api.auth import is_api_key_request
from app.audit import audit_line
from app.auth.operators import Operator, OperatorDirectory
from app.config import Role
from app.errors import (
    BatonError,
    InvalidRequest,
    LoginRequired,
    NotAllowed,
    PathNotFound,
    StorageUnavailable,
    UnsupportedMediaType,
)
from app.extensions import services
from app.login_cookie import cookie_name
from app.origins import origin_of

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
RENEW_SECONDS = 0.25
"""A feed asks no more often than this whether its login still lives."""


@dataclass(slots=True)
class DeskCaller:
    """Who calls: an operator by their login, an operator for whom a server calls, or the API key alone."""

    operator: Operator | None
    """None with the API key alone."""
    by_api_key: bool
    token: str = field(default="", repr=False)
    """The cookie of the login; "" where a server calls."""
    _renewed_at: float = field(default_factory=time.monotonic, repr=False)

    @property
    def acting(self) -> Operator:
        """The operator. Raises InvalidRequest for the API key alone."""
        if self.operator is None:
            raise InvalidRequest("Baton-Operator", "must name the operator for whom the call is made")
        return self.operator

    @property
    def operator_id(self) -> str:
        """The operator's id; "" for the API key alone."""
        return self.operator.id if self.operator else ""

    def renew(self, operators: OperatorDirectory) -> bool:
        """For feeds, before whatever they send: whether the caller may still read, and marks them as present.

        Asks Redis at most once in RENEW_SECONDS. It takes the directory since a feed runs outside of the request.
        """
        now = time.monotonic()
        if self.operator is None or now - self._renewed_at < RENEW_SECONDS:
            return True
        self._renewed_at = now
        operator_id = self.operator.id
        try:
            operator = (
                operators.touch(operator_id, by_server=True) if self.by_api_key else operators.use_login(self.token)
            )
        except StorageUnavailable:  # nothing can be read that they might no longer see
            return True
        return operator is not None


def desk_route(
    blueprint: Blueprint,
    method: str,
    path: str,
    role: Role,
    *,
    audit: str = "",
    key_alone: bool = False,
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Registers a view at /api/desk and ``path``; it is given a DeskCaller whose role is at least ``role``.

    ``audit``: the call's name in the audit log; without one only a refusal for the role or the site is written there.
    ``key_alone``: the API key may write here without naming an operator.
    What is refused is refused before the view runs: 404 while the desk is off, then 401, 403, 415.
    """

    def register(view: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(view)
        def for_caller(**parameters: Any) -> Response:
            caller: DeskCaller | None = None
            status = 500
            try:
                caller = identify_caller()
                check_caller(caller, role, key_alone=key_alone)
                response = view(caller, **parameters)
                status = response.status_code
                return response
            except BatonError as error:
                status = error.status
                raise
            finally:
                if audit or status == 403:
                    operator, by_api_key = (caller.operator, caller.by_api_key) if caller else (None, False)
                    audit_line(audit or view.__name__, status, operator, by_api_key=by_api_key, **parameters)

        blueprint.add_url_rule(f"/api/desk{path}", view.__name__, for_caller, methods=[method])
        return view

    return register


def authenticate(role: Role) -> DeskCaller:
    """The caller of the current request, for a view outside of /api/desk. Raises what ``desk_route`` answers with."""
    caller = identify_caller()
    check_caller(caller, role)
    return caller


def identify_caller() -> DeskCaller:
    """The caller of the current request, who is present by it. Raises PathNotFound, LoginRequired or Forbidden."""
    return _server_caller() or _logged_in_caller()


def check_caller(caller: DeskCaller, role: Role, *, key_alone: bool = False) -> None:
    """Raises NotAllowed, InvalidRequest or UnsupportedMediaType for what the caller may not do, or not from there."""
    writes = request.method not in _SAFE_METHODS
    if not caller.by_api_key and writes:
        refuse_other_sites()
    operator = caller.acting if writes and not key_alone else caller.operator
    if operator and not operator.is_at_least(role):
        raise NotAllowed(f"This needs the role {role}; yours is {operator.role}.")
    if not caller.by_api_key and writes:
        demand_json()


def _server_caller() -> DeskCaller | None:
    """A server with the API key; None without it. Raises NotAllowed where it names an operator who is not there."""
    directory = desk_operators()
    if not is_api_key_request():
        return None
    named = request.headers.get("Baton-Operator")
    if named is None:
        return DeskCaller(None, by_api_key=True)
    operator = directory.touch(named, by_server=True)
    if operator is None:
        raise NotAllowed("Baton-Operator names nobody who is an operator here.")
    return DeskCaller(operator, by_api_key=True)


def _logged_in_caller() -> DeskCaller:
    token = request.cookies.get(cookie_name())
    operator = desk_operators().use_login(token) if token else None
    if operator is None or token is None:
        raise LoginRequired("Log in to the desk first.")
    return DeskCaller(operator, by_api_key=False, token=token)


def desk_operators() -> OperatorDirectory:
    """The operators. Raises PathNotFound while the desk is off."""
    operators = services().operators
    if operators is None:
        raise PathNotFound("There is nothing at this path.")
    return operators


def refuse_other_sites() -> None:
    """Lets a browser's writing call pass only from a page of this service (OWASP, "Verifying Origin").

    Browsers send Origin with every writing call, and Sec-Fetch-Site over https and on this machine. Raises NotAllowed.
    """
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    is_own = _is_own_origin(origin) if origin is not None else site == "same-origin"
    if not is_own or site not in (None, "same-origin"):
        raise NotAllowed("The desk takes calls from its own pages alone.")


def _is_own_origin(origin: str) -> bool:
    if origin == origin_of(services().config.public_url):
        return True
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and host == request.headers.get("Host")


def demand_json() -> None:
    """Another site's form cannot send this media type without a preflight, which is refused. Also without a body."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
