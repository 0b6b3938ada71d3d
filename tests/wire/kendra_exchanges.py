"""One session with every operation of Kendra that is offered, against whatever has boto3's methods."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

__all__ = ["FOLDER", "Call", "normal", "session", "write_files"]

Call = Callable[..., dict[str, Any]]
"""`call(method, **members)`."""

FOLDER = "own"
SOURCE = {"SourceS3Path": {"Bucket": FOLDER, "Key": "words.txt"}, "RoleArn": "arn:aws:iam::000000000000:role/any"}
WHEN = datetime(2024, 5, 1, tzinfo=timezone.utc)
TEXTS = {
    "timetable.md": "The ferry sails at noon. It carries bicycles free of charge.",
    "fares.md": "A ticket for the ferry costs four euros. Children sail free of charge.",
    "crew.md": "The crew meets on deck at seven. Bicycle racks are checked by the crew.",
}
_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{64}")
_OF_THE_MOMENT = ("FeedbackToken", "NextToken", "CreationTimestamp", "LastUpdatedTimestamp", "ResponseMetadata")


def write_files(folder: Path) -> None:
    """The files that the session names by S3Path."""
    folder.mkdir(exist_ok=True)
    (folder / "words.txt").write_text("bike, bicycle\n", encoding="utf-8")
    question = {"Question": "May dogs come aboard?", "Answer": "On a leash.", "Attributes": {"_category": "help"}}
    faq = {"SchemaVersion": 1, "FaqDocuments": [question]}
    (folder / "faq.json").write_text(json.dumps(faq), encoding="utf-8")


def normal(value: Any, name: str = "") -> Any:
    """A response without what is of the moment: ids, times and tokens stand as words."""
    if isinstance(value, dict):
        return {key: normal(each, key) for key, each in value.items() if key != "ResponseMetadata"}
    if isinstance(value, list):
        return [normal(each) for each in value]
    if name in _OF_THE_MOMENT or isinstance(value, datetime):
        return f"<{name or type(value).__name__}>"
    return _ID.sub("<id>", value) if isinstance(value, str) else value


def session(call: Call, uid: str) -> None:
    """Every operation at least once, most of them on the index with this id, which is empty."""
    role = {"RoleArn": "arn:aws:iam::000000000000:role/any"}
    other = call("create_index", Name="other", ClientToken="once", Tags=[{"Key": "a", "Value": "b"}], **role)["Id"]
    at = {"IndexId": uid}
    fields = [
        {"Name": "department", "Type": "STRING_VALUE", "Search": {"Facetable": True, "Sortable": True}},
        {"Name": "reviewed", "Type": "DATE_VALUE", "Relevance": {"Freshness": True, "Importance": 2}},
        {"Name": "priority", "Type": "LONG_VALUE", "Search": {"Sortable": True}},
    ]
    call("update_index", Id=uid, Description="of ferries", DocumentMetadataConfigurationUpdates=fields)
    call("describe_index", Id=uid)
    call("list_indices", MaxResults=1)
    _documents(call, at)
    _searches(call, at)
    _faqs(call, at, role)
    _learning(call, at)
    _access(call, at)
    arn = f"arn:aws:kendra:us-east-1:123456789012:index/{uid}"
    call("tag_resource", ResourceARN=arn, Tags=[{"Key": "c", "Value": "ü"}])
    call("list_tags_for_resource", ResourceARN=arn)
    call("untag_resource", ResourceARN=arn, TagKeys=["a"])
    call("list_data_sources", **at)
    call("delete_index", Id=other)


def _documents(call: Call, at: dict[str, str]) -> None:
    documents = [
        {
            "Id": name,
            "Title": name.partition(".")[0].title(),
            "Blob": text.encode(),
            "ContentType": "PLAIN_TEXT",
            "Attributes": [
                {"Key": "department", "Value": {"StringValue": "Deck" if "deck" in text else "Sales"}},
                {"Key": "reviewed", "Value": {"DateValue": WHEN}},
                {"Key": "priority", "Value": {"LongValue": len(name)}},
            ],
        }
        for name, text in TEXTS.items()
    ]
    secret = {"Id": "secret.md", "Blob": "The password is ü𝔘.".encode(), "ContentType": "PLAIN_TEXT"}
    secret["AccessControlList"] = [{"Name": "ana", "Type": "USER", "Access": "ALLOW"}]
    wrong = {"Id": "wrong.md", "Blob": b"x", "Attributes": [{"Key": "a", "Value": {}}]}
    call("batch_put_document", Documents=[*documents, secret, wrong], **at)
    call("batch_get_document_status", DocumentInfoList=[{"DocumentId": "fares.md"}, {"DocumentId": "gone"}], **at)
    call("batch_delete_document", DocumentIdList=["crew.md", "gone"], **at)
    call("batch_put_document", Documents=[documents[2]], **at)


def _searches(call: Call, at: dict[str, str]) -> None:
    call(
        "query",
        QueryText="When does the ferry sail?",
        Facets=[{"DocumentAttributeKey": "department"}],
        AttributeFilter={"LessThan": {"Key": "reviewed", "Value": {"DateValue": datetime(2025, 1, 1)}}},
        SortingConfiguration={"DocumentAttributeKey": "priority", "SortOrder": "DESC"},
        PageSize=2,
        **at,
    )
    call(
        "query", QueryText="ferri sails", SpellCorrectionConfiguration={"IncludeQuerySpellCheckSuggestions": True}, **at
    )
    call("query", QueryText="password", UserContext={"UserId": "ana"}, **at)
    call("query", QueryText="password", UserContext={"UserId": "bob"}, **at)
    call("retrieve", QueryText="free of charge", PageSize=2, **at)


def _faqs(call: Call, at: dict[str, str], role: dict[str, str]) -> None:
    path = {"Bucket": FOLDER, "Key": "faq.json"}
    faq = call("create_faq", Name="dogs", S3Path=path, FileFormat="JSON", **at, **role)["Id"]
    call("describe_faq", Id=faq, **at)
    call("list_faqs", **at)
    call("query", QueryText="May dogs come aboard?", **at)
    call("delete_faq", Id=faq, **at)


def _learning(call: Call, at: dict[str, str]) -> None:
    thesaurus = call("create_thesaurus", Name="synonyms", **at, **SOURCE)["Id"]
    call("update_thesaurus", Id=thesaurus, Description="words of the crew", **at)
    call("describe_thesaurus", Id=thesaurus, **at)
    call("list_thesauri", **at)
    featured = call(
        "create_featured_results_set",
        FeaturedResultsSetName="Bikes",
        QueryTexts=["bike racks"],
        FeaturedDocuments=[{"Id": "fares.md"}],
        Status="ACTIVE",
        **at,
    )["FeaturedResultsSet"]["FeaturedResultsSetId"]
    call("update_featured_results_set", FeaturedResultsSetId=featured, Description="for the summer", **at)
    call("describe_featured_results_set", FeaturedResultsSetId=featured, **at)
    call("list_featured_results_sets", **at)
    found = call("query", QueryText="bike racks", VisitorId="v", UserContext={"UserId": "ana"}, **at)
    clicks = [{"ResultId": found["ResultItems"][0]["Id"], "ClickTime": WHEN}]
    call("submit_feedback", QueryId=found["QueryId"], ClickFeedbackItems=clicks, **at)
    listed = call("create_query_suggestions_block_list", Name="words", **at, **SOURCE)["Id"]
    call("update_query_suggestions_block_list", Id=listed, Name="more-words", **at)
    call("describe_query_suggestions_block_list", Id=listed, **at)
    call("list_query_suggestions_block_lists", **at)
    call("delete_query_suggestions_block_list", Id=listed, **at)
    call("update_query_suggestions_config", MinimumNumberOfQueryingUsers=1, MinimumQueryCount=1, **at)
    call("describe_query_suggestions_config", **at)
    call("get_query_suggestions", QueryText="bike", **at)
    call("clear_query_suggestions", **at)
    call("get_snapshots", Interval="ONE_MONTH_AGO", MetricType="QUERIES_BY_COUNT", **at)
    call("delete_thesaurus", Id=thesaurus, **at)
    call("batch_delete_featured_results_set", FeaturedResultsSetIds=[featured, "0" * 36], **at)


def _access(call: Call, at: dict[str, str]) -> None:
    members = {"MemberUsers": [{"UserId": "ana"}]}
    call("put_principal_mapping", GroupId="crew", GroupMembers=members, OrderingId=7, **at)
    call("describe_principal_mapping", GroupId="crew", **at)
    call("list_groups_older_than_ordering_id", OrderingId=10, **at)
    call("delete_principal_mapping", GroupId="crew", OrderingId=9, **at)
    allowed = [{"Name": "bob", "Type": "USER", "Access": "ALLOW"}]
    made = call("create_access_control_configuration", Name="bobs", AccessControlList=allowed, **at)["Id"]
    call("update_access_control_configuration", Id=made, Description="of bob", **at)
    call("describe_access_control_configuration", Id=made, **at)
    call("list_access_control_configurations", **at)
    call("delete_access_control_configuration", Id=made, **at)
