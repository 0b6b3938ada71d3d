"""Ranking by words and meaning, against plain Python over the same passages."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pytest
from kendra_corpus import BagOfStems, fill

from ragvec.errors import InvalidRequest
from ragvec.filters.nodes import EVERYTHING, And, Eq, Filter, In
from ragvec.kendra.attributes import Schema
from ragvec.kendra.found import Found
from ragvec.kendra.notes import Notes
from ragvec.kendra.rank.documents import best_documents
from ragvec.kendra.rank.passages import ranked_passages
from ragvec.kendra.rank.tuning import Tuning
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request.asked import Request
from ragvec.kendra.settings import Settings
from ragvec.pipeline.passages import DOCUMENT_TITLE, TEXT
from ragvec.store import Index, Store
from ragvec.text.words import words

VOCABULARY = ["ferry", "bicycle", "deck", "rota", "fares", "crew", "rail", "pass", "noon", "cargo", "racks", "tandem"]
TITLES = 0.5
OPEN = Scale(least=0.0, of_best=0.0, medium=0.4, high=0.5, very_high=0.6, words=0.4)
QUESTIONS = ["ferry bicycle", "crew crew rota", "noon", "tandem on a pass", "cargo zeppelin", "deck rail fares racks"]


def random_documents(count: int) -> list[dict[str, Any]]:
    dice = random.Random(7)
    return [
        {
            "id": f"{number:03d}",
            "title": " ".join(dice.sample(VOCABULARY, 2)),
            "text": "\n\n".join(
                " ".join(dice.choices(VOCABULARY, k=dice.randint(3, 9))) for _ in range(dice.randint(1, 3))
            ),
            "team": dice.choice("abc"),
            "views": dice.randint(0, 50),
        }
        for number in range(count)
    ]


DOCUMENTS = random_documents(60)
TYPES = {"team": "STRING_VALUE", "views": "LONG_VALUE"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("rank") / "store") as store:
        yield store


@pytest.fixture(scope="module")
def plain(store: Store) -> Index:
    """Without text fields."""
    return fill(store, DOCUMENTS, types=TYPES, name="plain")


@pytest.fixture(scope="module")
def index(store: Store) -> Index:
    made = fill(store, DOCUMENTS, types=TYPES, name="searched")
    made.add_text(TEXT, language="en")
    made.add_text(DOCUMENT_TITLE, language="en")
    return made


def ranked(index: Index, text: str, *, scale: Scale = OPEN, where: Filter = EVERYTHING, **options: Any) -> list[Found]:
    depth = options.pop("depth", 1000)
    return ranked_passages(
        index,
        Request(text=text, where=where, **options),
        embed=BagOfStems().embed_query,
        scale=scale,
        settings=Settings(depth=depth),
        notes=Notes(index),
        now=0.0,
    )


def terms(text: str) -> Counter[str]:
    """Stems; the corpus has no other words than VOCABULARY."""
    return Counter(word.term for word in words(text) if word.term)


def bm25(texts: Mapping[str, str], question: str) -> tuple[dict[str, float], float]:
    """The score of each text, and that of one of average length with each word once."""
    counts = {key: terms(text) for key, text in texts.items()}
    average = sum(each.total() for each in counts.values()) / len(counts)
    scores, once = dict.fromkeys(texts, 0.0), 0.0
    for term in terms(question):
        frequency = sum(term in each for each in counts.values())
        idf = math.log(1 + (len(counts) - frequency + 0.5) / (frequency + 0.5))
        once += idf
        for key, each in counts.items():
            grown = each[term] + 1.2 * (0.25 + 0.75 * each.total() / average)
            scores[key] += idf * 2.2 * each[term] / grown
    return scores, once


def expected(index: Index, question: str) -> dict[str, float]:
    """The relevance of every passage, by key. Questions hold no stop words here."""
    metadata = {record.key: record.metadata or {} for record in index.iter()}
    of_text, once = bm25({key: each[TEXT] for key, each in metadata.items()}, question)
    of_title, _ = bm25({key: each[DOCUMENT_TITLE] for key, each in metadata.items()}, question)
    query = BagOfStems().embed_query(question)
    found = {}
    for record in index.iter(data=True):
        assert record.data is not None
        cosine = float(record.data @ query / np.linalg.norm(record.data))
        covered = 1 - math.exp(-(of_text[record.key] + TITLES * of_title[record.key]) / once)
        found[record.key] = 0.6 * max(cosine, 0) + 0.4 * covered
    return found


def same(some: list[Found], others: list[Found]) -> bool:
    return [(each.key, each.score) for each in some] == [(each.key, each.score) for each in others]


@pytest.mark.parametrize("question", [each for each in QUESTIONS if " on a " not in each])
def test_relevance_is_made_of_words_and_meaning(index: Index, question: str) -> None:
    relevance = expected(index, question)
    found = ranked(index, question)
    assert len(found) == len(relevance)
    for passage in found:
        assert passage.score == pytest.approx(relevance[passage.key], abs=1e-5)
    assert found == sorted(found, key=lambda each: (-(each.score or 0), each.key))


@pytest.mark.parametrize("question", QUESTIONS)
def test_found_is_what_reaches_the_floor(index: Index, question: str) -> None:
    scale = Scale(least=0.2, of_best=0.6, medium=0.4, high=0.5, very_high=0.6, words=0.4)
    every = ranked(index, question)
    floor = max(0.2, 0.6 * (every[0].score or 0))
    assert same(ranked(index, question, scale=scale), [each for each in every if (each.score or 0) >= floor])


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("where", [Eq("team", "a"), And((In("team", ("b", "c")), Eq("_passage", 0)))])
def test_a_filter_holds_for_both_rankings_and_changes_no_score(index: Index, question: str, where: Filter) -> None:
    def passes(metadata: dict[str, Any]) -> bool:
        if isinstance(where, Eq):
            return bool(metadata["team"] == "a")
        return metadata["team"] in "bc" and metadata["_passage"] == 0

    kept = [each for each in ranked(index, question) if passes(each.metadata)]
    found = ranked(index, question, where=where)
    assert [each.key for each in found] == [each.key for each in kept]
    assert [each.score for each in found] == pytest.approx([each.score for each in kept], abs=1e-6)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("depth", [1, 4, 20])
@pytest.mark.parametrize("of_best", [0.0, 0.5, 0.9])
def test_candidates_are_the_best_of_every_list(index: Index, question: str, depth: int, of_best: float) -> None:
    """What is passed over before it is computed could not have been found."""
    lists = [
        index.query(BagOfStems().embed_query(question), k=depth).keys,
        *(index.query(text={field: question}, k=depth).keys for field in (TEXT, DOCUMENT_TITLE)),
    ]
    among = [each for each in ranked(index, question) if any(each.key in keys for keys in lists)]
    scale = Scale(least=0.2, of_best=of_best, medium=0.4, high=0.5, very_high=0.6, words=0.4)
    floor = max(0.2, of_best * (among[0].score or 0))
    expected = [each for each in among if (each.score or 0) >= floor][:depth]
    found = ranked(index, question, scale=scale, depth=depth)
    assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-6)


def test_words_find_what_vectors_do_not(index: Index) -> None:
    """With a depth of one, each ranking brings its best."""
    question = "tandem racks"
    best = ranked(index, question, depth=1)
    assert len(best) == 1
    assert best[0].key in {each.key for each in ranked(index, question)[:5]}


@pytest.mark.parametrize("question", QUESTIONS)
def test_without_text_fields_vectors_alone_rank(plain: Index, question: str) -> None:
    hits = plain.query(BagOfStems().embed_query(question), k=1000)
    found = ranked(plain, question)
    assert [each.score for each in found] == pytest.approx([max(1 - hit.distance, 0) for hit in hits], abs=1e-6)
    assert {each.bm25 for each in found} == {None}
    assert all(each.score == max(each.similarity or 0, 0) for each in found)


def test_a_text_that_means_nothing_to_the_embedder_is_found_by_its_words(index: Index, plain: Index) -> None:
    class Blind(BagOfStems):
        def embed_query(self, text: str) -> Any:
            return np.zeros(self.dimension, np.float32)

    def found(index: Index) -> list[Found]:
        return ranked_passages(
            index,
            Request(text="noon ferry"),
            embed=Blind().embed_query,
            scale=OPEN,
            settings=Settings(),
            notes=Notes(index),
        )

    assert found(plain) == []
    assert found(index)
    assert all("noon" in str(each.metadata) or "ferry" in str(each.metadata) for each in found(index))
    assert {each.similarity for each in found(index)} == {None}


def test_the_same_question_has_the_same_answer(index: Index) -> None:
    assert same(ranked(index, "ferry deck"), ranked(index, "ferry deck"))


def test_equal_passages_are_in_order_of_key(store: Store) -> None:
    twins = [{"id": name, "title": "Rota", "text": "noon ferry"} for name in ("é", "b", "a", "B", "𝄞")]
    made = fill(store, twins, name="twins")
    made.add_text(TEXT, language="en")
    found = [each.document_id for each in ranked(made, "noon")]
    assert found == sorted(found, key=str.encode) == ["B", "a", "b", "é", "𝄞"]


def test_the_metric_must_be_cosine(store: Store) -> None:
    made = store.create_bucket("other", exist_ok=True).create_index("far", dimension=96, metric="euclidean")
    with pytest.raises(InvalidRequest, match="Expected an index with the metric cosine, got euclidean"):
        ranked(made, "noon")


# ---- tuning


def test_tuning_moves_and_neither_adds_nor_removes(index: Index) -> None:
    schema = Schema.of(TYPES)
    tunings = (
        Tuning(field=schema.fields["team"], values={"b": 10}),
        Tuning(field=schema.fields["views"], importance=7, descending=True),
    )
    scale = Scale(least=0.2, of_best=0.5, medium=0.4, high=0.5, very_high=0.6, words=0.4)
    plain = {each.key: each.score or 0 for each in ranked(index, "ferry bicycle", scale=scale)}
    found = ranked(index, "ferry bicycle", scale=scale, overrides=tunings)
    assert {each.key for each in found} == plain.keys()
    of_document = {each.document_id: each.metadata["views"] for each in found}
    for each in found:
        lower = sum(views > of_document[each.document_id] for views in of_document.values()) / (len(of_document) - 1)
        factor = (4 if each.metadata["team"] == "b" else 1) * (1 + 2 * lower)
        odds = plain[each.key] / (1 - plain[each.key]) * factor
        assert each.score == pytest.approx(odds / (1 + odds))
    assert [each.score for each in found] == sorted((each.score or 0 for each in found), reverse=True)


# ---- documents


def test_words_of_the_same_document_count_in_part(index: Index) -> None:
    question = "tandem cargo racks noon"
    alone = ranked(index, question)
    scale = msgspec.structs.replace(OPEN, context=0.5)
    metadata = {record.key: record.metadata or {} for record in index.iter()}
    texts = {key: each[TEXT] for key, each in metadata.items()}
    _, once = bm25(texts, question)
    by_word = [bm25(texts, word)[0] for word in question.split()]
    of_document: dict[str, list[str]] = {}
    for key, each in metadata.items():
        of_document.setdefault(each["_document_id"], []).append(key)
    expected = {}
    for each in alone:
        others = of_document[each.document_id]
        beyond = sum(max(scores[other] for other in others) - scores[each.key] for scores in by_word)
        own = each.bm25 or 0.0
        gained = math.exp(-own / once) - math.exp(-(own + 0.5 * beyond) / once)
        expected[each.key] = (each.score or 0.0) + 0.4 * gained
    found = ranked(index, question, scale=scale)
    assert {each.key: each.score for each in found} == pytest.approx(expected, abs=1e-5)
    assert sum(expected.values()) > sum(each.score or 0 for each in alone) + 0.1


@pytest.mark.parametrize("more", [0.0, 0.2])
def test_a_document_is_its_best_passage_and_a_share_of_the_next(index: Index, more: float) -> None:
    passages = ranked(index, "ferry bicycle")
    by_document: dict[str, list[float]] = {}
    for each in passages:
        by_document.setdefault(each.document_id, []).append(each.score or 0)
    documents = best_documents(passages, more=more)
    assert {each.document_id for each in documents} == by_document.keys()
    for each in documents:
        best, *rest = by_document[each.document_id]
        assert each.score == pytest.approx(best + (more * (1 - best) * rest[0] if rest else 0))
    assert [each.score for each in documents] == sorted((each.score or 0 for each in documents), reverse=True)
    firsts = {each.document_id: each.key for each in reversed(passages)}
    assert all(each.key == firsts[each.document_id] for each in documents)


def test_equal_documents_keep_the_order_of_their_passages() -> None:
    passages = [Found(f"{name}#0", name, {}, 0.5) for name in "cab"]
    assert [each.document_id for each in best_documents(passages, more=0.2)] == ["c", "a", "b"]
