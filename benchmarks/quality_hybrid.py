"""How good hybrid search is: BM25, the vector and ways to fuse them, on test collections.

    python -m benchmarks.quality_hybrid [collection ...] [--train] [--cache DIR] [--data DIR]

Title and text of each document are one text field in English and one vector of the default embedder, without passages;
every judged query is asked through `Index.query`, and nDCG@10 is printed as a table. SciFact and Cranfield are read
from --data, else from the folder in RAGVEC_TEST_DATA, else from ../shared/data beside the checkout. Choices are made on
SciFact's train split (--train) and only then looked at on the test splits, Cranfield being a check alone: it has no
other. Embedding takes minutes; --cache keeps the vectors.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import ragvec
from benchmarks.quality import test_data
from ragvec.evaluation.collections import Collection, beir
from ragvec.evaluation.measures import evaluate
from ragvec.pipeline.documents import Document
from ragvec.pipeline.embedders.minilm import MiniLMEmbedder
from ragvec.search.fuse import DEFAULT, Fusion, ReciprocalRank, WeightedSum
from ragvec.types import FloatMatrix

__all__ = ["FUSIONS", "Embed", "filled", "ndcg"]

MEASURE = "nDCG@10"
COLLECTIONS = ("scifact", "cranfield")
FUSIONS: dict[str, Fusion] = {
    "default": DEFAULT,
    "rrf, 60": ReciprocalRank(),
    "rrf, 20": ReciprocalRank(constant=20),
    "min-max, 1 : 0.5": WeightedSum(weights=(1, 0.5)),
    "min-max, 1 : 0.8": WeightedSum(weights=(1, 0.8)),
    "min-max, 1 : 1.25": WeightedSum(weights=(1, 1.25)),
    "min-max, 1 : 2": WeightedSum(weights=(1, 2)),
    "z-score, 1 : 1": WeightedSum(normalise="z-score"),
}
"""Weights are text : vector."""

Embed = Callable[[Sequence[str]], FloatMatrix]


def filled(collection: Collection, bucket: ragvec.Bucket, *, embed: Embed | None = None) -> ragvec.Index:
    """An index of the collection's documents, title and text in one field "text"; without `embed` its vectors say
    nothing."""
    documents = [each for each in collection.documents if isinstance(each, Document)]
    texts = [f"{document.title or ''} {document.text}".strip() for document in documents]
    vectors = np.ones((len(texts), 2), np.float32) if embed is None else embed(texts)
    index = bucket.create_index(
        collection.name, dimension=vectors.shape[1], non_filterable=["text"], text={"text": "en"}
    )
    index.put([document.id for document in documents], vectors, [{"text": text} for text in texts])
    return index


def ndcg(
    collection: Collection,
    index: ragvec.Index,
    *,
    text: bool = True,
    vectors: FloatMatrix | None = None,
    fusion: Fusion | None = None,
) -> float:
    """nDCG@10 over the judged queries, by text, by `vectors` (a row a judged query, in order) or by both, fused."""
    run = {}
    for at, (query, words) in enumerate(collection.judged_queries.items()):
        vector = None if vectors is None else vectors[at]
        if text:
            keys = index.query(vector, text=words, fusion=fusion, k=10, metadata=False).keys
        else:
            keys = index.query(vector, k=10, metadata=False).keys
        run[query] = [(key, -float(rank)) for rank, key in enumerate(keys)]
    return evaluate(run, collection.qrels, measures=[MEASURE]).means[MEASURE]


def cached(embed: Embed, folder: Path | None) -> Embed:
    """`embed`, whose results are kept in the folder by what was embedded."""
    if folder is None:
        return embed
    folder.mkdir(parents=True, exist_ok=True)

    def kept(texts: Sequence[str]) -> FloatMatrix:
        file = folder / f"{hashlib.sha256(chr(0).join(texts).encode()).hexdigest()[:16]}.npy"
        if not file.is_file():
            np.save(file, embed(texts))
        vectors: FloatMatrix = np.load(file)
        return vectors

    return kept


def measured(collection: Collection, *, embed: Embed) -> dict[str, float]:
    """nDCG@10 by way of searching."""
    queries = embed(list(collection.judged_queries.values()))
    with tempfile.TemporaryDirectory() as folder, ragvec.Store(folder) as store:
        index = filled(collection, store.create_bucket("quality"), embed=embed)
        found = {"BM25": ndcg(collection, index), "vector": ndcg(collection, index, text=False, vectors=queries)}
        for name, fusion in FUSIONS.items():
            found[name] = ndcg(collection, index, vectors=queries, fusion=fusion)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Quality of hybrid search on test collections.")
    parser.add_argument("collections", nargs="*", metavar="collection", help="scifact, cranfield; default: both")
    parser.add_argument("--train", action="store_true", help="SciFact's train split, to choose by, and no test split")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the vectors in this folder")
    parser.add_argument("--data", metavar="DIR", help="folder of the test collections")
    options = parser.parse_args()
    data = test_data(options.data)
    embed = cached(MiniLMEmbedder().embed_documents, options.cache)
    columns = {}
    for name in ("scifact",) if options.train else options.collections or COLLECTIONS:
        if name not in COLLECTIONS:
            parser.error(f"expected one of {', '.join(COLLECTIONS)}; got {name}")
        if not (data / name).is_dir():
            print(f"{name}: left out, there is no folder {data / name} (see RAGVEC_TEST_DATA, --data)", file=sys.stderr)
            continue
        if options.train:
            collection = beir(data / name, split="train", queries="queries_all.jsonl")
        else:
            collection = beir(data / name)
        columns[f"{name}, {'train' if options.train else 'test'}"] = measured(collection, embed=embed)
    if not columns:
        return
    shown = Table(title=f"{MEASURE}, ragvec {ragvec.__version__}; weights are text : vector")
    shown.add_column("way of searching")
    for column in columns:
        shown.add_column(column, justify="right")
    for name in ("BM25", "vector", *FUSIONS):
        shown.add_row(name, *(f"{found[name]:.4f}" for found in columns.values()))
    Console().print(shown)


if __name__ == "__main__":
    main()
