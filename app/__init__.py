"""Baton: a self-hosted web chat whose conversation can change hands in the middle of an answer."""

from __future__ import annotations

import _thread
import os
import secrets
import socket
import time
import tomllib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask

from app import client_address, engines, error_handlers, metrics, middleware, origins, rate_limit
from app.api import (
    ag_ui,
    ai_sdk,
    chat,
    desk_analytics,
    desk_conversations,
    desk_operators,
    health,
    human,
    messages,
    openai_chat,
    openai_responses,
    openapi,
    sessions,
    site,
    sse,
    websocket,
)
from app.auth import user_tokens
from app.auth.operators import OperatorDirectory
from app.config import ROOT, ConfigError, Settings
from app.conversations import sweeper
from app.conversations.answer_runner import AnswerRunner, RunnerConfig
from app.conversations.change_tracker import ChangeTracker
from app.conversations.claims import ClaimService
from app.conversations.desk_feed import DeskFeed
from app.conversations.names import NamedConversations
from app.conversations.people import PeopleService
from app.conversations.questions import QuestionLog
from app.conversations.responses import ResponseDirectory
from app.conversations.service import ConversationService
from app.conversations.sweeper import Sweeper
from app.engines.base import Engine
from app.extensions import NoCookieSessions, OrjsonProvider, Services
from app.logging_config import install_thread_excepthook
from app.storage import analytics, event_queue, open_store
from app.storage.desk_index import DeskIndex
from app.storage.event_queue import EventQueue
from app.storage.operators import RedisOperatorStore
from app.storage.redis_store import RedisConversationStore, StoreLimits
from app.web import desk, pages

if TYPE_CHECKING:
    from app.auth.oidc import OidcProvider
    from app.conversations.event_sender import EventSender

VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
"""The version of this service. pyproject.toml is the only place where it is written."""


def create_app(config: Settings | None = None, *, engine: Engine | None = None) -> Flask:
    """The application. Without settings it is built from the environment; nothing exists before this is called.

    ``engine`` takes the place of the one that the settings name.

    Raises ConfigError for a wrong setting.
    """
    config = config or Settings.from_env()
    app = Flask(__name__, static_folder=None)
    app.session_interface = NoCookieSessions()
    app.json = OrjsonProvider(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.config["SOCK_SERVER_OPTIONS"] = websocket.OPTIONS
    services = app.extensions["baton"] = _build_services(config, engine)
    # The gunicorn worker calls these at shutdown: the first ends the feeds, the second waits for running answers.
    app.extensions["baton.leaving"] = lambda: _end_feeds(services)
    app.extensions["baton.drain"] = services.answer_runner.drain
    if services.changes:
        app.extensions["baton.drain"] = _follow_changes(services, services.changes)

    if services.people:
        app.register_blueprint(human.blueprint)
    for views in (site, sessions, messages, chat, sse, websocket, ai_sdk, ag_ui, openai_chat, openai_responses, pages):
        app.register_blueprint(views.blueprint)
    for views in (desk_operators, desk_conversations, desk_analytics, desk) if config.desk else ():
        app.register_blueprint(views.blueprint)
    if services.oidc:
        from app.web import desk_login

        app.register_blueprint(desk_login.blueprint)
    about = health.HealthInfo(services.store.health, services.knowledge.status, services.engine.name, VERSION)
    app.register_blueprint(health.blueprint(about))
    app.register_blueprint(
        openapi.blueprint(server=config.public_url, version=VERSION, max_chars=config.max_message_chars)
    )
    pages.init_app(app, shown=config.pages)

    origins.init_app(app, allowed=config.allowed_origins, public_url=config.public_url)
    rate_limit.init_app(app)
    error_handlers.init_app(app, render_page_error=pages.error_page)
    client_address.init_app(app, trusted_proxies=config.trusted_proxies)
    middleware.init_app(app)
    install_thread_excepthook()
    return app


def _build_services(config: Settings, engine: Engine | None) -> Services:
    try:
        store = open_store(config, _store_limits(config))
    except ValueError as error:  # of the URL's query, which redis-py reads
        raise ConfigError(f"REDIS_URL: {str(error)[:1].lower()}{str(error)[1:]}") from None
    operators = OperatorDirectory(RedisOperatorStore(store.client)) if config.desk else None
    index = _change_index(config, store)
    people = PeopleService(store, operators, index) if operators else None
    knowledge = engines.get_knowledge_engine(config)
    engine = engine or engines.create_engine(config)
    questions = QuestionLog(store.client) if config.desk and config.keep_questions else None
    runner_config = RunnerConfig(
        knowledge.find, config.engine_timeout, _start_thread, metrics.turn_metrics(), people,
        questions.add if questions else lambda _question: None,
    )  # fmt: skip
    answer_runner = AnswerRunner(store, engine, runner_config)
    _start_thread(answer_runner.forget_problem)
    conversations = ConversationService(store, answer_runner, idle_timeout_ms=config.idle_timeout * 1000, index=index)
    claims = ClaimService(
        store.ownership, store, conversations, people.refresh if people else lambda _session_hash: None
    )
    api_key = config.api_key.get_secret_value() if config.api_key else ""
    identity_secret = config.identity_secret
    return Services(
        config=config,
        store=store,
        answer_runner=answer_runner,
        conversations=conversations,
        claims=claims,
        names=NamedConversations(store.ownership, store, conversations, claims, api_key),
        responses=ResponseDirectory(store.ownership, api_key, max_age=config.session_max_age),
        engine=engine,
        knowledge=knowledge,
        questions=questions,
        event_sender=_start_event_sender(config, store),
        identity_secrets=user_tokens.parse_secrets(identity_secret.get_secret_value()) if identity_secret else {},
        operators=operators,
        people=people,
        oidc=_oidc_provider(config),
        changes=index,
        desk=index if operators else None,
        desk_feed=_desk_feed(index, operators),
    )


def _start_event_sender(config: Settings, store: RedisConversationStore) -> EventSender | None:
    """What sends events; it and its HTTP client are loaded only where they are sent somewhere."""
    if config.events_url is None or config.events_secret is None:
        return None
    from app.conversations.event_sender import EventSender, SenderConfig

    secret = config.events_secret.get_secret_value()
    sender_config = SenderConfig(config.events_url, secret, config.webhook_allow_private)
    worker = f"{socket.gethostname()}-{os.getpid()}"
    queue = EventQueue(store.client, worker, sender_config.lease_ms, sender_config.longest_delay_ms)
    sender = EventSender(queue, sender_config, _start_thread, metrics.sender_metrics())
    _start_thread(sender.run)
    return sender


def _end_feeds(services: Services) -> None:
    services.store.shut_down_subscribers()
    if services.event_sender:
        services.event_sender.stop()


def _oidc_provider(config: Settings) -> OidcProvider | None:
    """The provider that operators log in with. Authlib is loaded only where there is one."""
    if not (config.desk and config.oidc_issuer and config.oidc_client_id and config.oidc_client_secret):
        return None
    from app.auth.oidc import OidcConfig, OidcProvider

    secret, redirect_uri = config.oidc_client_secret.get_secret_value(), f"{config.public_url}/desk/oidc/callback"
    roles = config.oidc_roles or {}
    return OidcProvider(OidcConfig(config.oidc_issuer, config.oidc_client_id, secret, roles, redirect_uri))


def _change_index(config: Settings, store: RedisConversationStore) -> DeskIndex | None:
    """Where changes of sessions go; None where nobody learns of them."""
    if not store.limits.tracking:
        return None
    return DeskIndex(
        store.client,
        store.notifier,
        idle_ms=config.idle_timeout * 1000,
        kept_ms=config.session_max_age * 1000,
        with_desk=config.desk,
        queued=event_queue.entry if config.events_url else None,
        counted=partial(analytics.counted, kept_days=config.analytics_days) if config.desk else None,
    )


def _desk_feed(index: DeskIndex | None, operators: OperatorDirectory | None) -> DeskFeed | None:
    if index is None or operators is None:
        return None
    feed = DeskFeed(index, operators, sse.format_sse)
    operators.changed = feed.forget_operators
    return feed


def _follow_changes(services: Services, index: DeskIndex) -> Callable[[float], None]:
    """Starts what applies changes and what sweeps; returns what the worker calls last, with seconds."""
    worker = secrets.token_hex(8)
    store, config = services.store, services.config
    people = None
    if services.people and services.operators:
        people = sweeper.People(services.people, services.operators, config.queue_timeout * 1000)
    tracker = ChangeTracker(index, worker, store.changed)
    sweeps = Sweeper(index, store, worker, people)
    _start_thread(tracker.run)
    _start_thread(sweeps.run)

    def drain(seconds: float) -> None:
        deadline = time.monotonic() + seconds
        sweeps.stop()
        services.answer_runner.drain(seconds)
        tracker.drain(max(deadline - time.monotonic(), 0.5))

    return drain


def _store_limits(config: Settings) -> StoreLimits:
    limit = rate_limit.parse_rate(config.rate_limit_session)
    return StoreLimits(
        ttl=config.session_ttl * 1000,
        max_age=config.session_max_age * 1000,
        idle=config.idle_timeout * 1000,
        ticket_ttl=config.ticket_ttl * 1000,
        max_messages=config.max_messages,
        session_limit=limit.amount,
        session_window=limit.window_ms,
        max_engine_calls=config.engine_concurrency,
        max_engine_calls_per_minute=config.engine_per_minute,
        tracking="desk" if config.desk else "events" if config.events_url else "",
    )


def _start_thread(work: Callable[[], None]) -> None:
    """Starts a thread, or under gevent a greenlet. ``threading.Thread`` would cost 30 us more, and nobody joins it."""
    _thread.start_new_thread(work, ())
