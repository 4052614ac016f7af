"""Finds the chunks that answer a question: BM25 over headed chunks, a score for the page, vectors where there are any.

A question is parsed into terms (``parse``), which may be shown to an encoder (``Query.text``), and ranked (``rank``).
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Literal

from app.engines.base import ChatMessage
from app.engines.knowledge import spelling
from app.engines.knowledge.fusion import Reading, Similarities
from app.engines.knowledge.index import ASIDES, IndexInfo, read_info
from app.engines.knowledge.languages import (
    COMPOUNDING,
    DATA,
    MAX_CHARS,
    PARTICLES,
    STEMMERS,
    bounded,
    content_runs,
    detect,
    is_particle,
    is_spaceless,
    part_terms,
    stop_words,
    terms,
    words,
)

MAX_TERMS = 32
MAX_REPAIRS, MAX_COMPOUNDS = 3, 6
"""Words of a question that are looked for among the folder's own: each costs a search of its own."""
CANDIDATES = 80

WEIGHTS = (3.5, 3.0, 1.0)
"""What a term counts in a page's title, in a chunk's headings and in its text."""
LENGTH_SHARE = (0.3, 0.3, 0.5)
"""How much a field's length lowers that (BM25's b)."""
SATURATION = 1.2
"""BM25's k1."""
PAGE_SHARE = 1.0
"""A page's score beside its chunk's."""
COVERAGE_SHARE = 0.5
"""The share of a score that depends on how much of the question a chunk holds."""
SYNONYM, COMPOUND, REPAIRED = 0.4, 0.4, 0.9
"""What a term counts that is near the word, holds it or is held by it, or is its corrected spelling."""
CONTEXT = 0.45
"""What a word of the question before counts."""
ASIDE = 0.6
"""What changelogs, decisions and news count where they are not asked for."""
CODE = 0.3
"""How much less a section counts that is all code."""
OTHER_LANGUAGE = 0.35
"""What pages count that are in another language than the question, where the folder has both."""
HEADING_SHARE = 0.4
"""How much more a chunk counts whose heading is the question."""
WINDOW = 8
"""Words for each term of a question within which they stand together, title and headings aside."""
NEGATED = 0.85
"""What a section counts that says what is not so, where the question does not ask for that."""
LIGHT = 0.3
"""What a word counts that says little in a question, such as "use"."""
TOLD = 0.3
"""What a word counts in a sentence that tells something beside one that asks."""


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
    may_lean: bool = False
    """It may go on from an earlier question, which has not been looked at."""

    @property
    def reading(self) -> Reading:
        """Whether most, some or none of the pages are in the question's language."""
        if self.lang in self.info.languages[:1] or not self.info.languages:
            return "own"
        return "other" if self.lang in self.info.languages else "foreign"

    @property
    def lacks_a_word(self) -> bool:
        """Whether the folder has no word for a part of it that tells something."""
        return any(term.is_absent and term.weight > LIGHT for term in self.terms)


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


Leaning = Literal["not", "perhaps", "surely"]
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


def parse(
    db: sqlite3.Connection,
    question: str,
    history: Sequence[ChatMessage],
    deadline: Deadline,
    *,
    may_lean: bool = False,
) -> Query:
    """The question in terms of this folder.

    Words of earlier questions are added where it leans on them, with ``may_lean`` also where it only may.
    """
    info = read_info(db)
    text = bounded(question)
    lang = detect(text, info.languages) or (info.languages[0] if info.languages else "en")
    asking, telling = _sentences(text)
    # Of a language that the folder does not have, only names are found there, as they are written.
    is_own = lang in info.languages or not info.languages
    found, repairs = _terms(db, asking, lang, info, deadline, MAX_REPAIRS if is_own else 0)
    if telling:
        have = {term.word for term in found}
        story = _terms(db, telling, lang, info, deadline, 0)[0]
        found += tuple(replace(term, weight=TOLD * term.weight) for term in story if term.word not in have)
    spelled = re.sub(r"\w+", lambda match: repairs.get(match.group().casefold(), match.group()), text)
    query = Query(question, spelled, lang, found, (), info)
    earlier = [bounded(message.content) for message in history[-12:] if message.role == "user"][-3:]
    leaning = leans(text, lang) if earlier else "not"
    if leaning == "surely" or (leaning == "perhaps" and may_lean):
        return _with_context(db, query, earlier[::-1], deadline)
    return replace(query, may_lean=leaning == "perhaps")


def _sentences(text: str) -> tuple[str, str]:
    """The sentences that ask and, where there are such, those that only tell something."""
    parts = [part for part in _SENTENCE_END.split(text) if part.strip()]
    asking = [part for part in parts if part.rstrip().endswith(("?", "？", "؟"))]
    if not asking or len(asking) == len(parts):
        return text, ""
    return " ".join(asking), " ".join(part for part in parts if part not in asking)


def leans(text: str, lang: str) -> Leaning:
    """How far a question goes on from the one before: ``surely`` where it has no word of its own, or begins or points
    as one does; ``perhaps`` where it has one word, or an "it" that may be what the whole site is about.
    """
    said = words(text)
    own = [word for word in said if word not in stop_words(lang)]
    if is_spaceless(text.strip()[:1]):
        own = [run for word in said for run in content_runs(word, lang) if not is_particle(run)]
        return "surely" if len("".join(own)) <= 4 else "not"
    points = bool(said) and (
        said[0] in _question_words(lang, "openers") or not _question_words(lang, "pointers").isdisjoint(said)
    )
    if not own or (points and len(own) <= 4):
        return "surely"
    has_weak = not _question_words(lang, "weak_pointers").isdisjoint(said)
    return "perhaps" if len(own) <= 1 or (has_weak and len(own) <= 4) else "not"


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


@cache
def _question_words(lang: str, kind: str) -> frozenset[str]:
    """``openers`` of a question that goes on from another, ``pointers`` back to it, ``negations``."""
    stored = json.loads((DATA / "question_words.json").read_text("utf-8"))
    return frozenset(stored.get(lang, {}).get(kind, "").split())


@cache
def _negations(lang: str) -> frozenset[str]:
    return frozenset(term for word in _question_words(lang, "negations") for term in terms(word, lang))


@cache
def _synonyms(lang: str) -> dict[str, tuple[str, ...]]:
    """Near words by stem. A word marked ``=`` stands for the others and not for itself."""
    found: dict[str, tuple[str, ...]] = {}
    for line in json.loads((DATA / "synonyms.json").read_text("utf-8")).get(lang, ()):
        stems = [(word.startswith("="), part_terms(word.lstrip("="), lang)[0]) for word in line.split()]
        for is_marked, stem in stems:
            others = (other for marked, other in stems if not marked and other != stem)
            found[stem] = tuple(dict.fromkeys((*found.get(stem, ()), *others)))
            if is_marked:
                found[f"={stem}"] = found[stem]
    return found


@cache
def _phrases(lang: str) -> frozenset[str]:
    """Pairs of words that mean another one, joined by a hyphen."""
    lines = json.loads((DATA / "synonyms.json").read_text("utf-8")).get(lang, ())
    return frozenset(word[1:] for line in lines for word in line.split() if word.startswith("=") and "-" in word)


def _terms(
    db: sqlite3.Connection, text: str, lang: str, info: IndexInfo, deadline: Deadline, repairs: int
) -> tuple[tuple[Term, ...], dict[str, str]]:
    """The question's terms, and words that were corrected."""
    said = words(text)[: 4 * MAX_TERMS]
    found: dict[str, Term] = {}
    repaired: dict[str, str] = {}
    stop, compounds = stop_words(lang), MAX_COMPOUNDS if repairs else 0
    for word in dict.fromkeys(_content(said, lang)):
        if len(found) >= MAX_TERMS or deadline.is_over():
            break
        term = _term(db, word, lang, info)
        if term.is_absent and repairs and word not in stop and not is_spaceless(word):
            repairs -= 1
            term = _repaired(db, term, lang, info, repaired)
        elif lang in COMPOUNDING and compounds and not is_spaceless(word):
            compounds -= 1
            term = _compounds(db, term, info)
        found.setdefault(word, term)
    _join(db, found, said, lang, info)
    return tuple(found.values()), repaired


def _join(db: sqlite3.Connection, found: dict[str, Term], said: Sequence[str], lang: str, info: IndexInfo) -> None:
    """Words that stand apart and mean one thing: parts of a verb, "back up" for "backup", "money back" for a refund."""
    for word, verb in _separated(said, lang):
        whole = _term(db, verb, lang, info)
        if word in found and not whole.is_absent:
            found[word] = replace(whole, word=word)
    for left, right in pairwise(said):  # "back up" for "backup"
        joined = left + right
        if len(found) < MAX_TERMS and not {left, right} & (stop_words(lang) - PARTICLES) and _is_word(db, joined):
            found.setdefault(joined, _term(db, joined, lang, info))
        phrase = f"{left}-{right}"
        if phrase in _phrases(lang):  # "money back" is about refunds
            whole = _term(db, phrase, lang, info)
            variants = tuple((variant, REPAIRED) for variant, _ in whole.variants)
            found[phrase] = replace(whole, variants=variants, weight=1.0)
            for word in (left, right):
                if word in found:
                    found[word] = replace(found[word], weight=LIGHT)


def _separated(said: Sequence[str], lang: str) -> Iterator[tuple[str, str]]:
    """Words with the verbs that they may be a part of: "lade ... hoch" is "hochlade", of "hochladen"."""
    particles = _question_words(lang, "particles")
    for at, particle in enumerate(said):
        if particle in particles:
            whole = said[at - 1] + particle if at and said[at - 1] in particles else particle  # "stelle ... wieder her"
            yield from ((word, whole + word) for word in said[:at] if word not in particles)


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


def _term(db: sqlite3.Connection, word: str, lang: str, info: IndexInfo) -> Term:
    """A word with its stems in the folder's languages and the words near it."""
    langs = dict.fromkeys((lang, *info.languages)) if lang in info.languages or not info.languages else info.languages
    own = list(dict.fromkeys(term for one in list(langs)[:4] for term in part_terms(word, one)))
    near = [other for stem in own for other in _synonyms(lang).get(stem, ()) if other not in own]
    if _synonyms(lang).get(f"={own[0]}"):  # "how much" asks for a price; the word itself tells nothing
        own = []
    variants = [(term, 1.0) for term in own] + [(term, SYNONYM) for term in dict.fromkeys(near)]
    counts = {term: _count(db, term) for term, _ in variants}
    present = tuple((term, weight) for term, weight in variants if counts[term])
    weight = LIGHT if is_particle(word) or word in _question_words(lang, "light") else 1.0
    if not present:
        return Term(word, (), _idf(info.chunks, 0), weight, is_absent=True)
    mine = max((counts[term] for term, share in present if share == 1.0), default=0)
    return Term(word, present, _idf(info.chunks, mine or max(counts.values())), weight if mine else 0.7 * weight)


def _repaired(db: sqlite3.Connection, term: Term, lang: str, info: IndexInfo, repaired: dict[str, str]) -> Term:
    """A word that the folder lacks, as the folder spells it; else the words that hold it or that it holds."""
    nearest = spelling.nearest_word(db, term.word)
    if nearest is None:
        return _compounds(db, term, info) if lang in COMPOUNDING or lang not in STEMMERS else term
    word, word_lang = nearest
    repaired[term.word] = word
    variants = tuple((stem, REPAIRED) for stem in part_terms(word, word_lang))
    return replace(
        term, variants=variants, idf=_idf(info.chunks, max(_count(db, stem) for stem, _ in variants)), is_absent=False
    )


def _compounds(db: sqlite3.Connection, term: Term, info: IndexInfo) -> Term:
    related = spelling.related_words(db, term.word)
    found = {other: COMPOUND for word, lang in related for other in part_terms(word, lang)}
    found |= dict(term.variants)
    if not found:
        return term
    count = max(_count(db, other) for other in found)
    idf = term.idf if term.variants else _idf(info.chunks, count)
    return replace(term, variants=tuple(found.items()), idf=idf, is_absent=False)


def _with_context(db: sqlite3.Connection, query: Query, earlier: Sequence[str], deadline: Deadline) -> Query:
    """With the words of the visitor's earlier questions, the last one first; it ends at one that stands on its own."""
    have = {term.word for term in query.terms}
    context: dict[str, Term] = {}
    share, before = CONTEXT, ""
    for text in earlier:
        lang = detect(text, query.info.languages) or query.lang
        for term in _terms(db, text, lang, query.info, deadline, 0)[0]:
            if not term.is_absent and term.word not in have:
                context.setdefault(term.word, replace(term, weight=term.weight * share))
        before = f"{text[:300]} {before}".strip()
        if leans(text, lang) == "not":
            break
        share *= 0.6
    return replace(query, context=tuple(context.values())[:MAX_TERMS], text=f"{before} {query.text}")


def _idf(total: int, count: int) -> float:
    return math.log(1 + (total - count + 0.5) / (count + 0.5)) if count < total else 0.1


def _count(db: sqlite3.Connection, term: str) -> int:
    """The chunks that have a term."""
    row = db.execute("SELECT doc FROM vocabulary WHERE term = ?", (term,)).fetchone()
    return row[0] if row else 0


def _is_word(db: sqlite3.Connection, word: str) -> bool:
    return db.execute("SELECT 1 FROM words WHERE word = ?", (word,)).fetchone() is not None


def _match(wanted: Sequence[Term]) -> str:
    return " OR ".join(f'"{term}"' for term in dict.fromkeys(term for one in wanted for term, _ in one.variants))


_Row = tuple[int, int, bool, str, float, str, str, str]


def _fetch(db: sqlite3.Connection, where: str, given: tuple[object, ...]) -> dict[int, _Row]:
    sql = f"""SELECT found.rowid, page, aside, pages.lang, code, found.title, found.heading, found.body
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
        chunk, page, is_aside, lang, code, *texts = row
        fields = [Counter(text.split()) for text in texts]
        bm25 = coverage = named = heading = 0.0
        loose: list[Term] = []
        for term in self._terms:
            counts = [sum(share * field[variant] for variant, share in term.variants) for field in fields]
            frequency = sum(
                weight * count / (1 - share + share * field.total() / max(1.0, average))
                for count, weight, share, field, average in zip(
                    counts, WEIGHTS, LENGTH_SHARE, fields, self._query.info.average, strict=True
                )
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
        score *= (1 + HEADING_SHARE * heading * said) * (1 - CODE * code)
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
