"""Reads a question: its words as terms of the folder, corrected, with near words and with what was asked before."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import Literal

from app.engines.base import ChatMessage
from app.engines.knowledge import spelling
from app.engines.knowledge.index import IndexInfo, read_info
from app.engines.knowledge.languages import (
    COMPOUNDING,
    DATA,
    PARTICLES,
    STEMMERS,
    bounded,
    content_runs,
    detect,
    is_particle,
    is_spaceless,
    part_terms,
    stop_words,
    words,
)

MAX_TERMS = 32
MAX_REPAIRS, MAX_COMPOUNDS = 3, 6
"""Words of a question that are looked for among the folder's own: each costs a search of its own."""
SYNONYM, COMPOUND, REPAIRED = 0.4, 0.4, 0.9
"""What a term counts that is near the word, holds it or is held by it, or is its corrected spelling."""
ALONE = 0.8
"""What a near word counts where the folder lacks the word itself."""
CONTEXT = 0.45
"""What a word of the question before counts."""
LIGHT_WEIGHT = 0.3
"""What a word counts that says little in a question, such as "use"."""
STATEMENT_WEIGHT = 0.3
"""What a word counts in a sentence that tells something beside one that asks."""

Reading = Literal["own", "other", "foreign"]
"""A question in the language of most pages, of some, or of none."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the question with the terms of the index that stand for it."""

    word: str
    variants: tuple[tuple[str, float], ...]
    """Terms of the index, and what each counts, at most 1."""
    idf: float
    weight: float = 1.0
    is_absent: bool = False
    """The folder has no such word, and none like it."""

    @property
    def mass(self) -> float:
        """What it counts in the whole question."""
        return self.idf * self.weight


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed question."""

    question: str
    text: str
    """As the folder spells it, with the question before it where this one leans on it: what an encoder reads."""
    lang: str
    terms: tuple[Term, ...]
    context: tuple[Term, ...]
    """Terms of the question before."""
    info: IndexInfo

    @property
    def reading(self) -> Reading:
        """Whether most, some or none of the pages are in the question's language."""
        if self.lang in self.info.languages[:1] or not self.info.languages:
            return "own"
        return "other" if self.lang in self.info.languages else "foreign"


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？؟])|\n+")


CLOCK_FACTOR = 10
"""How much longer than it computes a question may take while other work has the processor."""


class Deadline:
    """When a question's time is over: no further step is started then, and the best found so far answers.

    Counted is the time that its own thread computes, so that a busy machine finds what an idle one finds; by the clock
    it may take ``CLOCK_FACTOR`` times as long. For use in the thread that made it.
    """

    def __init__(self, seconds: float = 0.5) -> None:
        self._end = time.thread_time() + seconds
        self._clock_end = time.monotonic() + CLOCK_FACTOR * seconds
        self.has_interrupted = False

    def is_over(self) -> bool:
        """Whether no further step is to be started."""
        return time.thread_time() > self._end or time.monotonic() > self._clock_end

    @contextmanager
    def limit(self, db: sqlite3.Connection) -> Iterator[None]:
        """SQLite stops within the block when the time is over; the rest of the block is skipped then."""
        db.set_progress_handler(self.is_over, 1_000)
        try:
            yield
        except sqlite3.OperationalError:
            if not self.is_over():
                raise
            self.has_interrupted = True
        finally:
            db.set_progress_handler(None, 0)


def parse(db: sqlite3.Connection, question: str, history: Sequence[ChatMessage], deadline: Deadline) -> Query:
    """The question in terms of this folder, with words of earlier questions where it leans on them."""
    info = read_info(db)
    text = bounded(question)
    lang = detect(text, info.languages) or (info.languages[0] if info.languages else "en")
    asking, telling = _sentences(text)
    # Of a language that the folder does not have, only names are found there, as they are written.
    is_own = lang in info.languages or not info.languages
    own = _Words(db, lang, info, deadline, MAX_REPAIRS if is_own else 0)
    terms = own.terms(asking)
    if telling:
        known = {term.word for term in terms}
        story = _Words(db, lang, info, deadline).terms(telling)
        terms += tuple(replace(term, weight=STATEMENT_WEIGHT * term.weight) for term in story if term.word not in known)
    spelled = re.sub(r"\w+", lambda match: own.repaired.get(match.group().casefold(), match.group()), text)
    query = Query(question, spelled, lang, terms, (), info)
    earlier = [bounded(message.content) for message in history[-12:] if message.role == "user"][-3:]
    return _with_context(db, query, earlier[::-1], deadline) if earlier and leans(text, lang) else query


def _sentences(text: str) -> tuple[str, str]:
    """The sentences that ask and, where there are such, those that only tell something."""
    parts = [part for part in _SENTENCE_END.split(text) if part.strip()]
    asking = [part for part in parts if part.rstrip().endswith(("?", "？", "؟"))]
    if not asking or len(asking) == len(parts):
        return text, ""
    return " ".join(asking), " ".join(part for part in parts if part not in asking)


def leans(text: str, lang: str) -> bool:
    """Whether a question goes on from the one before: it has one word of its own at most, or begins or points as such
    questions do.
    """
    said = words(text)
    if is_spaceless(text.strip()[:1]):
        runs = [run for word in said for run in content_runs(word, lang) if not is_particle(run)]
        return len("".join(runs)) <= 4
    own = [word for word in said if word not in stop_words(lang)]
    points = said[:1] and said[0] in question_words(lang, "openers")
    points = points or not question_words(lang, "pointers").isdisjoint(said)
    return len(own) <= (4 if points else 1)


@cache
def question_words(lang: str, kind: str) -> frozenset[str]:
    """``openers`` of a question that goes on from another, ``pointers`` back to it, ``negations``."""
    stored = json.loads((DATA / "question_words.json").read_text("utf-8"))
    return frozenset(stored.get(lang, {}).get(kind, "").split())


@cache
def _synonyms(lang: str) -> dict[str, tuple[str, ...]]:
    """Near words by stem. A word marked ``=`` stands for the others and not for itself."""
    near_words: dict[str, tuple[str, ...]] = {}
    for line in json.loads((DATA / "synonyms.json").read_text("utf-8")).get(lang, ()):
        stems = {word: part_terms(word.lstrip("="), lang)[0] for word in line.split()}
        for word, stem in stems.items():
            others = (other for other in stems if not other.startswith("=") and stems[other] != stem)
            near_words[stem] = tuple(dict.fromkeys((*near_words.get(stem, ()), *others)))
            if word.startswith("="):
                near_words[f"={stem}"] = near_words[stem]
    return near_words


@cache
def _phrases(lang: str) -> frozenset[str]:
    """Pairs of words that mean another one, joined by a hyphen."""
    lines = json.loads((DATA / "synonyms.json").read_text("utf-8")).get(lang, ())
    return frozenset(word[1:] for line in lines for word in line.split() if word.startswith("=") and "-" in word)


@dataclass(slots=True)
class _Words:
    """Makes terms of words of one language; ``repairs`` says how many may still be corrected."""

    db: sqlite3.Connection
    lang: str
    info: IndexInfo
    deadline: Deadline
    repairs: int = 0
    repaired: dict[str, str] = field(default_factory=dict)
    """Words that were corrected."""

    def terms(self, text: str) -> tuple[Term, ...]:
        """The terms of a text."""
        text_words = words(text)[: 4 * MAX_TERMS]
        terms: dict[str, Term] = {}
        compounds = MAX_COMPOUNDS if self.repairs and self.lang in COMPOUNDING else 0
        for word in dict.fromkeys(_content(text_words, self.lang)):
            if len(terms) >= MAX_TERMS or self.deadline.is_over():
                break
            term = self._term(word)
            if is_spaceless(word):
                pass
            elif term.is_absent and self.repairs and word not in stop_words(self.lang):
                self.repairs -= 1
                term = self._repaired(term)
            elif compounds:
                compounds -= 1
                term = self._compounds(term)
            terms[word] = term
        self._join(terms, text_words)
        return tuple(terms.values())

    def _join(self, terms: dict[str, Term], text_words: Sequence[str]) -> None:
        """Words that stand apart and mean one thing: "back up" for "backup", "money back" for a refund."""
        not_joined = stop_words(self.lang) - PARTICLES
        for left, right in pairwise(text_words):
            joined, phrase = left + right, f"{left}-{right}"
            if len(terms) < MAX_TERMS and not {left, right} & not_joined and spelling.is_word(self.db, joined):
                terms.setdefault(joined, self._term(joined))
            if phrase in _phrases(self.lang):
                term = self._term(phrase)
                variants = tuple((variant, REPAIRED) for variant, _ in term.variants)
                terms[phrase] = replace(term, variants=variants, weight=1.0)
                terms |= {word: replace(terms[word], weight=LIGHT_WEIGHT) for word in (left, right) if word in terms}

    def _term(self, word: str) -> Term:
        """A word with its stems in the folder's languages and the words near it."""
        info, near_words = self.info, _synonyms(self.lang)
        is_own = self.lang in info.languages or not info.languages
        langs = list(dict.fromkeys((self.lang, *info.languages)) if is_own else info.languages)[:4]
        own = list(dict.fromkeys(term for one in langs for term in part_terms(word, one)))
        others = [other for stem in own for other in near_words.get(stem, ())]
        near = dict.fromkeys(part_terms(other, one)[0] for other in others for one in langs)
        if near_words.get(f"={own[0]}"):  # "how much" asks for a price; the word itself tells nothing
            own = []
        shares = dict.fromkeys(own, 1.0) | {term: SYNONYM for term in near if term not in own}
        counts = {term: self._count(term) for term in shares}
        present = tuple((term, share) for term, share in shares.items() if counts[term])
        weight = LIGHT_WEIGHT if is_particle(word) or word in question_words(self.lang, "light") else 1.0
        if not present:
            return Term(word, (), self._idf(0), weight, is_absent=True)
        mine = max((counts[term] for term in own), default=0)
        if not mine:
            present = tuple((term, ALONE) for term, _ in present)
        return Term(word, present, self._idf(mine or max(counts.values())), weight)

    def _repaired(self, term: Term) -> Term:
        """A word that the folder lacks, as the folder spells it; else the words that hold it or that it holds."""
        nearest = spelling.nearest_word(self.db, term.word)
        if nearest is None:
            return self._compounds(term) if self.lang in COMPOUNDING or self.lang not in STEMMERS else term
        word, lang = nearest
        self.repaired[term.word] = word
        return self._with_variants(term, dict.fromkeys(part_terms(word, lang), REPAIRED))

    def _compounds(self, term: Term) -> Term:
        related = spelling.related_words(self.db, term.word)
        parts = {other: COMPOUND for word, lang in related for other in part_terms(word, lang)}
        return self._with_variants(term, parts | dict(term.variants)) if parts else term

    def _with_variants(self, term: Term, shares: Mapping[str, float]) -> Term:
        idf = term.idf if term.variants else self._idf(max(map(self._count, shares)))
        return replace(term, variants=tuple(shares.items()), idf=idf, is_absent=False)

    def _count(self, term: str) -> int:
        """The chunks that have a term."""
        row = self.db.execute("SELECT doc FROM vocabulary WHERE term = ?", (term,)).fetchone()
        return row[0] if row else 0

    def _idf(self, count: int) -> float:
        total = self.info.chunks
        return math.log(1 + (total - count + 0.5) / (count + 0.5)) if count < total else 0.1


def _content(said: Sequence[str], lang: str) -> list[str]:
    """The words that name something; all of them where none does."""
    stop, near = stop_words(lang), _synonyms(lang)
    kept = []
    for word in said:
        if is_spaceless(word):
            kept += [pair for run in content_runs(word, lang) for pair in part_terms(run, lang)]
            kept += [word] if word in near else []
        elif (word not in stop and (len(word) > 1 or word.isdigit())) or part_terms(word, lang)[0] in near:
            kept.append(word)
    return kept or [word for word in said if len(word) > 2 and not is_spaceless(word)]


def _with_context(db: sqlite3.Connection, query: Query, earlier: Sequence[str], deadline: Deadline) -> Query:
    """With the words of the visitor's earlier questions, the last one first; it ends at one that stands on its own."""
    have = {term.word for term in query.terms}
    context: dict[str, Term] = {}
    share, before = CONTEXT, ""
    for text in earlier:
        lang = detect(text, query.info.languages) or query.lang
        for term in _Words(db, lang, query.info, deadline).terms(text):
            if not term.is_absent and term.word not in have:
                context.setdefault(term.word, replace(term, weight=term.weight * share))
        before = f"{text[:300]} {before}".strip()
        if not leans(text, lang):
            break
        share *= 0.6
    return replace(query, context=tuple(context.values())[:MAX_TERMS], text=f"{before} {query.text}")
