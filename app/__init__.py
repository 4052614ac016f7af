"""Baton: a self-hosted web chat whose conversation can change hands in the middle of an answer."""

from __future__ import annotations

import _thread
from collections.abc import Callable

from flask import Flask

from app import client_address, engines, error_handlers, metrics, middleware, origins, rate_limit
from app.api import chat, health, messages, openapi, openapi_operations, sessions, sse, websocket
from app.auth import user_tokens
from app.config import Settings
from app.conversations.answer_runner import AnswerRunner, RunnerConfig
from app.conversations.claims import ClaimService
from app.conversations.service import ConversationService
from app.engines.base import Engine
from app.extensions import NoCookieSessions, OrjsonProvider, Services
from app.logging_config import install_thread_excepthook
from app.storage import open_store
from app.storage.redis_store import RedisConversationStore, StoreLimits
from app.web import pages

VERSION = "0.1.0"


def create_app(
    config: Settings | None = None, *, log: RedisConversationStore | None = None, engine: Engine | None = None
) -> Flask:
    """The service. Without arguments it is built from the environment; nothing exists before this is called.

    Raises ConfigError for a wrong setting.
    """
    config = config or Settings.from_env()
    log = log or open_store(config, _rules(config))
    knowledge = engines.get_knowledge_engine(config)
    engine = engine or engines.create_engine(config)
    means = RunnerConfig(knowledge.find, config.engine_timeout, _spawn, metrics.turn_metrics())
    answering = AnswerRunner(log, engine, means)
    conversations = ConversationService(log, answering, idle_timeout_ms=config.idle_timeout * 1000)
    app = Flask(__name__, static_folder=None)
    app.session_interface = NoCookieSessions()
    app.json = OrjsonProvider(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.config["SOCK_SERVER_OPTIONS"] = websocket.OPTIONS
    app.extensions["baton"] = Services(
        config,
        log,
        answering,
        conversations,
        ClaimService(log.ownership, log, conversations),
        engine,
        knowledge,
        user_tokens.parse_secrets(config.identity_secret.get_secret_value()) if config.identity_secret else {},
    )
    # What the server calls as a worker goes: listeners are told to come back, running answers are waited for.
    app.extensions |= {"baton.leaving": log.shut_down_subscribers, "baton.drain": answering.drain}
    _register(app, config, log, engine)
    return app


def _register(app: Flask, config: Settings, log: RedisConversationStore, engine: Engine) -> None:
    about = health.About(log.health, app.extensions["baton"].knowledge.status, engine.name, VERSION)
    described = openapi.blueprint(
        openapi_operations.DOCUMENT, server=config.public_url, version=VERSION, most_chars=config.max_message_chars
    )
    for part in (sessions, messages, chat, sse, websocket, pages):
        app.register_blueprint(part.blueprint)
    app.register_blueprint(health.blueprint(about))
    app.register_blueprint(described)
    error_handlers.init_app(app, render_page_error=pages.error_page)
    rate_limit.init_app(app)
    client_address.init_app(app, trusted_proxies=config.trusted_proxies)
    origins.init_app(app, allowed=config.allowed_origins, public_url=config.public_url)
    middleware.init_app(app)
    install_thread_excepthook()


def _rules(config: Settings) -> StoreLimits:
    limit = rate_limit.parse_rate(config.rate_limit_session)
    return StoreLimits(
        ttl=config.session_ttl * 1000,
        max_age=config.session_max_age * 1000,
        idle=config.idle_timeout * 1000,
        ticket_ttl=config.ticket_ttl * 1000,
        most_messages=config.max_messages,
        session_limit=limit.amount,
        session_window=limit.window_ms,
        engines_at_once=config.engine_concurrency,
        engines_a_minute=config.engine_per_minute,
    )


def _spawn(work: Callable[[], None]) -> None:
    """A thread, or under gevent a greenlet, without the 30 us of the object that could be joined."""
    _thread.start_new_thread(work, ())
