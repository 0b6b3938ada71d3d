"""The inverted lists of one text field of one index: immutable runs and the newest rows, as
`ragvec.engine.local.run_store` tells.

The files `<first>-<last>.text` are `ragvec.text.inverted.Inverted`; what they are of stands in them: key, name of the
analyzer, and some rows with their checksums, so that files of other terms or other rows are made anew.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ragvec.engine.local.columns import witnesses
from ragvec.engine.local.layout import sync_folder
from ragvec.engine.local.posting_runs import Checksums
from ragvec.engine.local.run_store import BLOCK_ROWS, RunStore
from ragvec.errors import Corrupted
from ragvec.text.bm25 import Lists
from ragvec.text.inverted import MAGIC, VERSION, Inverted, Occurrences, merged
from ragvec.text.inverted_tail import InvertedTail
from ragvec.text.near import TermShapes
from ragvec.text.sections import SectionFile

__all__ = ["CutLists", "TextStore", "open_lists", "run_name", "run_range", "text_reader"]

_NAME = re.compile(r"(\d{12})-(\d{12})\.text")

_log = logging.getLogger("ragvec.text")


class TextStore(RunStore[Inverted, InvertedTail, "Sequence[str]"]):
    """The inverted lists of the field `key` with terms of the analyzer named `analyzer`, persisted in `folder` (which
    may be absent, and the one above it); a `RunStore` of the terms of each row, none for a row without text."""

    subject = "Inverted lists"

    def __init__(
        self,
        folder: Path,
        *,
        key: str,
        analyzer: str,
        read_only: bool = False,
        block_rows: int = BLOCK_ROWS,
        checksums: Checksums | None = None,
    ) -> None:
        self._about = {"key": key, "analyzer": analyzer}
        self._checksums = checksums
        super().__init__(folder, read_only=read_only, block_rows=block_rows)

    def lists(self, rows: int) -> tuple[Lists, ...]:
        """The lists of the rows [0, min(rows, covered)) as they are now; later changes do not touch them."""
        rows = min(rows, self.covered)
        found: list[Lists] = []
        for run in self._runs:
            if run.first < rows:
                found.append(run if run.last <= rows else CutLists(run, rows))
        if self._tail.first < rows:
            found.append(self._tail.view(rows))
        return tuple(found)

    def keep(self, run: Inverted) -> None:
        """Write a file of these lists, for `refresh` to find. Raises OSError."""
        self._make_folder()
        self._write((run,))

    def _index(self, item: Sequence[str]) -> None:
        self._tail.add(item)

    def _new_tail(self, first: int) -> InvertedTail:
        return InvertedTail(first)

    def _frozen(self) -> Inverted:
        return self._tail.freeze()

    def _merged(self, runs: Sequence[Inverted]) -> Inverted:
        return merged(runs)

    def _range(self, name: str) -> tuple[int, int] | None:
        return run_range(name)

    def _opened(self, path: Path) -> Inverted:
        return open_lists(path, key=self._about["key"], analyzer=self._about["analyzer"], checksums=self._checksums)

    def _write(self, runs: Sequence[Inverted]) -> Path:
        whole = runs[0] if len(runs) == 1 else merged(runs)
        path = self.folder / run_name(whole.first, whole.last)
        kept = [] if self._checksums is None else sorted(self._checksums(witnesses(whole.first, whole.last)).items())
        whole.write(path, about={**self._about, "witnesses": kept})
        sync_folder(self.folder)
        return path

    def _make_folder(self) -> None:
        above = self.folder.parent
        if not self.folder.is_dir():
            above.mkdir(exist_ok=True)
            sync_folder(above.parent)
            self.folder.mkdir(exist_ok=True)
            sync_folder(above)


class CutLists:
    """The rows of `whole` before row `last`, as `ragvec.text.bm25.Lists`."""

    def __init__(self, whole: Inverted, last: int) -> None:
        self.first, self.last = whole.first, last
        self._whole = whole
        self.lengths = whole.lengths[: last - whole.first]
        self.documents = int(np.count_nonzero(self.lengths))
        self.tokens = int(self.lengths.sum(dtype=np.int64))

    @property
    def shapes(self) -> TermShapes:
        """The terms, to look for those near a word; some may be of later rows."""
        return self._whole.shapes

    def find(self, term: str) -> Occurrences | None:
        """Where the term occurs; None where it does not."""
        found = self._whole.find(term)
        if found is None:
            return None
        end = int(np.searchsorted(found.rows, self.last - self.first))
        # A peak is relative to the average length of its lists, and 1 bounds any.
        return Occurrences(found.rows[:end], found.counts[:end], 1.0) if end else None

    def beginning(self, prefix: str) -> list[str]:
        """The terms that begin so; some may be of later rows."""
        return self._whole.beginning(prefix)


def run_name(first: int, last: int) -> str:
    """The file name of the lists of rows [first, last)."""
    return f"{first:012d}-{last:012d}.text"


def run_range(name: str) -> tuple[int, int] | None:
    """The range of rows in the name of a file of lists; None for other files."""
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def open_lists(path: Path, *, key: str, analyzer: str, checksums: Checksums | None = None) -> Inverted:
    """Open a file of lists; with `checksums`, the rows that it names are compared with them.

    Raises:
        FileNotFoundError: it is gone, as when another process has merged it away.
        Corrupted: it is not a whole file of this version, or lists of another field, or by another analyzer, or of
        other rows.
    """
    file = SectionFile(path, magic=MAGIC, version=VERSION)
    about = file.about
    first, last = run_range(path.name) or (0, 0)
    expected = {"key": key, "analyzer": analyzer, "first": first, "last": last}
    for name, value in expected.items():
        if about.get(name) != value:
            raise _other(path, f"{name} {about.get(name)!r} where {value!r} was expected")
    for row, checksum in _witnesses(path, about.get("witnesses")):
        if checksums is not None and checksums([row]).get(row) != checksum:
            raise _other(path, f"row {row} has another checksum")
    return Inverted(file, first=first, last=last, path=path)


def _witnesses(path: Path, told: Any) -> list[tuple[int, int]]:
    try:
        return msgspec.convert(told, list[tuple[int, int]])
    except msgspec.ValidationError as error:
        raise _other(path, f"its witnesses are none: {error}") from error


def _other(path: Path, reason: str) -> Corrupted:
    return Corrupted(
        f"`{path}` is damaged and will be rebuilt from the records: it holds the terms of something else: {reason}",
        store=str(path),
    )


def text_reader(key: str) -> Callable[[bytes | None], tuple[str, ...]]:
    """What gives the texts under a key of JSON metadata: of a string one, of a list its strings, else none; also none
    where the metadata is damaged, and no object."""
    try:
        # Of such a type msgspec decodes the one key, and passes over the others.
        row = msgspec.defstruct("row", [("text", Any, None)], rename={"text": key})
    except ValueError:  # a key that is escaped in JSON
        decode_all = msgspec.json.Decoder(dict[str, Any]).decode

        def decode(data: bytes) -> Any:
            return decode_all(data).get(key)
    else:
        decode_one = msgspec.json.Decoder(row).decode

        def decode(data: bytes) -> Any:
            return decode_one(data).text  # type: ignore[attr-defined]  # the type was made just now

    def texts(data: bytes | None) -> tuple[str, ...]:
        if data is None:
            return ()
        try:
            value = decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            _log.warning("A row has damaged metadata, and no text: %s", error)
            return ()
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list):
            return tuple(part for part in value if isinstance(part, str))
        return ()

    return texts
