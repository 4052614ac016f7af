"""Words and meaning together: what the cosines of a model are worth beside the scores of words.

The figures were fitted on the half of bench/answers that is for tuning; docs/decisions/embeddings.md has the results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Reading = Literal["own", "other", "foreign"]
"""A question in the language of most pages, of some, or of none."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the cosines of one model are worth."""

    weight: float
    """How much a cosine of 1 counts; the best lexical score counts 1."""
    threshold: float | None
    """What the certainty of an answer must reach; None where nobody has measured it, and then words alone decide."""


MINILM = Calibration(weight=2.0, threshold=0.36)
MULTILINGUAL = Calibration(weight=2.0, threshold=0.25)
CROSS_LANGUAGE = Calibration(weight=6.0, threshold=0.2)
"""The multilingual model where the folder is in another language than the question: words tell next to nothing."""
UNKNOWN = Calibration(weight=1.5, threshold=None)
"""A model of the owner's choice, or one behind an endpoint."""


@dataclass(frozen=True, slots=True)
class Similarities:
    """How near the nearest chunks are to a question in meaning: cosines by chunk id."""

    cosines: Mapping[int, float]
    calibration: Calibration

    def nearest(self, limit: int) -> list[int]:
        """The nearest chunks, nearest first."""
        return sorted(self.cosines, key=lambda chunk: -self.cosines[chunk])[:limit]

    def fused(self, lexical: float, chunk: int) -> float:
        """A chunk's score by words, 1 at best, with its cosine. One that is not among the nearest has the least."""
        cosine = self.cosines.get(chunk)
        return lexical + self.calibration.weight * (min(self.cosines.values()) if cosine is None else cosine)
