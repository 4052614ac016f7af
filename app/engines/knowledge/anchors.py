"""Anchors of headings, spelled as GitHub spells them."""

from __future__ import annotations

import re

_DROPPED = re.compile(r"[^\w\- ]", re.UNICODE)


def slug(heading_text: str) -> str:
    """The anchor of a heading's plain text: lower case, spaces to hyphens, other punctuation gone."""
    return _DROPPED.sub("", heading_text.strip().lower()).replace(" ", "-")


class Slugs:
    """The anchors of one page: a heading that comes again gets ``-1``, ``-2`` and so on."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, heading_text: str) -> str:
        """The next heading's anchor; call it once a heading, in the order of the page."""
        wanted = slug(heading_text)
        anchor = wanted
        while anchor in self._seen:
            self._seen[wanted] += 1
            anchor = f"{wanted}-{self._seen[wanted]}"
        self._seen[anchor] = 0
        return anchor
