"""Fusion of rankings: by ranks, by scores, with what lists lack and several texts beside a vector."""

from __future__ import annotations

import numpy as np
import pytest

from ragvec.search.fuse import (
    DEFAULT,
    Fused,
    Fusion,
    RankedList,
    ReciprocalRank,
    WeightedSum,
    fuse,
    reciprocal_rank,
    weighted_sum,
)
from ragvec.types import FloatVector, RowArray

FUSIONS: list[Fusion] = [
    ReciprocalRank(),
    ReciprocalRank(constant=1),
    WeightedSum(),
    WeightedSum(normalise="z-score"),
    WeightedSum(normalise="none"),
]


def ranked(scores: dict[int, float]) -> RankedList:
    rows = sorted(scores, key=lambda row: (-scores[row], row))
    return RankedList(np.array(rows, np.uint32), np.array([scores[row] for row in rows], np.float32))


def pairs(fused: Fused) -> dict[int, float]:
    return dict(zip(fused.rows.tolist(), fused.scores.tolist(), strict=True))


def test_ranks_are_summed_reciprocally_by_hand() -> None:
    found = reciprocal_rank([ranked({4: 9.0, 7: 5.0}), ranked({7: 0.3, 2: 0.1})])
    assert found.rows.tolist() == [7, 4, 2]
    assert pairs(found) == pytest.approx({7: 1 / 62 + 1 / 61, 4: 1 / 61, 2: 1 / 62})


def test_min_max_by_hand_with_what_a_list_lacks() -> None:
    text, near = {4: 9.0, 7: 5.0, 2: 1.0}, {7: -0.2, 2: -0.4, 4: -1.2}
    lists = [ranked({4: 9.0, 7: 5.0}), ranked({7: -0.2, 2: -0.4})]

    def complete(rows: RowArray) -> list[FloatVector]:
        return [np.array([scores[row] for row in rows.tolist()], np.float32) for scores in (text, near)]

    found = weighted_sum(lists, complete=complete)
    assert pairs(found) == pytest.approx({7: 0.5 + 1, 4: 1 + 0, 2: 0 + 0.8})
    assert pairs(weighted_sum(lists)) == pytest.approx({7: 0 + 1, 4: 1 + 0, 2: 0 + 0}), "as the last of the list"


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_default_does_not_depend_on_the_scale_of_either_score(scale: float) -> None:
    rng = np.random.default_rng(3)
    text = dict(enumerate(rng.random(30).tolist()))
    near = dict(enumerate((-rng.random(30)).tolist()))
    plain = fuse([ranked(text), ranked(near)], DEFAULT)
    scaled = fuse([ranked(text), ranked({row: scale * score - 5 * scale for row, score in near.items()})], DEFAULT)
    assert scaled.rows.tolist() == plain.rows.tolist()
    assert scaled.scores == pytest.approx(plain.scores, abs=1e-4)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_empty_or_flat_ranking_leaves_the_other_in_its_order(fusion: Fusion) -> None:
    other = ranked({3: 3.0, 1: 2.0, 2: 0.5})
    for empty in ([ranked({}), other], [other, ranked({})]):
        assert fuse(empty, fusion).rows.tolist() == [3, 1, 2]
    assert len(fuse([ranked({}), ranked({})], fusion).rows) == 0
    if isinstance(fusion, WeightedSum):
        assert fuse([ranked(dict.fromkeys((1, 2, 3), 7.0)), other], fusion).rows.tolist() == [3, 1, 2]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_who_is_better_in_every_ranking_is_better_in_the_whole(fusion: Fusion) -> None:
    rng = np.random.default_rng(8)
    columns = [dict(enumerate(rng.permutation(40).astype(float).tolist())) for _ in range(3)]
    found = pairs(fuse([ranked(column) for column in columns], fusion, texts=2))
    for a in range(40):
        for b in range(40):
            if all(column[a] > column[b] for column in columns):
                assert found[a] > found[b]


def test_equal_scores_are_in_order_of_rows() -> None:
    assert fuse([ranked({9: 1.0, 5: 0.0}), ranked({5: 1.0, 9: 0.0})], DEFAULT).rows.tolist() == [5, 9]


@pytest.mark.parametrize("fields", [1, 2, 5, 10])
def test_however_many_texts_say_the_same_they_weigh_as_one(fields: int) -> None:
    text, near = {1: 4.0, 2: 3.0, 3: 0.0}, {1: 0.0, 2: 0.5, 3: 1.0}
    alone = fuse([ranked(text), ranked(near)], DEFAULT, texts=1)
    many = fuse([*[ranked(text)] * fields, ranked(near)], DEFAULT, texts=fields)
    assert pairs(many) == pytest.approx(pairs(alone))


def test_texts_are_one_ranking_by_the_sum_of_their_scores_and_boosts() -> None:
    title, body, near = {1: 4.0, 2: 0.0, 3: 0.0}, {1: 0.0, 2: 12.0, 3: 6.0}, {1: 0.0, 2: 0.5, 3: 1.0}
    lists = [ranked(title), ranked(body), ranked(near)]
    assert pairs(fuse(lists, DEFAULT, texts=2)) == pytest.approx({1: 0 + 0, 2: 1 + 0.5, 3: 0.25 + 1})
    # 12, 12 and 6, of the mean weight 2; the vector keeps 1.
    assert pairs(fuse(lists, DEFAULT, boosts=[3, 1, 1], texts=2)) == pytest.approx({1: 2.0, 2: 2.5, 3: 1.0})


def test_weights_that_are_given_are_those_of_each_text() -> None:
    lists = [ranked({1: 2.0, 2: 0.0}), ranked({1: 8.0, 2: 0.0}), ranked({1: 0.0, 2: 1.0})]
    found = fuse(lists, WeightedSum(weights=(1, 1, 1)), texts=2)
    assert pairs(found) == pytest.approx({1: 2.0, 2: 1.0})
    plain = WeightedSum(normalise="none")
    assert pairs(fuse(lists, plain, texts=2)) == pytest.approx({1: 10.0, 2: 1.0}), "sums alone are sums"
