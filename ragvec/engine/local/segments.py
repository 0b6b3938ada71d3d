"""The ANN segments of one generation of an index: which there are, which are due, and building them.

The folder holds, besides `build.lock` and `merge.lock` (see `ragvec.engine.local.lease`), one folder a segment:

    <first>-<last>/     rows [first, last), both in 12 decimal digits; the files inside are the backend's, checksummed
    tmp-*               being built, or left by a build that was interrupted
    old-*               superseded, being removed

A segment's folder appears by a rename once its files are complete and fsynced, and never changes. The names are the
whole index: of overlapping segments, readers take those that lead furthest from row 0 without a gap, and of these the
fewest. Segments are derived data. One that is damaged, or was built for something else or by another backend, is left
out and replaced by the next build; rows that no segment covers are searched exactly.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import msgspec

from ragvec.ann.backends import AnnBackend, AnnSegment
from ragvec.ann.leaves import LEAVES_FILE, Leaves
from ragvec.ann.sealed import seal
from ragvec.ann.segment_files import written_by
from ragvec.engine.local.columns import (
    KEYS_FILE,
    METADATA_FILE,
    NORMS_FILE,
    ROW_CHECKSUMS_FILE,
    Column,
    KeyColumn,
    read_norms,
    read_row_checksums,
    witnesses,
    write_column,
    write_norms,
    write_row_checksums,
)
from ragvec.engine.local.forks import operation
from ragvec.engine.local.layout import sync_folder
from ragvec.engine.local.lease import BuildLease
from ragvec.engine.local.merging import SEGMENT_MIN_ROWS, Lane, next_merge, next_tail
from ragvec.engine.local.segment_places import Place, cover, listed, segment_name
from ragvec.engine.local.sqlite import store_error
from ragvec.engine.protocol import SegmentStats
from ragvec.errors import Corrupted, StoreError, StoreReadOnly
from ragvec.types import FloatMatrix, Metric, RowArray

__all__ = ["Segment", "SegmentSet"]

LEAVES_MIN_ROWS = 16_384
"""Segments of fewer rows have nothing for filtered searches: reading all matches takes no longer."""

_log = logging.getLogger("ragvec.segments")
_UNFINISHED = "tmp-"
_SUPERSEDED = "old-"
_LEASES: dict[Lane, str] = {"tail": "build.lock", "merge": "merge.lock"}
_LOOK_SECONDS = 0.05
_SETTLED_SECONDS = 2.0
"""A folder changed more recently may change again without a new time stamp, so its listing is not relied on."""


class Segment(msgspec.Struct, frozen=True, eq=False):
    """An open segment over the rows [first, last); positions that `ann` gives count from `first`.

    `keys` and `metadata` are those of its rows, `leaves` what filtered searches need; each is None where there is none.
    `norms` are the least and the greatest norm of its rows.
    """

    first: int
    last: int
    ann: AnnSegment
    folder: Path
    backend: str
    keys: KeyColumn | None = None
    metadata: Column | None = None
    norms: tuple[float, float] | None = None
    leaves: Leaves | None = None

    def stats(self, *, recall_target: float) -> SegmentStats:
        """Its figures when it is searched for this recall."""
        report = self.ann.report
        return SegmentStats(
            first=self.first,
            last=self.last,
            backend=self.backend,
            bytes=report.bytes,
            build_seconds=report.seconds,
            recall_at_10=report.recall(10, recall_target),
            recall_at_100=report.recall(100, recall_target),
            leaves=report.leaves,
            width=report.width,
        )


class SegmentSet:
    """The segments in `folder`, which need not exist; shared by threads, and by processes through the folder.

    Without a `backend` there are none and none are due. With `read_only` nothing is built. A set that is not `serving`
    builds, and opens nothing that is there. `checksums` gives those of some rows as the records have them, by which a
    segment is known to be one of these rows.
    """

    def __init__(
        self,
        folder: Path,
        *,
        backend: AnnBackend | None,
        metric: Metric,
        recall_target: float,
        read_only: bool = False,
        serving: bool = True,
        checksums: Callable[[Sequence[int]], Mapping[int, int]] | None = None,
    ) -> None:
        self._folder = folder
        self._checksums = checksums
        self._backend = backend
        self._metric: Metric = metric
        self._recall_target = recall_target
        self._read_only = read_only
        self._serving = serving
        self._opening = False
        self._look_at = 0.0
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._open: dict[Place, Segment] = {}
        self._bad: dict[Place, Path] = {}
        self._own: dict[Place, bool] = {}
        self._current: tuple[Segment, ...] = ()
        self._listed: int | None = None

    @property
    def damaged(self) -> list[Path]:
        """Folders of segments that were found unfit to serve, in order of rows, until a build replaces them."""
        bad = sorted(self._bad.items(), key=lambda item: (item[0].first, item[0].last))
        return [path for _, path in bad]

    def current(self, *, wait: bool = True) -> tuple[Segment, ...]:
        """Open segments that cover [0, e1), [e1, e2), … without gap or overlap, whichever process built them.

        One look at the folder's time stamp when nothing changed. Without `wait`, that is not looked at all the time,
        new segments are opened by a thread of their own, and until they are there the earlier ones are returned, if
        there are any.
        """
        if self._backend is None or not self._serving:
            return ()
        if not wait and self._current and time.monotonic() < self._look_at and self._pid == os.getpid():
            return self._current
        self._look_at = time.monotonic() + _LOOK_SECONDS
        stamp = self._stamp()
        if stamp is not None and stamp == self._listed:
            return self._current
        lock = self._mutex()
        if not wait and self._current:
            self._open_soon(lock)
            return self._current
        with operation(), lock:
            self._refresh()
            return self._current

    def due(
        self,
        rows: int,
        *,
        lane: Lane = "tail",
        tidy: bool = False,
        with_tail: bool = False,
        assumed: tuple[int, int] | None = None,
        opening: bool = True,
    ) -> tuple[int, int] | None:
        """The range of rows whose segment `lane` should build next, when the index holds `rows`; None when none should.

        See `ragvec.engine.local.merging` for the policy and `tidy`; `with_tail` lets a merge take in the newest rows,
        if they are enough for a segment. A segment over the rows `assumed` is taken to be there. Without `opening`,
        segments that were not looked into yet are taken to be whole.
        """
        if self._backend is None or self._read_only:
            return None
        if opening:
            self.current()
        found = self._due(rows, lane=lane, tidy=tidy, with_tail=with_tail, assumed=assumed)
        while found is not None:
            # A listing made while names change may miss some.
            again, found = found, self._due(rows, lane=lane, tidy=tidy, with_tail=with_tail, assumed=assumed)
            if again == found:
                break
        return found

    def build(
        self,
        first: int,
        last: int,
        rows: FloatMatrix,
        *,
        columns: Mapping[str, Iterable[Sequence[bytes]]] = MappingProxyType({}),
        row_checksums: RowArray | None = None,
        lane: Lane = "tail",
    ) -> Segment | None:
        """Build and open the segment over [first, last), whose vectors are `rows` float32 (last − first, dimension),
        whose `columns` are as in `ragvec.engine.local.columns`, by file name, and whose `row_checksums` uint32
        (last − first,) are those of the records.

        None when another thread or process is building in the lane, and without a backend. A segment that is there
        already and holds the whole range is returned as it is. On success the segments within the range are removed;
        readers that have them open keep them.

        Raises:
            StoreReadOnly: the folder cannot be written, or the set is read-only. StoreFull, StoreError: the disk or the
            library refused; nothing changed.
        """
        if self._backend is None:
            return None
        if self._read_only:
            raise StoreReadOnly(f"`{self._folder}` was opened read-only: no segment is built", store=str(self._folder))
        try:
            with self.lease(lane) as held:
                if not held:
                    return None
                self._sweep(lane)
                return self._present(first, last) or self._build(
                    self._backend, first, last, rows, columns=columns, row_checksums=row_checksums, lane=lane
                )
        except (OSError, Corrupted) as error:
            raise store_error(error, self._folder) from error

    @contextmanager
    def lease(self, lane: Lane) -> Iterator[bool]:
        """Within the block: whether nobody else works in the lane, in any process. Does not wait.

        Raises StoreReadOnly, StoreError: the folder cannot be written.
        """
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise store_error(error, self._folder) from error
        with BuildLease(self._folder / _LEASES[lane]).try_acquire() as held:
            yield held

    def clear(self, lane: Lane) -> None:
        """Remove what a build of the lane left that was interrupted, unless another is under way."""
        with self.lease(lane) as held:
            if held:
                self._sweep(lane)

    def close(self) -> None:
        """Let go of the open segments; a later call opens them again."""
        with self._mutex():
            self._open.clear()
            self._bad.clear()
            self._current, self._listed = (), None

    def _mutex(self) -> threading.Lock:
        if self._pid != os.getpid():  # in the parent a thread may have held it, which does not exist here
            self._lock, self._opening, self._pid = threading.Lock(), False, os.getpid()
        return self._lock

    def _stamp(self) -> int | None:
        """The folder's time of change; None when it is absent, or changed so recently that this says nothing."""
        try:
            changed = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        return changed if changed < time.time_ns() - int(_SETTLED_SECONDS * 1e9) else None

    def _open_soon(self, lock: threading.Lock) -> None:
        """Look for new segments, and have a thread open them if there are any."""
        if not lock.acquire(blocking=False):
            return
        try:
            if self._refresh(opening=False) or self._opening:
                return
            self._opening = True
        finally:
            lock.release()
        try:
            threading.Thread(target=self._open_now, name="ragvec-segments").start()
        except RuntimeError as error:  # too many threads, or the interpreter is ending
            self._opening = False
            _log.debug("New segments are not opened for now: %s", error)

    def _open_now(self) -> None:
        try:
            with operation(), self._mutex():
                self._refresh()
        finally:
            self._opening = False

    def _due(
        self, rows: int, *, lane: Lane, tidy: bool, with_tail: bool, assumed: tuple[int, int] | None
    ) -> tuple[int, int] | None:
        # What is on the disk counts: an open segment may be one that was superseded.
        places = [place for place in self._places() if self._usable(place)]
        segments = cover(places if assumed is None else [*places, Place(*assumed, 0, 0)])
        if lane == "tail":
            return next_tail(segments, rows, absorbing=self._backend is not None and self._backend.absorbs)
        end = segments[-1].last if segments else 0
        if with_tail and rows - end >= SEGMENT_MIN_ROWS:
            segments = [*segments, Place(end, rows, 0, 0)]
        return next_merge(segments, tidy=tidy)

    def _cover(self, places: list[Place]) -> list[Place]:
        """What to serve with, given a listing. One made while names change may miss some, so an open segment is given
        up only for a better cover."""
        opened = list(self._open)
        held = {(place.first, place.last) for place in opened}
        return cover(opened + [p for p in places if self._usable(p) and (p.first, p.last) not in held])

    def _usable(self, place: Place) -> bool:
        """Whether a segment may serve here: it is not known to be damaged, and not by another backend, which is no
        damage but means that the next build replaces it."""
        assert self._backend is not None
        own = self._own.get(place)
        if own is None:
            folder = self._folder / segment_name(place.first, place.last)
            author = written_by(folder)
            own = self._own[place] = author is None or author == self._backend.name
            if not own:
                _log.info(
                    "A segment by %s is not for %s, its rows are searched exactly until it is built again: `%s`",
                    author,
                    self._backend.name,
                    folder,
                )
        return own and place not in self._bad

    def _refresh(self, *, opening: bool = True) -> bool:
        """List the folder, and open what has come; under the lock. Without `opening`, False when something has."""
        stamp = self._stamp()
        places = self._places()
        while True:
            chain = self._cover(places)
            wanted = next((place for place in chain if place not in self._open), None)
            if wanted is None:
                break
            if not opening:
                return False
            if not self._try_open(wanted):
                places = self._places()
        self._bad = {place: path for place, path in self._bad.items() if place in places}
        self._own = {place: own for place, own in self._own.items() if place in places}
        self._open = {place: self._open[place] for place in chain}
        if tuple(self._open.values()) != self._current:
            # What a segment has absorbed may be in another one by now.
            for place in [place for place, segment in self._open.items() if segment.ann.absorbed]:
                self._try_open(place)
            self._current = tuple(self._open.values())  # and only then: who searches them knows them by this tuple
        self._listed = stamp
        return True

    def _try_open(self, place: Place) -> bool:
        """Open a segment; False when it is gone by now, or else noted as damaged."""
        folder = self._folder / segment_name(place.first, place.last)
        try:
            self._open[place] = self._opened(place.first, place.last, folder)
        except (Corrupted, OSError) as error:
            # A segment is renamed before it is removed: if its name is still there the files are really bad.
            if place in self._places():
                self._bad[place] = folder
                _log.warning("A segment is left out, its rows are searched exactly until it is built again: %s", error)
            return False
        return True

    def _opened(self, first: int, last: int, folder: Path) -> Segment:
        assert self._backend is not None
        ann = self._backend.open(folder)
        report = ann.report
        if (report.rows, report.metric) != (last - first, self._metric) or report.recall_target < self._recall_target:
            raise Corrupted(
                f"Expected a segment of {last - first} rows under {self._metric}, tuned to recall "
                f"{self._recall_target}, got {report.rows} rows under {report.metric}, tuned to "
                f"{report.recall_target}, in `{folder}`",
                store=str(folder),
            )
        self._require_own_rows(first, last, folder)
        keys, metadata = folder / KEYS_FILE, folder / METADATA_FILE
        # The backend has compared every file with its checksum.
        return Segment(
            first=first,
            last=last,
            ann=ann,
            folder=folder,
            backend=self._backend.name,
            keys=KeyColumn(keys, count=last - first, verified=True) if keys.exists() else None,
            metadata=Column(metadata, count=last - first, verified=True) if metadata.exists() else None,
            norms=read_norms(folder / NORMS_FILE),
            leaves=Leaves.load(folder) if (folder / LEAVES_FILE).exists() else None,
        )

    def _require_own_rows(self, first: int, last: int, folder: Path) -> None:
        """Refuse a segment that was made of other rows than those here, as one from an older copy of the index."""
        own = read_row_checksums(folder / ROW_CHECKSUMS_FILE, count=last - first)
        if own is None or self._checksums is None:
            return
        rows = witnesses(first, last)
        try:
            known = self._checksums(rows)
        except StoreError as error:
            _log.warning("A segment is not compared with the records: %s", error)
            return
        for row in rows:
            if known.get(row) != int(own[row - first]):
                raise Corrupted(f"`{folder}` was made of other rows: row {row} has another checksum", store=str(folder))

    def _places(self) -> list[Place]:
        return listed(self._folder)

    def _present(self, first: int, last: int) -> Segment | None:
        """A segment that holds this range and serves already."""
        if not self._serving:
            for place in self._places():
                if place.first <= first and last <= place.last:
                    with suppress(Corrupted, OSError):
                        folder = self._folder / segment_name(place.first, place.last)
                        return self._opened(place.first, place.last, folder)
            return None
        with operation(), self._mutex():
            self._refresh()
            return next((s for s in self._current if s.first <= first and last <= s.last), None)

    def _build(
        self,
        backend: AnnBackend,
        first: int,
        last: int,
        rows: FloatMatrix,
        *,
        columns: Mapping[str, Iterable[Sequence[bytes]]],
        row_checksums: RowArray | None,
        lane: Lane,
    ) -> Segment:
        unfinished = self._folder / f"{_UNFINISHED}{lane}-{uuid.uuid4().hex}"
        unfinished.mkdir()
        try:
            with operation():  # a fork in the midst of a product of matrices ends in OpenBLAS, for ever
                report = backend.build(rows, metric=self._metric, recall_target=self._recall_target, folder=unfinished)
                if len(rows) >= LEAVES_MIN_ROWS and not report.exhaustive:
                    of_row = backend.open(unfinished).row_leaves()
                    Leaves.measure(rows, of_row, metric=self._metric).save(unfinished)
            for name, parts in columns.items():
                write_column(unfinished / name, parts)
            write_norms(unfinished / NORMS_FILE, rows)
            if row_checksums is not None:
                write_row_checksums(unfinished / ROW_CHECKSUMS_FILE, row_checksums)
            seal(unfinished)
            segment = self._opened(first, last, unfinished)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        within = [place for place in self._places() if first <= place.first and place.last <= last]
        final = self._folder / segment_name(first, last)
        for place in within:
            if (place.first, place.last) == (first, last):  # damaged, or it would have been returned
                self._retire(place)
        unfinished.rename(final)
        sync_folder(self._folder)
        for place in within:
            if (place.first, place.last) != (first, last):
                self._retire(place)
        self._sweep(lane)
        segment = msgspec.structs.replace(segment, folder=final)
        if not self._serving:
            return segment
        with operation(), self._mutex():
            status = final.stat()
            self._open[Place(first, last, status.st_ino, status.st_mtime_ns)] = segment
            self._refresh()
        return segment

    def _retire(self, place: Place) -> None:
        with suppress(FileNotFoundError):  # the other lane was first
            name = segment_name(place.first, place.last)
            (self._folder / name).rename(self._folder / f"{_SUPERSEDED}{uuid.uuid4().hex}")

    def _sweep(self, lane: Lane) -> None:
        """Remove what builds of this lane that were interrupted left, what was superseded, and what serves nobody;
        under the lease."""
        places = self._places()
        usable = [place for place in places if self._usable(place)]
        chain = cover(usable)
        for place in usable:
            # Two lanes may have built over the same rows at once.
            if chain and place not in chain and place.last <= chain[-1].last:
                self._retire(place)
        for path in self._folder.iterdir():
            other = path.name.startswith(tuple(f"{_UNFINISHED}{name}-" for name in _LEASES if name != lane))
            if path.name.startswith((_UNFINISHED, _SUPERSEDED)) and not other:
                shutil.rmtree(path, ignore_errors=True)
