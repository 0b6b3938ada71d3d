"""Numpy's own files, read as what nobody vouches for: nothing is unpickled, and no more is taken than is there.

`numpy.load` makes room for whatever a header claims before it looks for it, and raises whatever its parsers stumble
over.
"""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["read_array", "read_arrays"]

_STUMBLES = (
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    SyntaxError,
    TypeError,
    tokenize.TokenError,
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
    source = io.BytesIO(raw)
    version = np.lib.format.read_magic(source)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(source)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(source)
    else:
        raise ValueError(f"expected a file of version 1.0 or 2.0, got {version}")
    body = raw[source.tell() :]
    if dtype.hasobject or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError(f"expected {shape} of {dtype}, got {len(body)} bytes")
    if not dtype.itemsize:
        raise ValueError(f"expected elements, got {dtype}")
    found: npt.NDArray[Any] = np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C").copy()
    return found
