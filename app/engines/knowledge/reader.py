"""Reads the knowledge folders: which files are pages, what stands in front of them, and what is left out."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import yaml
from frontmatter.default_handlers import BaseHandler, JSONHandler, YAMLHandler
from pathspec import GitIgnoreSpec

from app.engines.knowledge.documents import Document, PageName, Problem
from app.engines.knowledge.links import FOLDER_NAMES, SUFFIXES, Links
from app.engines.knowledge.markdown_parser import ParsedPage, parse
from app.engines.knowledge.sections import sections

MAX_BYTES = 512 * 1024
"""Bytes of one page; a larger file is left out and named as a problem."""
MAX_MARKS = 30_000
"""Punctuation marks and line breaks of a page that are read: the time to parse it grows with these. Half a megabyte
of prose has fewer. Of documentation with many tables and links about 300 KB are read, of the densest page 30."""
MAX_FILES = 50_000
MAX_FRONT_MATTER = 64 * 1024
FORMAT = 2
"""Raised when a page is read in another way than before: then every index is made anew."""
IGNORE_FILE = ".batonignore"
_MARK = re.compile(r"[^\w\s]|[_\n]")
_FLOW = re.compile(r"[\[{]")
_PRIVATE = {
    **dict.fromkeys(("draft", "private", "hidden"), frozenset(["true", "yes", "on", "y", "1"])),
    **dict.fromkeys(("publish", "published"), frozenset(["false", "no", "off", "n", "0"])),
}
"""Of each name that keeps a page private, the values that do."""
_PRIVATE_LINE = re.compile(
    rf"^[ \t{{,-]*[\"']?({'|'.join(_PRIVATE)})[\"']?[ \t]*[:=][ \t]*[\"']?(\w+)", re.MULTILINE | re.IGNORECASE
)
_LANG = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8})*")
_ORDER = re.compile(r"^\d{1,2}[-_. ]+(?=\D)")


class _TOMLHandler(BaseHandler):
    """TOML between ``+++`` lines, read by the standard library."""

    FM_BOUNDARY = re.compile(r"^\+{3}[ \t]*$", re.MULTILINE)
    START_DELIMITER = END_DELIMITER = "+++"

    def load(self, fm: str) -> dict[str, Any]:
        return tomllib.loads(fm)


_HANDLERS: tuple[BaseHandler, ...] = (
    YAMLHandler(fm_boundary=re.compile(r"^-{3}[ \t]*$", re.MULTILINE)),
    _TOMLHandler(),
    JSONHandler(),
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A Markdown file: which folder it is in, its path below it with forward slashes, and what ``stat`` says of it."""

    folder: int
    root: str
    file: str
    size: int
    mtime_ns: int
    inode: int


class UnreadablePage(Exception):
    """A file that cannot be a page; the message says why in a few words, without its text."""


class PageTooLarge(UnreadablePage):
    """A file that would hold up whoever reads it."""


def scan(folders: Sequence[Path]) -> tuple[list[SourceFile], list[Problem]]:
    """Every Markdown file below the folders, sorted.

    What is hidden or named in the folder's ``.batonignore`` is left out, and links to it or out of the folder. Raises
    ``OSError`` when a folder itself cannot be read.
    """
    found: list[SourceFile] = []
    problems: list[Problem] = []
    for number, folder in enumerate(folders):
        root = os.path.realpath(folder)
        ignored = _ignored(root, problems)
        found += sorted(_walk(number, root, ignored, problems), key=lambda one: one.file)
    if len(found) > MAX_FILES:
        problems.append(
            Problem(found[MAX_FILES].file, f"more than {MAX_FILES} files", "The pages from here on are left out")
        )
    return found[:MAX_FILES], problems


def _ignored(root: str, problems: list[Problem]) -> GitIgnoreSpec | None:
    try:
        with open(os.path.join(root, IGNORE_FILE), encoding="utf-8") as file:
            return GitIgnoreSpec.from_lines(file.read(MAX_FRONT_MATTER).splitlines())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problems.append(Problem(IGNORE_FILE, type(error).__name__, "Patterns could not be read"))
        return None


def _walk(number: int, root: str, ignored: GitIgnoreSpec | None, problems: list[Problem]) -> Iterator[SourceFile]:
    def failed(error: OSError) -> None:
        if error.filename == root:
            raise error
        below = os.path.relpath(error.filename, root)
        problems.append(Problem(f"{below}/", error.strerror or "unknown error", "A folder could not be read"))

    def is_shown(name: str) -> bool:
        last = name.rstrip("/").rpartition("/")[2]
        hidden = last.startswith(".") or last == "node_modules"
        return not hidden and (ignored is None or not ignored.match_file(name))

    for above, folders, names in os.walk(root, onerror=failed):
        below = above[len(root) :].lstrip(os.sep) + "/" if above != root else ""
        folders[:] = [name for name in folders if is_shown(f"{below}{name}/")]
        for name in names:
            if name.lower().endswith(SUFFIXES) and is_shown(below + name):
                yield from _file(number, root, below + name)


def _file(number: int, root: str, name: str) -> list[SourceFile]:
    path = os.path.join(root, name)
    try:
        name.encode("utf-8")
        status = os.stat(path)
    except (OSError, UnicodeError):
        return []
    if not stat.S_ISREG(status.st_mode) or (os.path.islink(path) and not _is_inside(root, os.path.realpath(path))):
        return []
    return [SourceFile(number, root, name, status.st_size, status.st_mtime_ns, status.st_ino)]


def _is_inside(root: str, path: str) -> bool:
    """Whether a file is one of the folder's own and neither it nor a folder above it is hidden."""
    parts = path.removeprefix(root + os.sep).split(os.sep)
    hidden = any(part.startswith(".") or part == "node_modules" for part in parts)
    return path.startswith(root + os.sep) and not hidden


def fingerprint(files: Sequence[SourceFile], base_url: str) -> str:
    """Sixteen hex digits that change when any file is added, removed, renamed or written, or links lead elsewhere."""
    seen = repr([(one.root, one.file, one.size, one.mtime_ns, one.inode) for one in files])
    return hashlib.sha256(f"{FORMAT}\n{base_url}\n{seen}".encode()).hexdigest()[:16]


def page_paths(files: Sequence[SourceFile]) -> list[str]:
    """Of every file its path in addresses: without ending; a README or index stands for its folder.

    Where two files want one path, the page of that very name wins, then ``index``, then ``README``; the other keeps
    its file's name, and a file of a later folder is put below that folder's name.
    """
    chosen: dict[int, str] = {}
    taken: set[str] = set()
    for number in sorted(range(len(files)), key=lambda number: _rank(files[number])):
        one = files[number]
        plain = one.file[: one.file.rindex(".")]
        above, _, last = plain.rpartition("/")
        wanted = above if last.lower() in FOLDER_NAMES else plain
        root = os.path.basename(one.root)
        below = f"{root}/{wanted}".rstrip("/")
        options = [wanted, plain, one.file] if one.folder == 0 else [wanted, below, f"{root}/{plain}", one.file]
        count = 2
        while options[0] in taken:
            options = options[1:] or [f"{below}-{count}"]
            count += 1
        taken.add(options[0])
        chosen[number] = options[0]
    return [chosen[number] for number in range(len(files))]


def _rank(one: SourceFile) -> tuple[int, int, str]:
    last = one.file[: one.file.rindex(".")].rpartition("/")[2].lower()
    return (one.folder, FOLDER_NAMES.index(last) + 1 if last in FOLDER_NAMES else 0, one.file)


def read_text(one: SourceFile) -> str:
    """The text of a file, at most ``MAX_BYTES`` of UTF-8; raises ``UnreadablePage``."""
    try:
        with open(os.path.join(one.root, one.file), "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadablePage(error.strerror or "cannot be read") from error
    if len(raw) > MAX_BYTES:
        raise PageTooLarge(f"larger than {MAX_BYTES // 1024} KB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadablePage("not UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What a page says about itself, by name in lower case; ``body`` is the page without it."""

    values: dict[str, Any]
    body: str
    problem: str = ""

    def text(self, *names: str) -> str:
        """The first of these that is a text or a number, on one line; else nothing."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                return " ".join(str(value).split())
        return ""

    def texts(self, *names: str) -> tuple[str, ...]:
        """All of these: each a text, texts parted by commas, or a list."""
        found: list[str] = []
        for name in names:
            value = self.values.get(name)
            parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else ()
            found += [" ".join(str(part).split()) for part in islice(parts, 100) if isinstance(part, str | int)]
        return tuple(filter(None, found))

    @property
    def is_private(self) -> bool:
        """``draft: true``, ``publish: false`` and their like: neither indexed nor shown."""
        return any(str(self.values.get(name, "")).strip().lower() in values for name, values in _PRIVATE.items())


def front_matter(text: str) -> FrontMatter:
    """YAML between ``---``, TOML between ``+++`` or JSON; what cannot be parsed is left out and named.

    What keeps a page private counts all the same, also where the block's end is missing: a slip may hide a page, and
    never shows one.
    """
    text = text.removeprefix("\ufeff")
    stripped = text.lstrip(" \t\n")
    handler = next((one for one in _HANDLERS if one.detect(stripped)), None)
    if handler is None:
        return FrontMatter({}, text)
    try:
        block, body = handler.split(stripped)
    except ValueError:  # no end
        return FrontMatter(_private_values(stripped.partition("\n\n")[0]), text)
    try:
        if len(block) > MAX_FRONT_MATTER or len(_FLOW.findall(block)) > 1000:
            raise ValueError("too large")
        values: object = handler.load(block)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError):
        return FrontMatter(_private_values(block), body, "cannot be parsed")
    if isinstance(values, dict):
        return FrontMatter({str(name).lower(): value for name, value in values.items()}, body)
    return FrontMatter(_private_values(block), body if values is None else text)


def _private_values(block: str) -> dict[str, Any]:
    """Of front matter that cannot be parsed, the lines that keep a page private."""
    found = ((name.lower(), value) for name, value in _PRIVATE_LINE.findall(block))
    return {name: value for name, value in found if value.lower() in _PRIVATE[name]}


def readable_part(text: str) -> str:
    """The lines of a page before its mark number ``MAX_MARKS``; of a page with fewer, all."""
    mark = next(islice(_MARK.finditer(text), MAX_MARKS, None), None)
    return text if mark is None else text[: text.rfind("\n", 0, mark.start()) + 1 or mark.start()]


def parse_source(source: str, page: PageName, links: Links) -> ParsedPage:
    """A page as it was read, parsed with its links resolved: the index and ``/knowledge`` both begin here."""
    body = front_matter(source).body
    part, is_mdx = readable_part(body), page.file.lower().endswith(".mdx")
    parsed = parse(part, mdx=is_mdx, resolve_link=lambda href: links.resolve(href, page))
    return replace(parsed, is_cut=len(part) < len(body))


class Folder:
    """The pages of the knowledge folders; ``problems`` grows while ``documents`` is read.

    ``stored`` has texts by folder and file that are taken where a file cannot be read.
    """

    def __init__(
        self,
        files: Sequence[SourceFile],
        problems: Sequence[Problem],
        base_url: str,
        stored: Mapping[tuple[int, str], str] = MappingProxyType({}),
    ) -> None:
        self.problems = list(problems)
        self._stored = stored
        self.pages: list[tuple[SourceFile, PageName]] = []
        """What is public, with the names under which it is linked."""
        for one, path in zip(files, page_paths(files), strict=True):
            page = self._name(one, path)
            if page is not None:
                self.pages.append((one, page))
        self.links = Links((page for _, page in self.pages), base_url)

    def documents(self) -> Iterator[Document]:
        """The pages one by one, each read whole; what cannot be read, or is private by now, is left out."""
        for one, page in self.pages:
            matter, source = self._read(one)
            if matter is not None and not matter.is_private:
                if len(readable_part(matter.body)) < len(matter.body):
                    self._problem(one, "too many links, lists or tables", "A page is not shown to its end")
                yield document(source, page, self.links)

    def _name(self, one: SourceFile, path: str) -> PageName | None:
        matter, _ = self._read(one)
        if matter is None or matter.is_private:
            return None
        if matter.problem:
            self._problem(one, matter.problem, "The front matter of a page is left out")
        aliases = matter.texts("slug", "id", "permalink", "aliases", "alias", "redirect_from")
        return PageName(path, one.file, one.folder, _address(matter.text("url")), aliases)

    def _read(self, one: SourceFile) -> tuple[FrontMatter | None, str]:
        """A file's front matter and its text; no front matter where it cannot be read."""
        try:
            source = read_text(one)
        except UnreadablePage as error:
            self._problem(one, str(error))
            source = "" if isinstance(error, PageTooLarge) else self._stored.get((one.folder, one.file), "")
            if not source:
                return None, ""
        return front_matter(source), source

    def _problem(self, one: SourceFile, reason: str, effect: str = "A page could not be read") -> None:
        problem = Problem(one.file, reason, effect)
        if problem not in self.problems:
            self.problems.append(problem)


def read_folder(folders: Sequence[Path], base_url: str) -> Folder:
    """The pages of the folders. ``base_url`` is where they can be opened: links lead there.

    Raises ``OSError`` when a folder cannot be read.
    """
    return Folder(*scan(folders), base_url)


def document(source: str, page: PageName, links: Links) -> Document:
    """The document of a page's text."""
    matter = front_matter(source)
    parsed = parse_source(source, page, links)
    first = next((heading.text for heading in parsed.headings if heading.level == 1 and heading.text), "")
    title = matter.text("title") or first or readable_name(page.file)
    lang = matter.text("lang", "language").lower().replace("_", "-")
    return Document(
        name=page,
        title=title,
        lang=lang if _LANG.fullmatch(lang) else None,
        headings=parsed.headings,
        source=source,
        description=matter.text("description", "summary", "excerpt"),
        tags=matter.texts("tags", "keywords"),
        sections=sections(parsed, title),
    )


def _address(url: str) -> str | None:
    """A front matter's ``url`` where it is one that a visitor may be sent to."""
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        return None
    safe = scheme in {"http", "https"} or (not scheme and not url.startswith(("//", "?", "#")) and ".." not in url)
    return url if url and safe and not re.search(r"[\s<>\"\\\x00-\x1f]", url) else None


def readable_name(file: str) -> str:
    """A title made of a file's name: ``guide/01-first_steps.md`` is "First steps"."""
    above, _, last = file[: file.rindex(".")].rpartition("/")
    name = above.rpartition("/")[2] if last.lower() in FOLDER_NAMES and above else last
    words = re.sub(r"[-_]+", " ", _ORDER.sub("", name)).strip() or name
    return words[:1].upper() + words[1:]
