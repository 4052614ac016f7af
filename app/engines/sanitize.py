"""Checks what an engine yields before it is stored: valid text, clean citations, a limit, a timeout."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from app.engines.base import (
    AnswerChunk,
    CancelToken,
    Citation,
    CitationsChunk,
    FallbackNotice,
    FinishReason,
    Handoff,
    NotFound,
    TextChunk,
    ThinkingChunk,
    TokenUsage,
)
from app.errors import EngineFailed, EngineTimeout

MAX_CHARS = 100_000
MAX_CITATIONS = 5
MAX_TITLE, MAX_URL, MAX_SNIPPET = 200, 2_000, 600
MAX_TOKENS = 10**9
"""Of one count of tokens: what a server says must not be more than a metric or a JSON number can hold."""
_MAX_CITATIONS_READ = 100
_HIGH_SURROGATE = re.compile("[\ud800-\udbff]$")
_FINISH_REASONS = {
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "refusal": "content_filter",
}
"""What servers call the end of an incomplete answer, and what Baton calls it."""
_NO_WORD = {
    "": "The engine had no answer.",
    "length": "The model reached its limit before the first word.",
    "content_filter": "The model's content filter withheld the answer.",
}
_WITH_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|\\\\")


class IdleTimer:
    """How long an engine may still be silent; every text chunk restarts it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def reset(self) -> None:
        """Restarts the timer, because text has come."""
        self._deadline = time.monotonic() + self._seconds

    def remaining(self) -> float:
        """Seconds, more than 0. Raises EngineTimeout when none are left."""
        if (remaining := self._deadline - time.monotonic()) > 0:
            return remaining
        raise EngineTimeout


def finish_reason(reason: object) -> str:
    """``length`` or ``content_filter`` where an answer ended early, by whatever name; empty for a complete one."""
    return _FINISH_REASONS.get(reason.lower(), "") if isinstance(reason, str) else ""


def sanitize_chunks(
    chunks: Iterable[AnswerChunk | str], timer: IdleTimer, cancel: CancelToken, citation_base: str = ""
) -> Iterator[AnswerChunk]:
    """An engine's chunks, made fit to be stored.

    Strings become text chunks; halves of a surrogate pair are joined; relative addresses of citations are joined to
    ``citation_base``. Raises EngineFailed for an endless answer, for one without text that hands nothing over and for
    what is no chunk, EngineTimeout where chunks come but neither text nor thoughts. A cancelled one just ends.
    """
    chars, half, finished, hands_over = 0, "", "", False
    for chunk in chunks:
        if isinstance(chunk, (str, TextChunk)):
            text, half = split_surrogates(half + (chunk if isinstance(chunk, str) else chunk.text))
            if text:
                timer.reset()
                chars += len(text)
                yield TextChunk(text)
            if chars > MAX_CHARS:
                raise EngineFailed("The answer was too long.")
        elif isinstance(chunk, ThinkingChunk):
            timer.reset()
            yield chunk
        else:
            finished = chunk.reason if isinstance(chunk, FinishReason) else finished
            hands_over = hands_over or isinstance(chunk, Handoff)
            yield sanitize_non_text(chunk, citation_base)
        timer.remaining()
    if half:
        yield TextChunk("\ufffd")
    if not (chars or half or hands_over or cancel.is_set()):
        raise EngineFailed(_NO_WORD[finish_reason(finished)])


def sanitize_non_text(chunk: object, citation_base: str | None = None) -> AnswerChunk:
    """A chunk that is not text, made clean. Raises EngineFailed for anything else."""
    if isinstance(chunk, CitationsChunk):
        return CitationsChunk(clean_citations(chunk.citations, citation_base))
    if isinstance(chunk, FallbackNotice):
        return FallbackNotice(one_line(chunk.reason, MAX_SNIPPET))
    if isinstance(chunk, FinishReason):
        return FinishReason(finish_reason(chunk.reason))
    if isinstance(chunk, Handoff):
        return Handoff(one_line(chunk.reason, MAX_SNIPPET))
    if isinstance(chunk, ThinkingChunk | NotFound):
        return chunk
    if isinstance(chunk, TokenUsage) and isinstance(chunk.prompt, int) and isinstance(chunk.completion, int):
        return TokenUsage(*(min(max(0, count), MAX_TOKENS) for count in (chunk.prompt, chunk.completion)))
    raise EngineFailed("The engine gave something that is not part of an answer.")


def split_surrogates(text: object) -> tuple[str, str]:
    """The text that UTF-8 can encode, and half a surrogate pair at its end that waits for its other half."""
    if not isinstance(text, str):
        raise EngineFailed("The engine gave something that is no text.")
    if text.isascii():
        return text, ""
    half = text[-1:] if _HIGH_SURROGATE.search(text) else ""
    complete = text[: len(text) - len(half)]
    return complete.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), half


def clean_citations(citations: object, base: str | None = None) -> tuple[Citation, ...]:
    """At most five citations, one per page, with http or https addresses only.

    Takes Citations or mappings with ``title``, ``url`` and ``snippet``; what is neither is left out. A relative address
    is joined to ``base``; without one (empty) the citation is shown without a link. None leaves it as it is, for a
    later call that knows the base.
    """
    by_page: dict[str, Citation] = {}
    for number, item in enumerate(citations if isinstance(citations, (list, tuple)) else ()):
        if number == _MAX_CITATIONS_READ or len(by_page) == MAX_CITATIONS:
            break
        if (citation := _clean_citation(item, base)) is not None:
            by_page.setdefault(page_of(citation), citation)
    return tuple(by_page.values())


def page_of(citation: Citation) -> str:
    """What two citations of one page have in common: the address without its heading, or the title."""
    return strip_fragment(citation.url) or f" {citation.title}"


def strip_fragment(url: str) -> str:
    """The address of a citation's page, without its heading."""
    return url.partition("#")[0]


def one_line(value: object, max_chars: int) -> str:
    """One line of text of at most ``max_chars`` characters; empty for what is no text."""
    text, _ = split_surrogates(value) if isinstance(value, str) else ("", "")
    text = " ".join(text[: max_chars * 4].split())
    text = "".join(letter for letter in text if letter.isprintable())
    return text if len(text) <= max_chars else text[: max_chars - 1].rstrip() + "…"


def _clean_citation(item: object, base: str | None) -> Citation | None:
    title: Any
    url: Any
    snippet: Any
    if isinstance(item, Citation):
        title, url, snippet = item.title, item.url, item.snippet
    elif isinstance(item, Mapping):
        title, url, snippet = (item.get(name) for name in ("title", "url", "snippet"))
    else:
        return None
    given = url.strip() if isinstance(url, str) else ""
    if is_safe_url(given):
        link = given
    elif _WITH_SCHEME.match(given):
        return None  # an address that must not be opened
    else:
        link = _join(base, given)
    title = one_line(title, MAX_TITLE) or html.unescape(urlsplit(link).netloc) or one_line(given, MAX_TITLE)
    return Citation(title, link, one_line(snippet, MAX_SNIPPET)) if title else None


def _join(base: str | None, relative: str) -> str:
    """An address that is not absolute, joined to the base; empty where that gives none to link to."""
    if base is None:
        return relative if is_safe_url(urljoin("https://base.invalid/", relative)) else ""
    url = urljoin(base.rstrip("/") + "/", relative) if base and relative else ""
    return url if is_safe_url(url) else ""


def is_safe_url(url: str) -> bool:
    """Whether it is an address to link to: http or https, a host, no user, no character that is not allowed in one."""
    if len(url) > MAX_URL or not url.isprintable() or re.search(r"[\s\"<>\\^`{|}]", url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False
