"""What runs share: vectors of the cache, names that change, plans without deeds, stages beside each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.errors import EmbedderMismatch
from ragvec.pipeline.chunk import StructureChunker
from ragvec.pipeline.documents import Document
from ragvec.pipeline.embedders import CallableEmbedder, HashingEmbedder
from ragvec.pipeline.run import Pipeline
from ragvec.store import Index, Store
from ragvec.types import FloatMatrix

MIXED = HashingEmbedder(32)


class Witness(HashingEmbedder):
    """Notes every text that it embeds, and wants its vectors kept."""

    cacheable = True

    def __init__(self) -> None:
        super().__init__(32)
        self.texts: list[str] = []

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        self.texts += texts
        return super().embed_documents(texts)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as store:
        yield store


@pytest.fixture
def index(store: Store) -> Index:
    return store.bucket("docs").index("pages")


def documents(count: int, *, say: str = "says") -> list[Document]:
    text = "\n\n".join(f"Paragraph {part} of number %d {say} something of its own." for part in range(6))
    return [Document(id=f"{number:03}.txt", text=text.replace("%d", str(number))) for number in range(count)]


def pipeline(index: Index, embedder: Any, **options: Any) -> Pipeline:
    return Pipeline(index=index, embedder=embedder, chunker=StructureChunker(max_tokens=30), **options)


def content(index: Index) -> dict[str, tuple[bytes, Any]]:
    return {record.key: (record.data.tobytes(), record.metadata) for record in index.iter(data=True)}


def test_renamed_files_are_not_embedded_again(tmp_path: Path, index: Index) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for document in documents(5):
        (folder / document.id).write_text(document.text)
    embedder = Witness()
    first = pipeline(index, embedder).run(folder, progress=False)
    assert first.embedded == len(embedder.texts) == first.chunks > 5
    embedder.texts.clear()
    (folder / "sub").mkdir()
    for name in ("000.txt", "003.txt"):
        (folder / name).rename(folder / "sub" / name)
    again = pipeline(index, embedder).run(folder, remove_missing=True, progress=False)
    assert (again.added, again.removed, again.unchanged, again.embedded) == (2, 2, 3, 0)
    assert again.cached > 0
    assert embedder.texts == []
    assert {str(record.metadata["_document_id"]) for record in index.iter() if record.metadata} == {
        "001.txt", "002.txt", "004.txt", "sub/000.txt", "sub/003.txt"
    }  # fmt: skip


def test_another_index_of_the_store_takes_the_same_vectors(store: Store, index: Index) -> None:
    embedder = Witness()
    pipeline(index, embedder).run(documents(4), progress=False)
    count = len(embedder.texts)
    other = store.bucket("elsewhere").index("copy")
    report = pipeline(other, embedder).run(documents(4), progress=False)
    assert (report.added, report.embedded, report.cached) == (4, 0, count)
    assert content(other) == content(index)
    without = pipeline(store.bucket("elsewhere").index("third"), embedder, cache=False).run(
        documents(4), progress=False
    )
    assert (without.embedded, without.cached) == (count, 0)
    assert "from the cache" in str(report)
    assert report.to_pandas().loc[0, "cached"] == count


def test_functions_known_by_their_place_only_are_not_remembered(store: Store) -> None:
    def embed(texts: list[str]) -> Any:
        return MIXED.embed_documents(texts)

    made = Pipeline(index=store.bucket("docs").index("a"), embedder=embed)
    named = Pipeline(
        index=store.bucket("docs").index("b"), embedder=CallableEmbedder(embed, name="mine-1", dimension=32)
    )
    assert made.cache is None
    assert named.cache is not None
    assert Pipeline(index=store.bucket("docs").index("c"), embedder="hashing").cache is None


def test_a_dry_run_tells_and_does_nothing(index: Index, store: Store) -> None:
    embedder = Witness()
    made = pipeline(index, embedder)
    told = made.run(documents(4), dry_run=True, progress=False)
    assert not store.bucket("docs").exists()
    assert embedder.texts == []
    done = made.run(documents(4), progress=False)
    assert (told.added, told.chunks, told.embedded) == (done.added, done.chunks, done.embedded)
    assert "dry run: nothing was embedded or written" in str(told)
    assert "to write" in repr(told)
    assert (told.dry_run, done.dry_run) == (True, False)

    before, texts = content(index), len(embedder.texts)
    changed = [
        *documents(2),
        *documents(3, say="tells")[2:],
        Document(id="new", text="New."),
        Document(id="bad", text=""),
    ]
    told = made.run(changed, remove_missing=True, dry_run=True, progress=False)
    assert (content(index), len(embedder.texts)) == (before, texts)
    done = made.run(changed, remove_missing=True, progress=False)
    for name in ("documents", "added", "replaced", "unchanged", "removed", "chunks", "embedded", "cached", "failed"):
        assert getattr(told, name) == getattr(done, name), name
    assert (done.added, done.replaced, done.unchanged, done.removed) == (1, 1, 2, 1)


def test_a_dry_run_refuses_another_embedder_too(index: Index) -> None:
    pipeline(index, Witness()).run(documents(1), progress=False)
    with pytest.raises(EmbedderMismatch, match="Expected the embedder 'hashing:32'"):
        pipeline(index, "hashing:16").run(documents(1), dry_run=True, progress=False)


def test_documents_are_loaded_while_others_are_embedded(index: Index) -> None:
    """The loader goes on to the third window while the first is still at the embedder."""
    loaded, began = threading.Event(), threading.Event()

    def source() -> Iterator[Document]:
        for number, document in enumerate(documents(300)):
            if number == 200:
                assert began.wait(30)
                loaded.set()
            yield document

    def embed(texts: list[str]) -> Any:
        began.set()
        assert loaded.wait(30), "nothing more was loaded while the embedder was at work"
        return MIXED.embed_documents(texts)

    embedder = CallableEmbedder(embed, name="slow", dimension=32, batch_size=1000)
    report = pipeline(index, embedder).run(source(), progress=False)
    assert (report.added, report.failed) == (300, ())
    assert index.count() == report.chunks


def test_no_more_than_a_few_windows_are_ahead(index: Index) -> None:
    """However slow the embedder is, memory holds a few windows: the loader waits."""
    loaded = 0
    most = 0
    embedded = 0

    def source() -> Iterator[Document]:
        nonlocal loaded
        for document in documents(2000):
            loaded += 1
            yield document

    def embed(texts: list[str]) -> Any:
        nonlocal most, embedded
        embedded += len(texts)
        most = max(most, loaded - embedded // 3)
        return MIXED.embed_documents(texts)

    embedder = CallableEmbedder(embed, name="counting", dimension=32, batch_size=1000)
    report = pipeline(index, embedder, cache=False).run(source(), progress=False)
    per_document = report.chunks / report.documents
    assert most * per_document < 6 * 512 + 512


def test_an_embedder_that_fails_ends_the_run_and_the_next_goes_on(index: Index) -> None:
    calls: list[int] = []

    def embed(texts: list[str]) -> Any:
        calls.append(len(texts))
        if len(calls) == 4:
            raise ConnectionError("gone")
        return MIXED.embed_documents(texts)

    embedder = CallableEmbedder(embed, name="fragile", dimension=32, batch_size=1000)
    with pytest.raises(ConnectionError, match="gone"):
        pipeline(index, embedder).run(documents(500), progress=False)
    before = sum(calls[:3])
    report = pipeline(index, embedder).run(documents(500), progress=False)
    assert report.unchanged + report.added == 500
    # What was embedded before the failure is not embedded again, whether it was written or not.
    assert before + report.embedded == index.count()


def test_a_cache_in_trouble_is_a_note(tmp_path: Path, index: Index, store: Store) -> None:
    store.create_bucket("docs")
    (tmp_path / "store" / "cache").write_text("in the way")
    report = pipeline(index, Witness()).run(documents(2), progress=False)
    assert report.added == 2
    assert any("vectors were not kept for later runs" in note for _, note in report.notes)


def test_vectors_in_the_index_are_those_of_the_embedder(index: Index) -> None:
    """Through windows, batches, duplicates and the cache, each passage gets its own vector."""
    many = [*documents(150), *(Document(id=f"copy/{one.id}", text=one.text) for one in documents(30))]
    pipeline(index, Witness()).run(many, progress=False)
    pipeline(index, Witness()).run([*many, *documents(40, say="adds")], progress=False)
    for record in index.iter(data=True):
        assert record.metadata is not None
        expected = MIXED.embed_query(record.metadata["_text"])
        assert np.allclose(record.data, expected, atol=1e-6)
