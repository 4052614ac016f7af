"""Parses a visitor's question: its terms, spelled as in the folder, and whether it follows up an earlier one."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from app.engines.base import ChatMessage
from app.engines.knowledge.budget import Budget
from app.engines.knowledge.common_words import known, topical
from app.engines.knowledge.lexicon import KIN, LIGHT, STOP
from app.engines.knowledge.spelling import everyday, repaired
from app.engines.knowledge.tokenizer import derived, normal, plain_words, stem, words

LIGHTNESS = 0.3
"""The weight of a word of asking; a word that names something has 1."""
LIGHT_FINDS = 2.0
"""How much more such a word counts in finding a passage than in judging whether there is one."""
CONTEXT = 0.45
"""The weight of a word of the earlier question; a word of the present one has 1."""
ASIDE = 0.5
"""The weight of a word in a sentence that tells something; a word in a sentence that asks has 1."""
RARE = 3.0
"""The idf beyond which a word's rarity says nothing more about whether the folder answers."""
PLAIN = 0.6
"""The weight of an absent word of everyday English ("forgot"); an absent word that names a topic has 1."""
HEAVY = 0.4
MOST_TERMS = 32
MOST_CHARS = 4_000
"""Characters of a question that are read, counted once more after normalisation: one letter may become eighteen."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_ASKS = re.compile(
    r"\?|^\s*(?:and\s+|so\s+|but\s+|then\s+)?(?:how|what|when|where|who|why|which|can|could|do|does|did|is|are|will|"
    r"would|should|may|am|tell me|show me|explain|i (?:want|need|would like) to)\b",
    re.IGNORECASE,
)
_LEANS = re.compile(
    r"^\s*(?:and|but|or|also|then|so|what about|how about|what if|why|why not|how so|how long|how much|how many|"
    r"how come|when|where|since when|for how long|is that|does that|are they|which one|"
    r"the (?:first|second|other|latter|former))\b",
    re.IGNORECASE,
)
_STATES = re.compile(r"\bUS\b|\bU\.S\.(?:A\.?)?")
_POINTS = frozenset(
    [
        "it",
        "its",
        "that",
        "this",
        "they",
        "them",
        "their",
        "those",
        "these",
        "one",
        "ones",
        "he",
        "she",
        "there",
        "same",
        "both",
        "former",
        "latter",
    ]
)
_OPENS = re.compile(r"^\s*(?:and|but|or|also|what about|how about|what if)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a question: its own stems, and (``kin``) related ones, which count for less."""

    word: str
    own: tuple[str, ...]
    kin: tuple[str, ...]
    idf: float
    weight: float
    absent: bool
    topical: bool = False
    """Absent, and naming a topic."""

    @property
    def mass(self) -> float:
        """The weight of the term in ranking passages."""
        return self.idf * (self.weight if self.heavy else LIGHT_FINDS * self.weight)

    @property
    def stake(self) -> float:
        """The weight of the term in deciding whether there is an answer, with its idf capped at ``RARE``."""
        plain = PLAIN if self.absent and not self.topical else 1.0
        return min(self.idf, RARE) * self.weight * plain

    @property
    def heavy(self) -> bool:
        """Whether it names something, rather than asks or tells."""
        return self.weight > HEAVY


@dataclass(frozen=True, slots=True)
class Asked:
    """A parsed question. ``context`` holds terms taken from earlier questions."""

    terms: tuple[Term, ...]
    focus: tuple[Term, ...]
    context: tuple[Term, ...] = ()
    size: int = 1
    """Chunks of the folder: in a larger one more is found by chance."""

    def absent(self, *, topical: bool) -> float:
        """The share of what is asked in so many words that the folder mentions nowhere, 0 to 1, by kind of word."""
        judged = [term for term in self.focus if term.heavy] if self.context else self.focus
        total = sum(term.stake for term in judged)
        return sum(term.stake for term in judged if term.absent and term.topical == topical) / total if total else 0.0


def asked(db: sqlite3.Connection, text: str, budget: Budget) -> Asked:
    """A question on its own."""
    text = bounded(text)
    telling, asking = _parts(_STATES.sub("USA", text))
    focus = _terms(db, asking, 1.0, budget)
    have = {term.word for term in focus}
    rest = tuple(term for term in _terms(db, telling, ASIDE, budget) if term.word not in have)
    if not any(term.heavy for term in focus):
        focus = tuple(replace(term, weight=term.weight / ASIDE) for term in rest) + focus
        rest = ()
    return Asked((focus + rest)[:MOST_TERMS], focus[:MOST_TERMS], size=_size(db))


def leaning(db: sqlite3.Connection, now: Asked, history: Sequence[ChatMessage], budget: Budget) -> Asked | None:
    """The question ``now`` with terms of the visitor's earlier questions as context; None where they have none."""
    earlier = [said.content for said in history if said.role == "user"][-4:]
    lent: dict[str, Term] = {}
    weight = CONTEXT
    for question in reversed(earlier):
        if budget.spent():
            break
        for term in asked(db, question, budget.unrepaired()).terms:
            if not term.absent and term.word not in {own.word for own in now.terms}:
                lent.setdefault(term.word, replace(term, weight=term.weight * weight))
        if lent and not leans(question):
            break
        weight *= 0.6
    return replace(now, context=tuple(lent.values())[:MOST_TERMS]) if lent else None


def leans(text: str) -> bool:
    """Whether a question reads as the continuation of an earlier one: "and how long is it kept?"."""
    text = bounded(text)
    said = plain_words(text)
    heavy = [word for word in said if word not in STOP and stem(word) not in LIGHT]
    if _OPENS.search(text) or not heavy:
        return True
    points = any(word in _POINTS for word in said)
    return len(heavy) <= 3 and (points or (len(heavy) <= 1 and bool(_LEANS.search(text)) and len(said) <= 7))


def bounded(text: str) -> str:
    """The part of a question, or of an earlier one, that is read."""
    return normal(text[:MOST_CHARS])[:MOST_CHARS]


def _parts(text: str) -> tuple[str, str]:
    """The sentences of a text that tell and those that ask; a text without a question counts as asking."""
    sentences = [part for part in _SENTENCE.split(text.strip()) if part.strip()]
    asking = [part for part in sentences if _ASKS.search(part)]
    if not asking or len(sentences) == 1:
        return "", text
    telling = [part for part in sentences if not _ASKS.search(part)]
    return " ".join(telling), " ".join(asking)


def _terms(db: sqlite3.Connection, text: str, weight: float, budget: Budget) -> tuple[Term, ...]:
    said = [word for word in dict.fromkeys(words(text)) if word not in STOP and (len(word) > 1 or word.isdigit())]
    if not said:
        said = [word for word in dict.fromkeys(words(text)) if len(word) > 3]
    said = said[: 2 * MOST_TERMS]
    joined = {a: a + b for a, b in pairwise(said) if a.isalpha() and b.isalpha() and _count(db, stem(a + b))}
    found: dict[str, Term] = {}
    for word in said:
        term = _term(db, word, weight, joined.get(word, ""), budget)
        found.setdefault("+".join(term.own) or term.word, term)
    return tuple(found.values())[:MOST_TERMS]


def _term(db: sqlite3.Connection, word: str, weight: float, joined: str, budget: Budget) -> Term:
    total = _size(db)
    root = stem(word)
    light = LIGHTNESS if root in LIGHT else 1.0
    own: tuple[str, ...] = (root,)
    kin = tuple(other for other in KIN.get(root, ()) if _count(db, other))
    count = _count(db, root)
    if not count and not kin:
        own = repaired(db, word, budget)
        meant = "" if own else everyday(word, budget)
        if meant:
            return replace(_term(db, meant, weight, "", budget), word=word)
        kin = (
            () if own else tuple(stem(other) for other in derived(word) if known(other) and _count(db, stem(other)))[:2]
        )
        count = min((_count(db, part) for part in own), default=0)
        light *= 0.9 if own or kin else 1.0
    if joined:
        kin = (*kin, stem(joined))
    near = max((_count(db, other) for other in kin), default=0)
    if not own and not kin:
        return Term(word, (root,), (), _idf(total, 0), light * weight, True, topical(word))
    return Term(word, own or (root,), kin, _idf(total, max(count, near // 2)), light * weight, False)


def _size(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT max(rowid) FROM chunks").fetchone()[0] or 1)


def _idf(total: int, count: int) -> float:
    return math.log(1 + (total + 0.5) / (count + 0.5))


def _count(db: sqlite3.Connection, root: str) -> int:
    row = db.execute("SELECT doc FROM seen WHERE term = ?", (root,)).fetchone()
    return row[0] if row else 0
