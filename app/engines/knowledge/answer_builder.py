"""Builds an answer from passages: prose with the numbers of its sources, a choice of pages, or "not found"."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from app.engines.base import Citation
from app.engines.knowledge.answerability import Found
from app.engines.knowledge.markdown_inline import bare, escaped
from app.engines.knowledge.ranking import Passage
from app.engines.knowledge.sentence_selection import Unit, extracted
from app.engines.knowledge.small_talk import listed, topics

MOST_SOURCES = 5
SNIPPET = 600
"""Characters of a citation's snippet at most."""
SECOND = 0.72
"""A second passage is quoted too where its score reaches this share of the best one's."""
SHORT = 320
"""Characters of an answer beyond which one passage is enough."""
ALSO = 0.45
"""A further page is named as a source where its score reaches this share."""
RIVAL = 0.9
"""Two pages compete for a short question where the second reaches this share."""
_YES_OR_NO = re.compile(
    r"(?:is|are|am|was|were|do|does|did|can|could|will|would|should|shall|may|must|have|has)\b", re.IGNORECASE
)
_REPLY = re.compile(r"\A(?:Yes|No)[.,] (?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Answer:
    """Markdown and its sources; ``[1]`` in the text is the first of them."""

    text: str
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A passage and the units of it that the answer quotes."""

    passage: Passage
    units: tuple[Unit, ...]


def composed(db: sqlite3.Connection, found: Found, base: str) -> Answer:
    """The answer built from what the search found."""
    if not found.known:
        return _not_found(db, found)
    leaders = _leaders(found)
    rivals = _rivals(found, leaders)
    parts = rivals or _speaking(found)
    if not parts:
        return _not_found(db, found)
    pages = [passage.hit.page for passage in leaders]
    cited = tuple(_citation(passage, _spoken(parts, passage), base) for passage in leaders)
    text = (
        _choice(parts, pages)
        if rivals
        else "\n\n".join(_paragraph(part, pages.index(part.passage.hit.page) + 1) for part in parts)
    )
    silent = [at for at, page in enumerate(pages) if page not in {part.passage.hit.page for part in parts}]
    if silent:
        text += "\n\nSee also " + ", ".join(f"{escaped(leaders[at].title)} [{at + 1}]" for at in silent) + "."
    return Answer(text, cited)


def sources(found: Found, base: str) -> list[Citation]:
    """The citations alone, one a page, best first."""
    if not found.known:
        return []
    terms = (*found.asked.terms, *found.asked.context)
    return [_citation(one, tuple(extracted(one, terms, found.text)), base) for one in _leaders(found)]


def _leaders(found: Found) -> list[Passage]:
    """The best passage of each page worth naming."""
    top = found.passages[0].hit.score
    best: dict[int, Passage] = {}
    for passage in found.passages:
        if passage.hit.score >= ALSO * top and (passage.blocks or passage is found.passages[0]):
            best.setdefault(passage.hit.page, passage)
    return list(best.values())[:MOST_SOURCES]


def _speaking(found: Found) -> list[Part]:
    terms = (*found.asked.terms, *found.asked.context)
    parts: list[Part] = []
    said: list[set[str]] = []
    for passage in found.passages[:4]:
        if parts and not _worth_adding(passage, found.passages[0], parts[0]):
            continue
        units = [unit for unit in extracted(passage, terms, found.text) if not _again(unit, said)]
        if parts or not _YES_OR_NO.match(found.text):
            units = [_without_reply(unit) for unit in units]
        said += [set(unit.plain.lower().split()) for unit in units]
        if units:
            parts.append(Part(passage, tuple(units)))
        if len(parts) == 2:
            break
    return parts


def _without_reply(unit: Unit) -> Unit:
    """A sentence without the "Yes." or "No." before it, which answers the question of its heading and no other."""
    return replace(unit, parts=tuple(_REPLY.sub("", part) for part in unit.parts)) if unit.kind == "text" else unit


def _worth_adding(passage: Passage, first: Passage, spoken: Part) -> bool:
    """Whether to quote a second passage: nearly as good, covering as much, and the first quote was short."""
    short = sum(len(unit.plain) for unit in spoken.units) < SHORT
    return short and passage.hit.score >= SECOND * first.hit.score and passage.hit.cover >= 0.95 * first.hit.cover


def _again(unit: Unit, said: Sequence[set[str]]) -> bool:
    words = set(unit.plain.lower().split())
    return any(len(words & other) >= 0.8 * max(1, len(words | other)) for other in said)


def _rivals(found: Found, leaders: list[Passage]) -> list[Part]:
    """Two pages that fit a one- or two-word question equally well, each with its first words; else nothing."""
    heavy = [term for term in found.asked.terms if term.heavy]
    if found.asked.context or len(leaders) < 2 or len(heavy) > 2 or len(found.text.split()) > 4:
        return []
    first, second = leaders[:2]
    near = second.hit.score >= RIVAL * first.hit.score and min(first.hit.named, second.hit.named) >= 0.9
    if not near or first.title == second.title:
        return []
    parts = [Part(one, tuple(extracted(one, found.asked.terms, found.text)[:1])) for one in (first, second)]
    return parts if all(part.units and part.units[0].kind == "text" for part in parts) else []


def _choice(parts: list[Part], pages: list[int]) -> str:
    lines = [
        f"- **{escaped(_named(part.passage))}**: {part.units[0].parts[0]} [{pages.index(part.passage.hit.page) + 1}]"
        for part in parts
    ]
    return "This comes up in more than one place:\n\n" + "\n".join(lines) + "\n\nWhich of them do you mean?"


def _paragraph(part: Part, number: int) -> str:
    """A passage's units as Markdown, its number after every run of sentences and before every block."""
    lines: list[str] = []
    prose: list[str] = []
    before: tuple[int, int] | None = None
    for unit in part.units:
        if unit.kind == "text":
            if prose and before is not None and not _follows(before, unit.at):
                prose[-1] += f" [{number}]"
            prose.append(unit.parts[0])
            before = unit.at
            continue
        lines += (
            [" ".join(prose) + f" [{number}]"]
            if prose
            else [f"{escaped(_named(part.passage))}: [{number}]"]
            if not lines
            else []
        )
        prose, before = [], None
        lines.append("\n".join(unit.parts))
    if prose:
        lines.append(" ".join(prose) + f" [{number}]")
    return "\n\n".join(lines)


def _follows(before: tuple[int, int], at: tuple[int, int]) -> bool:
    return at == (before[0], before[1] + 1)


def _named(passage: Passage) -> str:
    return " › ".join((passage.title, *passage.trail[-1:]))


def _spoken(parts: Sequence[Part], passage: Passage) -> tuple[Unit, ...]:
    return next((part.units for part in parts if part.passage.hit.chunk == passage.hit.chunk), ())


def _citation(passage: Passage, used: Sequence[Unit], base: str) -> Citation:
    where = passage.url or f"{base}/{quote(passage.path)}"
    if passage.anchor and "#" not in where:
        where += "#" + quote(passage.anchor)
    return Citation(_named(passage), where, _snippet(passage, used))


def _snippet(passage: Passage, used: Sequence[Unit]) -> str:
    """Plain text of the page that holds what was used; the whole passage where it is short enough."""
    blocks = [block.plain for block in passage.blocks]
    whole = "\n".join(blocks)
    if len(whole) <= SNIPPET:
        return whole or " › ".join(passage.trail) or passage.title
    start = 0
    if used:
        opening = bare(used[0].parts[0])[:60] if used[0].kind == "text" else blocks[used[0].at[0]][:60]
        start = max(0, whole.find(opening))
    start = max(0, min(start, len(whole) - SNIPPET))
    cut = whole[start : start + SNIPPET]
    if start and not whole[start - 1].isspace():
        cut = cut[cut.find(" ") + 1 :]
    if start + SNIPPET < len(whole):
        cut = cut[: max(cut.rfind(" "), cut.rfind("\n"), SNIPPET // 2)]
    return cut.strip()


def _not_found(db: sqlite3.Connection, found: Found) -> Answer:
    near = list(dict.fromkeys(passage.title for passage in found.passages if passage.title))[:3]
    if near:
        return Answer(f"I could not find that in these pages. The nearest topics here are {_joined(near)}.", ())
    return Answer(f"I could not find that in these pages.{topics(db)}", ())


def _joined(names: list[str]) -> str:
    return listed([escaped(name) for name in names]).replace("” or “", "” and “")
