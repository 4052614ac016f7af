"""The knowledge engine: answers from a folder of Markdown, with exact sources, and says so when it does not know."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from app.engines.base import AnswerChunk, ChatMessage, Citation, CitationsChunk, EngineRequest, NotFound, TextChunk
from app.engines.knowledge.answer_builder import Answer, build_answer, build_citations
from app.engines.knowledge.documents import Page, PageEntry
from app.engines.knowledge.embeddings import Embeddings
from app.engines.knowledge.index import list_pages, read_chunks, read_links, read_page
from app.engines.knowledge.index_manager import IndexManager
from app.engines.knowledge.languages import detect
from app.engines.knowledge.links import Links
from app.engines.knowledge.query import Deadline, Query, parse
from app.engines.knowledge.ranking import Hit, certainty, rank
from app.engines.knowledge.small_talk import (
    listed,
    sentence,
    sentence_language,
    small_talk,
    topics,
)
from app.errors import EngineBusy

T = TypeVar("T")
_PIECE = re.compile(r"[^\n]{1,24}\S*[^\S\n]*\n*|\n+")
"""A few words, to the end of the line at most."""
PAGES_PATH = "/knowledge"
"""Where the service shows the pages."""
STALLED_SECONDS = 30.0
"""After which vectors that do not become more are not waited for."""
PARSE_SECONDS, RANK_SECONDS = 0.2, 0.3
"""A question's time to compute, waiting for others aside; after it the best found so far answers."""
NEAREST = 3
"""Pages that are named where the folder does not answer."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A question, what was found, and how sure it is that this answers it (0 or more: it does)."""

    query: Query
    hits: tuple[Hit, ...]
    certainty: float


class KnowledgeEngine:
    """Answers from the Markdown below ``folder``; safe to use from many threads at once.

    ``base_url`` is where the pages can be opened; ``data_dir`` holds the index and is shared by all workers.
    ``contact_url`` is offered where the folder does not answer, with ``offers_people`` a person too.
    """

    name = "knowledge"

    def __init__(
        self,
        folder: Path | Sequence[Path],
        *,
        base_url: str,
        data_dir: Path,
        contact_url: str | None = None,
        offers_people: bool = False,
        embeddings: Embeddings | None = None,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._contact = contact_url
        self._offers_people = offers_people
        folders = [folder] if isinstance(folder, Path) else list(folder)
        self._index = IndexManager(folders, Path(data_dir), self._base)
        self._read: tuple[Path | None, tuple[Links, list[PageEntry]]] | None = None
        self._embeddings = embeddings
        detect("the word lists, read before the first question")
        self._prepare()

    def find(self, query: str, limit: int = 5, history: Sequence[ChatMessage] = ()) -> list[Citation]:
        """Up to ``limit`` passages, best first, one a page; none where the folder does not hold what is asked."""

        def cited(db: sqlite3.Connection, lookup: Lookup) -> list[Citation]:
            is_found = lookup.certainty >= 0
            return build_citations(db, lookup.query, lookup.hits, self._base) if is_found else []

        return (self._look_up(query, history, cited) or [])[: max(0, limit)]

    def answer(self, request: EngineRequest) -> Iterator[AnswerChunk]:
        """The answer in small pieces, then its sources. Never raises for anything in the question."""
        answer = self.ask(request.question, request.history)
        for piece in _PIECE.findall(answer.text):
            if request.cancel.is_set():
                return
            yield TextChunk(piece)
        yield CitationsChunk(answer.citations)
        if answer.not_found:
            yield NotFound()

    def ask(self, question: str, history: Sequence[ChatMessage] = ()) -> Answer:
        """The whole answer at once."""
        name, lang = small_talk(question) or ("", "")
        if name == "about" and any(one.role == "user" and not small_talk(one.content) for one in history):
            name = ""  # "how does it work?" then goes on from the question before
        if name and name != "about":
            named = self._index.search(lambda db: topics(db, lang), "")
            return Answer(sentence(f"{name}_reply", lang).format(topics=named))
        answer = self._look_up(question, history, partial(self._about, lang) if name else self._build)
        if answer is None:
            name = "reading" if self._index.is_reading else "empty"
            return Answer(sentence(name, sentence_language(question)))
        return answer

    def explain(self, question: str, history: Sequence[ChatMessage] = ()) -> str:
        """How a question was understood, what was found with which scores, and whether it is answered, as text."""
        return self._look_up(question, history, _explained) or "no index"

    def _look_up(
        self, question: str, history: Sequence[ChatMessage], use: Callable[[sqlite3.Connection, Lookup], T]
    ) -> T | None:
        """What ``use`` makes of what the folder holds on a question; None while there is no index."""
        query = self._index.search(lambda db: parse(db, question, history, Deadline(PARSE_SECONDS)), None)
        if query is None:
            return None
        file = self._prepare()
        similar = None
        if self._embeddings and file:
            similar = self._embeddings.similarities(file, query.text, query.reading)

        def work(db: sqlite3.Connection) -> T | None:
            near = similar if self._index.file == file else None  # another index has other numbers for its chunks
            deadline = Deadline(RANK_SECONDS)
            hits = rank(db, query, deadline, near)
            if deadline.has_interrupted and not hits:
                raise EngineBusy(retry_after=1)
            return use(db, Lookup(query, tuple(hits), certainty(query, hits, near)))

        return self._index.search(work, None)

    def page(self, path: str) -> Page | None:
        """The page at ``path`` in any spelling (with or without ending, slash, ``index``), or None.

        Only what was indexed can be had, so no path leads out of the folder.
        """
        found = self.links.find(path)
        return None if found is None else self._index.read(lambda db: read_page(db, found), None)

    def has(self, path: str) -> bool:
        """Whether there is such a page."""
        return self.links.find(path) is not None

    def pages(self) -> list[PageEntry]:
        """All pages, those at the top of the folder first."""
        return self._catalog[1]

    @property
    def links(self) -> Links:
        """Where links between the pages lead on ``/knowledge``."""
        return self._catalog[0]

    @property
    def _catalog(self) -> tuple[Links, list[PageEntry]]:
        """What is kept of the index in use, read once for each."""
        self._index.scan()
        file = self._index.file
        if self._read is None or self._read[0] != file:
            links = self._index.read(lambda db: read_links(db, PAGES_PATH), Links([], PAGES_PATH))
            self._read = (file, (links, self._index.read(list_pages, [])))
        return self._read[1]

    def wait(self, seconds: float = 900.0) -> dict[str, Any]:
        """``status()`` once neither an index nor its vectors are being made, at the latest after ``seconds``."""
        end = time.monotonic() + seconds
        self._index.wait(seconds)
        status, moved_at = self.status(), time.monotonic()
        while self._embeddings and status["embedded"] < status["chunks"] and time.monotonic() < end:
            time.sleep(0.1)
            earlier, status = status["embedded"], self.status()
            moved_at = moved_at if status["embedded"] == earlier else time.monotonic()
            if time.monotonic() - moved_at > STALLED_SECONDS:
                break
        return status

    def path_of(self, url: str) -> str:
        """The path of the page that a citation's address opens; the address itself where it is none of ours."""
        plain = unquote(url.partition("#")[0])
        if plain.startswith(self._base):
            return plain.removeprefix(self._base).strip("/")
        sql = "SELECT path FROM pages WHERE url IN (?, ?)"
        row = self._index.read(lambda db: db.execute(sql, (url, plain)).fetchone(), None)
        return row[0] if row else plain

    def status(self) -> dict[str, Any]:
        """For ``/health``: pages, chunks, embedded, indexed_at and problem (one plain sentence or None)."""
        self._prepare()
        return self._index.status() | (self._embeddings.status() if self._embeddings else {"embedded": 0})

    def close(self) -> None:
        """Closes the index, and lets go of the encoder."""
        self._index.close()
        if self._embeddings:
            self._embeddings.close()

    def _prepare(self) -> Path | None:
        """The index in use, whose vectors are being made in the background where they are wanted."""
        file = self._index.file
        if self._embeddings and file:
            self._embeddings.prepare(file)
        return file

    def _build(self, db: sqlite3.Connection, lookup: Lookup) -> Answer:
        query = lookup.query
        if lookup.certainty >= 0:
            return build_answer(
                db, query, lookup.hits, self._base, sentence_language(query.question, query.info.languages)
            )
        chunks = read_chunks(db, [hit.chunk for hit in lookup.hits[:12] if hit.coverage > 0])
        near = list(dict.fromkeys(chunk.title for chunk in chunks.values() if chunk.title))[:NEAREST]
        return self._not_found(db, query, near)

    def _about(self, lang: str, db: sqlite3.Connection, lookup: Lookup) -> Answer:
        """How the folder's first page begins, one in the question's language where there is one."""
        sql = """SELECT first, id FROM pages WHERE NOT aside AND first
                 ORDER BY lang <> ?, path <> '', length(file) - length(replace(file, '/', '')), id LIMIT 1"""
        row = db.execute(sql, (lang,)).fetchone()
        if row is None:
            return self._not_found(db, lookup.query, ())
        opening = Hit(row[0], row[1], score=1, bm25=0, page_score=0, coverage=0, named=0, together=0)
        return build_answer(db, lookup.query, [opening], self._base, lang)

    def _not_found(self, db: sqlite3.Connection, query: Query, near: Sequence[str]) -> Answer:
        lang = sentence_language(query.question, query.info.languages)
        text = sentence("not_found", lang)
        text += sentence("nearest", lang).format(topics=listed(near, lang, "and")) if near else topics(db, lang)
        return Answer(text + self._way_out(lang), not_found=True)

    def _way_out(self, lang: str) -> str:
        contact = sentence("contact", lang).format(url=self._contact) if self._contact else ""
        return contact + (sentence("person", lang) if self._offers_people else "")


def _explained(db: sqlite3.Connection, lookup: Lookup) -> str:
    query = lookup.query
    lines = [f"language {query.lang}; read as: {query.text}"]
    for term in (*query.terms, *query.context):
        stands_for = ", ".join(f"{variant} {share:g}" for variant, share in term.variants) or "not in the folder"
        lines.append(f"  {term.word}: {stands_for} (idf {term.idf:.2f}, weight {term.weight:g})")
    chunks = read_chunks(db, [hit.chunk for hit in lookup.hits[:8]])
    for number, hit in enumerate(lookup.hits[:8], 1):
        chunk = chunks[hit.chunk]
        cosine = "" if hit.cosine is None else f", cosine {hit.cosine:.2f}"
        lines.append(
            f"{number}. {hit.score:.2f}  {chunk.file_and_heading}  (BM25 {hit.bm25:.2f}, page {hit.page_score:.2f}, "
            f"holds {hit.coverage:.0%}, named {hit.named:.0%}{cosine})"
        )
    verdict = "answered" if lookup.certainty >= 0 else "refused"
    return "\n".join([*lines, f"{verdict}: certainty {lookup.certainty:+.2f}"])
