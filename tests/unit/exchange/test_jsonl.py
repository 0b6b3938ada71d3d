from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.engine.local.as_of import AsOf
from ragvec.engine.local.index import LocalIndex
from ragvec.errors import Corrupted, DocumentError, InvalidRequest, StoreError
from ragvec.exchange import export_index, import_index
from ragvec.exchange.distinct import Distinct
from ragvec.store import Index, Store


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def index(store: Store) -> Index:
    return store.create_bucket("work").create_index("all", dimension=3, metric="euclidean")


def local(index: Index) -> LocalIndex:
    engine = index.bucket.store.engine.index(index.spec)
    assert isinstance(engine, LocalIndex)
    return engine


def test_random_bits_survive_and_give_the_same_bytes(store: Store, index: Index, tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    numbers = random.integers(0, 2**32, size=(3000, 3), dtype=np.uint32).view(np.float32)
    numbers[~np.isfinite(numbers)] = -0.0
    numbers[:100].view(np.uint32)[:] &= 0x807FFFFF  # zeros and subnormal numbers of both signs
    index.put([f"k{n}" for n in range(3000)], numbers, [{"n": n} if n % 3 else None for n in range(3000)])
    export_index(index, tmp_path / "first.jsonl")
    import_index(store, tmp_path / "first.jsonl", bucket="copy", index="all")
    copy = store.bucket("copy").index("all")
    export_index(copy, tmp_path / "second.jsonl")
    assert (tmp_path / "first.jsonl").read_bytes() == (tmp_path / "second.jsonl").read_bytes()
    keys = [f"k{n}" for n in range(3000)]
    found = np.stack([record.data for record in copy.get(keys)])  # type: ignore[misc]
    assert np.array_equal(found.view(np.uint32), numbers.view(np.uint32))


def test_an_export_is_one_state_whatever_is_written_and_compacted_meanwhile(index: Index, tmp_path: Path) -> None:
    keys = [f"k{n:05d}" for n in range(9000)]
    index.put(keys, np.full((9000, 3), 1.0), [{"round": 0}] * 9000)
    index.delete(keys[:100])
    with AsOf(local(index)) as state:
        assert (state.count, state.sequence) == (8900, 2)
        seen: list[str] = []
        for number, page in enumerate(state.pages()):
            assert page.damaged == []
            assert np.array_equal(page.vectors, np.ones((len(page.keys), 3), dtype=np.float32))
            assert set(page.metadata) == {b'{"round":0}'}
            seen += page.keys
            index.put(keys[number::3], np.full((len(keys[number::3]), 3), 2.0), [{"round": 1}] * len(keys[number::3]))
            index.put([f"between-{number}", f"k{number}new"], np.zeros((2, 3)), None)
            index.delete(keys[number::7])
            if number:
                index.compact()
        assert seen == keys[100:]
        assert [key for page in state.pages() for key in page.keys] == seen
    assert index.stats().generation >= 1


def test_a_superseded_generation_is_asked_to_stay_while_it_is_exported(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragvec.engine.local import as_of

    monkeypatch.setattr(as_of, "_RENEW_SECONDS", -1.0)
    monkeypatch.setattr(as_of, "_MOST_ROWS", 10)
    index.put([f"k{n:02d}" for n in range(40)], np.ones((40, 3)))
    index.delete(["k00"])
    with AsOf(local(index)) as state:
        pages = state.pages()
        next(pages)
        index.compact()
        mark = index.bucket.store.path / "indexes" / index.uid / "g000000" / "retired"  # type: ignore[operator]
        mark.write_text("1.0")
        next(pages)
        assert float(mark.read_text()) > 1.0


def test_exports_while_a_thread_writes_satisfy_what_every_transaction_keeps(index: Index, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            index.put([f"k{n}" for n in range(50)], np.full((50, 3), count), [{"n": count}] * 50)

    thread = threading.Thread(target=write)
    index.put([f"k{n}" for n in range(50)], np.zeros((50, 3)), [{"n": 0}] * 50)
    thread.start()
    try:
        for _ in range(10):
            with AsOf(local(index)) as state:
                (page,) = state.pages()
            assert len(page.keys) == 50
            assert len(set(page.metadata)) == 1
            assert len(np.unique(page.vectors)) == 1
    finally:
        stop.set()
        thread.join()


def test_damaged_records_are_named_or_left_out(store: Store, index: Index, tmp_path: Path) -> None:
    index.put(["a", "b", "c"], np.ones((3, 3)))
    vectors = tmp_path / "store" / "indexes" / index.uid / "g000000" / "vectors.f32"
    store.close()
    content = bytearray(vectors.read_bytes())
    content[13] ^= 4
    vectors.write_bytes(content)
    path = tmp_path / "out.jsonl"
    with pytest.raises(Corrupted, match="key 'b' of index work/all does not match its checksum"):
        export_index(index, path)
    assert not path.exists()
    assert not (tmp_path / "out.jsonl.part").exists()
    done = export_index(index, path, damaged="skip")
    assert (done.records, done.damaged) == (2, ("b",))
    assert import_index(store, path, bucket="copy", index="all").records == 2


def test_streams_and_options(store: Store, index: Index, tmp_path: Path) -> None:
    index.put(["a"], np.ones((1, 3)))
    stream = io.BytesIO()
    assert export_index(index, stream).path == "the stream"
    stream.seek(0)
    assert import_index(store, stream, bucket="copy", index="all").records == 1
    with pytest.raises(InvalidRequest, match="with Parquet only"):
        export_index(index, tmp_path / "x.jsonl", columns=True)
    with pytest.raises(InvalidRequest, match="Expected format jsonl or parquet, got 'csv'"):
        export_index(index, tmp_path / "x.csv", format="csv")
    with pytest.raises(InvalidRequest, match="Expected damaged='raise' or 'skip', got 'no'"):
        export_index(index, tmp_path / "x", damaged="no")  # type: ignore[arg-type]
    with pytest.raises(DocumentError, match="cannot write"):
        export_index(index, tmp_path / "absent" / "x.jsonl")


def test_a_merge_that_fails_in_its_last_line_changes_nothing(store: Store, index: Index, tmp_path: Path) -> None:
    index.put([f"k{n}" for n in range(12_000)], np.ones((12_000, 3)))
    path = tmp_path / "all.jsonl"
    export_index(index, path)
    index.put([f"k{n}" for n in range(12_000)], np.zeros((12_000, 3)))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"records":12000', b'"records":11999'))
    with pytest.raises(DocumentError, match="line 12002 .* some are missing or added"):
        import_index(store, path, bucket="work", index="all", merge=True)
    assert index.stats().sequence == 2
    path.write_bytes(whole)
    assert import_index(store, path, bucket="work", index="all", merge=True).created is False
    assert index.get(["k77"])[0].data.tolist() == [1.0, 1.0, 1.0]  # type: ignore[union-attr]


def test_repeated_keys_are_found_in_any_order() -> None:
    random = np.random.default_rng(2)
    keys = [str(n) for n in random.permutation(20_000)]
    for again in (0, 5000, 19_998):
        distinct, given = Distinct(), [*keys, keys[again]]
        found = [
            distinct.add(given[start : start + 700], list(range(start, min(start + 700, len(given)))))
            for start in range(0, len(given), 700)
        ]
        assert found[:-1] == [None] * (len(found) - 1)
        assert found[-1] == (again, 20_000, keys[again])
    assert Distinct().add(["a", "b", "a"], [3, 5, 7]) == (3, 7, "a")


def test_an_index_deleted_while_it_is_exported_is_exported_or_an_error(index: Index, monkeypatch: Any) -> None:
    from ragvec.engine.local import as_of

    monkeypatch.setattr(as_of, "_MOST_ROWS", 10)
    index.put([f"k{n:02d}" for n in range(40)], np.ones((40, 3)))
    with AsOf(local(index)) as state:
        pages = state.pages()
        seen = list(next(pages).keys)
        index.delete_index()
        try:
            seen += [key for page in pages for key in page.keys]
        except StoreError:
            return
        assert seen == [f"k{n:02d}" for n in range(40)]
