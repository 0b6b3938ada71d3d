"""Featured results sets: which documents a query features, whose a query text is, and the operations on sets."""

from __future__ import annotations

import pytest

from ragvec.errors import InvalidRequest, QuotaExceeded, ResourceNotFound
from ragvec.kendra.client import Client
from ragvec.kendra.errors import FeaturedResultsConflict
from ragvec.kendra.learn.featured import (
    change_set,
    create_set,
    delete_set,
    featured_documents,
    featured_set,
    featured_sets,
)
from ragvec.kendra.notes import Notes
from ragvec.store import Index


@pytest.fixture
def notes(ferries: Index) -> Notes:
    return Notes(ferries)


def members(name: str, *queries: str, documents: tuple[str, ...] = ("fares.md",)) -> dict[str, object]:
    return {
        "FeaturedResultsSetName": name,
        "QueryTexts": list(queries),
        "FeaturedDocuments": [{"Id": document} for document in documents],
    }


def test_documents_are_featured_for_the_whole_query_in_listed_order(notes: Notes) -> None:
    create_set(notes, members("Fares", "What  is a Fare?", documents=("fares.md", "crew/rota.md")))

    for query in ("what is a fare?", " WHAT IS A\tFARE?  "):
        assert featured_documents(notes, query) == ("fares.md", "crew/rota.md")
    for query in ("what is a fare", "a fare?", "what is a fare? now", "", "  "):
        assert featured_documents(notes, query) == ()


def test_an_inactive_set_features_nothing_but_keeps_its_texts(notes: Notes) -> None:
    made = create_set(notes, {**members("Fares", "fares"), "Status": "INACTIVE"})

    assert featured_documents(notes, "fares") == ()
    with pytest.raises(FeaturedResultsConflict, match="The query 'FARES ' belongs to .* 'Fares' already") as caught:
        create_set(notes, members("Others", "bicycle", "FARES "))
    assert caught.value.items == ({"QueryText": "FARES ", "SetName": "Fares", "SetId": made.id},)
    assert [each.name for each in featured_sets(notes)] == ["Fares"]


def test_a_change_replaces_what_is_given_and_keeps_the_rest(notes: Notes) -> None:
    made = create_set(notes, members("Fares", "fares"), clock=lambda: 100.9)
    changed = change_set(notes, made.id, {"QueryTexts": ["passes", "fares"]}, clock=lambda: 200.0)

    assert (changed.name, changed.documents, changed.queries) == ("Fares", ("fares.md",), ("passes", "fares"))
    assert (changed.created, changed.updated) == (100, 200)
    assert featured_set(notes, made.id) == changed
    assert featured_documents(notes, "passes") == ("fares.md",)


def test_a_change_cannot_take_the_text_of_another_set(notes: Notes) -> None:
    create_set(notes, members("Fares", "fares"))
    other = create_set(notes, members("Bicycles", "bicycles"))
    with pytest.raises(FeaturedResultsConflict):
        change_set(notes, other.id, {"QueryTexts": ["Fares"]})
    assert featured_set(notes, other.id) == other


def test_what_was_deleted_is_gone_and_its_texts_are_free(notes: Notes) -> None:
    made = create_set(notes, members("Fares", "fares"))
    delete_set(notes, made.id)

    assert featured_documents(notes, "fares") == ()
    with pytest.raises(ResourceNotFound, match="no featured results set with the id"):
        delete_set(notes, made.id)
    create_set(notes, members("Again", "fares"))


def test_an_index_has_fifty_sets(notes: Notes) -> None:
    for number in range(50):
        create_set(notes, members(f"Set {number}", f"query {number}"))
    with pytest.raises(QuotaExceeded, match="at most 50"):
        create_set(notes, members("One more", "query"))


def test_the_same_token_makes_one_set(notes: Notes) -> None:
    first = create_set(notes, {**members("Fares", "fares"), "ClientToken": "t"})
    assert create_set(notes, {**members("Fares", "fares"), "ClientToken": "t"}) == first
    assert len(featured_sets(notes)) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"FeaturedResultsSetName": " x"}, "text of the form .* at `FeaturedResultsSetName`"),
        ({"QueryTexts": [f"q {i}" for i in range(50)]}, "Expected 0 to 49 entries, got 50 - at `QueryTexts`"),
        ({"QueryTexts": ["a", " "]}, r"Expected a query, got blank text - at `QueryTexts\[1\]`"),
        ({"FeaturedDocuments": [{"Id": str(i)} for i in range(5)]}, "Expected 0 to 4 entries, got 5"),
        ({"FeaturedDocuments": [{"Name": "x"}]}, r"Unknown member 'Name' - at `FeaturedDocuments\[0\]`"),
        ({"Status": "ON"}, "Expected one of ACTIVE, INACTIVE, got 'ON' - at `Status`"),
        ({"Description": "a\x00"}, "without control characters"),
    ],
)
def test_members_are_checked(notes: Notes, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        create_set(notes, {**members("Fares", "fares"), **wrong})
    assert featured_sets(notes) == ()


def test_the_operations_of_a_client(client: Client, ferries: Index) -> None:
    uid = ferries.uid
    made = client.create_featured_results_set(
        IndexId=uid, **members("Fares and more", "fares", documents=("fares.md", "gone.md")), Description="d"
    )["FeaturedResultsSet"]
    assert made["FeaturedDocuments"] == [{"Id": "fares.md"}, {"Id": "gone.md"}]
    assert isinstance(made["CreationTimestamp"], int)

    set_id = made["FeaturedResultsSetId"]
    described = client.describe_featured_results_set(IndexId=uid, FeaturedResultsSetId=set_id)
    assert described["FeaturedDocumentsWithMetadata"] == [
        {"Id": "fares.md", "Title": "Fares and passes", "URI": "https://ferry.example/handbook/fares"}
    ]
    assert described["FeaturedDocumentsMissing"] == [{"Id": "gone.md"}]
    assert described["Description"] == "d"

    other = client.create_featured_results_set(IndexId=uid, **members("B", "b"))["FeaturedResultsSet"]
    first = client.list_featured_results_sets(IndexId=uid, MaxResults=1)
    rest = client.list_featured_results_sets(IndexId=uid, NextToken=first["NextToken"])
    names = [
        each["FeaturedResultsSetName"] for part in (first, rest) for each in part["FeaturedResultsSetSummaryItems"]
    ]
    assert names == ["Fares and more", "B"]
    assert "NextToken" not in rest

    with pytest.raises(client.exceptions.FeaturedResultsConflictException) as caught:
        client.update_featured_results_set(IndexId=uid, FeaturedResultsSetId=set_id, QueryTexts=["B"])
    assert caught.value.response["ConflictingItems"] == [
        {"QueryText": "B", "SetName": "B", "SetId": other["FeaturedResultsSetId"]}
    ]
    unknown = "0" * 36
    deleted = client.batch_delete_featured_results_set(IndexId=uid, FeaturedResultsSetIds=[set_id, unknown])
    assert [(error["Id"], error["ErrorCode"]) for error in deleted["Errors"]] == [(unknown, "InvalidRequest")]
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_featured_results_set(IndexId=uid, FeaturedResultsSetId=set_id)
