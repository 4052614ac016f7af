"""Turns, a crooked server, and each engine as a service would choose it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app import engines
from app.config import Settings
from app.engines.base import AnswerChunk, CancelToken, ChatMessage, Citation, Engine, EngineRequest, TextChunk
from app.engines.python import PythonEngine
from tests.engines.crooked import Crooked

SOURCES = (
    Citation("Opening hours", "https://docs.example.test/hours#week", "We are open from nine to five."),
    Citation("Prices", "https://docs.example.test/prices", "A garden costs 20 euros."),
    Citation("Opening hours", "https://docs.example.test/hours#sunday", "We are closed on Sundays."),
)

MakeSettings = Callable[..., Settings]
OPEN: list[PythonEngine] = []


def ask(
    question: str, *said: str, silence: float = 5.0, ref: str = "0123456789", stop: CancelToken | None = None
) -> EngineRequest:
    """A turn; ``said`` are the earlier messages, the visitor's first."""
    history = tuple(ChatMessage(("user", "assistant")[at % 2], text) for at, text in enumerate(said))
    return EngineRequest(
        question, history, stop or CancelToken(), lambda query, most: SOURCES[:most], ref, {"site": "test"}, silence
    )


def words(pieces: list[AnswerChunk]) -> str:
    """All the text among some pieces."""
    return "".join(piece.text for piece in pieces if isinstance(piece, TextChunk))


def answer(config: Settings, question: str, *said: str, **more: object) -> list[AnswerChunk]:
    return list(engines.create_engine(config).answer(ask(question, *said, **more)))


def here(name: str, module: str = "tests.engines.shapes") -> PythonEngine:
    OPEN.append(PythonEngine(f"{module}:{name}"))
    return OPEN[-1]


def scripted(name: str = "make") -> PythonEngine:
    return here(name, "tests.engines.scripted")


def said(engine: PythonEngine, question: str, **more: Any) -> str:
    return words(list(engine.answer(ask(question, **more))))


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No engine process outlives its test."""
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture
def server() -> Iterator[Crooked]:
    with Crooked() as crooked:
        yield crooked


@pytest.fixture
def settings(server: Crooked, tmp_path: Path) -> Callable[..., Settings]:
    """Settings with every engine leading to the crooked server."""

    def make(**given: object) -> Settings:
        folder = tmp_path / "pages"
        folder.mkdir(exist_ok=True)
        (folder / "garden.md").write_text("# Garden\n\nA garden is watered in the evening, twice a week.\n")
        known = {
            "openai_base_url": f"{server.url}/v1",
            "openai_api_key": "sk-secret-key",
            "openai_model": "crooked",
            "webhook_url": f"{server.url}/hook",
            "webhook_secret": "shared-secret-of-both",
            "knowledge_dir": folder,
            "data_dir": tmp_path / "data",
        }
        return Settings.model_validate(known | given)

    return make


KINDS = {
    "openai": {"engine": "openai"},
    "webhook-sse": {"engine": "webhook"},
    "webhook-ndjson": {"engine": "webhook", "as": "ndjson"},
    "python": {"engine": "python:tests.engines.scripted:make"},
    "fallback": {"engine": "openai", "fallback": "knowledge"},
}


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, settings: Callable[..., Settings], server: Crooked) -> Iterator[Engine]:
    """Every engine that can be told what to do, one after the other."""
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
