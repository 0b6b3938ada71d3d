"""Numpy's files: what numpy writes is read as numpy reads it, anything else is refused without making room for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ragvec.ann.array_files import read_array, read_arrays

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    np.array("cosine"),
    np.array(1.5),
    np.empty((0, 0), dtype=np.float32),
    np.array([True, False]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_what_numpy_writes_is_read(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    found = read_array(tmp_path / "a.npy")
    np.testing.assert_array_equal(found, array, strict=True)
    np.savez(tmp_path / "a.npz", one=array, two=array)
    assert list(read_arrays(tmp_path / "a.npz")) == ["one", "two"]
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npz")["two"], array, strict=True)


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x93NUMPY\x03\x00",
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000,)}"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + bytes(8),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1)}") + bytes(4),
        header("{'descr': '<f4', 'shape': (1,)}") + bytes(4),
        header("__import__('os').abort()"),
        header("(" * 3_000),
        header("{'descr': '|V0', 'fortran_order': False, 'shape': (9,)}"),
        header("{'descr': 'x', 'fortran_order': False, 'shape': (1,)}") + b"x",
        b"PK\x05\x06" + bytes(17),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(ValueError):
        read_array(tmp_path / "a")
    with pytest.raises(ValueError):
        read_arrays(tmp_path / "a")


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", one=np.zeros(1_000_000))
    with pytest.raises(ValueError, match="not compressed"):
        read_arrays(tmp_path / "a.npz")
