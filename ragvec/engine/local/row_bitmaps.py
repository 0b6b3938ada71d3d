"""Row numbers, masks and Roaring bitmaps, each made of the other by the fastest way there is in numpy.

The ways are through the portable Roaring form (github.com/RoaringBitmap/RoaringFormatSpec): a head that describes one
container for each 65,536 rows in use, then the containers: sorted uint16, 65,536 bits, or runs.
"""

from __future__ import annotations

import struct
from array import array

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from ragvec.types import RowArray

__all__ = ["array_of", "bitmap_of", "mask_of"]

_COOKIE_WITHOUT_RUNS = 12346
_LARGEST_ARRAY_CONTAINER = 4096
_CONTAINER_ROWS = 65_536
_OFFSETS_FROM = 4
"""A form with runs tells where its containers are only from this many on."""


def bitmap_of(rows: RowArray, *, first: int, last: int) -> BitMap:
    """The set of these rows, all within [first, last), in any order, repeated or not."""
    if len(rows) * 128 < last - first or len(rows) < 1024:
        return BitMap(array("I", rows.tobytes()))
    # Through a mask to the serialised form: two to ten times faster than adding row by row.
    key = first >> 16
    mask = np.zeros((((last - 1) >> 16) - key + 1, _CONTAINER_ROWS), np.bool_)
    mask.reshape(-1)[rows - np.uint32(key << 16) if key else rows] = True
    return BitMap.deserialize(_serialized(mask, key))


def array_of(rows: BitMap) -> RowArray:
    """The rows, sorted."""
    return np.frombuffer(rows.to_array(), dtype=np.uint32) if rows else np.empty(0, dtype=np.uint32)


def mask_of(rows: BitMap, *, size: int) -> npt.NDArray[np.bool_]:
    """Which of the rows [0, size) are in the set, which holds no others: bool (size,)."""
    padded = -(-size // _CONTAINER_ROWS) * _CONTAINER_ROWS
    mask = np.zeros(padded, np.bool_)
    if len(rows) < _LARGEST_ARRAY_CONTAINER:
        mask[array_of(rows)] = True
        return mask[:size]
    data = rows.serialize()
    (cookie,) = struct.unpack_from("<H", data)
    if cookie == _COOKIE_WITHOUT_RUNS:
        (count,) = struct.unpack_from("<I", data, 4)
        at, has_runs = 8, np.zeros(count, np.bool_)
    else:
        count = 1 + struct.unpack_from("<H", data, 2)[0]
        has_runs = np.unpackbits(np.frombuffer(data, np.uint8, (count + 7) // 8, 4), count=count, bitorder="little")
        at = 4 + (count + 7) // 8
    described = np.frombuffer(data, "<u2", 2 * count, at).reshape(count, 2).tolist()
    at += 4 * count
    if cookie == _COOKIE_WITHOUT_RUNS or count >= _OFFSETS_FROM:
        at += 4 * count
    for (key, largest), is_runs in zip(described, has_runs.tolist(), strict=True):
        line = mask[key * _CONTAINER_ROWS : (key + 1) * _CONTAINER_ROWS]
        if is_runs:
            (runs,) = struct.unpack_from("<H", data, at)
            for start, more in np.frombuffer(data, "<u2", 2 * runs, at + 2).reshape(runs, 2).tolist():
                line[start : start + more + 1] = True
            at += 2 + 4 * runs
        elif largest < _LARGEST_ARRAY_CONTAINER:
            line[np.frombuffer(data, "<u2", largest + 1, at)] = True
            at += 2 * (largest + 1)
        else:
            bits = np.frombuffer(data, np.uint8, _CONTAINER_ROWS // 8, at)
            line[:] = np.unpackbits(bits, bitorder="little").view(np.bool_)
            at += _CONTAINER_ROWS // 8
    return mask[:size]


def _serialized(mask: npt.NDArray[np.bool_], key: int) -> bytes:
    """The serialised form, without run containers, of a mask whose line i is the container of key `key` + i."""
    described: list[tuple[int, int]] = []
    bodies: list[bytes] = []
    for at, line in enumerate(mask):
        size = int(np.count_nonzero(line))
        if size:
            described.append((key + at, size - 1))
            if size > _LARGEST_ARRAY_CONTAINER:
                bodies.append(np.packbits(line, bitorder="little").tobytes())
            else:
                bodies.append(np.flatnonzero(line).astype("<u2").tobytes())
    sizes = np.fromiter(map(len, bodies), np.int64, len(bodies))
    places = 8 + 8 * len(bodies) + np.cumsum(sizes) - sizes
    head = struct.pack("<II", _COOKIE_WITHOUT_RUNS, len(bodies))
    return b"".join([head, np.array(described, "<u2").tobytes(), places.astype("<u4").tobytes(), *bodies])
