"""Everyday English: which words need no spelling correction, and which name a topic."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

_ENDINGS = (
    ("s", ""),
    ("es", ""),
    ("ies", "y"),
    ("ly", ""),
    ("d", ""),
    ("ed", ""),
    ("ing", ""),
    ("ing", "e"),
    ("er", ""),
    ("er", "e"),
)
_DOUBLES = re.compile(r"(?:^|[^aeiou])[aeiou][^aeiouwxy]$")


@cache
def _listed(name: str) -> frozenset[str]:
    return frozenset(files(__package__ or "").joinpath(name).read_text("utf-8").split())


def known(word: str) -> bool:
    """Whether a lower-case word is everyday English: one that the folder lacks is then no typing mistake."""
    return any(
        form in _listed("data/common_words.txt") or form in _listed("data/topic_words.txt") for form in _forms(word)
    )


def topical(word: str) -> bool:
    """Whether a word names a topic ("pizza", "kubernetes"), unlike general words ("method", "bigger").

    The first kind missing from a folder says that a question is about something else; the second says little.
    """
    return any(form in _listed("data/topic_words.txt") for form in _forms(word)) or not known(word)


def _forms(word: str) -> Iterable[str]:
    """A word and what it may be a regular form of; "shiping" is none of "ship", which would double its last letter."""
    yield word
    for end, new in _ENDINGS:
        root = word[: -len(end)]
        if (
            word.endswith(end)
            and len(root) > 2
            and not (end in {"ed", "ing", "er"} and not new and _DOUBLES.search(root))
        ):
            yield root + new
        if end in {"ed", "ing", "er"} and word.endswith(end) and len(root) > 3 and root[-1] == root[-2]:
            yield root[:-1]
