"""Files that hold documents: archives, letters, boxes of letters, JSON and Parquet; and what is known of any file."""

from __future__ import annotations

import json
import os
import signal
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.embedders.hashing import HashingEmbedder
from ragvec.pipeline.facts import file_facts
from ragvec.pipeline.load import expected_documents, load
from ragvec.pipeline.loaders.place import Place
from ragvec.pipeline.reading import Reader
from ragvec.pipeline.run import Pipeline
from ragvec.store import Store

sys.path.insert(0, str(Path(__file__).parent))
from formats import documents, only
from more_formats import letter, make_mbox, make_xlsx, make_zip

HERE = FileLimits(isolate=False)


def texts(found: list[Document]) -> dict[str, str]:
    return {document.id: document.text for document in found}


def reasons(source: Path, limits: FileLimits = HERE) -> dict[str, str]:
    return {item.source: item.reason for item in load(source, limits=limits) if isinstance(item, Failure)}


def test_an_archive_is_the_files_in_it(tmp_path: Path) -> None:
    make_xlsx(tmp_path / "rates.xlsx")
    members = {
        "b.txt": "second",
        "notes/a é.md": "# First\n\nwords",
        "rates.xlsx": (tmp_path / "rates.xlsx").read_bytes(),
        "notes/.hidden.txt": "no",
        "__MACOSX/b.txt": "no",
        "lines.jsonl": '{"id": "own", "text": "third"}\n{"text": "fourth"}\n',
        "win\\dow.txt": "fifth",
    }
    (tmp_path / "rates.xlsx").unlink()
    path = make_zip(tmp_path / "box.zip", members)
    found = documents(path)
    assert [document.id for document in found] == [
        "box.zip/b.txt",
        "own",
        "box.zip/lines.jsonl:2",
        "box.zip/notes/a é.md",
        "box.zip/rates.xlsx",
        "box.zip/win/dow.txt",
    ]
    assert found[3].title == "First"
    assert found[3].uri == path.as_uri() + "#notes/a%20%C3%A9.md"
    assert found[4].pages == (0, 87)
    assert expected_documents(path) is None


def test_archives_in_archives_are_opened_to_a_depth(tmp_path: Path) -> None:
    data = make_zip(tmp_path / "0.zip", {"a.txt": "found"}).read_bytes()
    for level in range(1, 5):
        data = make_zip(tmp_path / f"{level}.zip", {f"{level - 1}.zip": data, f"at{level}.txt": "x"}).read_bytes()
    assert texts(documents(tmp_path / "3.zip", limits=HERE))["3.zip/2.zip/1.zip/0.zip/a.txt"] == "found"
    assert reasons(tmp_path / "4.zip") == {
        "4.zip/3.zip/2.zip/1.zip/0.zip": "Expected at most 4 archives or letters in each other, got one in 4 others: "
        "FileLimits(depth=…) allows more"
    }


def test_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"../../up.txt": "x", "/root.txt": "y", "..": "z"})
    assert texts(documents(path, limits=HERE)) == {"a.zip/up.txt": "x", "a.zip/root.txt": "y"}
    assert [each.name for each in tmp_path.iterdir()] == ["a.zip"]


def test_a_broken_member_stops_nothing(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a.pdf": "no pdf", "b.txt": "words " * 50, "c.png": "x", "d.txt": "fine"})
    raw = bytearray(path.read_bytes())
    at = raw.index(b"b.txt") + 8
    raw[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    found = list(load(path))
    assert [item.id for item in found if isinstance(item, Document)] == ["a.zip/d.txt"]
    failed = {item.source: item for item in found if isinstance(item, Failure)}
    assert failed["a.zip/a.pdf"].reason.startswith("Expected a PDF document")
    assert failed["a.zip/b.txt"].reason.startswith("Expected a file that can be unpacked")
    assert failed["a.zip/c.png"].reason.startswith("Expected a file type that is read")
    assert all(failure.document_id == name for name, failure in failed.items())


def test_an_encrypted_member_is_told_of(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a.txt": "secret"})
    raw = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + offset] |= 1
    path.write_bytes(raw)
    assert "encrypted with a password" in reasons(path)["a.zip/a.txt"]


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    limits = FileLimits(unpacked_bytes=1 << 20, parts=20, isolate=False)
    make_zip(tmp_path / "big.zip", {"a.txt": b"0" * (2 << 20)})
    make_zip(tmp_path / "many.zip", {f"{number}.txt": "x" for number in range(21)})
    inner = make_zip(tmp_path / "inner.zip", {"a.txt": b"0" * (700 << 10)}).read_bytes()
    make_zip(tmp_path / "twice.zip", {"a.zip": inner, "b.zip": inner})
    found = reasons(tmp_path, limits)
    assert "Expected at most 1,048,576 bytes in an archive, got 2,097,152" in found["big.zip"]
    assert "Expected at most 20 files in an archive, got 21" in found["many.zip"]
    assert "Expected at most 1,048,576 bytes in an archive and those in it" in found["twice.zip/b.zip"]


def test_a_letter_and_what_is_attached_to_it(tmp_path: Path) -> None:
    made = letter()
    made.add_alternative("<p>Dear <b>Bo</b></p>", subtype="html")
    made.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="rates é.csv")
    made.add_attachment(b"a,b\n3,4\n", maintype="text", subtype="csv", filename="rates é.csv")
    made.add_attachment(b"\x89PNG", maintype="application", subtype="octet-stream", filename="picture.png")
    made.add_attachment(letter("Inner", number="2@quay", body="Deep words.\n"))
    (tmp_path / "a.eml").write_bytes(bytes(made))
    found = list(load(tmp_path / "a.eml"))
    assert [item.id if isinstance(item, Document) else item.source for item in found] == [
        "a.eml",
        "a.eml/rates é.csv",
        "a.eml/rates é-2.csv",
        "a.eml/picture.png",
        "a.eml/letter-4.eml",
    ]
    first = found[0]
    assert isinstance(first, Document)
    assert (first.title, first.text) == ("Berth 4", "Dear Bo,\n\nthe berth is free.")
    assert first.attributes == {
        "_authors": ["Ann Quist"],
        "recipients": ["bo@quay.example", "Cy"],
        "message_id": "1@quay",
        "_created_at": datetime(2026, 3, 2, 9, tzinfo=timezone.utc),
    }
    assert isinstance(found[3], Failure)
    inner = found[4]
    assert isinstance(inner, Document)
    assert (inner.title, inner.text) == ("Inner", "Deep words.")


def test_a_letter_in_html_and_in_another_encoding(tmp_path: Path) -> None:
    made = EmailMessage()
    made["Subject"] = "Ünï"
    made.set_content("<h1>Head</h1><p>Größe</p>", subtype="html", charset="iso-8859-1", cte="quoted-printable")
    (tmp_path / "a.eml").write_bytes(bytes(made))
    document = only(tmp_path / "a.eml", limits=HERE)
    assert (document.title, document.text) == ("Ünï", "Head\n\nGröße")


def test_a_box_is_its_letters(tmp_path: Path) -> None:
    quoted = letter("Two", number="2@quay", body="First line.\n\nFrom here on it rains.\n")
    path = make_mbox(tmp_path / "a.mbox", letter(), quoted, letter("Again", number="1@quay"))
    found = documents(path)
    assert [document.id for document in found] == ["a.mbox/1@quay", "a.mbox/2@quay", "a.mbox/3"]
    assert [document.title for document in found] == ["Berth 4", "Two", "Again"]
    assert found[1].text == "First line.\n\nFrom here on it rains."


def test_json_is_records_or_one_document(tmp_path: Path) -> None:
    records = [{"id": "x", "text": "one", "year": 3}, {"text": "two"}, {"no": 1}, 7]
    (tmp_path / "a.json").write_text(json.dumps(records))
    (tmp_path / "b.json").write_text(json.dumps({"count": 1, "items": [{"content": "three", "title": "T"}]}))
    (tmp_path / "c.json").write_text(json.dumps({"text": "four", "title": "Four"}))
    nested = {
        "title": "Quay",
        "berths": [{"n": 1, "free": True}, {"n": 2}],
        "crane": {"arm": {"m": [3, 4]}, "off": None},
    }
    (tmp_path / "d.json").write_text(json.dumps(nested))
    (tmp_path / "e.json").write_text('["a", "b"]')
    (tmp_path / "f.json").write_text("{}")
    found = list(load(tmp_path, limits=HERE))
    made = {item.id: item for item in found if isinstance(item, Document)}
    assert list(made) == ["x", "a.json:2", "b.json:1", "c.json", "d.json", "e.json"]
    assert (made["x"].attributes, made["b.json:1"].title, made["c.json"].text) == ({"year": 3}, "T", "four")
    assert (made["d.json"].title, made["d.json"].text.splitlines()) == (
        "Quay",
        [
            "title: Quay",
            "berths: n: 1; free: true",
            "berths: n: 2",
            "crane > arm > m: 3, 4",
            "crane > off: null",
        ],
    )
    assert made["e.json"].text == "a, b"
    assert {item.source: item.reason for item in found if isinstance(item, Failure)} == {
        "a.json:3": "Expected a field text or page_content or content holding text, got the fields no",
        "a.json:4": "Expected an object among the records, got a number",
        "f.json": "Expected text, got an empty document",
    }


def test_parquet_is_a_document_a_row(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {
            "id": ["a", None],
            "text": ["first", "second"],
            "at": pd.to_datetime(["2026-01-01", None]),
            "tags": [["p", "q"], []],
            "n": [1, 2],
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    first, second = documents(tmp_path / "a.parquet")
    assert (first.id, first.text, first.file_type) == ("a", "first", "parquet")
    assert first.attributes == {"at": datetime(2026, 1, 1, tzinfo=timezone.utc), "tags": ["p", "q"], "n": 1}
    assert (second.id, second.attributes) == ("a.parquet:2", {"n": 2})
    frame[["n"]].to_parquet(tmp_path / "b.parquet")
    assert reasons(tmp_path / "b.parquet") == {
        "b.parquet": "Expected a Parquet file with a column text or page_content or content, got n"
    }


def test_many_documents_of_one_file_come_one_by_one(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {f"{number:03}.txt": f"text {number}" for number in range(300)})
    items = load(path)
    assert next(items) is not None
    items.close()  # type: ignore[attr-defined]  # it is a generator
    (tmp_path / "b.txt").write_text("after")
    assert len(documents(tmp_path)) == 301


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_a_reader_that_is_killed_loses_the_rest_of_one_file(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {f"{number:03}.txt": f"text {number} " * 500 for number in range(300)})
    (tmp_path / "b.txt").write_text("after")
    place = Place("a.zip", path.as_uri(), "a.zip")
    with Reader(FileLimits()) as reader:
        items = reader.documents(path, place, ".zip")
        came = [next(items)]
        assert reader._process is not None
        os.kill(reader._process.pid, signal.SIGKILL)
        with pytest.raises(DocumentError, match=r"got one that ends the process that reads it \(SIGKILL\)"):
            came.extend(items)
        assert all(isinstance(item, Document) for item in came)
        assert 1 <= len(came) < 300
        (after,) = reader.documents(tmp_path / "b.txt", Place("b.txt", "", "b.txt"), ".txt")
        assert isinstance(after, Document)


def test_what_an_archive_lost_is_not_removed(tmp_path: Path) -> None:
    """When it cannot be opened it is not known which documents were in it."""
    folder = tmp_path / "documents"
    folder.mkdir()
    path = make_zip(folder / "a.zip", {"a.txt": "words", "b.txt": "more"})
    with Store(tmp_path / "store") as store:
        pipeline = Pipeline(index=store.bucket("work").index("notes"), embedder=HashingEmbedder(16))
        assert pipeline.run(folder, progress=False).added == 2
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        broken = pipeline.run(folder, progress=False, remove_missing=True)
        assert (broken.removed, len(broken.failed)) == (0, 1)
        path.write_bytes(whole)
        again = pipeline.run(folder, progress=False, remove_missing=True)
        assert (again.unchanged, again.removed, again.failed) == (2, 0, ())


def test_loaders_of_langchain_are_sources() -> None:
    core = pytest.importorskip("langchain_core.documents")
    base = pytest.importorskip("langchain_core.document_loaders")

    class Harbour(base.BaseLoader):  # type: ignore[name-defined,misc]  # imported on use
        def lazy_load(self) -> Iterator[Any]:
            yield core.Document(page_content="one", metadata={"source": "a.md"})
            yield core.Document(page_content="two", metadata={"source": "b.md", "page": 2})

    assert texts(documents(Harbour())) == {"a.md": "one", "b.md#page=2": "two"}


def test_facts_of_files_are_attributes_for_the_asking(tmp_path: Path) -> None:
    (tmp_path / "travel").mkdir()
    (tmp_path / "travel" / "a.txt").write_text("text")
    make_zip(tmp_path / "b.zip", {"in/c.txt": "text"})
    for path in (tmp_path / "travel" / "a.txt", tmp_path / "b.zip"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    changed = datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)
    facts = {each.id: each.attributes for each in documents(tmp_path, attributes=file_facts, limits=HERE)}
    assert facts["travel/a.txt"] == {
        "file_name": "a.txt",
        "file_folders": ["travel"],
        "file_size": 4,
        "file_changed_at": changed,
    }
    assert facts["b.zip/in/c.txt"]["file_folders"] == ["b.zip", "in"]
    assert facts["b.zip/in/c.txt"]["file_size"] == (tmp_path / "b.zip").stat().st_size
    assert file_facts(Document(id="a", text="x")) == {}


def test_several_sources_of_attributes_are_put_together(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.txt").write_text("text")
    (tmp_path / "about.jsonl").write_text('{"path": "a.txt", "id": "A", "team": "x", "n": 1}\n')
    given = [{"A": {"n": 2, "m": 3}}, tmp_path / "about.jsonl", lambda document: {"size": len(document.text)}]
    found = {each.id: each.attributes for each in documents(tmp_path, attributes=given, limits=HERE)}
    assert found == {"A": {"n": 1, "m": 3, "team": "x", "size": 4}, "b.txt": {"size": 4}}
    with pytest.raises(DocumentError, match="Expected at most one file of attributes, got 2"):
        load(tmp_path, attributes=[tmp_path / "about.jsonl", tmp_path / "about.jsonl"])
    with pytest.raises(DocumentError, match="or a function as attributes, got 7"):
        load(tmp_path, attributes=7)  # type: ignore[arg-type]  # on purpose


def test_a_zip_file_without_files_is_no_document(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    assert list(load(tmp_path / "a.zip", limits=HERE)) == []
