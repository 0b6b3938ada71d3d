"""Context: what the other passages of its document say of the question's words, when one passage is judged.

A question's words are often spread over a document. For a passage p of the document D, and each piece of the question
between white space, the best BM25 score that a found passage of D has for the piece is more than, or the same as, that
of p; the sum of these differences is what D has beyond p. The share `context` of it counts as if p had it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ragvec.engine.protocol import IndexEngine, TextQuery
from ragvec.kendra.rank.candidates import Candidates
from ragvec.pipeline.passages import TEXT

__all__ = ["beyond"]

_PIECES = 32
"""The first so many pieces of a question are looked at one by one."""


def beyond(
    engine: IndexEngine, among: Candidates, places: Sequence[int], documents: Sequence[str], *, text: str
) -> npt.NDArray[np.float64]:
    """For each of the candidates at `places`, of these documents, what its document has beyond it, (n,); 0 for all
    where the text of passages is not searched."""
    found = np.zeros(len(places))
    numbers: dict[str, list[int]] = {}
    for number, document in enumerate(documents):
        numbers.setdefault(document, []).append(number)
    several = [each for each in numbers.values() if len(each) > 1]
    pieces = list(dict.fromkeys(text.casefold().split()))[:_PIECES]
    if not several or not pieces or all(query.key != TEXT for query in among.queries):
        return found
    of = np.concatenate([np.full(len(each), number) for number, each in enumerate(several)])
    members = np.concatenate([np.array(each) for each in several])
    rows = among.rows[np.asarray(places)[members]]
    queries = tuple(TextQuery(TEXT, piece) for piece in pieces)
    scores = np.stack(engine.scores(rows, ranked=among.ranked, vector=None, texts=queries).texts)
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    best = np.maximum.reduceat(scores, starts, axis=1)
    found[members] = (best[:, of] - scores).sum(axis=0, dtype=np.float64)
    return found
