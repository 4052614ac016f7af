"""What can answer, and the choice of one by the settings."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from app.engines.base import Engine
from app.engines.fallback import WithFallback

if TYPE_CHECKING:
    from app.config import Settings
    from app.engines.knowledge import KnowledgeEngine


def create_engine(config: Settings) -> Engine:
    """The engine of BATON_ENGINE, with BATON_FALLBACK behind one that lives elsewhere.

    Raises ConfigError where a Python engine cannot be imported.
    """
    if config.engine.startswith("python:"):
        from app.engines.python import PythonEngine

        return PythonEngine(config.engine.removeprefix("python:"))
    if config.engine == "knowledge":
        return get_knowledge_engine(config)
    engine = _remote(config)
    return WithFallback(engine, get_knowledge_engine(config)) if config.fallback == "knowledge" else engine


def get_knowledge_engine(config: Settings) -> KnowledgeEngine:
    """The knowledge folder of these settings; the same one for every caller in a process."""
    key = config.embeddings_key.get_secret_value() if config.embeddings_key else ""
    voice = (config.embeddings_url, config.embeddings_model, key) if config.embeddings_url else None
    return _open(config.knowledge_dir, config.knowledge_base, config.data_dir, voice)


def _remote(config: Settings) -> Engine:
    if config.engine == "webhook":
        from app.engines.webhook import WebhookEngine

        return WebhookEngine(config)
    from app.engines.openai import OpenAIEngine

    return OpenAIEngine(config)


@lru_cache(maxsize=8)
def _open(folder: Path, base_url: str, data_dir: Path, voice: tuple[str, str, str] | None) -> KnowledgeEngine:
    from app.engines.knowledge import KnowledgeEngine
    from app.engines.knowledge.embeddings import Endpoint

    return KnowledgeEngine(folder, base_url=base_url, data_dir=data_dir, endpoint=Endpoint(*voice) if voice else None)
