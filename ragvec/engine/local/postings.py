"""The posting lists of one index: which rows have which metadata values.

The newest rows are in a `Tail`, the others in `Run`s, which live as `ragvec.engine.local.run_store` tells.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pyroaring import BitMap

from ragvec.engine.local.posting_columns import Column, Wanted
from ragvec.engine.local.posting_runs import (
    Checksums,
    Run,
    merge_runs,
    merged_fields,
    open_run,
    run_range,
    write_run,
)
from ragvec.engine.local.posting_tail import Tail
from ragvec.engine.local.run_store import BLOCK_ROWS, RunStore
from ragvec.filters.bitmap import Bounds
from ragvec.types import Scalar

__all__ = ["BLOCK_ROWS", "PostingStore", "PostingView"]

_NEWEST = 512
"""Rows whose metadata is kept as it was decoded."""

_log = logging.getLogger("ragvec.postings")


class PostingView:
    """Posting lists of the rows [first, covered) at one moment (a `ragvec.filters.bitmap.Postings`); for any thread.

    Every method raises Corrupted when a section of a run file, checked on first use, does not match its checksum; the
    remedy is `PostingStore.recover`.
    """

    def __init__(self, runs: tuple[Run, ...], *, tail: Tail, covered: int, first: int = 0) -> None:
        self.first, self.covered = first, covered
        self._runs = tuple(run for run in runs if run.last > first) if first else runs
        self._tail = tail

    def universe(self) -> BitMap:
        """All rows, deleted ones included."""
        return BitMap(range(self.first, self.covered))

    def equal(self, field: str, value: Scalar) -> BitMap:
        """Rows whose field is `value`, or is a list that holds it."""
        return self.any_of(field, (value,))

    def any_of(self, field: str, values: Sequence[Scalar]) -> BitMap:
        """Rows whose field is one of `values`, or is a list that holds one."""
        wanted = Wanted(values)
        parts = [part for run in self._runs if field in run.fields for part in run.fields[field].any_of(wanted)]
        return self._joined(parts, self._tail.any_of(field, values))

    def compare(self, field: str, bounds: Bounds) -> BitMap:
        """Rows whose field is a number, not in a list, that satisfies every bound."""
        if any(bound != bound for _, bound in bounds):
            return BitMap()  # NaN
        parts = [part for run in self._runs if field in run.fields for part in run.fields[field].compare(bounds)]
        return self._joined(parts, self._tail.compare(field, bounds))

    def starts_with(self, field: str, prefix: str) -> BitMap:
        """Rows whose field is a string that begins with `prefix`, or is a list that holds one."""
        text = prefix.encode("utf-8", "surrogatepass")
        parts = [part for run in self._runs if field in run.fields for part in run.fields[field].starts_with(text)]
        return self._joined(parts, self._tail.starts_with(field, prefix))

    def exists(self, field: str) -> BitMap:
        """Rows that have the field, whatever its value."""
        parts = [run.fields[field].exists for run in self._runs if field in run.fields]
        return self._joined(parts, self._tail.exists(field))

    def texts(self, field: str) -> list[Column]:
        """Columns of the texts under the field, of disjoint ranges of rows in row order; perhaps with rows that are not
        covered."""
        found = [run.fields[field].columns.get("string") for run in self._runs if field in run.fields]
        return [column for column in (*found, self._tail.texts(field)) if column is not None]

    def _joined(self, parts: Iterable[BitMap], newest: BitMap) -> BitMap:
        # The tail goes on growing after this view was made.
        newest.remove_range(self.covered, 2**32)
        joined = BitMap.union(newest, *(part for part in parts if part))
        if self.first:
            joined.remove_range(0, self.first)
        return joined


class PostingStore(RunStore[Run, Tail, "bytes | None"]):
    """The posting lists of one index, persisted in `folder` (which may be absent); a `RunStore` of metadata.

    Each row is a JSON object, or None for none; one whose metadata is damaged, and no object, is indexed as having
    none. By `checksums`, those of the records, files are known to be of these rows.
    """

    subject = "Posting lists"

    def __init__(
        self,
        folder: Path,
        *,
        non_filterable: Collection[str],
        read_only: bool = False,
        block_rows: int = BLOCK_ROWS,
        checksums: Checksums | None = None,
    ) -> None:
        self._checksums = checksums
        self._non_filterable = frozenset(non_filterable)
        self._decode = msgspec.json.Decoder(dict).decode
        self._newest: list[dict[str, Any]] = []
        self._newest_from = 0
        super().__init__(folder, read_only=read_only, block_rows=block_rows)

    def extend(self, first: int, rows: Iterable[bytes | None]) -> None:
        """Index the rows first, first + 1, …, where `first` is `covered`."""
        rows = list(rows)
        self._newest_from = first + len(rows) - _NEWEST
        if self._newest_from >= first:
            self._newest = []
        elif len(self._newest) > 2 * _NEWEST:
            del self._newest[:-_NEWEST]
        super().extend(first, rows)

    def view(self, first: int = 0) -> PostingView:
        """The rows [first, covered) as they are now; later changes do not touch it."""
        return PostingView(self._runs, tail=self._tail, covered=self.covered, first=first)

    def newest(self, first: int, last: int) -> list[dict[str, Any]] | None:
        """The filterable metadata of rows [first, last), all indexed; None unless they are among the newest."""
        start = first - (self.covered - len(self._newest))
        return self._newest[start : start + last - first] if start >= 0 else None

    def _index(self, item: bytes | None) -> None:
        filterable = self._decoded(item)
        self._tail.add(self.covered, filterable)
        if self.covered >= self._newest_from:
            self._newest.append(filterable)

    def _begin_at(self, end: int) -> None:
        super()._begin_at(end)
        self._newest = []

    def _decoded(self, data: bytes | None) -> dict[str, Any]:
        try:
            metadata = {} if data is None else self._decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
            _log.warning(
                "Row %d in `%s` has damaged metadata, and none for filters: %s", self.covered, self.folder, error
            )
            return {}
        for name in self._non_filterable:
            metadata.pop(name, None)
        return metadata

    def _new_tail(self, first: int) -> Tail:
        return Tail(first, non_filterable=self._non_filterable)

    def _frozen(self) -> Run:
        return self._tail.freeze(self.covered)

    def _merged(self, runs: Sequence[Run]) -> Run:
        return merge_runs(runs)

    def _range(self, name: str) -> tuple[int, int] | None:
        return run_range(name)

    def _opened(self, path: Path) -> Run:
        return open_run(path, non_filterable=self._non_filterable, checksums=self._checksums)

    def _write(self, runs: Sequence[Run]) -> Path:
        return write_run(
            self.folder,
            merged_fields(runs) if len(runs) > 1 else iter(runs[0].fields.items()),
            first=runs[0].first,
            last=runs[-1].last,
            non_filterable=self._non_filterable,
            checksums=self._checksums,
        )
