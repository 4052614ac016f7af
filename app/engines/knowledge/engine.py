"""The knowledge engine: answers from a folder of Markdown, with exact sources, and says so when it does not know."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from app.cache import ByteBoundedCache
from app.engines.base import AnswerChunk, Citation, CitationsChunk, EngineRequest, TextChunk
from app.engines.knowledge.answer_builder import Answer, composed, sources
from app.engines.knowledge.answerability import Found, looked_up
from app.engines.knowledge.budget import Budget
from app.engines.knowledge.chunker import Heading, headings
from app.engines.knowledge.embeddings import Endpoint, Voice, fused
from app.engines.knowledge.index_manager import Shelf
from app.engines.knowledge.old_documents import front_matter, shown_part
from app.engines.knowledge.small_talk import small_talk, topics

_WORDS = re.compile(r"\S+\s*|\s+")
PAGES_BYTES = 16 * 1024 * 1024
"""What is kept of pages that were read, at about four bytes a character."""
NOTHING = Answer("I could not find that here: there are no pages to look it up in yet.", ())


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the folder. ``path`` is what stands after ``/knowledge/``."""

    path: str
    title: str
    markdown: str
    """Without the front matter, and not more of it than can be rendered in half a second."""
    is_cut: bool
    """Whether the page goes on after that."""
    url: str
    """The page's own address elsewhere, or an empty string."""
    headings: tuple[Heading, ...]
    """All headings in order, with the anchors that citations use."""
    file: str
    """Where it stands below the folder (``decisions/README.md``): relative links in it start from there."""
    version: str
    """Changes with what is written in it."""


class KnowledgeEngine:
    """Answers from the Markdown below ``folder``; safe to use from many threads at once.

    ``base_url`` is where the pages can be opened; ``data_dir`` holds the index and is shared by all workers.
    """

    name = "knowledge"

    def __init__(self, folder: Path, *, base_url: str, data_dir: Path, endpoint: Endpoint | None = None) -> None:
        self._base = base_url.rstrip("/")
        self._shelf = Shelf(Path(folder), Path(data_dir))
        self._pages: ByteBoundedCache[Page] = ByteBoundedCache(PAGES_BYTES)
        self._voice = Voice(endpoint) if endpoint else None
        if self._voice:
            self._voice.ready(self._shelf.serving)

    def find(self, query: str, most: int = 5) -> list[Citation]:
        """Up to ``most`` passages, best first, one a page; none where the folder does not hold what is asked."""

        look = self._looking(query, ())
        return self._shelf.use(lambda db: sources(look(db), self._base)[: max(0, most)], [])

    def answer(self, turn: EngineRequest) -> Iterator[AnswerChunk]:
        """The answer in small pieces, then its sources. Never raises for anything in the question."""
        said = small_talk(turn.question)
        if said is not None:
            yield from _spoken(said.format(topics=self._topics()), turn)
            return
        look = self._looking(turn.question, turn.history)
        answer = self._shelf.use(lambda db: composed(db, look(db), self._base), NOTHING)
        if turn.cancel.is_set():
            return
        yield from _spoken(answer.text, turn)
        yield CitationsChunk(tuple(answer.citations))

    def ask(self, question: str, history: Sequence[Any] = ()) -> Answer:
        """The whole answer at once, for the command line and the quality set."""
        said = small_talk(question)
        if said is not None:
            return Answer(said.format(topics=self._topics()), ())
        look = self._looking(question, history)
        return self._shelf.use(lambda db: composed(db, look(db), self._base), NOTHING)

    def page(self, path: str) -> Page | None:
        """The page at ``path`` (no ``.md``; a folder's README or index under the folder), or None.

        Only what was indexed can be had, so no path leads out of the folder.
        """
        row = self._shelf.read(lambda db: _stored(db, path.strip("/"), "path, file, url, title, text"), None)
        if row is None:
            return None
        *facts, packed = row
        version = hashlib.blake2b(packed, digest_size=16).hexdigest()
        return self._pages.get((*facts, version), lambda: _read(row, version), lambda page: 4 * len(page.markdown))

    def has(self, path: str) -> bool:
        """Whether there is such a page."""
        return self._shelf.read(lambda db: _stored(db, path.strip("/"), "1"), None) is not None

    def wait(self, seconds: float = 900.0) -> dict[str, Any]:
        """``status()`` once no index is being built any more, at the latest after ``seconds``."""
        self._shelf.settle(seconds)
        return self._shelf.status()

    def path_of(self, url: str) -> str:
        """The path of the page that a citation's address opens; the address itself where it is none of ours."""
        plain = unquote(url.partition("#")[0])
        if plain.startswith(self._base):
            return plain.removeprefix(self._base).strip("/")
        sql = "SELECT path FROM pages WHERE url IN (?, ?)"
        row = self._shelf.use(lambda db: db.execute(sql, (url, plain)).fetchone(), None)
        return row[0] if row else plain

    def status(self) -> dict[str, Any]:
        """For ``/health``: pages, chunks, indexed_at and problem (one plain sentence or None)."""
        return self._shelf.status() | ({"embeddings": self._voice.status()} if self._voice else {})

    def close(self) -> None:
        """Closes the index."""
        self._shelf.close()

    def _looking(self, question: str, history: Sequence[Any]) -> Callable[[sqlite3.Connection], Found]:
        """A function that looks the question up. Vectors, if any, are fetched before the index is locked."""
        if self._voice is None:
            return lambda db: looked_up(db, question, history, Budget())
        index = self._shelf.serving
        order = self._voice.order(index, question)

        def look(db: sqlite3.Connection) -> Found:
            found = looked_up(db, question, history, Budget())
            return fused(db, found, order) if self._shelf.serving == index else found

        return look

    def _topics(self) -> str:
        return self._shelf.use(topics, "")


def _stored(db: sqlite3.Connection, path: str, columns: str) -> tuple[Any, ...] | None:
    sql = f"SELECT {columns} FROM pages WHERE {{}} = ?"  # noqa: S608 - columns named here
    try:
        row: tuple[Any, ...] | None = db.execute(sql.format("path"), (path,)).fetchone()
        for file in (f"{path}.md", f"{path}/README.md", f"{path}/index.md", path):
            row = row or db.execute(sql.format("file"), (file,)).fetchone()
        return row
    except (UnicodeError, sqlite3.Error):
        return None


def _read(row: tuple[Any, ...], version: str) -> Page:
    path, file, url, title, packed = row
    source = front_matter(zlib.decompress(packed).decode("utf-8"))[1]
    shown = shown_part(source)
    return Page(path, title, shown, shown != source, url, tuple(headings(shown)), file, version)


def _spoken(text: str, turn: EngineRequest) -> Iterator[TextChunk]:
    """The text a few words at a time, until the turn is cancelled."""
    held = ""
    for word in _WORDS.findall(text):
        held += word
        if len(held) >= 24 or "\n" in word:
            if turn.cancel.is_set():
                return
            yield TextChunk(held)
            held = ""
    if held:
        yield TextChunk(held)
