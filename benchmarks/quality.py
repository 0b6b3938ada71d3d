"""How good the answers are: test collections through the pipeline and the query layer, beside published figures.

    python benchmarks/quality.py [collection ...] [--store DIR] [--data DIR]

Documents go through `ragvec.Pipeline` with the default embedder into an index each, every query through
`QueryIndex.search`, and the first 100 documents found are judged. Means are over all judged queries, unanswered ones
with zero. SciFact and Cranfield are read from --data, else from the folder in RAGVEC_TEST_DATA, else from
../shared/data beside the checkout, and left out where they are not there; the handbook is in the checkout.

With --store the indexes are kept: a second run embeds only what has changed, so its ingest time says nothing about the
first. `ms/query` is the median over the queries of a collection for a page of ten results with excerpts, embedding of
the query included, all warm. On a machine that has other work to do, OMP_NUM_THREADS=1 makes both times shorter.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

import ragvec
from ragvec.evaluation.collections import Collection, beir, handbook
from ragvec.evaluation.measures import evaluate
from ragvec.evaluation.runs import run_queries
from ragvec.kendra.index import QueryIndex

CHECKOUT = Path(__file__).resolve().parents[1]
BUCKET = "quality"
MEASURES = ("nDCG@10", "R@10", "RR")
REFERENCES = {
    "scifact": "all-MiniLM-L6-v2 0.645, BM25 0.665 to 0.679 (published)",
    "cranfield": "BM25 0.368 (k1 1.2, b 0.75, stems; measured)",
    "handbook": "none: written for this project",
}


class Result(msgspec.Struct, frozen=True):
    """What one collection gave."""

    means: dict[str, float]
    queries: int
    unanswered: int
    documents: int
    passages: int
    ingest_seconds: float
    query_milliseconds: float


def test_data(given: str | None) -> Path:
    return Path(given or os.environ.get("RAGVEC_TEST_DATA") or CHECKOUT.parent / "shared" / "data")


def folder_of(name: str, data: Path) -> Path:
    return CHECKOUT / "datasets" / name if name == "handbook" else data / name


def opened(name: str, folder: Path) -> Collection:
    return handbook(folder) if name == "handbook" else beir(folder)


def measured(collection: Collection, *, store: ragvec.Store) -> Result:
    """Ingest the collection into its own index of the store and ask its judged queries."""
    bucket = store.create_bucket(BUCKET, exist_ok=True)
    index = bucket.index(collection.name)
    begun = time.perf_counter()
    report = ragvec.Pipeline(index=index).run(collection.documents)
    ingested = time.perf_counter() - begun
    for failure in report.failed:
        print(f"  left out: {failure}", file=sys.stderr)
    searched = QueryIndex(index)
    queries = collection.judged_queries
    run = run_queries(searched, queries)
    seconds = []
    for text in queries.values():
        begun = time.perf_counter()
        searched.search(text)
        seconds.append(time.perf_counter() - begun)
    scores = evaluate(run, collection.qrels, measures=MEASURES)
    return Result(
        means=scores.means,
        queries=len(scores.per_query),
        unanswered=len(scores.unanswered),
        documents=index.count({"_passage": 0}),
        passages=index.count(),
        ingest_seconds=ingested,
        query_milliseconds=1000 * statistics.median(seconds),
    )


def table(results: dict[str, Result]) -> Table:
    shown = Table(title=f"Quality, ragvec {ragvec.__version__}, default embedder")
    shown.add_column("collection")
    for column in (*MEASURES, "queries", "unanswered", "documents", "passages", "ingest s", "ms/query"):
        shown.add_column(column, justify="right")
    shown.add_column("nDCG@10 elsewhere")
    for name, result in results.items():
        shown.add_row(
            name,
            *(f"{result.means[measure]:.3f}" for measure in MEASURES),
            *(f"{count:,}" for count in (result.queries, result.unanswered, result.documents, result.passages)),
            f"{result.ingest_seconds:.1f}",
            f"{result.query_milliseconds:.1f}",
            REFERENCES[name],
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description="Quality of the answers on test collections.")
    parser.add_argument(
        "collections", nargs="*", metavar="collection", help="handbook, cranfield, scifact; default: all"
    )
    parser.add_argument("--store", metavar="DIR", help="keep the indexes in this store and use what is there")
    parser.add_argument("--data", metavar="DIR", help="folder of the test collections")
    options = parser.parse_args()
    data = test_data(options.data)
    results = {}
    with tempfile.TemporaryDirectory() as temporary, ragvec.Store(options.store or temporary) as store:
        for name in options.collections or ("handbook", "cranfield", "scifact"):
            if name not in REFERENCES:
                parser.error(f"expected one of {', '.join(REFERENCES)}; got {name}")
            folder = folder_of(name, data)
            if not folder.is_dir():
                print(f"{name}: left out, there is no folder {folder} (see RAGVEC_TEST_DATA, --data)", file=sys.stderr)
                continue
            collection = opened(name, folder)
            for problem in collection.problems():
                print(f"{name}: {problem}", file=sys.stderr)
            results[name] = measured(collection, store=store)
    console = Console(width=None if sys.stdout.isatty() else 180)
    if results:
        console.print(table(results))


if __name__ == "__main__":
    main()
