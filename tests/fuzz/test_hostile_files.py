"""Files that want to harm whoever loads them: each is a failure that says why, the others are loaded, and neither time
nor memory goes beyond the limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.load import load
from ragvec.pipeline.loaders.place import Place
from ragvec.pipeline.reading import Reader
from ragvec.store import Store
from tests.fuzz.hostile_files import LIMITS

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="links, pipes and limits of processes as POSIX has them"
)

ROOT = Path(__file__).resolve().parents[2]
NOT_MORE = {
    "amplified.csv": "4,000,000 characters",
    "bomb.docx": "31,457,280 bytes in an archive",
    "bomb.pptx": "31,457,280 bytes in an archive",
    "bomb.xlsx": "31,457,280 bytes in an archive",
    "bomb.zip": "31,457,280 bytes in an archive",
    "commas.csv": "314,572,800 bytes of memory",
    "deep.zip/4.zip/3.zip/2.zip/1.zip": "4 archives or letters in each other",
    "large.txt": "41,943,040 bytes in a file, got 42,991,616",
    "long.jsonl:1": "2,097,152 bytes in a line, got 31,457,293",
    "long.txt": "4,000,000 characters in a document, got 40,894,464",
    "pages.pdf": "1,000 pages in a PDF, got 2,000",
    "paragraphs.docx": "314,572,800 bytes of memory",
    "parts.docx": "10,000 files in an archive",
    "quadratic.html": "FileLimits(seconds=…)",
    "slow.pdf": "FileLimits(seconds=…)",
    "spanned.docx": "1,000 columns in a table, got 2,000,000,000",
    "x": "262,144 bytes of id, title and attributes, got 300,0",
}
"""What says which limit was passed; the rest is told of by other words."""
LOADED = {
    "after": "fine",
    "below": "fine",
    "caf\\xe9.txt": "found",
    "caf\\xea.txt": "found",
    "deep.html": "found",
    "deep.zip/4.zip/3.zip/2.txt": "found",
    "fine.txt": "found",
    "good.zip/a.txt": "found",
    "good.zip/b.txt": "found",
    "inner.docx": "found",
    "number.html": "1. found",
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("hostile")
    told = ""
    for step in ("make", "load"):
        command = [sys.executable, "-m", "tests.fuzz.hostile_files", step, str(folder)]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300).stdout
    found: dict[str, Any] = json.loads(told)
    return found


@pytest.mark.parametrize("name", NOT_MORE)
def test_what_is_beyond_a_limit_is_refused_with_its_name_and_number(outcome: dict[str, Any], name: str) -> None:
    reason = outcome["failed"][name]
    assert "FileLimits(" in reason
    assert NOT_MORE[name] in reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bomb.pdf", "Limit reached while decompressing"),
        ("circle.pdf", "cannot be read as one"),
        ("circle.txt", "Too many levels of symbolic links"),
        ("deep.json", "nested too deep"),
        ("deep.jsonl:1", "nested too deep"),
        ("gone.txt", "No such file or directory"),
        ("good.zip/c.zip", "Expected a zip archive"),
        ("laughs.docx", "cannot be read as one"),
        ("laughs.epub", "without entities of its own"),
        ("pipe.txt", "Expected a file, got a named pipe"),
        ("zero.txt", "Expected a file, got a device"),
    ],
)
def test_what_cannot_be_read_says_why(outcome: dict[str, Any], name: str, reason: str) -> None:
    assert reason in outcome["failed"][name]


def test_the_others_are_loaded(outcome: dict[str, Any]) -> None:
    assert LOADED.items() <= outcome["loaded"].items()


def test_nothing_of_another_file_comes_in(outcome: dict[str, Any]) -> None:
    assert outcome["failed"]["secrets.docx"] == "Expected text, got an empty document"


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is limited on Linux only")
def test_memory_stays_within_the_limit(outcome: dict[str, Any]) -> None:
    assert outcome["readers"] < LIMITS.memory_bytes + (80 << 20)
    # The loading process holds one document at a time, and never the file it came from.
    assert outcome["own"] < 200 << 20


def texts(items: Iterator[Document | Failure]) -> list[str]:
    return [item.text if isinstance(item, Document) else item.reason for item in items]


def test_a_file_that_ends_its_reader_takes_no_other_with_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "b.html").write_text("<a " * 400_000)
    (tmp_path / "c.txt").write_text("third")
    first, second, third = texts(load(tmp_path, limits=FileLimits(seconds=0.5)))
    assert (first, third) == ("first", "third")
    assert "FileLimits(seconds=…)" in second


def test_a_reader_that_never_answers_is_ended_by_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    place = Place("a.txt", path.as_uri(), "a.txt")
    with Reader(FileLimits(seconds=0.1)) as reader:
        assert texts(reader.documents(path, place, ".txt")) == ["text"]
        process = reader._process
        assert process is not None
        os.kill(process.pid, 19)  # SIGSTOP: a process that waits for a disk takes no time of a processor either
        with pytest.raises(DocumentError, match="within 1 seconds, got one that takes longer"):
            next(reader.documents(path, place, ".txt"))
        assert texts(reader.documents(path, place, ".txt")) == ["text"]


def test_the_reader_ends_with_the_loading(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.txt").write_text("text")
    before = children()
    items = load(tmp_path)
    next(items)
    assert len(children() - before) == 1
    items.close()  # type: ignore[attr-defined]  # it is a generator
    assert children() == before


def children() -> set[str]:
    found = set()
    for task in Path("/proc/self/task").glob("*/children"):
        found.update(task.read_text().split())
    return found


@pytest.mark.parametrize("isolate", [True, False])
def test_files_that_grow_or_vanish_while_they_are_read(tmp_path: Path, isolate: bool) -> None:
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "b.txt").write_text("x" * 900)
    (tmp_path / "c.txt").write_text("third")
    items = load(tmp_path, limits=FileLimits(file_bytes=1_000, isolate=isolate))
    next(items)
    with (tmp_path / "b.txt").open("a") as file:
        file.write("y" * 200)
    (tmp_path / "c.txt").unlink()
    second, third = texts(items)
    assert second.startswith("Expected at most 1,000 bytes in a file, got 1,100")
    assert third == "Expected a file that can be read: No such file or directory"


def test_a_file_that_becomes_a_pipe_does_not_hold_up_the_loading(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.jsonl"):
        (tmp_path / name).write_text("text")
    items = load(tmp_path, limits=FileLimits(isolate=False))
    next(items)
    for name in ("b.txt", "c.jsonl"):
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
    assert texts(items) == ["Expected a file, got a named pipe"] * 2


def test_a_folder_that_cannot_be_read_is_a_failure_and_nothing_of_it_is_removed(tmp_path: Path) -> None:
    from ragvec.pipeline.embedders.hashing import HashingEmbedder
    from ragvec.pipeline.run import Pipeline

    folder = tmp_path / "documents"
    (folder / "closed").mkdir(parents=True)
    (folder / "open.txt").write_text("An open text.")
    (folder / "closed" / "kept.txt").write_text("A text that is kept.")
    with Store(tmp_path / "store") as store:
        index = store.bucket("work").index("notes")
        pipeline = Pipeline(index=index, embedder=HashingEmbedder(dimension=16))
        assert pipeline.run(folder, progress=False).added == 2
        (folder / "closed").chmod(0)
        if os.access(folder / "closed", os.R_OK):
            (folder / "closed").chmod(0o700)
            pytest.skip("this user may read every folder")
        try:
            report = pipeline.run(folder, progress=False, remove_missing=True)
        finally:
            (folder / "closed").chmod(0o700)
        assert [failure.source for failure in report.failed] == ["closed"]
        assert report.removed == 0


def test_a_refused_document_is_in_the_report_and_stops_nothing(tmp_path: Path) -> None:
    from ragvec.pipeline.embedders.hashing import HashingEmbedder
    from ragvec.pipeline.run import Pipeline

    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "good.txt").write_text("A text that is stored.")
    (folder / "large.txt").write_text("x" * 2_000)
    with Store(tmp_path / "store") as store:
        pipeline = Pipeline(index=store.bucket("work").index("notes"), embedder=HashingEmbedder(dimension=16))
        report = pipeline.run(folder, progress=False, limits=FileLimits(file_bytes=1_000))
    assert (report.added, len(report.failed)) == (1, 1)
    assert report.failed[0] == Failure(
        "large.txt",
        "Expected at most 1,000 bytes in a file, got 2,000: FileLimits(file_bytes=…) allows more",
        "large.txt",
    )


def test_without_a_python_to_start_files_are_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("text")
    monkeypatch.setattr(sys, "executable", "")
    (refused,) = texts(load(tmp_path))
    assert "FileLimits(isolate=False) reads files in this process" in refused
    assert texts(load(tmp_path, limits=FileLimits(isolate=False))) == ["text"]


def test_loading_from_two_threads_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(texts(load(tmp_path)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["text"]] * 3


def test_documents_of_a_program_are_held_to_the_limits_too() -> None:
    (long,) = load([Document(id="a", text="x" * 200)], limits=FileLimits(characters=100))
    assert isinstance(long, Failure)
    assert long.reason.startswith("Expected at most 100 characters in a document, got 200")
    (wide,) = load([{"id": "a", "text": "x", "n": 10**40}])
    assert isinstance(wide, Failure)
    assert wide.reason == "Expected a number of at most 64 bits in attribute 'n', got one of 133 bits"
    (broken,) = load([{"id": "a", "text": "x", "n": "\ud800"}])
    assert isinstance(broken, Failure)
    assert "lone surrogate" in broken.reason
