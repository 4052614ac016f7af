"""Conversations in Redis: ``open_log`` gives the log for the address that the settings name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.store.advice import advise
from app.store.bell import Bell
from app.store.commands import Commands
from app.store.log import RedisLog, Rules
from app.store.topology import reach

if TYPE_CHECKING:
    from app.config import Config


def open_log(config: Config, rules: Rules) -> RedisLog:
    """The log at ``REDIS_URL``, or on the embedded server, which is started where nobody has."""
    found = reach(_url(config))
    commands = Commands(found.redis, wait_replicas=config.wait_replicas)
    _spawn(lambda: advise(commands))
    return RedisLog(commands, Bell(found.connect, _spawn), rules)


def _url(config: Config) -> str:
    if config.redis_url is not None:
        return config.redis_url.get_secret_value()
    from app.store.embedded import ensure

    return ensure(config.data_dir)


def _spawn(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="baton-bell", daemon=True)
    thread.start()
    return thread
