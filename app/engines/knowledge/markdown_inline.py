"""Inline Markdown of a page (a run): reduced to what an answer may hold, cut into sentences, as plain text."""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Sequence

from markdown_it.token import Token

_TAG = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|br|button|center|cite|code|col|dd|del|details|dfn|div|dl|dt|em|embed|figcaption|"
    r"figure|font|footer|form|h[1-6]|header|hr|i|iframe|img|input|ins|kbd|label|li|link|main|mark|meta|nav|object|ol|"
    r"option|p|picture|pre|q|s|samp|script|section|select|small|source|span|strike|strong|style|sub|summary|sup|svg|"
    r"table|tbody|td|textarea|tfoot|th|thead|tr|tt|u|ul|var|video|wbr)\b[^<>]*>",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"<!--.*?(?:-->|$)|<(script|style)\b.*?(?:</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_RISKY = re.compile(r"([\\`*])|(?<!\w)(_)(?=\w)|(<)(?=[A-Za-z/!?])")
_MARKER = re.compile(r"\[(\d{1,3})\]")
_SPACED = re.compile(r"\A ?(.+?) ?\Z", re.DOTALL)
_TICKS = re.compile(r"`+")
_ESCAPED = re.compile(r"\\([\\`*_<])")
_SENTENCE = re.compile(r"""(?<=[.!?…])["'”’)\]]*\s+(?=[A-Z0-9"'“‘(`*À-ÞА-Я])|(?<=[。！？])""")
_SHORTENED = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|Mr|Mrs|Ms|Dr|St|No|approx|incl|Inc|Ltd|Fig|p|pp)\.$")


def without_tags(source: str) -> str:
    """HTML source as its visible text: comments, scripts and known tags are gone, anything else stays as text."""
    return html.unescape(_TAG.sub(" ", _HIDDEN.sub(" ", source)))


def escaped(text: str) -> str:
    """Text that Markdown shows as it is; ``[1]`` becomes ``(1)``, since markers belong to the answer's own sources."""
    return _MARKER.sub(r"(\1)", _RISKY.sub(lambda found: "\\" + found.group(), text))


def run(children: Sequence[Token] | None) -> str:
    """Inline tokens as Markdown that holds nothing but words, code and bold: no link, no image, no HTML."""
    return " ".join("".join(_piece(token) for token in _seen(children or ())).split())


def _seen(children: Sequence[Token]) -> list[Token]:
    kept: list[Token] = []
    inside = False
    for token in children:
        if token.type == "html_inline" and re.match(r"</?(?:script|style)\b", token.content, re.IGNORECASE):
            inside = not token.content.startswith("</")
        elif not inside:
            kept.append(token)
    return kept


def _piece(token: Token) -> str:
    if token.type == "text":
        return escaped(token.content)
    if token.type == "code_inline":
        return code(token.content)
    if token.type == "image":
        return escaped(token.content)
    if token.type == "html_inline":
        return escaped(without_tags(token.content)) if not token.content.startswith("<!--") else ""
    if token.type in {"softbreak", "hardbreak"}:
        return " "
    return "**" if token.type in {"strong_open", "strong_close"} else ""


def code(content: str) -> str:
    """A code span that holds ``content`` whatever backticks are in it."""
    fence = outdone(content, "`")
    return f"{fence} {content} {fence}" if len(fence) > 1 else f"`{content}`"


def outdone(content: str, fence: str) -> str:
    """The fence, or one longer than every run of backticks in ``content``."""
    longest = max(map(len, _TICKS.findall(content)), default=0)
    return fence if longest < len(fence) else "`" * (longest + 1)


def bare(run: str) -> str:
    """The plain text of a run made by ``run``, ``escaped`` or ``code``."""
    return "\n".join(_bare(line) for line in run.split("\n"))


def _bare(line: str) -> str:
    """A code span ends at the next run of as many backticks as it began with; found by length, since looking for each
    one's end anew takes the square of their number."""
    runs = [found.span() for found in _TICKS.finditer(line)]
    ends: dict[int, list[int]] = {}
    for start, end in runs:
        ends.setdefault(end - start, []).append(start)
    parts: list[str] = []
    at = 0
    for start, end in runs:
        if start < at or line[start - 1 : start] == "\\":
            continue
        closes = ends[end - start]
        after = bisect_right(closes, end)
        if after < len(closes):
            parts += [_unescaped(line[at:start]), _SPACED.sub(r"\1", line[end : closes[after]])]
            at = closes[after] + end - start
    return "".join([*parts, _unescaped(line[at:])])


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text.replace("**", ""))


def sentences(run: str) -> list[str]:
    """The sentences of a run, in order; joined by single spaces they are the run again."""
    found: list[str] = []
    for part in map(str.strip, _SENTENCE.split(run)):
        if found and (_SHORTENED.search(found[-1]) or found[-1].count("`") % 2 or found[-1].count("**") % 2):
            found[-1] = f"{found[-1]} {part}"
        elif part:
            found.append(part)
    return found
