"""Every record of an index as of one change, in pages, while others write: each page is a transaction of its own.

Rows never change and tombstones carry the number of the change that set them. So what lived at a change can be told at
any later time in the same generation. A generation that is superseded meanwhile is asked to stay as long as it is read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ragvec.engine.local import forks
from ragvec.engine.local.generations import retire
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.layout import generations
from ragvec.engine.local.sqlite import Database
from ragvec.engine.local.vectors import VectorFile
from ragvec.engine.local.writer import record_checksum
from ragvec.types import FloatMatrix

__all__ = ["AsOf", "AsOfPage"]

_RENEW_SECONDS = 60.0
_NUMBERS = 1 << 20
_MOST_ROWS = 4096


class AsOfPage(NamedTuple):
    """Records in byte order of key: `vectors` is float32 (n, dimension), `metadata` JSON in UTF-8 or None, and
    `damaged` the positions of those that do not match their checksum."""

    keys: list[str]
    vectors: FloatMatrix
    metadata: list[bytes | None]
    damaged: list[int]


class AsOf:
    """What `index` held when this was made: `count` records after change `sequence`."""

    def __init__(self, index: LocalIndex) -> None:
        snapshot = index.snapshot()
        self.count = snapshot.live
        self.sequence = snapshot.sequence
        self._rows = snapshot.rows
        self._folder = snapshot.generation.folder
        self._dimension = snapshot.generation.spec.dimension
        # Both keep what they need open, so that it can be read where the index is deleted meanwhile.
        self._database = Database(self._folder.records, read_only=True)
        self._vectors = VectorFile(self._folder.vectors, dimension=self._dimension)
        self._vectors.rows(self._rows)
        self._renewed = 0.0

    def __enter__(self) -> AsOf:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._vectors.close()

    def pages(self) -> Iterator[AsOfPage]:
        """All records; may be asked for again.

        Raises:
            Corrupted, StoreError: see those.
        """
        limit = max(1, min(_MOST_ROWS, _NUMBERS // self._dimension))
        after = ""
        while True:
            with forks.operation():
                found = self._after(after, limit)
                page = self._page(found)
            self._renew()
            if found:
                yield page
            if len(found) < limit:
                return
            after = found[-1][1]

    def _after(self, after: str, limit: int) -> list[tuple[int, str, bytes | None, int]]:
        columns = "SELECT row, key, metadata, checksum FROM records INDEXED BY"
        with self._database.read() as sql:
            found = sql.execute(
                f"{columns} live_keys WHERE died IS NULL AND key > ? AND row < ? ORDER BY key LIMIT ?",
                (after, self._rows, limit),
            ).fetchall()
            upper = found[-1][1] if len(found) == limit else None
            died = sql.execute(
                f"{columns} tombstones WHERE died > ? AND row < ? AND key > ? AND (? IS NULL OR key < ?)",
                (self.sequence, self._rows, after, upper, upper),
            ).fetchall()
        return sorted(found + died, key=_key)[:limit] if died else found

    def _page(self, found: list[tuple[int, str, bytes | None, int]]) -> AsOfPage:
        numbers = np.array([row for row, *_ in found], dtype=np.intp)
        vectors = np.take(self._vectors.rows(self._rows), numbers, axis=0)
        raw, width = vectors.data.cast("B") if len(found) else memoryview(b""), 4 * self._dimension
        damaged = [
            at
            for at, (_, key, metadata, checksum) in enumerate(found)
            if record_checksum(raw[at * width : (at + 1) * width], key.encode(), metadata) != checksum
        ]
        return AsOfPage([key for _, key, *_ in found], vectors, [blob for _, _, blob, _ in found], damaged)

    def _renew(self) -> None:
        """Ask for a superseded generation to be kept for longer."""
        index, number = self._folder.path.parent, self._folder.generation
        now = time.monotonic()
        if now - self._renewed > _RENEW_SECONDS and self._folder.path.is_dir():
            self._renewed = now
            if generations(index)[-1:] != [number] and _is_retired(self._folder.path):
                retire(index, number, now=time.time())


def _key(row: tuple[int, str, bytes | None, int]) -> str:
    return row[1]


def _is_retired(generation: Path) -> bool:
    return (generation / "retired").exists()
