"""What of a passage answers a question: its best sentences, lists, tables and code, in the order of the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.engines.knowledge.markdown_inline import bare
from app.engines.knowledge.query import Term
from app.engines.knowledge.ranking import KIN, Passage
from app.engines.knowledge.tokenizer import stems

PROSE = 520
"""Characters of sentences that one passage may give."""
ITEMS = 10
"""Items or rows of a list or table that are given whole; of a longer one those that fit the question."""
SOME = 6
CODE_LINES = 40
"""Lines of a code block beyond which it is left to the page."""

_AMOUNT = re.compile(
    r"\bhow (?:long|many|much|often|big|large|old|far|fast|soon|quickly|late)\b|\bwhen\b|\bprice|\bcosts?\b|"
    r"\bfees?\b|\blimit|\bmaximum\b|\bminimum\b|\bdeadline\b|\bhours\b",
    re.IGNORECASE,
)
_DOING = re.compile(
    r"\bhow (?:do|can|to|does|should|would|could)\b|\bsteps?\b|\bcommand\b|\bexample\b|\bsnippet\b|\bset ?up\b|"
    r"\binstall\b|\bway to\b",
    re.IGNORECASE,
)
_MEANING = re.compile(
    r"\bwhat(?:'s| is| are| does\b[^.?!]{0,80}\bmean)|\bmeaning\b|\bdefin|\bexplain\b|\bwho (?:is|are)\b", re.IGNORECASE
)
_DANGLES = re.compile(
    r"(?:It|Its|This|That|These|Those|They|Their|Them|However|Otherwise|But|And|Or|So|Then|Also|He|She|In this case|"
    r"For example|Instead|If so|If not|Therefore|The same|Both|Such)\b"
)
_DIGIT = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|never|always|daily|weekly|monthly|free|"
    r"immediately|once|twice|hour|minute|day|week|month|year)s?\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence or a whole block of a passage; ``at`` is its block and its place in it."""

    kind: str
    parts: tuple[str, ...]
    at: tuple[int, int]
    score: float = 0.0

    @property
    def plain(self) -> str:
        return " ".join(bare(part) for part in self.parts)


def units(passage: Passage) -> list[Unit]:
    """The units of a passage."""
    found: list[Unit] = []
    for at, block in enumerate(passage.blocks):
        if block.kind == "text":
            found += [Unit("text", (part,), (at, place)) for place, part in enumerate(block.parts)]
        else:
            found.append(Unit(block.kind, block.parts, (at, 0)))
    return found


def extracted(passage: Passage, terms: Sequence[Term], question: str) -> list[Unit]:
    """The units of a passage that answer, in the page's order, cut to what is worth reading; never empty for a passage
    that has any text."""
    head = _held(" ".join((passage.title, *passage.trail)), terms)
    wants = asks_for(question)
    scored = [replace(unit, score=_score(unit, place, head, terms, wants)) for place, unit in enumerate(units(passage))]
    scored = [unit for unit in scored if unit.kind != "code" or unit.parts[0].count("\n") <= CODE_LINES]
    if not scored:
        return []
    best = max(unit.score for unit in scored)
    wanted = sorted((unit for unit in scored if unit.score >= 0.55 * best), key=lambda unit: (-unit.score, unit.at))
    chosen: set[int] = set()
    room = PROSE
    for unit in wanted:
        group = _with_neighbours(scored, scored.index(unit)) - chosen
        cost = sum(len(scored[one].plain) for one in group if scored[one].kind == "text")
        if chosen and cost > room:
            continue
        chosen |= group
        room -= cost
        if room <= 0 or len(chosen) >= 6:
            break
    return [_shortened(scored[one], terms) for one in sorted(chosen)]


@dataclass(frozen=True, slots=True)
class Wants:
    """What kind of answer a question asks for."""

    amount: bool
    doing: bool
    meaning: bool


def asks_for(question: str) -> Wants:
    """The kind of answer that the words of asking in a question want."""
    return Wants(bool(_AMOUNT.search(question)), bool(_DOING.search(question)), bool(_MEANING.search(question)))


def _score(unit: Unit, place: int, head: dict[str, float], terms: Sequence[Term], wants: Wants) -> float:
    held = _held(unit.plain, terms)
    total = sum(term.mass for term in terms) or 1.0
    in_head = sum(head.values()) / total
    score = sum(held.values()) / total
    score += sum(share for word, share in head.items() if word not in held) / total * (0.6 if place < 4 else 0.45)
    score += 0.25 * in_head * max(0.0, 1 - place / 4)
    if wants.amount and _DIGIT.search(unit.plain):
        score += 0.2
    if wants.doing and (unit.kind in {"code", "list"} or "`" in unit.parts[0] or unit.plain.endswith(":")):
        score += 0.12
    if wants.meaning and place == 0 and unit.kind == "text":
        score += 0.25
    if unit.kind == "text" and len(unit.plain) < 25 and not unit.plain.endswith(":"):
        score -= 0.1
    if unit.plain.endswith("?"):
        score -= 0.15
    return score


def _held(text: str, terms: Sequence[Term]) -> dict[str, float]:
    """By term, what of its weight a text holds."""
    have = set(stems(text))
    held: dict[str, float] = {}
    for term in terms:
        if all(root in have for root in term.own) and not term.absent:
            held[term.word] = term.mass
        elif any(root in have for root in term.kin):
            held[term.word] = KIN * term.mass
    return held


def _with_neighbours(all_units: list[Unit], at: int) -> set[int]:
    """A unit and what it cannot be read without: the line that leads to a list, the list that a line leads to."""
    group = {at}
    first = at
    while first > 0 and all_units[first].kind != "text" and all_units[first - 1].plain.endswith(":"):
        first -= 1
        group.add(first)
    if all_units[first].kind == "text" and _DANGLES.match(bare(all_units[first].parts[0])) and first > 0:
        before = all_units[first - 1]
        if before.kind == "text":
            group.add(first - 1)
    if all_units[at].plain.endswith(":") and at + 1 < len(all_units) and all_units[at + 1].at[0] != all_units[at].at[0]:
        group.add(at + 1)
    return group


def _shortened(unit: Unit, terms: Sequence[Term]) -> Unit:
    """A long list or table cut to the parts that fit the question best, in their order."""
    head = 2 if unit.kind == "table" else 0
    body = unit.parts[head:]
    if unit.kind not in {"list", "table"} or (len(body) <= ITEMS and sum(map(len, body)) <= 1200):
        return unit
    marks = [sum(_held(bare(part), terms).values()) for part in body]
    best = max(marks)
    order = sorted(range(len(body)), key=lambda one: (-marks[one], one))
    kept = [one for one in order if marks[one] >= 0.6 * best][:SOME]
    size = 0
    some: list[int] = []
    for one in kept:
        size += len(body[one])
        if some and size > 1200:
            break
        some.append(one)
    return replace(unit, parts=(*unit.parts[:head], *(body[one] for one in sorted(some))))
