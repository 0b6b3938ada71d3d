"""Advanced queries through the client and the Pythonic search."""

from __future__ import annotations

from typing import Any

import pytest
from kendra_corpus import BagOfStems

from ragvec.kendra import Client, QueryIndex, Scale, Settings
from ragvec.store import Index, Store

ALL_RELATED = Scale(least=-2.0, of_best=0.0, medium=0.3, high=0.5, very_high=0.7)
BICYCLES, FARES, ROTA, GERMAN = "deck/bicycles.md", "fares.md", "crew/rota.md", "fahrrad.md"


@pytest.fixture
def client(store: Store) -> Client:
    return Client(store, embedder=BagOfStems(), settings=Settings(scale=ALL_RELATED))


def query(client: Client, index: Index, text: str, **members: Any) -> tuple[set[str], Any]:
    response = client.query(IndexId=index.uid, QueryText=text, QueryResultTypeFilter="DOCUMENT", **members)
    return {item["DocumentId"] for item in response["ResultItems"]}, response


@pytest.mark.parametrize("lists", [False, True], ids=["reading", "lists"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("morning AND ferries", {BICYCLES, FARES}),
        ("morning NOT freight", {FARES, ROTA}),
        ("tandem OR consent", {BICYCLES, ROTA}),
        ("(bicycle AND kronen) OR pass", {GERMAN, FARES}),
        ('"morning ferry"', {BICYCLES}),
        ('"cargo bicycles need"', {BICYCLES}),
        ("cyclis*", {BICYCLES}),
        ("bicycle department:Sales", {FARES, GERMAN}),
        ("department:Sales NOT _language_code:de", {FARES}),
        ("tags:bicycle AND _view_count:>=900", {FARES}),
        ("_created_at:[2022-06-01 TO 2022-12-31] OR tandem", {BICYCLES, FARES, ROTA}),
        ("zeppelin AND ferry", set()),
        ("_category:zeppelin", set()),
    ],
)
def test_documents_that_a_query_demands(
    client: Client, ferries: Index, text: str, expected: set[str], lists: bool
) -> None:
    if lists:
        for key in ("_text", "_document_title", "_heading"):
            ferries.add_text(key, language="en")
    found, response = query(client, ferries, text, Facets=[{"DocumentAttributeKey": "department"}])
    assert found == expected
    assert response["TotalNumberOfResults"] == len(expected)
    pairs = response["FacetResults"][0]["DocumentAttributeValueCountPairs"]
    assert sum(pair["Count"] for pair in pairs) == len(expected)
    assert "Warnings" not in response
    search = QueryIndex(ferries, embedder=BagOfStems(), settings=client.settings).search
    assert {item.document_id for item in search(text)} == expected


def test_syntax_and_access_hold_together(client: Client, ferries: Index) -> None:
    assert query(client, ferries, "morning NOT freight", UserContext={"UserId": "nobody"})[0] == {FARES}
    assert query(client, ferries, "crew OR pass", UserContext={"UserId": "purser"})[0] == {ROTA, FARES}
    assert query(client, ferries, "crew OR pass", UserContext={"UserId": "mallory", "Groups": ["crew"]})[0] == {FARES}


def test_a_broken_query_is_answered_with_a_warning(client: Client, ferries: Index) -> None:
    found, response = query(client, ferries, "OR morning ferry")
    assert found == {BICYCLES, FARES, ROTA, GERMAN}
    (warning,) = response["Warnings"]
    assert warning["Code"] == "QUERY_LANGUAGE_INVALID_SYNTAX"
    assert warning["Message"] == "The query is read as plain words: an operator has no term beside it"


def test_retrieve_reads_no_syntax(client: Client, ferries: Index) -> None:
    response = client.retrieve(IndexId=ferries.uid, QueryText="morning NOT freight")
    assert BICYCLES in {item["DocumentId"] for item in response["ResultItems"]}


def test_words_beyond_the_thirtieth_do_not_count(client: Client, ferries: Index) -> None:
    many = " ".join(f"word{number}" for number in range(29))
    assert query(client, ferries, f"{many} AND zeppelin")[0] == set()
    assert query(client, ferries, f"{many} bicycle AND zeppelin")[0] == {BICYCLES, FARES, ROTA, GERMAN}
