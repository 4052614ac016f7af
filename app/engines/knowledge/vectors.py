"""Vectors kept in a file beside an index, by the hash of the text they were made of."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

Make = Callable[[Sequence[str], int], Iterable[bytes]]
"""Makes the vectors of some texts; it is also given how many there are already."""


def digest(model: str, text: str) -> bytes:
    """The key of the vector that this model makes of this text."""
    return hashlib.sha256(json.dumps([model, text]).encode()).digest()[:20]


def read_vectors(index: Path, model: str, digests: Iterable[bytes]) -> dict[bytes, bytes]:
    """Those of these vectors that are kept beside an index."""
    with closing(_open(index, model)) as db:
        return _read(db, digests)


def complete_vectors(index: Path, model: str, texts: Mapping[int, str], make: Make, batch: int) -> dict[int, bytes]:
    """The vector of every chunk: those that are kept, and the others made, the shortest texts first.

    Vectors of texts that are no chunk's any more are forgotten.
    """
    digests = {chunk: digest(model, text) for chunk, text in texts.items()}
    with closing(_open(index, model)) as db:
        vectors = _read(db, digests.values())
        missing = {digests[chunk]: text for chunk, text in texts.items() if digests[chunk] not in vectors}
        by_length = sorted(missing.items(), key=lambda entry: len(entry[1]))
        for at in range(0, len(by_length), batch):
            keys, some = zip(*by_length[at : at + batch], strict=True)
            made = dict(zip(keys, make(some, len(vectors)), strict=True))
            with db:
                db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", made.items())
            vectors |= made
        stale = [row for row in db.execute("SELECT digest FROM vectors") if row[0] not in vectors]
        with db:
            db.executemany("DELETE FROM vectors WHERE digest = ?", stale)
    return {chunk: vectors[key] for chunk, key in digests.items()}


def _open(index: Path, model: str) -> sqlite3.Connection:
    """The vectors of one folder and model; every version of the folder's index uses the same file."""
    name = hashlib.sha256(model.encode()).hexdigest()[:8]
    db = sqlite3.connect(index.with_name(f"{index.stem.rpartition('-')[0]}.{name}.vectors"), timeout=10)
    db.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
        "CREATE TABLE IF NOT EXISTS vectors (digest BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
    )
    return db


def _read(db: sqlite3.Connection, digests: Iterable[bytes]) -> dict[bytes, bytes]:
    rows = (db.execute("SELECT * FROM vectors WHERE digest = ?", (key,)).fetchone() for key in digests)
    return dict(row for row in rows if row)
