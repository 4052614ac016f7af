"""The English that needs no repair: everyday words, read once from ``english.txt``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_ENDINGS = (("s", ""), ("ed", ""), ("d", ""), ("ing", ""), ("ing", "e"), ("ly", ""), ("ies", "y"), ("es", ""), ("er", ""), ("er", "e"))


@cache
def _words() -> frozenset[str]:
    """Words in their plain form, from the running text of many manuals and a list of everyday things."""
    return frozenset(files(__package__ or "").joinpath("english.txt").read_text("utf-8").split())


def known(word: str) -> bool:
    """Whether a lower-case word is everyday English, so that its absence from a folder is no slip of the fingers."""
    return word in _words() or any(
        word.endswith(end) and len(word) > len(end) + 2 and word[: -len(end)] + new in _words() for end, new in _ENDINGS
    )
