"""The default engine: answers out of a folder of Markdown."""

from app.engines.knowledge.documents import Page, PageEntry
from app.engines.knowledge.engine import KnowledgeEngine

__all__ = ["KnowledgeEngine", "Page", "PageEntry"]
