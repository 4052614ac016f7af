"""Ranks chunks by BM25, by a score of their page and by vectors where there are any, and says whether any answers.

The figures were fitted on the tuning half of bench/answers; docs/decisions has what each is worth.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from app.engines.knowledge.index import ASIDES
from app.engines.knowledge.languages import MAX_CHARS, part_terms, terms, words
from app.engines.knowledge.query import SYNONYM, Deadline, Query, Term, question_words

CANDIDATES = 80
WEIGHTS = (3.5, 3.0, 1.0)
"""What a term counts in a page's title, in a chunk's headings and in its text."""
LENGTH_SHARE = 0.5
"""How much a field's length lowers that (BM25's b)."""
SATURATION = 1.2
"""BM25's k1."""
PAGE_SHARE = 1.0
"""A page's score beside its chunk's."""
COVERAGE_SHARE = 0.5
"""The share of a score that depends on how much of the question a chunk holds."""
ASIDE = 0.6
"""What changelogs, decisions and news count where they are not asked for."""
OTHER_LANGUAGE = 0.35
"""What pages count that are in another language than the question, where the folder has both."""
HEADING_SHARE = 0.4
"""How much more a chunk counts whose heading is the question."""
WINDOW = 8
"""Words for each term of a question within which they stand together, title and headings aside."""
NEGATED = 0.85
"""What a section counts that says what is not so, where the question does not ask for that."""
LOOKED_AT = 5
"""Chunks among which the one is looked for that holds most of the question."""
THRESHOLD = 0.54
"""Without an encoder: the least share of the question that one passage holds, all else counted in."""
NAMED = 0.5
"""What is held by titles and headings counts this much more."""
BY_TERM, MOST_TERMS = 0.06, 8
"""A long question is never held whole."""
BY_SIZE = 0.055
"""In a large folder something always fits by chance."""
HELD, COSINE_BY_SIZE = 0.3, 0.04
"""With an encoder: what the share of the question counts that one passage holds; what size takes off."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the cosines of one model are worth."""

    weight: float
    """How much a cosine of 1 counts; the best lexical score counts 1."""
    threshold: float | None
    """What the certainty of an answer must reach; None where nobody has measured it, and then words alone decide."""


MINILM = Calibration(weight=2.0, threshold=0.36)
MULTILINGUAL = Calibration(weight=2.0, threshold=0.25)
CROSS_LANGUAGE = Calibration(weight=6.0, threshold=0.2)
"""The multilingual model where the folder is in another language than the question: words tell next to nothing."""
UNKNOWN = Calibration(weight=1.5, threshold=None)
"""A model of the owner's choice, or one behind an endpoint."""


@dataclass(frozen=True, slots=True)
class Similarities:
    """How near the nearest chunks are to a question in meaning: cosines by chunk id."""

    cosines: Mapping[int, float]
    calibration: Calibration

    def nearest(self, limit: int) -> list[int]:
        """The nearest chunks, nearest first."""
        return sorted(self.cosines, key=lambda chunk: -self.cosines[chunk])[:limit]

    def fused(self, lexical: float, chunk: int) -> float:
        """A chunk's score by words, 1 at best, with its cosine. One that is not among the nearest has the least."""
        cosine = self.cosines.get(chunk)
        return lexical + self.calibration.weight * (min(self.cosines.values()) if cosine is None else cosine)


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found, and why."""

    chunk: int
    page: int
    score: float
    bm25: float
    page_score: float
    coverage: float
    """The share of the question, by idf, that the chunk and its title and headings hold."""
    named: float
    """The share that its title and headings hold."""
    together: float
    """The share that its headings and one passage of a few words (``WINDOW``) hold."""
    cosine: float | None = None


def rank(db: sqlite3.Connection, query: Query, deadline: Deadline, similar: Similarities | None = None) -> list[Hit]:
    """Chunks by score, best first; by words and meaning together where there are ``similar`` chunks."""
    present = [term for term in (*query.terms, *query.context) if not term.is_absent]
    pages: dict[int, float] = {}
    rows: dict[int, _Row] = {}
    with deadline.limit(db):
        pages |= page_scores(db, present)
    with deadline.limit(db):
        rows |= _candidates(db, present)
    for chunk in similar.nearest(CANDIDATES) if similar else ():
        if chunk not in rows:
            rows |= _fetch(db, "rowid = ?", (chunk,))
    scorer = _Scorer(query, present, pages)
    hits = [scorer.hit(row) for row in rows.values()]
    if similar is not None:
        best = max((hit.score for hit in hits), default=0.0) or 1.0
        hits = [
            replace(hit, score=similar.fused(hit.score / best, hit.chunk), cosine=similar.cosines.get(hit.chunk))
            for hit in hits
        ]
    return sorted((hit for hit in hits if hit.score > 0), key=lambda hit: (-hit.score, hit.chunk))


def page_scores(db: sqlite3.Connection, wanted: Sequence[Term]) -> dict[int, float]:
    """SQLite's BM25 of the best pages, above 0."""
    own = [replace(term, variants=tuple(one for one in term.variants if one[1] > SYNONYM)) for term in wanted]
    match = _match(own) or _match(wanted)
    if not match:
        return {}
    sql = "SELECT rowid, bm25(page_terms, 4, 2, 1) FROM page_terms WHERE page_terms MATCH ? ORDER BY 2 LIMIT 40"
    return {page: -score for page, score in db.execute(sql, (match,))}


def certainty(query: Query, hits: Sequence[Hit], similar: Similarities | None = None) -> float:
    """How sure it is that the folder answers; 0 or more where it does.

    What counts is how much of the question one passage holds, with an encoder the nearest chunk's cosine too, less for
    a large folder, where something is always near.
    """
    if not hits:
        return -1.0
    size = math.log(max(1.0, query.info.chunks / 50))
    held = max(hit.together + NAMED * hit.named * hit.coverage for hit in hits[:LOOKED_AT])
    if similar and similar.cosines and similar.calibration.threshold is not None:
        nearest = max(similar.cosines.values())
        return nearest + HELD * held - COSINE_BY_SIZE * size - similar.calibration.threshold
    return held + BY_TERM * min(len(query.terms), MOST_TERMS) - BY_SIZE * size - THRESHOLD


@cache
def _negations(lang: str) -> frozenset[str]:
    return frozenset(term for word in question_words(lang, "negations") for term in terms(word, lang))


def _match(wanted: Sequence[Term]) -> str:
    return " OR ".join(f'"{term}"' for term in dict.fromkeys(term for one in wanted for term, _ in one.variants))


_Row = tuple[int, int, bool, str, str, str, str]


def _fetch(db: sqlite3.Connection, where: str, given: tuple[object, ...]) -> dict[int, _Row]:
    sql = f"""SELECT found.rowid, page, aside, pages.lang, found.title, found.heading, found.body
              FROM chunk_terms AS found JOIN chunks ON chunks.id = found.rowid JOIN pages ON pages.id = page
              WHERE found.{where}"""  # noqa: S608 - conditions named here
    return {row[0]: row for row in db.execute(sql, given)}


def _candidates(db: sqlite3.Connection, wanted: Sequence[Term]) -> dict[int, _Row]:
    """The best chunks of the folder by SQLite's BM25."""
    match = _match(wanted)
    best = "SELECT rowid FROM chunk_terms WHERE chunk_terms MATCH ? ORDER BY bm25(chunk_terms, 4, 3, 1) LIMIT ?"
    return _fetch(db, f"rowid IN ({best})", (match, CANDIDATES)) if match else {}


class _Scorer:
    """BM25 with weighted fields (BM25F), times the share of the question that a chunk holds."""

    def __init__(self, query: Query, wanted: Sequence[Term], pages: Mapping[int, float]) -> None:
        self._query, self._terms, self._pages = query, wanted, pages
        self._total = sum(term.mass for term in (*query.terms, *query.context)) or 1.0
        self._wants_asides = any(term.word in ASIDES or term.word in {"version", "release", "why"} for term in wanted)
        self._said = {part for word in words(query.question[:MAX_CHARS]) for part in part_terms(word, query.lang)}
        self._is_negative = not _negations(query.lang).isdisjoint(self._said)
        self._is_mixed = len(query.info.languages) > 1 and query.lang in query.info.languages

    def hit(self, row: _Row) -> Hit:
        chunk, page, is_aside, lang, *texts = row
        fields = [Counter(text.split()) for text in texts]
        bm25 = coverage = named = heading = 0.0
        loose: list[Term] = []
        for term in self._terms:
            counts = [sum(share * field[variant] for variant, share in term.variants) for field in fields]
            frequency = sum(
                weight * count / (1 - LENGTH_SHARE + LENGTH_SHARE * field.total() / max(1.0, average))
                for count, weight, field, average in zip(counts, WEIGHTS, fields, self._query.info.average, strict=True)
            )
            if frequency:
                bm25 += term.mass * frequency * (SATURATION + 1) / (frequency + SATURATION)
                coverage += term.mass * min(1.0, max(counts))
                named += term.mass * min(1.0, max(counts[:2]))
                heading += term.mass * min(1.0, counts[1])
                loose += [term] if max(counts[:2]) < 1 else []
        coverage, named, heading = coverage / self._total, named / self._total, heading / self._total
        page_score = self._pages.get(page, 0.0)
        score = (bm25 + PAGE_SHARE * page_score) * (1 - COVERAGE_SHARE + COVERAGE_SHARE * coverage)
        if not self._is_negative and not _negations(lang).isdisjoint(fields[1]):
            score *= NEGATED
        said = len(fields[1].keys() & self._said) / max(1, len(self._said))
        score *= 1 + HEADING_SHARE * heading * said
        if is_aside and not self._wants_asides:
            score *= ASIDE
        if self._is_mixed and lang != self._query.lang:
            score *= OTHER_LANGUAGE
        together = named + self._together(texts[2], loose) / self._total
        return Hit(chunk, page, score, bm25, page_score, coverage, named, together)

    def _together(self, text: str, loose: Sequence[Term]) -> float:
        """The most of these terms, by mass, within a few words of each other."""
        shares: dict[str, list[tuple[int, float]]] = {}
        for number, term in enumerate(loose):
            for variant, share in term.variants:
                shares.setdefault(variant, []).append((number, share * term.mass))
        places = [(at, entry) for at, word in enumerate(text.split()) for entry in shares.get(word, ())]
        best, start, window = 0.0, 0, WINDOW * len(loose)
        for end, (at, _) in enumerate(places):
            while places[start][0] < at - window:
                start += 1
            held: dict[int, float] = {}
            for _, (number, mass) in places[max(start, end - window) : end + 1]:
                held[number] = max(held.get(number, 0.0), mass)
            best = max(best, sum(held.values()))
        return best
