"""A folder of awkward files: each is a document or a failure that says why, and none stops the others."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import pytest

from ragvec.pipeline.chunk import StructureChunker
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.embedders.hashing import HashingEmbedder
from ragvec.pipeline.load import load
from ragvec.pipeline.run import Pipeline
from ragvec.store import Store

sys.path.insert(0, str(Path(__file__).parent))
from formats import make_docx, plain_pdf
from more_formats import letter, make_epub, make_pptx, make_xlsx, make_zip

GERMAN = "Die Größe der Brücke über den Fluß ist für Fußgänger schön und nützlich, süß äußerst größer. " * 4
COMPOSED, DECOMPOSED = "été-\u00e9.txt", unicodedata.normalize("NFD", "ete\u0301-2.txt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pypdf = pytest.importorskip("pypdf")
    root = tmp_path_factory.mktemp("awkward")
    (root / "empty.txt").write_bytes(b"")
    (root / "blank.md").write_text(" \n\t\n")
    (root / "line.txt").write_text("word " * 400_000)
    (root / "block.txt").write_text("x" * 1_000_000)
    (root / "latin.txt").write_bytes(GERMAN.encode("latin-1"))
    (root / "utf16.csv").write_bytes("Stadt;Größe\nKöln;3\n".encode("utf-16"))
    (root / "marked.html").write_bytes(b"\xef\xbb\xbf<p>caf\xc3\xa9</p>")
    (root / "declared.html").write_bytes('<meta charset="koi8-r"><p>мост</p>'.encode("koi8-r"))
    # Two encodings in one file, as from two logs put together.
    (root / "mixed.log").write_bytes("Größe\n".encode() * 20 + GERMAN.encode("latin-1"))
    (root / "crlf.md").write_bytes(b"# Head\r\n\r\nOne.\rTwo.\r\n")
    (root / "binary.txt").write_bytes(bytes(range(256)))
    (root / "no suffix").write_text("text")
    (root / COMPOSED).write_text("found")
    (root / DECOMPOSED).write_text("found")
    (root / "漢字 😀.md").write_text("# 橋\n\n橋は長い。とても長い。")
    (root / ("n" * 200 + ".txt")).write_text("found")
    plain_pdf(root / "open.pdf", "found")
    writer = pypdf.PdfWriter(str(root / "open.pdf"))
    writer.encrypt("password", algorithm="RC4-128")
    writer.write(str(root / "locked.pdf"))
    for name, whole in (
        ("cut.docx", make_docx(root / "whole.docx")),
        ("cut.xlsx", make_xlsx(root / "whole.xlsx")),
        ("cut.pptx", make_pptx(root / "whole.pptx")),
        ("cut.epub", make_epub(root / "whole.epub")),
        ("cut.pdf", root / "open.pdf"),
    ):
        raw = whole.read_bytes()
        (root / name).write_bytes(raw[: len(raw) * 2 // 3])
    (root / "whole.eml").write_bytes(bytes(letter()))
    (root / "page.docx").write_text("<html>saved by a program that thinks a page is a document</html>")
    make_zip(root / "nested.zip", {"a/b/c.txt": "found", "bad.pdf": b"no", "😀.md": "# found"})
    (root / "deeper" / "still").mkdir(parents=True)
    (root / "deeper" / "still" / "a.py").write_text("def found():\n    return 1\n")
    (root / "huge.json").write_text('{"a": "' + "y" * 500_000 + '"}')
    if hasattr(os, "symlink"):
        (root / "deeper" / "circle").symlink_to(root, target_is_directory=True)
        (root / "self.txt").symlink_to(root / "self.txt")
        (root / "linked.md").symlink_to(root / "crlf.md")
    return root


@pytest.fixture(scope="module")
def items(folder: Path) -> dict[str, Document | Failure]:
    return {item.id if isinstance(item, Document) else item.source: item for item in load(folder)}


FAILED = {
    "empty.txt": "Expected text, got an empty document",
    "blank.md": "Expected text, got an empty document",
    "binary.txt": "Expected text, got a file with NUL bytes",
    "no suffix": "Expected a file type that is read",
    "locked.pdf": "Expected a PDF that can be read, got one that is encrypted with a password",
    "cut.docx": "Expected a docx document",
    "cut.xlsx": "Expected an xlsx workbook",
    "cut.pptx": "Expected a pptx presentation",
    "cut.epub": "Expected an EPUB book",
    "cut.pdf": "Expected a PDF document",
    "page.docx": "Expected a docx document",
    "nested.zip/bad.pdf": "Expected a PDF document",
    "self.txt": "Expected a file that can be read: Too many levels of symbolic links",
}
TEXTS = {
    "utf16.csv": "Columns: Stadt, Größe\n\nStadt: Köln; Größe: 3",
    "marked.html": "café",
    "declared.html": "мост",
    "crlf.md": "Head\n\nOne. Two.",
    "linked.md": "Head\n\nOne. Two.",
    COMPOSED: "found",
    DECOMPOSED: "found",
    "漢字 😀.md": "橋\n\n橋は長い。とても長い。",
    "n" * 200 + ".txt": "found",
    "nested.zip/a/b/c.txt": "found",
    "deeper/still/a.py": "def found():\n    return 1\n",
}


@pytest.mark.parametrize("name", FAILED)
def test_what_cannot_be_read_says_why(items: dict[str, Document | Failure], name: str) -> None:
    found = items[name]
    assert isinstance(found, Failure)
    assert found.reason.startswith(FAILED[name])


@pytest.mark.parametrize("name", TEXTS, ids=lambda name: name.encode("ascii", "replace").decode()[:30])
def test_what_can_be_read_is_what_stands_there(items: dict[str, Document | Failure], name: str) -> None:
    found = items[name]
    assert isinstance(found, Document)
    assert found.text == TEXTS[name]


def test_nothing_else_fails(items: dict[str, Document | Failure]) -> None:
    assert {name for name, item in items.items() if isinstance(item, Failure)} == set(FAILED)


def test_guessed_encodings_are_told_of(items: dict[str, Document | Failure]) -> None:
    for name in ("latin.txt", "mixed.log"):
        found = items[name]
        assert isinstance(found, Document)
        assert "Brücke" in found.text
        assert any("a guess" in note for note in found.notes)


def test_links_in_a_circle_are_gone_around_once(items: dict[str, Document | Failure]) -> None:
    assert not [name for name in items if name.startswith("deeper/circle")]


def test_chunks_of_all_of_them_stand_where_they_say(items: dict[str, Document | Failure]) -> None:
    chunker = StructureChunker(max_tokens=60, overlap=10)
    for item in items.values():
        if isinstance(item, Document):
            chunks = chunker.split(item)
            assert chunks
            assert all(item.text[chunk.begin : chunk.end] == chunk.text for chunk in chunks)


def test_a_run_brings_in_all_that_can_be_read_and_again_nothing(folder: Path, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        pipeline = Pipeline(index=store.bucket("work").index("notes"), embedder=HashingEmbedder(16), chunker="tokens")
        first = pipeline.run(folder, progress=False)
        assert {failure.source for failure in first.failed} == set(FAILED)
        again = pipeline.run(folder, progress=False, remove_missing=True)
        assert (again.unchanged, again.added, again.replaced, again.removed) == (first.added, 0, 0, 0)
