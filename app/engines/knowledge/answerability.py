"""Whether the folder answers a question at all. The figures were fitted on the tuning half of bench/answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.engines.knowledge.fusion import Similarities
from app.engines.knowledge.languages import is_particle
from app.engines.knowledge.retriever import LIGHT_WEIGHT, Hit, Query

TOP_HITS = 5
"""Chunks among which the one is looked for that holds most of the question."""
THRESHOLD = 0.56
"""Without an encoder: the least share of the question that one passage holds, all else counted in."""
NAMED = 0.5
"""What is held by titles and headings counts this much more."""
TERM_BONUS, MAX_TERMS = 0.06, 8
"""A long question is never held whole."""
BOTH = 0.5
"""Of two words that the folder has, this much has to stand together, which is more than one of them."""
SIZE_PENALTY = 0.055
"""In a large folder something always fits by chance."""
HELD, COSINE_BY_SIZE = 0.2, 0.04
"""With an encoder: what the share of the question counts that one of the best chunks holds; what size takes off."""


def certainty(query: Query, hits: Sequence[Hit], similar: Similarities | None = None) -> float:
    """How sure it is that the folder answers; 0 or more where it does.

    What counts is the nearest chunk's cosine, or without an encoder how much of the question one chunk holds, less for
    what the folder lacks of it and for a large folder, where something is always near.
    """
    if not hits:
        return -1.0
    size = math.log(max(1.0, query.info.chunks / 50))
    if similar and similar.cosines and similar.calibration.threshold is not None:
        held = HELD * max(hit.coverage for hit in hits[:3])
        lacking = similar.calibration.absent * query.absent_share + COSINE_BY_SIZE * size
        return max(similar.cosines.values()) + held - lacking - similar.calibration.threshold
    best = max(hit.together + NAMED * hit.named * hit.coverage for hit in hits[:TOP_HITS])
    telling = [term for term in query.terms if term.weight > LIGHT_WEIGHT or is_particle(term.word)]
    if len(telling) == 2 and all(term.variants and term.variants[0][1] == 1.0 for term in telling):
        best = best if best >= BOTH else best - BOTH
    return best + TERM_BONUS * min(len(query.terms), MAX_TERMS) - SIZE_PENALTY * size - THRESHOLD
