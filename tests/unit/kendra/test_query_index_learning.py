"""Feedback, suggestions, featured documents, synonyms and analytics of a query index, the Pythonic way."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from kendra_corpus import BagOfStems

from ragvec.errors import InvalidRequest, ResourceNotFound
from ragvec.kendra import NATIVE, QueryIndex, Settings
from ragvec.kendra.errors import FeaturedResultsConflict
from ragvec.kendra.learn.feedback import Judgement
from ragvec.store import Index


@pytest.fixture
def query_index(ferries: Index) -> QueryIndex:
    return QueryIndex(ferries, embedder=BagOfStems(), settings=Settings(limits=NATIVE))


def order(query_index: QueryIndex, text: str) -> list[str]:
    return [item.document_id for item in query_index.search(text)]


def test_feedback_moves_documents_and_is_there_for_evaluation(query_index: QueryIndex) -> None:
    found = query_index.search("bicycle ferry", user="alice")
    first, second = found[0], found[1]
    query_index.feedback(found, relevant=[second.document_id], irrelevant=[first.document_id])
    query_index.feedback(found.query_id, clicked=[second.document_id])
    moved = {item.document_id: item.score for item in query_index.search("ferry bicycle")}
    assert moved[second.document_id] == pytest.approx(second.score + 0.2 * 1.3 / 3.3, abs=1e-4)
    assert moved[first.document_id] == pytest.approx(first.score - 0.2 / 3, abs=1e-4)
    assert set(query_index.judgements()) == {
        Judgement("bicycle ferry", first.document_id, 0),
        Judgement("bicycle ferry", second.document_id, 2),
    }


def test_feedback_that_says_nothing_or_of_nothing_is_refused(query_index: QueryIndex, ferries: Index) -> None:
    found = query_index.search("bicycle ferry")
    with pytest.raises(InvalidRequest, match="Expected documents that are relevant, irrelevant or clicked, got none"):
        query_index.feedback(found)
    with pytest.raises(InvalidRequest, match="Expected a document that the search showed, got 'other' - at `clicked`"):
        query_index.feedback(found, clicked=["other"])
    with pytest.raises(InvalidRequest, match="Expected a list of document ids, got the text 'fares.md'"):
        query_index.feedback(found, relevant="fares.md")
    with pytest.raises(InvalidRequest, match="Expected a search in the journal, got the id 'nothing'"):
        query_index.feedback("nothing", relevant=["fares.md"])
    silent = QueryIndex(ferries, embedder=BagOfStems())
    with pytest.raises(InvalidRequest, match=r"Settings\(journal=True\)"):
        silent.feedback(silent.search("bicycle ferry"), relevant=["fares.md"])


def test_queries_and_values_are_suggested(query_index: QueryIndex) -> None:
    for text in ("bicycle ferry", "bicycle racks", "bicycle ferry"):
        query_index.search(text)
    assert [each.text for each in query_index.suggest("bicy")] == ["bicycle ferry", "bicycle racks"]
    assert query_index.suggest("bicy", most=1)[0].end == 4
    titles = query_index.suggest_values("bicy", attributes=["_document_title"])
    assert titles
    assert all("bicy" in each.suggestion.text.lower() for each in titles)
    with pytest.raises(InvalidRequest, match=r"Expected attributes of .*_document_title.*, got 'nothing'"):
        query_index.suggest_values("bicy", attributes=["nothing"])


def test_documents_are_featured_by_the_name_of_their_set(query_index: QueryIndex) -> None:
    made = query_index.feature("fares", queries=["how much?"], documents=["fares.md"])
    assert [item.document_id for item in query_index.search("How  much?").featured] == ["fares.md"]
    changed = query_index.feature("fares", queries=["price"], documents=["fares.md"])
    assert (changed.id, query_index.featured) == (made.id, (changed,))
    with pytest.raises(FeaturedResultsConflict):
        query_index.feature("other", queries=["PRICE"], documents=[])
    query_index.feature("fares", queries=["price"], documents=["fares.md"], active=False)
    assert list(query_index.search("price").featured) == []
    query_index.unfeature("fares")
    assert query_index.featured == ()
    with pytest.raises(ResourceNotFound, match="no set of featured documents called 'fares'"):
        query_index.unfeature("fares")


def test_synonyms_are_set_replaced_and_dropped(query_index: QueryIndex) -> None:
    assert query_index.synonyms is None
    query_index.index.add_text("_text", language="en")
    query_index.drop_synonyms()
    without = order(query_index, "velocipede")
    held = query_index.set_synonyms({"velocipede": ["bicycle"]})
    assert held.figures == {"rules": 1, "terms": 2}
    assert set(order(query_index, "velocipede")) > set(without)
    assert query_index.set_synonyms([["velocipede", "bike"], ["a,b", "#c", "d=>e", "f\\g"]]).figures["terms"] == 6
    assert query_index.set_synonyms("velocipede, bike\nx => y\n") == query_index.synonyms
    query_index.drop_synonyms()
    assert order(query_index, "velocipede") == without
    for rules in ({"a": "b"}, ["a, b"], [["a", "b\nc"]], [["a", " "]]):
        with pytest.raises(InvalidRequest, match="at `rules`"):
            query_index.set_synonyms(rules)


def test_analytics_tell_what_was_asked(query_index: QueryIndex) -> None:
    found = query_index.search("bicycle ferry")
    query_index.search("bicycle ferry")
    query_index.search("zeppelin")
    query_index.feedback(found, clicked=[found[0].document_id])
    frame = query_index.analytics().to_pandas()
    assert dict(zip(frame["query_content"], frame["count"], strict=True)) == {"bicycle ferry": 2, "zeppelin": 1}
    documents = query_index.analytics("DOCS_BY_CLICK_COUNT")
    assert documents.rows[0][:2] == (found[0].document_id, 1)
    long_ago = datetime.now(timezone.utc) - timedelta(days=50)
    assert query_index.analytics(since=long_ago, until=long_ago + timedelta(days=1)).rows == ()
    with pytest.raises(InvalidRequest, match="Expected one of QUERIES_BY_COUNT, .*, got 'COUNT' - at `metric`"):
        query_index.analytics("COUNT")
    with pytest.raises(InvalidRequest, match="Expected a time with its zone, got 2026-01-01 00:00:00 - at `since`"):
        query_index.analytics(since=datetime(2026, 1, 1))
