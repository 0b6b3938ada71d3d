"""index.json: an index's folder tells what it holds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ragvec.engine.local.identity import IDENTITY_FILE, read_identity, same_index, write_identity
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import Corrupted, RagvecError, StoreTooNew

SPEC = IndexSpec(
    uid="0b5e1a52-5f43-4a8e-9c1f-8a5b6f0d7e11",
    bucket="médiathèque",
    name="notes",
    dimension=3,
    metric="cosine",
    created=1.5,
    non_filterable=("text",),
    encryption={"sseType": "AES256"},
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_identity(tmp_path) is None
    write_identity(tmp_path, SPEC)
    assert read_identity(tmp_path) == SPEC
    changed = msgspec.structs.replace(SPEC, index_mode="hybrid")
    write_identity(tmp_path, changed)
    assert read_identity(tmp_path) == changed
    assert [path.name for path in tmp_path.iterdir()] == [IDENTITY_FILE]


def test_every_flipped_bit_is_found_or_says_the_same(tmp_path: Path) -> None:
    write_identity(tmp_path, SPEC)
    path = tmp_path / IDENTITY_FILE
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            found = read_identity(tmp_path)
        except RagvecError:
            continue
        assert found == SPEC, bit


def test_a_file_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    write_identity(tmp_path, SPEC)
    path = tmp_path / IDENTITY_FILE
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(Corrupted, match=IDENTITY_FILE):
            read_identity(tmp_path)


def test_a_newer_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / IDENTITY_FILE).write_text('{"format": 2, "anything": "else"}')
    with pytest.raises(StoreTooNew, match="has format 2, this ragvec knows formats up to 1; upgrade ragvec"):
        read_identity(tmp_path)


def test_an_index_stays_the_same_when_its_mode_changes() -> None:
    assert same_index(SPEC, msgspec.structs.replace(SPEC, index_mode="hybrid"))
    assert not same_index(SPEC, msgspec.structs.replace(SPEC, name="other"))
    assert not same_index(SPEC, msgspec.structs.replace(SPEC, dimension=4))
