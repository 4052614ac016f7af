"""Spelling: the folder's own words that a visitor's word was meant to be, is a part of, or is made of."""

from __future__ import annotations

import sqlite3

from rapidfuzz.distance import OSA

MIN_LETTERS = 4
"""Letters of a word below which nothing is guessed."""
LINKS = ("", "s", "es", "n", "en", "e", "er")
"""What may stand between the parts of a compound."""
MAX_ENDING = 4
"""Letters that an ending has at most."""
SURE_LETTERS = 7
"""Letters of a word below which another letter makes another word ("morgen" is no "mergen")."""
_CANDIDATES = 200
"""Words of the folder that a word is compared with: those that share the most trigrams with it."""


def is_word(db: sqlite3.Connection, word: str) -> bool:
    """Whether the folder has this very word."""
    return db.execute("SELECT 1 FROM words WHERE word = ?", (word,)).fetchone() is not None


def nearest_word(db: sqlite3.Connection, word: str) -> tuple[str, str] | None:
    """The folder's word one mistake away, or two in a long word, and its language; the commonest of the nearest."""
    if len(word) < MIN_LETTERS or not word.isalpha():
        return None
    allowed = 1 if len(word) < 9 else 2
    found: list[tuple[int, int, str, str]] = []
    for other, lang, count in _sharing(db, word):
        distance = OSA.distance(word, other, score_cutoff=allowed)
        if distance <= allowed and _is_mistake(word, other, distance):
            found.append((distance, -count, other, lang))
    return min(found)[2:] if found else None


def related_words(db: sqlite3.Connection, word: str, limit: int = 6) -> list[tuple[str, str]]:
    """The folder's words that this one is made of or that are made of it, with their languages: parts of compounds."""
    if len(word) < MIN_LETTERS:
        return []
    found = [
        (abs(len(other) - len(word)), other, lang)
        for other, lang, _ in _sharing(db, word)
        if _is_related(db, word, other)
    ]
    return [(other, lang) for _, other, lang in sorted(found)][:limit]


def _is_mistake(word: str, other: str, distance: int) -> bool:
    """Not another word: a short one that begins or ends otherwise is ("pasta" is no "paste")."""
    if word[0] != other[0]:
        return False
    if distance == 1 and len(word) == len(other) < 8 and word[-1] != other[-1] and word[:-1] == other[:-1]:
        return False
    return len(word) >= SURE_LETTERS or len(word) != len(other) or sorted(word) == sorted(other)


def _is_part(db: sqlite3.Connection, rest: str) -> bool:
    """Whether the folder has this word, or one that begins so."""
    if len(rest) < MIN_LETTERS:
        return is_word(db, rest)
    sql = "SELECT 1 FROM words WHERE word >= ? AND word < ? LIMIT 1"
    return db.execute(sql, (rest, rest + "\U0010ffff")).fetchone() is not None


def _is_related(db: sqlite3.Connection, word: str, other: str) -> bool:
    """Whether the longer one begins or ends with the shorter, endings aside, and the rest is a word too."""
    short, long = sorted((word, other), key=len)
    if len(short) < MIN_LETTERS or short == long:
        return False
    root = _root(short)
    if long.startswith(root):
        return len(long) - len(root) <= MAX_ENDING or any(
            _is_part(db, long[at:]) for at in _after_links(long, len(root))
        )
    at = long.rfind(root)
    return at > 0 and len(long) - at <= len(short) + 2 and any(_is_part(db, rest) for rest in _before_links(long[:at]))


def _after_links(long: str, at: int) -> list[int]:
    """Where the second part of a compound may begin when its first ends about here."""
    return [at + len(link) for link in LINKS if long.startswith(link, at)] + [at + 1, at + 2]


def _before_links(first: str) -> list[str]:
    return [first.removesuffix(link) for link in LINKS if first.endswith(link)]


def _root(word: str) -> str:
    return word[:-2] if len(word) > 6 else word[:-1] if len(word) > 5 else word


def _sharing(db: sqlite3.Connection, word: str) -> list[tuple[str, str, int]]:
    trigrams = {word[at : at + 3] for at in range(len(word) - 2)}
    match = " OR ".join(f'"{trigram}"' for trigram in sorted(trigrams) if '"' not in trigram)
    if not match:
        return []
    sql = """SELECT word, lang, count FROM words WHERE id IN
             (SELECT rowid FROM word_trigrams WHERE word_trigrams MATCH ? ORDER BY rank LIMIT ?)"""
    return db.execute(sql, (match, _CANDIDATES)).fetchall()
