"""The default engine: answers out of a folder of Markdown."""

from app.engines.knowledge.anchors import Slugs, slug
from app.engines.knowledge.chunker import Heading, headings
from app.engines.knowledge.engine import KnowledgeEngine, Page

__all__ = ["Heading", "KnowledgeEngine", "Page", "Slugs", "headings", "slug"]
