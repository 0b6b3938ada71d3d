"""Asking one index the queries of a collection, the way that a configuration says."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from ragvec.evaluation.configurations import Configuration
from ragvec.kendra.index import QueryIndex
from ragvec.pipeline.passages import DOCUMENT_ID, TEXT
from ragvec.protocols import Embedder
from ragvec.store import Index

__all__ = ["Answers", "ask"]

_PASSAGES_A_DOCUMENT = 3


class Answers(msgspec.Struct, frozen=True):
    """What was answered: `run` is {query id: [(document id, score), …]}, best first, `milliseconds` the time that each
    query took, embedding it included."""

    run: dict[str, list[tuple[str, float]]]
    milliseconds: dict[str, float]


def ask(
    index: Index, queries: Mapping[str, str], *, configuration: Configuration, embedder: Embedder, k: int
) -> Answers:
    """The first `k` documents for every query, by the `embedder` that filled the index."""
    run: dict[str, list[tuple[str, float]]] = {}
    milliseconds: dict[str, float] = {}
    searched = QueryIndex(index, embedder=embedder)
    for query, text in queries.items():
        began = time.perf_counter()
        if configuration.way == "query":
            found = _by_query_layer(searched, text, configuration, k=k)
        else:
            found = _by_vectors(index, text, configuration, embedder=embedder, k=k)
        if configuration.reranker is not None:
            found = _again(text, found, configuration)
        run[query] = [(document, score) for document, score, _ in found[:k]]
        milliseconds[query] = (time.perf_counter() - began) * 1e3
    return Answers(run, milliseconds)


_Found = list[tuple[str, float, str]]


def _by_query_layer(searched: QueryIndex, text: str, configuration: Configuration, *, k: int) -> _Found:
    ranked = searched.ranking(text, k=k, where=configuration.where, syntax=False)
    return [(found.document_id, found.score, found.passage) for found in ranked]


def _by_vectors(index: Index, text: str, configuration: Configuration, *, embedder: Embedder, k: int) -> _Found:
    arguments: dict[str, Any] = {"k": _PASSAGES_A_DOCUMENT * k, "where": configuration.where}
    vector = None if configuration.way == "text" else np.asarray(embedder.embed_query(text), dtype=np.float32)
    if configuration.way != "dense":
        arguments["text"] = text
    if configuration.way == "hybrid":
        arguments["fusion"] = configuration.fusion
    if configuration.way != "text":
        arguments["effort"] = configuration.effort
    hits = index.query(vector, **arguments)
    return _best_of_each(
        (
            hit.metadata[DOCUMENT_ID],
            -hit.distance if hit.score is None else hit.score,
            hit.metadata.get(TEXT, ""),
        )
        for hit in hits
    )


def _best_of_each(passages: Iterable[tuple[str, float, str]]) -> _Found:
    """Of each document its first passage, in order."""
    found: dict[str, tuple[str, float, str]] = {}
    for document, score, text in passages:
        found.setdefault(document, (document, score, text))
    return list(found.values())


def _again(question: str, found: _Found, configuration: Configuration) -> _Found:
    """The first `depth` in the order of the reranker, the others after them."""
    assert configuration.reranker is not None
    first, rest = found[: configuration.depth], found[configuration.depth :]
    scores = configuration.reranker.score(question, [text for _, _, text in first]).tolist()
    order = sorted(range(len(first)), key=lambda at: -scores[at])
    best = [(first[at][0], scores[at], first[at][2]) for at in order]
    floor = best[-1][1] if best else 0.0
    # Scores of the two kinds are not comparable: what was not read again keeps its order below.
    return [*best, *((document, floor - rank, text) for rank, (document, _, text) in enumerate(rest, start=1))]
