"""The index: one SQLite file that holds pages, chunks, their stems and the folder's own words."""

from __future__ import annotations

import argparse
import json
import os
import re
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.engines.knowledge.chunker import Block, Chunk, chunks
from app.engines.knowledge.old_documents import (
    BadPage,
    Found,
    TooLarge,
    front_matter,
    paths,
    read,
    scan,
    shown_part,
    written,
)
from app.engines.knowledge.tokenizer import plain_words, stem, stems

_TABLES = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA page_size = 4096;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pages (id INTEGER PRIMARY KEY, file TEXT UNIQUE, path TEXT UNIQUE, url TEXT, title TEXT, text BLOB,
                    first INTEGER, last INTEGER);
CREATE TABLE chunks (id INTEGER PRIMARY KEY, page INTEGER, trail TEXT, anchor TEXT, blocks BLOB);
CREATE VIRTUAL TABLE chunk_words USING fts5(title, head, body, tokenize = "unicode61 remove_diacritics 0");
CREATE VIRTUAL TABLE page_words USING fts5(title, head, body, content = '', detail = column,
                                           tokenize = "unicode61 remove_diacritics 0");
CREATE VIRTUAL TABLE seen USING fts5vocab(chunk_words, row);
CREATE TABLE words (word TEXT PRIMARY KEY, stem TEXT NOT NULL, size INTEGER NOT NULL, count INTEGER NOT NULL)
  WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Built:
    """What an index records about itself; ``problems`` name pages and what is wrong with them, in plain words."""

    pages: int
    chunks: int
    indexed_at: str
    problems: tuple[str, ...]


def build(folder: Path, out: Path, *, previous: Path | None = None) -> Built:
    """Indexes ``folder`` into the new file ``out``, which is renamed into place when it is complete.

    A file that cannot be read keeps the text it had in ``previous``; one that is too large is left out. Raises
    ``OSError`` when the folder cannot be read or the index cannot be written.
    """
    found = scan(folder)
    half = out.with_name(f"{out.name}.{os.getpid()}.part")
    half.unlink(missing_ok=True)
    db = sqlite3.connect(half)
    try:
        db.executescript(_TABLES)
        built = _fill(db, folder, found, previous)
        db.commit()
        db.close()
        os.replace(half, out)
    except sqlite3.Error as wrong:
        raise OSError(f"the index cannot be written: {wrong}") from wrong
    finally:
        db.close()
        half.unlink(missing_ok=True)
    return built


def about(db: sqlite3.Connection) -> Built:
    """What an open index records about itself."""
    told = dict(db.execute("SELECT key, value FROM meta"))
    return Built(int(told["pages"]), int(told["chunks"]), told["indexed_at"], tuple(json.loads(told["problems"])))


def _fill(db: sqlite3.Connection, folder: Path, found: list[Found], previous: Path | None) -> Built:
    where = paths([one.file for one in found])
    problems: list[str] = []
    vocabulary: Counter[str] = Counter()
    pages = 0
    for one, text in _texts(folder, found, previous, problems):
        pages += 1
        vocabulary.update(_page(db, pages, (one.file, where[one.file]), text))
    db.executemany(
        "INSERT INTO words VALUES (?, ?, ?, ?)",
        ((word, stem(word), len(word), many) for word, many in vocabulary.items() if word.isalpha() and len(word) > 2),
    )
    db.execute("INSERT INTO chunk_words (chunk_words) VALUES ('optimize')")
    total = db.execute("SELECT count(*) FROM chunks").fetchone()[0]
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    built = Built(pages, total, now, tuple(problems))
    told = {"pages": str(pages), "chunks": str(total), "indexed_at": now, "problems": json.dumps(problems)}
    db.executemany("INSERT INTO meta VALUES (?, ?)", told.items())
    return built


def _texts(folder: Path, found: list[Found], previous: Path | None, problems: list[str]) -> Iterator[tuple[Found, str]]:
    for one in found:
        try:
            text = read(folder, one)
            if shown_part(text) != text:
                problems.append(f"A page is not shown to its end: {one.file}: too many links, lists or tables")
            yield one, text
        except BadPage as wrong:
            problems.append(f"A page could not be read: {one.file}: {wrong}")
            kept = None if isinstance(wrong, TooLarge) else _kept(previous, one.file)
            if kept is not None:
                yield one, kept


def _kept(previous: Path | None, file: str) -> str | None:
    """The text that a file had in an earlier index."""
    if previous is None or not previous.exists():
        return None
    try:
        db = sqlite3.connect(f"file:{previous}?mode=ro", uri=True)
        try:
            row = db.execute("SELECT text FROM pages WHERE file = ?", (file,)).fetchone()
        finally:
            db.close()
        return zlib.decompress(row[0]).decode() if row else None
    except (sqlite3.Error, zlib.error):
        return None


def _page(db: sqlite3.Connection, page: int, where: tuple[str, str], text: str) -> list[str]:
    """Store one page and its chunks; gives the words that it is made of."""
    file, path = where
    told = written(text, file)
    packed = zlib.compress(text.encode("utf-8", "replace"))
    title = " ".join(stems(f"{told.title} {file[:-3].replace('/', ' ')} {told.tags}"))
    said = plain_words(f"{told.title} {told.tags} {re.sub(r'[-_/]+', ' ', file[:-3])}")
    bodies: list[str] = []
    heads: list[str] = []
    first = db.execute("SELECT coalesce(max(id), 0) + 1 FROM chunks").fetchone()[0]
    summary = front_matter(text)[0].get("description", "")
    for chunk in chunks(told.source, told.title):
        plain = "\n".join(block.plain for block in chunk.blocks)
        said += plain_words(f"{' '.join(chunk.trail)} {plain}")
        head, body = " ".join(stems(" ".join(chunk.trail))), " ".join(stems(plain))
        row = db.execute(
            "INSERT INTO chunks (page, trail, anchor, blocks) VALUES (?, ?, ?, ?)",
            (page, json.dumps(chunk.trail), chunk.anchor, _packed(chunk)),
        ).lastrowid
        db.execute("INSERT INTO chunk_words (rowid, title, head, body) VALUES (?, ?, ?, ?)", (row, title, head, body))
        bodies.append(body)
        heads += [head] if chunk.trail else []
    bodies.append(" ".join(stems(summary)))
    last = db.execute("SELECT coalesce(max(id), 0) FROM chunks").fetchone()[0]
    whole = (page, file, path, told.url, told.title, packed, first, last)
    db.execute("INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?)", whole)
    db.execute(
        "INSERT INTO page_words (rowid, title, head, body) VALUES (?, ?, ?, ?)",
        (page, title, " ".join(dict.fromkeys(heads)), " ".join(bodies)),
    )
    return said


def _packed(chunk: Chunk) -> bytes:
    return zlib.compress(json.dumps([[block.kind, block.parts] for block in chunk.blocks]).encode("utf-8"), 1)


def unpacked(blocks: bytes) -> tuple[Block, ...]:
    """The blocks of a stored chunk."""
    return tuple(Block(kind, tuple(parts)) for kind, parts in json.loads(zlib.decompress(blocks)))


def main() -> int:
    """Build an index in a process of its own, so that the service's own loop never waits for it."""
    asked = argparse.ArgumentParser(prog="python -m app.engines.knowledge.index_builder")
    asked.add_argument("folder", type=Path)
    asked.add_argument("out", type=Path)
    asked.add_argument("--previous", type=Path)
    given = asked.parse_args()
    os.nice(5)
    build(given.folder, given.out, previous=given.previous)
    return 0
