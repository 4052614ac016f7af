"""The pages of an index, as ``/knowledge`` shows and lists them."""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import dataclass
from typing import Any

from app.engines.knowledge.documents import Heading
from app.engines.knowledge.links import Links, PageName
from app.engines.knowledge.markdown_parser import ParsedPage
from app.engines.knowledge.reader import front_matter, parse_source, readable_part


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the folders. ``path`` is what stands after ``/knowledge/``."""

    path: str
    title: str
    lang: str
    file: str
    """Where it stands below its folder: ``decisions/README.md``."""
    url: str
    """The page's own address elsewhere, or an empty string."""
    headings: tuple[Heading, ...]
    """All headings in order, with the anchors that citations use."""
    source: str
    """As its author wrote it, front matter included."""
    version: str
    """Changes with what is written in it."""
    name: PageName

    @property
    def is_cut(self) -> bool:
        """Whether the page goes on after the part that is shown."""
        body = front_matter(self.source).body
        return len(readable_part(body)) < len(body)

    def parse(self, links: Links) -> ParsedPage:
        """The page as the index read it, with links to where ``links`` leads."""
        return parse_source(self.source, self.name, links)


@dataclass(frozen=True, slots=True)
class PageEntry:
    """A page in a list."""

    path: str
    title: str
    summary: str
    lang: str

    @property
    def folder(self) -> str:
        """The first folder of its path, or nothing for a page at the top."""
        return self.path.partition("/")[0] if "/" in self.path else ""


def read_page(db: sqlite3.Connection, path: str) -> Page | None:
    """The page at exactly this path."""
    columns = "path, title, lang, file, url, headings, source, version, folder, aliases"
    try:
        row: tuple[Any, ...] | None = db.execute(f"SELECT {columns} FROM pages WHERE path = ?", (path,)).fetchone()  # noqa: S608 - columns named here
    except UnicodeError:
        return None
    if row is None:
        return None
    path, title, lang, file, url, headings, packed, version, folder, aliases = row
    source = zlib.decompress(packed).decode("utf-8")
    name = PageName(path, file, folder, url or None, tuple(json.loads(aliases)))
    anchors = tuple(Heading(*heading) for heading in json.loads(headings))
    return Page(path, title, lang, file, url, anchors, source, version, name)


def read_links(db: sqlite3.Connection, base_url: str) -> Links:
    """Where links between the pages lead when they are shown below ``base_url``."""
    rows = db.execute("SELECT path, file, folder, url, aliases FROM pages ORDER BY id")
    names = [
        PageName(path, file, folder, url or None, tuple(json.loads(aliases)))
        for path, file, folder, url, aliases in rows
    ]
    return Links(names, base_url, own_urls=False)


def list_pages(db: sqlite3.Connection) -> list[PageEntry]:
    """All pages by path, those at the top first."""
    rows = db.execute("SELECT path, title, summary, lang FROM pages ORDER BY instr(path, '/') > 0, path")
    return [PageEntry(*row) for row in rows]
