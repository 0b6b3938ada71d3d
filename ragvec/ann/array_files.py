"""Numpy's own files, read as what nobody vouches for: nothing is unpickled, and no more is taken than is there.

`numpy.load` makes room for whatever a header claims before it looks for it, and raises whatever its parsers stumble
over.
"""

from __future__ import annotations

import ast
import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["read_array", "read_arrays"]

_LONGEST_HEADER = 4_096
_STUMBLES = (
    EOFError,
    KeyError,
    MemoryError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_array(path: Path) -> npt.NDArray[Any]:
    """The array in a file of `numpy.save`, as a copy. Raises ValueError when there is none, OSError."""
    raw = path.read_bytes()
    try:
        return _array(raw)
    except _STUMBLES as error:
        raise ValueError(f"not an array: {error!r:.200}") from error


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays in a file of `numpy.savez` (not compressed), by name. Raises ValueError when it is none, OSError."""
    raw = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
            if packed or sum(member.file_size for member in members) > len(raw):
                raise ValueError("expected members that are not compressed")
            return {member.filename.removesuffix(".npy"): _array(archive.read(member)) for member in members}
    except _STUMBLES as error:
        raise ValueError(f"not an archive of arrays: {error!r:.200}") from error


def _array(raw: bytes) -> npt.NDArray[Any]:
    # As numpy.lib.format has it: magic, version, length of the header, the header as a Python literal, the elements.
    if raw[:6] != b"\x93NUMPY" or raw[6:8] not in (b"\x01\x00", b"\x02\x00"):
        raise ValueError("expected an array file of version 1.0 or 2.0")
    begin = 10 if raw[6] == 1 else 12
    end = begin + int.from_bytes(raw[8:begin], "little")
    if end > min(len(raw), _LONGEST_HEADER):
        raise ValueError("expected a header of an array file")
    header = ast.literal_eval(raw[begin:end].decode("latin-1"))
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("expected a header of an array file")
    descr, shape = header["descr"], header["shape"]
    if not isinstance(descr, str) or not isinstance(shape, tuple) or any(type(size) is not int for size in shape):
        raise ValueError(f"expected a type and a shape, got {header!r:.200}")
    dtype = np.dtype(descr)
    if dtype.hasobject or not dtype.itemsize or min(shape, default=0) < 0:
        raise ValueError(f"expected elements of a fixed size, got {shape} of {dtype}")
    if math.prod(shape) * dtype.itemsize != len(raw) - end:
        raise ValueError(f"expected {shape} of {dtype}, got {len(raw) - end} bytes")
    order: Literal["C", "F"] = "F" if header["fortran_order"] else "C"
    found: npt.NDArray[Any] = np.frombuffer(raw, dtype, offset=end).reshape(shape, order=order).copy()
    return found
