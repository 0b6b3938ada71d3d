"""Where documents come from, what they are called, and what is put beside them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ragvec.errors import DocumentError
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.load import expected_documents, load

sys.path.insert(0, str(Path(__file__).parent))
from formats import documents, make_docx, only, plain_pdf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    (root / "sub" / ".hidden").mkdir(parents=True)
    (root / "b.md").write_text("# B\n\ntext", encoding="utf-8")
    (root / "sub" / "a.txt").write_text("text", encoding="utf-8")
    (root / "sub" / "ç.html").write_text("<p>text</p>", encoding="utf-8")
    (root / "sub" / ".hidden" / "x.txt").write_text("text", encoding="utf-8")
    (root / "~$b.docx").write_bytes(b"lock")
    make_docx(root / "sub" / "w.docx")
    plain_pdf(root / "p.pdf", "text")
    (root / "t.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    return root


def lines(path: Path, *records: object) -> Path:
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


def failures(source: object, **options: object) -> list[Failure]:
    return [item for item in load(source, **options) if isinstance(item, Failure)]  # type: ignore[arg-type]  # any source


def test_a_folder_gives_its_files_in_order(folder: Path) -> None:
    found = documents(folder)
    assert [document.id for document in found] == ["b.md", "p.pdf", "sub/a.txt", "sub/w.docx", "sub/ç.html", "t.csv"]
    assert [document.file_type for document in found] == ["md", "pdf", "txt", "docx", "html", "csv"]
    assert expected_documents(folder) == 6
    assert [document.id for document in documents(folder, glob="sub/*.txt")] == ["sub/a.txt"]
    assert documents(str(folder)) == found


def test_one_broken_file_stops_nothing(folder: Path) -> None:
    (folder / "bad.pdf").write_bytes(b"%PDF-1.4 garbage")
    (folder / "empty.txt").write_text(" \n", encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / "binary.txt").write_bytes(b"\x00\x01")
    found = failures(folder)
    assert [failure.source for failure in found] == ["bad.pdf", "binary.txt", "empty.txt", "picture.png"]
    assert [failure.document_id for failure in found] == [failure.source for failure in found]
    assert found[2].reason == "Expected text, got an empty document"
    assert found[3].reason.endswith("got .png")
    assert len(list(load(folder))) == 6 + 4


def test_a_source_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DocumentError, match="Expected a file or a folder, got a path where there is none: /no/such"):
        load("/no/such")
    with pytest.raises(DocumentError, match="Expected a path, a DataFrame, or an iterable of documents, got int"):
        load(7)  # type: ignore[arg-type]  # on purpose


def test_jsonl_is_a_document_a_line(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "d.jsonl",
        {"id": "one", "text": "First", "title": "T", "year": 2024, "tags": ["a"], "nested": {"x": 1}, "gone": None},
        {"_id": 7, "content": "Second", "created_at": "2024-01-02"},
        {"page_content": "Third"},
    )
    first, second, third = documents(path)
    assert (first.id, first.text, first.title, first.attributes) == ("one", "First", "T", {"year": 2024, "tags": ["a"]})
    assert first.notes == ("attribute 'nested' left out: expected text, number, boolean, date or list of texts",)
    assert (second.id, second.text, list(second.attributes)) == ("7", "Second", ["_created_at"])
    assert (third.id, third.file_type) == ("d.jsonl:3", "jsonl")


def test_lines_that_are_no_documents_are_named(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(
        '{"id": "a", "text": "x"}\n{broken\n[1]\n{"id": "b"}\n\n{"id": "c", "text": "x", "_no": 1}', "utf-8"
    )
    found = failures(path)
    assert [(failure.source, failure.document_id) for failure in found] == [
        ("d.jsonl:2", ""),
        ("d.jsonl:3", ""),
        ("d.jsonl:4", "b"),
        ("d.jsonl:6", "c"),
    ]
    assert found[1].reason == "Expected a JSON object on one line: Expected `object`, got `array`"
    assert found[2].reason == "Expected a field text or page_content or content holding text, got the fields id"


def test_a_beir_folder_is_its_corpus(tmp_path: Path) -> None:
    lines(tmp_path / "corpus.jsonl", {"_id": "4", "title": "T", "text": "body"}, {"_id": "5", "title": "", "text": "b"})
    lines(tmp_path / "queries.jsonl", {"_id": "q", "text": "question"})
    (tmp_path / "README.txt").write_text("about", encoding="utf-8")
    assert [(document.id, document.title) for document in documents(tmp_path)] == [("4", "T"), ("5", "")]
    assert expected_documents(tmp_path) is None


def test_a_dataframe_is_a_document_a_row() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "id": ["a", "b"],
            "text": ["first", "second"],
            "title": ["A", None],
            "n": [1, 2],
            "x": [0.5, float("nan")],
            "at": pd.to_datetime(["2024-01-01", None]),
            "tags": [["p"], []],
        }
    )
    first, second = documents(frame)
    assert (first.id, first.title, first.text) == ("a", "A", "first")
    assert {name: first.attributes[name] for name in ("n", "x", "tags")} == {"n": 1, "x": 0.5, "tags": ["p"]}
    assert first.attributes["at"].isoformat() == "2024-01-01T00:00:00+00:00"
    assert (second.title, second.attributes) == ("", {"n": 2})
    assert [document.id for document in documents(frame.drop(columns="id"))] == ["0", "1"]
    with pytest.raises(DocumentError, match="Expected a DataFrame with a column text"):
        list(load(frame[["n"]]))


def test_langchain_documents_are_known_by_their_shape() -> None:
    core = pytest.importorskip("langchain_core.documents")
    found = documents(
        [
            core.Document(page_content="one", id="mine", metadata={"source": "a/b.md", "title": "T", "year": 2024}),
            core.Document(page_content="two", metadata={"source": "x.pdf", "page": 3}),
            core.Document(page_content="three", metadata={"id": "meta"}),
            core.Document(page_content="four"),
        ]
    )
    assert [document.id for document in found[:3]] == ["mine", "x.pdf#page=3", "meta"]
    assert found[3].id.startswith("sha256:")
    assert (found[0].title, found[0].uri, found[0].file_type, found[0].attributes) == (
        "T",
        "a/b.md",
        "md",
        {"year": 2024},
    )


def test_langchain_pieces_of_one_source_are_told_apart() -> None:
    core = pytest.importorskip("langchain_core.documents")
    pieces = [core.Document(page_content=text, metadata={"source": "a.md", "text": "no"}) for text in ("x", "y", "z")]
    found = documents(pieces)
    assert [(document.id, document.text) for document in found] == [("a.md", "x"), ("a.md#2", "y"), ("a.md#3", "z")]
    (again,) = failures([core.Document(page_content="x", id="one"), core.Document(page_content="y", id="one")])
    assert again.document_id == "one"


def test_documents_and_mappings_may_be_mixed() -> None:
    mine = Document(id="a", text="one", attributes={"category": "x"})
    found = documents(iter([mine, {"id": "b", "text": "two"}, {"text": "three"}]))
    assert [document.id for document in found] == ["a", "b", "2"]
    assert found[0].attributes == {"_category": "x"}
    assert only(mine) == found[0]
    (bad,) = failures([{"text": "ok"}, 7])
    assert (bad.source, bad.reason) == ("item 1", "Expected a document or a mapping, got int")


def test_an_id_is_taken_once() -> None:
    (again,) = failures([Document(id="a", text="one"), Document(id="a", text="two"), Document(id="b", text="three")])
    assert again == Failure("a", "Expected a new id, got 'a' again: an earlier document has it", "a")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (Document(id="", text="x"), "Expected an id, got an empty one"),
        (Document(id="a", text="\ud800"), "Expected valid text, got a lone surrogate at character 1"),
        (
            Document(id="a", text="x", attributes={"_mine": 1}),
            "Expected an attribute name that does not begin with '_'",
        ),
    ],
)
def test_documents_that_cannot_be_stored_are_failures(document: Document, reason: str) -> None:
    (found,) = failures([document])
    assert found.reason.startswith(reason)


def test_a_file_of_attributes_gives_ids_and_wins(folder: Path) -> None:
    sidecar = lines(
        folder / "attributes.jsonl",
        {
            "path": "b.md",
            "id": "rules/b",
            "title": "Better",
            "access_groups": ["hr"],
            "file_type": "note",
            "gone": None,
        },
        {"path": "sub/../sub/a.txt", "department": "IT"},
        {"id": "t.csv", "view_count": 3},
    )
    found = {document.id: document for document in documents(folder, attributes=sidecar)}
    assert set(found) == {"rules/b", "p.pdf", "sub/a.txt", "sub/w.docx", "sub/ç.html", "t.csv"}
    assert found["sub/a.txt"].attributes == {"department": "IT"}
    better = found["rules/b"]
    assert (better.title, better.file_type, better.attributes) == ("Better", "note", {"_acl_allow": ["group:hr"]})
    assert found["t.csv"].attributes == {"_view_count": 3}


def test_attributes_by_mapping_and_by_function(folder: Path) -> None:
    by_id: dict[str, dict[str, Any]] = {"b.md": {"category": "x"}, "none": {"category": "y"}}
    found = {document.id: document.attributes for document in documents(folder, attributes=by_id)}
    assert (found["b.md"], found["t.csv"]) == ({"_category": "x"}, {})
    found = {
        document.id: document.attributes
        for document in documents(
            folder, attributes=lambda document: {"size": len(document.text)} if document.id == "t.csv" else None
        )
    }
    assert (found["b.md"], found["t.csv"]) == ({}, {"size": 25})


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"id": "a"}\n{"title": "T"}', "Expected `id` or `path` - at line 2"), ("[1]", "Expected a JSON object")],
)
def test_a_bad_file_of_attributes_is_an_error(folder: Path, text: str, message: str) -> None:
    (folder.parent / "a.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError, match=message):
        load(folder, attributes=folder.parent / "a.jsonl")
    with pytest.raises(DocumentError, match="got a path where there is none"):
        load(folder, attributes=folder / "nothing.jsonl")
