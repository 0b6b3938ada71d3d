"""The Pythonic search: what it takes beside a text, what it refuses, and what comes beside the documents."""

from __future__ import annotations

from typing import Any

import pytest
from kendra_corpus import FERRIES, TYPES, BagOfStems, fill

from ragvec.errors import InvalidRequest
from ragvec.kendra import KENDRA, NATIVE, Client, CollapseBy, Facet, QueryIndex, Settings
from ragvec.kendra.answers.reader import Levels, ReadSpan
from ragvec.kendra.learn.journal import asked
from ragvec.store import Index, Store


def ids(results: Any) -> list[str]:
    return [item.document_id for item in results]


class FirstWord:
    """A reader to whom the first word of each passage is an answer, the surer the earlier the passage."""

    levels = Levels(least=0.1, high=0.5, very_high=0.9)

    def read(self, question: str, passages: Any) -> list[ReadSpan]:
        return [ReadSpan(n, 0, len(text.split()[0]), 1.0 / (n + 1)) for n, text in enumerate(passages)]


@pytest.fixture
def with_answers(ferries: Index) -> QueryIndex:
    return QueryIndex(
        ferries, embedder=BagOfStems(), settings=Settings(limits=NATIVE, reader=FirstWord(), journal=False)
    )


# ---- answers, FAQ rows, featured documents


def test_answers_stand_beside_the_first_page_of_documents(with_answers: QueryIndex) -> None:
    first = with_answers.search("bicycle ferry", page_size=1)
    second = with_answers.search("bicycle ferry", page_size=1, page=2)
    assert (len(first), len(second)) == (1, 1)
    assert [(a.document_id, a.answer, a.confidence) for a in first.answers] == [
        ("deck/bicycles.md", "Every", "VERY_HIGH"),
        ("fares.md", "A", "MEDIUM"),
        ("fahrrad.md", "Fahrräder", "MEDIUM"),
    ][: len(first.answers)]
    assert (second.answers, second.faqs) == ((), ())
    assert first.total == second.total == first.pages == second.pages
    assert with_answers.search("bicycle ferry", answers=False).answers == ()
    assert with_answers.search().answers == ()


def test_answers_come_first_in_a_response_and_count(ferries: Index) -> None:
    client = Client(ferries.bucket.store, embedder=BagOfStems(), settings=Settings(reader=FirstWord()))
    members = {"IndexId": ferries.uid, "QueryText": "bicycle ferry"}
    whole = client.query(**members)
    types = [item["Type"] for item in whole["ResultItems"]]
    answers = types.count("ANSWER")
    assert types == ["ANSWER"] * answers + ["DOCUMENT"] * (len(types) - answers)
    assert whole["TotalNumberOfResults"] == len(types)
    paged = [client.query(**members, PageSize=2, PageNumber=n)["ResultItems"] for n in range(1, 5)]
    assert [(x["Type"], x["DocumentId"]) for page in paged for x in page] == [
        (x["Type"], x["DocumentId"]) for x in whole["ResultItems"]
    ]
    only = client.query(**members, QueryResultTypeFilter="ANSWER", Facets=[{"DocumentAttributeKey": "_category"}])
    assert {item["Type"] for item in only["ResultItems"]} == {"ANSWER"}
    assert only["TotalNumberOfResults"] == answers
    pairs = only["FacetResults"][0]["DocumentAttributeValueCountPairs"]
    assert sum(pair["Count"] for pair in pairs) == answers
    assert "ANSWER" not in {x["Type"] for x in client.query(**members, QueryResultTypeFilter="DOCUMENT")["ResultItems"]}


def test_answers_are_from_what_may_be_seen(with_answers: QueryIndex) -> None:
    assert with_answers.search("purser swaps", user="purser").answers[0].document_id == "crew/rota.md"
    assert "crew/rota.md" not in {a.document_id for a in with_answers.search("purser swaps", user="mallory").answers}
    assert with_answers.search("bicycle", where={"department": "Sales"}).answers[0].document_id != "deck/bicycles.md"


def test_faq_rows_are_found_and_filtered_by_their_attributes(ferries: Index) -> None:
    index = QueryIndex(ferries, embedder=BagOfStems())
    index.add_faq(
        [{"question": "Must I reserve a bicycle space?", "answer": "No.", "attributes": {"department": "Sales"}}],
        name="faq",
    )
    (row,) = index.search("Must I reserve a bicycle space?").faqs
    assert (row.question, row.answer, row.attributes["department"]) == (
        "Must I reserve a bicycle space?",
        "No.",
        "Sales",
    )
    assert index.search("Must I reserve a bicycle space?", where={"department": "Operations"}).faqs == ()
    assert index.search("crew rota").faqs == ()
    client = Client(ferries.bucket.store, embedder=BagOfStems(), settings=Settings(reader=None))
    facets = [{"DocumentAttributeKey": "department"}]
    members = {"IndexId": ferries.uid, "QueryText": "Must I reserve a bicycle space?", "Facets": facets}
    rows = client.query(**members, QueryResultTypeFilter="QUESTION_ANSWER")
    assert [item["Type"] for item in rows["ResultItems"]] == ["QUESTION_ANSWER"]
    (pair,) = rows["FacetResults"][0]["DocumentAttributeValueCountPairs"]
    assert (pair["DocumentAttributeValue"], pair["Count"]) == ({"StringValue": "Sales"}, 1)


def test_featured_documents_stand_above_and_not_again_below(client: Client, ferries: Index) -> None:
    featured = [{"Id": "crew/rota.md"}, {"Id": "fares.md"}, {"Id": "gone.md"}]
    client.create_featured_results_set(
        IndexId=ferries.uid, FeaturedResultsSetName="s", QueryTexts=["bicycle ferry"], FeaturedDocuments=featured
    )
    index = QueryIndex(ferries, embedder=BagOfStems())
    results = index.search(" Bicycle  FERRY ", facets=["department"])
    plain = index.search("ferry bicycle", facets=["department"])
    assert ids(results.featured) == ["crew/rota.md", "fares.md"]
    assert ids(results) == [name for name in ids(plain) if name != "fares.md"]
    assert results.total == plain.total - 1
    assert results.facets == plain.facets
    assert results.featured[1].excerpt == plain[ids(plain).index("fares.md")].excerpt
    assert ids(index.search("bicycle ferry", user="eve").featured) == ["fares.md"]
    assert index.search("bicycle ferries").featured == ()


# ---- facets, collapse, relevance


def test_facets_take_numbers_intervals_and_more(query_index: QueryIndex) -> None:
    facets = query_index.search(facets={"tags": 1, "reviewed": "year"}).facets
    assert [count.count for count in facets["tags"]] == [2]
    assert [count.value.isoformat()[:10] for count in facets["reviewed"]] == ["2023-01-01", "2024-01-01"]
    (operations, _) = query_index.search(facets=Facet("department", nested="tags")).facets["department"]
    assert [(c.value, c.count) for c in operations.nested or ()] == [("bicycle", 1), ("crew", 1), ("deck", 1)]


def test_facets_as_a_data_frame(query_index: QueryIndex) -> None:
    pytest.importorskip("pandas")
    frame = query_index.search(facets=[Facet("department", nested="_category"), "tags"]).facets_to_pandas()
    assert list(frame.columns) == ["facet", "value", "count", "within"]
    inner = frame[frame["within"] == "Operations"]
    assert list(zip(inner["value"], inner["count"], strict=True)) == [("crew", 1), ("deck", 1)]
    assert list(frame[frame["facet"] == "tags"]["count"]) == [2, 1, 1, 1]


def test_relevance_for_one_search(query_index: QueryIndex) -> None:
    plain = query_index.search("bicycle ferry")
    assert ids(plain)[0] == "deck/bicycles.md"
    boosted = query_index.search("bicycle ferry", boost={"department": {"ValueImportanceMap": {"Sales": 10}}})
    assert set(ids(boosted)) == set(ids(plain))
    by_id = {item.document_id: item.score for item in plain}
    for item in boosted:
        moved = (item.score or 0) > (by_id[item.document_id] or 0)
        assert moved == (item.attributes["department"] == "Sales")
    assert ids(query_index.search("bicycle ferry", boost={"priority": 1})) == ids(plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"facets": [Facet("tags", -1)]}, "Expected a whole number of at least 0, got -1 - at `facets`"),
        (
            {"facets": [Facet("tags", interval="year")]},
            "Expected a date or a number to count by intervals, got 'tags', of type ST",
        ),
        ({"facets": {"reviewed": "decade"}}, "Expected one of year, quarter, month, week, day, hour for a date"),
        ({"facets": [Facet("priority", interval="year")]}, "Expected an interval of numbers above 0, got 'year'"),
        ({"facets": [Facet("priority", interval=0)]}, "Expected an interval of numbers above 0, got 0"),
        ({"facets": [Facet("tags", nested=Facet("tags", nested="tags"))]}, "at most 1 nested facet - at `facets`"),
        ({"facets": [7]}, "Expected names of attributes, or Facet, got 7"),
        ({"sort": [7]}, "Expected names of attributes, got 7 - at `sort`"),
        ({"collapse": "tags"}, "'tags' is not sortable - at `collapse`"),
        ({"collapse": 7}, "Expected the name of an attribute, or CollapseBy, got 7"),
        ({"collapse": CollapseBy("priority", missing="DROP")}, "Expected one of COLLAPSE, IGNORE, EXPAND, got 'DROP'"),  # type: ignore[arg-type]
        ({"collapse": CollapseBy("priority", expand=-1)}, "got -1 - at `collapse.expand`"),
        ({"boost": {"nope": 2}}, "has no field 'nope' - at `boost`"),
        ({"boost": {"priority": 11}}, "Expected a whole number from 1 to 10, got 11 - at `boost.priority.Importance`"),
        ({"boost": {"tags": {"Freshness": True}}}, "Freshness does not apply to the field 'tags'"),
        ({"boost": ["priority"]}, "Expected an object of attributes"),
        ({"token": "t", "user": "ann"}, "Expected either `token`, or `user` and `groups`, got both"),
        ({"groups": "crew"}, "Expected a list of groups, got the text 'crew'"),
    ],
)
def test_options_that_are_refused(query_index: QueryIndex, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        query_index.search("ferry", **options)
    assert message in str(caught.value)


# ---- syntax, spelling, explanation, journal


def test_operators_in_the_text(query_index: QueryIndex) -> None:
    assert set(ids(query_index.search("bicycle NOT fares"))) == {"deck/bicycles.md", "fahrrad.md"}
    everything = query_index.search("bicycle NOT fares", syntax=False)
    assert "fares.md" in ids(everything)
    results = query_index.search("department:Sales")
    assert ids(results) == ["fahrrad.md", "fares.md"]
    assert [item.score for item in results] == [None, None]
    broken = query_index.search("bicycle OR")
    assert len(broken.warnings) == 1
    assert ids(broken) == ids(query_index.search("bicycle OR", syntax=False))
    assert "plain words" in broken._repr_html_()


def test_fields_that_are_not_displayable_are_not_returned_when_requested(client: Client, ferries: Index) -> None:
    def returned(client: Client) -> set[str]:
        names = ["_created_at", "department", "priority", "nope"]
        response = client.query(IndexId=ferries.uid, QueryText="day pass", RequestedDocumentAttributes=names)
        return {each["Key"] for item in response["ResultItems"] for each in item["DocumentAttributes"]}

    assert returned(client) == {"_created_at", "department", "priority"}
    strict = Client(ferries.bucket.store, embedder=BagOfStems(), settings=Settings(strict_fields=True))
    assert returned(strict) == {"department", "priority"}
    hidden = {"Name": "priority", "Type": "LONG_VALUE", "Search": {"Displayable": False}}
    client.update_index(Id=ferries.uid, DocumentMetadataConfigurationUpdates=[hidden])
    assert returned(client) == {"_created_at", "department"}


def test_words_beyond_the_limit_do_not_count(ferries: Index) -> None:
    text = " ".join(f"nothing{n}" for n in range(30)) + " purser"
    strict = QueryIndex(ferries, embedder=BagOfStems(), settings=Settings(limits=KENDRA, journal=False))
    lifted = QueryIndex(ferries, embedder=BagOfStems())
    first = [item.score for item in strict.search(text)]
    assert first == [item.score for item in strict.search(text.removesuffix(" purser"))]
    assert strict.retrieve(text) == strict.retrieve(text.removesuffix(" purser"))
    assert lifted.explain(text).text == text


def test_an_explanation_takes_what_a_search_takes(query_index: QueryIndex) -> None:
    told = query_index.explain("bicycle ferry", where={"department": "Sales"}, user="eve")
    found = query_index.search("bicycle ferry", where={"department": "Sales"}, user="eve")
    assert [item.document_id for item in told.items] == ids(found)
    assert [item.score for item in told.items] == [item.score for item in found]
    (one,) = query_index.explain("bicycle ferry", "deck/bicycles.md", where={"department": "Sales"}).items
    assert one.missing == "the filter leaves it out"
    with pytest.raises(InvalidRequest, match="Expected text, got ' '"):
        query_index.explain(" ")


def test_the_client_keeps_a_journal_and_a_search_only_when_told(client: Client, ferries: Index) -> None:
    index = QueryIndex(ferries, embedder=BagOfStems())
    index.search("ferry")
    assert asked(index.notes) == []
    response = client.query(IndexId=ferries.uid, QueryText="Bicycle Ferry", VisitorId="v-1")
    client.query(IndexId=ferries.uid, Facets=[{"DocumentAttributeKey": "department"}])
    (entry,) = asked(index.notes)
    assert (entry.id, entry.text) == (response["QueryId"], "bicycle ferry")
    assert [(each.type, each.document) for each in entry.shown] == [
        (item["Type"], item["DocumentId"]) for item in response["ResultItems"]
    ]
    found = QueryIndex(ferries, embedder=BagOfStems(), settings=Settings()).search("noon ferry")
    assert [entry.id for entry in asked(index.notes)] == [response["QueryId"], found.query_id]


def test_one_vector_serves_every_stage(store: Store) -> None:
    class Counting(BagOfStems):
        def __init__(self) -> None:
            self.asked: list[str] = []

        def embed_query(self, text: str) -> Any:
            self.asked.append(text)
            return super().embed_query(text)

    index = fill(store, FERRIES, types=TYPES)
    counting = Counting()
    query = QueryIndex(index, embedder=counting)
    query.add_faq([{"question": "Must I reserve?", "answer": "No."}], name="faq")
    counting.asked.clear()
    query.search(
        "must I reserve a space?", where={"department": "Sales"}, facets=[Facet("department", disjunctive=True)]
    )
    assert counting.asked == ["must I reserve a space?"]
