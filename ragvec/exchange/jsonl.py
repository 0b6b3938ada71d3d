"""An index as JSON lines, plain or gzip.

The first line tells what the index is, each further line is one record in byte order of key, and the last line counts
them, so that a file that was cut short is known for it:

    {"ragvec":"export","format":1,"dimension":2,"metric":"cosine","non_filterable":["text"],"properties":{}}
    {"key":"a","data":[0.1,0.2],"metadata":{"year":2024}}
    {"records":1}

The same index gives the same bytes, and so does an index imported from them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

import msgspec
import numpy as np

from ragvec.engine.local.as_of import AsOfPage
from ragvec.errors import DocumentError
from ragvec.exchange.lines import parse_line, read_lines, shortest
from ragvec.exchange.model import FORMAT, FileBatch, Header

__all__ = ["JsonlReader", "open_jsonl", "write_jsonl"]

_FIRST = '{"ragvec":"export",…}'
_NUMBERS = 1 << 20

_encode = msgspec.json.encode


def write_jsonl(sink: IO[bytes], header: Header, pages: Iterable[AsOfPage]) -> int:
    """Write all records and return how many there were."""
    sink.write(_encode({"ragvec": "export", "format": FORMAT, **header.document()}) + b"\n")
    written = 0
    for page in pages:
        numbers = shortest(page.vectors).tolist()
        for key, data, metadata in zip(page.keys, numbers, page.metadata, strict=True):
            record = {"key": key, "data": data, "metadata": msgspec.Raw(metadata or b"{}")}
            sink.write(_encode(record) + b"\n")
        written += len(page.keys)
    sink.write(_encode({"records": written}) + b"\n")
    return written


@contextmanager
def open_jsonl(source: str | Path | BinaryIO, *, name: str) -> Iterator[JsonlReader]:
    """A reader of such a file. Raises DocumentError: it is none, or cannot be read."""
    with read_lines(source, name=name) as lines:
        yield JsonlReader(lines, name)


class JsonlReader:
    """`header`, and the records once."""

    unit = "line"

    def __init__(self, lines: Iterator[tuple[int, bytes]], name: str) -> None:
        self._lines = lines
        self._name = name
        _, line = next(lines, (0, b""))
        try:
            header = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            header = None
        if not isinstance(header, dict) or header.get("ragvec") != "export":
            raise DocumentError(
                f"{name} is not an export of ragvec, which begins with {_FIRST}; it begins with {line[:60]!r}",
                source=name,
            )
        self.header = Header.read(header, source=name, place="line 1")

    def batches(self) -> Iterator[FileBatch]:
        """The records; the last line has to confirm how many there are. Raises DocumentError."""
        size = max(1, min(5000, _NUMBERS // max(1, self.header.dimension)))
        records = self._records()
        while batch := list(itertools.islice(records, size)):
            numbers, keys, vectors, metadata = (list(column) for column in zip(*batch, strict=True))
            yield FileBatch(keys, np.stack(vectors), metadata, numbers)

    def _records(self) -> Iterator[tuple[int, str, object, dict[str, object] | None]]:
        seen, name = 0, self._name
        for number, line in self._lines:
            if line.startswith(b'{"records":'):
                if line.strip() != b'{"records":%d}' % seen:
                    end = line.strip().decode(errors="replace")
                    raise DocumentError(
                        f"line {number} of {name}: {end} after {seen:,} records: some are missing or added", source=name
                    )
                if next(self._lines, None) is not None:
                    raise DocumentError(f"{name} goes on after line {number}, which should be its last", source=name)
                return
            yield parse_line(number, line, source=name, dimension=self.header.dimension)
            seen += 1
        raise DocumentError(
            f"{name} is cut short: it ends after {seen:,} records without the line that counts them", source=name
        )
