"""The index: one SQLite file with the pages, their sections in chunks, the terms of both, and the folder's words."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.engines.knowledge.documents import Block, Document, Heading, Page, PageEntry, PageName, Problem, Section
from app.engines.knowledge.languages import detect, is_spaceless, terms, words
from app.engines.knowledge.links import Links

FORMAT = "23"
"""Part of every fingerprint: another format of the index means another index."""
CHUNK_CHARS = 1_400
"""Characters after which a section is cut at its next block."""
FIELDS = ("title", "heading", "body")
_SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pages (id INTEGER PRIMARY KEY, path TEXT UNIQUE, file TEXT, folder INTEGER, url TEXT, aliases TEXT,
                    title TEXT, lang TEXT, headings TEXT, source BLOB, summary TEXT, aside INTEGER, first INTEGER);
CREATE TABLE chunks (id INTEGER PRIMARY KEY, page INTEGER, level INTEGER, heading TEXT, anchor TEXT, trail TEXT,
                     blocks BLOB);
CREATE VIRTUAL TABLE chunk_terms USING fts5(title, heading, body, tokenize = "ascii");
CREATE VIRTUAL TABLE page_terms USING fts5(title, heading, body, content = '', tokenize = "ascii");
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(chunk_terms, row);
CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT UNIQUE, lang TEXT, count INTEGER);
CREATE VIRTUAL TABLE word_trigrams USING fts5(word, content = 'words', content_rowid = 'id', detail = 'none',
                                              tokenize = "trigram");
"""
_ASIDE_NAMES = (
    "adr adrs archive blog changelog changelogs changes decisions history news release-notes release_notes "
    "releasenotes releases rfcs whats-new whatsnew"
)
ASIDES = frozenset(_ASIDE_NAMES.split())
"""Parts of a path whose pages tell what happened and why; the pages that say what holds go before them."""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What an index records about itself; ``problems`` are plain sentences on files that could not be used."""

    pages: int
    chunks: int
    indexed_at: str
    problems: tuple[str, ...]
    languages: tuple[str, ...]
    """Of its pages, the commonest first."""
    average: tuple[float, ...]
    """Terms of a chunk in each of ``FIELDS``."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A section of a page, or a part of a long one, with what an answer needs."""

    id: int
    page: int
    path: str
    url: str
    title: str
    lang: str
    level: int
    heading: str
    anchor: str
    trail: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def file_and_heading(self) -> str:
        """Where it stands, for people."""
        return f"{self.path or '/'} › {self.heading}" if self.heading else self.path or "/"

    @property
    def text(self) -> str:
        """All of it in plain text."""
        return "\n".join(block.text for block in self.blocks)


def build_index(documents: Iterable[Document], problems: Sequence[Problem], out: Path) -> IndexInfo:
    """Writes the index of these pages to ``out``, which is renamed into place when it is complete.

    Raises ``OSError`` where it cannot be written. ``problems`` may grow while ``documents`` is read.
    """
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    db = sqlite3.connect(part)
    try:
        db.executescript(_SCHEMA)
        info = _fill(db, documents, problems)
        db.commit()
        db.close()
        os.replace(part, out)
    except sqlite3.Error as error:
        raise OSError(f"the index cannot be written: {error}") from error
    finally:
        db.close()
        part.unlink(missing_ok=True)
    return info


def read_info(db: sqlite3.Connection) -> IndexInfo:
    """What an open index records about itself. Raises where it is no complete index."""
    (value,) = db.execute("SELECT value FROM meta WHERE key = 'info'").fetchone()
    stored: dict[str, Any] = json.loads(value)
    fields: dict[str, Any] = {key: tuple(entry) if isinstance(entry, list) else entry for key, entry in stored.items()}
    return IndexInfo(**fields)


def read_chunks(db: sqlite3.Connection, ids: Iterable[int]) -> dict[int, Chunk]:
    """Chunks by their ids, in that order; unknown ones are left out."""
    found: dict[int, Chunk] = {}
    for number in ids:
        row = db.execute(
            """SELECT chunks.id, page, path, url, title, lang, level, heading, anchor, trail, blocks
               FROM chunks JOIN pages ON pages.id = page WHERE chunks.id = ?""",
            (number,),
        ).fetchone()
        if row:
            blocks = tuple(_block(stored) for stored in json.loads(zlib.decompress(row[-1])))
            found[number] = Chunk(*(*row[:9], tuple(json.loads(row[9])), blocks))
    return found


def chunk_texts(db: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """Every chunk's id and its text with title and headings above it, as an encoder reads it."""
    for (number,) in db.execute("SELECT id FROM chunks").fetchall():
        for chunk in read_chunks(db, [number]).values():
            yield number, "\n".join((chunk.title, *chunk.trail, chunk.heading, chunk.text))


def read_page(db: sqlite3.Connection, path: str) -> Page | None:
    """The page at exactly this path."""
    try:
        query = "SELECT path, file, folder, url, aliases, title, lang, headings, source FROM pages WHERE path = ?"
        row = db.execute(query, (path,)).fetchone()
    except UnicodeError:
        return None
    if row is None:
        return None
    *name, title, lang, stored, source = row
    headings = tuple(Heading(*heading) for heading in json.loads(stored))
    return Page(_name(*name), title, lang, headings, zlib.decompress(source).decode("utf-8"))


def read_links(db: sqlite3.Connection, base_url: str) -> Links:
    """Where links between the pages lead when they are shown below ``base_url``."""
    names = [_name(*row) for row in db.execute("SELECT path, file, folder, url, aliases FROM pages ORDER BY id")]
    return Links(names, base_url, own_urls=False)


def list_pages(db: sqlite3.Connection) -> list[PageEntry]:
    """All pages by path, those at the top first."""
    rows = db.execute("SELECT path, title, summary, lang FROM pages ORDER BY instr(path, '/') > 0, path")
    return [PageEntry(*row) for row in rows]


def _name(path: str, file: str, folder: int, url: str, aliases: str) -> PageName:
    return PageName(path, file, folder, url or None, tuple(json.loads(aliases)))


def _fill(db: sqlite3.Connection, documents: Iterable[Document], problems: Sequence[Problem]) -> IndexInfo:
    languages: Counter[str] = Counter()
    vocabulary: dict[str, Counter[str]] = defaultdict(Counter)
    lengths: Counter[str] = Counter()
    for page, document in enumerate(documents, 1):
        lang = _language(document, languages)
        languages[lang] += 1
        _add_page(db, page, document, lang, lengths, vocabulary[lang])
    db.execute("INSERT INTO chunk_terms (chunk_terms) VALUES ('optimize')")
    _add_words(db, vocabulary)
    total = db.execute("SELECT count(*) FROM chunks").fetchone()[0]
    info = IndexInfo(
        languages.total(),
        total,
        datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        tuple(problem.sentence for problem in problems),
        tuple(lang for lang, _ in languages.most_common()),
        tuple(lengths[field] / max(1, total) for field in FIELDS),
    )
    db.execute("INSERT INTO meta VALUES ('info', ?)", (json.dumps(asdict(info)),))
    return info


def _language(document: Document, languages: Counter[str]) -> str:
    if document.lang:
        return document.lang.partition("-")[0]
    opening = " ".join([document.title, *(section.text[:1_000] for section in document.sections[:8])])
    common = [lang for lang, _ in languages.most_common(1)]
    return detect(opening[:4_000], common) or (common[0] if common else "en")


def _add_page(
    db: sqlite3.Connection, page: int, document: Document, lang: str, lengths: Counter[str], vocabulary: Counter[str]
) -> None:
    name = document.name
    file = name.file.rpartition(".")[0]
    title_text = f"{document.title} {file.replace('/', ' ')} {' '.join(document.tags)}"
    title = " ".join(dict.fromkeys(terms(title_text, lang)))
    vocabulary.update(words(title_text))
    headings, bodies, first = [], [" ".join(terms(document.description, lang))], 0
    for section in document.sections:
        for blocks in _cut(section):
            plain = "\n".join(block.text for block in blocks)
            vocabulary.update(words(f"{section.heading} {plain}"))
            heading = " ".join(terms(section.heading, lang) + terms(" ".join(section.heading_path), lang))
            found = dict(zip(FIELDS, (title, heading, " ".join(terms(plain, lang))), strict=True))
            packed = zlib.compress(json.dumps([astuple(block) for block in blocks]).encode("utf-8", "replace"), 1)
            trail = json.dumps(section.heading_path)
            row = (page, section.level, section.heading, section.anchor or "", trail, packed)
            chunk = db.execute("INSERT INTO chunks VALUES (NULL, ?, ?, ?, ?, ?, ?)", row).lastrowid or 0
            first = first or chunk
            db.execute("INSERT INTO chunk_terms (rowid, title, heading, body) VALUES (?, ?, ?, ?)",
                       (chunk, *found.values()))  # fmt: skip
            lengths.update({field: value.count(" ") + 1 for field, value in found.items()})
            headings.append(heading)
            bodies.append(found["body"])
    db.execute("INSERT INTO page_terms (rowid, title, heading, body) VALUES (?, ?, ?, ?)",
               (page, title, " ".join(dict.fromkeys(headings)), " ".join(bodies)))  # fmt: skip
    db.execute(
        "INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (page, name.path, name.file, name.folder, name.url or "", json.dumps(name.aliases), document.title, lang,
         json.dumps([astuple(heading) for heading in document.headings]),
         zlib.compress(document.source.encode("utf-8", "replace")), document.summary,
         not ASIDES.isdisjoint(file.lower().replace(" ", "-").split("/")), first),
    )  # fmt: skip


def _cut(section: Section) -> Iterator[tuple[Block, ...]]:
    """A section's blocks, at least once, in parts of about ``CHUNK_CHARS``."""
    taken: list[Block] = []
    size = 0
    for block in section.blocks:
        if taken and size + len(block.text) > CHUNK_CHARS:
            yield tuple(taken)
            taken, size = [], 0
        taken.append(block)
        size += len(block.text)
    if taken or section.heading:
        yield tuple(taken)


def _block(stored: list[object]) -> Block:
    kind, text, markdown, items, item_texts, head = stored
    return Block(kind, text, markdown, tuple(items), tuple(item_texts), head)  # type: ignore[arg-type]


def _add_words(db: sqlite3.Connection, vocabulary: dict[str, Counter[str]]) -> None:
    """The folder's own words, for spelling and for words within words."""
    for lang, counts in vocabulary.items():
        db.executemany(
            "INSERT OR IGNORE INTO words (word, lang, count) VALUES (?, ?, ?)",
            ((word, lang, count) for word, count in counts.items()
             if 3 <= len(word) <= 40 and word.isalpha() and not is_spaceless(word)),
        )  # fmt: skip
    db.execute("INSERT INTO word_trigrams (word_trigrams) VALUES ('rebuild')")
