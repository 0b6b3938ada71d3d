"""The newest rows of an index, which no segment covers yet, taken into the largest open segment in memory.

Exact distances to a few thousand rows take longer than a whole search of a segment. So as soon as there are more than
some, this process has its largest segment absorb them, a few at a time, until a segment that was built over them takes
their place: then what was absorbed is forgotten with the opened segment that holds it.
"""

from __future__ import annotations

import logging
import math
import threading
from typing import NamedTuple

from ragvec.distance import row_norms
from ragvec.engine.local import forks
from ragvec.engine.local.segments import Segment
from ragvec.engine.local.vectors import VectorFile
from ragvec.errors import RagvecError, StoreError

__all__ = ["NOTHING_ABSORBED", "Absorbed", "NewestRows"]

_log = logging.getLogger("ragvec.segments")

_FEW = 64
"""So many rows are searched exactly for as much as a search of a segment varies."""
_AT_ONCE = 128
"""Rows absorbed in one go, which every search waits for: 2 ms."""
_MANY = 1024
"""From so many on, a thread absorbs them beside the searches."""
_MOST_SHARE = 0.25
"""A segment absorbs up to this share of the rows that it was built from: the more, the less it suits them."""


class Absorbed(NamedTuple):
    """The rows [first, last) that the segment `host` has absorbed; none without a host."""

    host: Segment | None
    first: int
    last: int


NOTHING_ABSORBED = Absorbed(None, 0, 0)


class _State:
    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self.segments = segments
        self.first = self.last = segments[-1].last if segments else 0
        fresh = [segment for segment in segments if not segment.ann.report.exhaustive and not segment.ann.absorbed]
        self.norms = self.first, math.inf, 0.0
        self.host = max(fresh, key=lambda segment: segment.last - segment.first, default=None)


class NewestRows:
    """What one open generation has absorbed; shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = _State(())
        self._catching_up = False

    def absorbed(self, segments: tuple[Segment, ...], *, rows: int, vectors: VectorFile) -> Absorbed:
        """What the segments in use have absorbed of the first `rows` rows, after absorbing some if that is due."""
        state = self._state
        if state.segments is not segments:
            with self._lock:  # two states of the same segments would have their host absorb the same rows twice
                if self._state.segments is not segments:
                    self._state = _State(segments)
                state = self._state
        if rows - state.last >= _FEW and state.host is not None:
            if rows - state.last < _MANY:
                self._absorb(state, rows=rows, vectors=vectors)
            else:
                self._catch_up(state, rows=rows, vectors=vectors)
        return Absorbed(state.host, state.first, max(state.first, min(state.last, rows)))

    def norms(self, *, rows: int, vectors: VectorFile) -> tuple[float, float] | None:
        """The least and the greatest norm of the first `rows` rows that no segment covers; each is computed once."""
        state = self._state
        measured, least, greatest = state.norms
        if measured < rows:
            fresh = row_norms(vectors.rows(rows)[measured:rows])
            least, greatest = min(least, float(fresh.min())), max(greatest, float(fresh.max()))
            state.norms = rows, least, greatest
        return (least, greatest) if greatest else None

    def forget(self) -> None:
        """Let go of the segments."""
        self._state = _State(())

    def _absorb(self, state: _State, *, rows: int, vectors: VectorFile) -> bool:
        """Absorb some rows; False when that is not possible, or another thread is at it."""
        host = state.host
        if host is None or not self._lock.acquire(blocking=False):
            return False
        try:
            if state is not self._state or host.ann.absorbed != state.last - state.first:
                return False  # other segments serve by now, or the host has absorbed rows for those
            first, last = state.last, min(rows, state.last + _AT_ONCE)
            if last <= first or last - state.first > _MOST_SHARE * (host.last - host.first):
                return False
            try:
                taken = host.ann.absorb(vectors.rows(last)[first:last])
            except StoreError as error:
                _log.warning("The newest rows are searched exactly until a segment covers them: %s", error)
                taken = False
            if not taken:
                state.host = None
                return False
            state.last = last
            return True
        finally:
            self._lock.release()

    def _catch_up(self, state: _State, *, rows: int, vectors: VectorFile) -> None:
        if self._catching_up or state.host is None:
            return
        if rows - state.first > _MOST_SHARE * (state.host.last - state.host.first):
            return  # a segment over them is due

        def work() -> None:
            try:
                going_on = True
                while going_on and self._state is state:
                    with forks.operation():
                        going_on = self._absorb(state, rows=rows, vectors=vectors)
            except (RagvecError, OSError) as error:
                _log.warning("The newest rows are searched exactly for now: %s", error)
            finally:
                self._catching_up = False

        self._catching_up = True
        try:
            threading.Thread(target=work, name="ragvec-newest", daemon=True).start()
        except RuntimeError as error:  # too many threads, or the interpreter is ending
            self._catching_up = False
            _log.debug("The newest rows are searched exactly for now: %s", error)
