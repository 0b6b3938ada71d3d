"""Vectors as JSON lines: read with every line checked, stored in batches, written so that they read back exactly."""

from __future__ import annotations

import contextlib
import functools
import gzip
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from ragvec.cli.problems import CommandError
from ragvec.errors import InvalidRequest

if TYPE_CHECKING:
    import msgspec
    import numpy as np
    import numpy.typing as npt

    from ragvec.store import Index

__all__ = ["Line", "parse_line", "read_lines", "shortest", "store_lines"]

_GZIP = b"\x1f\x8b"
_BATCH_NUMBERS = 1 << 20
"""Records are stored in transactions of about this many numbers, so that memory stays small whatever the file is."""


class Line(NamedTuple):
    """One record of a file; `number` counts lines from 1."""

    number: int
    key: str
    vector: npt.NDArray[np.float64]
    metadata: dict[str, Any] | None


@contextmanager
def read_lines(path: str) -> Iterator[Iterator[tuple[int, bytes]]]:
    """The lines of a file (`-`: standard input) with their numbers from 1, blank ones left out; gzip is unpacked.

    Raises:
        CommandError: the file cannot be read, or its compression is damaged.
    """
    name = _name(path)
    with contextlib.ExitStack() as stack:
        try:
            source = sys.stdin.buffer if path == "-" else stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise CommandError(f"cannot read {name}: {error.strerror or error}") from error
        yield _numbered(cast(BinaryIO, source), name)


def parse_line(number: int, line: bytes, *, source: str, dimension: int) -> Line:
    """Read `{"key": …, "data": […], "metadata": {…}}`; also `vector` for `data`, and boto3's `{"float32": […]}` in it.

    Raises:
        CommandError: the line is not such an object, or its vector is of another dimension.
    """
    import msgspec
    import numpy as np

    place = f"line {number} of {_name(source)}"
    try:
        row = _decoder().decode(line)
    except msgspec.ValidationError as error:
        raise CommandError(f"{place} is not a record: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(f"{place} is not JSON: {error}") from None
    given = [numbers for numbers in (row.data, row.vector) if numbers is not None]
    if len(given) != 1:
        raise CommandError(f"{place}: expected exactly one of data and vector for key {row.key!r}")
    numbers = given[0] if isinstance(given[0], list) else given[0].float32
    if len(numbers) != dimension:
        raise CommandError(f"{place}: expected {dimension} numbers for key {row.key!r}, got {len(numbers)}")
    return Line(number, row.key, np.array(numbers, dtype=np.float64), row.metadata)


@functools.cache
def _decoder() -> msgspec.json.Decoder[Any]:
    import msgspec

    numbers = msgspec.defstruct("Numbers", [("float32", list[float])], forbid_unknown_fields=True)
    vector = list[float] | numbers | None
    metadata = dict[str, Any] | None
    fields: list[tuple[str, Any] | tuple[str, Any, Any]]
    fields = [("key", str), ("data", vector, None), ("vector", vector, None), ("metadata", metadata, None)]
    return msgspec.json.Decoder(msgspec.defstruct("Row", fields, forbid_unknown_fields=True))


def store_lines(index: Index, lines: Iterable[Line], *, source: str, dimension: int, taken_back: bool = False) -> int:
    """Put the records in batches, each one transaction, and return how many there were.

    `taken_back` says that the caller removes what was stored when this raises.

    Raises:
        CommandError: a record is refused; the message names its line, and tells how many before it were stored.
    """
    size = max(1, min(5000, _BATCH_NUMBERS // dimension))
    stored = 0
    batch: list[Line] = []
    try:
        for line in lines:
            batch.append(line)
            if len(batch) == size:
                _put(index, batch, source)
                stored += len(batch)
                batch = []
        _put(index, batch, source)
    except CommandError as error:
        kept = "nothing was" if taken_back or not stored else f"the first {stored:,} records were"
        raise CommandError(f"{error}; {kept} stored") from error
    return stored + len(batch)


def shortest(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The numbers as float64 of the fewest decimal digits, 6 to 9, that rounded to float32 give `vectors` bit for bit.

    JSON then writes 0.1 and not 0.10000000149011612 (numbers below 1e-14 may take more digits). Same shape; `vectors`
    must be finite.
    """
    import numpy as np

    wide = vectors.astype(np.float64)
    size = np.abs(wide)
    places = -np.floor(np.log10(size, out=np.zeros_like(size), where=size > 0))
    result = wide
    for digits in (9, 8, 7, 6):
        decimals = places + (digits - 1)
        up, down = np.float_power(10.0, np.maximum(decimals, 0)), np.float_power(10.0, np.maximum(-decimals, 0))
        rounded = np.rint(wide * up / down) / up * down
        result = np.where(_single(rounded) == vectors, rounded, result)
    return result


def _single(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    import numpy as np

    with np.errstate(over="ignore"):  # the largest float32 rounded up to few digits is beyond the range
        return numbers.astype(np.float32)


def _put(index: Index, batch: Sequence[Line], source: str) -> None:
    import numpy as np

    if not batch:
        return
    try:
        vectors = np.stack([line.vector for line in batch])
        index.put([line.key for line in batch], vectors, [line.metadata for line in batch])
    except InvalidRequest as error:
        row = re.match(r"(?:keys|vectors|metadata)\[(\d+)\]", error.path)
        at = f"line {batch[int(row[1])].number}" if row else f"lines {batch[0].number} to {batch[-1].number}"
        raise CommandError(f"{at} of {_name(source)}: {error.message}") from error


def _numbered(source: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    try:
        start = source.peek(2)[:2] if hasattr(source, "peek") else b""
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=source)) if start == _GZIP else source
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CommandError(f"{name} is damaged: {error}") from error
    except OSError as error:
        raise CommandError(f"cannot read {name}: {error.strerror or error}") from error


def _name(path: str) -> str:
    return "standard input" if path == "-" else path
