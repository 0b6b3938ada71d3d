"""What is learnt shows in Query: feedback moves documents, synonyms are shown, spelling is corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kendra_corpus import FERRIES, TYPES, BagOfStems, fill

from ragvec.kendra.client import Client
from ragvec.kendra.limits import NATIVE
from ragvec.kendra.settings import Settings
from ragvec.store import Index, Store

PAGES = [
    *FERRIES,
    {"id": "north", "title": "North pier", "text": "The kiosk at the north pier sells coffee and tickets."},
    {"id": "south", "title": "South pier", "text": "The kiosk at the south pier sells coffee and tickets."},
]
ANA = {"UserContext": {"UserId": "ana"}}
CREW = {"UserContext": {"UserId": "ana", "Groups": ["crew"]}}


@pytest.fixture
def index(store: Store) -> Index:
    index = fill(store, PAGES, types=TYPES)
    for field in ("_text", "_document_title"):
        index.add_text(field, language="en")
    return index


@pytest.fixture
def client(store: Store, tmp_path: Path) -> Client:
    return Client(store, embedder=BagOfStems(), folders={"files": tmp_path})


def found(client: Client, index: Index, text: str, **members: Any) -> dict[str, Any]:
    return client.query(IndexId=index.uid, QueryText=text, QueryResultTypeFilter="DOCUMENT", **members)


def ids(response: dict[str, Any]) -> list[str]:
    return [item["DocumentId"] for item in response["ResultItems"]]


def test_feedback_moves_documents_of_the_same_query(client: Client, index: Index) -> None:
    before = found(client, index, "kiosk coffee tickets", VisitorId="v1")
    first, second = before["ResultItems"][:2]
    assert {first["DocumentId"], second["DocumentId"]} == {"north", "south"}
    for visitor in ("v1", "v2"):
        asked = found(client, index, "kiosk coffee tickets", VisitorId=visitor)
        items = {item["DocumentId"]: item["Id"] for item in asked["ResultItems"]}
        client.submit_feedback(
            IndexId=index.uid,
            QueryId=asked["QueryId"],
            RelevanceFeedbackItems=[{"ResultId": items[second["DocumentId"]], "RelevanceValue": "RELEVANT"}],
        )
    assert ids(found(client, index, "tickets, coffee: the kiosk?"))[:2] == [second["DocumentId"], first["DocumentId"]]
    assert ids(found(client, index, "kiosk coffee"))[:2] == ids(before)[:2]


def test_a_synonym_is_highlighted_as_such(client: Client, index: Index, tmp_path: Path) -> None:
    def items(response: dict[str, Any]) -> list[dict[str, Any]]:
        return [item for item in response["ResultItems"] if item["DocumentId"] == "north"]

    def marked(response: dict[str, Any]) -> set[tuple[str, str]]:
        excerpt = items(response)[0]["DocumentExcerpt"]
        return {(excerpt["Text"][h["BeginOffset"] : h["EndOffset"]], h["Type"]) for h in excerpt["Highlights"]}

    assert marked(found(client, index, "espresso kiosk")) == {("kiosk", "STANDARD")}
    (tmp_path / "words.txt").write_text("espresso => coffee\n", encoding="utf-8")
    source = {"Bucket": "files", "Key": "words.txt"}
    client.create_thesaurus(IndexId=index.uid, Name="words", RoleArn="", SourceS3Path=source)
    response = found(client, index, "espresso kiosk")
    assert marked(response) == {("kiosk", "STANDARD"), ("coffee", "THESAURUS_SYNONYM")}


def test_spelling_is_corrected_for_whom_it_may_be(client: Client, index: Index) -> None:
    asked = {"SpellCorrectionConfiguration": {"IncludeQuerySpellCheckSuggestions": True}}
    (corrected,) = found(client, index, "coffe on the fery", **asked, **ANA)["SpellCorrectedQueries"]
    assert corrected["SuggestedQueryText"] == "coffee on the ferry"
    assert [
        (each["Term"], each["CorrectedTerm"], each["BeginOffset"], each["EndOffset"])
        for each in corrected["Corrections"]
    ] == [("coffe", "coffee", 0, 6), ("fery", "ferry", 14, 19)]
    assert not found(client, index, "pursr", **asked, **ANA).get("SpellCorrectedQueries")
    (corrected,) = found(client, index, "pursr", **asked, **CREW)["SpellCorrectedQueries"]
    assert corrected["SuggestedQueryText"] == "purser"


def test_featured_documents_are_shown_to_those_who_may_see_them(client: Client, index: Index) -> None:
    client.create_featured_results_set(
        IndexId=index.uid,
        FeaturedResultsSetName="Kiosks",
        QueryTexts=["kiosk coffee"],
        FeaturedDocuments=[{"Id": "crew/rota.md"}, {"Id": "south"}, {"Id": "gone"}],
    )
    featured = [item["DocumentId"] for item in found(client, index, "Kiosk  COFFEE", **ANA)["FeaturedResultsItems"]]
    assert featured == ["south"]
    featured = [item["DocumentId"] for item in found(client, index, "Kiosk  COFFEE", **CREW)["FeaturedResultsItems"]]
    assert featured == ["crew/rota.md", "south"]


def test_a_client_that_keeps_no_journal_learns_nothing(store: Store, index: Index) -> None:
    client = Client(store, embedder=BagOfStems(), settings=Settings(journal=False))
    asked = found(client, index, "kiosk coffee")
    said = [{"ResultId": asked["ResultItems"][0]["Id"], "RelevanceValue": "RELEVANT"}]
    with pytest.raises(client.exceptions.ResourceUnavailableException):
        client.submit_feedback(IndexId=index.uid, QueryId=asked["QueryId"], RelevanceFeedbackItems=said)
    assert client.get_query_suggestions(IndexId=index.uid, QueryText="kiosk")["Suggestions"] == []


def test_what_is_made_with_tags_has_them_until_it_goes(client: Client, index: Index, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("bike, bicycle", encoding="utf-8")
    given = {
        "IndexId": index.uid,
        "Name": "words",
        "RoleArn": "",
        "SourceS3Path": {"Bucket": "files", "Key": "words.txt"},
        "Tags": [{"Key": "team", "Value": "crew"}],
    }
    made = {
        "thesaurus": client.create_thesaurus(**given)["Id"],
        "query-suggestions-block-list": client.create_query_suggestions_block_list(**given)["Id"],
        "featured-results-set": client.create_featured_results_set(
            IndexId=index.uid, FeaturedResultsSetName="words", Tags=given["Tags"]
        )["FeaturedResultsSet"]["FeaturedResultsSetId"],
    }

    def tags(kind: str) -> Any:
        arn = f"arn:aws:kendra:local:000000000000:index/{index.uid}/{kind}/{made[kind]}"
        return client.list_tags_for_resource(ResourceARN=arn)["Tags"]

    for kind in made:
        assert tags(kind) == given["Tags"]
    client.delete_thesaurus(IndexId=index.uid, Id=made["thesaurus"])
    client.delete_query_suggestions_block_list(IndexId=index.uid, Id=made["query-suggestions-block-list"])
    client.batch_delete_featured_results_set(IndexId=index.uid, FeaturedResultsSetIds=[made["featured-results-set"]])
    assert index.property("kendra.tags") is None
    for kind in made:
        with pytest.raises(client.exceptions.ClientError):
            tags(kind)


def test_limits_are_lifted_by_settings(store: Store, index: Index, tmp_path: Path) -> None:
    settings = Settings(limits=NATIVE)
    client = Client(store, embedder=BagOfStems(), folders={"files": tmp_path}, settings=settings)
    (tmp_path / "words.txt").write_text("a1 => " + ", ".join(f"b{n}" for n in range(40)), encoding="utf-8")
    source = {"Name": "words", "RoleArn": "", "SourceS3Path": {"Bucket": "files", "Key": "words.txt"}}
    made = client.create_thesaurus(IndexId=index.uid, **source)["Id"]
    assert client.describe_thesaurus(IndexId=index.uid, Id=made)["TermCount"] == 41
    featured = client.create_featured_results_set(
        IndexId=index.uid,
        FeaturedResultsSetName="many",
        QueryTexts=[f"kiosk {n:02}" for n in range(60)],
        FeaturedDocuments=[{"Id": page["id"]} for page in PAGES],
    )["FeaturedResultsSet"]
    assert (len(featured["QueryTexts"]), len(featured["FeaturedDocuments"])) == (60, len(PAGES))
    for number in range(20):
        found(client, index, f"kiosk {number:02}", **ANA)
    suggested = client.get_query_suggestions(IndexId=index.uid, QueryText="kiosk", MaxSuggestionsCount=50)
    assert len(suggested["Suggestions"]) == 20
