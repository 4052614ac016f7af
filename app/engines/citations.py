"""Reads a model's words as they stream: its [n] become our citations, its links to foreign places become text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from app.engines.base import Citation
from app.engines.sanitize import MOST_CITATIONS, clean, page

_NUMBERS = r"[0-9]{1,3}(?:[ ]?[,;][ ]?[0-9]{1,3}){0,9}"
_TARGET = r"\](?:\(|:)\s{0,99}<?[^\s<>()]{0,300}"
_BARE = r"(?:https?://|www\.)[^\s<>()\[\]`]{0,300}"
_TOKEN = re.compile(
    r"(?P<escaped>\\[^\n])"
    r"|(?P<code>`+)"
    r"|(?P<line>\n)"
    rf"|(?P<marker>[ ]?(?:\[\^?(?P<plain>{_NUMBERS})\]|【(?P<wide>[0-9]{{1,3}})[^【】\n]{{0,60}}】))(?P<next>(?=[(:]))?"
    r"|(?P<target>\](?:\(|:)\s{0,99}<?(?P<to>[^\s<>()]{0,300}))"
    r"|(?P<angle><(?P<auto>[A-Za-z][A-Za-z0-9+.-]{0,30}:[^\s<>]{0,300}))"
    rf"|(?P<bare>{_BARE})",
    re.IGNORECASE,
)
_UNFINISHED = re.compile(
    rf"(?:\\+`*|`+|[ ]|[ ]?\[\^?[0-9,; ]{{0,60}}(?:\]|{_TARGET})?|[ ]?【[^【】\n]{{0,64}}】?"
    rf"|\]|{_TARGET}|<(?:[A-Za-z][^\s<>]{{0,330}})?"
    rf"|h|ht|htt|https?|https?:|https?:/|w|ww|www|{_BARE})\Z",
    re.IGNORECASE,
)
_LINE = 99
"""Characters of a line that are looked back at: what stands before a fence is shorter."""
_BEFORE_A_FENCE = re.compile(r"[\s>*+\-0-9.]*\Z")
_LIKE_AN_ADDRESS = re.compile(r":|//|\\|&|www\.", re.IGNORECASE)
_RELATIVE = re.compile(r"(?!//)[A-Za-z0-9._~/#?=+-]+\Z")
_OURS = re.compile(r"https?://([A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9A-Fa-f:]+\](?::[0-9]+)?)(?=[/?#]|\Z)", re.IGNORECASE)


class Markers:
    """One answer's words and the sources it may cite.

    ``[n]`` means the n-th source; what it becomes is numbered in the order of first use, one number a page.
    A number without a source is left out. An address survives as a link where it leads to the host of a source; any
    other is shown as code, which nothing makes a link of. What stands in code comes as it is. Words are held back
    only while they may be part of a marker or an address.
    """

    def __init__(self, sources: Sequence[Citation]) -> None:
        self._sources = sources
        self._hosts = {urlsplit(source.url).netloc.lower() for source in sources}
        self._used: dict[str, Citation] = {}
        self._held = ""
        self._code = ""
        self._line = ""

    @property
    def cited(self) -> tuple[Citation, ...]:
        """The sources used so far, in the order of their numbers."""
        return tuple(self._used.values())

    def feed(self, text: str) -> str:
        """The words that may be shown now."""
        text = self._held + text
        unfinished = _UNFINISHED.search(text, max(0, len(text) - 420))
        cut = unfinished.start() if unfinished else len(text)
        self._held = text[cut:]
        return self._read(text[:cut])

    def rest(self) -> str:
        """What was held back, at the end of the answer."""
        text, self._held = self._held, ""
        return self._read(text) + self._closed()

    def _read(self, text: str) -> str:
        said = _TOKEN.sub(self._token, text)
        start = text.rfind("\n") + 1
        self._line = (self._line if not start else "")[-_LINE:] + text[start:]
        return said

    def _token(self, match: re.Match[str]) -> str:
        found = match[0]
        if match["line"]:
            return self._closed() + found if len(self._code) < 3 else found
        if match["code"] or (self._code and found == "\\`"):
            return self._fence(match)
        if self._code or match["escaped"]:
            return found
        if match["marker"]:
            return self._cite(match)
        return self._address(match)

    def _closed(self) -> str:
        """Ends code that its line or the answer leaves open: a reader would not see code there, but words."""
        run, self._code = self._code, ""
        return run if len(run) < 3 else ""

    def _fence(self, match: re.Match[str]) -> str:
        """Follows where code begins and ends."""
        run = match[0].removeprefix("\\")
        at = match.start()
        begun = match.string[max(0, at - _LINE) : at]
        line = begun.rpartition("\n")[2] if at >= _LINE or "\n" in begun else (self._line + begun)[-_LINE:]
        first = _BEFORE_A_FENCE.match(line) is not None
        if self._code:
            if (first and 3 <= len(self._code) <= len(run)) or (run == self._code and len(run) < 3):
                self._code = ""
            return match[0]
        if len(run) >= 3 and not first:
            return ""  # neither a fence nor code that could be followed
        self._code = run
        return run

    def _address(self, match: re.Match[str]) -> str:
        """A link's target, or an address that a reader would make a link of."""
        found = match[0]
        address = match["to"] or match["auto"] or match["bare"] or ""
        if self._leads_home(address) and not (match["bare"] and _RELATIVE.match(address)):
            return found
        before = found[: len(found) - len(address)]
        if match["target"]:
            before = f"] {before[1:].replace('<', '')}"
        if not _LIKE_AN_ADDRESS.search(address):
            return before + address
        core = address.replace("`", "").rstrip(".,;:!?'\"*_~")
        return f"{before}`{core}`{address[len(core) :] if '`' not in address else ''}"

    def _cite(self, match: re.Match[str]) -> str:
        numbers = re.findall(r"[0-9]+", match["plain"] or match["wide"])
        ours = dict.fromkeys(number for number in map(self._number, numbers) if number)
        space = " " if match[0].startswith(" ") else ""
        gap = " " if match["next"] is not None else ""  # or a link would begin here
        return (space + "".join(f"[{number}]" for number in ours) if ours else "") + gap

    def _number(self, told: str) -> int:
        """Our number for the model's; 0 where there is no such source or no place for it."""
        at = int(told) - 1
        if not 0 <= at < len(self._sources):
            return 0
        key = page(self._sources[at].url)
        if key not in self._used:
            if len(self._used) == MOST_CITATIONS:
                return 0
            self._used[key] = self._sources[at]
        return list(self._used).index(key) + 1

    def _leads_home(self, address: str) -> bool:
        """Whether a link may stay one: to a place on the same site, or to the host of a source."""
        if _RELATIVE.match(address):
            return True
        host = _OURS.match(address)
        return host is not None and host[1].lower() in self._hosts


def aligned(text: str, given: Sequence[object]) -> tuple[str, tuple[Citation, ...]]:
    """A finished answer and its own citations made clean; its markers follow where that moved or dropped some."""
    kept = clean(given)
    places = {page(citation.url): number for number, citation in enumerate(kept, 1)}
    now = [places.get(page(each[0].url)) if (each := clean([one])) else None for one in given[:100]]
    if now == list(range(1, len(given) + 1)):
        return text, kept

    def move(match: re.Match[str]) -> str:
        at = int(match[1]) - 1
        return match[0] if not 0 <= at < len(now) else f"[{now[at]}]" if now[at] else ""

    return re.sub(r"\[([0-9]{1,3})\](?![(:])", move, text), kept
