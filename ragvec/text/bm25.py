"""BM25 over inverted lists: the best rows for a few terms, exactly, with deleted rows and filters counted out.

The score of a row is the sum over the query's terms of

    weight × idf × (k1 + 1) × count ÷ (count + k1 × (1 − b + b × length ÷ average length))
    idf = ln(1 + (documents − df + 0.5) ÷ (df + 0.5))

with k1 = 1.2 and b = 0.75 (Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009; idf as
Lucene has it, which is never negative). `documents`, `df` and the average length are those of the rows that live, so a
score does not depend on what was deleted or replaced before; or of some of these, so that for who may see no others it
does not depend on the rest.

Frequent terms are not read through: the rows are chosen by the rarer ones, and only for these the frequent ones are
looked up. As long as the k-th score is above what any other row could still have, that is the same (MaxScore; Turtle
and Flood, Query Evaluation: Strategies and Optimizations, 1995); otherwise all is read.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ragvec.text.inverted import Counts, Occurrences
from ragvec.text.near import TermShapes
from ragvec.types import FloatVector, RowArray

__all__ = ["B", "K1", "Lists", "Scored", "Statistics", "contributions", "top"]

K1 = 1.2
B = 0.75

_RARE_SHARE = 1 / 16
_RARE_ROWS = 4_096
"""A term in fewer rows, or in less than this share of them, is read through."""
_SPARE = 8
_LEAST = 256
"""Candidates among which the frequent terms are looked up: so many for each row asked for, and at least so many."""
_ATTEMPTS = 2
_SAMPLED = 8
_ROUNDING = 1.00001
_MOST_KNOWN = 4_096
_LOOK_UP = 6
"""Looking up one row in a list costs about as much as reading so many of its entries."""


class Lists(Protocol):
    """Inverted lists of the rows [first, last): `ragvec.text.inverted.Inverted`, or a view of the newest rows."""

    first: int
    last: int
    lengths: Counts
    documents: int
    tokens: int

    @property
    def shapes(self) -> TermShapes:
        """The terms, to look for those near a word."""
        ...

    def find(self, term: str) -> Occurrences | None:
        """Where the term occurs."""
        ...

    def beginning(self, prefix: str) -> list[str]:
        """The terms that begin so."""
        ...


class Scored(NamedTuple):
    """Rows uint32 with their scores float32, best first, equal ones by row: the best k, and all that are as good as the
    k-th."""

    rows: RowArray
    scores: FloatVector


class Statistics:
    """Of the live rows in `lists`: how many have text, how long it is on average, and in how many a term occurs.

    `lists` cover the rows from 0 on without gap; `dead` are rows that do not count, uint32 ascending. With `counted`,
    bool (rows,), only rows that are set there count, and these live. For any thread.
    """

    def __init__(self, lists: Sequence[Lists], *, dead: RowArray, counted: npt.NDArray[np.bool_] | None = None) -> None:
        self.lists = tuple(lists)
        self._known: dict[str, _Term] = {}
        self._counted = counted
        if counted is not None:
            self._dead: list[RowArray] = []
            lengths = [part.lengths[counted[part.first : part.last]] for part in lists]
            self.documents = sum(int(np.count_nonzero(part)) for part in lengths)
            total = sum(int(part.sum(dtype=np.int64)) for part in lengths)
            self.average_length = total / self.documents if self.documents else 1.0
            return
        self._dead = [dead[np.searchsorted(dead, part.first) : np.searchsorted(dead, part.last)] for part in lists]
        self.documents = sum(part.documents for part in lists)
        tokens = sum(part.tokens for part in lists)
        for part, gone in zip(lists, self._dead, strict=True):
            if len(gone):
                lengths = part.lengths[gone - np.uint32(part.first)]
                self.documents -= int(np.count_nonzero(lengths))
                tokens -= int(lengths.sum(dtype=np.int64))
        self.average_length = tokens / self.documents if self.documents else 1.0

    @property
    def rows(self) -> int:
        """The number of rows, dead ones included."""
        return self.lists[-1].last if self.lists else 0

    def frequency(self, term: str) -> int:
        """In how many live rows the term occurs."""
        return self.term(term).frequency

    def idf(self, term: str) -> float:
        """The term's inverse document frequency."""
        df = self.frequency(term)
        return math.log1p((self.documents - df + 0.5) / (df + 0.5))

    def once(self, query: Mapping[str, float]) -> float:
        """The score of a text of average length with each term of `query` (term: weight) once in it."""
        return sum(weight * self.idf(term) for term, weight in query.items())

    def term(self, text: str) -> _Term:
        """What is known of a term, at weight 1; kept for those used last."""
        found = self._known.get(text)
        if found is None:
            where = [(part, there) for part in self.lists if (there := part.find(text)) is not None]
            frequency = self._in_rows(where)
            idf = math.log1p((self.documents - frequency + 0.5) / (frequency + 0.5))
            found = _Term(idf * (K1 + 1), where, frequency)
            if len(self._known) >= _MOST_KNOWN:
                self._known = {}
            self._known[text] = found
        return found

    def _in_rows(self, where: list[tuple[Lists, Occurrences]]) -> int:
        """In how many rows that count a term with these lists occurs."""
        if self._counted is not None:
            return sum(
                int(np.count_nonzero(self._counted[part.first : part.last][there.rows])) for part, there in where
            )
        gone_of = dict(zip(map(id, self.lists), self._dead, strict=True))
        return sum(
            len(there.rows) - _common(there.rows, gone_of[id(part)] - np.uint32(part.first)) for part, there in where
        )


class _Term(NamedTuple):
    """A term of a query: `weight` with idf and k1 + 1, its lists, and in how many live rows it is."""

    weight: float
    where: list[tuple[Lists, Occurrences]]
    frequency: int

    def bound(self, average_length: float) -> float:
        """The most that it can add to a row's score."""
        return self.weight * max(
            (where.peak * self._grown(part, average_length) for part, where in self.where), default=0.0
        )

    @staticmethod
    def _grown(part: Lists, average_length: float) -> float:
        own = part.tokens / part.documents if part.documents else 1.0
        # Where texts are longer on average than in these lists, one of a given length scores higher.
        return max(1.0, average_length / own)


def top(
    statistics: Statistics,
    query: Mapping[str, float],
    *,
    k: int,
    alive: npt.NDArray[np.bool_] | None = None,
    among: RowArray | None = None,
) -> Scored:
    """The best `k` rows, k ≥ 1, in which a term of `query` (term: weight > 0) occurs.

    Only rows set in `alive` bool (rows,) count, or those in `among`, uint32 ascending, where that is given.
    """
    terms = _terms(statistics, query)
    if not terms:
        return _NONE
    if among is not None:
        few = len(among) * len(terms) * _LOOK_UP < sum(term.frequency for term in terms)
        if few or not len(among):
            scores = _looked_up(statistics, terms, among)
            hit = np.flatnonzero(scores > 0)
            return _best(among[hit], scores[hit], k=k)
        alive = np.zeros(statistics.rows, np.bool_)
        alive[among] = True
    return _best(*_read(statistics, terms, k=k, alive=alive), k=k)


def contributions(statistics: Statistics, query: Mapping[str, float], rows: RowArray) -> dict[str, FloatVector]:
    """What each term adds to the scores of `rows`, uint32 ascending; float32 (len(rows),) by term."""
    return {term: _looked_up(statistics, _terms(statistics, {term: weight}), rows) for term, weight in query.items()}


_NONE = Scored(np.empty(0, np.uint32), np.empty(0, np.float32))
_scratch = threading.local()


def _terms(statistics: Statistics, query: Mapping[str, float]) -> list[_Term]:
    """The terms that occur, the rarest first, equally rare ones in byte order."""
    found = []
    for text, weight in sorted(query.items()):
        term = statistics.term(text)
        if term.frequency:
            found.append(term._replace(weight=weight * term.weight))
    return sorted(found, key=lambda term: term.frequency)


def _scores(term: _Term, lengths: Counts, counts: Counts, average_length: float) -> FloatVector:
    scores: FloatVector = counts.astype(np.float32)
    denominator = lengths.astype(np.float32)
    denominator *= np.float32(K1 * B / average_length)
    denominator += np.float32(K1 * (1 - B))
    denominator += scores
    scores /= denominator
    scores *= np.float32(term.weight)
    return scores


def _read(
    statistics: Statistics, terms: Sequence[_Term], *, k: int, alive: npt.NDArray[np.bool_] | None
) -> tuple[RowArray, FloatVector]:
    """Rows, ascending, with their scores: the best `k` and all that are as good as the k-th are among them."""
    most = max(_RARE_ROWS, int(statistics.documents * _RARE_SHARE))
    rare = max(1, sum(term.frequency <= most for term in terms))
    bounds = [term.bound(statistics.average_length) for term in terms]
    for known in range(rare, min(rare + _ATTEMPTS, len(terms))):
        rows, scores = _summed(statistics, terms[:known], alive=alive)
        found = _pruned(statistics, terms, known, rows, scores, k=k, bounds=bounds)
        if found is not None:
            return found
    rows, scores = _summed(statistics, terms, alive=alive)
    return _unique(*_most(rows, scores, k * len(terms)))


def _summed(
    statistics: Statistics, terms: Sequence[_Term], *, alive: npt.NDArray[np.bool_] | None
) -> tuple[RowArray, FloatVector]:
    """The rows in which a term occurs, once for each that does, with their scores for all of them."""
    by_part: dict[int, list[tuple[_Term, Lists, Occurrences]]] = {}
    for term in terms:
        for part, where in term.where:
            by_part.setdefault(part.first, []).append((term, part, where))
    all_rows: list[RowArray] = []
    all_scores: list[FloatVector] = []
    # Lists by lists, so that the sums of one stay in the processor's cache.
    for first, there in by_part.items():
        total = _zeros(len(there[0][1].lengths))
        try:
            for term, part, (rows, counts, _) in there:
                # No row is twice in a list, so this adds each once.
                total[rows] += _scores(term, part.lengths[rows], counts, statistics.average_length)
            for _, _, (rows, _, _) in there:
                kept = rows if alive is None else rows[alive[first : first + len(total)][rows]]
                all_scores.append(total[kept])
                all_rows.append(kept + np.uint32(first) if first else kept)
        finally:
            for _, _, (rows, _, _) in there:
                total[rows] = 0
    if not all_rows:
        return _NONE
    return np.concatenate(all_rows), np.concatenate(all_scores)


def _pruned(
    statistics: Statistics,
    terms: Sequence[_Term],
    known: int,
    rows: RowArray,
    totals: FloatVector,
    *,
    k: int,
    bounds: Sequence[float],
) -> tuple[RowArray, FloatVector] | None:
    """As `_read`, from what the first `known` terms add up to; None when a row without any of these may be among the
    best."""
    first, firsts = _unique(*_most(rows, totals, (_SPARE * k + _LEAST) * known))
    scores = firsts.copy()
    for term in terms[known:]:
        _add_looked_up(statistics, term, first, scores)
    if len(first) < k:
        return None
    rest = sum(bounds[known:]) * _ROUNDING
    floor = float(np.partition(scores, len(scores) - k)[len(scores) - k])
    if floor <= rest:
        return None
    # Whoever has less than this cannot come up to the floor, whatever the other terms add.
    if firsts.min() <= floor - rest:
        return first, scores
    kept = np.flatnonzero(totals >= floor - rest)
    able, scores = _unique(rows[kept], totals[kept])
    for number, term in enumerate(terms[known:], known):
        _add_looked_up(statistics, term, able, scores)
        rest = sum(bounds[number + 1 :]) * _ROUNDING
        kept = np.flatnonzero(scores >= floor - rest)
        able, scores = able[kept], scores[kept]
    return able, scores


def _most(rows: RowArray, scores: FloatVector, room: int) -> tuple[RowArray, FloatVector]:
    """Those of the rows with the highest scores, at least `room` of them; a row may be there several times."""
    if len(rows) > _SAMPLED * room:
        # As many of a part are no less than this, so that what is less can go without more ado.
        sample = scores[: len(scores) // _SAMPLED]
        kept = np.flatnonzero(scores >= np.partition(sample, len(sample) - room)[len(sample) - room])
        rows, scores = rows[kept], scores[kept]
    if len(rows) <= room:
        return rows, scores
    kept = np.flatnonzero(scores >= np.partition(scores, len(scores) - room)[len(scores) - room])
    return rows[kept], scores[kept]


def _unique(rows: RowArray, scores: FloatVector) -> tuple[RowArray, FloatVector]:
    """Each row once, ascending, with its score."""
    distinct, places = np.unique(rows, return_index=True)
    return distinct, scores[places]


def _zeros(rows: int) -> FloatVector:
    """Zeros of this thread's own, at least so many, to be left as zeros."""
    kept: FloatVector | None = getattr(_scratch, "zeros", None)
    if kept is None or len(kept) < rows:
        kept = _scratch.zeros = np.zeros(max(rows, 1 << 16), np.float32)
    return kept[:rows]


def _looked_up(statistics: Statistics, terms: Sequence[_Term], rows: RowArray) -> FloatVector:
    """The scores of `rows`, ascending, by looking each up in the lists of all terms."""
    scores = np.zeros(len(rows), np.float32)
    for term in terms:
        _add_looked_up(statistics, term, rows, scores)
    return scores


def _add_looked_up(statistics: Statistics, term: _Term, rows: RowArray, scores: FloatVector) -> None:
    for part, (there, counts, _) in term.where:
        start, stop = np.searchsorted(rows, (part.first, part.last)).tolist()
        inside = rows[start:stop] - np.uint32(part.first)
        if not len(inside):
            continue
        places = np.searchsorted(there, inside)
        places[places == len(there)] = 0
        found = np.flatnonzero(there[places] == inside)
        there_lengths, there_counts = part.lengths[inside[found]], counts[places[found]]
        scores[start + found] += _scores(term, there_lengths, there_counts, statistics.average_length)


def _best(rows: RowArray, scores: FloatVector, *, k: int) -> Scored:
    if len(rows) > k:
        kept = np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])
        rows, scores = rows[kept], scores[kept]
    order = np.lexsort((rows, -scores))
    return Scored(rows[order], scores[order])


def _common(places: RowArray, others: RowArray) -> int:
    """How many numbers are in both, each ascending and without repetition."""
    few, many = (others, places) if len(others) < len(places) else (places, others)
    if not len(few):
        return 0
    at = np.searchsorted(many, few)
    at[at == len(many)] = 0
    return int(np.count_nonzero(many[at] == few))
