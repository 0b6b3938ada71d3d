"""What a found document looks like: languages, excerpts, passages, typed items, HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from kendra_corpus import FERRIES, BagOfStems, fill

from ragvec.errors import InvalidRequest
from ragvec.kendra import Client, QueryIndex, Settings
from ragvec.kendra.model.check import ParamValidationError
from ragvec.kendra.results import Count, Passages
from ragvec.store import Index, Store
from ragvec.text.highlight import Span

EVERY_FIELD = [{"DocumentAttributeKey": "department"}]


def ids(response: dict[str, Any]) -> list[str]:
    return [item["DocumentId"] for item in documents(response)]


def documents(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in response["ResultItems"] if item["Type"] == "DOCUMENT"]


def test_the_worked_example(client: Client, ferries: Index) -> None:
    response = client.query(IndexId=ferries.uid, QueryText="how many bicycles fit on the morning ferry")
    assert [item["Type"] for item in response["ResultItems"][:2]] == ["ANSWER", "DOCUMENT"]
    assert response["ResultItems"][0]["DocumentId"] == "deck/bicycles.md"
    first, second = documents(response)[:2]
    assert (first["DocumentId"], second["DocumentId"]) == ("deck/bicycles.md", "fares.md")
    assert first["DocumentTitle"]["Text"] == "Bicycles on Brightwater ferries"
    places = [(h["BeginOffset"], h["EndOffset"]) for h in first["DocumentExcerpt"]["Highlights"]]
    assert places == [(6, 13), (14, 19), (37, 45), (56, 61), (71, 79), (159, 166)]
    assert [(h["BeginOffset"], h["EndOffset"]) for h in first["DocumentTitle"]["Highlights"]] == [(0, 8), (24, 31)]
    assert second["DocumentTitle"]["Highlights"] == []
    assert first["Id"].startswith(response["QueryId"] + "-")
    assert len(first["Id"]) == 73
    assert first["FeedbackToken"].endswith("." + first["Id"])


def test_every_language_is_searched_unless_a_setting_or_the_filter_says_otherwise(store: Store, ferries: Index) -> None:
    german = {"EqualsTo": {"Key": "_language_code", "Value": {"StringValue": "de"}}}
    ours = Client(store, embedder=BagOfStems())
    theirs = Client(store, embedder=BagOfStems(), settings=Settings(language="en"))
    members = {"IndexId": ferries.uid, "QueryText": "Fahrräder"}
    assert ids(ours.query(**members)) == ["fahrrad.md"]
    assert ids(theirs.query(**members)) == []
    assert ids(theirs.query(**members, AttributeFilter=german)) == ["fahrrad.md"]
    assert ids(theirs.query(**members, AttributeFilter={"AndAllFilters": [german]})) == ["fahrrad.md"]
    assert ids(theirs.retrieve(**members)) == []
    index = QueryIndex(ferries, embedder=BagOfStems(), settings=Settings(language="en"))
    assert index.search("Fahrräder").total == 0
    assert index.search("Fahrräder", where={"_language_code": "de"}).total == 1


def test_browsing_shows_how_each_document_begins(client: Client, ferries: Index) -> None:
    response = client.query(IndexId=ferries.uid, Facets=EVERY_FIELD)
    assert ids(response) == sorted(document["id"] for document in FERRIES)
    for item in response["ResultItems"]:
        (document,) = [x for x in FERRIES if x["id"] == item["DocumentId"]]
        beginning = document["text"].split("\n\n")[0]
        assert item["DocumentExcerpt"]["Text"].removesuffix("...") == beginning
        assert item["DocumentExcerpt"]["Highlights"] == item["DocumentTitle"]["Highlights"] == []
        assert item["ScoreAttributes"] == {"ScoreConfidence": "NOT_AVAILABLE"}


def test_browsing_by_page_number_finds_documents_that_have_such_a_page(store: Store) -> None:
    index = fill(store, [{"id": "a.pdf", "text": "one.\n\ntwo.\n\nthree."}, {"id": "b.pdf", "text": "one."}])
    for record in list(index.iter()):
        page = {**(record.metadata or {}), "_excerpt_page_number": (record.metadata or {})["_passage"] + 1}
        index.put([record.key], index.get([record.key])[0].data[None], [page])
    client = Client(store, embedder=BagOfStems())
    third = {"EqualsTo": {"Key": "_excerpt_page_number", "Value": {"LongValue": 3}}}
    response = client.query(IndexId=index.uid, AttributeFilter=third)
    assert ids(response) == ["a.pdf"]
    assert response["ResultItems"][0]["DocumentExcerpt"]["Text"] == "...three."
    assert [item.excerpt for item in QueryIndex(index).search(where={"_passage": {"$gte": 1}})] == ["...two...."]


def test_highlights_stand_on_the_words_of_unicode_text(store: Store) -> None:
    text = "🚲 𝒳𝒴 naïve riders — the cafe\u0301’s bicycles 🚲🚲 (two “ferries”) " * 12
    index = fill(store, [{"id": "x", "title": "👩‍🚀 Café ferry", "text": text}])
    (item,) = documents(Client(store, embedder=BagOfStems()).query(IndexId=index.uid, QueryText="CAFE bicycle ferry"))
    for part, allowed in (
        (item["DocumentExcerpt"], {"cafe\u0301’s", "bicycles", "ferries"}),
        (item["DocumentTitle"], {"Café", "ferry"}),
    ):
        marked = {part["Text"][h["BeginOffset"] : h["EndOffset"]] for h in part["Highlights"]}
        assert marked == allowed
    assert len(item["DocumentExcerpt"]["Text"]) <= 300


def test_a_document_without_title_uri_or_attributes(store: Store) -> None:
    index = fill(store, [{"id": "bare", "text": "ferry"}])
    (item,) = documents(Client(store, embedder=BagOfStems()).query(IndexId=index.uid, QueryText="ferry"))
    assert item["DocumentTitle"] == {"Text": "", "Highlights": []}
    assert (item["DocumentURI"], item["DocumentAttributes"], item["AdditionalAttributes"]) == ("", [], [])


# ---- passages


def test_retrieve_gives_whole_passages_of_one_document_too(client: Client, ferries: Index) -> None:
    items = client.retrieve(IndexId=ferries.uid, QueryText="bicycle")["ResultItems"]
    assert [item["DocumentId"] for item in items].count("deck/bicycles.md") == 2
    paragraphs = FERRIES[0]["text"].split("\n\n")
    assert {item["Content"] for item in items if item["DocumentId"] == "deck/bicycles.md"} == set(paragraphs)
    assert items[0]["DocumentTitle"] == "Bicycles on Brightwater ferries"
    assert items[0].keys() == {
        "Id", "DocumentId", "DocumentTitle", "Content", "DocumentURI", "DocumentAttributes", "ScoreAttributes",
    }  # fmt: skip


def test_a_passage_mostly_said_already_is_not_repeated(store: Store) -> None:
    index = fill(store, [{"id": "x", "text": "ferry bicycle.\n\nferry.\n\nferry deck."}])
    first, second, third = (record.key for record in index.iter())
    for key, begin, end in ((first, 0, 100), (second, 10, 100), (third, 90, 200)):
        record = index.get([key])[0]
        index.put([key], record.data[None], [{**record.metadata, "_begin": begin, "_end": end}])
    found = QueryIndex(index, embedder=BagOfStems()).retrieve("ferry bicycle deck")
    assert sorted((item.begin, item.end) for item in found) == [(0, 100), (90, 200)]


def test_a_long_passage_is_cut_to_two_hundred_words_that_matter(store: Store) -> None:
    index = fill(store, [{"id": "x", "text": "noise " * 300 + "the bicycle ferry. " + "noise " * 300}])
    (item,) = Client(store, embedder=BagOfStems(), settings=Settings()).retrieve(
        IndexId=index.uid, QueryText="noise bicycle ferry"
    )["ResultItems"]
    assert len(item["Content"].split()) <= 200
    assert "bicycle ferry" in item["Content"]
    assert "..." not in item["Content"]


def test_retrieve_pages_without_overlap(store: Store) -> None:
    index = fill(store, [{"id": f"{n}", "text": "ferry\n\nferry deck\n\nbicycle ferry"} for n in range(9)])
    client = Client(store, embedder=BagOfStems())
    whole = client.retrieve(IndexId=index.uid, QueryText="ferry", PageSize=100)["ResultItems"]
    paged = [
        item
        for page in range(1, 8)
        for item in client.retrieve(IndexId=index.uid, QueryText="ferry", PageNumber=page, PageSize=4)["ResultItems"]
    ]
    assert len(whole) == 27
    assert [(x["DocumentId"], x["Content"]) for x in paged] == [(x["DocumentId"], x["Content"]) for x in whole]


@pytest.mark.parametrize("member", ["Facets", "SortingConfiguration", "QueryResultTypeFilter", "VisitorId"])
def test_retrieve_knows_less_than_query(client: Client, ferries: Index, member: str) -> None:
    with pytest.raises(ParamValidationError, match=f'Unknown parameter in input: "{member}", must be one of: IndexId'):
        client.retrieve(IndexId=ferries.uid, QueryText="ferry", **{member: "x"})


def test_retrieve_needs_text(client: Client, ferries: Index, query_index: QueryIndex) -> None:
    with pytest.raises(ParamValidationError, match='Missing required parameter in input: "QueryText"'):
        client.retrieve(IndexId=ferries.uid)
    for text in ("", "  "):
        with pytest.raises(client.exceptions.ValidationException, match="Expected text, got none - at `QueryText`"):
            client.retrieve(IndexId=ferries.uid, QueryText=text)
    with pytest.raises(InvalidRequest, match="at `text`"):
        query_index.retrieve(" ")


# ---- typed results


def test_items_carry_what_a_person_asks_for(query_index: QueryIndex) -> None:
    results = query_index.search("bicycle ferry", facets=["department", "reviewed"], where={"department": "Operations"})
    (item,) = results
    assert (item.document_id, item.title, item.uri) == (
        "deck/bicycles.md", "Bicycles on Brightwater ferries", "https://ferry.example/handbook/bicycles",
    )  # fmt: skip
    assert item.title_highlights == (Span(0, 8), Span(24, 31))
    assert item.excerpt[item.highlights[0].begin : item.highlights[0].end] == "ferry"
    assert item.passage == FERRIES[0]["text"].split("\n\n")[0]
    assert item.attributes["_created_at"].isoformat() == "2022-04-15T05:20:00+00:00"
    assert item.attributes["tags"] == ("bicycle", "deck")
    assert not item.attributes.keys() & {"_text", "_hash", "_passage", "_acl_allow", "_document_id"}
    assert [(count.value, count.count) for count in results.facets["department"]] == [("Operations", 1)]
    assert results.facets["reviewed"][0].value.year == 2023
    assert repr(results) == "<SearchResults: 1 document for 'bicycle ferry'>"
    assert repr(query_index.search("???")) == "<SearchResults: no documents for '???'>"
    assert repr(query_index.search(page_size=3)) == "<SearchResults: 4 documents, page 1 of 2>"
    assert (results[0], results[:1], len(results)) == (item, (item,), 1)


def test_facets_take_names_or_numbers(query_index: QueryIndex) -> None:
    assert len(query_index.search(facets={"tags": 2}).facets["tags"]) == 2
    assert len(query_index.search(facets={"tags": None}).facets["tags"]) == 4
    assert query_index.search(facets="department").facets.keys() == {"department"}
    with pytest.raises(InvalidRequest, match="no field 'dept' - at `facets`"):
        query_index.search(facets=["dept"])
    with pytest.raises(InvalidRequest, match="'tags' is not sortable - at `sort`"):
        query_index.search(sort="-tags")


def test_results_as_a_data_frame(query_index: QueryIndex) -> None:
    pytest.importorskip("pandas")
    frame = query_index.search(sort="-_view_count").to_pandas()
    assert list(frame.columns[:6]) == ["document_id", "title", "score", "confidence", "excerpt", "uri"]
    assert list(frame["document_id"][:2]) == ["fares.md", "deck/bicycles.md"]
    assert frame["_view_count"].to_list()[:2] == [900, 40]
    assert query_index.search("???").to_pandas().empty


class Collected(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = "<script>alert('ferry')</script><img src=x onerror=\"alert(1)\"> & <b>ferry</b>"


@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", 'https://x.example/"onmouseover="alert(1)', " JavaScript:alert(1)"]
)
def test_hostile_text_is_shown_and_not_run(store: Store, uri: str) -> None:
    document = {
        "id": HOSTILE,
        "title": HOSTILE,
        "text": HOSTILE,
        "_source_uri": uri,
        "team": HOSTILE,
        "tags": [HOSTILE],
    }
    index = fill(store, [document], types={"team": "STRING_VALUE", "tags": "STRING_LIST_VALUE", "<i>": "STRING_VALUE"})
    results = QueryIndex(index, embedder=BagOfStems()).search(f"ferry {HOSTILE}", facets=["team", "tags", "<i>"])
    assert len(results) == 1
    page = Collected()
    page.feed(results._repr_html_())
    assert {tag for tag, _ in page.tags} <= {"div", "b", "i", "bdi", "ol", "li", "mark", "small", "a"}
    for tag, attributes in page.tags:
        assert attributes.keys() <= {"href", "rel", "style", "dir", "start"}
        assert tag != "a" or attributes["href"] == uri
        assert not (attributes.get("href") or "").lower().strip().startswith("javascript")
    assert page.text.count("onerror") >= 4
    assert ("a" in {tag for tag, _ in page.tags}) == uri.startswith("https")


def test_reprs_are_short_and_cut_long_texts(store: Store) -> None:
    document = {"id": "d", "title": "T" * 100, "text": "ferry " * 80, "created_at": "2024-05-06", "open": True}
    query = QueryIndex(fill(store, [document], types={"open": "BOOLEAN"}), embedder=BagOfStems())
    (item,) = query.search("ferry")
    title = f"'{'T' * 59}…'"
    assert repr(item) == f"<Item 'd': {title}, {item.confidence} {item.score:.2f}>"
    assert repr(query.search()[0]) == f"<Item 'd': {title}>"
    passage = query.retrieve("ferry")[0]
    assert repr(passage).startswith(f"<PassageItem 'd'[{passage.begin}:{passage.end}]: {title}, ")
    shown = passage._repr_html_()
    assert f"characters {passage.begin} to {passage.end}" in shown
    assert "<ol" not in shown
    assert repr(Count("a", 2)) == "Count('a', 2)"


@pytest.mark.parametrize(("page", "first"), [(1, 1), (2, 3), (3, 5)])
def test_items_are_numbered_through_the_pages(store: Store, page: int, first: int) -> None:
    query = QueryIndex(
        fill(store, [{"id": f"d{number}", "text": "ferry"} for number in range(5)]), embedder=BagOfStems()
    )
    results = query.search("ferry", page=page, page_size=2)
    assert f'<ol start="{first}">' in results._repr_html_()


def test_passages_are_a_tuple_with_a_table_and_a_page(store: Store) -> None:
    pytest.importorskip("pandas")
    index = fill(store, [{"id": "<d>", "title": "T", "text": "ferry <i>one</i>\n\nferry two", "category": "c"}])
    passages = QueryIndex(index, embedder=BagOfStems()).retrieve("ferry")
    assert isinstance(passages, tuple)
    frame = passages.to_pandas()
    assert list(frame["text"]) == [passage.text for passage in passages]
    assert list(frame.columns[:4]) == ["document_id", "title", "score", "confidence"]
    assert "category" in frame
    shown = passages._repr_html_()
    assert shown.count("<li") == len(passages) == 2
    assert "&lt;i&gt;one" in shown
    assert "<i>one" not in shown
    assert Passages()._repr_html_().count("<li") == 0
