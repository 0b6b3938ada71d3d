"""Vectors as JSON lines: read with every line checked, stored in batches, written so that they read back exactly."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ragvec.cli.problems import CommandError
from ragvec.errors import DocumentError, InvalidRequest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ragvec.exchange.lines import Line
    from ragvec.store import Index

__all__ = ["parse_line", "read_lines", "shortest", "store_lines"]

_GZIP = b"\x1f\x8b"
_BATCH_NUMBERS = 1 << 20
"""Records are stored in transactions of about this many numbers, so that memory stays small whatever the file is."""


@contextmanager
def read_lines(path: str) -> Iterator[Iterator[tuple[int, bytes]]]:
    """The lines of a file (`-`: standard input), see `ragvec.exchange.lines`."""
    from ragvec.exchange.lines import read_lines as read

    with read(sys.stdin.buffer if path == "-" else path, name=_name(path)) as lines:
        yield lines


def parse_line(number: int, line: bytes, *, source: str, dimension: int) -> Line:
    """One record, see `ragvec.exchange.lines`."""
    from ragvec.exchange.lines import parse_line as parse

    return parse(number, line, source=_name(source), dimension=dimension)


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
    except (CommandError, DocumentError) as error:
        kept = "nothing was" if taken_back or not stored else f"the first {stored:,} records were"
        raise CommandError(f"{error}; {kept} stored") from error
    return stored + len(batch)


def shortest(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """See `ragvec.exchange.lines`."""
    from ragvec.exchange.lines import shortest as found

    return found(vectors)


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


def _name(path: str) -> str:
    return "standard input" if path == "-" else path
