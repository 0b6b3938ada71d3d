"""One generation of an index as a reader holds it, and the snapshots that searches run on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from ragvec.ann.backends import AnnBackend
from ragvec.engine.local.checked import require_own_vectors
from ragvec.engine.local.cursors import Cursors
from ragvec.engine.local.layout import GenerationFolder
from ragvec.engine.local.listed import ListedKeys
from ragvec.engine.local.matches import MatchCache, Matches
from ragvec.engine.local.newest import NewestRows
from ragvec.engine.local.posting_feed import PostingFeed
from ragvec.engine.local.postings import PostingView
from ragvec.engine.local.recent import RecentRows
from ragvec.engine.local.records import Records, StoredRow, owner_mark
from ragvec.engine.local.segments import Segment, SegmentSet
from ragvec.engine.local.text_feed import TextFeed, TextFeeds
from ragvec.engine.local.vectors import VectorFile
from ragvec.engine.protocol import IndexSpec, TextField
from ragvec.errors import Corrupted
from ragvec.filters.nodes import Filter
from ragvec.text.bm25 import Statistics
from ragvec.types import RowArray

if TYPE_CHECKING:
    from ragvec.engine.local.lean import Lean
    from ragvec.engine.local.plan import Part

__all__ = ["Generation", "Snapshot"]

_log = logging.getLogger("ragvec.store")


class Snapshot:
    """The index as of one sequence number; immutable, shared by threads.

    `rows` counts all rows, `live` those without a tombstone; `alive` is a bool mask (rows,) or None when nothing is
    dead. `lost` rows more were committed, which a vector file that is too short does not hold.
    """

    def __init__(
        self,
        generation: Generation,
        *,
        sequence: int,
        rows: int,
        dead: BitMap,
        alive: npt.NDArray[np.bool_] | None,
        lost: int = 0,
    ) -> None:
        self.generation = generation
        self.lost = lost
        self.sequence = sequence
        self.rows = rows
        self.dead = dead
        self.alive = alive
        self.live = rows - len(dead)
        self.plans: dict[Hashable, tuple[Part, ...]] = {}
        self.lean: dict[tuple[int, float, float], Lean] = {}
        """How searches of this snapshot run; kept by whoever plans them."""
        self.grouped: dict[str, Any] = {}
        """What was made of the metadata under a key for this snapshot, see `ragvec.engine.local.word_lists`."""
        self.texts: dict[TextFeed, Statistics] = {}
        """What was counted for text searches of this snapshot."""

    def segments(self, *, newest: bool = False) -> tuple[Segment, ...]:
        """The segments that cover rows of this snapshot; with `newest`, one built just now is waited for while it is
        opened."""
        current = self.generation.segments.current(wait=newest)
        if not current or current[-1].last <= self.rows:
            return current
        return tuple(segment for segment in current if segment.last <= self.rows)

    def memory_bytes(self) -> int:
        """The bytes that searches of this snapshot hold, mapped files apart; about."""
        marks = 0 if self.alive is None else self.alive.nbytes
        segments = sum(segment.ann.report.bytes for segment in self.segments())
        return segments + marks + self.generation.matches.nbytes

    def matches(self, where: Filter) -> Matches:
        """The live rows that satisfy the filter, in every form that a search may want."""
        return self.generation.matches.find(
            where, sequence=self.sequence, rows=self.rows, dead=self.dead, source=self.generation.postings
        )

    def matching(self, where: Filter) -> BitMap:
        """The live rows that satisfy the filter; not to be modified."""
        return self.matches(where).bitmap


class Generation:
    """The open files of one generation, and the latest snapshot of it; `serving` as in `SegmentSet`, `text_fields`
    gives the fields that are searched by text."""

    def __init__(
        self,
        index: Path,
        number: int,
        *,
        spec: IndexSpec,
        backend: AnnBackend | None,
        recall_target: float,
        read_only: bool,
        clock: Callable[[], float],
        serving: bool = True,
        text_fields: Callable[[], Sequence[TextField]] = tuple,
    ) -> None:
        self.folder = GenerationFolder(index, number)
        self.number = number
        self.spec = spec
        if not read_only:
            self.folder.sync()
        self.records = Records(self.folder.records, read_only=read_only, owner=owner_mark(spec.uid, number))
        self.vectors = VectorFile(self.folder.vectors, dimension=spec.dimension)
        self.cursors = Cursors(self.folder.cursors, read_only=read_only, clock=clock)
        self.segments = SegmentSet(
            self.folder.segments,
            backend=backend,
            metric=spec.metric,
            recall_target=recall_target,
            read_only=read_only,
            serving=serving,
            checksums=self.records.checksums,
        )
        self.postings = PostingFeed(
            self.records, self.folder.postings, non_filterable=spec.non_filterable, read_only=read_only
        )
        self.text = TextFeeds(self.records, self.folder.text, fields=text_fields, read_only=read_only)
        self.matches = MatchCache()
        self.newest = NewestRows()
        self.listed = ListedKeys(self.records)
        self._lock = threading.Lock()
        self._capacity: npt.NDArray[np.bool_] = np.ones(1024, dtype=np.bool_)
        self._snapshot: Snapshot | None = None
        self._latest: tuple[bytes, Snapshot] | None = None
        self.recent = RecentRows(self.records, self.vectors)
        self._told = False

    def snapshot(self) -> Snapshot | None:
        """The index as of now; None when another generation has taken this one's place."""
        latest = self._latest
        if latest is not None and latest[0] == self.records.unchanged_since():
            return latest[1]
        with self._lock:
            mark = self.records.unchanged_since()
            known = self._snapshot or Snapshot(self, sequence=-1, rows=0, dead=BitMap(), alive=None)
            changes = self.records.changes(known.sequence)
            if changes.state.successor is not None:
                if changes.state.successor <= self.number:
                    raise Corrupted(
                        f"`{self.folder.records}` is damaged: it says that generation {changes.state.successor} took "
                        f"the place of {self.number}",
                        store=str(self.folder.records),
                    )
                return None
            if changes.state.sequence == known.sequence:
                self._latest = None if mark is None else (mark, known)
                return known
            if changes.state.sequence < known.sequence:
                raise Corrupted(
                    f"`{self.folder.records}` went back from change {known.sequence} to {changes.state.sequence}: "
                    "it was replaced while in use; open the store again",
                    store=str(self.folder.records),
                )
            rows = self._held(changes.state.rows)
            self._snapshot = self._advance(
                known,
                sequence=changes.state.sequence,
                rows=rows,
                died=changes.died,
                lost=changes.state.rows - rows,
            )
            self._latest = None if mark is None else (mark, self._snapshot)
            return self._snapshot

    def keys(self, rows: RowArray) -> list[str]:
        """The keys of these rows, dead ones included, in that order."""
        segments = self.segments.current(wait=False)
        if len(segments) == 1 and segments[0].keys is not None and len(rows) and rows.max() < segments[0].last:
            return segments[0].keys.take(rows)
        found: list[str | None] = [None] * len(rows)
        left = np.arange(len(rows))
        for segment in segments:
            if segment.keys is not None and len(left):
                inside = (rows[left] >= segment.first) & (rows[left] < segment.last)
                there = left[inside]
                positions = rows[there] - np.uint32(segment.first)
                for at, key in zip(there.tolist(), segment.keys.take(positions), strict=True):
                    found[at] = key
                left = left[~inside]
        if len(left):
            numbers = rows[left].tolist()
            stored = self.recent.keys(numbers)
            for at, row in zip(left.tolist(), numbers, strict=True):
                found[at] = stored[row]
        return cast("list[str]", found)

    def metadata(self, rows: RowArray) -> list[bytes] | None:
        """The metadata of these rows, dead ones included, in that order, empty for none; None where it takes more than
        one segment's column."""
        segments = self.segments.current(wait=False)
        if len(segments) != 1 or segments[0].metadata is None or not len(rows):
            return None
        numbers = rows.tolist()
        return segments[0].metadata.blobs(numbers) if max(numbers) < segments[0].last else None

    def stored(self, rows: RowArray, *, whole: bool = False) -> list[StoredRow]:
        """Keys and metadata of these rows, dead ones included, in that order.

        Segments were compared with their checksums when they were opened; rows that come from the records have theirs
        with them, and so have all if `whole`.
        """
        if whole:
            read = self.records.by_rows(rows.tolist(), metadata=True, whole=True)
            return [read[row] for row in rows.tolist()]
        segments = self.segments.current(wait=False)
        numbers = rows.tolist()
        if len(segments) == 1 and numbers and max(numbers) < segments[0].last:
            keys, metadata = segments[0].keys, segments[0].metadata
            if keys is not None and metadata is not None:
                return [
                    StoredRow(row, key, blob or None)
                    for row, key, blob in zip(numbers, keys.take(rows), metadata.blobs(numbers), strict=True)
                ]
        found: dict[int, StoredRow] = {}
        left = numbers
        for segment in segments:
            inside = [row for row in left if segment.first <= row < segment.last]
            if inside and segment.metadata is not None and segment.keys is not None:
                positions = [row - segment.first for row in inside]
                keys_there = segment.keys.take(np.array(positions, dtype=np.uint32))
                for row, key, blob in zip(inside, keys_there, segment.metadata.blobs(positions), strict=True):
                    found[row] = StoredRow(row, key, blob or None)
                left = [row for row in left if row not in found]
        if left:
            found.update(self.recent.rows(left))
        return [found[row] for row in numbers]

    def postings_behind(self, rows: int) -> bool:
        """Whether so many rows wait for posting lists in files that `postings_view` should be called."""
        return self.postings.behind(rows)

    def postings_view(self, rows: int) -> PostingView:
        """Posting lists of the first `rows` rows, in files as far as blocks are full. Background work: a query that
        needs posting lists meanwhile does not wait for this."""
        self.postings.persist(rows)
        return self.postings.view(rows)

    def close(self) -> None:
        """Close files and connections. Operations under way in other threads end as if it had not been called."""
        self.records.close()
        self.cursors.close()
        self.segments.close()
        self.text.close()
        self.vectors.close()
        with self._lock:
            # A snapshot holds its generation: without this, only the garbage collector would free the files' maps.
            self._snapshot = self._latest = None
        self.recent.forget()
        self.matches.clear()
        self.newest.forget()
        self.listed.forget()

    def _held(self, rows: int) -> int:
        """How many of the committed rows the vector file holds: all of them, unless it is damaged. The others are not
        searched, and an error where they are named.

        Raises:
            Corrupted: its rows are not those of the records, most of some that are looked at when it is opened.
        """
        held = self.vectors.held(rows)
        if held < rows and not self._told and self.folder.records.exists():
            self._told = True
            _log.warning(
                "`%s` holds %d rows of %d: the others are lost, `ragvec repair` names them",
                self.folder.vectors,
                held,
                rows,
            )
        if self._snapshot is None and held:
            require_own_vectors(self.records, self.vectors, held)
        return held

    def _advance(self, known: Snapshot, *, sequence: int, rows: int, died: list[int], lost: int) -> Snapshot:
        dead = known.dead
        if len(self._capacity) < rows:
            grown = np.ones(max(rows, 2 * len(self._capacity)), dtype=np.bool_)
            grown[: len(self._capacity)] = self._capacity
            self._capacity = grown
        died = [row for row in died if 0 <= row < rows]
        if died:
            # Earlier snapshots keep the mask they were given.
            self._capacity = self._capacity.copy()
            self._capacity[died] = False
            dead = dead | BitMap(died)
        alive = self._capacity[:rows] if len(dead) else None
        return Snapshot(self, sequence=sequence, rows=rows, dead=dead, alive=alive, lost=lost)
