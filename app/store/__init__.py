"""Conversations in Redis: ``open_log`` gives the log for the address that the settings name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.store.bell import Bell
from app.store.commands import Commands
from app.store.connections import CONNECT_SECONDS, READ_SECONDS, Connection, Connections
from app.store.log import RedisLog, Rules

if TYPE_CHECKING:
    from app.config import Config


def open_log(config: Config, rules: Rules) -> RedisLog:
    """The log at ``REDIS_URL``, or on the embedded server, which is started where nobody has."""
    url = _url(config)
    connect = _connector(url)
    commands = Commands(Connections(connect), wait_replicas=config.wait_replicas)
    return RedisLog(commands, Bell(connect, _spawn), rules)


def _url(config: Config) -> str:
    if config.redis_url is not None:
        return config.redis_url.get_secret_value()
    from app.store.embedded import ensure

    return ensure(config.data_dir)


def _connector(url: str) -> Callable[[], Connection]:
    pool = ConnectionPool.from_url(
        url,
        protocol=2,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=READ_SECONDS,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    return cast("Callable[[], Connection]", pool.make_connection)


def _spawn(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="baton-bell", daemon=True)
    thread.start()
    return thread
