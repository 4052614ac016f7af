"""The passages of the folder that a question is after, best first, and how well they cover it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.engines.knowledge.budget import Budget
from app.engines.knowledge.chunker import Block
from app.engines.knowledge.index_builder import unpacked
from app.engines.knowledge.query import ASIDE, Asked, Term

TITLE, HEAD, BODY = 3.0, 2.0, 1.0
PAGE = 2.0
"""The weight of a page's score; that of the chunk itself has 1."""
KIN = 0.3
"""The weight of a related word; the word itself has 1."""
NEAR = 0.7
"""The share of a term that a related word covers."""
CANDIDATES = 60
BEST_PAGES, EACH = 8, 3
"""How many of the best pages add candidates of their own, and how many each."""
COVER = 0.5
"""The share of a score that depends on how much of the question is covered."""
NAMED, HEADED = 0.9, 0.1
"""The bonus for a term that is in the title, and for one in the headings."""
_AVERAGE = {"title": 5.0, "head": 4.0, "body": 90.0}


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found.

    ``cover`` is the share of the question that it and its headings hold, ``named`` the share that its title and
    headings hold, 0 to 1; ``matched`` counts the terms it holds that name something, by half where they come from
    sentences that only tell something.
    """

    chunk: int
    page: int
    score: float
    cover: float
    named: float
    matched: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk with all that an answer needs of it."""

    hit: Hit
    path: str
    url: str
    title: str
    trail: tuple[str, ...]
    anchor: str
    blocks: tuple[Block, ...]


def search(db: sqlite3.Connection, wanted: Asked, budget: Budget) -> list[Hit]:
    """Chunks by score, best first; empty when nothing of the question is in the folder."""
    terms = [term for term in (*wanted.terms, *wanted.context) if not term.absent]
    if not terms:
        return []
    pages: dict[int, float] = {}
    rows: dict[int, Row] = {}
    with budget.bounds(db):
        pages |= _pages(db, terms)
    with budget.bounds(db):
        for some in _candidates(db, terms, pages):
            rows |= some
    hits = [_hit(row, wanted, terms, pages.get(row[1], 0.0)) for row in rows.values()]
    return sorted((hit for hit in hits if hit.score > 0), key=lambda hit: (-hit.score, hit.chunk))


def passages(db: sqlite3.Connection, hits: Iterable[Hit]) -> list[Passage]:
    """The text behind hits, in their order."""
    found = []
    for hit in hits:
        trail, anchor, blocks, path, url, title = db.execute(
            """SELECT trail, anchor, blocks, path, url, title
               FROM chunks JOIN pages ON pages.id = page WHERE chunks.id = ?""",
            (hit.chunk,),
        ).fetchone()
        found.append(Passage(hit, path, url, title, tuple(json.loads(trail)), anchor, unpacked(blocks)))
    return found


def _match(roots: Iterable[str]) -> str:
    return " OR ".join(f'"{root}"' for root in dict.fromkeys(roots) if '"' not in root)


def _pages(db: sqlite3.Connection, terms: list[Term]) -> dict[int, float]:
    """The scores of the best pages."""
    scores: dict[int, float] = {}
    for roots, share in (([r for t in terms for r in t.own], 1.0), ([r for t in terms for r in t.kin], KIN / 2)):
        if roots:
            sql = "SELECT rowid, bm25(page_words, 4, 2, 1) FROM page_words WHERE page_words MATCH ? ORDER BY 2 LIMIT 40"
            for page, score in db.execute(sql, (_match(roots),)):
                scores[page] = scores.get(page, 0.0) - share * score
    return scores


Row = tuple[int, int, str, str, str]
_ROWS = """SELECT w.rowid, c.page, w.title, w.head, w.body FROM
             (SELECT rowid AS id FROM chunk_words WHERE chunk_words MATCH ? {}
              ORDER BY bm25(chunk_words, 4, 3, 1) LIMIT ?) AS best
           JOIN chunk_words AS w ON w.rowid = best.id JOIN chunks AS c ON c.id = best.id"""


def _candidates(db: sqlite3.Connection, terms: list[Term], pages: dict[int, float]) -> Iterator[dict[int, Row]]:
    """The best chunks of the folder, and of each of the best pages its best."""
    match = _match(root for term in terms for root in (*term.own, *term.kin))
    yield {row[0]: row for row in db.execute(_ROWS.format(""), (match, CANDIDATES))}
    for page in sorted(pages, key=lambda one: -pages[one])[:BEST_PAGES]:
        first, last = db.execute("SELECT first, last FROM pages WHERE id = ?", (page,)).fetchone()
        within = "AND rowid BETWEEN ? AND ?"
        yield {row[0]: row for row in db.execute(_ROWS.format(within), (match, first, last, EACH))}


def _hit(row: Row, wanted: Asked, terms: list[Term], page: float) -> Hit:
    chunk, page_id, title, head, body = row
    fields = (
        (Counter(title.split()), TITLE, _AVERAGE["title"], 0.3),
        (Counter(head.split()), HEAD, _AVERAGE["head"], 0.3),
        (Counter(body.split()), BODY, _AVERAGE["body"], 0.7),
    )
    score = matched = 0.0
    held: dict[Term, float] = {}
    named: dict[Term, float] = {}
    for term in terms:
        counts = [_times(words, term) for words, _, _, _ in fields]
        count = sum(
            weight * times / (1 - slope + slope * words.total() / average)
            for times, (words, weight, average, slope) in zip(counts, fields, strict=True)
        )
        if count:
            score += term.mass * (
                count * 2.2 / (count + 1.2) + NAMED * min(1.0, counts[0]) + HEADED * min(1.0, counts[1])
            )
            held[term] = term.stake * (1.0 if max(counts) >= 1 else NEAR)
            named[term] = term.stake * min(1.0, max(counts[0], counts[1]))
            matched += (1.0 if term.weight > ASIDE else ASIDE) * term.heavy
    everything = (*wanted.terms, *wanted.context)
    cover = _share(held, everything)
    score = (score + PAGE * page) * (1 - COVER + COVER * cover)
    focus = everything if wanted.context else wanted.focus
    return Hit(chunk, page_id, score, max(cover, _share(held, focus)), _share(named, focus), matched)


def _share(held: dict[Term, float], terms: Sequence[Term]) -> float:
    """How much of what is at stake a chunk holds, 0 to 1."""
    total = sum(term.stake for term in terms)
    return sum(held.get(term, 0.0) for term in terms) / total if total else 0.0


def _times(words: Counter[str], term: Term) -> float:
    own = min((words[root] for root in term.own), default=0)
    return own or KIN * max((words[root] for root in term.kin), default=0)
