"""The default engine: answers out of a folder of Markdown."""

from app.engines.knowledge.engine import KnowledgeEngine
from app.engines.knowledge.pages import Page, PageEntry

__all__ = ["KnowledgeEngine", "Page", "PageEntry"]
