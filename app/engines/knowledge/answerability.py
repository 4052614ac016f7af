"""Whether the folder answers a question at all, and with which passages."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from app.engines.base import ChatMessage
from app.engines.knowledge.budget import Budget
from app.engines.knowledge.query import Asked, asked, leaning, leans
from app.engines.knowledge.ranking import Hit, Passage, passages, search

PASSAGES = 12
"""Passages that are read for one answer."""
LOOKED_AT = 5
ENOUGH = 4.0
"""The score from which a question is answerable; the weights come from a logistic fit (docs/decisions/search.md)."""
BY_SIZE, SMALL = 0.3, 50
"""A large folder matches more by chance, so ``BY_SIZE`` times the logarithm of its chunks over ``SMALL`` is added."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the folder holds on a question. ``known`` is False where it does not answer it."""

    asked: Asked
    passages: tuple[Passage, ...]
    known: bool
    text: str


def looked_up(db: sqlite3.Connection, text: str, history: Sequence[ChatMessage], budget: Budget) -> Found:
    """The passages on a question, and whether they answer it."""
    alone = asked(db, text, budget)
    hits = search(db, alone, budget)
    sure = known(alone, hits)
    leant = bool(history) and not budget.spent() and leans(text)
    if leant or (history and not sure and not budget.spent() and len(alone.terms) <= 5):
        wider = leaning(db, alone, history, budget)
        if wider is not None:
            more = search(db, wider, budget)
            if known(wider, more):
                return Found(wider, tuple(passages(db, more[:PASSAGES])), True, text)
    return Found(alone, tuple(passages(db, hits[:PASSAGES])), sure, text)


def known(wanted: Asked, hits: Sequence[Hit]) -> bool:
    """Whether the folder answers the question: not where too much of it is missing, or never found in one place."""
    return certainty(wanted, hits) >= ENOUGH + BY_SIZE * math.log(max(1.0, wanted.size / SMALL))


def certainty(wanted: Asked, hits: Sequence[Hit]) -> float:
    """A score: the evidence that there is an answer, minus the evidence against it."""
    if not hits:
        return 0.0
    against = 5 * wanted.absent(topical=True) + 1.5 * wanted.absent(topical=False)
    return max(5.8 * hit.cover + 2.5 * hit.named + 1.1 * hit.matched for hit in hits[:LOOKED_AT]) - against
