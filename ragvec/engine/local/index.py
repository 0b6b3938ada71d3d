"""One index of a local store: every operation on it, over whichever generation is current."""

from __future__ import annotations

import logging
import math
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ragvec.ann.backends import AnnBackend
from ragvec.engine.local import forks, writer
from ragvec.engine.local.checked import records_of, report_skipped
from ragvec.engine.local.fetch import described, fetched
from ragvec.engine.local.generations import Kept, KeptGenerations, is_untidy, newest
from ragvec.engine.local.guards import Guarded, Translated
from ragvec.engine.local.layout import GenerationFolder, generations
from ragvec.engine.local.listing import scan
from ragvec.engine.local.merging import LANES, Lane
from ragvec.engine.local.search import explain, search
from ragvec.engine.local.snapshot import Generation, Snapshot
from ragvec.engine.local.stats import index_stats
from ragvec.engine.local.text_near import near_terms
from ragvec.engine.local.text_search import explain_texts, rank, scores
from ragvec.engine.local.tune import Settings, measured
from ragvec.engine.local.upkeep import Upkeep, Worker
from ragvec.engine.local.word_lists import LocalWordLists
from ragvec.engine.protocol import (
    Batch,
    Explanation,
    IndexSpec,
    IndexStats,
    Listing,
    NearTerms,
    Ranked,
    Ranking,
    RowScores,
    TextField,
    TextQuery,
    TextStatus,
    Tuning,
)
from ragvec.errors import Corrupted, ExpiredToken, IndexNotFound, StoreError
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.types import Damaged, FloatMatrix, FloatVector, Record, RowArray

__all__ = ["LocalIndex"]

T = TypeVar("T")

_log = logging.getLogger("ragvec.store")


class LocalIndex:
    """`ragvec.engine.protocol.IndexEngine` on a folder. `on_growth` is told when background work may be
    due, `on_later` that it may be after some seconds."""

    def __init__(
        self,
        folder: Path,
        spec: IndexSpec,
        *,
        backend: AnnBackend | None,
        recall_target: float,
        read_only: bool,
        clock: Callable[[], float],
        settings: Callable[[], Settings],
        change_settings: Callable[[Settings], None],
        text_fields: Callable[[], Sequence[TextField]] = tuple,
        still_exists: Callable[[str], bool],
        on_growth: Callable[[LocalIndex, Lane], None],
        on_later: Callable[[LocalIndex, float], None],
    ) -> None:
        self.spec = spec
        self._folder = folder
        self._backend = backend
        self._recall_target = recall_target
        self._read_only = read_only
        self._clock = clock
        self._settings = settings
        self._change_settings = change_settings
        self._text_fields = text_fields
        self._still_exists = still_exists
        self._on_growth = on_growth
        self._lock = threading.Lock()
        self._translated = Translated(self._trouble)
        self._guarded = Guarded(self._trouble)
        self._generation: Generation | None = None
        self._kept = KeptGenerations(folder, dimension=spec.dimension, read_only=read_only, clock=clock)
        self._upkeep = Upkeep(
            folder,
            spec,
            backend="exact" if backend is None else backend.name,
            recall_target=recall_target,
            read_only=read_only,
            clock=clock,
            kept=self._kept,
            text_fields=text_fields,
            snapshot=self.snapshot,
            opened=self._open,
            later=lambda seconds: on_later(self, seconds),
        )
        with self._guarded:
            self._current()

    # -- changes ---------------------------------------------------------------------------------------------------

    def put(self, keys: Sequence[str], vectors: FloatMatrix, metadata: Sequence[bytes | None]) -> None:
        if keys:
            self.put_batches([(keys, vectors, metadata)])

    def put_batches(self, batches: Iterable[Batch]) -> int:
        # Batches are asked for in the transaction of the current generation only, which nothing can supersede: there is
        # no second attempt, which would miss those already taken.
        asked = iter(batches)
        count, rows = self._change(lambda generation: writer.put(generation.records, generation.vectors, asked))
        self._grown(rows, changes=count)
        return count

    def delete(self, keys: Sequence[str]) -> int:
        count = self._change(lambda generation: writer.delete_keys(generation.records, keys))
        self._grown(0, changes=count)
        return count

    def delete_where(self, where: Filter) -> int:
        def matching(generation: Generation) -> Iterator[int]:
            snapshot = generation.snapshot()
            assert snapshot is not None, "the write transaction holds off compaction"
            if snapshot.lost:
                self._require()
            return iter(snapshot.matching(where))

        count = self._change(
            lambda generation: writer.delete_matching(generation.records, lambda: matching(generation))
        )
        self._grown(0, changes=count)
        return count

    # -- reading ---------------------------------------------------------------------------------------------------

    def get(self, keys: Sequence[str], *, data: bool, metadata: bool) -> list[Record]:
        with self._guarded:
            generation = self.snapshot().generation
            records = generation.records
            found = records.by_keys(keys)
            return records_of(generation.vectors, found, path=records.path, data=data, metadata=metadata)

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
        damaged: Damaged = "raise",
    ) -> Listing:
        skipped: list[tuple[int, object]] | None = None if damaged == "raise" else []
        with self._guarded:
            found, next_after, generation = scan(
                self.snapshot(),
                after=after,
                limit=limit,
                where=where,
                segment=segment,
                max_bytes=max_bytes,
                data=data,
                metadata=metadata,
                unsound=skipped,
            )
            path = generation.records.path
            records = records_of(generation.vectors, found, path=path, data=data, metadata=metadata, damaged=skipped)
            if skipped:
                self._require()
        return Listing(tuple(records), next_after, tuple(report_skipped(path, skipped)))

    def count(self, where: Filter = EVERYTHING) -> int:
        with self._guarded:
            snapshot = self.snapshot()
            return snapshot.live if where == EVERYTHING else snapshot.matches(where).count

    def search(self, queries: FloatMatrix, *, k: int, where: Filter = EVERYTHING, effort: float = 1.0) -> list[Ranking]:
        with self._guarded:
            target, factor = self._tuned()
            return search(self.snapshot(), queries, k=k, where=where, recall_target=target, effort=effort * factor)

    def rank(
        self,
        *,
        vector: FloatVector | None,
        texts: Sequence[TextQuery],
        depth: int,
        where: Filter = EVERYTHING,
        counted: Filter = EVERYTHING,
        effort: float = 1.0,
    ) -> Ranked:
        with self._guarded:
            target, factor = self._tuned()
            return rank(
                self.snapshot(),
                vector=vector,
                texts=texts,
                depth=depth,
                where=where,
                counted=counted,
                recall_target=target,
                effort=effort * factor,
            )

    def scores(
        self, rows: RowArray, *, ranked: Ranked, vector: FloatVector | None, texts: Sequence[TextQuery]
    ) -> RowScores:
        with self._guarded:
            snapshot, counted = ranked.moment
            return scores(snapshot, counted, rows, vector=vector, texts=texts)

    def near_terms(self, key: str, terms: Sequence[str], *, most: Sequence[int], where: Filter) -> NearTerms:
        with self._guarded:
            return near_terms(self.snapshot(), key, terms, most=most, where=where)

    def word_lists(self, *, by: str) -> LocalWordLists:
        with self._guarded:
            return LocalWordLists(self.snapshot(), by=by)

    def text_status(self) -> dict[str, TextStatus]:
        with self._guarded:
            snapshot = self.snapshot()
            return snapshot.generation.text.status(snapshot.rows)

    def explain(
        self,
        query: FloatVector | None,
        *,
        k: int,
        where: Filter = EVERYTHING,
        effort: float = 1.0,
        texts: Sequence[TextQuery] = (),
    ) -> Explanation:
        with self._guarded:
            target, factor = self._tuned()
            effort *= factor
            if query is None or texts:
                return explain_texts(
                    self.snapshot, query, texts=texts, k=k, where=where, recall_target=target, effort=effort
                )
            return explain(self.snapshot, query, k=k, where=where, recall_target=target, effort=effort)

    def tune(self, *, recall_target: float | None = None, queries: FloatMatrix | None = None, k: int = 10) -> Tuning:
        settings = self._settings()
        target = recall_target or settings.recall_target or self._recall_target

        def trial(some: FloatMatrix, effort: float) -> list[Ranking]:
            with self._guarded:
                return search(self.snapshot(), some, k=k, where=EVERYTHING, recall_target=target, effort=effort)

        if queries is not None and len(queries):
            found = measured(trial, queries, k=k, recall_target=target)
        else:
            with self._guarded:
                found = Tuning(recall_target=target, effort=1.0, recall=self._segment_recall(10, target))
        self._change_settings(Settings(recall_target=target, effort=None if math.isinf(found.effort) else found.effort))
        return found

    def fetch(
        self,
        rows: RowArray,
        *,
        generation: int,
        data: bool,
        metadata: bool,
        drop_deleted: bool = False,
        keys: Sequence[str] | None = None,
    ) -> list[Record | None]:
        with self._guarded:
            if not (data or drop_deleted):
                # Rows never change, so that their generation is enough to know, even if another is current by now.
                current = self._current()
                if current.number == generation:
                    try:
                        return described(current, rows, metadata=metadata, keys=keys)
                    except StoreError:
                        if not self._superseded(current):
                            raise
            snapshot = self.snapshot()
            current = snapshot.generation
            source = current if generation == current.number else self._kept.get(generation)
            return fetched(snapshot, source, rows, data=data, metadata=metadata, drop_deleted=drop_deleted)

    def save_ranking(self, ranking: Ranking, *, request: bytes, ttl: float) -> str:
        with self._guarded:
            current = self._current()
            if ranking.generation != current.number:
                try:
                    return self._kept.get(ranking.generation).cursors.save(ranking, request=request, ttl=ttl)
                except ExpiredToken:
                    # The query took minutes; its later pages will expire at once.
                    _log.debug("A result list of generation %d is not kept", ranking.generation)
            return current.cursors.save(ranking, request=request, ttl=ttl)

    def load_ranking(self, cursor: str, *, request: bytes) -> Ranking:
        with self._guarded:
            current = self.snapshot().generation
            try:
                return current.cursors.load(cursor, request=request)
            except ExpiredToken:
                for earlier in self._kept.cursors(before=current.number):
                    with suppress(ExpiredToken):
                        return earlier.load(cursor, request=request)
                raise

    def stats(self) -> IndexStats:
        with self._guarded:
            snapshot = self.snapshot()
            target, effort = self._tuned()
            return index_stats(snapshot, backend=self._backend, recall_target=target, effort=effort)

    def optimize(self) -> None:
        with self._translated:
            with forks.operation():
                snapshot = self.snapshot()
                if not self._read_only:
                    snapshot.generation.postings_view(snapshot.rows)
                    snapshot.generation.text.persist(snapshot.rows)
            # A build that the background has begun is waited for, and what is still due afterwards is built here.
            # Between two of them a fork need not wait.
            self._upkeep.optimize()

    def compact(self) -> None:
        with self._translated:
            self._upkeep.compact()

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
                if found is not None and found.lost:
                    # Rows without vectors may mean that the files are being removed.
                    self._require()
                    if self._superseded(generation):
                        found = None
                if found is not None:
                    return found
                self._move_on(generation)

    def maintenance_due(self, lane: Lane | None = None) -> bool:
        """Whether `maintain` has something to do in the lane, or in any; not for an index that was closed meanwhile."""
        lanes = LANES if lane is None else (lane,)
        return self._generation is not None and any(map(self._upkeep.due, lanes))

    def maintain(self, lane: Lane, *, worker: Worker | None) -> None:
        """Do what is due in the lane, by `worker` where that pays."""
        with self._translated:
            self._upkeep.maintain(lane, worker=worker)

    def close(self) -> None:
        """Close files and connections; later use opens them again, unless the index was deleted."""
        with self._lock:
            generation, self._generation = self._generation, None
        if generation is not None:
            generation.close()
        self._kept.close()

    # -- inner -----------------------------------------------------------------------------------------------------

    def _tuned(self) -> tuple[float, float]:
        """The recall to search for, and the factor for the effort."""
        settings = self._settings()
        return settings.recall_target or self._recall_target, settings.factor

    def _segment_recall(self, k: int, target: float) -> float:
        segments = self.snapshot().segments(newest=True)
        return min((segment.ann.report.recall(k, target) for segment in segments), default=1.0)

    def _grown(self, rows: int, *, changes: int) -> None:
        generation = self._generation
        if generation is not None:
            for lane in self._upkeep.waiting(generation, rows=rows, changes=changes):
                self._on_growth(self, lane)

    def _change(self, change: Callable[[Generation], T]) -> T:
        with self._guarded:
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

    def _move_on(self, generation: Generation) -> None:
        """Leave a generation that was superseded for the one that is current."""
        with self._lock:
            if self._generation is not generation:
                return
            opened = self._opened()
            if opened.number <= generation.number:
                opened.close()
                raise Corrupted(
                    f"`{generation.folder.records}` is damaged: it says that another generation took its place, and "
                    "there is none; `ragvec repair` decides by what there is",
                    store=str(generation.folder.records),
                )
            self._generation = opened
        # Operations under way in other threads open again what they need of it.
        generation.close()
        self._kept.add(generation.number, Kept(generation.records, generation.vectors, generation.cursors))
        self._upkeep.retired()
        self._on_growth(self, "merge")

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
                number = newest(self._folder, read_only=self._read_only)
                opened = self._upkeep.prepared(number) or self._open(number)
            except StoreError:
                # Another process may have compacted just now, and removed what was to be opened.
                if generations(self._folder) == (numbers or [0]):
                    raise
            else:
                if is_untidy(self._folder):
                    self._upkeep.sweep_at = self._clock()
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
            text_fields=self._text_fields,
        )

    def _trouble(self, error: BaseException) -> None:
        """Trouble with files of an index that was deleted meanwhile is IndexNotFound."""
        if isinstance(error, (StoreError, OSError)) and not self._still_exists(self.spec.uid):
            raise self._missing() from error
