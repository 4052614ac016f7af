"""The services that the contract tests talk to, one a group of settings, each started when first wanted.

``BATON_TEST_URL`` names a running service instead of the first one;
it must have been started with the settings of ``PLAIN``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.api_client import ApiClient, Visitor
from tests.contract.launch import RedisProcess, Service, redis_for_desk

API_KEY = "key-of-the-server-0123456789"
NO_LIMITS = {f"BATON_RATE_LIMIT_{name}": "" for name in ("CREATE", "SESSION", "ADDRESS")} | {
    "BATON_ENGINE_CONCURRENCY": "1000"
}
SCRIPTED = {"BATON_ENGINE": "python:tests.contract.fake_bot:answer"}
PLAIN = {
    **NO_LIMITS,
    **SCRIPTED,
    "BATON_API_KEY": API_KEY,
    "BATON_ENGINE_TIMEOUT": "2",
    "BATON_ENGINE_PER_MINUTE": "100000",
    "BATON_PUBLIC_URL": "https://chat.example",
}
BRIEF = {
    **SCRIPTED,
    "BATON_SESSION_TTL": "3",
    "BATON_SESSION_MAX_AGE": "6",
    "BATON_IDLE_TIMEOUT": "1",
    "BATON_TICKET_TTL": "1",
    "BATON_RATE_LIMIT_CREATE": "20 per minute",
    "BATON_RATE_LIMIT_SESSION": "",
    "BATON_RATE_LIMIT_ADDRESS": "",
    "BATON_ALLOWED_ORIGINS": "https://a.example.com,http://localhost:1234",
    "BATON_TRUSTED_PROXIES": "1",
    "BATON_MAX_MESSAGES": "6",
    "BATON_MAX_MESSAGE_CHARS": "50",
    "BATON_CHAT_PAGE_URL": "https://site.example/chatbot?lang=de",
}
LIMITED = {**SCRIPTED, "BATON_RATE_LIMIT_CREATE": "5 per minute", "BATON_RATE_LIMIT_SESSION": "6 per hour",
           "BATON_RATE_LIMIT_ADDRESS": "12 per minute", "BATON_API_KEY": API_KEY}  # fmt: skip
BUDGET = {**NO_LIMITS, **SCRIPTED, "BATON_ENGINE_CONCURRENCY": "8", "BATON_ENGINE_PER_MINUTE": "6"}


BRANDING = {
    "BATON_TITLE": "Teehaus Grün",
    "BATON_GREETING": "Grüß Gott! Was möchten Sie wissen?",
    "BATON_SUGGESTIONS": '["Wann haben Sie offen?", "Was kostet der Versand?"]',
    "BATON_COLOR": "#7c3aed",
    "BATON_THEME": "dark",
    "BATON_LANG": "de",
    "BATON_ASSISTANT_NAME": "Matcha",
    "BATON_CONTACT_URL": "mailto:hallo@teehaus.example",
    "BATON_PAGES": "knowledge,docs",
    "BATON_ALLOWED_ORIGINS": "https://teehaus.example",
}
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4" fill="#7c3aed"/></svg>'


class RunningService:
    """A service with a Redis of its own, or the one at a given URL."""

    def __init__(self, settings: dict[str, str], url: str = "", redis: RedisProcess | None = None) -> None:
        self.redis_process = redis or (None if url else RedisProcess())
        try:
            self.service = None if self.redis_process is None else Service(self.redis_process.url, **settings)
        except BaseException:
            self.redis.stop()
            raise
        self.base = url or self.own.base

    @property
    def own(self) -> Service:
        assert self.service is not None, "this test needs a service that the tests started themselves"
        return self.service

    @property
    def redis(self) -> RedisProcess:
        assert self.redis_process is not None, "this test needs the Redis behind the service"
        return self.redis_process

    def key_names(self) -> list[str]:
        """All keys in Redis but those of the limits by address and of the engine budget, sorted."""
        with self.redis.client() as look:
            names = sorted(look.scan_iter(count=1000))
        return [name for name in names if not re.search(r"limit|\{engine\}|\{[0-9a-f]{24}\}:feeds$", name)]

    def stop(self) -> None:
        if self.service is not None:
            self.service.remove()
        if self.redis_process is not None:
            self.redis_process.stop()


def _running(settings: dict[str, str], url: str = "", redis: RedisProcess | None = None) -> Iterator[RunningService]:
    started = RunningService(settings, url, redis)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def plain() -> Iterator[RunningService]:
    """No limits, the scripted engine, an API key; the engine may be silent for 2 s."""
    yield from _running(PLAIN, os.environ.get("BATON_TEST_URL", "").rstrip("/"))


@pytest.fixture(scope="session")
def own(request: pytest.FixtureRequest) -> Iterator[RunningService]:
    """As ``plain``, but always started here, so that its Redis, its output and its engine can be looked at."""
    if os.environ.get("BATON_TEST_URL"):
        yield from _running(PLAIN)
    else:
        yield request.getfixturevalue("plain")


@pytest.fixture(scope="session")
def brief() -> Iterator[RunningService]:
    """Everything small: lives 3 s, 6 s at most, idle after 1 s, tickets 1 s, 6 messages of 50 characters; two
    origins.
    """
    yield from _running(BRIEF)


@pytest.fixture(scope="session")
def limited() -> Iterator[RunningService]:
    """Rate limits: 5 creates a minute, 6 an hour a session, 12 a minute an address; no proxy is trusted."""
    yield from _running(LIMITED)


@pytest.fixture(scope="session")
def budget() -> Iterator[RunningService]:
    """Two turns at once, six a minute."""
    yield from _running(BUDGET)


@pytest.fixture(scope="session")
def branded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A site with a title, a logo and whatever else visitors see; of the pages only knowledge and docs; one origin."""
    logo = tmp_path_factory.mktemp("branding") / "logo.svg"
    logo.write_text(LOGO)
    yield from _running({**BRANDING, "BATON_LOGO": str(logo)})


@pytest.fixture(scope="session")
def desk() -> Iterator[RunningService]:
    """As ``plain``, with the desk switched on."""
    yield from _running({**PLAIN, "BATON_DESK": "on"}, redis=redis_for_desk())


@pytest.fixture
def caller(plain: RunningService) -> ApiClient:
    return ApiClient(plain.base)


@pytest.fixture
def visitor(caller: ApiClient) -> Visitor:
    """A visitor with a fresh session."""
    return caller.create()


@pytest.fixture
def key() -> dict[str, str]:
    """The header of a server that holds the API key."""
    return {"Authorization": f"Bearer {API_KEY}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, str]], Path]:
    """Writes a folder of pages: path below it to text."""

    def write(pages: dict[str, str]) -> Path:
        root = tmp_path_factory.mktemp("knowledge")
        for name, text in pages.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, "utf-8")
        return root

    return write
