"""The English that needs no repair: stems of everyday words, read once from ``english.txt``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from app.engines.knowledge.words import stem


@cache
def _stems() -> frozenset[str]:
    return frozenset(files(__package__ or "").joinpath("english.txt").read_text("utf-8").split())


def known(word: str) -> bool:
    """Whether a lower-case word is everyday English, so that its absence from a folder is no slip of the fingers."""
    return word in _stems() or stem(word) in _stems()
