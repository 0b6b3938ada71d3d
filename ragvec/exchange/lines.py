"""Vectors as JSON lines: read with every line checked, written so that they read back exactly."""

from __future__ import annotations

import functools
import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.errors import DocumentError

__all__ = ["Line", "parse_line", "read_lines", "shortest"]

_GZIP = b"\x1f\x8b"
_LONGEST = 1 << 28
"""Bytes of a line: a record of the largest dimension takes two million, and compressed files may hold anything."""


class Line(NamedTuple):
    """One record of a file; `number` counts lines from 1."""

    number: int
    key: str
    vector: npt.NDArray[np.float64]
    metadata: dict[str, Any] | None


class _Numbers(msgspec.Struct, forbid_unknown_fields=True):
    float32: list[float]


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    data: list[float] | _Numbers | None = None
    vector: list[float] | _Numbers | None = None
    metadata: dict[str, Any] | None = None


@functools.cache
def _decoder() -> msgspec.json.Decoder[_Row]:
    return msgspec.json.Decoder(_Row)


@contextmanager
def read_lines(source: str | Path | BinaryIO, *, name: str) -> Iterator[Iterator[tuple[int, bytes]]]:
    """The lines of a file with their numbers from 1, blank ones left out; gzip is unpacked. `name` is that in messages.

    Raises:
        DocumentError: the file cannot be read, or its compression is damaged.
    """
    with ExitStack() as stack:
        if isinstance(source, (str, Path)):
            try:
                source = stack.enter_context(Path(source).open("rb"))
            except OSError as error:
                raise DocumentError(f"cannot read {name}: {error.strerror or error}", source=name) from error
        yield _numbered(source, name)


def parse_line(number: int, line: bytes, *, source: str, dimension: int) -> Line:
    """Read `{"key": …, "data": […], "metadata": {…}}`; also `vector` for `data`, and boto3's `{"float32": […]}` in it.

    Raises:
        DocumentError: the line is not such an object, or its vector is of another dimension.
    """
    place = f"line {number} of {source}"
    try:
        row = _decoder().decode(line)
    except msgspec.ValidationError as error:
        raise DocumentError(f"{place} is not a record: {error!s:.300}", source=source) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentError(f"{place} is not JSON: {error!s:.300}", source=source) from None
    given = [numbers for numbers in (row.data, row.vector) if numbers is not None]
    if len(given) != 1:
        raise DocumentError(f"{place}: expected exactly one of data and vector for key {row.key!r:.200}", source=source)
    numbers = given[0] if isinstance(given[0], list) else given[0].float32
    if len(numbers) != dimension:
        raise DocumentError(
            f"{place}: expected {dimension} numbers for key {row.key!r:.200}, got {len(numbers)}", source=source
        )
    return Line(number, row.key, np.array(numbers, dtype=np.float64), row.metadata)


def shortest(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The numbers as float64 of the fewest decimal digits, 6 to 9, that rounded to float32 give `vectors` bit for bit.

    JSON then writes 0.1 and not 0.10000000149011612 (numbers below 1e-14 may take more digits). Same shape; `vectors`
    must be finite.
    """
    powers = _powers()
    flat = np.ascontiguousarray(vectors).reshape(-1)
    wide = flat.astype(np.float64)
    size = np.abs(wide)
    places = -np.floor(np.log10(size, out=np.zeros_like(size), where=size > 0)).astype(np.intp)
    result, left = wide.copy(), np.arange(len(flat))
    # Most numbers need most digits, so what does without the last one is looked at further, and nothing else.
    for digits in (9, 8, 7, 6):
        decimals = places[left] + (digits - 1)
        up, down = powers[np.maximum(decimals, 0)], powers[np.maximum(-decimals, 0)]
        rounded = np.rint(wide[left] * up / down) / up * down
        good = _single(rounded) == flat[left]
        if not good.all():
            left, rounded = left[good], rounded[good]
        result[left] = rounded
    shaped: npt.NDArray[np.float64] = result.reshape(vectors.shape)
    return shaped


@functools.cache
def _powers() -> npt.NDArray[np.float64]:
    """10 to the power of 0, 1, …, as many as the least float32 takes."""
    return np.array([float(f"1e{exponent}") for exponent in range(64)])


def _single(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):  # the largest float32 rounded up to few digits is beyond the range
        return numbers.astype(np.float32)


def _numbered(source: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    try:
        start = source.peek(2)[:2] if hasattr(source, "peek") else b""
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=source)) if start == _GZIP else source
        for number, line in enumerate(iter(lambda: stream.readline(_LONGEST + 1), b""), start=1):
            if len(line) > _LONGEST:
                raise DocumentError(
                    f"line {number} of {name}: expected at most {_LONGEST:,} bytes in a line, got more", source=name
                )
            if not line.isspace():
                yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DocumentError(f"{name} is damaged: {error}", source=name) from error
    except OSError as error:
        raise DocumentError(f"cannot read {name}: {error.strerror or error}", source=name) from error
