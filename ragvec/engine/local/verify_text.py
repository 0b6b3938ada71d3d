"""Looking through the inverted lists of one generation, against the texts of its records."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np

from ragvec.engine.local.layout import GenerationFolder
from ragvec.engine.local.run_store import BLOCK_ROWS
from ragvec.engine.local.text_feed import folder_name, terms_of
from ragvec.engine.local.text_store import open_lists, run_range, text_reader
from ragvec.engine.local.verify_records import CheckedRecords, Report
from ragvec.errors import Corrupted, MissingExtra
from ragvec.text.analyzers import LANGUAGES, Analyzer, analyzer
from ragvec.text.inverted import MAGIC, VERSION, Inverted, merged
from ragvec.text.inverted_tail import InvertedTail
from ragvec.text.sections import SectionFile

__all__ = ["ListedText", "check_text", "list_texts"]

_REBUILD = "moves it to lost+found and has it made again"


class ListedText:
    """A file of inverted lists, open from the moment of listing: of the texts under `key` by the analyzer `name`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        about = SectionFile(path, magic=MAGIC, version=VERSION).about
        self.key, self.name = str(about.get("key")), str(about.get("analyzer"))
        self.lists = open_lists(path, key=self.key, analyzer=self.name)
        if path.parent.name != folder_name(self.key, self.name):
            raise Corrupted(
                f"`{path}` is damaged and will be rebuilt from the records: it is in the folder of another field",
                store=str(path),
            )


def list_texts(folder: GenerationFolder) -> list[tuple[Path, ListedText | Corrupted]]:
    """The files of inverted lists in a generation, as far as they can be opened."""
    paths: list[Path] = []
    with suppress(FileNotFoundError):
        paths = sorted(path for path in folder.text.glob("*/*") if run_range(path.name) is not None)
    found: list[tuple[Path, ListedText | Corrupted]] = []
    for path in paths:
        try:
            found.append((path, ListedText(path)))
        except FileNotFoundError:
            continue
        except Corrupted as error:
            if path.exists():
                found.append((path, error))
    return found


def check_text(
    sql: sqlite3.Connection,
    path: Path,
    found: ListedText,
    file: str,
    report: Report,
    *,
    checked: CheckedRecords,
    deep: bool,
    progress: Callable[[int], object],
) -> None:
    """Check one file, deep also that it says what the texts of the records say, where its analyzer is installed here.

    Raises:
        Corrupted: the file is damaged, or made of other rows.
    """
    if found.lists.last > checked.rows:
        what = f"it covers rows to {found.lists.last - 1} where the records end with {checked.rows - 1}"
        report.add("derived", file, what, remedy=_REBUILD)
        return
    open_lists(path, key=found.key, analyzer=found.name, checksums=lambda rows: _checksums(sql, rows))
    if not deep:
        return
    found.lists.verify()
    progress(path.stat().st_size)
    terms = _analyzer(found.name)
    first, last = found.lists.first, found.lists.last
    if terms is None or (checked.damaged is not None and checked.damaged[first:last].any()):
        return  # what a damaged row says is not known, and repair makes all of it again
    expected = _made(sql, found.key, terms, first, last).arrays()
    for name, array in found.lists.arrays().items():
        if name != "peaks" and not np.array_equal(array, expected[name]):
            report.add("derived", file, f"it says other than the texts of the records: {name}", remedy=_REBUILD)
            return


def _checksums(sql: sqlite3.Connection, rows: Sequence[int]) -> dict[int, int]:
    found = (sql.execute("SELECT row, checksum FROM records WHERE row = ?", (row,)).fetchone() for row in rows)
    return dict(row for row in found if row is not None)


def _analyzer(name: str) -> Analyzer | None:
    """The analyzer of this name; None when none of those here has it."""
    for language in (None, *LANGUAGES):
        with suppress(MissingExtra):
            found = analyzer(language)
            if found.name == name:
                return found
    return None


def _made(sql: sqlite3.Connection, key: str, terms: Analyzer, first: int, last: int) -> Inverted:
    read, parts = text_reader(key), []
    for start, stop in pairwise([*range(first, last, BLOCK_ROWS), last]):
        tail = InvertedTail(start)
        query = "SELECT metadata FROM records NOT INDEXED WHERE row >= ? AND row < ? ORDER BY row"
        for (metadata,) in sql.execute(query, (start, stop)):
            tail.add(terms_of(read(metadata), terms))
        parts.append(tail.freeze())
    return parts[0] if len(parts) == 1 else merged(parts)
