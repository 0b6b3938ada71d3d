"""The keys that a segment carries: what is read back, what is refused, and the keys that searches return."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
import pytest

from ragvec.ann.backends import available_backend
from ragvec.ann.sealed import CHECKSUMS, seal
from ragvec.engine.local.columns import KEYS_FILE, KeyColumn, write_keys
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.errors import Corrupted
from ragvec.store import Index, Store

KEYS = ["a", "", "é", "日本語のキー", "🙂🙃", "a\u0000b", "line\nbreak", "e\u0301", "\U0010ffff", "x" * 1024, "a"]
ROWS, LATER = 5_000, 40

needs_segments = pytest.mark.skipif(available_backend() is None, reason="needs a library for segments")


def taken(column: KeyColumn, *positions: int) -> list[str]:
    return column.take(np.array(positions, dtype=np.uint32))


# -- the file ----------------------------------------------------------------------------------------------------------


def test_keys_of_any_unicode_by_position(tmp_path: Path) -> None:
    write_keys(tmp_path / KEYS_FILE, KEYS)
    column = KeyColumn(tmp_path / KEYS_FILE, count=len(KEYS))
    assert taken(column, *range(len(KEYS))) == KEYS
    assert taken(column, 4, 0, 4, 9) == [KEYS[4], KEYS[0], KEYS[4], KEYS[9]]
    assert taken(column) == []


def test_a_list_of_no_keys(tmp_path: Path) -> None:
    write_keys(tmp_path / KEYS_FILE, [])
    assert taken(KeyColumn(tmp_path / KEYS_FILE, count=0)) == []


def test_keys_stay_readable_by_threads_after_the_file_went(tmp_path: Path) -> None:
    keys = [f"{n}-{'ü' * (n % 50)}" for n in range(3_000)]
    write_keys(tmp_path / KEYS_FILE, keys)
    column = KeyColumn(tmp_path / KEYS_FILE, count=len(keys))
    (tmp_path / KEYS_FILE).unlink()
    wrong: list[int] = []

    def read(seed: int) -> None:
        chosen = random.Random(seed).choices(range(len(keys)), k=5_000)
        if taken(column, *chosen) != [keys[at] for at in chosen]:
            wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("keys", [[], ["one"], KEYS])
def test_another_number_of_keys_than_expected(tmp_path: Path, keys: list[str]) -> None:
    path = tmp_path / KEYS_FILE
    write_keys(path, keys)
    for count in (len(keys) - 1, len(keys) + 1, 2**40):
        if count >= 0:
            with pytest.raises(Corrupted, match=r"`.*keys\.bin` is not a column of its segment, or was damaged"):
                KeyColumn(path, count=count)


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / KEYS_FILE
    write_keys(path, ["first", "zweiter", "третий"])
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(Corrupted):
            KeyColumn(path, count=3)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(Corrupted):
            KeyColumn(path, count=3)
    path.write_bytes(whole + b"\0")
    with pytest.raises(Corrupted):
        KeyColumn(path, count=3)
    path.write_bytes(whole)
    assert taken(KeyColumn(path, count=3), 2) == ["третий"]


# -- in an index -------------------------------------------------------------------------------------------------------


class Line:
    """An index of vectors on a line, each of which has a key that its position does not tell."""

    def __init__(self, path: Path) -> None:
        self.store = Store(engine=LocalEngine(path, background=False))
        self.index: Index = self.store.create_bucket("bucket").create_index("index", dimension=4, metric="euclidean")
        names = [f"{n}-schlüssel-{'🙂' * (n % 3)}" for n in range(ROWS + LATER)]
        random.Random(1).shuffle(names)
        self.names = names
        self.vectors = np.zeros((len(names), 4), dtype=np.float32)
        self.vectors[:, 0] = np.arange(len(names))
        self.index.put(names[:ROWS], self.vectors[:ROWS])
        self.index.optimize()
        self.index.put(names[ROWS:], self.vectors[ROWS:])

    @property
    def engine(self) -> LocalIndex:
        engine = self.store.engine.index(self.index.spec)
        assert isinstance(engine, LocalIndex)
        return engine

    @property
    def folder(self) -> Path:
        """Of the only segment."""
        (segment,) = self.engine.snapshot().segments(newest=True)
        return segment.folder

    def check(self) -> None:
        """In the segment, in the tail, and where both meet."""
        for at in (0, 7, ROWS - 1, ROWS, ROWS + LATER - 1):
            expected = sorted(range(ROWS + LATER), key=lambda n: (abs(n - at), self.names[n]))[:5]
            for metadata in (False, True):
                found = self.index.query(self.vectors[at], k=5, metadata=metadata)
                assert found.keys == [self.names[n] for n in expected]
                assert found.distances.tolist() == [abs(n - at) for n in expected]
        assert self.engine.snapshot().generation.keys(np.arange(ROWS + LATER, dtype=np.uint32)) == self.names


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path / "store")


@needs_segments
def test_keys_of_segment_and_tail_before_and_after_compaction(line: Line, tmp_path: Path) -> None:
    line.check()
    for extra in range(3):
        line.index.put([f"gone-{extra}"], [[10_000 + extra, 0, 0, 0]])
    line.index.delete([f"gone-{extra}" for extra in range(3)])
    for at in (3, ROWS + 3):
        line.index.delete([line.names[at]])
        line.index.put([line.names[at]], line.vectors[at : at + 1])
    before = line.engine.snapshot().generation.number
    line.index.compact()
    assert line.engine.snapshot().generation.number > before
    numbers = {name: n for n, name in enumerate(line.names)}
    found = line.index.query(line.vectors[0], k=ROWS + LATER)
    assert [numbers[key] for key in found.keys] == list(range(ROWS + LATER))
    line.index.optimize()
    assert line.index.query(line.vectors[ROWS + 3], k=1).keys == [line.names[ROWS + 3]]
    line.store.close()
    with Store(tmp_path / "store", read_only=True) as reader:
        again = reader.bucket("bucket").index("index").query(line.vectors[0], k=ROWS + LATER, metadata=False)
        assert again.keys == found.keys


@needs_segments
@pytest.mark.parametrize(
    ("damage", "sealed"),
    [
        ("flipped", True),
        ("shortened", True),
        ("of another segment", True),
        ("shortened", False),
        ("of another segment", False),
    ],
)
def test_a_segment_with_damaged_keys_is_left_out_and_built_again(
    line: Line, tmp_path: Path, damage: str, sealed: bool
) -> None:
    folder = line.folder
    line.store.close()
    path = folder / KEYS_FILE
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-5] ^= 1
        path.write_bytes(content)
    elif damage == "shortened":
        path.write_bytes(content[:-5])
    else:
        write_keys(path, line.names[: ROWS - 1])
    if not sealed:
        (folder / CHECKSUMS).unlink()
        seal(folder)
    line.check()
    assert line.index.stats().segments == ()
    assert line.engine.snapshot().generation.segments.damaged == [folder]
    line.index.optimize()
    line.check()
    assert line.index.stats().exact_rows < ROWS
    assert line.engine.snapshot().generation.segments.damaged == []
    assert all(segment.keys is not None for segment in line.engine.snapshot().segments())


@needs_segments
def test_a_segment_of_before_it_carried_keys_serves(line: Line) -> None:
    folder = line.folder
    line.store.close()
    (folder / KEYS_FILE).unlink()
    (folder / CHECKSUMS).unlink()
    seal(folder)
    line.check()
    (segment,) = line.engine.snapshot().segments(newest=True)
    assert (segment.last, segment.keys) == (ROWS, None)
