"""The Flask extensions, made here and set up by ``create_app``, and what the application was built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from flask import Flask, Request, current_app
from flask.json.provider import JSONProvider
from flask.sessions import NullSession, SessionInterface, SessionMixin
from flask_cors import CORS
from flask_limiter import Limiter

from app.client_address import client_network_hash

if TYPE_CHECKING:
    from app.auth.oidc import OidcProvider
    from app.auth.operators import OperatorDirectory
    from app.config import Settings
    from app.conversations.answer_runner import AnswerRunner
    from app.conversations.claims import ClaimService
    from app.conversations.desk_feed import DeskFeed
    from app.conversations.event_sender import EventSender
    from app.conversations.names import NamedConversations
    from app.conversations.people import PeopleService
    from app.conversations.questions import QuestionLog
    from app.conversations.responses import ResponseDirectory
    from app.conversations.service import ConversationService
    from app.engines.base import Engine
    from app.storage.desk_index import DeskIndex
    from app.storage.redis_store import RedisConversationStore

cors = CORS()
limiter = Limiter(client_network_hash, storage_uri="baton://", strategy="fixed-window", in_memory_fallback_enabled=True)
"""Counts in the service's own Redis (``app.rate_limit.RedisWindows``); in this worker's memory while Redis is away."""


class NoCookieSessions(SessionInterface):
    """No visitor has a cookie: Flask's ``session`` is always empty and cannot be written to.

    Operators log in to the desk with a cookie of its own: app/api/desk_auth.py.
    """

    def open_session(self, app: Flask, request: Request) -> SessionMixin:  # noqa: ARG002 - its signature
        """An empty session."""
        return NullSession()

    def save_session(self, app: Flask, session: SessionMixin, response: object) -> None:
        """Sets no cookie."""


class OrjsonProvider(JSONProvider):
    """Flask's JSON, by orjson."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Compact JSON."""
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """The value of a JSON text. Raises ValueError."""
        return orjson.loads(s)


@dataclass(frozen=True, slots=True)
class Services:
    """What the application was built from."""

    config: Settings
    store: RedisConversationStore
    answer_runner: AnswerRunner
    conversations: ConversationService
    claims: ClaimService
    names: NamedConversations
    responses: ResponseDirectory
    engine: Engine
    knowledge: Any
    questions: QuestionLog | None
    """None unless BATON_KEEP_QUESTIONS is on."""
    event_sender: EventSender | None
    """None without BATON_EVENTS_URL."""
    identity_secrets: Mapping[str, str]
    operators: OperatorDirectory | None = None
    """None while the desk is off."""
    people: PeopleService | None = None
    """None while the desk is off."""
    oidc: OidcProvider | None = None
    """None where operators log in by invitation alone."""
    changes: DeskIndex | None = None
    """Where changes of sessions go; None where neither operators nor other systems learn of them."""
    desk: DeskIndex | None = None
    """The same, where operators do."""
    desk_feed: DeskFeed | None = None
    """None while the desk is off."""


def services() -> Services:
    """The services of the current application."""
    built: Services = current_app.extensions["baton"]
    return built
