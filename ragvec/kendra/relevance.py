"""What a similarity means: which passages count as found, and the confidence bucket shown for a score.

Kendra publishes neither scores nor thresholds. Here both rest on cosine similarity alone, fixed for each embedder, so
that a bucket means the same for every query. MINILM was set on three collections with judged questions, a document
taken by its best passage (SciFact and Cranfield judge few documents, so their shares are lower bounds):

                                        handbook             SciFact              Cranfield
    documents, questions                70, 88               5183, 300            1400, 225
    nDCG@10 without, with the floor     0.712, 0.712         0.653, 0.653         0.387, 0.386
    relevant documents found            95 %                 98 %                 89 %
    documents found, median             24                   164                  197
    relevant among LOW, MEDIUM          1 %, 9 %             0 %, 0.2 %           0.2 %, 1 %
    relevant among HIGH, VERY_HIGH      45 %, 1 of 1         4 %, 38 %            9 %, 28 %

Questions on subjects that the handbook does not touch (bread, football, physics) find nothing there.
"""

from __future__ import annotations

import msgspec

from ragvec.kendra.found import Confidence

__all__ = ["MINILM", "UNCALIBRATED", "Scale", "scale_for"]


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How the similarities of one embedder are read.

    A passage is found when its similarity is at least `least`, and at least the share `of_best` of the best one's.
    `medium`, `high` and `very_high` are where those buckets begin.
    """

    least: float
    of_best: float
    medium: float
    high: float
    very_high: float

    def floor(self, *, best: float) -> float:
        """The smallest similarity that counts as found when `best` is the largest."""
        return max(self.least, self.of_best * best)

    def confidence(self, score: float | None) -> Confidence:
        """The bucket of a similarity; without one, as when browsing, NOT_AVAILABLE."""
        if score is None:
            return "NOT_AVAILABLE"
        if score >= self.very_high:
            return "VERY_HIGH"
        if score >= self.high:
            return "HIGH"
        return "MEDIUM" if score >= self.medium else "LOW"


MINILM = Scale(least=0.20, of_best=0.5, medium=0.35, high=0.50, very_high=0.65)
"""all-MiniLM-L6-v2."""

UNCALIBRATED = Scale(least=0.15, of_best=0.4, medium=0.35, high=0.50, very_high=0.65)
"""Any other embedder: a lower floor, and buckets as good as its likeness to MiniLM; better set your own scale."""

_SCALES = {"all-minilm-l6-v2": MINILM}


def scale_for(embedder: str) -> Scale:
    """The scale calibrated for the embedder of this name (its model's name anywhere in it), or UNCALIBRATED."""
    name = embedder.lower()
    return next((scale for model, scale in _SCALES.items() if model in name), UNCALIBRATED)
