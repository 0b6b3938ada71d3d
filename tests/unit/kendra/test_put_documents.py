"""Documents put, deleted and asked after through the client."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from kendra_corpus import BagOfStems

from ragvec.kendra import NATIVE, Client, QueryIndex, Settings
from ragvec.kendra.operations.data_sources import REFUSED
from ragvec.store import Index, Store

FIELDS = {"line": "STRING_VALUE", "year": "LONG_VALUE", "due": "DATE_VALUE", "tags": "STRING_LIST_VALUE"}
DOCUMENTS = Path(__file__).parents[3] / "datasets" / "handbook" / "documents"


@pytest.fixture
def filed(store: Store, tmp_path: Path) -> tuple[Client, str]:
    (tmp_path / "bucket").mkdir()
    client = Client(store, embedder=BagOfStems(), folders={"own": tmp_path / "bucket", "handbook": DOCUMENTS})
    uid = client.create_index(Name="ferries", RoleArn="")["Id"]
    updates = [
        {"Name": name, "Type": kind, "Search": {"Facetable": True, "Displayable": True}}
        for name, kind in FIELDS.items()
    ]
    client.update_index(Id=uid, DocumentMetadataConfigurationUpdates=updates)
    return client, uid


def put(filed: tuple[Client, str], *documents: dict[str, Any]) -> dict[str, str]:
    """Put documents; what failed is told by id."""
    client, uid = filed
    response = client.batch_put_document(IndexId=uid, Documents=list(documents))
    assert {failure["ErrorCode"] for failure in response["FailedDocuments"]} <= {"InvalidRequest"}
    return {failure["Id"]: failure["ErrorMessage"] for failure in response["FailedDocuments"]}


def attribute(key: str, **value: Any) -> dict[str, Any]:
    return {"Key": key, "Value": value}


def found(filed: tuple[Client, str], text: str = "ferry", **members: Any) -> dict[str, dict[str, Any]]:
    client, uid = filed
    response = client.query(IndexId=uid, QueryText=text, QueryResultTypeFilter="DOCUMENT", **members)
    return {item["DocumentId"]: item for item in response["ResultItems"]}


def statuses(filed: tuple[Client, str], *ids: str) -> list[str]:
    client, uid = filed
    infos = [{"DocumentId": each} for each in ids]
    listed = client.batch_get_document_status(IndexId=uid, DocumentInfoList=infos)["DocumentStatusList"]
    assert [each["DocumentId"] for each in listed] == list(ids)
    return [each["DocumentStatus"] for each in listed]


def test_a_document_is_found_with_its_title_attributes_and_address(filed: tuple[Client, str]) -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    failed = put(
        filed,
        {
            "Id": "a",
            "Title": "The morning ferry",
            "Blob": b"The ferry sails at noon.",
            "Attributes": [
                attribute("line", StringValue="North"),
                attribute("year", LongValue=2024),
                attribute("due", DateValue=moment),
                attribute("tags", StringListValue=["x", "y"]),
                attribute("_source_uri", StringValue="https://ferry.example/a"),
                attribute("_data_source_id", StringValue="mine"),
                attribute("_data_source_sync_job_execution_id", StringValue="1"),
            ],
        },
    )
    assert failed == {}
    item = found(filed)["a"]
    assert (item["DocumentTitle"]["Text"], item["DocumentURI"]) == ("The morning ferry", "https://ferry.example/a")
    assert {each["Key"]: each["Value"] for each in item["DocumentAttributes"]} == {
        "_document_title": {"StringValue": "The morning ferry"},
        "_source_uri": {"StringValue": "https://ferry.example/a"},
        "line": {"StringValue": "North"},
        "year": {"LongValue": 2024},
        "due": {"DateValue": moment},
        "tags": {"StringListValue": ["x", "y"]},
    }
    condition = {"EqualsTo": attribute("_file_type", StringValue="PLAIN_TEXT")}
    assert set(found(filed, AttributeFilter=condition)) == {"a"}
    assert statuses(filed, "a", "b") == ["INDEXED", "NOT_FOUND"]


def test_values_are_stored_as_they_were_given(filed: tuple[Client, str], store: Store) -> None:
    """Names and texts that the pipeline would read more into, were they in a file beside documents."""
    client, uid = filed
    names = ("category", "access_users", "start_date", "title")
    updates = [{"Name": name, "Type": "STRING_VALUE"} for name in names]
    client.update_index(Id=uid, DocumentMetadataConfigurationUpdates=updates)
    attributes = [attribute(name, StringValue="2024-01-02") for name in names]
    assert put(filed, {"Id": "a", "Blob": b"ferry", "Attributes": attributes}) == {}
    (record,) = store.index_by_uid(uid).iter()
    assert record.metadata is not None
    assert {name: record.metadata[name] for name in names} == dict.fromkeys(names, "2024-01-02")
    assert not {"_category", "_acl_allow", "_document_title"} & set(record.metadata)


def test_what_is_at_fault_fails_alone(filed: tuple[Client, str]) -> None:
    plain = {"Blob": b"ferry"}
    failed = put(
        filed,
        {"Id": "city", **plain, "Attributes": [attribute("city", StringValue="x")]},
        {"Id": "type", **plain, "Attributes": [attribute("year", StringValue="2024")]},
        {"Id": "two", **plain, "Attributes": [attribute("year", LongValue=1, StringValue="2024")]},
        {"Id": "twice", **plain, "Attributes": [attribute("year", LongValue=1)] * 2},
        {"Id": "both", **plain, "S3Path": {"Bucket": "own", "Key": "x"}},
        {"Id": "nothing"},
        {"Id": "empty", "Blob": b"  "},
        {"Id": "slides", **plain, "ContentType": "PPT"},
        {"Id": "acl", **plain, "AccessControlConfigurationId": "none"},
        {"Id": "good", **plain},
    )
    assert failed["city"] == "No document metadata configuration found for document attribute key  city."
    assert "is of type LONG_VALUE: expected LongValue, got StringValue - at `Documents[1]" in failed["type"]
    assert "Expected exactly one of StringValue" in failed["two"]
    assert "'year' is there twice" in failed["twice"]
    assert "Expected exactly one of Blob and S3Path, got both" in failed["both"]
    assert "Expected exactly one of Blob and S3Path, got none" in failed["nothing"]
    assert "got an empty document" in failed["empty"]
    assert "Expected a pptx presentation, got a file that cannot be read as one" in failed["slides"]
    assert "There is no access control configuration with the id none" in failed["acl"]
    assert set(found(filed)) == {"good"}


def test_calls_that_are_refused(filed: tuple[Client, str]) -> None:
    client, uid = filed
    eleven = [{"Id": str(n), "Blob": b"ferry"} for n in range(11)]
    with pytest.raises(client.exceptions.ValidationException, match="at most 10 documents, got 11"):
        client.batch_put_document(IndexId=uid, Documents=eleven)
    with pytest.raises(client.exceptions.ValidationException, match="1 to 10 entries, got 11"):
        client.batch_delete_document(IndexId=uid, DocumentIdList=[str(n) for n in range(11)])
    with pytest.raises(client.exceptions.ValidationException, match="1 to 10 entries, got 11"):
        client.batch_get_document_status(IndexId=uid, DocumentInfoList=[{"DocumentId": "x"}] * 11)
    lifted = Client(client.store, embedder=BagOfStems(), settings=Settings(limits=NATIVE))
    assert lifted.batch_put_document(IndexId=uid, Documents=eleven)["FailedDocuments"] == []
    assert len(found(filed, PageSize=100)) == 11


def test_a_document_put_again_is_replaced_and_one_deleted_is_gone(filed: tuple[Client, str]) -> None:
    client, uid = filed
    long = "\n\n".join(f"The ferry number {n} sails over the water to pier {n}." * 20 for n in range(5))
    put(filed, {"Id": "a", "Blob": long, "Attributes": [attribute("line", StringValue="North")]})
    put(filed, {"Id": "b", "Blob": "Another ferry."})
    put(filed, {"Id": "a", "Blob": "A new ferry."})
    items = found(filed)
    assert items["a"]["DocumentExcerpt"]["Text"] == "A new ferry."
    assert "line" not in {each["Key"] for each in items["a"]["DocumentAttributes"]}
    statistics = client.describe_index(Id=uid)["IndexStatistics"]["TextDocumentStatistics"]
    assert statistics == {"IndexedTextDocumentsCount": 2, "IndexedTextBytes": len("A new ferry.Another ferry.")}
    failures = client.batch_delete_document(IndexId=uid, DocumentIdList=["a", "c"])["FailedDocuments"]
    message = "Document can't be deleted because it doesn't exist."
    assert failures == [{"Id": "c", "ErrorCode": "InvalidRequest", "ErrorMessage": message}]
    assert statuses(filed, "a", "b") == ["NOT_FOUND", "INDEXED"]
    assert set(found(filed)) == {"b"}


HTML = "<!DOCTYPE html><html><head><title>Piers</title></head><body><p>The ferry leaves from pier 2.</p></body></html>"


@pytest.mark.parametrize(
    ("document", "kind", "title"),
    [
        ({"Blob": HTML, "ContentType": "HTML"}, "HTML", "Piers"),
        ({"Blob": HTML}, "HTML", "Piers"),
        ({"Blob": io.BytesIO(HTML.encode())}, "HTML", "Piers"),
        ({"Blob": HTML, "ContentType": "PLAIN_TEXT"}, "PLAIN_TEXT", ""),
        ({"Blob": "# Piers\n\nThe ferry leaves from pier 2.", "ContentType": "MD"}, "MD", "Piers"),
        ({"Blob": "<a><b>The ferry leaves from pier 2.</b></a>", "ContentType": "XML"}, "XML", ""),
        ({"Blob": '{"text": "The ferry leaves from pier 2."}', "ContentType": "JSON"}, "JSON", ""),
        ({"Blob": "where,what\npier 2,The ferry leaves from pier 2.", "ContentType": "CSV"}, "CSV", ""),
        ({"S3Path": {"Bucket": "own", "Key": "in/page.html"}}, "HTML", "Piers"),
        ({"S3Path": {"Bucket": "own", "Key": "in/page.html"}, "Title": "Mine"}, "HTML", "Mine"),
    ],
)
def test_content_is_read_as_what_it_is(
    filed: tuple[Client, str], tmp_path: Path, document: dict[str, Any], kind: str, title: str
) -> None:
    (tmp_path / "bucket" / "in").mkdir()
    (tmp_path / "bucket" / "in" / "page.html").write_text(HTML, encoding="utf-8")
    assert put(filed, {"Id": "a", **document}) == {}
    condition = {"EqualsTo": attribute("_file_type", StringValue=kind)}
    item = found(filed, "ferry leaves", AttributeFilter=condition)["a"]
    assert item["DocumentTitle"]["Text"] == title
    assert "The ferry leaves from pier 2." in item["DocumentExcerpt"]["Text"]
    assert ("<" in item["DocumentExcerpt"]["Text"]) == (kind == "PLAIN_TEXT")


def test_files_of_the_handbook_are_read(filed: tuple[Client, str]) -> None:
    files = sorted(path.relative_to(DOCUMENTS).as_posix() for path in DOCUMENTS.rglob("*") if path.is_file())
    chosen = [next(name for name in files if name.endswith(suffix)) for suffix in (".pdf", ".docx", ".md", ".html")]
    documents = [{"Id": name, "S3Path": {"Bucket": "handbook", "Key": name}} for name in chosen]
    assert put(filed, *documents) == {}
    assert statuses(filed, *chosen) == ["INDEXED"] * 4


def test_access_lists_of_documents_hold(filed: tuple[Client, str]) -> None:
    client, uid = filed

    def entry(name: str, kind: str, access: str) -> dict[str, str]:
        return {"Name": name, "Type": kind, "Access": access}

    configuration = client.create_access_control_configuration(
        IndexId=uid, Name="c", AccessControlList=[entry("ana", "USER", "ALLOW")]
    )["Id"]
    levels = [{"PrincipalList": [entry(name, "USER", "ALLOW") for name in names]} for names in (["ana", "bo"], ["bo"])]
    plain = {"Blob": b"ferry"}
    failed = put(
        filed,
        {"Id": "public", **plain},
        {"Id": "crew", **plain, "AccessControlList": [entry("crew", "GROUP", "ALLOW"), entry("bo", "USER", "DENY")]},
        {"Id": "levels", **plain, "HierarchicalAccessControlList": levels},
        {"Id": "configured", **plain, "AccessControlConfigurationId": configuration},
    )
    assert failed == {}

    def seen(**context: Any) -> set[str]:
        return set(found(filed, UserContext=context))

    assert seen(UserId="ana") == {"public", "configured"}
    assert seen(UserId="ana", Groups=["crew"]) == {"public", "configured", "crew"}
    assert seen(UserId="bo", Groups=["crew"]) == {"public", "levels"}
    assert seen(UserId="eve") == {"public"}
    assert set(found(filed)) == {"public", "crew", "levels", "configured"}


def test_an_index_that_nobody_configured_takes_new_attributes(client: Client, ferries: Index) -> None:
    document = {"Id": "new", "Blob": b"ferry", "Attributes": [attribute("city", StringValue="Porto")]}
    other = {"Id": "odd", "Blob": b"ferry", "Attributes": [attribute("city", LongValue=1)]}
    response = client.batch_put_document(IndexId=ferries.uid, Documents=[document, other])
    assert [failure["Id"] for failure in response["FailedDocuments"]] == ["odd"]
    results = QueryIndex(ferries, embedder=BagOfStems()).search("ferry", where={"city": "Porto"})
    assert [item.document_id for item in results] == ["new"]


@pytest.mark.parametrize("method", sorted(REFUSED))
def test_what_is_not_offered_is_refused_by_name(client: Client, method: str) -> None:
    with pytest.raises(client.exceptions.ValidationException, match=f"{REFUSED[method]} is not offered"):
        getattr(client, method)(IndexId="x")


def test_there_are_no_data_sources(client: Client, ferries: Index) -> None:
    assert client.list_data_sources(IndexId=ferries.uid)["SummaryItems"] == []


@pytest.mark.parametrize("told", [True, False], ids=["told", "seen"])
def test_office_formats_are_read_told_of_or_not(filed: tuple[Client, str], told: bool) -> None:
    import openpyxl
    import pptx

    book, slides = openpyxl.Workbook(), pptx.Presentation()
    book.active.append(["line", "fare"])
    book.active.append(["ferry", "9 crowns"])
    slide = slides.slides.add_slide(slides.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = "Timetable", "The ferry leaves at noon."
    blobs = {"MS_EXCEL": io.BytesIO(), "PPT": io.BytesIO(), "RTF": io.BytesIO(rb"{\rtf1\ansi The ferry is late.\par}")}
    book.save(blobs["MS_EXCEL"])
    slides.save(blobs["PPT"])
    documents = [
        {"Id": kind, "Blob": blob.getvalue(), **({"ContentType": kind} if told else {})} for kind, blob in blobs.items()
    ]
    assert put(filed, *documents) == {}
    assert set(found(filed)) == set(blobs)
    client, uid = filed
    records = [record.metadata or {} for record in client.store.index_by_uid(uid).iter()]
    stored = {metadata["_document_id"]: metadata["_file_type"] for metadata in records}
    assert stored == {"MS_EXCEL": "xlsx", "PPT": "pptx", "RTF": "rtf"}
