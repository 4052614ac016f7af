"""Where links between the pages of the folders lead, whatever their generator lets authors write."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote, urljoin, urlsplit

from app.engines.knowledge.documents import PageName, page_url

SUFFIXES = (".md", ".mdx", ".markdown")
FOLDER_NAMES = ("index", "readme", "_index")
"""Files that stand for their folder; where there are several, the first of these."""
ALLOWED_SCHEMES = frozenset({"http", "https", "mailto", "tel"})
SERVICE_PAGES = frozenset({"/", "/install", "/docs", "/chat", "/health", "/openapi.json", "/knowledge"})
"""Pages of Baton itself that a document may link to by their path."""
_ENDING = re.compile(r"\.(?:md|mdx|markdown|html?)$", re.IGNORECASE)
_ORDER = re.compile(r"(?:^|(?<=/))\d{1,3}[-_. ]+(?=[^/])")
_NOT_IN_SLUG = re.compile(r"[^\w\- ]")


class Links:
    """Finds pages by any spelling: with or without ending, slash, ``index`` or order number, by alias or by name."""

    def __init__(self, pages: Iterable[PageName], base_url: str, *, own_urls: bool = True) -> None:
        """``own_urls``: whether a page is linked at the ``url`` of its front matter, else always below ``base_url``."""
        self._base = base_url.rstrip("/")
        self._own_urls = own_urls
        self._pages: dict[str, PageName] = {}
        self._by_spelling: dict[tuple[int, str], str] = {}
        self._by_name: dict[str, str] = {}
        names = list(pages)
        self._folders = sorted({page.folder for page in names})
        self.version = hashlib.blake2b(repr((base_url, names)).encode("utf-8", "replace"), digest_size=16).hexdigest()
        """Changes where any link may lead elsewhere than before."""
        for page in names:
            self._pages[page.path] = page
        for spellings in (_own_spellings, _other_spellings):
            for page in names:
                for spelling in spellings(page):
                    self._by_spelling.setdefault((page.folder, spelling.lower()), page.path)
        for page in sorted(names, key=lambda page: page.file.count("/")):
            self._by_name.setdefault(_stem(page.file).rpartition("/")[2].lower(), page.path)
            for alias in page.aliases:
                self._by_name.setdefault(alias.lower(), page.path)

    def find(self, wanted: str) -> str | None:
        """The path of the page that an address below ``/knowledge/`` means, or None."""
        wanted = wanted.strip("/")
        if wanted in self._pages:
            return wanted
        found = (self._look(folder, wanted) for folder in self._folders)
        return next((path for path in found if path is not None), None)

    def resolve(self, href: str, page: PageName) -> str | None:
        """The address that a link on ``page`` leads to; None where there is nothing to lead to."""
        try:
            parts = urlsplit(href)
        except ValueError:
            return None
        if parts.scheme == "wiki":
            return self._wiki(href, page)
        if parts.scheme:
            return _outside(href) if parts.scheme.lower() in ALLOWED_SCHEMES else None
        if parts.netloc or href.startswith(("//", "\\", "/\\")):
            return None
        fragment = f"#{parts.fragment}" if parts.fragment else ""
        if not parts.path:
            return (self._own_url(page) if self._own_urls else "") + fragment if fragment else None
        path = self._target(unquote(parts.path), page)
        if path is not None:
            return self._own_url(self._pages[path]) + fragment
        return urljoin(f"{self._base}/", href) if parts.path in SERVICE_PAGES else None

    def _own_url(self, page: PageName) -> str:
        return page_url(page.path, page.url if self._own_urls else None, self._base)

    def _wiki(self, href: str, page: PageName) -> str | None:
        name, _, heading = unquote(href.removeprefix("wiki:")).partition("#")
        fragment = f"#{quote(slug(heading))}" if heading else ""
        if not name:
            return self._own_url(page) + fragment
        plain = _ENDING.sub("", name).strip("/")
        path = self._target(f"/{plain}", page)
        if path is None:
            path = self._by_name.get(plain.lower()) or self._by_name.get(plain.rpartition("/")[2].lower())
        return None if path is None else self._own_url(self._pages[path]) + fragment

    def _target(self, path: str, page: PageName) -> str | None:
        """Relative to the file, then to the page's address; from the root, also below the prefix of another site."""
        if path.startswith("/"):
            parts = path.strip("/").split("/")
            tries = ["/".join(parts[at:]) for at in range(min(3, len(parts)))]
        else:
            above = (posixpath.dirname(page.file), posixpath.dirname(page.path), page.path)
            tries = list(dict.fromkeys(posixpath.normpath(posixpath.join(one, path)) for one in above))
        for wanted in tries:
            if not wanted.startswith(".."):
                found = self._look(page.folder, "" if wanted == "." else wanted)
                if found is not None:
                    return found
        return None

    def _look(self, folder: int, wanted: str) -> str | None:
        for spelling in _spellings(wanted.strip("/").lower()):
            if (folder, spelling) in self._by_spelling:
                return self._by_spelling[folder, spelling]
        return None


def slug(heading: str) -> str:
    """The anchor of a heading's plain text as GitHub spells it: lower case, spaces to hyphens, no punctuation."""
    return _NOT_IN_SLUG.sub("", heading.strip().lower()).replace(" ", "-")


def _outside(href: str) -> str | None:
    return href if not re.search(r"[\s<>\"\\\x00-\x1f]", href) else None


def _stem(file: str) -> str:
    return _ENDING.sub("", file)


def _spellings(path: str) -> Iterator[str]:
    """What may be meant by a path, the most exact first."""
    yield path
    plain = _stem(path)
    yield plain
    folder, _, last = plain.rpartition("/")
    if last in FOLDER_NAMES:
        yield folder
    yield _ORDER.sub("", plain)


def _own_spellings(page: PageName) -> Iterator[str]:
    yield page.path
    yield page.file
    yield _stem(page.file)


def _other_spellings(page: PageName) -> Iterator[str]:
    yield _ORDER.sub("", page.path)
    above = posixpath.dirname(page.file)
    if page.url and not urlsplit(page.url).scheme:
        yield unquote(urlsplit(page.url).path).strip("/")
    for alias in page.aliases:
        yield alias.strip("/") if alias.startswith("/") else posixpath.normpath(posixpath.join(above, alias)).strip("/")
