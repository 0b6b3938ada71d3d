"""BM25 over inverted lists against the formula in plain Python, on every path, however the rows are divided."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.errors import Corrupted
from ragvec.text import bm25, inverted_tail
from ragvec.text.inverted import Inverted, merged
from ragvec.text.inverted_tail import InvertedTail

Texts = Sequence[Sequence[str]]


def plain(texts: Texts, query: Mapping[str, float], *, dead: set[int], allowed: set[int]) -> dict[int, float]:
    """The scores of the allowed rows in which a term occurs, by the formula in `ragvec.text.bm25`."""
    live = [row for row, text in enumerate(texts) if text and row not in dead]
    average = sum(len(texts[row]) for row in live) / len(live) if live else 1.0
    scores: dict[int, float] = {}
    for term, weight in query.items():
        having = [row for row in live if term in texts[row]]
        idf = math.log(1 + (len(live) - len(having) + 0.5) / (len(having) + 0.5))
        for row in having:
            count = Counter(texts[row])[term]
            length = 1.2 * (0.25 + 0.75 * len(texts[row]) / average)
            scores[row] = scores.get(row, 0.0) + weight * idf * 2.2 * count / (count + length)
    return {row: score for row, score in scores.items() if row in allowed}


def lists_of(texts: Texts, cuts: Sequence[int], *, tail: bool) -> list[bm25.Lists]:
    """Lists of the rows between the cuts; the newest as a view of a tail that has grown since."""
    ends = [0, *sorted(set(cuts)), len(texts)]
    lists: list[bm25.Lists] = []
    for first, last in itertools.pairwise(ends):
        if first == last:
            continue
        growing = InvertedTail(first)
        for text in texts[first:last]:
            growing.add(text)
        if tail and last == len(texts):
            view = growing.view(last)
            growing.add(["later"] * 3 + ["t0"])
            lists.append(view)
        else:
            lists.append(growing.freeze())
    return lists


@st.composite
def collections(draw: st.DrawFn) -> tuple[Texts, dict[str, float], set[int], set[int]]:
    # Terms with low numbers are in most texts, those with high ones in few.
    term = st.integers(0, 9).map(lambda n: f"t{n}") | st.sampled_from(["t0", "t0", "t1", "t1", "t2"])
    texts = draw(st.lists(st.lists(term, max_size=12), min_size=1, max_size=50))
    rows = st.sets(st.integers(0, len(texts) - 1))
    query = draw(st.dictionaries(term, st.sampled_from([0.5, 1.0, 2.0]), min_size=1, max_size=6))
    return texts, query, draw(rows), draw(rows)


@settings(deadline=None, max_examples=150)
@given(
    collections(),
    st.lists(st.integers(0, 50), max_size=4),
    st.booleans(),
    st.sampled_from([1, 2, 5, 100]),
    st.booleans(),
)
def test_the_best_rows_are_those_of_the_formula(
    drawn: tuple[Texts, dict[str, float], set[int], set[int]], cuts: list[int], tail: bool, k: int, hasty: bool
) -> None:
    texts, query, dead, denied = drawn
    allowed = set(range(len(texts))) - dead - denied
    statistics = bm25.Statistics(
        lists_of(texts, [cut for cut in cuts if cut < len(texts)], tail=tail), dead=np.array(sorted(dead), np.uint32)
    )
    expected = plain(texts, query, dead=dead, allowed=allowed)
    best = sorted(expected.values(), reverse=True)[:k]
    alive = np.zeros(len(texts), np.bool_)
    alive[sorted(allowed)] = True
    with pytest.MonkeyPatch.context() as patched:
        if hasty:  # nothing is read through that can be looked up, and few candidates are looked at first
            patched.setattr(bm25, "_RARE_ROWS", 2)
            patched.setattr(bm25, "_LEAST", 1)
            patched.setattr(bm25, "_SPARE", 1)
            patched.setattr(inverted_tail, "_SCANNED", 4)
        whole = lists_of(texts, [], tail=False)
        for found in (
            bm25.top(statistics, query, k=k, alive=alive),
            bm25.top(statistics, query, k=k, among=np.flatnonzero(alive).astype(np.uint32)),
            bm25.top(bm25.Statistics(whole, dead=np.array(sorted(dead), np.uint32)), query, k=k, alive=alive),
        ):
            assert len(found.rows) >= len(best)
            assert list(found.scores[: len(best)]) == pytest.approx(best, rel=1e-5)
            for row, score in zip(found.rows.tolist(), found.scores.tolist(), strict=True):
                assert score == pytest.approx(expected[row], rel=1e-5)
                assert score >= found.scores[min(k, len(found.rows)) - 1]


@settings(deadline=None, max_examples=80)
@given(collections(), st.lists(st.integers(0, 50), min_size=1, max_size=5))
def test_scores_do_not_depend_on_how_rows_are_divided(
    drawn: tuple[Texts, dict[str, float], set[int], set[int]], cuts: list[int]
) -> None:
    texts, query, dead, _ = drawn
    gone = np.array(sorted(dead), np.uint32)
    alive = np.ones(len(texts), np.bool_)
    alive[gone] = False
    whole = lists_of(texts, [], tail=False)
    parts = list(lists_of(texts, [cut for cut in cuts if cut < len(texts)], tail=False))
    joined = [merged([part for part in parts if isinstance(part, Inverted)])]
    answers = [
        bm25.top(bm25.Statistics(lists, dead=gone), query, k=len(texts), alive=alive)
        for lists in (whole, parts, joined)
    ]
    for answer in answers[1:]:
        assert answer.rows.tolist() == answers[0].rows.tolist()
        assert answer.scores.tobytes() == answers[0].scores.tobytes()
    for name, array in whole[0].arrays().items():  # type: ignore[attr-defined]  # Inverted
        assert joined[0].arrays()[name].tobytes() == array.tobytes(), name


def test_what_each_term_adds_is_the_score() -> None:
    texts = [["a", "b"], ["a"], ["b", "b", "c"], []]
    statistics = bm25.Statistics(lists_of(texts, [2], tail=True), dead=np.empty(0, np.uint32))
    query = {"a": 1.0, "b": 2.0, "nowhere": 1.0}
    found = bm25.top(statistics, query, k=3)
    rows = np.sort(found.rows)
    parts = bm25.contributions(statistics, query, rows)
    assert not parts["nowhere"].any()
    total = dict(zip(rows.tolist(), sum(parts.values()).tolist(), strict=True))
    assert [total[row] for row in found.rows.tolist()] == pytest.approx(found.scores.tolist())


def test_lists_in_files_are_whole_or_refused(tmp_path: Path) -> None:
    (lists,) = lists_of([["ключ", "a"], [], ["a"] * 300, ["\U0001f600"]], [], tail=False)
    assert isinstance(lists, Inverted)
    path = tmp_path / "lists.text"
    lists.write(path, about={"key": "body", "analyzer": "en"})
    again = Inverted.open(path, about={"key": "body", "analyzer": "en"})
    again.verify()
    assert [term.decode() for term in again.vocabulary()] == ["a", "ключ", "\U0001f600"]
    where = again.find("a")
    assert where is not None
    assert (where.rows.tolist(), where.counts.tolist()) == ([0, 2], [1, 300])
    assert again.lengths.tolist() == [2, 0, 300, 1]
    assert again.find("b") is None
    with pytest.raises(Corrupted, match="something else"):
        Inverted.open(path, about={"key": "body", "analyzer": "fr"})
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            damaged = Inverted.open(path, about={"key": "body", "analyzer": "en"})
            damaged.verify()
        except Corrupted:
            continue
        # Padding between sections says nothing.
        assert whole[at] == 0
        assert {name: array.tobytes() for name, array in damaged.arrays().items()} == {
            name: array.tobytes() for name, array in lists.arrays().items()
        }
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(Corrupted):
            Inverted.open(path, about={"key": "body", "analyzer": "en"})
