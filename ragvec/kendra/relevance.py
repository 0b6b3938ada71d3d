"""What a relevance means: how words and meaning make one, what counts as found, and the confidence shown for it.

Kendra publishes neither scores nor thresholds. Here a passage's relevance is

    (1 − words) × cosine to the question + words × share of the question's words that it covers

in an index whose words are searched, and the cosine alone in another; see `ragvec.kendra.rank`. Both parts are on a
scale of their own, not relative to the other passages, so that a bucket means the same for every query.

How much words count, what a title weighs, and that the words of a document's other passages count half, was chosen on
SciFact's train split: 0.734 nDCG@10 without the last, 0.738 with it, and within three thousandths for shares of words
from 0.4 to 0.6. Where buckets begin was set on collections with judged questions (SciFact and Cranfield judge few
documents, so their shares are lower bounds):

                                        handbook             SciFact, train       Cranfield
    documents, questions                70, 88               5183, 809            1400, 225
    nDCG@10, vectors alone              0.712                0.686                0.372
    nDCG@10                             0.777                0.738                0.422
    relevant documents found            93 %                 98 %                 88 %
    documents found, median             18                   117                  229
    relevant among LOW, MEDIUM          3 %, 24 %            0.1 %, 0.6 %         0.6 %, 3 %
    relevant among HIGH, VERY_HIGH      65 %, 14 of 14       3 %, 32 %            9 %, 29 %

Of twelve questions on subjects that the handbook does not touch (bread, football, physics), seven find nothing there,
the others pages of LOW confidence alone.
"""

from __future__ import annotations

import msgspec

from ragvec.kendra.found import Confidence

__all__ = ["MINILM", "MINILM_ALONE", "UNCALIBRATED", "Scale", "scale_for"]


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How the relevance of passages is made and read, for one embedder.

    A passage is found when its relevance is at least `least`, and at least the share `of_best` of the best one's.
    `medium`, `high` and `very_high` are where those buckets begin. `words` is the share of words in a relevance, where
    the index has text fields. `context` is how much the words of a document's other passages count for a passage, and
    `more` how much the next passage of a document adds to its best one; see `ragvec.kendra.rank`.
    """

    least: float
    of_best: float
    medium: float
    high: float
    very_high: float
    words: float = 0.5
    more: float = 0.0
    context: float = 0.0

    def floor(self, *, best: float) -> float:
        """The smallest relevance that counts as found when `best` is the largest."""
        return max(self.least, self.of_best * best)

    def confidence(self, score: float | None) -> Confidence:
        """The bucket of a relevance; without one, as when browsing, NOT_AVAILABLE."""
        if score is None:
            return "NOT_AVAILABLE"
        if score >= self.very_high:
            return "VERY_HIGH"
        if score >= self.high:
            return "HIGH"
        return "MEDIUM" if score >= self.medium else "LOW"


MINILM = Scale(least=0.20, of_best=0.4, medium=0.35, high=0.45, very_high=0.55, words=0.5, context=0.5)
"""all-MiniLM-L6-v2 with the words of passages."""

MINILM_ALONE = Scale(least=0.20, of_best=0.5, medium=0.35, high=0.50, very_high=0.65)
"""all-MiniLM-L6-v2 in an index whose words are not searched."""

UNCALIBRATED = Scale(least=0.15, of_best=0.4, medium=0.35, high=0.50, very_high=0.65)
"""Any other embedder: a lower floor, and buckets as good as its likeness to MiniLM; better set your own scale."""

_SCALES = {"all-minilm-l6-v2": (MINILM_ALONE, MINILM)}


def scale_for(embedder: str, *, words: bool = False) -> Scale:
    """The scale calibrated for the embedder of this name (its model's name anywhere in it), or UNCALIBRATED; `words`
    tells that the index has text fields."""
    name = embedder.lower()
    return next((scales[words] for model, scales in _SCALES.items() if model in name), UNCALIBRATED)
