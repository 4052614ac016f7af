"""The engines, and the choice of one by the settings."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from app.engines.base import Engine
from app.engines.fallback import FallbackEngine
from app.engines.typing import TypingEngine

if TYPE_CHECKING:
    from app.config import Settings
    from app.engines.knowledge import KnowledgeEngine
    from app.engines.knowledge.embeddings import Embeddings


def create_engine(config: Settings) -> Engine:
    """The engine of BATON_ENGINE, with BATON_FALLBACK behind one that calls another server.

    Raises ConfigError where a Python engine cannot be imported.
    """
    if config.engine.startswith("python:"):
        from app.engines.python import PythonEngine

        return PythonEngine(config.engine.removeprefix("python:"), config.knowledge_url or "")
    if config.engine == "knowledge":
        return _create_knowledge_engine(config)
    engine = _create_remote_engine(config)
    return FallbackEngine(engine, _create_knowledge_engine(config)) if config.fallback == "knowledge" else engine


def get_knowledge_engine(config: Settings) -> KnowledgeEngine:
    """The knowledge folder of these settings; the same one for every caller in a process."""
    key = config.embeddings_key.get_secret_value() if config.embeddings_key else ""
    embeddings: _Embeddings = None
    if config.embeddings:
        embeddings = config.embeddings_model_dir or "local"
    elif config.embeddings_url:
        embeddings = (config.embeddings_url, config.embeddings_model, key)
    return _open_knowledge(
        config.knowledge_dir, config.knowledge_base, config.data_dir, config.contact_url, embeddings, config.desk
    )


def _create_knowledge_engine(config: Settings) -> Engine:
    engine = get_knowledge_engine(config)
    return TypingEngine(engine, config.typing_speed) if config.typing_speed else engine


def _create_remote_engine(config: Settings) -> Engine:
    if config.engine == "webhook":
        from app.engines.webhook import WebhookEngine

        return WebhookEngine(config)
    from app.engines.openai import OpenAIEngine

    return OpenAIEngine(config)


_Embeddings = tuple[str, str, str] | Path | Literal["local"] | None
"""An endpoint (address, model, key), the local encoder's own folder, the local encoder, or none."""


@lru_cache(maxsize=8)
def _open_knowledge(
    folders: tuple[Path, ...],
    base_url: str,
    data_dir: Path,
    contact_url: str | None,
    embeddings: _Embeddings,
    offers_people: bool,
) -> KnowledgeEngine:
    from app.engines.knowledge import KnowledgeEngine

    return KnowledgeEngine(
        folders,
        base_url=base_url,
        data_dir=data_dir,
        contact_url=contact_url,
        offers_people=offers_people,
        embeddings=_create_embeddings(embeddings, data_dir),
    )


def _create_embeddings(embeddings: _Embeddings, data_dir: Path) -> Embeddings | None:
    if embeddings is None:
        return None
    if isinstance(embeddings, tuple):
        from app.engines.knowledge.embeddings import Endpoint, EndpointEmbeddings

        return EndpointEmbeddings(Endpoint(*embeddings))
    from app.engines.knowledge.local_embeddings import LocalEmbeddings

    return LocalEmbeddings(data_dir, None if embeddings == "local" else embeddings)
