"""One index of a local store: every operation on it, over whichever generation is current."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from ragvec.ann.backends import AnnBackend
from ragvec.engine.local import forks, writer
from ragvec.engine.local.compact import FEWEST_DEAD, compact, is_due
from ragvec.engine.local.generations import RETIRED_SECONDS, Kept, KeptGenerations, newest, sweep
from ragvec.engine.local.layout import GenerationFolder, generations
from ragvec.engine.local.listing import scan
from ragvec.engine.local.records import StoredRow
from ragvec.engine.local.search import search
from ragvec.engine.local.snapshot import Generation, Snapshot
from ragvec.engine.local.vectors import VectorFile
from ragvec.engine.protocol import IndexSpec, IndexStats, Listing, Ranking
from ragvec.errors import ExpiredToken, IndexNotFound, StoreError, StoreReadOnly
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.types import FloatMatrix, Record, RowArray

__all__ = ["LocalIndex"]

T = TypeVar("T")

_PAUSE = 0.02
_REST_SECONDS = 60.0
"""After a compaction failed, as on a disk too full for a copy, before the background tries again."""

_log = logging.getLogger("ragvec.store")

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
        self._kept = KeptGenerations(folder, dimension=spec.dimension, read_only=read_only, clock=clock)
        self._sweep_at: float | None = None
        self._compact_from = 0.0
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
            return _records(generation.vectors, found, data=data, metadata=metadata)

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
            return Listing(tuple(_records(generation.vectors, found, data=data, metadata=metadata)), next_after)

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
            source = current if generation == current.number else self._kept.get(generation)
            numbers = rows.tolist()
            stored = source.records.by_rows(numbers, metadata=metadata)
            gone: set[int] = set()
            if drop_deleted and source is current:
                gone = current.records.deleted(numbers)
            elif drop_deleted:
                live = current.records.live_keys({row.key for row in stored.values()})
                gone = {row.row for row in stored.values() if row.key not in live}
            kept = [stored[row] for row in numbers if row not in gone]
            records = iter(_records(source.vectors, kept, data=data, metadata=metadata))
            return [None if row in gone else next(records) for row in numbers]

    def save_ranking(self, ranking: Ranking, *, request: bytes, ttl: float) -> str:
        with self._guarded():
            current = self._current()
            if ranking.generation != current.number:
                try:
                    return self._kept.get(ranking.generation).cursors.save(ranking, request=request, ttl=ttl)
                except ExpiredToken:
                    # The query took minutes; its later pages will expire at once.
                    _log.debug("A result list of generation %d is not kept", ranking.generation)
            return current.cursors.save(ranking, request=request, ttl=ttl)

    def load_ranking(self, cursor: str, *, request: bytes) -> Ranking:
        with self._guarded():
            current = self.snapshot().generation
            try:
                return current.cursors.load(cursor, request=request)
            except ExpiredToken:
                for earlier in self._kept.cursors(before=current.number):
                    with suppress(ExpiredToken):
                        return earlier.load(cursor, request=request)
                raise

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
                while self._work_one():
                    pass

    def compact(self) -> None:
        with self._translated(), self._build_lock():
            while not self._compacted():  # another process is building or compacting
                time.sleep(_PAUSE)

    # -- for the engine --------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The index as of now, in its current generation."""
        with forks.operation():
            while True:
                generation = self._current()
                try:
                    found = generation.snapshot()
                except StoreError:
                    if not self._superseded(generation):
                        raise
                    found = None
                if found is not None:
                    return found
                self._move_on(generation)

    def maintenance_due(self) -> bool:
        """Whether a segment or posting lists should be built; not for an index that was closed meanwhile."""
        if self._generation is None or self._read_only:
            return False
        snapshot = self.snapshot()
        return self._work_waits(snapshot.generation, snapshot.rows) or self._compaction_due(snapshot)

    def close(self) -> None:
        """Close files and connections; later use opens them again, unless the index was deleted."""
        with self._lock:
            generation, self._generation = self._generation, None
        if generation is not None:
            generation.close()
        self._kept.close()

    # -- inner -----------------------------------------------------------------------------------------------------

    def _work_waits(self, generation: Generation, rows: int) -> bool:
        return generation.segments.due(rows) is not None or generation.postings_behind(rows) or self._sweep_due()

    def _sweep_due(self) -> bool:
        return self._sweep_at is not None and self._clock() >= self._sweep_at

    def _compaction_due(self, snapshot: Snapshot) -> bool:
        dead = snapshot.rows - snapshot.live
        if dead < FEWEST_DEAD or self._clock() < self._compact_from:
            return False
        kept = sum(number < snapshot.generation.number for number in generations(self._folder))
        return is_due(live=snapshot.live, dead=dead, kept=kept)

    def _work_one(self) -> bool:
        """Sweep, compact or build what is due; False when nothing is, or another process is at it."""
        if self._read_only:
            return False
        if self._sweep_due():
            self._sweep()
        with forks.operation():
            due = self._compaction_due(self.snapshot())
        return self._compact_one() if due else self._build_one()

    def _compacted(self) -> bool:
        """Compact unless there is nothing to reclaim; False when another process is building."""
        if self._read_only:
            raise StoreReadOnly(f"`{self._folder}` was opened read-only: it is not compacted", store=str(self._folder))
        snapshot = self.snapshot()
        return snapshot.rows == snapshot.live or self._compact_one()

    def _compact_one(self) -> bool:
        """Rewrite the current generation without its tombstones; False when another process is building."""
        old = self.snapshot().generation
        try:
            new = compact(self._folder, old, opened=self._open, clock=self._clock)
        except StoreError:
            self._compact_from = self._clock() + _REST_SECONDS
            raise
        if new is None:
            return False
        self._move_on(old, new)
        return True

    def _sweep(self) -> None:
        generation = self.snapshot().generation
        self._sweep_at = sweep(
            self._folder, current=generation.number, lease=generation.segments.lease, clock=self._clock
        )
        self._kept.prune()

    def _build_one(self) -> bool:
        """Build the segment that is due, if one is; False when there is none or another process is at it."""
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
                    pass
                except StoreError:
                    if not self._superseded(generation):
                        raise
                self._move_on(generation)

    def _superseded(self, generation: Generation) -> bool:
        """Whether a generation cannot be used because it was removed after another had taken its place."""
        return not generation.folder.path.is_dir() and any(
            number > generation.number for number in generations(self._folder)
        )

    def _move_on(self, generation: Generation, successor: Generation | None = None) -> None:
        """Leave a generation that was superseded for its successor, or for the current one if that is gone too."""
        with self._lock:
            if self._generation is not generation:
                if successor is not None:
                    successor.close()
                return
            self._generation = successor or self._opened()
        # Operations under way in other threads open again what they need of it.
        generation.close()
        self._kept.add(generation.number, Kept(generation.records, generation.vectors, generation.cursors))
        self._sweep_at = self._clock() + RETIRED_SECONDS

    def _current(self) -> Generation:
        generation = self._generation
        if generation is not None:
            return generation
        with self._lock:
            if self._generation is None:
                # Opening makes what is missing. An index that is gone must not come back empty, so this is looked at
                # before, to leave alone what is being removed, and after, in case it went meanwhile.
                self._require()
                opened = self._opened()
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

    def _opened(self) -> Generation:
        """The current generation, made if the index has none yet."""
        while True:
            numbers = generations(self._folder)
            if not numbers and not self._read_only:
                GenerationFolder(self._folder, 0).create()
            try:
                opened = self._open(newest(self._folder, read_only=self._read_only))
            except StoreError:
                # Another process may have compacted just now, and removed what was to be opened.
                if generations(self._folder) == (numbers or [0]):
                    raise
            else:
                if len(numbers) > 1:
                    self._sweep_at = self._clock()
                return opened

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


def _records(vectors_file: VectorFile, stored: Sequence[StoredRow], *, data: bool, metadata: bool) -> list[Record]:
    vectors = None
    if data and stored:
        numbers = np.array([row.row for row in stored], dtype=np.intp)
        vectors = np.take(vectors_file.rows(int(numbers.max()) + 1), numbers, axis=0)
    return [
        Record(
            key=row.key,
            data=None if vectors is None else vectors[position],
            metadata=None if not metadata else {} if row.metadata is None else _decode(row.metadata),
        )
        for position, row in enumerate(stored)
    ]
