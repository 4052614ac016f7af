"""Conversations in Redis: ``open_store`` opens the store at the address that the settings name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.storage.client import RedisClient, warn_about_redis_config
from app.storage.ownership import RedisOwnershipStore
from app.storage.pubsub import PubSubNotifier
from app.storage.redis_store import RedisConversationStore, StoreLimits

if TYPE_CHECKING:
    from app.config import Settings


def open_store(config: Settings, limits: StoreLimits) -> RedisConversationStore:
    """The store at ``REDIS_URL``, or on the embedded server, which is started unless it runs already."""
    client = open_client(config)
    _start_thread(lambda: warn_about_redis_config(client))
    notifier = PubSubNotifier(client.pubsub, _start_thread)
    return RedisConversationStore(client, notifier, limits, RedisOwnershipStore(client, limits))


def open_client(config: Settings) -> RedisClient:
    """A client of the Redis at ``REDIS_URL``, or of the embedded server, which is started unless it runs already."""
    return RedisClient(_url(config), wait_replicas=config.wait_replicas)


def _url(config: Settings) -> str:
    if config.redis_url is not None:
        return config.redis_url.get_secret_value()
    from app.storage.embedded_redis import start_or_reuse

    return start_or_reuse(config.data_dir)


def _start_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="baton-storage", daemon=True)
    thread.start()
    return thread
