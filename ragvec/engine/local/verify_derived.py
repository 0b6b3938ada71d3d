"""Looking through what is derived of one generation: posting and inverted lists, segments, against the primary data.

What is there is listed before the records are read, since a derived file is made of committed rows: what is listed then
must agree with them. A file that is gone when it is looked at was superseded.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ragvec.ann.sealed import verify as verify_seal
from ragvec.ann.segment_files import read_description
from ragvec.distance import row_norms
from ragvec.engine.local.columns import (
    KEYS_FILE,
    METADATA_FILE,
    NORMS_FILE,
    ROW_CHECKSUMS_FILE,
    Column,
    read_norms,
    read_row_checksums,
)
from ragvec.engine.local.layout import GenerationFolder
from ragvec.engine.local.posting_columns import FieldPostings
from ragvec.engine.local.posting_runs import Run, open_run, run_range
from ragvec.engine.local.posting_tail import Tail
from ragvec.engine.local.readable import VectorReader
from ragvec.engine.local.segment_places import Place, listed, segment_name
from ragvec.engine.local.verify_records import CheckedRecords, Report
from ragvec.engine.local.verify_text import check_text, list_texts
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import Corrupted

__all__ = ["Listed", "check_postings", "check_segments", "check_texts", "reason"]

_REBUILD = "moves it to lost+found and has it made again"
_CHUNK = 8192
_NEAR = 1e-6
"""How far norms may differ, relatively, where another machine computed them."""

_decode = msgspec.json.Decoder(dict).decode


class Listed:
    """What is derived in a generation, at the moment of listing; the posting files are open from then on."""

    def __init__(self, folder: GenerationFolder, *, non_filterable: tuple[str, ...]) -> None:
        self.segments = sorted(listed(folder.segments), key=lambda place: (place.first, place.last))
        self.runs: list[tuple[Path, Run | Corrupted]] = []
        paths: list[Path] = []
        with suppress(FileNotFoundError):
            paths = sorted(path for path in folder.postings.iterdir() if run_range(path.name) is not None)
        for path in paths:
            try:
                self.runs.append((path, open_run(path, non_filterable=non_filterable)))
            except FileNotFoundError:
                continue
            except Corrupted as error:
                if path.exists():
                    self.runs.append((path, error))
        self.texts = list_texts(folder)


def check_postings(
    sql: sqlite3.Connection,
    found: Listed,
    _: GenerationFolder,
    where: str,
    report: Report,
    *,
    spec: IndexSpec,
    checked: CheckedRecords,
    deep: bool,
    progress: Callable[[int], object],
) -> None:
    """Check the posting files, deep also that they say what the records of the transaction say."""
    for path, run in found.runs:
        file = f"{where}/postings/{path.name}"
        if isinstance(run, Corrupted):
            report.add("derived", file, reason(run), remedy=_REBUILD)
            continue
        if run.last > checked.rows:
            report.add(
                "derived",
                file,
                f"it covers rows to {run.last - 1} where the records end with {checked.rows - 1}",
                remedy=_REBUILD,
            )
            continue
        try:
            if (stranger := _stranger(sql, run)) is not None:
                report.add("derived", file, f"it was made of other rows: {stranger}", remedy=_REBUILD)
            elif deep:
                _compare_run(sql, run, file, report, spec=spec, checked=checked)
                progress(path.stat().st_size)
        except Corrupted as error:
            report.add("derived", file, reason(error), remedy=_REBUILD)
        except FileNotFoundError:
            continue
        except sqlite3.Error:
            continue  # told of the records


def check_texts(
    sql: sqlite3.Connection,
    found: Listed,
    _: GenerationFolder,
    where: str,
    report: Report,
    *,
    spec: IndexSpec,  # noqa: ARG001 - as the other checks
    checked: CheckedRecords,
    deep: bool,
    progress: Callable[[int], object],
) -> None:
    """Check the files of inverted lists, deep also that they say what the texts of the records say."""
    for path, text in found.texts:
        file = f"{where}/text/{path.parent.name}/{path.name}"
        try:
            if isinstance(text, Corrupted):
                raise text
            check_text(sql, path, text, file, report, checked=checked, deep=deep, progress=progress)
        except Corrupted as error:
            report.add("derived", file, reason(error), remedy=_REBUILD)
        except FileNotFoundError:
            continue
        except sqlite3.Error:
            continue  # told of the records


def _stranger(sql: sqlite3.Connection, run: Run) -> str | None:
    for row, checksum in run.witnesses:
        found = sql.execute("SELECT checksum FROM records WHERE row = ?", (row,)).fetchone()
        if found is None or found[0] != checksum:
            return f"row {row} has another checksum"
    return None


def _compare_run(
    sql: sqlite3.Connection, run: Run, file: str, report: Report, *, spec: IndexSpec, checked: CheckedRecords
) -> None:
    run.verify()
    if checked.damaged is not None and checked.damaged[run.first : run.last].any():
        return  # what a damaged row says is not known, and repair makes all of it again
    tail = Tail(run.first, non_filterable=spec.non_filterable)
    row = run.first
    for metadata in _column(sql, "metadata", run.first, run.last):
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, TypeError):
            tail.add(row, {} if metadata is None else _decode(metadata))
        row += 1
    expected = tail.freeze(run.last).fields
    if set(expected) != set(run.fields):
        differing = sorted(set(expected) ^ set(run.fields))[:3]
        report.add("derived", file, f"it has other fields than the records: {differing}", remedy=_REBUILD)
        return
    for name in expected:
        if not _same(expected[name], run.fields[name]):
            report.add("derived", file, f"of the field {name!r} it says other than the records", remedy=_REBUILD)
            return


def _same(one: FieldPostings, other: FieldPostings) -> bool:
    if one.exists != other.exists or one.columns.keys() != other.columns.keys():
        return False
    for kind, column in one.columns.items():
        mine, theirs = column.sections(), other.columns[kind].sections()
        if mine.keys() != theirs.keys() or not all(np.array_equal(mine[name], theirs[name]) for name in mine):
            return False
    return True


def check_segments(
    sql: sqlite3.Connection,
    found: Listed,
    folder: GenerationFolder,
    where: str,
    report: Report,
    *,
    spec: IndexSpec,
    checked: CheckedRecords,
    deep: bool,
    progress: Callable[[int], object],
) -> None:
    """Check the segments, deep also every byte, and keys, metadata, norms and checksums against the records."""
    for place in found.segments:
        path = folder.segments / segment_name(place.first, place.last)
        file = f"{where}/segments/{path.name}"
        try:
            wrong = _fault(sql, place, path, folder, spec=spec, checked=checked, deep=deep)
        except (Corrupted, OSError) as error:
            if place not in listed(folder.segments):
                continue
            wrong = reason(error)
        except sqlite3.Error:
            continue  # told of the records
        if wrong is not None:
            report.add("derived", file, wrong, remedy=_REBUILD)
        if deep:
            progress(_bytes(path))


def _fault(
    sql: sqlite3.Connection,
    place: Place,
    path: Path,
    folder: GenerationFolder,
    *,
    spec: IndexSpec,
    checked: CheckedRecords,
    deep: bool,
) -> str | None:
    first, last = place.first, place.last
    verify_seal(path, content=deep)
    described = read_description(path)
    if (described.rows, described.dimension, described.metric) != (last - first, spec.dimension, spec.metric):
        return (
            f"expected {last - first} rows of {spec.dimension} under {spec.metric}, got {described.rows} rows of "
            f"{described.dimension} under {described.metric}"
        )
    if last > checked.rows:
        return f"it covers rows to {last - 1} where the records end with {checked.rows - 1}"
    checksums = read_row_checksums(path / ROW_CHECKSUMS_FILE, count=last - first)
    for name, expression in ((KEYS_FILE, "CAST(key AS BLOB)"), (METADATA_FILE, "coalesce(metadata, x'')")):
        if not (path / name).exists():
            continue
        column = Column(path / name, count=last - first, verified=True)
        step = 1 if deep else max(1, (last - first) // 16)
        for row, value in zip(range(first, last, step), _column(sql, expression, first, last, step=step), strict=False):
            if column.blobs((row - first,))[0] != value:
                return f"`{name}` has other than the records of row {row}"
    if checksums is not None:
        kept = _column(sql, "checksum", first, last)
        for row, (own, value) in enumerate(zip(checksums.tolist(), kept, strict=False), start=first):
            if own != value:
                return f"it was made of other rows: row {row} has another checksum"
    if deep and (norms := read_norms(path / NORMS_FILE)) is not None:
        return _norms_fault(norms, folder, first, last, dimension=spec.dimension)
    return None


def _norms_fault(
    norms: tuple[float, float], folder: GenerationFolder, first: int, last: int, *, dimension: int
) -> str | None:
    least, greatest = float("inf"), 0.0
    with VectorReader(folder.vectors, dimension=dimension) as vectors:
        for start in range(first, last, _CHUNK):
            count = min(_CHUNK, last - start)
            raw = b"".join(vectors.row(row) or b"" for row in range(start, start + count))
            if len(raw) != 4 * dimension * count:
                return None  # told of the vectors
            found = row_norms(np.frombuffer(raw, dtype="<f4").reshape(count, dimension))
            least, greatest = min(least, float(found.min())), max(greatest, float(found.max()))
    if not np.allclose(norms, (least, greatest), rtol=_NEAR, atol=0.0, equal_nan=True):
        return f"`{NORMS_FILE}` has norms from {norms[0]} to {norms[1]} where the rows have {least} to {greatest}"
    return None


def _column(sql: sqlite3.Connection, expression: str, first: int, last: int, *, step: int = 1) -> Iterator[Any]:
    """A column of the rows first, first + step, … below last, which are all there."""
    if step == 1:
        query = f"SELECT {expression} FROM records NOT INDEXED WHERE row >= ? AND row < ? ORDER BY row"
        return (value for (value,) in sql.execute(query, (first, last)))
    query = f"SELECT {expression} FROM records WHERE row = ?"
    rows = (sql.execute(query, (row,)) for row in range(first, last, step))
    return (value for (value,) in chain.from_iterable(rows))


def reason(error: Exception) -> str:
    """The message without the path that it begins with, which the problem has anyway."""
    text = str(error)
    return re.sub(r"^`[^`]*` (?:is damaged(?: and will be rebuilt from the records)?: )?", "", text)


def _bytes(path: Path) -> int:
    total = 0
    with suppress(FileNotFoundError):
        for entry in path.iterdir():
            total += entry.stat().st_size
    return total
