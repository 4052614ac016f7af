"""Who calls, and which session the call is about: the only place that reads credentials."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed

from app.auth.user_tokens import SignedInUser, verify_user_token
from app.conversations.ids import hash_session_id
from app.errors import BatonError, RoleForbidden, SessionNotFound
from app.extensions import services

ANONYMOUS, OWNER = "", "*"
"""Actors beside the signed-in users, whose hash stands for them: nobody known, and whoever has the API key."""
RESERVED_IDS = ("create", "resume")
"""Paths of other calls; never session ids."""

T = TypeVar("T")


@dataclass(slots=True)  # not frozen: one is made for every request, at a third of the cost
class SessionContext:
    """The session that a request is about, and the actor: ANONYMOUS, OWNER or a signed-in user's hash."""

    session_id: str
    session_hash: str
    actor: str


def bearer_token() -> str | None:
    """The bearer credential; None where there is none. Doubled headers arrive joined and match nothing."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def is_api_key_request() -> bool:
    """Whether the request carries the API key. Raises RoleForbidden for a browser that does: it must not know it."""
    key, token = services().config.api_key, bearer_token()
    if key is None or not token or not hmac.compare_digest(token.encode(), key.get_secret_value().encode()):
        return False
    if "Origin" in request.headers:
        raise RoleForbidden("The API key is for servers; a browser must not carry it.")
    return True


def get_actor(user_token: str | None = None, session_hash: str | None = None) -> str:
    """OWNER with the API key, else the hash of the signed-in user, else ANONYMOUS. Raises BadToken."""
    if "Authorization" in request.headers and is_api_key_request():
        return OWNER
    user = get_signed_in_user(user_token, session_hash)
    return user.user if user else ANONYMOUS


def get_signed_in_user(user_token: str | None = None, session_hash: str | None = None) -> SignedInUser | None:
    """The user whom ``user_token`` or ``Baton-User`` names, also where a server calls for them.

    None without a token, or with one that is good for another session than this only. Raises BadToken.
    """
    token = user_token or request.headers.get("Baton-User")
    user = verify_user_token(token, services().identity_secrets) if token else None
    return user if user and user.session_hash in ("", session_hash) else None


def load_session_context(session_id: str | None) -> SessionContext:
    """The context of a session id, or of the bearer id where it is None. Raises SessionNotFound for a malformed id."""
    text = bearer_token() if session_id is None else session_id
    session_hash = hash_session_id(text)
    if session_hash is None or text is None:
        raise SessionNotFound
    request.environ["baton.session_ref"] = session_hash[:10]  # for the access log
    return SessionContext(text, session_hash, get_actor(session_hash=session_hash))


def validate_after_session_exists(context: SessionContext, validate: Callable[[], T]) -> T:
    """What ``validate`` returns. Where it raises, a session that does not exist (404) is reported instead."""
    try:
        return validate()
    except BatonError:
        services().conversations.get_page(context.session_hash, context.actor)
        raise


def session_route(
    blueprint: Blueprint, method: str, path: str
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Registers a view at /api/session/<session_id>path and /api/session/me path; it is given a SessionContext."""

    def register(view: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(view)
        def with_context(session_id: str | None = None, **parameters: Any) -> Response:
            if not path and session_id in RESERVED_IDS:
                raise MethodNotAllowed(valid_methods=["POST"])
            return view(load_session_context(session_id), **parameters)

        for session in ("<session_id>", "me"):
            blueprint.add_url_rule(f"/api/session/{session}{path}", view.__name__, with_context, methods=[method])
        return view

    return register
