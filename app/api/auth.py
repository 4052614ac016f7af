"""Who calls, and which session the call is about: the one place that reads credentials."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint, Response, current_app
from flask.globals import request
from werkzeug.exceptions import MethodNotAllowed

from app.api.openapi import Operation, describes
from app.auth.user_tokens import SignedInUser, verify_user_token
from app.conversations.ids import hash_session_id
from app.errors import BatonError, RoleForbidden, SessionNotFound

_COLLECTIONS = ("create", "resume")


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class Caller:
    """A session as its caller names it. ``who`` is ``*`` with the API key, else a signed-in user or empty."""

    session_id: str
    session_hash: str
    actor: str
    baton: Any
    """What the application was built with."""


View = Callable[..., Response]
T = TypeVar("T")


def baton() -> Any:
    """What the application was built with."""
    return current_app.extensions["baton"]


def bearer() -> str | None:
    """The bearer credential; None where there is none. Doubled headers arrive joined and fit nothing."""
    scheme, _, value = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def has_key() -> bool:
    """Whether the call carries the API key. Raises Forbidden where a browser does: it must not know it."""
    key, given = baton().config.api_key, bearer()
    if key is None or not given or not hmac.compare_digest(given.encode(), key.get_secret_value().encode()):
        return False
    if "HTTP_ORIGIN" in request.environ:
        raise RoleForbidden("The API key is for servers; a browser must not carry it.")
    return True


def actor(token: str = "", session_hash: str | None = None) -> str:
    """As whom the call on this session is made: the service's owner, the user of ``token`` or of ``Baton-User``, or
    nobody known.

    Raises Forbidden (``bad_token``) for a token that does not verify.
    """
    if "HTTP_AUTHORIZATION" in request.environ and has_key():
        return "*"
    user = person(token, session_hash)
    return user.user if user else ""


def person(token: str = "", session_hash: str | None = None) -> SignedInUser | None:
    """The user whom ``token`` or ``Baton-User`` names, also where a server calls for them; None where neither is there,
    or where it is good for another session only.

    Raises Forbidden (``bad_token``) for a token that does not verify.
    """
    token = token or request.environ.get("HTTP_BATON_USER", "")
    user = verify_user_token(token, baton().identity_secrets) if token else None
    return user if user and user.session_hash in ("", session_hash) else None


def caller(session_id: str | None) -> Caller:
    """The session of a call, by its path or, in the ``me`` form, by its bearer id. Raises NotFound."""
    plain = session_id is not None
    text = session_id if plain else bearer()
    session_hash = hash_session_id(text)
    if session_hash is None or text is None:
        raise SessionNotFound
    environ = request.environ
    environ["baton.session_ref"] = session_hash[:10]
    proven = "HTTP_AUTHORIZATION" in environ or "HTTP_BATON_USER" in environ
    return Caller(text, session_hash, actor(session_hash=session_hash) if proven else "", baton())


def checked(one: Caller, read: Callable[[], T]) -> T:
    """What ``read`` makes of the request; a session that is not there is told before any fault of the request."""
    try:
        return read()
    except BatonError:
        one.baton.conversations.get_page(one.session_hash, one.actor)
        raise


def on_session(blueprint: Blueprint, method: str, path: str, operation: Operation) -> Callable[[View], View]:
    """Declares a call on a session, in its plain and its ``me`` form; the view gets a ``Caller``."""

    def declare(view: View) -> View:
        @wraps(view)
        def answer(session_id: str | None = None, **more: Any) -> Response:
            if not path and session_id in _COLLECTIONS:  # a call of that name, by another method; no session
                raise MethodNotAllowed(valid_methods=["POST"])
            return view(caller(session_id), **more)

        answer = describes(operation)(answer)
        for place in ("<session_id>", "me"):
            blueprint.add_url_rule(f"/api/session/{place}{path}", view.__name__, answer, methods=[method])
        return view

    return declare
