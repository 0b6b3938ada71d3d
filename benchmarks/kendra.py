"""How long a Query takes: filter, two facets, highlights and a page of ten over 100,000 passages, beyond embedding.

    python -m benchmarks.kendra [--rows N] [--queries N] [--store DIR]

A passage is six glosses of WordNet in a row, about 80 words, with the vector of the first; four passages are a
document, whose title is its first word. Questions are the definitions of records held out of the rows, with their
vectors, so nothing is embedded here. The filter lets about half of the documents through. One document in four is
public, the others are for one group each of three; the user is in two of these. Each line of the table does
what the one above does and something more; the times are of the same questions, one after the other, after a first
round that is not counted. Without the folder of real embeddings (see RAGVEC_TEST_DATA) vectors and words are made up.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

import ragvec
from benchmarks.records import made_up, real_folder, wordnet
from ragvec.filters.nodes import Compare
from ragvec.kendra.access import access_metadata, note_levels, read_access
from ragvec.kendra.index import QueryIndex
from ragvec.kendra.limits import KENDRA
from ragvec.kendra.notes import Notes
from ragvec.kendra.rank.candidates import candidates, sought
from ragvec.kendra.rank.documents import best_documents
from ragvec.kendra.rank.passages import ranked_passages
from ragvec.kendra.request.asked import Request
from ragvec.pipeline.passages import (
    ATTRIBUTES_PROPERTY,
    BUILT_IN_TYPES,
    EMBEDDER_PROPERTY,
    NON_FILTERABLE,
    TEXT_FIELDS,
    Passage,
)
from ragvec.store import Index

__all__ = ["Corpus", "corpus", "filled", "timed"]

NAME = "all-MiniLM-L6-v2@wordnet"
GLOSSES = 6
PASSAGES = 4
FACETS = ["lexname", "pos"]
CHUNK = 5_000
QUERIES = 200
LONGEST = 20
OPERATORS = ("person AND small", "person OR small", "person NOT small", "happ*", "comp*", "running*")
"""Of words that stand in a tenth of the passages and more."""
USER: dict[str, Any] = {"user": "alice", "groups": ["group 1", "group 2"]}


class Corpus(msgspec.Struct, frozen=True, eq=False):
    """Vectors float32 (n, d), texts and metadata of the rows, and the questions with their vectors."""

    vectors: np.ndarray
    texts: list[str]
    metadata: list[dict[str, Any]]
    questions: dict[str, np.ndarray]


class Known:
    """An embedder for the questions of a corpus alone; sentences that answers are sought in all have one vector."""

    name = NAME

    def __init__(self, questions: dict[str, np.ndarray]) -> None:
        self._questions = questions
        self.dimension = len(next(iter(questions.values())))

    def embed_documents(self, texts: Sequence[str]) -> Any:
        other = next(iter(self._questions.values()))
        return np.stack([self._questions.get(text, other) for text in texts])

    def embed_query(self, text: str) -> Any:
        return self._questions.get(text, next(iter(self._questions.values())))


class _Line(msgspec.Struct):
    text: str


def corpus(rows: int, questions: int) -> Corpus:
    """The first `rows` of the records and questions from the rest; made up where the real ones are absent."""
    folder = real_folder()
    if folder is None:
        records = made_up(rows + questions)
        words = np.random.default_rng(1).zipf(1.3, size=(rows + questions, 14)) % 30_000
        texts = [" ".join(f"w{word}" for word in line) for line in words.tolist()]
    else:
        records = wordnet(folder)
        decoder = msgspec.json.Decoder(_Line)
        with (folder / "records.jsonl").open("rb") as lines:
            texts = [decoder.decode(line).text for line in lines]
    order = np.random.default_rng(0).permutation(len(texts))
    rows = min(rows, len(texts) - questions)
    kept = np.sort(order[:rows])
    asked = {_definition(texts[row]): records.vectors[row] for row in order[rows : rows + questions].tolist()}
    return Corpus(
        records.vectors[kept], [texts[row] for row in kept], [records.metadata[row] for row in kept.tolist()], asked
    )


def _definition(text: str) -> str:
    """In plain words, which no syntax changes."""
    said = text.partition(": ")[2].partition(";")[0] or text
    return " ".join(re.findall(r"\w+", said)[:LONGEST])


def filled(index: Index, given: Corpus) -> None:
    """Write the corpus as the pipeline writes passages, and build what the background would."""
    count = len(given.texts)
    for first in range(0, count, CHUNK):
        numbers = range(first, min(first + CHUNK, count))
        passages = [_passage(given, number) for number in numbers]
        index.put(
            [passage.key for passage in passages],
            given.vectors[first : numbers.stop],
            [passage.to_metadata() for passage in passages],
        )
    index.set_property(EMBEDDER_PROPERTY, {"name": NAME, "dimension": given.vectors.shape[1]})
    note_levels(Notes(index), 1)
    types = {"lexname": "STRING_VALUE", "pos": "STRING_VALUE", "serial": "LONG_VALUE", "lemma": "STRING_VALUE"}
    index.set_property(ATTRIBUTES_PROPERTY, {**BUILT_IN_TYPES, **types})
    index.optimize()


def _passage(given: Corpus, number: int) -> Passage:
    document, place = divmod(number, PASSAGES)
    own = given.metadata[document * PASSAGES]
    text = " ".join(given.texts[number : number + GLOSSES])
    attributes = {name: own[name] for name in ("lexname", "pos", "serial", "lemma")}
    group = document % 4
    entries = [{"Name": f"group {group}", "Type": "GROUP", "Access": "ALLOW"}] if group else []
    access = access_metadata(read_access({"AccessControlList": entries}, limits=KENDRA), configuration=None)
    return Passage(
        document_id=f"d{document:06d}",
        number=place,
        count=PASSAGES,
        begin=place * 1000,
        end=place * 1000 + len(text),
        text=text,
        hash="0" * 32,
        attributes={"_document_title": str(own["lemma"]), "_language_code": "en", **attributes, **access},
    )


def timed(step: Callable[[str], object], questions: Sequence[str]) -> list[float]:
    """Milliseconds of each question, after a round that is not counted."""
    for question in questions[:20]:
        step(question)
    found = []
    for question in questions:
        began = time.perf_counter()
        step(question)
        found.append(1000 * (time.perf_counter() - began))
    return found


def measured(index: Index, given: Corpus) -> dict[str, list[float]]:
    """Milliseconds by stage."""
    searched = QueryIndex(index, embedder=Known(given.questions))
    embed = searched.embedder.embed_query
    where = Compare("serial", "gte", int(np.median([each["serial"] for each in given.metadata])))
    scale, settings, schema, notes = searched.scale, searched.settings, searched.schema, Notes(index)
    fields = tuple(index.text_fields)

    def near(text: str) -> object:
        return index.query(embed(text), k=settings.depth, where=where, metadata=False)

    def both(text: str) -> object:
        engine = index.bucket.store.engine.index(index.spec)
        return candidates(
            engine, vector=embed(text), queries=sought(fields, text), depth=settings.depth, where=where, scale=scale
        )

    def passages(text: str) -> list[Any]:
        request = Request(text=text, where=where)
        return ranked_passages(index, request, embed=embed, scale=scale, settings=settings, notes=notes, schema=schema)

    def documents(text: str) -> object:
        return best_documents(passages(text), more=scale.more)

    steps: dict[str, Callable[[str], object]] = {
        "nearest by vector": near,
        "candidates by words and vectors": both,
        "passages ranked, with their metadata": passages,
        "documents": documents,
        "search, with highlights": lambda text: searched.search(text, where=where, answers=False),
        "search, with two facets": lambda text: searched.search(text, where=where, facets=FACETS, answers=False),
        "search, with answers too": lambda text: searched.search(text, where=where, facets=FACETS),
        "search, for a user": lambda text: searched.search(text, where=where, facets=FACETS, answers=False, **USER),
    }
    questions = list(given.questions)
    found = {name: timed(step, questions) for name, step in steps.items()}
    for text in OPERATORS:
        found[f"search, {text}"] = timed(lambda text: searched.search(text, answers=False), [text] * 20)
    totals = [searched.search(text, where=where, answers=False).total for text in questions[:50]]
    print(f"documents found: {np.median(totals):.0f} in the median", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="passages (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=QUERIES, help="questions (default: %(default)s)")
    parser.add_argument("--store", metavar="DIR", help="keep the index in this store and use what is there")
    options = parser.parse_args()
    given = corpus(options.rows, options.queries)
    with tempfile.TemporaryDirectory() as temporary, ragvec.Store(Path(options.store or temporary)) as store:
        index = store.create_bucket("kendra", exist_ok=True).index(f"glosses-{options.rows}")
        if not index.exists():
            index = index.bucket.create_index(
                index.name,
                dimension=given.vectors.shape[1],
                non_filterable=NON_FILTERABLE,
                text=dict.fromkeys(TEXT_FIELDS, "en"),
            )
            began = time.perf_counter()
            filled(index, given)
            print(f"{index.count():,} passages written in {time.perf_counter() - began:.1f} s", file=sys.stderr)
        found = measured(index, given)
    table = Table(
        title=f"Query over {len(given.texts):,} passages, ragvec {ragvec.__version__}, {os.cpu_count()} cores"
    )
    for column in ("up to and with", "p50 ms", "p90 ms", "p99 ms"):
        table.add_column(column, justify="left" if column.startswith("up") else "right")
    for name, values in found.items():
        table.add_row(name, *(f"{np.percentile(values, share):.1f}" for share in (50, 90, 99)))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    main()
