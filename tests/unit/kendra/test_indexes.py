"""Indexes made, configured and deleted through the client, and their tags."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from kendra_corpus import BagOfStems, fill

from ragvec.kendra import Client, QueryIndex
from ragvec.kendra.attributes import BUILT_IN
from ragvec.store import Index, Store

ROLE = "arn:aws:iam::000000000000:role/kendra"


@pytest.fixture
def made(client: Client) -> str:
    return str(client.create_index(Name="Handbook_2026", RoleArn=ROLE)["Id"])


def fields_of(client: Client, index_id: str) -> dict[str, dict[str, Any]]:
    described = client.describe_index(Id=index_id)
    return {field["Name"]: field for field in described["DocumentMetadataConfigurations"]}


def add_field(client: Client, index_id: str, name: str, kind: str, **more: Any) -> None:
    client.update_index(Id=index_id, DocumentMetadataConfigurationUpdates=[{"Name": name, "Type": kind, **more}])


def test_a_new_index_is_active_empty_and_has_the_fourteen_fields(client: Client, made: str) -> None:
    described = client.describe_index(Id=made)
    assert (described["Name"], described["Id"], described["Status"]) == ("Handbook_2026", made, "ACTIVE")
    assert (described["Edition"], described["RoleArn"]) == ("ENTERPRISE_EDITION", ROLE)
    assert described["UserContextPolicy"] == "ATTRIBUTE_FILTER"
    assert described["IndexStatistics"] == {
        "FaqStatistics": {"IndexedQuestionAnswersCount": 0},
        "TextDocumentStatistics": {"IndexedTextDocumentsCount": 0, "IndexedTextBytes": 0},
    }
    fields = fields_of(client, made)
    assert list(fields) == sorted(field.name for field in BUILT_IN)
    for field in BUILT_IN:
        assert fields[field.name]["Search"] == {
            "Facetable": False, "Searchable": field.searchable,
            "Displayable": field.displayable, "Sortable": field.sortable,
        }  # fmt: skip
    assert fields["_document_title"]["Relevance"]["Importance"] == 2
    assert fields["_created_at"]["Relevance"] == {
        "Freshness": False, "Importance": 1, "Duration": "25920000s", "RankOrder": "ASCENDING",
    }  # fmt: skip
    assert client.query(IndexId=made, QueryText="ferry")["ResultItems"] == []
    assert [item["Id"] for item in client.list_indices()["IndexConfigurationSummaryItems"]] == [made]


def test_a_token_makes_one_index_and_a_name_is_taken_once(client: Client) -> None:
    first = client.create_index(Name="one", RoleArn="", ClientToken="t")["Id"]
    assert client.create_index(Name="one", RoleArn="", ClientToken="t")["Id"] == first
    with pytest.raises(client.exceptions.ConflictException):
        client.create_index(Name="two", RoleArn="", ClientToken="t")
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.create_index(Name="one", RoleArn="", ClientToken="u")
    assert caught.value.response["Error"]["Code"] == "ResourceAlreadyExistException"
    names = ["ONE", "one-", "One_", "o" * 1000, "0", "o" * 999]
    made = {client.create_index(Name=name, RoleArn="")["Id"] for name in names}
    assert len(made | {first}) == len(names) + 1
    assert {client.describe_index(Id=uid)["Name"] for uid in made} == set(names)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"Name": "-a"}, "at `Name`"),
        ({"Name": "a b"}, "at `Name`"),
        ({"Name": "a" * 1001}, "Expected 1 to 1000 characters, got 1001 - at `Name`"),
        ({"Edition": "FREE"}, "Expected one of DEVELOPER_EDITION"),
        ({"UserContextPolicy": "NONE"}, "Expected one of ATTRIBUTE_FILTER, USER_TOKEN"),
        ({"UserTokenConfigurations": [{}]}, "Expected exactly one of Jwt"),
        ({"UserTokenConfigurations": [{"JwtTokenTypeConfiguration": {"KeyLocation": "FILE"}}]}, "one of URL, SECRET"),
        ({"UserGroupResolutionConfiguration": {"UserGroupResolutionMode": "AWS_SSO"}}, "no IAM Identity Center"),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "'a' is there twice"),
        ({"Tags": [{"Key": "a" * 129, "Value": ""}]}, "Expected 1 to 128 characters, got 129 - at `Tags[0].Key`"),
    ],
)
def test_indexes_that_are_refused(client: Client, members: dict[str, Any], message: str) -> None:
    with pytest.raises(client.exceptions.ValidationException) as caught:
        client.create_index(**{"Name": "a", "RoleArn": "", **members})
    assert message in str(caught.value)
    assert client.list_indices()["IndexConfigurationSummaryItems"] == []


def test_fields_are_added_and_changed_and_keep_what_is_not_said(client: Client, made: str) -> None:
    add_field(client, made, "department", "STRING_VALUE")
    plain = fields_of(client, made)["department"]
    assert plain["Search"] == {"Facetable": False, "Searchable": True, "Displayable": True, "Sortable": False}
    assert plain["Relevance"] == {"Importance": 1, "ValueImportanceMap": {}}
    add_field(client, made, "department", "STRING_VALUE", Search={"Facetable": True, "Searchable": False})
    add_field(client, made, "department", "STRING_VALUE", Relevance={"ValueImportanceMap": {"HR": 7}})
    add_field(client, made, "department", "STRING_VALUE", Relevance={"Importance": 3}, Search={"Sortable": True})
    changed = fields_of(client, made)["department"]
    assert changed["Search"] == {"Facetable": True, "Searchable": False, "Displayable": True, "Sortable": True}
    assert changed["Relevance"] == {"Importance": 3, "ValueImportanceMap": {"HR": 7}}
    add_field(client, made, "reviewed", "DATE_VALUE")
    fields = fields_of(client, made)
    assert fields["reviewed"]["Search"]["Searchable"] is False
    assert len(fields) == 16


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"Name": "_category", "Type": "LONG_VALUE"}, "is of type STRING_VALUE, which cannot change: got LONG_VALUE"),
        ({"Name": "x" * 31, "Type": "LONG_VALUE"}, "Expected 1 to 30 characters, got 31"),
        ({"Name": "_mine", "Type": "LONG_VALUE"}, "Only built-in fields begin with '_'"),
        ({"Name": "a b", "Type": "LONG_VALUE"}, "got 'a b' - at `DocumentMetadataConfigurationUpdates[0].Name`"),
        ({"Name": "a", "Type": "DOUBLE"}, "Expected one of STRING_VALUE"),
        ({"Name": "a", "Type": "STRING_LIST_VALUE", "Search": {"Sortable": True}}, "cannot be sorted on"),
        ({"Name": "a", "Type": "LONG_VALUE", "Relevance": {"Importance": 11}}, "Expected a whole number from 1 to 10"),
        ({"Name": "a", "Type": "LONG_VALUE", "Relevance": {"Freshness": True}}, "Freshness does not apply to a field"),
        ({"Name": "a", "Type": "DATE_VALUE", "Relevance": {"Duration": "1d"}}, "Relevance.Duration`"),
        ({"Name": "a", "Type": "DATE_VALUE", "Relevance": {"RankOrder": "UP"}}, "one of ASCENDING, DESCENDING"),
        ({"Name": "a", "Type": "STRING_VALUE", "Relevance": {"ValueImportanceMap": {"x": 11}}}, "from 1 to 10, got 11"),
    ],
)
def test_fields_that_are_refused(client: Client, made: str, update: dict[str, Any], message: str) -> None:
    before = fields_of(client, made)
    with pytest.raises(client.exceptions.ValidationException) as caught:
        client.update_index(
            Id=made, DocumentMetadataConfigurationUpdates=[update, {"Name": "fine", "Type": "LONG_VALUE"}]
        )
    assert message in str(caught.value)
    assert fields_of(client, made) == before


def test_one_field_can_be_fresh_and_five_hundred_can_be(client: Client, made: str) -> None:
    add_field(client, made, "_created_at", "DATE_VALUE", Relevance={"Freshness": True})
    with pytest.raises(client.exceptions.ValidationException, match="Only one field can have Freshness"):
        add_field(client, made, "_last_updated_at", "DATE_VALUE", Relevance={"Freshness": True})
    more = [{"Name": f"f{n}", "Type": "LONG_VALUE"} for n in range(486)]
    client.update_index(Id=made, DocumentMetadataConfigurationUpdates=more)
    assert len(fields_of(client, made)) == 500
    with pytest.raises(client.exceptions.ValidationException, match="at most 500 fields in an index, got 501"):
        add_field(client, made, "surplus", "LONG_VALUE")


def test_flags_decide_what_a_query_may_count_and_sort(client: Client, made: str) -> None:
    facet, order = [{"DocumentAttributeKey": "line"}], {"DocumentAttributeKey": "line", "SortOrder": "ASC"}
    add_field(client, made, "line", "STRING_VALUE")
    with pytest.raises(client.exceptions.ValidationException, match="'line' is not facetable"):
        client.query(IndexId=made, QueryText="ferry", Facets=facet)
    with pytest.raises(client.exceptions.ValidationException, match="'line' is not sortable"):
        client.query(IndexId=made, QueryText="ferry", SortingConfiguration=order)
    add_field(client, made, "line", "STRING_VALUE", Search={"Facetable": True, "Sortable": True})
    client.query(IndexId=made, QueryText="ferry", Facets=facet, SortingConfiguration=order)


def test_words_are_sought_in_searchable_fields_alone(client: Client, made: str) -> None:
    add_field(client, made, "line", "STRING_VALUE")
    add_field(client, made, "tags", "STRING_LIST_VALUE")
    documents = [
        {
            "Id": name,
            "Blob": b"The crew signs on at five.",
            "Attributes": [
                {"Key": "line", "Value": {"StringValue": line}},
                {"Key": "tags", "Value": {"StringListValue": tags}},
            ],
        }
        for name, line, tags in (
            ("a", "Southern bays", ["calm"]),
            ("b", "Northern islands", ["calm"]),
            ("c", "Southern bays", ["winter", "storm"]),
        )
    ]
    assert client.batch_put_document(IndexId=made, Documents=documents)["FailedDocuments"] == []

    def first(text: str) -> str:
        items = client.query(IndexId=made, QueryText=text, QueryResultTypeFilter="DOCUMENT")["ResultItems"]
        assert len(items) == 3
        return str(items[0]["DocumentId"])

    assert (first("crew"), first("crew northern island"), first("crew winter")) == ("a", "b", "a")
    add_field(client, made, "line", "STRING_VALUE", Search={"Searchable": False})
    add_field(client, made, "tags", "STRING_LIST_VALUE", Search={"Searchable": True})
    assert (first("crew"), first("crew northern island"), first("crew winter")) == ("a", "a", "c")


def test_an_index_of_the_pipeline_stays_open_until_a_field_is_configured(client: Client, ferries: Index) -> None:
    before = fields_of(client, ferries.uid)
    client.update_index(
        Id=ferries.uid,
        Name="Ferries",
        DocumentMetadataConfigurationUpdates=[
            {"Name": "department", "Type": "STRING_VALUE", "Search": {"Facetable": False}}
        ],
    )
    after = fields_of(client, ferries.uid)
    assert after.pop("department")["Search"]["Facetable"] is False
    assert before.pop("department")["Search"]["Facetable"] is True
    assert after == before
    assert client.describe_index(Id=ferries.uid)["Name"] == "Ferries"
    assert QueryIndex(ferries, embedder=BagOfStems()).search(facets=["priority"]).total == 4


def test_what_is_updated_is_described(client: Client, made: str) -> None:
    tokens = [{"JsonTokenTypeConfiguration": {"UserNameAttributeField": "user", "GroupAttributeField": "groups"}}]
    client.update_index(
        Id=made, Name="New", Description="of the ferry", RoleArn="arn:aws:iam::1:role/other",
        CapacityUnits={"StorageCapacityUnits": 1, "QueryCapacityUnits": 0},
        UserTokenConfigurations=tokens, UserContextPolicy="USER_TOKEN",
        UserGroupResolutionConfiguration={"UserGroupResolutionMode": "NONE"},
    )  # fmt: skip
    described = client.describe_index(Id=made)
    assert (described["Name"], described["Description"]) == ("New", "of the ferry")
    assert (described["UserTokenConfigurations"], described["UserContextPolicy"]) == (tokens, "USER_TOKEN")
    assert described["CapacityUnits"] == {"StorageCapacityUnits": 1, "QueryCapacityUnits": 0}
    assert described["UserGroupResolutionConfiguration"] == {"UserGroupResolutionMode": "NONE"}
    assert described["UpdatedAt"] >= described["CreatedAt"]
    client.update_index(Id=made)
    again = client.describe_index(Id=made)
    assert {**again, "UpdatedAt": 0, "ResponseMetadata": 0} == {**described, "UpdatedAt": 0, "ResponseMetadata": 0}


def test_a_deleted_index_is_gone(client: Client, made: str) -> None:
    client.delete_index(Id=made)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_index(Id=made)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.delete_index(Id=made)
    assert client.create_index(Name="Handbook_2026", RoleArn="")["Id"] != made


def test_descriptions_have_the_shape_of_the_service(client: Client, made: str) -> None:
    model: Any = botocore.session.get_session().get_service_model("kendra")
    response = client.describe_index(Id=made)
    members = model.operation_model("DescribeIndex").output_shape.members
    assert set(response) - {"ResponseMetadata"} <= set(members)
    for field in response["DocumentMetadataConfigurations"]:
        assert set(field) == set(members["DocumentMetadataConfigurations"].member.members)


# ---- tags


def arn(index_id: str) -> str:
    return f"arn:aws:kendra:eu-west-1:123456789012:index/{index_id}"


def test_tags_are_put_listed_and_removed(client: Client) -> None:
    uid = client.create_index(Name="tagged", RoleArn="", Tags=[{"Key": "team", "Value": "HR"}])["Id"]
    client.tag_resource(ResourceARN=arn(uid), Tags=[{"Key": "a", "Value": ""}, {"Key": "team", "Value": "IT"}])
    tags = [{"Key": "a", "Value": ""}, {"Key": "team", "Value": "IT"}]
    assert client.list_tags_for_resource(ResourceARN=arn(uid))["Tags"] == tags
    client.untag_resource(ResourceARN=arn(uid), TagKeys=["team", "absent"])
    assert client.list_tags_for_resource(ResourceARN=arn(uid))["Tags"] == tags[:1]
    client.untag_resource(ResourceARN=arn(uid), TagKeys=["a"])
    assert client.list_tags_for_resource(ResourceARN=arn(uid))["Tags"] == []


def test_what_is_not_there_cannot_be_tagged(client: Client, store: Store) -> None:
    uid = fill(store, []).uid
    for name in (arn("00000000-0000-4000-8000-000000000000"), f"{arn(uid)}/faq/none", f"{arn(uid)}/thesaurus/none"):
        with pytest.raises(client.exceptions.ClientError) as caught:
            client.tag_resource(ResourceARN=name, Tags=[{"Key": "a", "Value": "b"}])
        assert caught.value.response["Error"]["Code"] == "ResourceUnavailableException"
    with pytest.raises(client.exceptions.ValidationException, match="a name of the form arn:aws:kendra"):
        client.list_tags_for_resource(ResourceARN="arn:aws:s3:::bucket")
    full = [{"Key": f"k{n}", "Value": ""} for n in range(200)]
    client.tag_resource(ResourceARN=arn(uid), Tags=full)
    with pytest.raises(client.exceptions.ServiceQuotaExceededException):
        client.tag_resource(ResourceARN=arn(uid), Tags=[{"Key": "surplus", "Value": ""}])
    assert len(client.list_tags_for_resource(ResourceARN=arn(uid))["Tags"]) == 200


def test_what_belongs_to_an_index_has_tags_of_its_own(store: Store, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("ferry, boat\n", encoding="utf-8")
    client = Client(store, embedder=BagOfStems(), folders={"own": tmp_path})
    uid = client.create_index(Name="tagged", RoleArn="")["Id"]
    tags = [{"Key": "a", "Value": "b"}]
    source = {"Bucket": "own", "Key": "words.txt"}
    thesaurus = client.create_thesaurus(IndexId=uid, Name="w", RoleArn="", SourceS3Path=source, Tags=tags)["Id"]
    featured = client.create_featured_results_set(IndexId=uid, FeaturedResultsSetName="f", Tags=tags)
    parts = (f"thesaurus/{thesaurus}", f"featured-results-set/{featured['FeaturedResultsSet']['FeaturedResultsSetId']}")
    for part in parts:
        name = f"{arn(uid)}/{part}"
        assert client.list_tags_for_resource(ResourceARN=name)["Tags"] == tags
        client.untag_resource(ResourceARN=name, TagKeys=["a"])
        assert client.list_tags_for_resource(ResourceARN=name)["Tags"] == []
    assert client.list_tags_for_resource(ResourceARN=arn(uid))["Tags"] == []


def test_what_several_say_at_once_is_all_kept(store: Store) -> None:
    uid = Client(store, embedder=BagOfStems()).create_index(Name="shared", RoleArn="")["Id"]

    def work(number: int) -> None:
        client = Client(store, embedder=BagOfStems())
        add_field(client, uid, f"field-{number}", "STRING_VALUE")
        client.tag_resource(ResourceARN=arn(uid), Tags=[{"Key": f"tag-{number}", "Value": ""}])
        client.add_faq(uid, [{"question": f"Is this ferry number {number}?", "answer": "Yes."}])
        documents = [{"Id": f"document-{number}", "Blob": b"ferry"}]
        assert client.batch_put_document(IndexId=uid, Documents=documents)["FailedDocuments"] == []

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    client = Client(store, embedder=BagOfStems())
    assert {f"field-{n}" for n in range(8)} <= set(fields_of(client, uid))
    assert len(client.list_tags_for_resource(ResourceARN=arn(uid))["Tags"]) == 8
    assert len(client.list_faqs(IndexId=uid)["FaqSummaryItems"]) == 8
    statistics = client.describe_index(Id=uid)["IndexStatistics"]
    assert statistics["FaqStatistics"]["IndexedQuestionAnswersCount"] == 8
    assert statistics["TextDocumentStatistics"]["IndexedTextDocumentsCount"] == 8
