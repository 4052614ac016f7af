"""Ranks passages by meaning, with vectors from an embeddings endpoint; without one the search uses words alone."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import math
import os
import sqlite3
import threading
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engines.base import CancelToken
from app.engines.knowledge.index import chunk_texts
from app.engines.sanitize import IdleTimer
from app.threadpool import run_in_thread

_log = logging.getLogger(__name__)

QUERY_SECONDS = 1.0
"""How long a question waits for its vector; after that the search uses words alone."""
BATCH_SECONDS = 30.0
BATCH, MOST_CHARS = 32, 2_000
PAUSE_SECONDS = 30.0
"""After a failure the endpoint is not called for this long."""
ROUGH = 100
"""Passages whose vectors are compared in full: the nearest ones by the signs of the numbers, a quick first pass."""
_TABLE = "CREATE TABLE vectors (chunk INTEGER PRIMARY KEY, digest BLOB, vector BLOB)"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where vectors come from: an OpenAI-compatible ``/embeddings`` below ``url``."""

    url: str
    model: str
    key: str = ""

    def vectors(self, texts: Sequence[str], seconds: float) -> list[array[float]]:
        """One vector of length 1 a text. Raises whatever goes wrong."""
        from app.engines.http_client import CallGuard, http_client  # an HTTP client: only where it is used

        guard = CallGuard(CancelToken(), IdleTimer(seconds))
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        with guard.activate():
            sent = {"model": self.model, "input": list(texts)}
            response = (
                http_client().post(f"{self.url}/embeddings", json=sent, headers=headers).raise_for_status().json()
            )
        found = sorted(response["data"], key=lambda one: int(one["index"]))
        if len(found) != len(texts):
            raise ValueError("not a vector for every text")
        return [_unit(one["embedding"]) for one in found]


class Voice:
    """Vectors of the passages of one folder, in files beside its index; shared by all workers."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._index: Path | None = None
        self._signs: list[tuple[int, int]] = []
        self._learning: threading.Thread | None = None
        self._quiet_until = 0.0
        self._asked = self._failed = 0

    def status(self) -> dict[str, int]:
        """Chunks that have a vector."""
        return {"embedded": len(self._signs)}

    def ready(self, index: Path | None) -> bool:
        """Whether the passages of this index have their vectors; where not, they are fetched in the background."""
        if index is None or time.monotonic() < self._quiet_until:
            return False
        if self._index == index:
            return True
        if self._learning is None or not self._learning.is_alive():
            self._learning = threading.Thread(target=self._learn, args=(index,), name="embeddings", daemon=True)
            self._learning.start()
        return False

    def cosines(self, index: Path, question: str) -> dict[int, float] | None:
        """How near the passages of this index are to a question, the nearest ones; None where that cannot be had."""
        if not self.ready(index) or not question.strip():
            return None
        self._asked += 1
        try:
            (asked,) = self._endpoint.vectors([question[:MOST_CHARS]], QUERY_SECONDS)
            return run_in_thread(lambda: self._nearest(index, asked))
        except Exception as error:  # noqa: BLE001 - whatever it is, words alone decide then
            self._trouble(error)
            return None

    def _nearest(self, index: Path, asked: array[float]) -> dict[int, float]:
        signs = _sign(asked)
        rough = sorted(self._signs, key=lambda one: (one[1] ^ signs).bit_count())[:ROUGH]
        with closing(sqlite3.connect(f"{_beside(index).resolve().as_uri()}?mode=ro", uri=True)) as db:
            return {chunk: _dot(asked, _stored(db, chunk)) for chunk, _ in rough}

    def _trouble(self, error: Exception) -> None:
        self._failed += 1
        self._quiet_until = time.monotonic() + PAUSE_SECONDS
        _log.warning("the embeddings endpoint failed: %s", type(error).__name__)

    def _learn(self, index: Path) -> None:
        """Fetch what vectors are missing, one worker at a time, and read them."""
        try:
            with index.with_name(f"{_family(index)}.vectors.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not _beside(index).exists():
                    self._write(index)
            with closing(sqlite3.connect(_beside(index))) as db:
                rows = db.execute("SELECT chunk, vector FROM vectors").fetchall()
            self._signs = [(chunk, _sign(_read(vector))) for chunk, vector in rows]
            self._index = index
        except BlockingIOError:
            return  # another worker is at it; a later question looks again
        except Exception as error:  # noqa: BLE001 - whatever it is, words alone decide then
            self._trouble(error)

    def _write(self, index: Path) -> None:
        known = _known(index)
        half = index.with_suffix(f".vectors.{os.getpid()}.part")
        half.unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(half)) as db:
                db.execute(_TABLE)
                for batch in _batches(_texts(index), self._endpoint.model):
                    new = [text for _, digest, text in batch if digest not in known]
                    made = iter(self._endpoint.vectors(new, BATCH_SECONDS) if new else [])
                    rows = [(chunk, digest, known.get(digest) or next(made).tobytes()) for chunk, digest, _ in batch]
                    db.executemany("INSERT INTO vectors VALUES (?, ?, ?)", rows)
                db.commit()
            os.replace(half, _beside(index))
        finally:
            half.unlink(missing_ok=True)
        for old in index.parent.glob(f"{_family(index)}-*.vectors"):
            if not old.with_suffix(".db").exists():
                old.unlink(missing_ok=True)


def _texts(index: Path) -> Iterator[tuple[int, str]]:
    with closing(sqlite3.connect(f"{index.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        for chunk, text in chunk_texts(db):
            yield chunk, text[:MOST_CHARS] or "-"


def _batches(texts: Iterator[tuple[int, str]], model: str) -> Iterator[list[tuple[int, bytes, str]]]:
    batch: list[tuple[int, bytes, str]] = []
    for chunk, text in texts:
        batch.append((chunk, hashlib.sha256(json.dumps([model, text]).encode()).digest(), text))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _known(index: Path) -> dict[bytes, bytes]:
    """The vectors of an earlier index of this folder, by what they were made of."""
    earlier = sorted(index.parent.glob(f"{_family(index)}-*.vectors"), key=lambda one: one.stat().st_mtime)
    if not earlier:
        return {}
    with closing(sqlite3.connect(earlier[-1])) as db:
        return dict(db.execute("SELECT digest, vector FROM vectors").fetchall())


def _family(index: Path) -> str:
    """What the names of all indexes of one folder begin with."""
    return index.stem.rpartition("-")[0]


def _beside(index: Path) -> Path:
    return index.with_suffix(".vectors")


def _stored(db: sqlite3.Connection, chunk: int) -> array[float]:
    return _read(db.execute("SELECT vector FROM vectors WHERE chunk = ?", (chunk,)).fetchone()[0])


def _read(vector: bytes) -> array[float]:
    return array("f", vector)


def _unit(numbers: Any) -> array[float]:
    """A vector of length 1. Raises ValueError or TypeError for what is none."""
    length = math.sqrt(sum(number * number for number in numbers))
    if not length or not math.isfinite(length):
        raise ValueError("not a vector")
    return array("f", [number / length for number in numbers])


def _sign(vector: array[float]) -> int:
    return int("".join("1" if number > 0 else "0" for number in vector), 2)


def _dot(one: array[float], other: array[float]) -> float:
    if len(one) != len(other):
        raise ValueError("vectors of different models")
    return sum(a * b for a, b in zip(one, other, strict=True))
