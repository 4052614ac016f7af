"""Whether the folder answers a question at all. The figures were fitted on the tuning half of bench/answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.engines.knowledge.retriever import Hit, Query

LOOKED_AT = 5
"""Chunks among which the one is looked for that holds most of the question."""
THRESHOLD = 0.58
"""Without an encoder: the least share of the question that one chunk holds, all else counted in."""
NAMED = 0.5
"""What is held by titles and headings counts this much more."""
BY_TERM, MAX_TERMS = 0.06, 8
"""A long question is never held whole."""
BY_SIZE = 0.055
"""In a large folder something always fits by chance."""
COSINE_THRESHOLD, COSINE_ABSENT, COSINE_BY_SIZE = 0.20, 0.28, 0.04


def certainty(query: Query, hits: Sequence[Hit]) -> float:
    """How sure it is that the folder answers; 0 or more where it does."""
    if not hits:
        return -1.0
    size = math.log(max(1.0, query.info.chunks / 50))
    cosines = [hit.cosine for hit in hits if hit.cosine is not None]
    if cosines:
        return max(cosines) - COSINE_ABSENT * query.absent_share - COSINE_BY_SIZE * size - COSINE_THRESHOLD
    best = max(hit.coverage + NAMED * hit.named for hit in hits[:LOOKED_AT])
    return best + BY_TERM * min(len(query.terms), MAX_TERMS) - BY_SIZE * size - THRESHOLD
