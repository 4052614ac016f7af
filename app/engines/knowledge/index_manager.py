"""Which index is in use: opened if it fits the folder, rebuilt when the folder changes, swapped in when complete."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any, TypeVar

from app.engines.knowledge.index import FORMAT, IndexInfo, build_index, read_info
from app.engines.knowledge.reader import Folder, fingerprint, scan
from app.errors import EngineBusy
from app.file_lock import file_lock
from app.threadpool import run_in_thread

_log = getLogger(__name__)
T = TypeVar("T")

SCAN_SECONDS = 2.0
"""Between two scans of the folder; more where a scan takes long."""
SMALL = 200
"""Pages up to which the first index is built at once, in this process."""
PATIENCE = 2.0
"""Seconds that a question waits for a new index of a small changed folder before the old one answers it."""
WAIT = 5.0
"""Seconds that a question waits for those before it."""
BUILD_SECONDS = 900.0
"""After which a build is given up."""
NAMED_PROBLEMS = 10
"""Files that ``/health`` names."""


@dataclass(frozen=True, slots=True)
class _Index:
    """An open index: a connection for searches and one for quick reads beside them."""

    file: Path
    info: IndexInfo
    searched: sqlite3.Connection
    read: sqlite3.Connection


class IndexManager:
    """The folder's index, shared by all threads of a process and, as a file, by all workers."""

    def __init__(self, folders: Sequence[Path], data_dir: Path, base_url: str) -> None:
        self._folders = tuple(folders)
        self._base_url = base_url
        self._data = data_dir
        paths = "\n".join(os.path.realpath(folder) for folder in self._folders)
        self._prefix = "knowledge-" + hashlib.sha256(paths.encode()).hexdigest()[:12]
        self._search_lock, self._read_lock = threading.Lock(), threading.Lock()
        self._index: _Index | None = None
        self._problem: str | None = None
        self._scanned = 0.0
        self._pause = SCAN_SECONDS
        self._build: threading.Thread | None = None
        self._failed = ""
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.scan()

    def search(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """The result of ``work`` on the index in use, beside the event loop, one at a time; ``otherwise`` while there
        is none. Raises EngineBusy where too many wait.
        """
        self.scan()
        if not self._search_lock.acquire(timeout=WAIT):
            raise EngineBusy(retry_after=1)
        try:
            index = self._index
            return otherwise if index is None else run_in_thread(lambda: work(index.searched))
        finally:
            self._search_lock.release()

    def read(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Like ``search``, for quick reads: on a connection of their own, without waiting for a search or a thread."""
        self.scan()
        with self._read_lock:
            return otherwise if self._index is None else work(self._index.read)

    @property
    def file(self) -> Path | None:
        """The file of the index in use."""
        index = self._index
        return index.file if index else None

    @property
    def is_reading(self) -> bool:
        """Whether there is no index yet because the first one is being made."""
        return self._index is None and self._build is not None and self._build.is_alive()

    def status(self) -> dict[str, Any]:
        """Pages, chunks, when they were indexed, and what is wrong in one plain sentence, or None."""
        self.scan()
        index, problem = self._index, self._problem
        info = index.info if index else None
        if self.is_reading:
            problem = problem or "The pages are still being read for the first time."
        elif info and not problem and info.problems:
            more = f" and {len(info.problems) - NAMED_PROBLEMS} more" if len(info.problems) > NAMED_PROBLEMS else ""
            problem = f"{'; '.join(info.problems[:NAMED_PROBLEMS])}{more}."
        return {
            "pages": info.pages if info else 0,
            "chunks": info.chunks if info else 0,
            "indexed_at": info.indexed_at if info else None,
            "problem": problem,
        }

    def wait(self, seconds: float) -> None:
        """Until no index is being built any more, at the latest after ``seconds``."""
        if self._build is not None:
            self._build.join(seconds)

    def close(self) -> None:
        """Closes the index; a build that runs is waited for."""
        self.wait(BUILD_SECONDS)
        self._scanned = float("inf")
        self._swap(None)

    def scan(self) -> None:
        """Checks, every two seconds at most, whether the folder has changed, and then starts building a new index."""
        now = time.monotonic()
        if now - self._scanned < self._pause:
            return
        self._scanned = now
        try:
            found, _ = run_in_thread(lambda: scan(self._folders))
        except OSError as error:
            self._report(f"The knowledge folder cannot be read ({error.strerror or 'unknown error'}).")
            return
        self._pause = max(SCAN_SECONDS, 50 * (time.monotonic() - now))
        if not found and (self._index is not None or not self._newest()):
            self._report("The knowledge folder holds no Markdown pages.")
            return
        wanted = self._data / f"{self._prefix}-{FORMAT}{fingerprint(found, self._base_url)}.db"
        if wanted == self.file:
            self._problem = None
        elif not found or not self._open(wanted):
            self._renew(wanted, len(found))

    def _report(self, problem: str) -> None:
        if problem != self._problem:
            _log.warning("%s What was indexed before goes on answering.", problem)
        self._problem = problem
        newest = self._newest() if self._index is None else None
        if newest:
            self._open(newest, problem)

    def _newest(self) -> Path | None:
        return max(self._data.glob(f"{self._prefix}-{FORMAT}*.db"), key=_modified, default=None)

    def _open(self, file: Path, problem: str | None = None) -> bool:
        """Serve ``file`` from now on; False where it is not there or no complete index."""
        if not file.exists():
            return False
        try:
            uri = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
            searched, read = (sqlite3.connect(uri, uri=True, check_same_thread=False) for _ in range(2))
            index = _Index(file, read_info(searched), searched, read)
        except (sqlite3.Error, TypeError, ValueError):
            _log.warning("an index could not be opened and is made anew")
            file.unlink(missing_ok=True)
            return False
        self._problem = problem
        self._swap(index)
        return True

    def _swap(self, index: _Index | None) -> None:
        with self._search_lock, self._read_lock:
            former, self._index = self._index, index
            if former is not None:
                former.searched.close()
                former.read.close()

    def _renew(self, wanted: Path, pages: int) -> None:
        if self._index is None:
            newest = self._newest()
            if newest is None and pages <= SMALL:
                self._make(wanted, in_process=True)
                return
            if newest is not None:
                self._open(newest)
        if (self._build is None or not self._build.is_alive()) and wanted.name != self._failed:
            self._build = threading.Thread(target=self._make, args=(wanted,), name="knowledge-index", daemon=True)
            self._build.start()
        if self._build is not None and pages <= SMALL:
            self._build.join(PATIENCE)

    def _make(self, wanted: Path, in_process: bool = False) -> None:
        """Build ``wanted``, unless another worker has done so meanwhile, and serve it."""
        try:
            with file_lock(self._data / f"{self._prefix}.lock", BUILD_SECONDS) as lock:  # one build over all workers
                if lock is None:
                    raise TimeoutError
                if not self._open(wanted):
                    self._remove_old()
                    self._run(wanted, in_process)
                    self._open(wanted)
        except (OSError, subprocess.SubprocessError) as error:
            self._failed = wanted.name
            self._report(f"The knowledge folder could not be indexed ({type(error).__name__}).")

    def _run(self, wanted: Path, in_process: bool) -> None:
        if in_process:
            run_in_thread(lambda: index_folders(self._folders, wanted, self._base_url, self.file))
            return
        root = str(Path(__file__).resolve().parents[3])
        start = "import json, sys; from app.engines.knowledge.index_manager import main; main(*json.loads(sys.argv[1]))"
        folders = [str(folder.resolve()) for folder in self._folders]
        given = [folders, str(wanted.resolve()), self._base_url, str(self.file.resolve()) if self.file else None]
        command = [sys.executable, "-c", start, json.dumps(given)]
        environment = {"PYTHONPATH": root, "PATH": "/usr/bin:/bin"}
        subprocess.run(command, cwd=root, env=environment, check=True, timeout=BUILD_SECONDS, stdin=subprocess.DEVNULL)

    def _remove_old(self) -> None:
        """Indexes that nobody will ask for; the newest stays for workers that have not looked yet."""
        for old in sorted(self._data.glob(f"{self._prefix}-*.db"), key=_modified)[:-1]:
            if old != self.file:
                old.unlink(missing_ok=True)


def index_folders(folders: Sequence[Path], out: Path, base_url: str, previous: Path | None = None) -> IndexInfo:
    """Indexes folders; a file that cannot be read keeps the text it had in ``previous``. Raises OSError."""
    folder = Folder(*scan(folders), base_url, _stored_sources(previous))
    return build_index(folder.documents(), folder.problems, out)


def _stored_sources(previous: Path | None) -> dict[tuple[int, str], str]:
    if previous is None or not previous.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"file:{previous}?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT folder, file, source FROM pages").fetchall()
        return {(folder, file): zlib.decompress(source).decode() for folder, file, source in rows}
    except (sqlite3.Error, zlib.error):
        return {}


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def main(folders: Sequence[str], out: str, base_url: str, previous: str | None) -> None:
    """Builds an index in a process of its own, so that the service's own loop never waits for it."""
    os.nice(5)
    index_folders([Path(folder) for folder in folders], Path(out), base_url, Path(previous) if previous else None)
