"""Files of named arrays: what was written is read, what was damaged is refused."""

from __future__ import annotations

import errno
import mmap
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from ragvec.errors import Corrupted
from ragvec.text.sections import SectionFile, write_sections

MAGIC, VERSION = b"ragvtest", 3
KINDS = st.sampled_from(["u1", "<u2", "<u4", "<i8", "<f4", ">u4", ">f8"])


def written(path: Path, arrays: dict[str, npt.NDArray[Any]], **about: Any) -> Path:
    write_sections(path, arrays, about=about, magic=MAGIC, version=VERSION)
    return path


def opened(path: Path) -> SectionFile:
    return SectionFile(path, magic=MAGIC, version=VERSION)


def sections(path: Path) -> dict[str, tuple[str, int, int, int]]:
    """Where the arrays lie, read by the layout that the module's docstring gives."""
    whole = path.read_bytes()
    assert whole[:16] == struct.pack("<8sII", MAGIC, VERSION, 0)
    offset, length, crc, magic = struct.unpack("<QII8s", whole[-24:])
    header = whole[offset : offset + length]
    assert (offset + length + 24, zlib.crc32(header), magic) == (len(whole), crc, MAGIC)
    described: dict[str, tuple[str, int, int, int]] = msgspec.msgpack.decode(header)["arrays"]
    return described


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8),
        KINDS.flatmap(lambda kind: arrays_of.arrays(kind, st.integers(0, 20))),
        max_size=5,
    )
)
def test_arrays_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, npt.NDArray[Any]]
) -> None:
    path = written(tmp_path_factory.mktemp("sections") / "a.text", arrays, key="body", many=[1, "é", None])
    file = opened(path)
    assert file.about == {"key": "body", "many": [1, "é", None]}
    file.verify()
    whole, placed = path.read_bytes(), sections(path)
    assert set(placed) == set(arrays)
    for name, array in arrays.items():
        kind, offset, length, crc = placed[name]
        little = array.astype(array.dtype.newbyteorder("<"))
        assert offset % 8 == 0
        assert np.dtype(kind) == little.dtype
        assert whole[offset : offset + length] == little.tobytes()
        assert crc == zlib.crc32(little.tobytes())
        assert file[name].tobytes() == little.tobytes()
        assert file[name].dtype == little.dtype
        assert not file[name].flags.writeable


def test_an_array_is_mapped_and_checked_once_when_it_is_first_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "a.text", {"good": np.arange(9), "bad": np.arange(5)})
    at = sections(path)["bad"][1]
    whole = bytearray(path.read_bytes())
    whole[at] ^= 1
    path.write_bytes(whole)
    file = opened(path)
    assert file["good"] is file["good"]
    base = file["good"]
    while isinstance(base, np.ndarray):
        base = base.base  # type: ignore[assignment]  # what lies under an array need not be one
    assert isinstance(base, memoryview)
    assert isinstance(base.obj, mmap.mmap)
    for _ in range(2):
        with pytest.raises(Corrupted, match="the section 'bad' does not match its checksum") as caught:
            file["bad"]
    assert str(path) in str(caught.value)
    assert "will be rebuilt from the records" in str(caught.value)
    with pytest.raises(Corrupted, match="'bad'"):
        file.verify()
    with pytest.raises(Corrupted, match="it has no section 'none'"):
        file["none"]


def test_verify_looks_again_at_what_was_checked_before(tmp_path: Path) -> None:
    path = written(tmp_path / "a.text", {"numbers": np.arange(100)})
    file = opened(path)
    file.verify()
    assert file["numbers"][1] == 1
    with path.open("r+b") as same:  # as a failing disk would, in the place of the bytes that are mapped
        same.seek(sections(path)["numbers"][1] + 8)
        same.write(b"\x07")
    with pytest.raises(Corrupted, match="'numbers'"):
        file.verify()


@pytest.mark.parametrize(
    ("magic", "version", "message"),
    [(b"ragvelse", VERSION, "not a whole file of its kind"), (MAGIC, 4, "expected version 4, got 3")],
)
def test_files_of_another_kind_or_version_are_refused(tmp_path: Path, magic: bytes, version: int, message: str) -> None:
    path = written(tmp_path / "a.text", {"numbers": np.arange(3)})
    with pytest.raises(Corrupted, match=message):
        SectionFile(path, magic=magic, version=version)


def test_a_header_that_is_none_is_refused_even_with_a_good_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.text"
    head = struct.pack("<8sII", MAGIC, VERSION, 0)
    for header in (b"", b"\xc1", msgspec.msgpack.encode({"about": {}}), msgspec.msgpack.encode([1])):
        path.write_bytes(head + header + struct.pack("<QII8s", len(head), len(header), zlib.crc32(header), MAGIC))
        with pytest.raises(Corrupted, match="the header is not one"):
            opened(path)


@pytest.mark.parametrize("section", [["<u4", 16, 3, 0], ["nothing", 16, 4, 0], ["<u4", 16, 4000, 0], ["O", 16, 8, 0]])
def test_a_section_described_wrongly_is_refused_even_with_a_good_checksum(tmp_path: Path, section: list[Any]) -> None:
    path = tmp_path / "a.text"
    body = struct.pack("<8sII", MAGIC, VERSION, 0) + b"12345678"
    section[3] = zlib.crc32(body[section[1] : section[1] + section[2]])
    header = msgspec.msgpack.encode({"about": {}, "arrays": {"one": section}})
    path.write_bytes(body + header + struct.pack("<QII8s", len(body), len(header), zlib.crc32(header), MAGIC))
    with pytest.raises(Corrupted, match="the section 'one'"):
        opened(path)["one"]


def test_a_file_is_gone_or_too_small(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none.text")
    for size in (0, 39):
        (tmp_path / "small.text").write_bytes(bytes(size))
        with pytest.raises(Corrupted, match=f"{size} bytes are too few"):
            opened(tmp_path / "small.text")


def test_a_file_is_replaced_at_once_and_readers_of_the_old_one_go_on(tmp_path: Path) -> None:
    path = written(tmp_path / "a.text", {"numbers": np.arange(5)})
    old = opened(path)
    written(path, {"numbers": np.arange(5) + 10})
    assert old["numbers"].tolist() == [0, 1, 2, 3, 4]
    assert opened(path)["numbers"].tolist() == [10, 11, 12, 13, 14]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.text"]


def test_a_write_that_fails_changes_nothing_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.text", {"numbers": np.arange(5)})
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        written(path, {"numbers": np.arange(50)})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.text"]
