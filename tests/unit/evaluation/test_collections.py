"""Loading test collections: BEIR folders written here and real ones, and frames of several dialects."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import ragvec
from ragvec.errors import DocumentError, InvalidRequest, ResourceNotFound
from ragvec.evaluation.collections import Collection, beir, frames, handbook, ir_dataset
from ragvec.pipeline.documents import Document

CHECKOUT = Path(ragvec.__file__).parents[1]
TEST_DATA = Path(os.environ.get("RAGVEC_TEST_DATA", CHECKOUT.parent / "shared" / "data"))


def write_beir(folder: Path, *, corpus: list[Any], queries: list[Any], qrels: str, split: str = "test") -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus), encoding="utf-8")
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries), encoding="utf-8")
    (folder / "qrels" / f"{split}.tsv").write_text(qrels, encoding="utf-8")
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_beir(
        tmp_path / "small",
        corpus=[
            {"_id": "d1", "title": "Café", "text": "One.", "metadata": {"year": 2020, "url": None}},
            {"_id": 2, "text": "Two."},
        ],
        queries=[{"_id": "q1", "text": "first?"}, {"_id": "q2", "text": "nobody judged"}],
        qrels="query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\t2\t0\nq3\tgone\t1\n",
    )


def test_a_beir_folder_gives_documents_queries_and_judgements(small: Path) -> None:
    collection = beir(small)
    assert collection.name == "small"
    first, second = collection.documents
    assert (first.id, first.title, first.text, first.attributes) == ("d1", "Café", "One.", {"year": 2020})
    assert (second.id, second.title, second.text, second.attributes) == ("2", "", "Two.", {})
    assert collection.queries == {"q1": "first?", "q2": "nobody judged"}
    assert collection.qrels == {"q1": {"d1": 2, "2": 0}, "q3": {"gone": 1}}
    assert repr(collection) == "Collection('small', 2 queries, 2 judged)"


def test_documents_can_be_read_again(small: Path) -> None:
    documents = beir(small).documents
    assert [document.id for document in documents] == [document.id for document in documents] == ["d1", "2"]


def test_documents_are_read_one_line_at_a_time(small: Path) -> None:
    with (small / "corpus.jsonl").open("a", encoding="utf-8") as file:
        file.write("{ broken\n")
    documents = iter(beir(small).documents)
    assert [next(documents).id, next(documents).id] == ["d1", "2"]
    with pytest.raises(DocumentError, match=r"Expected a JSON object: .* - at .*corpus\.jsonl:3"):
        next(documents)


def test_what_does_not_fit_together_is_reported(small: Path) -> None:
    collection = beir(small)
    assert collection.unjudged == ("q2",)
    assert collection.unasked == ("q3",)
    assert collection.judged_queries == {"q1": "first?"}
    assert collection.absent_documents() == ("gone",)
    assert collection.problems() == (
        "1 queries without judgements, left out of every mean: q2",
        "1 judged queries without a text, which count as zero: q3",
        "1 relevant documents that are not in the collection: gone",
    )


def test_a_collection_that_fits_has_no_problems() -> None:
    documents = [Document(id="d", text="Text.")]
    assert Collection(name="whole", documents=documents, queries={"q": "?"}, qrels={"q": {"d": 1}}).problems() == ()


def test_another_split_and_file_of_queries(small: Path) -> None:
    (small / "qrels" / "train.tsv").write_text("q9\td1\t1\n", encoding="utf-8")
    (small / "more.jsonl").write_text('{"_id": "q9", "text": "ninth?"}\n', encoding="utf-8")
    collection = beir(small, split="train", queries="more.jsonl")
    assert collection.queries == {"q9": "ninth?"}
    assert collection.qrels == {"q9": {"d1": 1}}


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("corpus.jsonl", '{"_id": "d3"}', r"Expected text as `text`, got None - at .*corpus\.jsonl:3$"),
        (
            "corpus.jsonl",
            '{"_id": "d3", "title": 7, "text": ""}',
            r"Expected text as `title`, got 7 - at .*corpus\.jsonl:3$",
        ),
        ("corpus.jsonl", '{"_id": true, "text": "x"}', r"as `_id`, got True - at .*corpus\.jsonl:3$"),
        ("corpus.jsonl", '{"text": "x"}', r"as `_id`, got None - at .*corpus\.jsonl:3$"),
        ("corpus.jsonl", '{"_id": "d", "text": "", "metadata": [1]}', r"Expected an object as metadata, got \[1\]"),
        ("queries.jsonl", "[]", r"Expected a JSON object: .*queries\.jsonl:3$"),
        ("queries.jsonl", '{"_id": "q1", "text": "else"}', r"query 'q1' was there before .*queries\.jsonl:3$"),
        ("qrels/test.tsv", "q1 d1 1", r"parted by tabs; got 1 columns - at .*test\.tsv:5$"),
        ("qrels/test.tsv", "q1\td9\tyes", r"Expected a whole number as grade, got 'yes' - at .*test\.tsv:5$"),
        ("qrels/test.tsv", "q1\td1\t1", r"Document 'd1' was judged before .*test\.tsv:5$"),
    ],
)
def test_an_error_names_file_and_line(small: Path, file: str, line: str, message: str) -> None:
    with (small / file).open("a", encoding="utf-8") as opened:
        opened.write(line + "\n")
    with pytest.raises(DocumentError, match=message) as caught:
        list(beir(small).documents)
    assert caught.value.source.startswith(str(small / file) + ":")


def test_bytes_that_are_not_utf8_are_refused_by_line(small: Path) -> None:
    with (small / "queries.jsonl").open("ab") as file:
        file.write(b'{"_id": "q4", "text": "caf\xe9"}\n')
    with pytest.raises(DocumentError, match=r"Expected UTF-8: .*queries\.jsonl:3$"):
        beir(small)


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_do_no_harm(small: Path) -> None:
    for file in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        text = (small / file).read_text(encoding="utf-8")
        (small / file).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n")
    collection = beir(small)
    assert len(list(collection.documents)) == 2
    assert collection.qrels["q1"] == {"d1": 2, "2": 0}


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_an_absent_file_is_named(small: Path, file: str) -> None:
    (small / file).unlink()
    with pytest.raises(ResourceNotFound, match="Expected a file, found none - at ") as caught:
        beir(small)
    assert str(caught.value).endswith(str(small / file))


@pytest.mark.parametrize(
    ("name", "documents", "queries", "judged", "pairs"),
    [("scifact", 5183, 300, 300, 339), ("cranfield", 1400, 225, 225, 1612)],
)
def test_real_collections(name: str, documents: int, queries: int, judged: int, pairs: int) -> None:
    if not (TEST_DATA / name).is_dir():
        pytest.skip(f"no {name} in {TEST_DATA}; set RAGVEC_TEST_DATA to a folder that has it")
    collection = beir(TEST_DATA / name)
    assert len({document.id for document in collection.documents}) == documents
    assert (len(collection.queries), len(collection.qrels)) == (queries, judged)
    assert sum(map(len, collection.qrels.values())) == pairs
    assert collection.problems() == ()


def test_frames_give_documents_with_attributes_and_leave_out_what_is_missing() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    documents = pandas.DataFrame(
        {
            "id": [10, 11],
            "title": ["Ten", None],
            "text": ["One.", "Two."],
            "year": [2020, None],
            "day": [pandas.Timestamp("2024-05-01"), pandas.NaT],
            "tags": [["a", "b"], None],
            "public": [True, False],
        }
    )
    before = documents.copy(deep=True)
    collection = frames(documents)
    first, second = collection.documents
    assert (first.id, first.title, first.text) == ("10", "Ten", "One.")
    assert first.attributes == {"year": 2020, "day": datetime(2024, 5, 1), "tags": ["a", "b"], "public": True}
    assert (second.id, second.title, second.attributes) == ("11", "", {"public": False})
    assert [type(value) for value in second.attributes.values()] == [bool]
    assert collection.queries == {}
    assert collection.qrels == {}
    pandas.testing.assert_frame_equal(documents, before)


@pytest.mark.parametrize(
    ("document_id", "query_id", "judged_query", "judged_document", "text", "grade"),
    [
        ("id", "id", "query_id", "document_id", "text", "grade"),
        ("doc_id", "query_id", "query_id", "doc_id", "text", "relevance"),
        ("docno", "qid", "qid", "docno", "query", "label"),
        ("_id", "_id", "query-id", "corpus-id", "text", "score"),
    ],
)
def test_frames_of_every_dialect_are_read_alike(
    document_id: str, query_id: str, judged_query: str, judged_document: str, text: str, grade: str
) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    collection = frames(
        pandas.DataFrame({document_id: ["d1", "d2"], "text": ["One.", "Two."]}),
        pandas.DataFrame({query_id: ["q1"], text: ["first?"]}),
        pandas.DataFrame({judged_query: ["q1", "q1"], judged_document: ["d1", "d2"], grade: [2.0, 0.0]}),
        name="mine",
    )
    assert [document.id for document in collection.documents] == ["d1", "d2"]
    assert collection.name == "mine"
    assert collection.queries == {"q1": "first?"}
    assert collection.qrels == {"q1": {"d1": 2, "d2": 0}}
    assert collection.problems() == ()


DOCUMENTS = {"id": ["d1"], "text": ["One."]}
QUERIES = {"id": ["q1"], "text": ["first?"]}
QRELS = {"query_id": ["q1"], "document_id": ["d1"], "grade": [1]}


@pytest.mark.parametrize(
    ("documents", "queries", "qrels", "message"),
    [
        (
            {"key": ["d1"], "text": ["x"]},
            QUERIES,
            QRELS,
            "or _id, got the columns key, text - in the frame of documents",
        ),
        ({"id": [1], "docno": [1], "text": ["x"]}, QUERIES, QRELS, "got docno and id - in the frame of documents"),
        ({"id": ["d1"], "body": ["x"]}, QUERIES, QRELS, "Expected one column named text, got the columns id, body"),
        ({"id": ["d1", None], "text": ["x", "y"]}, QUERIES, QRELS, r"as `id`, got None - at documents\[1\]"),
        ({"id": ["d1"], "text": [None]}, QUERIES, QRELS, r"Expected text as `text`, got None - at documents\[0\]"),
        (DOCUMENTS, {"id": ["q", "q"], "text": ["x", "y"]}, QRELS, r"got 'q' again - at queries\[1\]"),
        (DOCUMENTS, {"id": [1.5], "text": ["x"]}, QRELS, r"as `id`, got 1.5 - at queries\[0\]"),
        (DOCUMENTS, QUERIES, {**QRELS, "grade": [0.5]}, r"Expected a whole number as `grade`, got 0.5 - at qrels\[0\]"),
        (
            DOCUMENTS,
            QUERIES,
            {**QRELS, "grade": [None]},
            r"Expected a whole number as `grade`, got None - at qrels\[0\]",
        ),
        (
            DOCUMENTS,
            QUERIES,
            {"qid": ["q", "q"], "docno": ["d", "d"], "label": [1, 2]},
            r"Document 'd' was judged before for query 'q', with another grade - at qrels\[1\]",
        ),
    ],
)
def test_a_bad_frame_is_refused_by_frame_and_row(documents: Any, queries: Any, qrels: Any, message: str) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    with pytest.raises(InvalidRequest, match=message):
        list(frames(*map(pandas.DataFrame, (documents, queries, qrels))).documents)


def test_the_handbook_gives_its_pages_with_attributes_and_its_questions() -> None:
    pytest.importorskip("docx", reason="python-docx is not installed")
    pytest.importorskip("pypdf", reason="pypdf is not installed")
    pytest.importorskip("bs4", reason="beautifulsoup4 is not installed")
    folder = CHECKOUT / "datasets" / "handbook"
    counts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["counts"]
    collection = handbook(folder)
    documents = {document.id: document for document in collection.documents if isinstance(document, Document)}
    assert len(documents) == counts["documents"]
    assert len(collection.queries) == len(collection.qrels) == counts["questions"]
    assert collection.problems() == ()
    page = documents["benefits/parental-leave"]
    assert page.title == "Parental leave"
    assert page.attributes["_category"] == "benefits"
    assert collection.qrels["a-01"] == {"benefits/parental-leave": 3, "benefits/parental-leave-2021": 1}


@pytest.mark.parametrize("file", ["questions.jsonl", "attributes.jsonl"])
def test_a_folder_that_is_no_handbook_is_refused(tmp_path: Path, file: str) -> None:
    for name in {"questions.jsonl", "attributes.jsonl"} - {file}:
        (tmp_path / name).touch()
    with pytest.raises(ResourceNotFound, match=f"Expected a file, found none - at .*{file}"):
        handbook(tmp_path)


def test_a_dataset_of_ir_datasets_becomes_a_collection(tmp_path: Path) -> None:
    library = pytest.importorskip("ir_datasets", reason="ir_datasets is not installed")
    (tmp_path / "docs.tsv").write_text("d1\tThe first document.\nd2\tThe second one.\n")
    (tmp_path / "queries.tsv").write_text("q1\twhich is first?\n")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 2\nq1 0 d2 0\n")
    dataset = library.create_dataset(
        docs_tsv=str(tmp_path / "docs.tsv"),
        queries_tsv=str(tmp_path / "queries.tsv"),
        qrels_trec=str(tmp_path / "qrels.txt"),
    )
    found = ir_dataset(dataset)
    assert [(document.id, document.text) for document in found.documents] == [
        ("d1", "The first document."),
        ("d2", "The second one."),
    ]
    assert found.queries == {"q1": "which is first?"}
    assert found.qrels == {"q1": {"d1": 2, "d2": 0}}
    assert found.problems() == ()
    with pytest.raises(ResourceNotFound, match="ir_datasets has no dataset 'no/such'"):
        ir_dataset("no/such")


def test_the_package_offers_its_names() -> None:
    import ragvec.evaluation as package

    for name in package.__all__:
        assert callable(getattr(package, name)) or isinstance(getattr(package, name), type)
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing
