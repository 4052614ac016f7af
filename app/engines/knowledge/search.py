"""The passages of the folder that a question is after, best first, and how well they cover it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from app.engines.knowledge.index import unpacked
from app.engines.knowledge.markdown import Block
from app.engines.knowledge.question import Asked, Term

TITLE, HEAD, BODY = 4.0, 3.0, 1.0
PAGE = 2.0
"""What a page's score counts beside its chunk's."""
KIN = 0.5
"""What a near word counts beside the word itself."""
CANDIDATES = 60
COMMON = 0.3
"""A stem in more than this share of the chunks chooses no candidates where a rarer one can."""
_AVERAGE = {"title": 5.0, "head": 4.0, "body": 90.0}


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found. ``cover`` is the share of the question that it and its headings hold, 0 to 1."""

    chunk: int
    page: int
    score: float
    cover: float
    direct: float
    """As ``cover``, for the question's own words alone: nothing lent by the conversation."""


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


def search(db: sqlite3.Connection, wanted: Asked) -> list[Hit]:
    """Chunks by score, best first; empty when nothing of the question is in the folder."""
    terms = [term for term in (*wanted.terms, *wanted.context) if not term.absent]
    if not terms:
        return []
    pages = _pages(db, terms)
    rows = _candidates(db, terms, pages)
    direct = set(wanted.terms)
    hits = [_hit(row, wanted, terms, direct, pages.get(row[1], 0.0)) for row in rows]
    return sorted((hit for hit in hits if hit.score > 0), key=lambda hit: (-hit.score, hit.chunk))


def passages(db: sqlite3.Connection, hits: Iterable[Hit]) -> list[Passage]:
    """The text behind hits, in their order."""
    found = []
    for hit in hits:
        trail, anchor, blocks, path, url, title = db.execute(
            "SELECT trail, anchor, blocks, path, url, title FROM chunks JOIN pages ON pages.id = page WHERE chunks.id = ?",
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


def _candidates(db: sqlite3.Connection, terms: list[Term], pages: dict[int, float]) -> list[Row]:
    roots = [root for term in terms for root in (*term.own, *term.kin)]
    sql = """SELECT w.rowid, c.page, w.title, w.head, w.body FROM
               (SELECT rowid AS id FROM chunk_words WHERE chunk_words MATCH ? ORDER BY bm25(chunk_words, 4, 3, 1) LIMIT ?) AS best
             JOIN chunk_words AS w ON w.rowid = best.id JOIN chunks AS c ON c.id = best.id"""
    return list(db.execute(sql, (_match(roots), CANDIDATES)))


def _hit(row: Row, wanted: Asked, terms: list[Term], direct: set[Term], page: float) -> Hit:
    chunk, page_id, title, head, body = row
    fields = ((title.split(), TITLE, _AVERAGE["title"], 0.3), (head.split(), HEAD, _AVERAGE["head"], 0.3),
              (body.split(), BODY, _AVERAGE["body"], 0.7))  # fmt: skip
    score = held = 0.0
    own = 0.0
    for term in terms:
        count = 0.0
        for words, weight, average, slope in fields:
            times = _times(words, term)
            if times:
                count += weight * times / (1 - slope + slope * len(words) / average)
        if count:
            score += term.mass * count * 2.2 / (count + 1.2)
            part = term.mass * min(1.0, 0.6 + count / 2)
            held += part
            own += part if term in direct else 0.0
    total = sum(term.mass for term in (*wanted.terms, *wanted.context))
    asked = sum(term.mass for term in wanted.terms)
    cover = held / total if total else 0.0
    return Hit(chunk, page_id, (score + PAGE * page) * (0.4 + 0.6 * cover), cover, own / asked if asked else 1.0)


def _times(words: list[str], term: Term) -> float:
    own = min((words.count(root) for root in term.own), default=0)
    return own or KIN * max((words.count(root) for root in term.kin), default=0)
