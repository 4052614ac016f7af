"""Conversations in Redis: ``open_log`` gives the log for the address that the settings name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.storage.client import Commands
from app.storage.config_check import advise
from app.storage.discovery import reach
from app.storage.pubsub import Bell
from app.storage.redis_store import RedisConversationStore, StoreLimits

if TYPE_CHECKING:
    from app.config import Settings


def open_store(config: Settings, rules: StoreLimits) -> RedisConversationStore:
    """The log at ``REDIS_URL``, or on the embedded server, which is started where nobody has."""
    found = reach(_url(config))
    commands = Commands(found.redis, wait_replicas=config.wait_replicas)
    _spawn(lambda: advise(commands))
    return RedisConversationStore(commands, Bell(found.connect, _spawn), rules)


def _url(config: Settings) -> str:
    if config.redis_url is not None:
        return config.redis_url.get_secret_value()
    from app.storage.embedded_redis import ensure

    return ensure(config.data_dir)


def _spawn(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="baton-bell", daemon=True)
    thread.start()
    return thread
