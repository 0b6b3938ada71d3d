"""Runs: what a query index answers to the queries of a collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragvec.kendra.index import QueryIndex

__all__ = ["run_queries"]


def run_queries(index: QueryIndex, queries: Mapping[str, str], *, k: int = 100) -> dict[str, list[tuple[str, float]]]:
    """{query id: [(document id, score), …]}: the first `k` documents found for each text, best first.

    Every query is there, in the order given; one for which nothing is found has an empty list. Errors are those of
    `QueryIndex.ranking`.
    """
    run = {}
    for query, text in queries.items():
        run[query] = [(found.document_id, found.score) for found in index.ranking(text, k=k)]
    return run
