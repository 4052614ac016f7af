"""The engines, and the choice of one by the settings."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from app.engines.base import Engine
from app.engines.fallback import FallbackEngine
from app.engines.typing import TypingEngine

if TYPE_CHECKING:
    from app.config import Settings
    from app.engines.knowledge import KnowledgeEngine


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
    embeddings = (config.embeddings_url, config.embeddings_model, key) if config.embeddings_url else None
    return _open_knowledge(config.knowledge_dir, config.knowledge_base, config.data_dir, config.contact_url, embeddings)


def _create_knowledge_engine(config: Settings) -> Engine:
    engine = get_knowledge_engine(config)
    return TypingEngine(engine, config.typing_speed) if config.typing_speed else engine


def _create_remote_engine(config: Settings) -> Engine:
    if config.engine == "webhook":
        from app.engines.webhook import WebhookEngine

        return WebhookEngine(config)
    from app.engines.openai import OpenAIEngine

    return OpenAIEngine(config)


@lru_cache(maxsize=8)
def _open_knowledge(
    folder: Path,
    base_url: str,
    data_dir: Path,
    contact_url: str | None,
    embeddings: tuple[str, str, str] | None,
) -> KnowledgeEngine:
    from app.engines.knowledge import KnowledgeEngine
    from app.engines.knowledge.embeddings import Endpoint, Voice

    encoder = Voice(Endpoint(*embeddings)) if embeddings else None
    return KnowledgeEngine(folder, base_url=base_url, data_dir=data_dir, contact_url=contact_url, encoder=encoder)
