"""The reader that is shipped: sentences, items and rows judged by the embedder and by their words.

1. Of the units of the first PASSAGES passages, those that the signs without a model like best, at most UNITS, are
   embedded; vectors of units are kept for the next question.
2. A linear model over the signs of `ragvec.kendra.answers.evidence` gives each a weight, the softmax of which is the
   chance that the unit, of all, holds the answer. An answer is a run of neighbouring units of one passage, and its
   chance their sum.
3. A second model turns chance and signs of the likeliest run into how sure it is that this answers at all, which is
   its score; the runs of other passages have scores in proportion to their chances.

Both were fitted on the questions of `datasets/handbook`, with and without an answer there, by `benchmarks/answers.py`,
which also tells how well they do on questions that they were not fitted on.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from ragvec.kendra.answers.choice import Weights, likeliest, most_trust, runs, scores
from ragvec.kendra.answers.evidence import SIGNS, Candidate, Evidence, Floats, candidates
from ragvec.kendra.answers.question import asked
from ragvec.kendra.answers.reader import Levels, ReadSpan
from ragvec.kendra.answers.weights import LEVELS, WEIGHTS
from ragvec.kendra.found import Found
from ragvec.protocols import Embedder
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["PASSAGES", "UNITS", "SentenceReader", "forget", "judged"]

PASSAGES = 15
"""Passages of which units are judged."""
UNITS = 12
"""Units that are embedded for a question; 24 gave no better answers in cross-validation."""

_QUESTION = 600
"""Characters of a question that are looked at."""
_KEPT = 10_000
"""Vectors of units that are kept: 15 MB at dimension 384."""
_COSINE = SIGNS.index("cosine")


class SentenceReader:
    """Reads answers with an embedder and the words of question and passages; no other model.

    Scores are in [0, 1]; what they and `levels` mean was measured with all-MiniLM-L6-v2. For any thread.
    """

    def __init__(self, embed: Embedder, *, weights: Weights = WEIGHTS, levels: Levels = LEVELS) -> None:
        self.embed = embed
        self.weights = weights
        self.levels = levels

    def read_found(
        self, question: str, passages: Sequence[Found], *, vector: FloatVector | None = None
    ) -> list[ReadSpan]:
        """The best span of each passage that has one, with its score; none, and nothing is embedded, where the text
        asks nothing, or where it is clear that no score can reach `levels.least`. `vector` is the question's, where it
        is known.
        """
        question = question[:_QUESTION]
        sought = asked(question)
        evidence = Evidence(sought, passages)
        if not sought.asks or most_trust(evidence, self.weights) < self.levels.least:
            return []
        units, signs = judged(question, passages, evidence, embed=self.embed, weights=self.weights, vector=vector)
        found = runs(units, signs, evidence, self.weights.choose)
        return [
            ReadSpan(units[run.first].passage, units[run.first].unit.begin, units[run.after - 1].unit.end, score)
            for run, score in zip(found, scores(found, self.weights), strict=True)
        ]


def judged(
    question: str,
    passages: Sequence[Found],
    evidence: Evidence,
    *,
    embed: Embedder,
    weights: Weights | None,
    vector: FloatVector | None = None,
) -> tuple[list[Candidate], Floats]:
    """The units that are looked at, at most UNITS of the first PASSAGES passages, and their signs; all of them where
    there are no `weights` to choose by."""
    units = candidates(passages[:PASSAGES])
    signs = evidence.signs(units)
    if weights is not None:
        rows = likeliest(signs, weights.first, most=UNITS)
        units, signs = [units[row] for row in rows], signs[rows]
    if units:
        asked_vector = np.asarray(embed.embed_query(question) if vector is None else vector, dtype=np.float64)
        signs[:, _COSINE] = _cosines(_vectors(embed, [unit.text for unit in units]), asked_vector)
    return units, signs


def _cosines(rows: FloatMatrix, vector: Floats) -> Floats:
    """Cosines of the rows to a vector; 0 where either has no direction."""
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
    found: Floats = np.zeros(len(rows))
    np.divide(rows.astype(np.float64) @ vector, lengths, out=found, where=lengths > 0)
    return found


class _Kept:
    """The vectors of the texts that were embedded last, by name of the embedder: equal names promise equal vectors."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vectors: OrderedDict[tuple[str, str], FloatVector] = OrderedDict()

    def take(self, name: str, texts: Sequence[str]) -> dict[str, FloatVector]:
        with self._lock:
            found = {text: self._vectors[name, text] for text in texts if (name, text) in self._vectors}
            for text in found:
                self._vectors.move_to_end((name, text))
            return found

    def keep(self, name: str, vectors: dict[str, FloatVector]) -> None:
        with self._lock:
            self._vectors.update({(name, text): vector for text, vector in vectors.items()})
            while len(self._vectors) > _KEPT:
                self._vectors.popitem(last=False)

    def forget(self) -> None:
        with self._lock:
            self._vectors.clear()


_kept = _Kept()


def forget() -> None:
    """Drop the vectors of units that are kept for the next question."""
    _kept.forget()


def _vectors(embed: Embedder, texts: Sequence[str]) -> FloatMatrix:
    """float32 (len(texts), dimension); only those are embedded, each once, that are not kept from before."""
    vectors = _kept.take(embed.name, texts)
    fresh = sorted({text for text in texts if text not in vectors})
    if fresh:
        embedded = np.asarray(embed.embed_documents(fresh), dtype=np.float32)
        made = {text: embedded[row].copy() for row, text in enumerate(fresh)}
        _kept.keep(embed.name, made)
        vectors |= made
    return np.stack([vectors[text] for text in texts])
