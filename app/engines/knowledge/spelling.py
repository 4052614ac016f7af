"""Corrects spelling against the folder's own words."""

from __future__ import annotations

import sqlite3
import string
from itertools import takewhile

from app.engines.knowledge.budget import Budget
from app.engines.knowledge.common_words import known
from app.engines.knowledge.lexicon import ASKING, KIN, STOP
from app.engines.knowledge.tokenizer import stem

SHORTEST = 4
"""Letters of a word below which nothing is guessed."""


def repaired(db: sqlite3.Connection, word: str, budget: Budget) -> tuple[str, ...]:
    """What a word that the folder lacks was meant to be: stems of one word, of two run together, or nothing.

    An English word that the folder simply lacks is left alone: "pasta" does not mean "paste".
    """
    letters = word.rstrip(string.digits)
    if letters != word and len(letters) > 2 and db.execute("SELECT 1 FROM words WHERE word = ?", (letters,)).fetchone():
        return (stem(letters),)
    if len(word) < SHORTEST or not word.isalpha() or known(word) or not budget.repairs(word):
        return ()
    near = _near(db, word, _one_off(word))
    if near:
        return (near,)
    halves = _halves(db, word)
    if halves:
        return halves
    far = _near(db, word, _candidates(db, word, budget)) if len(word) >= 7 else ""
    return (far,) if far else ()


def everyday(word: str, budget: Budget) -> str:
    """The everyday word that the folder lacks too and that was meant, "colleague" for "collegue"; or nothing."""
    if len(word) < SHORTEST or not word.isalpha() or known(word) or not budget.repairs(word):
        return ""
    near = sorted(other for other in _one_off(word) if len(other) >= SHORTEST and other[0] == word[0])
    asking = (other for other in near if other in ASKING or other in STOP)
    return next(asking, "") or next((other for other in near if stem(other) in KIN and known(other)), "")


def _one_off(word: str) -> set[str]:
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    letters = string.ascii_lowercase
    found = {a + b[1:] for a, b in cuts if b}
    found |= {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    found |= {a + c + b[1:] for a, b in cuts if b for c in letters}
    found |= {a + c + b for a, b in cuts for c in letters}
    return found - {word}


def _candidates(db: sqlite3.Connection, word: str, budget: Budget) -> set[str]:
    rows = db.execute(
        "SELECT word FROM words WHERE word >= ? AND word < ? AND size BETWEEN ? AND ?",
        (word[0], chr(ord(word[0]) + 1), len(word) - 2, len(word) + 2),
    )
    near = takewhile(lambda _: not budget.spent(), rows)
    return {other for (other,) in near if distance(word, other, 2) <= 2}


def _near(db: sqlite3.Connection, word: str, candidates: set[str]) -> str:
    """The stem of the likeliest candidate: first letter kept, then the smaller distance, then the commoner word."""
    rows: list[tuple[str, str, int]] = []
    todo = sorted(candidates)
    for at in range(0, len(todo), 500):
        some = todo[at : at + 500]
        marks = ",".join("?" * len(some))
        rows += db.execute(f"SELECT word, stem, count FROM words WHERE word IN ({marks})", some)  # noqa: S608
    rows = [row for row in rows if len(row[0]) >= SHORTEST - 1 and (row[0][0] == word[0] or len(word) > SHORTEST)]
    if not rows:
        return ""
    best = min(rows, key=lambda row: (row[0][0] != word[0], distance(word, row[0], 2), -row[2], row[0]))
    return best[1]


def _halves(db: sqlite3.Connection, word: str) -> tuple[str, ...]:
    for at in range(3, len(word) - 2):
        pair = (word[:at], word[at:])
        if db.execute("SELECT count(*) FROM words WHERE word IN (?, ?)", pair).fetchone()[0] == 2:
            return (stem(pair[0]), stem(pair[1]))
    return ()


def distance(one: str, other: str, most: int) -> int:
    """Insertions, deletions, changes and neighbours swapped between two words, at most ``most + 1``."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    older: list[int] = []
    above = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        older, above = above, row
    return above[-1]
