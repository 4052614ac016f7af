"""The default engine: answers out of a folder of Markdown."""

from app.engines.knowledge.engine import KnowledgeEngine, Page
from app.engines.knowledge.markdown import Heading, headings
from app.engines.knowledge.slugs import Slugs, slug

__all__ = ["Heading", "KnowledgeEngine", "Page", "Slugs", "headings", "slug"]
