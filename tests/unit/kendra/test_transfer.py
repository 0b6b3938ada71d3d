"""Folders in the form of Amazon Kendra's S3 connector, into an index and out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kendra_corpus import BagOfStems

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.kendra.client import Client
from ragvec.kendra.index import QueryIndex
from ragvec.kendra.transfer import bring_documents, described_documents, write_documents
from ragvec.store import Store

HR_ONLY = [{"Name": "HR", "Type": "GROUP", "Access": "ALLOW"}, {"Name": "eve", "Type": "USER", "Access": "DENY"}]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """What an S3 bucket of a Kendra customer holds."""
    root = tmp_path / "s3"
    files = {
        "documents/leave.md": "# Leave\n\nYou have 25 days of leave a year.\n\n## Carrying over\n\nFive days.\n",
        "documents/pay/bonus.txt": "The bonus is paid in March, with the salary.",
        "documents/pay/draft.xyz": "unknown kind",
        "documents/.hidden": "no",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    about = {
        "DocumentId": "leave",
        "Title": "Leave days",
        "ContentType": "MD",
        "Attributes": {
            "_category": "benefits",
            "_created_at": "2026-03-01T10:00:00Z",
            "_source_uri": "https://intranet.example/leave",
            "_view_count": 12,
            "sites": ["Bristol", "Porto"],
            "reviewed": "2026-04-02T00:00:00Z",
            "pages": 3,
        },
    }
    (root / "metadata/documents").mkdir(parents=True)
    (root / "metadata/documents/leave.md.metadata.json").write_text(json.dumps(about))
    rules = [
        {"keyPrefix": "s3://customer/documents/", "aclEntries": [{"Name": "ALL", "Type": "GROUP", "Access": "ALLOW"}]},
        {"keyPrefix": "s3://customer/documents/pay/", "aclEntries": HR_ONLY},
    ]
    (root / "access.json").write_text(json.dumps(rules))
    return root


def made_index(client: Client) -> str:
    index: str = client.create_index(Name="handbook", RoleArn="arn:aws:iam::1:role/r")["Id"]
    return index


def test_a_bucket_of_a_customer_becomes_an_index(client: Client, exported: Path) -> None:
    index = made_index(client)
    done = bring_documents(
        client, index, exported, prefix="documents/", metadata=exported / "metadata", access=exported / "access.json"
    )
    assert (done.documents, done.fields) == (2, ("pages", "reviewed", "sites"))
    assert [failure.source for failure in done.failed] == ["documents/pay/draft.xyz"]
    assert "ContentType" in done.failed[0].reason
    types = {f["Name"]: f["Type"] for f in client.describe_index(Id=index)["DocumentMetadataConfigurations"]}
    assert (types["sites"], types["reviewed"], types["pages"]) == ("STRING_LIST_VALUE", "DATE_VALUE", "LONG_VALUE")
    asked = {"IndexId": index, "QueryText": "bonus salary", "QueryResultTypeFilter": "DOCUMENT"}
    everybody = client.query(**asked, UserContext={"UserId": "bob", "Groups": ["ALL"]})
    of_hr = client.query(**asked, UserContext={"UserId": "bob", "Groups": ["ALL", "HR"]})
    assert "documents/pay/bonus.txt" not in [item["DocumentId"] for item in everybody["ResultItems"]]
    assert of_hr["ResultItems"][0]["DocumentId"] == "documents/pay/bonus.txt"
    denied = client.query(**asked, UserContext={"UserId": "eve", "Groups": ["HR"]})
    assert "documents/pay/bonus.txt" not in [item["DocumentId"] for item in denied["ResultItems"]]
    found = client.query(
        IndexId=index,
        QueryText="leave days",
        AttributeFilter={"EqualsTo": {"Key": "_category", "Value": {"StringValue": "benefits"}}},
        QueryResultTypeFilter="DOCUMENT",
    )["ResultItems"]
    assert [(item["DocumentId"], item["DocumentTitle"]["Text"]) for item in found] == [("leave", "Leave days")]


def test_what_is_written_can_be_brought_again(client: Client, exported: Path, tmp_path: Path, store: Store) -> None:
    one = made_index(client)
    bring_documents(client, one, exported, prefix="documents/", metadata=exported / "metadata")
    query_index = QueryIndex(store.index_by_uid(one), embedder=BagOfStems())
    assert write_documents(query_index, tmp_path / "out") == 2
    other: str = client.create_index(Name="again", RoleArn="arn:aws:iam::1:role/r")["Id"]
    again = bring_documents(client, other, tmp_path / "out")
    assert [failure.reason for failure in again.failed] == []
    assert again.documents == 2
    before, after = (
        {
            record.metadata["_document_id"]: {
                name: value
                for name, value in (record.metadata or {}).items()
                if name not in ("_text", "_hash", "_begin", "_end", "_heading", "_passages", "_file_type")
            }
            for record in store.index_by_uid(uid).iter(where={"_passage": 0})
            if record.metadata
        }
        for uid in (one, other)
    )
    assert before == after
    assert "25 days of leave" in (tmp_path / "out" / "leave.txt").read_text()
    with pytest.raises(InvalidRequest, match="Expected an empty folder"):
        write_documents(query_index, tmp_path / "out")


@pytest.mark.parametrize("document_id", ["../escape", "/etc/passwd", "a/../../b", "..", "x" * 900, "ü/é?*", "a#00000"])
def test_no_id_leads_out_of_the_folder(client: Client, tmp_path: Path, store: Store, document_id: str) -> None:
    index = made_index(client)
    document = {"Id": document_id, "Blob": b"Some words about ferries.", "ContentType": "PLAIN_TEXT"}
    assert client.batch_put_document(IndexId=index, Documents=[document])["FailedDocuments"] == []
    target = tmp_path / "deep" / "out"
    assert write_documents(QueryIndex(store.index_by_uid(index), embedder=BagOfStems()), target) == 1
    files = [path for path in (tmp_path / "deep").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert all(path.is_relative_to(target) for path in files)
    (found,) = described_documents(target)
    assert found.document_id == document_id


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "Expected a JSON object"),
        ("{", "Expected JSON in"),
        ('{"Owner": "x"}', "got 'Owner'"),
        ('{"Title": 3}', "Expected text for Title, got 3"),
        ('{"AccessControlList": [1]}', "Expected a list of access entries"),
    ],
)
def test_a_metadata_file_in_another_form_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "a.txt.metadata.json").write_text(content)
    with pytest.raises(DocumentError, match=message) as raised:
        list(described_documents(tmp_path))
    assert "a.txt.metadata.json" in str(raised.value)
