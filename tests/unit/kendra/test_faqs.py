"""FAQs: their files, what is kept of them, and which of their questions a query asks."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faq_paraphrases import PARAPHRASES
from hypothesis import given, settings
from hypothesis import strategies as st
from kendra_corpus import BagOfStems

import ragvec
from ragvec.errors import InvalidRequest, ModelError
from ragvec.filters.nodes import Eq
from ragvec.kendra import Client, QueryIndex
from ragvec.kendra.access import visible_to
from ragvec.kendra.attributes import Schema
from ragvec.kendra.faqs.files import FORMATS, read_faq_file, read_faq_rows
from ragvec.kendra.faqs.find import find_faqs
from ragvec.kendra.faqs.stored import FaqRow, questions_index
from ragvec.kendra.limits import KENDRA
from ragvec.pipeline import Pipeline
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.store import Store

SCHEMA = Schema.of(
    {"line": "STRING_VALUE", "year": "LONG_VALUE", "due": "DATE_VALUE", "tags": "STRING_LIST_VALUE"}, strict=True
)
HANDBOOK = Path(__file__).parents[3] / "datasets" / "handbook"


def read(text: str | bytes, kind: str) -> list[FaqRow]:
    content = text if isinstance(text, bytes) else text.encode()
    return read_faq_file(content, kind, schema=SCHEMA, limits=KENDRA)


# ---- files


def test_lines_of_question_answer_and_address() -> None:
    text = 'How far?, "Ten miles, by ferry", https://ferry.example/\n\nWhen?,At "noon".\n"Who\nsails?", "The ""Ann"""\n'
    assert read("\ufeff" + text, "CSV") == [
        FaqRow(question="How far?", answer="Ten miles, by ferry", uri="https://ferry.example/"),
        FaqRow(question="When?", answer='At "noon".'),
        FaqRow(question="Who\nsails?", answer='The "Ann"'),
    ]


def test_a_table_with_attributes_and_access_lists() -> None:
    text = (
        "_question, _answer, line, year, due, tags, _category, _acl_user_allow, _acl_group_deny, _source_uri\n"
        'When?, At noon., North, 2024, 2024-01-02T03:04:05Z, "a, b", deck, "ana,bo", crew, https://x.example\n'
        "Where?, Pier 1., , , , one, , , ,\n"
    )
    assert read(text, "CSV_WITH_HEADER") == [
        FaqRow(
            question="When?",
            answer="At noon.",
            uri="https://x.example",
            attributes={
                "line": "North",
                "year": 2024,
                "due": 1_704_164_645,
                "tags": ["a", "b"],
                "_category": "deck",
                "_acl_allow": ["user:ana", "user:bo"],
                "_acl_deny": ["group:crew"],
            },
        ),
        FaqRow(question="Where?", answer="Pier 1.", attributes={"tags": ["one"]}),
    ]


def test_json_documents() -> None:
    document = {
        "Question": "When?",
        "Answer": "At noon.",
        "Attributes": {"line": "North", "year": 3, "tags": ["a"], "due": "2024-01-02", "_source_uri": "https://x"},
        "AccessControlList": [{"Name": "ana", "Type": "USER", "Access": "ALLOW"}],
    }
    (row,) = read(json.dumps({"SchemaVersion": 1, "FaqDocuments": [document]}), "JSON")
    assert (row.question, row.answer, row.uri) == ("When?", "At noon.", "https://x")
    assert row.attributes == {
        "line": "North", "year": 3, "tags": ["a"], "due": 1_704_153_600, "_acl_allow": ["user:ana"],
    }  # fmt: skip


def one_document(**members: Any) -> str:
    return json.dumps({"SchemaVersion": 1, "FaqDocuments": [{"Question": "a", "Answer": "b", **members}]})


BOTH = [{"Name": "a", "Type": "USER", "Access": access} for access in ("ALLOW", "DENY")]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", "CSV", "got an empty file"),
        ("\n\n", "CSV_WITH_HEADER", "got an empty file"),
        ("only a question", "CSV", "got 1 values - at `line 1`"),
        ("a,b,c,d", "CSV", "got 4 values - at `line 1`"),
        ('a,b\n"c,d', "CSV", "Expected CSV: unexpected end of data"),
        ("a,b\n,d", "CSV", "Expected 1 to 300 characters, got 0 - at `line 2.question`"),
        ("q" * 301 + ",a", "CSV", "Expected 1 to 300 characters, got 301"),
        ("q," + "a" * 2001, "CSV", "Expected 1 to 2000 characters, got 2001"),
        (b"a,\xff", "CSV", "Expected a file in UTF-8, got other bytes at 2"),
        ("_question,answer\na,b", "CSV_WITH_HEADER", "Expected the columns _question and _answer, got _question, ans"),
        ("_question,_answer,x\na,b,c", "CSV_WITH_HEADER", "The index has no field 'x' - at `line 2.x`"),
        ("_question,_answer,_faq_id\na,b,c", "CSV_WITH_HEADER", "cannot have the field '_faq_id'"),
        ("_question,_answer,line,line\na,b,c,d", "CSV_WITH_HEADER", "The column 'line' is there twice"),
        ("_question,_answer\na,b,c", "CSV_WITH_HEADER", "Expected 2 values, got 3 - at `line 2`"),
        ("_question,_answer,year\na,b,soon", "CSV_WITH_HEADER", "Expected a whole number of 64 bits, got 'soon'"),
        ("_question,_answer,due\na,b,soon", "CSV_WITH_HEADER", "Expected a date in ISO 8601, got 'soon'"),
        ("{", "JSON", "Expected JSON"),
        ("[" * 100_000, "JSON", "Expected JSON"),
        ("{}", "JSON", "Expected an object with SchemaVersion and FaqDocuments"),
        ('{"SchemaVersion": 2, "FaqDocuments": []}', "JSON", "Expected 1, got 2 - at `SchemaVersion`"),
        ('{"SchemaVersion": 1, "FaqDocuments": []}', "JSON", "got an empty file"),
        ('{"SchemaVersion": 1, "FaqDocuments": [{"Question": "a"}]}', "JSON", "Expected text, got None"),
        (
            one_document(AccessControlList=BOTH),
            "JSON",
            "'user:a' is both allowed and denied - at `FaqDocuments[0]`",
        ),
        (
            one_document(Attributes={"year": "1"}),
            "JSON",
            "Expected a whole number of 64 bits, got '1' - at `FaqDocuments[0].year`",
        ),
    ],
    ids=range(24),
)  # fmt: skip
def test_files_that_are_refused(text: str | bytes, kind: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(text, kind)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "got no rows"),
        (["a"], "Expected a mapping with question and answer, got 'a' - at `rows[0]`"),
        ([{"question": "a", "answer": "b", "tag": 1}], "Unknown member 'tag'"),
        ([{"question": "\ud800", "answer": "b"}], "got half a surrogate pair - at `rows[0].question`"),
        ([{"question": "a", "answer": "b", "attributes": {"tags": ["x"] * 11}}], "at most 10 texts, got 11"),
    ],
)
def test_rows_that_are_refused(rows: list[Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_faq_rows(rows, schema=SCHEMA, limits=KENDRA)
    assert message in str(caught.value)


# ---- operations


@pytest.fixture
def filed(store: Store, tmp_path: Path) -> tuple[Client, str, Path]:
    folder = tmp_path / "bucket"
    folder.mkdir()
    client = Client(store, embedder=BagOfStems(), folders={"faqs": folder})
    return client, client.create_index(Name="ferries", RoleArn="")["Id"], folder


def create(filed: tuple[Client, str, Path], text: str, **more: Any) -> str:
    client, uid, folder = filed
    (folder / "faq.csv").write_text(text, encoding="utf-8")
    members = {"IndexId": uid, "Name": "faq", "S3Path": {"Bucket": "faqs", "Key": "faq.csv"}, "RoleArn": "r", **more}
    return str(client.create_faq(**members)["Id"])


def questions(client: Client, uid: str) -> int:
    statistics = client.describe_index(Id=uid)["IndexStatistics"]["FaqStatistics"]
    return int(statistics["IndexedQuestionAnswersCount"])


def test_a_faq_is_described_listed_found_and_deleted(filed: tuple[Client, str, Path], store: Store) -> None:
    client, uid, _ = filed
    faq_id = create(
        filed, "When does the ferry sail?,At noon.", Description="of the ferry", Tags=[{"Key": "a", "Value": "b"}]
    )
    described = client.describe_faq(Id=faq_id, IndexId=uid)
    del described["ResponseMetadata"], described["CreatedAt"], described["UpdatedAt"]
    assert described == {
        "Id": faq_id, "IndexId": uid, "Name": "faq", "Description": "of the ferry", "Status": "ACTIVE",
        "S3Path": {"Bucket": "faqs", "Key": "faq.csv"}, "RoleArn": "r", "FileFormat": "CSV", "LanguageCode": "en",
    }  # fmt: skip
    assert [item["Id"] for item in client.list_faqs(IndexId=uid)["FaqSummaryItems"]] == [faq_id]
    arn = f"arn:aws:kendra:local:000000000000:index/{uid}/faq/{faq_id}"
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    index = store.index_by_uid(uid)
    (hit,) = find_faqs(index, "when do ferries sail", embed=BagOfStems().embed_query)
    assert (hit.question, hit.answer, hit.faq_id) == ("When does the ferry sail?", "At noon.", faq_id)
    assert (hit.confidence, hit.uri, len(hit.document_id)) == ("VERY_HIGH", "", 64)
    assert questions(client, uid) == 1
    client.delete_faq(Id=faq_id, IndexId=uid)
    assert find_faqs(index, "when do ferries sail", embed=BagOfStems().embed_query) == []
    assert questions(client, uid) == 0
    for call in (client.describe_faq, client.delete_faq):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(Id=faq_id, IndexId=uid)


def test_a_file_with_a_fault_makes_a_failed_faq(filed: tuple[Client, str, Path]) -> None:
    client, uid, _ = filed
    faq_id = create(filed, "When does the ferry sail?,At noon.\nno answer")
    described = client.describe_faq(Id=faq_id, IndexId=uid)
    assert described["Status"] == "FAILED"
    assert "line 2" in described["ErrorMessage"]
    assert questions(client, uid) == 0
    # A text without words has no vector.
    failed = create(filed, "???,What?", Name="other")
    assert client.describe_faq(Id=failed, IndexId=uid)["Status"] == "FAILED"
    assert questions(client, uid) == 0


def test_a_token_makes_one_faq_and_an_index_has_thirty(filed: tuple[Client, str, Path]) -> None:
    client, uid, _ = filed
    text = "When does the ferry sail?,At noon."
    first = create(filed, text, ClientToken="t")
    assert create(filed, text, ClientToken="t") == first
    with pytest.raises(client.exceptions.ConflictException):
        create(filed, text, ClientToken="t", Name="other")
    for number in range(29):
        create(filed, text, Name=f"faq-{number}")
    with pytest.raises(client.exceptions.ServiceQuotaExceededException):
        create(filed, text, Name="surplus")
    names: list[str] = []
    more: dict[str, str] = {}
    while True:
        listed = client.list_faqs(IndexId=uid, MaxResults=7, **more)
        names += [item["Name"] for item in listed["FaqSummaryItems"]]
        if "NextToken" not in listed:
            break
        more = {"NextToken": listed["NextToken"]}
    assert names == ["faq", *(f"faq-{number}" for number in range(29))]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"S3Path": {"Bucket": "other", "Key": "faq.csv"}}, "No folder stands for the bucket 'other'"),
        ({"S3Path": {"Bucket": "faqs", "Key": "none.csv"}}, "has no file 'none.csv'"),
        ({"S3Path": {"Bucket": "faqs", "Key": "../secret"}}, "leads out of the bucket"),
        ({"S3Path": {"Bucket": "faqs", "Key": "link"}}, "leads out of the bucket"),
        ({"FileFormat": "XML"}, "Expected one of CSV, CSV_WITH_HEADER, JSON"),
        ({"Name": "a b"}, "at `Name`"),
        ({"LanguageCode": "e1"}, "at `LanguageCode`"),
    ],
)
def test_faqs_that_are_refused(filed: tuple[Client, str, Path], members: dict[str, Any], message: str) -> None:
    client, uid, folder = filed
    (folder.parent / "secret").write_text("a,b", encoding="utf-8")
    (folder / "link").symlink_to(folder.parent / "secret")
    with pytest.raises(client.exceptions.ValidationException) as caught:
        create(filed, "a,b", **members)
    assert message in str(caught.value)
    assert client.list_faqs(IndexId=uid)["FaqSummaryItems"] == []


def test_the_rows_of_faqs_are_no_index_of_their_own(filed: tuple[Client, str, Path], store: Store) -> None:
    client, uid, _ = filed
    client.add_faq(uid, [{"question": "When does the ferry sail?", "answer": "At noon."}])
    assert [item["Id"] for item in client.list_indices()["IndexConfigurationSummaryItems"]] == [uid]
    index = store.index_by_uid(uid)
    beside = questions_index(index)
    assert beside is not None
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="FAQs of another"):
        client.query(IndexId=beside.uid, QueryText="ferry")
    client.delete_index(Id=uid)
    assert not beside.exists()


@pytest.mark.parametrize("how", ["index", "bucket", "client of vectors"])
def test_the_rows_of_faqs_go_with_their_index_however_it_goes(
    filed: tuple[Client, str, Path], store: Store, how: str
) -> None:
    client, uid, _ = filed
    client.add_faq(uid, [{"question": "When does the ferry sail?", "answer": "At noon."}])
    index = store.index_by_uid(uid)
    beside = questions_index(index)
    assert beside is not None
    folder = store.engine.folder / "indexes" / beside.uid
    assert folder.exists()
    if how == "index":
        index.delete_index()
    elif how == "bucket":
        index.bucket.delete(force=True)
    else:
        with ragvec.connect(store.engine.folder) as vectors:
            vectors.delete_index(vectorBucketName=index.bucket.name, indexName=index.name)
    assert not beside.exists()
    assert not folder.exists()
    assert [name for each in store.buckets() for name in each.indexes() if uid in name.name] == []


def test_rows_left_behind_by_another_index_of_the_name_are_not_found(filed: tuple[Client, str, Path]) -> None:
    client, uid, _ = filed
    row = {"question": "When does the ferry sail?", "answer": "At noon."}
    client.add_faq(uid, [row])
    old = client.store.index_by_uid(uid)
    old.delete_index()
    again = client.store.index_by_uid(client.create_index(Name="ferries", RoleArn="")["Id"])
    assert again.name == old.name
    assert find_faqs(again, row["question"], embed=BagOfStems().embed_query) == []
    client.add_faq(again.uid, [{**row, "answer": "At one."}])
    (hit,) = find_faqs(again, row["question"], embed=BagOfStems().embed_query)
    assert hit.answer == "At one."


# ---- finding


def test_filters_and_access_lists_hold_for_rows(filed: tuple[Client, str, Path], store: Store) -> None:
    client, uid, _ = filed
    rows = [
        {
            "question": "When does the ferry sail?",
            "answer": name,
            "attributes": {"_category": name},
            "access": [{"Name": name, "Type": "USER", "Access": "ALLOW"}],
        }
        for name in ("ana", "bo")
    ]
    client.add_faq(uid, rows, language="de")
    index = store.index_by_uid(uid)

    def answers(**more: Any) -> list[str]:
        found = find_faqs(index, "When does the ferry sail?", embed=BagOfStems().embed_query, **more)
        return sorted(hit.answer for hit in found)

    assert answers() == ["ana", "bo"]
    assert len(answers(most=1)) == 1
    assert answers(where=visible_to(("user:bo",))) == ["bo"]
    assert answers(where=visible_to(())) == []
    assert answers(where=Eq("_category", "ana")) == ["ana"]
    assert answers(where=Eq("_language_code", "de")) == ["ana", "bo"]
    assert answers(where=Eq("_language_code", "en")) == []


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, HashingEmbedder]]:
    embedder = HashingEmbedder()
    with Store(tmp_path_factory.mktemp("faqs") / "store") as store:
        client = Client(store, embedder=embedder, folders={"faq": HANDBOOK})
        uid = client.create_index(Name="handbook", RoleArn="")["Id"]
        department = {"Name": "department", "Type": "STRING_VALUE"}
        client.update_index(Id=uid, DocumentMetadataConfigurationUpdates=[department])
        named = {"Bucket": "faq", "Key": "faq.csv"}
        faq = client.create_faq(IndexId=uid, Name="f", S3Path=named, RoleArn="", FileFormat="CSV_WITH_HEADER")
        assert client.describe_faq(IndexId=uid, Id=faq["Id"])["Status"] == "ACTIVE"
        yield store.index_by_uid(uid), embedder


def test_a_question_is_found_as_it_stands_and_mostly_in_other_words(handbook: tuple[Any, HashingEmbedder]) -> None:
    index, embedder = handbook
    with (HANDBOOK / "faq.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    reworded = 0
    for row, other in zip(rows, PARAPHRASES, strict=True):
        hits = find_faqs(index, row["_question"], embed=embedder.embed_query)
        assert (hits[0].question, hits[0].answer) == (row["_question"], row["_answer"].strip())
        assert hits[0].score > 0.999
        assert hits[0].metadata["department"] == row["department"]
        assert 1 <= len(hits) <= 4
        hits = find_faqs(index, other, embed=embedder.embed_query)
        assert not hits or hits[0].question == row["_question"]
        reworded += bool(hits)
    assert reworded >= 34  # hashed words know no synonyms; all-MiniLM-L6-v2 finds all 44


def test_other_questions_are_not_answered_from_the_faq(handbook: tuple[Any, HashingEmbedder]) -> None:
    index, embedder = handbook
    asked = []
    for name in ("questions.jsonl", "unanswerable.jsonl"):
        lines = (HANDBOOK / name).read_text(encoding="utf-8").splitlines()
        asked += [json.loads(line)["question"] for line in lines]
    found = [text for text in asked if find_faqs(index, text, embed=embedder.embed_query)]
    assert len(found) <= 1, found
    assert find_faqs(index, "...", embed=lambda _: np.zeros(256, np.float32)) == []


def test_rows_added_to_an_index_answer_its_queries(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "a.txt").write_text("The ferry sails at noon.", encoding="utf-8")
    index = store.bucket("docs").index("pages")
    Pipeline(index=index, embedder=HashingEmbedder()).run(folder, progress=False)
    pages = QueryIndex(index)
    row = {"question": "Are bicycles free?", "answer": "Yes.", "uri": "https://x.example", "attributes": {"line": "N"}}
    with pytest.raises(InvalidRequest, match="no field 'line'"):
        pages.add_faq([row])
    del row["attributes"]
    faq_id = pages.add_faq(
        [row, {**row, "answer": "No.", "access": [{"Name": "a", "Type": "USER", "Access": "ALLOW"}]}]
    )
    results = pages.search("are bicycles free", user="b")
    assert [(faq.question, faq.answer, faq.uri) for faq in results.faqs] == [
        ("Are bicycles free?", "Yes.", "https://x.example")
    ]
    assert len(pages.search("are bicycles free", user="a").faqs) == 2
    client = Client(store)
    kinds = [item["Type"] for item in client.query(IndexId=index.uid, QueryText="are bicycles free")["ResultItems"]]
    assert kinds.count("QUESTION_ANSWER") == 2
    client.delete_faq(IndexId=index.uid, Id=faq_id)
    assert not pages.search("are bicycles free").faqs


# ---- whatever is in a file


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), kind=st.sampled_from(FORMATS))
def test_any_content_is_rows_or_refused(content: bytes, kind: str) -> None:
    try:
        rows = read(content, kind)
    except InvalidRequest:
        return
    assert all(row.question and row.answer for row in rows)


printable = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=40).map(str.strip).filter(bool)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(printable, printable, st.integers(-(2**63), 2**63 - 1) | st.none()), min_size=1))
def test_what_a_csv_writer_writes_is_read(rows: list[tuple[str, str, int | None]]) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["_answer", "year", "_question"])
    writer.writerows((answer, "" if year is None else year, question) for question, answer, year in rows)
    expected = [
        FaqRow(question=question, answer=answer, attributes={} if year is None else {"year": year})
        for question, answer, year in rows
    ]
    assert read(file.getvalue(), "CSV_WITH_HEADER") == expected


class Broken(BagOfStems):
    """An embedder whose model has gone."""

    def embed_documents(self, texts: Any) -> Any:
        raise ModelError("the model is gone")


def test_a_faq_that_cannot_be_embedded_leaves_nothing(store: Store) -> None:
    uid = Client(store, embedder=BagOfStems()).create_index(Name="ferries", RoleArn="")["Id"]
    client = Client(store, embedder=Broken())
    with pytest.raises(ModelError):
        client.add_faq(uid, [{"question": "a", "answer": "b"}])
    assert client.list_faqs(IndexId=uid)["FaqSummaryItems"] == []
    assert questions(client, uid) == 0
