"""Another chunker or model for an index in use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ragvec.engine.local.identity import write_identity
from ragvec.errors import IndexExists, IndexNotFound, InvalidRequest
from ragvec.pipeline.chunk import StructureChunker
from ragvec.pipeline.documents import Document
from ragvec.pipeline.run import Pipeline
from ragvec.store import Bucket, Index, Store

OLD = "hashing:16"
NEW = "hashing:24"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as store:
        yield store


@pytest.fixture
def bucket(store: Store) -> Bucket:
    return store.create_bucket("docs")


@pytest.fixture
def index(bucket: Bucket) -> Index:
    index = bucket.index("pages")
    Pipeline(index=index, embedder=OLD, text="de").run(corpus(), progress=False)
    index.set_property("owner", {"name": "Ann"})
    return index


def corpus(count: int = 5) -> list[Document]:
    text = "\n\n".join(f"Paragraph {part} says something of its own." for part in range(8))
    return [Document(id=f"{number}.txt", text=f"{text} {number}") for number in range(count)]


def names(bucket: Bucket) -> list[str]:
    return [index.name for index in bucket.indexes()]


def test_the_new_index_takes_the_place_of_the_old_one(index: Index, bucket: Bucket) -> None:
    uid, chunks = index.uid, index.count()
    pipeline = Pipeline(index=index, embedder=NEW, chunker=StructureChunker(max_tokens=12))
    report = pipeline.rebuild(corpus(), progress=False)
    assert (report.added, report.failed) == (5, ())
    assert names(bucket) == ["pages"]
    assert index.uid != uid
    assert index.dimension == 24
    assert index.count() > chunks
    assert index.property("owner") == {"name": "Ann"}
    assert index.property("embedder") == {"name": NEW, "dimension": 24}
    assert index.text_fields["_text"] == "de"
    again = pipeline.run(corpus(), progress=False)
    assert again.unchanged == 5
    assert pipeline.rebuild(corpus(), progress=False).added == 5
    assert bucket.store.verify(deep=True).problems == ()


def test_the_old_one_may_stay_to_go_back_to(index: Index, bucket: Bucket) -> None:
    uid = index.uid
    Pipeline(index=index, embedder=NEW).rebuild(corpus(), beside="pages-2", keep_old=True, progress=False)
    assert names(bucket) == ["pages", "pages-2"]
    assert bucket.index("pages-2").uid == uid
    bucket.swap("pages", "pages-2")
    assert (index.uid, index.dimension) == (uid, 16)
    assert Pipeline(index=index, embedder=OLD, text=None).run(corpus(), progress=False).unchanged == 5
    with pytest.raises(IndexExists, match="Expected no index 'pages-2' beside 'pages', got one that no rebuild began"):
        Pipeline(index=index, embedder="hashing:8").rebuild(corpus(), beside="pages-2", progress=False)


def test_readers_see_the_old_index_until_the_new_one_is_complete(index: Index, bucket: Bucket) -> None:
    seen: list[tuple[int, int]] = []

    def watched() -> Iterator[Document]:
        for document in corpus():
            seen.append((index.dimension, index.count()))
            yield document

    count = index.count()
    Pipeline(index=index, embedder=NEW).rebuild(watched(), progress=False)
    assert set(seen) == {(16, count)}


def test_documents_that_would_be_lost_keep_the_old_index(index: Index, bucket: Bucket) -> None:
    pipeline = Pipeline(index=index, embedder=NEW)
    with pytest.raises(InvalidRequest, match=r"got 2 that are missing, such as '3\.txt', '4\.txt'"):
        pipeline.rebuild(corpus(3), progress=False)
    assert (index.dimension, names(bucket)) == (16, ["pages", "pages-beside"])
    assert pipeline.rebuild(corpus()[3:], switch=False, progress=False).added == 2
    assert index.dimension == 16
    assert pipeline.rebuild(corpus(4), progress=False).unchanged == 4
    assert (index.dimension, names(bucket)) == (24, ["pages"])
    other = Pipeline(index=index, embedder=OLD)
    assert other.rebuild(corpus(2), remove_missing=True, progress=False).added == 2
    assert {record.metadata["_document_id"] for record in index.iter() if record.metadata} == {"0.txt", "1.txt"}


def test_what_was_begun_with_another_plan_is_begun_anew(index: Index, bucket: Bucket) -> None:
    Pipeline(index=index, embedder=NEW).rebuild(corpus(2), switch=False, progress=False)
    Pipeline(index=index, embedder="hashing:8").rebuild(corpus(), progress=False)
    assert (index.dimension, names(bucket)) == (8, ["pages"])


def test_nothing_to_rebuild_and_what_cannot_move(index: Index, bucket: Bucket) -> None:
    with pytest.raises(IndexNotFound, match="Expected an index to rebuild, got one that does not exist yet: none"):
        Pipeline(index=bucket.index("none"), embedder=NEW).rebuild(corpus())
    with pytest.raises(InvalidRequest, match="got a dry run of one"):
        Pipeline(index=index, embedder=NEW).rebuild(corpus(), dry_run=True)
    index.set_property("kendra.faqs/1", {"name": "x"})
    with pytest.raises(InvalidRequest, match="Expected an index without FAQs"):
        Pipeline(index=index, embedder=NEW).rebuild(corpus())


def test_swapping_by_hand(index: Index, bucket: Bucket) -> None:
    with pytest.raises(IndexNotFound):
        bucket.swap("pages", "nowhere")
    with pytest.raises(InvalidRequest, match="Expected two indexes, got 'pages' twice"):
        bucket.swap("pages", "pages")
    assert index.dimension == 16


CHILD = """
import os, signal, sys, threading
sys.path[:0] = {path!r}
from ragvec.pipeline.documents import Document
from ragvec.pipeline.run import Pipeline
from ragvec.store import Store

calls, point = 0, int(sys.argv[2])

def watch(frame, event, argument):
    global calls
    name = frame.f_code.co_filename
    if event == "call" and ("/ragvec/pipeline/" in name or "/ragvec/engine/" in name):
        calls += 1
        if calls == point:
            os.kill(os.getpid(), signal.SIGKILL)

text = chr(10).join(f"Paragraph {{part}} says something of its own." for part in range(8))
documents = [Document(id=f"{{number}}.txt", text=f"{{text}} {{number}}") for number in range(5)]
with Store(sys.argv[1]) as store:
    index = store.bucket("docs").index("pages")
    pipeline = Pipeline(index=index, embedder=sys.argv[3], text="en")
    if sys.argv[4] == "rebuild":
        threading.setprofile(watch)
        sys.setprofile(watch)
        pipeline.rebuild(documents, progress=False)
        sys.setprofile(None)
    else:
        pipeline.run(documents, progress=False)
print(calls)
"""


def child(store: Path, point: int, embedder: str, what: str) -> int | None:
    code = CHILD.format(path=[entry for entry in sys.path if entry])
    command = [sys.executable, "-c", code, str(store), str(point), embedder, what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -9), done.stderr
    return int(done.stdout) if done.returncode == 0 else None


def test_a_rebuild_that_is_killed_goes_on(tmp_path: Path) -> None:
    """Killed at one point after the other; whenever somebody looks, the index is the whole old or the whole new one."""
    child(tmp_path / "clean", 0, OLD, "run")
    calls = child(tmp_path / "clean", 0, NEW, "rebuild")
    assert calls is not None
    with Store(tmp_path / "clean") as store:
        expected = {record.key: record.metadata for record in store.bucket("docs").index("pages").iter()}
    folder = tmp_path / "store"
    child(folder, 0, OLD, "run")
    embedders = (NEW, OLD)
    # Most of what can go wrong goes wrong near the end.
    points = [calls // 2, *(calls - back for back in (700, 500, 350, 220, 60))]
    turn = 0
    for point in points:
        ended = child(folder, max(point, 1), embedders[turn], "rebuild")
        with Store(folder) as store:
            index = store.bucket("docs").index("pages")
            assert {record.key: record.metadata["_text"] for record in index.iter() if record.metadata} == {
                key: metadata["_text"] for key, metadata in expected.items() if metadata
            }
            store.bucket("docs").index("pages").stats()
            dimension = index.dimension
            for one in store.bucket("docs").indexes():
                one.stats()
            assert store.verify(deep=True).problems == ()
        if ended is not None or dimension == (24, 16)[turn]:
            assert child(folder, 0, embedders[turn], "rebuild") is not None
            with Store(folder) as store:
                assert names(store.bucket("docs")) == ["pages"]
                assert store.bucket("docs").index("pages").dimension == (24, 16)[turn]
            turn = 1 - turn


def test_names_that_a_process_died_exchanging_are_put_right(tmp_path: Path) -> None:
    """It wrote into both folders that the names are exchanged, and died before the catalog had it."""
    folder = tmp_path / "store"
    with Store(folder) as store:
        bucket = store.create_bucket("docs")
        one, other = (bucket.create_index(name, dimension=4, text=["title"]) for name in ("one", "other"))
        for index, name in ((one, "other"), (other, "one")):
            fields = store.engine.catalog.text_fields(index.uid)
            write_identity(folder / "indexes" / index.uid, structs.replace(index.spec, name=name), fields)
        assert len(store.verify().problems) == 2
        uids = one.uid, other.uid
    with Store(folder) as store:
        bucket = store.bucket("docs")
        assert (bucket.index("one").uid, bucket.index("other").uid) == uids
        assert [index.count() for index in bucket.indexes()] == [0, 0]
        assert store.verify(deep=True).problems == ()
