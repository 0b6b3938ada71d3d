"""One index of a local store: every operation on it, over whichever generation is current."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from ragvec.ann.backends import AnnBackend
from ragvec.engine.local import forks, writer
from ragvec.engine.local.listing import scan
from ragvec.engine.local.records import StoredRow
from ragvec.engine.local.search import search
from ragvec.engine.local.snapshot import Generation, Snapshot
from ragvec.engine.protocol import IndexSpec, IndexStats, Listing, Ranking
from ragvec.errors import ExpiredToken, IndexNotFound, StoreError
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.types import FloatMatrix, Record, RowArray

__all__ = ["LocalIndex"]

T = TypeVar("T")

_decode = msgspec.json.Decoder(dict[str, object]).decode


class LocalIndex:
    """`ragvec.engine.protocol.IndexEngine` on a folder. `on_growth` is told when background work is due."""

    def __init__(
        self,
        folder: Path,
        spec: IndexSpec,
        *,
        backend: AnnBackend | None,
        recall_target: float,
        read_only: bool,
        clock: Callable[[], float],
        still_exists: Callable[[str], bool],
        on_growth: Callable[[LocalIndex], None],
    ) -> None:
        self.spec = spec
        self._folder = folder
        self._backend = backend
        self._recall_target = recall_target
        self._read_only = read_only
        self._clock = clock
        self._still_exists = still_exists
        self._on_growth = on_growth
        self._lock = threading.Lock()
        self._building = threading.Lock()
        self._pid = os.getpid()
        self._generation: Generation | None = None
        with self._guarded():
            self._current()

    # -- changes ---------------------------------------------------------------------------------------------------

    def put(self, keys: Sequence[str], vectors: FloatMatrix, metadata: Sequence[bytes | None]) -> None:
        if not keys:
            return
        rows = self._change(
            lambda generation: writer.put(
                generation.records, generation.vectors, keys=keys, rows=vectors, metadata=metadata
            )
        )
        generation = self._generation
        if generation is not None and self._work_waits(generation, rows):
            self._on_growth(self)

    def delete(self, keys: Sequence[str]) -> int:
        return self._change(lambda generation: writer.delete_keys(generation.records, keys))

    def delete_where(self, where: Filter) -> int:
        def matching(generation: Generation) -> Iterator[int]:
            snapshot = generation.snapshot()
            assert snapshot is not None, "the write transaction holds off compaction"
            return iter(snapshot.matching(where))

        return self._change(lambda generation: writer.delete_matching(generation.records, lambda: matching(generation)))

    # -- reading ---------------------------------------------------------------------------------------------------

    def get(self, keys: Sequence[str], *, data: bool, metadata: bool) -> list[Record]:
        with self._guarded():
            generation = self.snapshot().generation
            found = generation.records.by_keys(keys, metadata=metadata)
            return _records(generation, found, data=data, metadata=metadata)

    def scan(
        self,
        *,
        after: str | None = None,
        limit: int,
        where: Filter = EVERYTHING,
        segment: tuple[int, int] = (0, 1),
        max_bytes: int | None = None,
        data: bool = False,
        metadata: bool = False,
    ) -> Listing:
        with self._guarded():
            found, next_after, generation = scan(
                self.snapshot(),
                after=after,
                limit=limit,
                where=where,
                segment=segment,
                max_bytes=max_bytes,
                data=data,
                metadata=metadata,
            )
            return Listing(tuple(_records(generation, found, data=data, metadata=metadata)), next_after)

    def count(self, where: Filter = EVERYTHING) -> int:
        with self._guarded():
            snapshot = self.snapshot()
            return snapshot.live if where == EVERYTHING else len(snapshot.matching(where))

    def search(self, queries: FloatMatrix, *, k: int, where: Filter = EVERYTHING) -> list[Ranking]:
        with self._guarded():
            return search(self.snapshot(), queries, k=k, where=where)

    def fetch(
        self, rows: RowArray, *, generation: int, data: bool, metadata: bool, drop_deleted: bool = False
    ) -> list[Record | None]:
        with self._guarded():
            current = self.snapshot().generation
            if generation != current.number:
                raise ExpiredToken("nextToken has expired: the index was compacted; repeat the query", path="nextToken")
            numbers = rows.tolist()
            stored = current.records.by_rows(numbers, metadata=metadata)
            gone = current.records.deleted(numbers) if drop_deleted else set()
            kept = [stored[row] for row in numbers if row not in gone]
            records = iter(_records(current, kept, data=data, metadata=metadata))
            return [None if row in gone else next(records) for row in numbers]

    def save_ranking(self, ranking: Ranking, *, request: bytes, ttl: float) -> str:
        with self._guarded():
            return self._current().cursors.save(ranking, request=request, ttl=ttl)

    def load_ranking(self, cursor: str, *, request: bytes) -> Ranking:
        with self._guarded():
            return self.snapshot().generation.cursors.load(cursor, request=request)

    def stats(self) -> IndexStats:
        with self._guarded():
            snapshot = self.snapshot()
            segments = snapshot.segments()
            return IndexStats(
                vectors=snapshot.live,
                rows=snapshot.rows,
                tombstones=snapshot.rows - snapshot.live,
                sequence=max(snapshot.sequence, 0),
                generation=snapshot.generation.number,
                dimension=self.spec.dimension,
                metric=self.spec.metric,
                backend="exact" if self._backend is None else self._backend.name,
                segments=tuple(segment.stats() for segment in segments),
                exact_rows=snapshot.rows - (segments[-1].last if segments else 0),
                disk_bytes=snapshot.generation.folder.bytes(),
                recall_target=self._recall_target,
            )

    def optimize(self) -> None:
        with self._translated():
            with forks.operation():
                snapshot = self.snapshot()
                if snapshot.generation.postings_behind(snapshot.rows):
                    snapshot.generation.postings_view(snapshot.rows)
            # A build that the background has begun is waited for, and what is still due afterwards is built here. It
            # may take minutes, for which no fork has to wait.
            with self._build_lock():
                while self._build_one():
                    pass

    # -- for the engine --------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The index as of now, in its current generation."""
        with forks.operation():
            while True:
                generation = self._current()
                found = generation.snapshot()
                if found is not None:
                    return found
                self._move_on(generation)

    def maintenance_due(self) -> bool:
        """Whether a segment or posting lists should be built; not for an index that was closed meanwhile."""
        if self._generation is None:
            return False
        snapshot = self.snapshot()
        return not self._read_only and self._work_waits(snapshot.generation, snapshot.rows)

    def close(self) -> None:
        """Close files and connections; later use opens them again, unless the index was deleted."""
        with self._lock:
            generation, self._generation = self._generation, None
        if generation is not None:
            generation.close()

    # -- inner -----------------------------------------------------------------------------------------------------

    @staticmethod
    def _work_waits(generation: Generation, rows: int) -> bool:
        return generation.segments.due(rows) is not None or generation.postings_behind(rows)

    def _build_one(self) -> bool:
        """Build the segment that is due, if one is; False when there is none or another process is at it."""
        if self._read_only:
            return False
        with forks.operation():
            snapshot = self.snapshot()
            generation = snapshot.generation
            due = generation.segments.due(snapshot.rows)
            if due is None:
                return False
            first, last = due
            rows = generation.vectors.rows(last)[first:last]
        return generation.segments.build(first, last, rows) is not None

    def _build_lock(self) -> threading.Lock:
        if self._pid != os.getpid():  # in the parent a thread may have been building, which does not exist here
            self._building, self._pid = threading.Lock(), os.getpid()
        return self._building

    def _change(self, change: Callable[[Generation], T]) -> T:
        with self._guarded():
            while True:
                generation = self._current()
                try:
                    return change(generation)
                except writer.Superseded:
                    self._move_on(generation)

    def _move_on(self, generation: Generation) -> None:
        with self._lock:
            if self._generation is generation:
                successor = generation.records.state().successor
                assert successor is not None, "only a superseded generation is left"
                self._generation = self._open(successor)

    def _current(self) -> Generation:
        generation = self._generation
        if generation is not None:
            return generation
        with self._lock:
            if self._generation is None:
                # Opening makes what is missing. An index that is gone must not come back empty, so this is looked at
                # before, to leave alone what is being removed, and after, in case it went meanwhile.
                self._require()
                opened = self._open(_first_generation(self._folder))
                try:
                    self._require()
                except IndexNotFound:
                    opened.close()
                    shutil.rmtree(self._folder, ignore_errors=True)
                    raise
                self._generation = opened
            return self._generation

    def _require(self) -> None:
        if not self._still_exists(self.spec.uid):
            raise self._missing()

    def _missing(self) -> IndexNotFound:
        subject = f"{self.spec.name!r} in bucket {self.spec.bucket!r}"
        return IndexNotFound("The specified index could not be found", subject=subject)

    def _open(self, number: int) -> Generation:
        return Generation(
            self._folder,
            number,
            spec=self.spec,
            backend=self._backend,
            recall_target=self._recall_target,
            read_only=self._read_only,
            clock=self._clock,
        )

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Around an operation: no other thread forks, and errors are `_translated`."""
        with forks.operation(), self._translated():
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Trouble with files of an index that was deleted meanwhile is IndexNotFound."""
        try:
            yield
        except (StoreError, OSError) as error:
            if not self._still_exists(self.spec.uid):
                raise self._missing() from error
            raise


def _first_generation(folder: Path) -> int:
    """The lowest generation there: the newest is found by following successors from it."""
    numbers = []
    if folder.is_dir():
        numbers = [int(match[1]) for entry in folder.iterdir() if (match := re.fullmatch(r"g(\d{6})", entry.name))]
    return min(numbers, default=0)


def _records(generation: Generation, stored: Sequence[StoredRow], *, data: bool, metadata: bool) -> list[Record]:
    vectors = None
    if data and stored:
        numbers = np.array([row.row for row in stored], dtype=np.intp)
        vectors = np.take(generation.vectors.rows(int(numbers.max()) + 1), numbers, axis=0)
    return [
        Record(
            key=row.key,
            data=None if vectors is None else vectors[position],
            metadata=None if not metadata else {} if row.metadata is None else _decode(row.metadata),
        )
        for position, row in enumerate(stored)
    ]
