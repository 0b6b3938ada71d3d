"""Several texts: the best by the sum of their scores, exactly, however deep the lists have to be read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.protocol import IndexEngine, TextQuery
from ragvec.search.fuse import ReciprocalRank, WeightedSum
from ragvec.search.hybrid import text_search
from ragvec.search.request import TextRequest
from ragvec.store import Store

WORDS = ["oak", "elm", "ash", "fir", "yew", "box"]
FIELDS = ("title", "body", "note")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexEngine]:
    rng = np.random.default_rng(5)
    with LocalEngine(tmp_path_factory.mktemp("text") / "store", background=False) as engine:
        made = Store(engine=engine).create_bucket("b").create_index("i", dimension=4, text=list(FIELDS))
        metadata = [
            {
                field: " ".join(rng.choice(WORDS, size=rng.integers(1, 9), p=[0.5, 0.25, 0.12, 0.08, 0.04, 0.01]))
                for field in FIELDS
                if rng.random() < 0.8
            }
            for _ in range(600)
        ]
        made.put([f"k{i:03}" for i in rng.permutation(600)], rng.standard_normal((600, 4)), metadata)
        made.delete([f"k{i:03}" for i in range(0, 600, 7)])
        yield engine.index(made.spec)


def everything(index: IndexEngine, texts: tuple[TextQuery, ...]) -> dict[str, list[float]]:
    """For every record the scores of each text."""
    plain = [TextQuery(text.key, text.text) for text in texts]
    ranked = index.rank(vector=None, texts=plain, depth=10_000)
    found: dict[str, list[float]] = {}
    for at, ranking in enumerate(ranked.texts):
        records = index.fetch(ranking.rows, generation=ranked.generation, data=False, metadata=False)
        for record, score in zip(records, ranking.scores.tolist(), strict=True):
            assert record is not None
            found.setdefault(record.key, [0.0] * len(texts))[at] = score
    return found


@pytest.mark.parametrize("depth", [1, 3, 100])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.1, 5.0, 1.0)])
@pytest.mark.parametrize("k", [1, 10, 1000])
def test_sums_are_those_of_all_records_however_short_the_lists_begin(
    index: IndexEngine, depth: int, weights: tuple[float, ...], k: int
) -> None:
    words = ("yew box", "elm ash", "fir")
    texts = tuple(map(TextQuery, FIELDS, words, weights))
    hits = text_search(index, TextRequest(texts=texts, k=k, depth=depth, scores=True))

    scores = everything(index, texts)
    totals = {key: float(np.dot(weights, each)) for key, each in scores.items()}
    best = sorted(totals.values(), reverse=True)[:k]
    assert hits.scores["bm25"].tolist() == pytest.approx(best, rel=1e-5)
    assert [totals[key] for key in hits.keys] == pytest.approx(best, rel=1e-5)
    shown = np.stack([hits.scores[f"bm25:{field}"] for field in FIELDS], axis=1)
    assert shown.tolist() == [pytest.approx(scores[key], rel=1e-5) for key in hits.keys]
    order = list(zip(-hits.scores["bm25"], hits.keys, strict=True))
    assert order == sorted(order)


@pytest.mark.parametrize("fusion", [ReciprocalRank(), WeightedSum(), WeightedSum(normalise="z-score"), None])
def test_a_shorter_answer_is_the_beginning_of_a_longer_one(
    index: IndexEngine, fusion: ReciprocalRank | WeightedSum | None
) -> None:
    texts = (TextQuery("title", "yew fir"), TextQuery("body", "oak box"))
    vector = np.ones(4, np.float32)

    def keys(k: int) -> list[str]:
        return text_search(index, TextRequest(texts=texts, vector=vector, k=k, fusion=fusion)).keys

    assert keys(7) == keys(100)[:7]
    assert len(keys(1)) == 1


def test_hits_that_a_ranking_lacks_have_their_scores_all_the_same(index: IndexEngine) -> None:
    texts = (TextQuery("title", "yew"),)
    vector = np.ones(4, np.float32)
    scores = everything(index, texts)
    (near,) = index.search(vector[np.newaxis], k=10_000)
    records = index.fetch(near.rows, generation=near.generation, data=False, metadata=False)
    distances = {record.key: far for record, far in zip(records, near.distances.tolist(), strict=True) if record}

    hits = text_search(
        index, TextRequest(texts=texts, vector=vector, k=50, depth=50, fusion=ReciprocalRank(), scores=True)
    )
    assert hits.distances.tolist() == [pytest.approx(distances[key], abs=1e-6) for key in hits.keys]
    assert hits.scores["bm25:title"].tolist() == [
        pytest.approx(scores.get(key, [0.0])[0], rel=1e-5) for key in hits.keys
    ]


def test_without_scores_only_the_ranking_is_told(index: IndexEngine) -> None:
    hits = text_search(index, TextRequest(texts=(TextQuery("title", "yew"),), k=3))

    assert set(hits.scores) == {"bm25"}
    assert np.isnan(hits.distances).all()
