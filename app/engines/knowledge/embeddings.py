"""Ranks chunks by meaning, with vectors from an OpenAI-compatible endpoint; the local encoder has its own module.

Both answer ``similarities``; None from it means that words alone answer the question.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
from array import array
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app.engines.base import CancelToken
from app.engines.knowledge.index import chunk_texts
from app.engines.knowledge.query import Reading
from app.engines.knowledge.ranking import UNKNOWN, Similarities
from app.engines.knowledge.vectors import complete_vectors, digest, read_vectors
from app.engines.sanitize import IdleTimer
from app.file_lock import file_lock
from app.threadpool import run_in_thread

_log = logging.getLogger(__name__)

QUERY_SECONDS = 1.0
"""How long a question waits for its vector; after that words alone answer it."""
BATCH_SECONDS = 30.0
BATCH, MAX_CHARS = 32, 2_000
PAUSE_SECONDS = 30.0
"""After a failure the endpoint is not called for this long."""
ROUGH = 100
"""Chunks whose vectors are compared in full: the nearest ones by the signs of the numbers, a quick first pass."""


class Embeddings(Protocol):
    """What the engine needs of either kind."""

    def prepare(self, index: Path) -> None:
        """Have the vectors of this index made, in the background."""

    def similarities(self, index: Path, question: str, reading: Reading = "own") -> Similarities | None:
        """The chunks nearest to a question; None where they cannot be had. Called on the event loop's side."""

    def status(self) -> dict[str, int]:
        """``embedded``: chunks that have a vector; ``embedding_failures``: calls that failed."""

    def close(self) -> None:
        """Let go of it."""


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
            sent = {"model": self.model, "input": [text[:MAX_CHARS] or "-" for text in texts]}
            response = http_client().post(f"{self.url}/embeddings", json=sent, headers=headers).raise_for_status()
        found = sorted(response.json()["data"], key=lambda row: int(row["index"]))
        if len(found) != len(texts):
            raise ValueError("not a vector for every text")
        return [_unit(row["embedding"]) for row in found]


class EndpointEmbeddings:
    """Vectors of the chunks of one folder, in a file beside its index that all workers share."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._index: Path | None = None
        self._signs: dict[int, tuple[int, bytes]] = {}
        """Of every chunk the signs of its vector's numbers, and the key under which the vector is kept."""
        self._learning: threading.Thread | None = None
        self._quiet_until = 0.0
        self._failures = 0

    def status(self) -> dict[str, int]:
        """Chunks that have a vector, and calls that failed."""
        return {"embedded": len(self._signs), "embedding_failures": self._failures}

    def prepare(self, index: Path) -> None:
        """Fetch the vectors that this index lacks, in the background."""
        if self._index == index or time.monotonic() < self._quiet_until:
            return
        if self._learning is None or not self._learning.is_alive():
            self._learning = threading.Thread(target=self._learn, args=(index,), name="embeddings", daemon=True)
            self._learning.start()

    def similarities(self, index: Path, question: str, reading: Reading = "own") -> Similarities | None:  # noqa: ARG002 - one model
        """The chunks nearest to a question; None where they cannot be had. Called on the event loop's side."""
        self.prepare(index)
        if self._index != index or time.monotonic() < self._quiet_until or not question.strip():
            return None
        try:
            (asked,) = self._endpoint.vectors([question], QUERY_SECONDS)
            return Similarities(run_in_thread(lambda: self._nearest(index, asked)), UNKNOWN)
        except Exception as error:  # noqa: BLE001 - whatever it is, words alone decide then
            self._fail(error)
            return None

    def close(self) -> None:
        """Nothing is held."""

    def _nearest(self, index: Path, asked: array[float]) -> dict[int, float]:
        signs = _sign(asked)
        rough = sorted(self._signs.items(), key=lambda entry: (entry[1][0] ^ signs).bit_count())[:ROUGH]
        vectors = read_vectors(index, self._endpoint.model, (key for _, (_, key) in rough))
        return {chunk: _dot(asked, array("f", vectors[key])) for chunk, (_, key) in rough}

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        self._quiet_until = time.monotonic() + PAUSE_SECONDS
        _log.warning("the embeddings endpoint failed: %s", type(error).__name__)

    def _learn(self, index: Path) -> None:
        try:
            with file_lock(index.with_name("vectors.lock")) as lock:
                if lock is not None:  # else another worker is at it: a later question looks again
                    self._fetch(index)
        except Exception as error:  # noqa: BLE001 - whatever it is, words alone decide then
            self._fail(error)

    def _fetch(self, index: Path) -> None:
        with closing(sqlite3.connect(f"{index.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            texts = dict(chunk_texts(db))

        def make(batch: Sequence[str], _: int) -> list[bytes]:
            return [vector.tobytes() for vector in self._endpoint.vectors(batch, BATCH_SECONDS)]

        model = self._endpoint.model
        vectors = complete_vectors(index, model, texts, make, BATCH)
        self._signs = {
            chunk: (_sign(array("f", vector)), digest(model, texts[chunk])) for chunk, vector in vectors.items()
        }
        self._index = index


def _unit(numbers: Any) -> array[float]:
    """A vector of length 1. Raises ValueError or TypeError for what is none."""
    length = math.hypot(*numbers)
    if not length or not math.isfinite(length):
        raise ValueError("not a vector")
    return array("f", [number / length for number in numbers])


def _sign(vector: array[float]) -> int:
    return int("".join("1" if number > 0 else "0" for number in vector), 2)


def _dot(one: array[float], other: array[float]) -> float:
    """Raises ValueError for vectors of different models."""
    return sum(a * b for a, b in zip(one, other, strict=True))
