"""Rewrites a model's text as it streams: its [n] become citations, its links to other sites become plain text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.engines.base import Citation
from app.engines.sanitize import MAX_CITATIONS, clean_citations, page_of, strip_fragment

_NUMBERS = r"[0-9]{1,3}(?:[ ]?[,;][ ]?[0-9]{1,3}){0,9}"
_LINK_TARGET = r"\](?:\(|:)\s{0,99}<?[^\s<>()]{0,300}"
_BARE_URL = r"(?:https?://|www\.)[^\s<>()\[\]`]{0,300}"
_TOKEN = re.compile(
    r"(?P<escaped>\\[^\n])"
    r"|(?P<code>`+)"
    r"|(?P<line>\n)"
    rf"|(?P<marker>[ ]?(?:\[\^?(?P<plain>{_NUMBERS})\]|【(?P<wide>[0-9]{{1,3}})[^【】\n]{{0,60}}】))(?P<next>(?=[(:]))?"
    r"|(?P<target>\](?:\(|:)\s{0,99}<?(?P<to>[^\s<>()]{0,300}))"
    r"|(?P<angle><(?P<auto>[A-Za-z][A-Za-z0-9+.-]{0,30}:[^\s<>]{0,300}))"
    rf"|(?P<bare>{_BARE_URL})",
    re.IGNORECASE,
)
_INCOMPLETE = re.compile(
    rf"(?:\\+`*|`+|[ ]|[ ]?\[\^?[0-9,; ]{{0,60}}(?:\]|{_LINK_TARGET})?|[ ]?【[^【】\n]{{0,64}}】?"
    rf"|\]|{_LINK_TARGET}|<(?:[A-Za-z][^\s<>]{{0,330}})?"
    rf"|h|ht|htt|https?|https?:|https?:/|w|ww|www|{_BARE_URL})\Z",
    re.IGNORECASE,
)
_LINE_CHARS = 99
"""How many characters of a line are kept: what comes before a fence is shorter."""
_FENCE_INDENT = re.compile(r"[\s>*+\-0-9.]*\Z")
_LOOKS_LIKE_URL = re.compile(r":|//|\\|&|www\.", re.IGNORECASE)
_RELATIVE = re.compile(r"(?!//)[A-Za-z0-9._~/#?=+-]+\Z")
_ORIGIN = re.compile(
    r"(?:https?://|(?=www\.))([A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9A-Fa-f:]+\](?::[0-9]+)?)(?=[/?#]|\Z)", re.IGNORECASE
)


class CitationRewriter:
    """One answer's text and the sources it may cite.

    ``[n]`` means the n-th source; citations are numbered in the order of first use, one number per page. A number
    without a source is left out. A URL stays a link where it leads to the host of a source; any other is shown as
    code, which no Markdown renderer links. Text inside code is not changed. Text is buffered only while it may be part
    of a marker or a URL.
    """

    def __init__(self, sources: Sequence[Citation], trusted_hosts: frozenset[str] = frozenset()) -> None:
        self._sources = sources
        self._hosts = trusted_hosts | {host_of(source.url) for source in sources}
        self._used: dict[str, Citation] = {}
        self._buffer = ""
        self._code = ""
        self._line = ""

    @property
    def cited(self) -> tuple[Citation, ...]:
        """The sources used so far, in the order of their numbers."""
        return tuple(self._used.values())

    def feed(self, text: str) -> str:
        """The text that may be shown now."""
        text = self._buffer + text
        unfinished = _INCOMPLETE.search(text, max(0, len(text) - 420))
        cut = unfinished.start() if unfinished else len(text)
        self._buffer = text[cut:]
        return self._rewrite(text[:cut])

    def flush(self) -> str:
        """What is still buffered, at the end of the answer."""
        text, self._buffer = self._buffer, ""
        return self._rewrite(text) + self._close_open_code()

    def _rewrite(self, text: str) -> str:
        rewritten = _TOKEN.sub(self._token, text)
        start = text.rfind("\n") + 1
        self._line = (self._line if not start else "")[-_LINE_CHARS:] + text[start:]
        return rewritten

    def _token(self, match: re.Match[str]) -> str:
        matched = match[0]
        if match["line"]:
            return self._close_open_code() + matched if len(self._code) < 3 else matched
        if match["code"] or (self._code and matched == "\\`"):
            return self._track_code(match)
        if self._code or match["escaped"]:
            return matched
        if match["marker"]:
            return self._cite(match)
        return self._rewrite_link(match)

    def _close_open_code(self) -> str:
        """Ends code that its line or the answer leaves open: a reader would see text there, not code."""
        run, self._code = self._code, ""
        return run if len(run) < 3 else ""

    def _track_code(self, match: re.Match[str]) -> str:
        """Tracks where code begins and ends."""
        run = match[0].removeprefix("\\")
        start = match.start()
        before = match.string[max(0, start - _LINE_CHARS) : start]
        line = (
            before.rpartition("\n")[2]
            if start >= _LINE_CHARS or "\n" in before
            else (self._line + before)[-_LINE_CHARS:]
        )
        starts_line = _FENCE_INDENT.match(line) is not None
        if self._code:
            if (starts_line and 3 <= len(self._code) <= len(run)) or (run == self._code and len(run) < 3):
                self._code = ""
            return match[0]
        if len(run) >= 3 and not starts_line:
            return ""  # neither a fence nor inline code that could be tracked
        self._code = run
        return run

    def _rewrite_link(self, match: re.Match[str]) -> str:
        """A link's target, or a URL that a Markdown renderer would link."""
        matched = match[0]
        url = match["to"] or match["auto"] or match["bare"] or ""
        if self._is_trusted_host(url) or (_RELATIVE.match(url) and not match["bare"]):  # or a page of the same site
            return matched
        prefix = matched[: len(matched) - len(url)]
        if match["target"]:
            prefix = f"] {prefix[1:].replace('<', '')}"
        if not _LOOKS_LIKE_URL.search(url):
            return prefix + url
        core = url.replace("`", "").rstrip(".,;:!?'\"*_~")
        return f"{prefix}`{core}`{url[len(core) :] if '`' not in url else ''}"

    def _cite(self, match: re.Match[str]) -> str:
        numbers = re.findall(r"[0-9]+", match["plain"] or match["wide"])
        citation_numbers = dict.fromkeys(number for number in map(self._number, numbers) if number)
        space = " " if match[0].startswith(" ") else ""
        gap = " " if match["next"] is not None else ""  # otherwise a link would start here
        return (space + "".join(f"[{number}]" for number in citation_numbers) if citation_numbers else "") + gap

    def _number(self, marker: str) -> int:
        """The citation number for a model's number; 0 where there is no such source, or the list is full."""
        index = int(marker) - 1
        if not 0 <= index < len(self._sources):
            return 0
        key = strip_fragment(self._sources[index].url)
        if key not in self._used:
            if len(self._used) == MAX_CITATIONS:
                return 0
            self._used[key] = self._sources[index]
        return list(self._used).index(key) + 1

    def _is_trusted_host(self, url: str) -> bool:
        return _ORIGIN.match(url) is not None and host_of(url) in self._hosts


def host_of(url: str) -> str:
    """The host of an http or https address, with a port that is not the scheme's own; one without a scheme is http."""
    match = _ORIGIN.match(url)
    if match is None:
        return ""
    default_port = ":443" if url[:6].lower() == "https:" else ":80"
    return match[1].lower().removesuffix(default_port)


def renumber_citations(text: str, citations: Sequence[object]) -> tuple[str, tuple[Citation, ...]]:
    """A complete answer and its own citations, cleaned; its markers follow where that moved or dropped some."""
    cleaned = clean_citations(citations)
    by_page = {page_of(citation): number for number, citation in enumerate(cleaned, 1)}
    new_numbers = [
        by_page.get(page_of(item[0])) if (item := clean_citations([given])) else None for given in citations[:100]
    ]
    if new_numbers == list(range(1, len(citations) + 1)):
        return text, cleaned

    def renumber(match: re.Match[str]) -> str:
        space, index = match[1], int(match[2]) - 1
        if not 0 <= index < len(new_numbers):
            return match[0]
        return f"{space}[{new_numbers[index]}]" if new_numbers[index] else ""

    return re.sub(r"( ?)\[([0-9]{1,3})\](?![(:])", renumber, text), cleaned
