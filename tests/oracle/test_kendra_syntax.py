"""Advanced queries over a whole index: the documents that a filter keeps are those that a plain reading finds."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from Stemmer import Stemmer

from ragvec.filters.interpret import matches
from ragvec.kendra.attributes import Schema
from ragvec.kendra.limits import NATIVE
from ragvec.kendra.syntax import read, restrict
from ragvec.pipeline.passages import BUILT_IN_TYPES, NON_FILTERABLE, passage_key
from ragvec.store import Index, Store

WORDS = ["ferry", "Ferries", "bicycle", "bicycles", "cyclist", "cycling", "day", "pass", "Straße", "the", "of", "AB-12"]
SCHEMA = Schema.of({**BUILT_IN_TYPES, "year": "LONG_VALUE"})
STEM = Stemmer("english")


def random_documents(count: int) -> dict[str, list[dict[str, Any]]]:
    """Documents by id, each a list of passages."""
    dice = random.Random(5)
    documents = {}
    for n in range(count):
        category, year = dice.choice(["deck", "fares"]), dice.choice([2019, 2020, 2021])
        title = " ".join(dice.choices(WORDS, k=2)) if dice.random() < 0.5 else None
        passages = []
        for number in range(dice.randint(1, 3)):
            text = " ".join(
                word + dice.choice(["", "", ",", "."]) for word in dice.choices(WORDS, k=dice.randint(1, 6))
            )
            passages.append(
                {
                    "_document_id": f"doc#{n}" if n % 7 else f"{'long' * 300}-{n}",
                    **({"_document_title": title} if title else {}),
                    "_category": category,
                    "year": year,
                    "_passage": number,
                    "_text": text,
                }
            )
        documents[passages[0]["_document_id"]] = passages
    return documents


DOCUMENTS = random_documents(60)


@pytest.fixture(scope="module", params=["lists", "reading"])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder: Path = tmp_path_factory.mktemp("syntax")
    with Store(folder / "store") as store:
        made = store.create_bucket("docs").create_index("pages", dimension=2, non_filterable=NON_FILTERABLE)
        keys, metadata = [], []
        for document, passages in DOCUMENTS.items():
            keys += [passage_key(document, number) for number in range(len(passages))]
            metadata += passages
        made.put(keys, np.ones((len(keys), 2), np.float32), metadata)
        if request.param == "lists":
            for key in ("_text", "_document_title", "_heading"):
                made.add_text(key, language="en")
        yield made


# The oracle: texts as lists of plain words, demands as nested tuples, one document at a time.


def texts_of(passages: list[dict[str, Any]]) -> list[list[str]]:
    found = []
    for passage in passages:
        for key in ("_text", "_document_title"):
            if key in passage:
                found.append(re.findall(r"[^\W_]+", passage[key].casefold()))
    return found


def stems(word: str) -> list[str]:
    return [STEM.stemWord(part) for part in re.findall(r"[^\W_]+", word.casefold())]


def holds(demand: Any, passages: list[dict[str, Any]]) -> bool:
    kind, *rest = demand
    texts = texts_of(passages)
    if kind == "word":
        return any(set(stems(rest[0])) <= {STEM.stemWord(word) for word in text} for text in texts)
    if kind == "phrase":
        sought = [part for word in rest[0] for part in re.findall(r"[^\W_]+", word.casefold())]
        return any(text[at : at + len(sought)] == sought for text in texts for at in range(len(text) - len(sought) + 1))
    if kind == "glob":
        form = re.compile(".*".join(map(re.escape, rest[0].casefold().split("*"))))
        return any(form.fullmatch(word) for text in texts for word in text)
    if kind == "year":
        return bool(passages[0]["year"] == rest[0])
    if kind == "category":
        return bool(passages[0]["_category"] == rest[0])
    if kind == "AND":
        return all(holds(part, passages) for part in rest)
    if kind == "OR":
        return any(holds(part, passages) for part in rest)
    return holds(rest[0], passages) and not holds(rest[1], passages)


def written(demand: Any) -> str:
    kind, *rest = demand
    if kind == "word" or kind == "glob":
        return str(rest[0])
    if kind == "phrase":
        return '"' + " ".join(rest[0]) + '"'
    if kind == "year":
        return f"year:{rest[0]}"
    if kind == "category":
        return f'_category:"{rest[0]}"'
    return "(" + f" {kind} ".join(written(part) for part in rest) + ")"


LEAVES = st.one_of(
    st.tuples(st.just("word"), st.sampled_from([*WORDS, "absent", "FERRY", "12"])),
    st.tuples(st.just("phrase"), st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)),
    st.tuples(
        st.just("glob"), st.sampled_from(["cycl*", "bic*s", "fer*", "FERR*", "str*e", "day*", "cyc*i*g", "nix*"])
    ),
    st.tuples(st.just("year"), st.sampled_from([2019, 2020, 2022])),
    st.tuples(st.just("category"), st.sampled_from(["deck", "none"])),
)
DEMANDS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("AND"), inner, inner),
        st.tuples(st.just("OR"), inner, inner),
        st.tuples(st.just("OR"), inner, inner, inner),
        st.tuples(st.just("NOT"), inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(demand=DEMANDS)
def test_what_is_demanded_is_found_and_nothing_else(index: Index, demand: Any) -> None:
    # A word alone would only rank.
    parsed = read(f"({written(demand)} AND {written(demand)})", SCHEMA, limits=NATIVE)
    assert parsed.warnings == ()
    where = restrict(index, parsed)
    found = {record.metadata["_document_id"] for record in index.iter(where=where)}
    assert found == {document for document, passages in DOCUMENTS.items() if holds(demand, passages)}


@settings(max_examples=40, deadline=None)
@given(first=LEAVES, second=LEAVES, third=LEAVES, operators=st.tuples(*[st.sampled_from(["AND", "OR", "NOT"])] * 2))
def test_not_binds_before_and_before_or(
    index: Index, first: Any, second: Any, third: Any, operators: tuple[str, str]
) -> None:
    binds = {"NOT": 0, "AND": 1, "OR": 2}
    if binds[operators[1]] < binds[operators[0]]:
        meant = (operators[0], first, (operators[1], second, third))
    else:
        meant = (operators[1], (operators[0], first, second), third)
    flat = f"{written(first)} {operators[0]} {written(second)} {operators[1]} {written(third)}"
    where = restrict(index, read(flat, SCHEMA, limits=NATIVE))
    expected = {document for document, passages in DOCUMENTS.items() if holds(meant, passages)}
    assert {d for d, passages in DOCUMENTS.items() if any(matches(where, passage) for passage in passages)} == expected


def test_phrases_and_fields_side_by_side_are_all_demanded(index: Index) -> None:
    parsed = read('bicycle "day pass" year:2020 tram', SCHEMA, limits=NATIVE)
    assert (parsed.plain, parsed.phrases) == ("bicycle day pass tram", ("day pass",))
    found = {record.metadata["_document_id"] for record in index.iter(where=restrict(index, parsed))}
    meant = ("AND", ("phrase", ["day", "pass"]), ("year", 2020))
    assert found == {document for document, passages in DOCUMENTS.items() if holds(meant, passages)}
    assert found


def test_what_came_and_went_counts_at_once(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        index = store.create_bucket("docs").create_index("pages", dimension=2, non_filterable=NON_FILTERABLE)
        index.add_text("_text", language="en")
        parsed = read("ferry AND tram", SCHEMA, limits=NATIVE)

        def put(document: str, text: str) -> None:
            index.put([passage_key(document, 0)], np.ones((1, 2)), [{"_document_id": document, "_text": text}])

        def found() -> list[str]:
            return [record.metadata["_document_id"] for record in index.iter(where=restrict(index, parsed))]

        put("a", "a ferry and a tram")
        put("b", "a ferry")
        assert found() == ["a"]
        put("b", "trams to the ferries")
        put("a", "a ferry")
        assert found() == ["b"]
        index.delete([passage_key("b", 0)])
        assert found() == []
