"""Looking through the primary data of one generation: records.sqlite and vectors.f32, as of one moment."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ragvec.engine.local.layout import GenerationFolder
from ragvec.engine.local.readable import FoundRow, VectorReader, fault_of, found_rows, index_entries, state_of
from ragvec.engine.local.records import SLOTS
from ragvec.engine.local.verification import Problem, Severity

__all__ = ["CheckedRecords", "Report", "check_database", "check_records"]

_MOST_MESSAGES = 20
_MOST_ROWS = 1000
"""Problems of single rows told one by one; the rest is counted."""

_SALVAGE = "writes a new generation of the rows that are whole, and keeps and names the others"
_REINDEX = "writes a new generation, whose indexes agree with its rows"
_DEAD = "leaves it out of a new generation"
_INDEX_MESSAGES = ("missing from index", "wrong # of entries in index", "non-unique entry in index")


class Report:
    """Collects problems of one place: `file` is relative to the store, `lesser` turns "primary" into "losable", as in a
    generation that is kept for pages of earlier queries only."""

    def __init__(self, *, bucket: str = "", index: str = "", lesser: bool = False) -> None:
        self.problems: list[Problem] = []
        self._bucket, self._index, self._lesser = bucket, index, lesser

    def add(
        self,
        severity: Severity,
        file: str,
        what: str,
        *,
        remedy: str,
        row: int | None = None,
        rows: int = 0,
        key: str | None = None,
        byte: int | None = None,
    ) -> None:
        """Note a problem."""
        if self._lesser:
            severity, remedy = "losable", "moves the generation, which no present data need, to lost+found"
        self.problems.append(
            Problem(
                severity=severity,
                file=file,
                what=what,
                remedy=remedy,
                bucket=self._bucket,
                index=self._index,
                row=row,
                rows=rows,
                key=key,
                byte=byte,
            )
        )


class CheckedRecords(NamedTuple):
    """What was seen: `rows` and `sequence` of the state, `live` rows, and which rows are damaged, bool (rows,), None
    where that was not looked at."""

    sequence: int
    rows: int
    live: int
    successor: int | None
    damaged: npt.NDArray[np.bool_] | None


def check_database(sql: sqlite3.Connection, file: str, report: Report, *, deep: bool, remedy: str = _SALVAGE) -> bool:
    """Have SQLite check its own structures, deep also its indexes against the tables; False when something is wrong.

    What concerns indexes alone is "derived".
    """
    try:
        found = sql.execute(f"PRAGMA {'integrity' if deep else 'quick'}_check({_MOST_MESSAGES})").fetchall()
    except sqlite3.Error as error:
        report.add("primary", file, f"SQLite cannot read it: {error}", remedy=remedy)
        return False
    messages = [str(message) for (message,) in found if message != "ok"]
    for message in messages:
        if any(part in message for part in _INDEX_MESSAGES):
            report.add("derived", file, f"SQLite reports: {message}", remedy=_REINDEX)
        else:
            report.add("primary", file, f"SQLite reports: {message}", remedy=remedy)
    return not messages


def check_records(
    sql: sqlite3.Connection,
    folder: GenerationFolder,
    where: str,
    report: Report,
    *,
    dimension: int,
    deep: bool,
    progress: Callable[[int], object],
) -> CheckedRecords | None:
    """Check what the transaction of `sql` sees against the vectors; None when the state cannot be read. `where` is the
    folder relative to the store."""
    file = f"{where}/records.sqlite"
    check_database(sql, file, report, deep=deep)
    state = state_of(sql)
    if state is None:
        report.add("primary", file, "it does not tell how many rows and changes there are", remedy=_SALVAGE)
        return None
    sequence, rows, successor = state
    try:
        count, least, most, died = sql.execute(
            "SELECT count(*), coalesce(min(row), 0), coalesce(max(row), -1), coalesce(max(died), 0) "
            "FROM records NOT INDEXED"
        ).fetchone()
    except sqlite3.Error as error:
        report.add("primary", file, f"its rows cannot be counted: {error}", remedy=_SALVAGE)
        count, least, most, died = rows, 0, rows - 1, 0
    if (count, least, most) != (rows, 0, rows - 1):
        report.add(
            "primary",
            file,
            f"expected the rows 0 to {rows - 1}, got {count} rows from {least} to {most}",
            remedy=_SALVAGE,
        )
    if not isinstance(died, int) or died > sequence:
        report.add("primary", file, f"a row died in change {died!r} of {sequence}", remedy=_SALVAGE)
    held = _size(folder) // (4 * dimension)
    if held < rows:
        report.add(
            "primary",
            f"{where}/vectors.f32",
            f"it holds {held} rows of {rows}: {'all' if not held else f'those from {held} on'} are lost",
            remedy=_SALVAGE,
            row=held,
            rows=rows - held,
            byte=_size(folder),
        )
    # A number of rows that neither file comes near is not worth going through.
    rows = min(rows, max(held, most + 1))
    looked = _Rows(report, file, f"{where}/vectors.f32", held=held, width=4 * dimension)
    live = looked.check(sql, folder, rows, dimension=dimension, progress=progress) if deep else looked.keys(sql, rows)
    return CheckedRecords(sequence, rows, live, successor, looked.damaged if deep else None)


class _Rows:
    """The pass over all rows."""

    def __init__(self, report: Report, file: str, vectors: str, *, held: int, width: int) -> None:
        self._report, self._file, self._vectors = report, file, vectors
        self._held, self._width = held, width
        self._told = 0
        self.damaged: npt.NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)

    def keys(self, sql: sqlite3.Connection, rows: int) -> int:
        """The fast form: that every key has its slot; returns how many rows live."""
        live = 0
        try:
            for row, key, slot, died in sql.execute(
                "SELECT row, CAST(key AS BLOB), slot, died FROM records NOT INDEXED WHERE row < ?", (rows,)
            ):
                live += died is None
                if not isinstance(key, bytes) or zlib.crc32(key) % SLOTS != slot:
                    text = key.decode(errors="replace") if isinstance(key, bytes) else None
                    self._tell(row, text, "its key and slot do not belong together", dead=died is not None)
        except sqlite3.Error as error:
            self._report.add("primary", self._file, f"its rows cannot all be read: {error}", remedy=_SALVAGE)
        self._tell_rest()
        return live

    def check(
        self,
        sql: sqlite3.Connection,
        folder: GenerationFolder,
        rows: int,
        *,
        dimension: int,
        progress: Callable[[int], object],
    ) -> int:
        """The deep form: every row against its checksum, and the indexes against the rows."""
        self.damaged = np.zeros(rows, dtype=np.bool_)
        alive = np.zeros(rows, dtype=np.bool_)
        hashes = np.zeros(rows, dtype=np.uint32)
        names: dict[int, str | None] = {}
        pending = 0
        with VectorReader(folder.vectors, dimension=dimension) as vectors:
            for found in found_rows(sql, 0, rows):
                row = found.row
                vector = vectors.row(row) if row < self._held else None
                if (fault := fault_of(found, vector)) is not None:
                    self.damaged[row] = True
                    self._fault(found, fault)
                    names[row] = found.text
                alive[row] = found.died is None
                if isinstance(found.key, bytes):
                    hashes[row] = zlib.crc32(found.key)
                    pending += len(found.key)
                pending += self._width
                if pending > 1 << 22:
                    progress(pending)
                    pending = 0
        progress(pending)
        self._indexes(sql, alive=alive, hashes=hashes)
        self._tell_rest()
        return int(np.count_nonzero(alive))

    def _indexes(
        self, sql: sqlite3.Connection, *, alive: npt.NDArray[np.bool_], hashes: npt.NDArray[np.uint32]
    ) -> None:
        """Whether the indexes say of each row what the table says."""
        live, dead = index_entries(sql, live=True), index_entries(sql, live=False)
        for name, entries in (("live_keys", live), ("tombstones", dead)):
            if entries is None:
                self._report.add("derived", self._file, f"its index {name} cannot be read whole", remedy=_REINDEX)
        for row in range(len(alive)):
            if self.damaged[row]:
                continue
            if live is not None:
                key = live.get(row, b"")
                if (row in live) != bool(alive[row]):
                    says = "has" if row in live else "lacks"
                    self._tell(row, None, f"the index live_keys {says} it", dead=not alive[row], sql=sql)
                elif row in live and not (isinstance(key, bytes) and zlib.crc32(key) == hashes[row]):
                    self._tell(row, None, "the index live_keys has it under another key", dead=False, sql=sql)
            if dead is not None and (row in dead) != (not alive[row]):
                says = "has" if row in dead else "lacks"
                self._tell(row, None, f"the index tombstones {says} it", dead=not alive[row], sql=sql)

    def _fault(self, found: FoundRow, fault: str) -> None:
        if found.row >= self._held and found.kind == "text":
            return  # told once for all of them
        self._tell(found.row, found.text, fault, dead=found.died is not None)

    def _tell(self, row: int, key: str | None, what: str, *, dead: bool, sql: sqlite3.Connection | None = None) -> None:
        self._told += 1
        if self._told > _MOST_ROWS:
            return
        if key is None and sql is not None:
            key = _key_of(sql, row)
        self._report.add(
            "losable" if dead else "primary",
            self._file,
            f"row {row}{'' if key is None else f', key {key!r}'}{', deleted' if dead else ''}: {what}",
            remedy=_DEAD if dead else _SALVAGE,
            row=row,
            key=key,
            byte=row * self._width,
        )

    def _tell_rest(self) -> None:
        if self._told > _MOST_ROWS:
            self._report.add(
                "primary",
                self._file,
                f"{self._told - _MOST_ROWS} more rows are damaged",
                remedy=_SALVAGE,
                rows=self._told - _MOST_ROWS,
            )


def _key_of(sql: sqlite3.Connection, row: int) -> str | None:
    for found in found_rows(sql, row, row + 1):
        return found.text
    return None


def _size(folder: GenerationFolder) -> int:
    try:
        return folder.vectors.stat().st_size
    except OSError:
        return 0
