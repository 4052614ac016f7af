"""The pages of the knowledge folders as the index, the answers and ``/knowledge`` see them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

SUMMARY_CHARS = 160
BlockKind = Literal["paragraph", "list", "table", "code", "quote", "admonition", "definition"]


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page, whole: what an answer quotes and the index reads.

    ``text`` is plain text: no mark of Markdown or of any dialect, a line for each item or row. ``markdown`` is plain
    CommonMark with tables: no HTML, no image, dialects resolved, links only to addresses that open.
    """

    kind: BlockKind
    text: str
    markdown: str
    items: tuple[str, ...] = ()
    """Of a list its items, of a table its rows, of definitions each term with its meaning: Markdown."""
    item_texts: tuple[str, ...] = ()
    """``items`` as plain text, one to one."""
    head: str = ""
    """Of a table: its head and the rule below it, as two lines of Markdown."""

    def with_items(self, indexes: Sequence[int]) -> str:
        """The block's Markdown with only these items or rows, in this order."""
        separator = "\n\n" if self.kind == "definition" else "\n"
        return separator.join(filter(None, [self.head, *(self.items[index] for index in indexes)]))


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading in plain text, with the id under which ``/knowledge`` shows it."""

    level: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it until the next heading of any level."""

    anchor: str | None
    """The heading's id on the page; None for what stands before the first heading."""
    heading: str
    """Plain text, empty before the first heading."""
    level: int
    """1 to 6; 0 before the first heading."""
    heading_path: tuple[str, ...]
    """The headings above this one, outermost first, its own and the page's title left out."""
    blocks: tuple[Block, ...]

    @property
    def text(self) -> str:
        """What stands under the heading, as plain text."""
        return "\n".join(block.text for block in self.blocks)


@dataclass(frozen=True, slots=True)
class PageName:
    """What a page is called: its path in addresses, its file, and the other names that its front matter gives it."""

    path: str
    """What stands after ``/knowledge/``: relative, without the file's ending; a README or index is its folder."""
    file: str
    """Relative to its folder, with forward slashes and ending: ``guide/install.md``."""
    folder: int = 0
    """Which of the folders it is in."""
    url: str | None = None
    """The front matter's ``url``: https, http, or a path to be joined to KNOWLEDGE_URL (``page_url`` does)."""
    aliases: tuple[str, ...] = ()
    """Other names that links may use: the front matter's ``slug``, ``id``, ``permalink``, ``aliases``."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page as ``/knowledge`` shows it."""

    name: PageName
    title: str
    """The front matter's, else the first level-1 heading, else the file's name made readable."""
    lang: str | None
    """Its language (``de``, ``pt-br``), as the front matter says or as the index found; None where nothing is known."""
    headings: tuple[Heading, ...]
    """All headings in order, with the anchors that citations use."""
    source: str
    """The text as written, front matter included: ``/knowledge`` renders it."""

    @property
    def path(self) -> str:
        """See ``PageName``."""
        return self.name.path

    @property
    def version(self) -> str:
        """Changes with what is written in it."""
        return hashlib.blake2b(self.source.encode("utf-8", "replace"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Document(Page):
    """A page of the folder, read whole."""

    description: str
    tags: tuple[str, ...]
    """The front matter's ``tags`` and ``keywords``."""
    sections: tuple[Section, ...]

    @property
    def summary(self) -> str:
        """One or two lines for lists: the front matter's description, else how the page begins."""
        blocks = (block for section in self.sections for block in section.blocks if block.kind == "paragraph")
        text = self.description or next((block.text for block in blocks), "")
        return text if len(text) <= SUMMARY_CHARS else text[: SUMMARY_CHARS - 1].rsplit(" ", 1)[0] + " …"


@dataclass(frozen=True, slots=True)
class PageEntry:
    """A page in a list."""

    path: str
    title: str
    summary: str
    lang: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that could not be used, and why, in a few plain words without its text."""

    file: str
    reason: str
    effect: str = "A page could not be read"

    @property
    def sentence(self) -> str:
        """For ``/health``, without the full stop."""
        return f"{self.effect}: {self.file}: {self.reason}"


def page_url(path: str, url: str | None, base_url: str) -> str:
    """Where a citation of the page opens: its own ``url`` (a relative one joined to the base), else base and path."""
    if url and urlsplit(url).scheme:
        return url
    tail = url.lstrip("/") if url else quote(path)
    return f"{base_url.rstrip('/')}/{tail}" if tail else base_url.rstrip("/")
