"""Small talk and fixed sentences: greetings, thanks, goodbyes and "who are you", in ten languages from a data file."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from functools import cache

from app.engines.knowledge.languages import DATA, bounded, detect, is_spaceless
from app.engines.knowledge.sections import escaped

MAX_CHARS = 120
"""Characters of a text beyond which it is no small talk."""
_TOPICS = ("about", "who", "bye", "thanks", "hello")
"""What a text is that holds several of them: the first that it holds."""
_LETTERS = re.compile(r"[^\w]+")


def small_talk(text: str) -> tuple[str, str] | None:
    """What a text of nothing but small talk is (``hello``, ``thanks``, ``bye``, ``who``, or ``about`` for "what is
    this"), and its language; None for anything else.
    """
    if len(text) > MAX_CHARS:
        return None
    said = _plain(bounded(text))
    for lang in _phrases() if said else ():
        found = _topics(said, lang)
        if found:
            return next(topic for topic in _TOPICS if topic in found), lang
    return None


def sentence(name: str, lang: str) -> str:
    """A fixed sentence in a language, or in English."""
    return _phrases().get(lang, _phrases()["en"])[name]


def sentence_language(question: str, fallback: Sequence[str] = ()) -> str:
    """The language that fixed sentences are to be in: the question's, else the first of ``fallback``, else English."""
    lang = detect(bounded(question), fallback) or next(iter(fallback), "en")
    return lang if lang in _phrases() else "en"


def listed(titles: Sequence[str], lang: str, joint: str = "or") -> str:
    """Titles as they stand in a sentence."""
    quoted = [f"“{escaped(title)}”" for title in titles]
    word = sentence(joint, lang)
    between = word if is_spaceless(lang) or word == "、" else f" {word} "
    comma = "、" if word == "、" else ", "
    return quoted[0] if len(quoted) == 1 else comma.join(quoted[:-1]) + between + quoted[-1]


def topics(db: sqlite3.Connection, lang: str, limit: int = 3) -> str:
    """One sentence that names a few pages to ask about, or nothing: those near the top, with questions as headings."""
    sql = """SELECT title FROM pages WHERE title <> '' AND NOT aside GROUP BY title
             ORDER BY min(lang <> ?), min(length(file) - length(replace(file, '/', ''))),
                      max(length(headings) - length(replace(headings, '?', ''))) DESC, min(id) LIMIT ?"""
    titles = [title for (title,) in db.execute(sql, (lang, limit))]
    return sentence("topics", lang).format(topics=listed(titles, lang)) if titles else ""


def _plain(text: str) -> str:
    return " ".join(_LETTERS.sub(" ", text.casefold().replace("’", "'").replace("'", "")).split())


def _topics(said: str, lang: str) -> set[str]:
    """The topics of the phrases that a text is made of; none where anything else is left of it."""
    phrases = _by_phrase(lang)
    is_dense = is_spaceless(said)
    units = list(said) if is_dense else said.split()
    glue, longest = ("", 24) if is_dense else (" ", 6)
    found: set[str] = set()
    at = 0
    while at < len(units):
        size = next((size for size in range(longest, 0, -1) if glue.join(units[at : at + size]) in phrases), 0)
        if not size:
            return set()
        found.add(phrases[glue.join(units[at : at + size])])
        at += size
    return found - {"fillers"}


@cache
def _phrases() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((DATA / "phrases.json").read_text("utf-8"))
    return found


@cache
def _by_phrase(lang: str) -> dict[str, str]:
    return {
        _plain(phrase): topic
        for topic in ("fillers", *reversed(_TOPICS))
        for phrase in _phrases()[lang][topic].split("|")
    }
