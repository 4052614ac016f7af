"""Vectors kept in a file beside an index, by the hash of the text they were made of."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Mapping
from pathlib import Path


def digest(model: str, text: str) -> bytes:
    """The key of the vector that this model makes of this text."""
    return hashlib.sha256(json.dumps([model, text]).encode()).digest()[:20]


class VectorStore:
    """The vectors of one folder and model; every version of the folder's index uses the same file."""

    def __init__(self, index: Path, model: str) -> None:
        name = hashlib.sha256(model.encode()).hexdigest()[:8]
        self._db = sqlite3.connect(index.with_name(f"{index.stem.rpartition('-')[0]}.{name}.vectors"), timeout=10)
        self._db.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            "CREATE TABLE IF NOT EXISTS vectors (digest BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
        )

    def read(self, digests: Collection[bytes]) -> dict[bytes, bytes]:
        """Those of these vectors that are there."""
        rows = self._db.execute("SELECT digest, vector FROM vectors")
        return {key: vector for key, vector in rows if key in digests}

    def add(self, vectors: Mapping[bytes, bytes]) -> None:
        """Keep these."""
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", vectors.items())

    def prune(self, used: Collection[bytes]) -> None:
        """Forget all others."""
        stored = [row[0] for row in self._db.execute("SELECT digest FROM vectors") if row[0] not in used]
        with self._db:
            self._db.executemany("DELETE FROM vectors WHERE digest = ?", ((key,) for key in stored))

    def close(self) -> None:
        """Close the file."""
        self._db.close()
