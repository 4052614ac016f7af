"""The folder of Markdown on disk: which files count, what they are called, whether anything has changed."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from app.engines.knowledge.chunker import headings

LARGEST = 512 * 1024
"""Bytes of one page; a larger file is left out and named as a problem."""
MAX_MARKS = 30_000
"""Punctuation marks and line breaks of a page that are shown: the time to render it grows with these. Half a megabyte
of prose has fewer. Of documentation with many tables and links about 300 KB are shown, of the densest page 30."""
MOST = 50_000
"""The most files that are indexed."""
FORMAT = "11"
"""Part of every fingerprint: another format of the index means another index."""

_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)(?:^|\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_PAIR = re.compile(r"^([A-Za-z_][\w-]*+)\s*+:(.*)$")
_ITEM = re.compile(r"^\s*+-\s(.*)$")
_MARK = re.compile(r"[^\w\s]|[_\n]")
_FOLDER_NAMES = ("index", "readme")


@dataclass(frozen=True, slots=True)
class Found:
    """A Markdown file: its path below the folder with forward slashes, and what ``stat`` says of it."""

    file: str
    size: int
    stamp: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Written:
    """A page as its author wrote it; ``source`` comes without the front matter."""

    title: str
    url: str
    tags: str
    source: str


class BadPage(Exception):
    """A file that cannot be a page; the message says why in a few words, without its text."""


class TooLarge(BadPage):
    """A file that would hold up whoever reads it."""


def scan(folder: Path) -> list[Found]:
    """Every ``*.md`` below the folder, sorted; what is hidden is left out, and links to it or out of the folder.

    Raises ``OSError`` when the folder itself cannot be read.
    """
    found: list[Found] = []
    root = os.path.realpath(folder)
    todo = [""]
    while todo and len(found) < MOST:
        below = todo.pop()
        try:
            entries = sorted(os.scandir(os.path.join(root, below)), key=lambda entry: entry.name)
        except OSError:
            if not below:
                raise
            continue
        for entry in entries:
            name = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name != "node_modules":
                    todo.append(f"{name}/")
            elif entry.name.lower().endswith(".md") and not entry.name.startswith("."):
                found += _file(root, name, entry)
    return sorted(found, key=lambda one: one.file)


def _file(root: str, name: str, entry: os.DirEntry[str]) -> list[Found]:
    try:
        if entry.is_symlink() and not _shown(root, os.path.realpath(entry.path)):
            return []
        told = entry.stat()
        name.encode("utf-8")
    except (OSError, UnicodeError):
        return []
    return [Found(name, told.st_size, (told.st_mtime_ns, told.st_ino))] if entry.is_file() else []


def _shown(root: str, path: str) -> bool:
    """Whether a file is one of the folder's own and neither it nor a folder above it is hidden."""
    inside = path.startswith(root + os.sep)
    parts = path.removeprefix(root + os.sep).split(os.sep)
    return inside and not any(part.startswith(".") or part == "node_modules" for part in parts)


def fingerprint(found: list[Found]) -> str:
    """Sixteen hex digits that change when any file is added, removed, renamed or written."""
    seen = repr([(one.file, one.size, one.stamp) for one in found])
    return hashlib.sha256(f"{FORMAT}\n{seen}".encode()).hexdigest()[:16]


def paths(files: list[str]) -> dict[str, str]:
    """File to path in addresses: without ``.md``; ``README.md`` and ``index.md`` stand for their folder.

    Where two files want one path, the page of that very name wins, then ``index``, then ``README``.
    """
    chosen: dict[str, str] = {}
    taken: set[str] = set()
    for file in sorted(files, key=_rank):
        plain = file[:-3]
        above, _, last = plain.rpartition("/")
        wanted = above if last.lower() in _FOLDER_NAMES else plain
        path = plain if wanted in taken else wanted
        taken.add(path)
        chosen[file] = path
    return chosen


def _rank(file: str) -> tuple[int, str]:
    last = file[:-3].rpartition("/")[2].lower()
    return (_FOLDER_NAMES.index(last) + 1 if last in _FOLDER_NAMES else 0, file)


def read(folder: Path, one: Found) -> str:
    """The text of a page's file, at most ``LARGEST`` bytes of UTF-8; raises ``BadPage``."""
    if one.size > LARGEST:
        raise TooLarge(f"larger than {LARGEST // 1024} KB")
    try:
        with (folder / one.file).open("rb") as file:
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise TooLarge(f"larger than {LARGEST // 1024} KB")
        return raw.decode("utf-8").replace("\r\n", "\n").replace("\x00", "\ufffd")
    except UnicodeDecodeError as wrong:
        raise BadPage("not UTF-8") from wrong
    except OSError as wrong:
        raise BadPage(wrong.strerror or "cannot be read") from wrong


def shown_part(text: str) -> str:
    """The lines of a page before its mark number ``MAX_MARKS``; of a page with fewer, all."""
    mark = next(islice(_MARK.finditer(text), MAX_MARKS, None), None)
    return text if mark is None else text[: text.rfind("\n", 0, mark.start()) + 1 or mark.start()]


def written(text: str, file: str) -> Written:
    """Front matter and source of a page; the title is the front matter's, else the first heading's, else the file's."""
    told, source = front_matter(text)
    title = told.get("title", "")
    if not title:
        title = next((heading.text for heading in headings(source) if heading.text), "")
    return Written(
        " ".join((title or _named(file)).split()), _address(told.get("url", "")), told.get("tags", ""), source
    )


def front_matter(text: str) -> tuple[dict[str, str], str]:
    """``key: value`` pairs in front of a page, lists joined by commas, and the page without them."""
    block = _FRONT.match(text)
    if not block:
        return {}, text.removeprefix("\ufeff")
    told: dict[str, str] = {}
    key = ""
    for line in block.group(1).splitlines():
        pair, item = _PAIR.match(line), _ITEM.match(line)
        if pair:
            key = pair.group(1).lower()
            told[key] = _value(pair.group(2).strip())
        elif item and key:
            told[key] = ", ".join(filter(None, [told[key], _value(item.group(1).strip())]))
    return told, text[block.end() :]


def _value(raw: str) -> str:
    if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "\"'":
        inner = raw[1:-1]
        return inner.replace('\\"', '"').replace("\\\\", "\\") if raw[0] == '"' else inner.replace("''", "'")
    if raw.startswith("[") and raw.endswith("]"):
        return ", ".join(_value(part.strip()) for part in raw[1:-1].split(",") if part.strip())
    return "" if raw in {"|", ">", "|-", ">-", "~", "null"} else re.sub(r"(?<!\s)\s++#.*$", "", raw)


def _address(url: str) -> str:
    """A front matter's ``url`` where it is one that a visitor may be sent to, else nothing."""
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        return ""
    safe = scheme in {"http", "https"} or (not scheme and url.startswith("/") and not url.startswith("//"))
    return url if safe and not re.search(r"[\s<>\"\\\x00-\x1f]", url) else ""


def _named(file: str) -> str:
    above, _, last = file[:-3].rpartition("/")
    name = above.rpartition("/")[2] if last.lower() in _FOLDER_NAMES and above else last
    words = re.sub(r"[-_]+", " ", name).strip()
    return words[:1].upper() + words[1:]
