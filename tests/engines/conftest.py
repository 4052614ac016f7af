"""Requests, a faulty server, and each engine as a service would create it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app import engines
from app.config import Settings
from app.engines.base import AnswerChunk, CancelToken, ChatMessage, Citation, Engine, EngineRequest, TextChunk
from app.engines.python import PythonEngine
from tests.engines.faulty_server import FaultyServer

SOURCES = (
    Citation("Opening hours", "https://docs.example.test/hours#week", "We are open from nine to five."),
    Citation("Prices", "https://docs.example.test/prices", "A garden costs 20 euros."),
    Citation("Opening hours", "https://docs.example.test/hours#sunday", "We are closed on Sundays."),
)

MakeSettings = Callable[..., Settings]
OPENED: list[PythonEngine] = []


def ask(question: str, *history: str, idle_timeout: float = 5.0, cancel: CancelToken | None = None) -> EngineRequest:
    """A request; ``history`` are the earlier messages, the visitor's first."""
    return EngineRequest(
        question=question,
        history=tuple(ChatMessage(("user", "assistant")[at % 2], text) for at, text in enumerate(history)),
        cancel=cancel or CancelToken(),
        search=lambda query, limit: SOURCES[:limit],
        session_ref="0123456789",
        metadata={"site": "test"},
        idle_timeout=idle_timeout,
    )


def text_of(chunks: list[AnswerChunk]) -> str:
    """All the text in some chunks."""
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))


def answer(config: Settings, question: str, *history: str, **more: object) -> list[AnswerChunk]:
    return list(engines.create_engine(config).answer(ask(question, *history, **more)))


def python_engine(name: str, module: str = "tests.engines.sample_engines", citation_base: str = "") -> PythonEngine:
    OPENED.append(PythonEngine(f"{module}:{name}", citation_base))
    return OPENED[-1]


def scripted_engine(name: str = "make") -> PythonEngine:
    return python_engine(name, "tests.engines.scripted_engine")


def answer_text(engine: PythonEngine, question: str, **more: Any) -> str:
    return text_of(list(engine.answer(ask(question, **more))))


@pytest.fixture(autouse=True)
def close_engines() -> Iterator[None]:
    """No engine process outlives its test."""
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


@pytest.fixture
def settings(server: FaultyServer, tmp_path: Path) -> Callable[..., Settings]:
    """Settings with every engine talking to the faulty server."""

    def make(**given: object) -> Settings:
        folder = tmp_path / "pages"
        folder.mkdir(exist_ok=True)
        (folder / "garden.md").write_text("# Garden\n\nA garden is watered in the evening, twice a week.\n")
        known = {
            "openai_base_url": f"{server.url}/v1",
            "openai_api_key": "sk-secret-key",
            "openai_model": "faulty",
            "webhook_url": f"{server.url}/hook",
            "webhook_secret": "shared-secret-of-both",
            "knowledge_dir": (folder,),
            "data_dir": tmp_path / "data",
        }
        return Settings.model_validate(known | given)

    return make


KINDS = {
    "openai": {"engine": "openai"},
    "webhook-sse": {"engine": "webhook"},
    "webhook-ndjson": {"engine": "webhook", "as": "ndjson"},
    "python": {"engine": "python:tests.engines.scripted_engine:make"},
    "fallback": {"engine": "openai", "fallback": "knowledge"},
}


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, settings: Callable[..., Settings], server: FaultyServer) -> Iterator[Engine]:
    """Every engine that the question can steer, one after the other."""
    given = dict(KINDS[request.param])
    if "as" in given:
        given["webhook_url"] = f"{server.url}/hook?as={given.pop('as')}"
    chosen = engines.create_engine(settings(**given))
    yield chosen
    if isinstance(chosen, PythonEngine):
        chosen.close()


@pytest.fixture
def openai(settings: Settings) -> Settings:
    return settings(engine="openai")
