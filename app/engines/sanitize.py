"""What every engine's pieces must be before they go on: words that can be kept, clean citations, an end, a deadline."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from app.engines.base import AnswerChunk, CancelToken, Citation, CitationsChunk, FallbackNotice, TextChunk, TokenUsage
from app.errors import EngineFailed, EngineTimeout

MOST_CHARS = 100_000
MOST_CITATIONS = 5
MOST_TITLE, MOST_URL, MOST_SNIPPET = 200, 2_000, 600
_HIGH = re.compile("[\ud800-\udbff]$")
_LOOK_AT_MOST = 100


class Patience:
    """How long an engine may still be silent; every word starts it anew."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def word(self) -> None:
        """A word was said."""
        self._until = time.monotonic() + self._seconds

    def left(self) -> float:
        """Seconds, more than 0. Raises EngineTimeout when there are none left."""
        if (left := self._until - time.monotonic()) > 0:
            return left
        raise EngineTimeout


def checked(pieces: Iterable[AnswerChunk | str], patience: Patience, stop: CancelToken) -> Iterator[AnswerChunk]:
    """The pieces of an engine, made fit for the log.

    Strings count as words; halves of a surrogate pair are joined. Raises EngineFailed for an answer without a word,
    an endless one and for what is no piece, EngineTimeout where pieces come but no words. A stopped one just ends.
    """
    chars, half = 0, ""
    for piece in pieces:
        if isinstance(piece, (str, TextChunk)):
            text, half = whole(half + (piece if isinstance(piece, str) else piece.text))
            if text:
                patience.word()
                chars += len(text)
                yield TextChunk(text)
            if chars > MOST_CHARS:
                raise EngineFailed("The answer was too long.")
        else:
            yield other(piece)
        patience.left()
    if half:
        yield TextChunk("\ufffd")
    if not chars and not half and not stop.is_set():
        raise EngineFailed("The engine had no answer.")


def other(piece: object) -> AnswerChunk:
    """A piece that is no text, made clean. Raises EngineFailed for anything else."""
    if isinstance(piece, CitationsChunk):
        return CitationsChunk(clean(piece.citations))
    if isinstance(piece, FallbackNotice):
        return FallbackNotice(plain(piece.reason, MOST_SNIPPET))
    if isinstance(piece, TokenUsage) and isinstance(piece.prompt, int) and isinstance(piece.completion, int):
        return TokenUsage(max(0, piece.prompt), max(0, piece.completion))
    raise EngineFailed("The engine gave something that is no piece of an answer.")


def whole(text: object) -> tuple[str, str]:
    """The text that UTF-8 can hold, and half a surrogate pair that waits for its other half."""
    if not isinstance(text, str):
        raise EngineFailed("The engine gave something that is no text.")
    if text.isascii():
        return text, ""
    half = text[-1:] if _HIGH.search(text) else ""
    kept = text[: len(text) - len(half)]
    return kept.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), half


def clean(citations: object) -> tuple[Citation, ...]:
    """At most five citations, one a page, with http or https addresses only.

    Takes Citations or mappings with ``title``, ``url`` and ``snippet``; what is neither is left out.
    """
    kept: dict[str, Citation] = {}
    for number, given in enumerate(citations if isinstance(citations, (list, tuple)) else ()):
        if number == _LOOK_AT_MOST or len(kept) == MOST_CITATIONS:
            break
        if (citation := _citation(given)) is not None:
            kept.setdefault(page(citation.url), citation)
    return tuple(kept.values())


def page(url: str) -> str:
    """The address of a citation's page, without its heading."""
    return url.partition("#")[0]


def plain(value: object, most: int) -> str:
    """One line of text of at most ``most`` characters; empty for what is no text."""
    text, _ = whole(value) if isinstance(value, str) else ("", "")
    text = " ".join(text[: most * 4].split())
    text = "".join(letter for letter in text if letter.isprintable())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _citation(given: object) -> Citation | None:
    title: Any
    url: Any
    snippet: Any
    if isinstance(given, Citation):
        title, url, snippet = given.title, given.url, given.snippet
    elif isinstance(given, Mapping):
        title, url, snippet = (given.get(name) for name in ("title", "url", "snippet"))
    else:
        return None
    if not isinstance(url, str) or not sound(url.strip()):
        return None
    url = url.strip()
    return Citation(plain(title, MOST_TITLE) or html.unescape(urlsplit(url).netloc), url, plain(snippet, MOST_SNIPPET))


def sound(url: str) -> bool:
    """Whether it is an address to link to: http or https, a host, no user, nothing that cannot stand in one."""
    if len(url) > MOST_URL or not url.isprintable() or re.search(r"[\s\"<>\\^`{|}]", url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False
