"""Which index is in use: opened if it fits the folder, rebuilt when the folder changes, swapped in when complete."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import getLogger
from pathlib import Path
from typing import Any, TypeVar

from app.engines.knowledge.index_builder import Built, about, build
from app.engines.knowledge.old_documents import Found, fingerprint, scan
from app.errors import EngineBusy
from app.threadpool import run_in_thread

log = getLogger(__name__)
T = TypeVar("T")

LOOK = 2.0
"""Seconds between two scans of the folder; more where a scan takes long."""
SMALL = 300
"""Pages up to which an index is built at once, in this process."""
PATIENCE = 2.0
"""Seconds that a question waits for a new index of a changed folder before the old one answers it."""
WAIT = 5.0
"""Seconds that a question waits for those before it."""
BUILD_LIMIT = 900.0
"""Seconds after which a build is given up."""


class Shelf:
    """The folder's index, shared by all threads of a process and, as a file, by all workers."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self.folder = folder
        self._data = data_dir
        self._mine = "knowledge-" + hashlib.sha256(os.path.realpath(folder).encode()).hexdigest()[:12]
        self._swap = threading.Lock()
        self._read = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._file: Path | None = None
        self._built: Built | None = None
        self._problem: str | None = None
        self._looked = 0.0
        self._pause = LOOK
        self._building: threading.Thread | None = None
        self._failed = ""
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.look()

    def use(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """The result of ``work`` on the index in use; ``otherwise`` while there is none.

        It runs beside the event loop, one at a time. Raises EngineBusy where too many wait.
        """
        self.look()
        if not self._swap.acquire(timeout=WAIT):
            raise EngineBusy(retry_after=1)
        try:
            db = self._db
            return otherwise if db is None else run_in_thread(lambda: work(db))
        finally:
            self._swap.release()

    def read(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Like ``use``, for quick reads: on a connection of their own, without waiting for a search or a thread."""
        self.look()
        with self._read:
            return otherwise if self._reader is None else work(self._reader)

    @property
    def serving(self) -> Path | None:
        """The file of the index that serves."""
        return self._file

    def status(self) -> dict[str, Any]:
        """Pages, chunks, when they were indexed, and what is wrong in one plain sentence, or None."""
        self.look()
        built, problem = self._built, self._problem
        if built and not problem and built.problems:
            more = f" and {len(built.problems) - 1} more" if len(built.problems) > 1 else ""
            problem = f"{built.problems[0]}{more}."
        return {
            "pages": built.pages if built else 0,
            "chunks": built.chunks if built else 0,
            "indexed_at": built.indexed_at if built else None,
            "problem": problem,
        }

    def settle(self, seconds: float) -> None:
        """Wait for a build that runs."""
        if self._building is not None:
            self._building.join(seconds)

    def close(self) -> None:
        """Let go of the index; a build that runs is waited for."""
        self.settle(BUILD_LIMIT)
        with self._swap:
            if self._db is not None:
                self._db.close()
            self._db = None
            self._looked = float("inf")
        with self._read:
            if self._reader is not None:
                self._reader.close()
            self._reader = None

    def look(self) -> None:
        """Checks, every two seconds at most, whether the folder has changed, and then starts building a new index."""
        now = time.monotonic()
        if now - self._looked < self._pause:
            return
        self._looked = now
        try:
            found = run_in_thread(lambda: scan(self.folder))
        except OSError as wrong:
            self._trouble(f"The knowledge folder cannot be read ({wrong.strerror or 'unknown error'}).")
            return
        self._pause = max(LOOK, 50 * (time.monotonic() - now))
        if not found and (self._db is not None or not self._newest()):
            self._trouble("The knowledge folder holds no Markdown pages.")
            return
        wanted = self._data / f"{self._mine}-{fingerprint(found)}.db"
        if wanted == self._file:
            self._problem = None
        elif not found or not self._open(wanted):
            self._renew(wanted, found)

    def _trouble(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("%s What was indexed before goes on answering.", problem)
        self._problem = problem
        if self._db is None:
            newest = self._newest()
            if newest:
                self._open(newest, problem)

    def _newest(self) -> Path | None:
        files = list(self._data.glob(f"{self._mine}-*.db"))
        return max(files, key=_age, default=None)

    def _open(self, file: Path, problem: str | None = None) -> bool:
        """Serve ``file`` from now on; False where it is not there or no whole index."""
        if not file.exists():
            return False
        try:
            place = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
            db, reader = (sqlite3.connect(place, uri=True, check_same_thread=False) for _ in range(2))
            built = about(db)
        except (sqlite3.Error, KeyError, ValueError):
            log.warning("an index could not be opened and is made anew")
            file.unlink(missing_ok=True)
            return False
        with self._read:
            former, self._reader = self._reader, reader
            if former is not None:
                former.close()
        with self._swap:
            old, self._db, self._file, self._built, self._problem = self._db, db, file, built, problem
            if old is not None:
                old.close()
        return True

    def _renew(self, wanted: Path, found: list[Found]) -> None:
        if self._db is None:
            newest = self._newest()
            if newest is None and len(found) <= SMALL:
                self._make(wanted, apart=False)
                return
            if newest is not None:
                self._open(newest)
        if (self._building is None or not self._building.is_alive()) and wanted.name != self._failed:
            self._building = threading.Thread(target=self._make, args=(wanted,), name="knowledge-index", daemon=True)
            self._building.start()
        if self._building is not None and len(found) <= SMALL:
            self._building.join(PATIENCE)

    def _make(self, wanted: Path, apart: bool = True) -> None:
        """Build ``wanted``, unless another worker has done so meanwhile, and serve it."""
        try:
            with self._alone():
                if not self._open(wanted):
                    self._run(wanted, apart)
                    self._tidy(wanted)
                    self._open(wanted)
        except (OSError, subprocess.SubprocessError) as wrong:
            self._failed = wanted.name
            self._trouble(f"The knowledge folder could not be indexed ({type(wrong).__name__}).")

    def _run(self, wanted: Path, apart: bool) -> None:
        if not apart:
            run_in_thread(lambda: build(self.folder, wanted, previous=self._file))
            return
        root = str(Path(__file__).resolve().parents[3])
        start = "from app.engines.knowledge.index_builder import main; main()"
        command = [sys.executable, "-c", start, str(self.folder.resolve()), str(wanted.resolve())]
        if self._file is not None:
            command += ["--previous", str(self._file.resolve())]
        path = {"PYTHONPATH": root, "PATH": "/usr/bin:/bin"}
        subprocess.run(command, cwd=root, env=path, check=True, timeout=BUILD_LIMIT, stdin=subprocess.DEVNULL)

    def _tidy(self, wanted: Path) -> None:
        """Remove indexes that nobody will ask for; the one before stays for workers that have not looked yet."""
        files = sorted(self._data.glob(f"{self._mine}-*.db"), key=_age)
        for old in files[:-2]:
            if old not in (wanted, self._file):
                old.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One builder at a time over all workers; the wait does not block gevent's event loop."""
        with (self._data / f"{self._mine}.lock").open("w") as lock:
            end = time.monotonic() + BUILD_LIMIT
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.05)
            yield


def _age(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
