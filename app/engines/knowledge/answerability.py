"""Whether the folder answers a question at all. The figures were fitted on the tuning half of bench/answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.engines.knowledge.fusion import Similarities
from app.engines.knowledge.retriever import Hit, Query

LOOKED_AT = 5
"""Chunks among which the one is looked for that holds most of the question."""
THRESHOLD = 0.54
"""Without an encoder: the least share of the question that one passage holds, all else counted in."""
NAMED = 0.5
"""What is held by titles and headings counts this much more."""
BY_TERM, MAX_TERMS = 0.06, 8
"""A long question is never held whole."""
BY_SIZE = 0.055
"""In a large folder something always fits by chance."""
HELD, COSINE_BY_SIZE = 0.3, 0.04
"""With an encoder: what the share of the question counts that one passage holds; what size takes off."""


def certainty(query: Query, hits: Sequence[Hit], similar: Similarities | None = None) -> float:
    """How sure it is that the folder answers; 0 or more where it does.

    What counts is how much of the question one passage holds, with an encoder the nearest chunk's cosine too, less for
    a large folder, where something is always near.
    """
    if not hits:
        return -1.0
    size = math.log(max(1.0, query.info.chunks / 50))
    held = max(hit.together + NAMED * hit.named * hit.coverage for hit in hits[:LOOKED_AT])
    if similar and similar.cosines and similar.calibration.threshold is not None:
        nearest = max(similar.cosines.values())
        return nearest + HELD * held - COSINE_BY_SIZE * size - similar.calibration.threshold
    return held + BY_TERM * min(len(query.terms), MAX_TERMS) - BY_SIZE * size - THRESHOLD
