"""What keeps one index fast and small: segments and posting lists that are due, compaction, removing what is old."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ragvec.engine.local import forks
from ragvec.engine.local.compact import FEWEST_DEAD, is_due
from ragvec.engine.local.generations import RETIRED_SECONDS, KeptGenerations, sweep
from ragvec.engine.local.jobs import Job, Kind, perform
from ragvec.engine.local.layout import generations
from ragvec.engine.local.merging import Lane
from ragvec.engine.local.snapshot import Generation, Snapshot
from ragvec.engine.protocol import IndexSpec, TextField
from ragvec.errors import StoreError, StoreReadOnly

__all__ = ["Upkeep", "Worker"]

_PAUSE = 0.02
_MARGIN_SECONDS = 1.0
_QUIET_SECONDS = 10.0
"""Without new rows for so long, an index is tidied."""
_OTHERS_SECONDS = 30.0
"""When to look again at what another process is doing."""
_REST_SECONDS = 60.0
"""After a compaction failed, as on a disk too full for a copy, before the background tries again."""

_log = logging.getLogger("ragvec.maintenance")


class Worker(Protocol):
    """Who carries out jobs elsewhere than in this process."""

    def suits(self, job: Job) -> bool:
        """Whether the job is worth giving away."""
        ...

    def run(self, job: Job, *, ready: Callable[[int], None]) -> bool:
        """Have it carried out and return whether it was; `ready` is told the number of a generation that is about to
        become current. Raises what the work raises."""
        ...

    def drop(self) -> None:
        """Have the job that `run` waits for end soon, as not carried out; for any thread."""
        ...


class Upkeep:
    """The background work of one index. `snapshot`, `opened` and `text_fields` are the index's own; `later` has the
    index looked at after some seconds."""

    def __init__(
        self,
        folder: Path,
        spec: IndexSpec,
        *,
        backend: str,
        recall_target: float,
        read_only: bool,
        clock: Callable[[], float],
        kept: KeptGenerations,
        text_fields: Callable[[], Sequence[TextField]] = tuple,
        snapshot: Callable[[], Snapshot],
        opened: Callable[[int], Generation],
        later: Callable[[float], None],
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._backend = backend
        self._recall_target = recall_target
        self._read_only = read_only
        self._clock = clock
        self._kept = kept
        self._text_fields = text_fields
        self._snapshot = snapshot
        self._opened = opened
        self._later = later
        self._working: dict[Lane, threading.Lock] = {"tail": threading.Lock(), "merge": threading.Lock()}
        self._given: dict[Kind, tuple[Job, Worker]] = {}
        self._counting = threading.Lock()
        self._optimizing = 0
        self._last_rows = (0, 0.0)
        self._pid = os.getpid()
        self._changes = 0
        self._compact_from = 0.0
        self._prepared: Generation | None = None
        self.sweep_at: float | None = None
        """When to look for generations to remove, in epoch seconds of the clock."""

    def waiting(self, generation: Generation, *, rows: int, changes: int) -> list[Lane]:
        """The lanes in which there may be something to do after `changes` records were written or deleted; cheap."""
        lanes: list[Lane] = []
        if self._read_only:
            return lanes
        if (
            generation.segments.due(rows, opening=False) is not None
            or generation.postings_behind(rows)
            or generation.text.may_be_behind(rows)
        ):
            lanes.append("tail")
        self._changes += changes
        if self._changes >= FEWEST_DEAD or self._sweep_due():
            self._changes = 0
            lanes.append("merge")
        return lanes

    def due(self, lane: Lane) -> bool:
        """Whether there is something to do in the lane."""
        if self._read_only:
            return False
        if self._sweep_due() if lane == "merge" else self._snapshot().generation.text.strays():
            return True
        return self._next(lane) is not None

    def maintain(self, lane: Lane, *, worker: Worker | None = None) -> None:
        """Do what is due in the lane, by the worker where that pays, until nothing is, another process is at it, or the
        rest is `optimize`'s."""
        with self._lock(lane):
            self._work_off(lane, worker=worker, yielding=True)

    def optimize(self) -> None:
        """Do what is due in this thread, and leave as few segments as in a quiet index.

        The job that the background has begun is waited for, or dropped where this would build its rows once more."""
        with self._counting:
            self._optimizing += 1
        try:
            dropped = self._drop_what_is_built_anew()
            with self._lock("tail"), self._lock("merge"):
                for job in dropped:
                    self._snapshot().generation.segments.clear("merge" if job.kind == "merge" else "tail")
                self._work_off("merge", whole=True)
                self._work_off("tail")
        finally:
            with self._counting:
                self._optimizing -= 1

    def compact(self) -> None:
        """Compact now, unless there is nothing to reclaim; waits for another process that is building or compacting."""
        if self._read_only:
            raise StoreReadOnly(f"`{self._folder}` was opened read-only: it is not compacted", store=str(self._folder))
        with self._lock("merge"):
            while True:
                snapshot = self._snapshot()
                if snapshot.rows == snapshot.live or self._carry_out(self._compaction(snapshot), None):
                    break
                time.sleep(_PAUSE)

    def prepared(self, number: int) -> Generation | None:
        """The generation of this number, if it was opened before it became current; it is given away once."""
        found = self._prepared
        if found is None or found.number != number:
            return None
        self._prepared = None
        return found

    def retired(self) -> None:
        """A generation was left: look later whether it can be removed."""
        self._look_again(self._clock() + RETIRED_SECONDS)

    def _drop_what_is_built_anew(self) -> list[Job]:
        """Stop builds by workers over rows that a merge would soon build again."""
        dropped = []
        for job, worker in list(self._given.values()):
            with forks.operation():
                snapshot = self._snapshot()
                segments = snapshot.generation.segments
                if job.kind not in ("segment", "merge") or job.generation != snapshot.generation.number:
                    continue
                assumed = (job.first, job.last)
                due = segments.due(snapshot.rows, lane="merge", tidy=True, with_tail=True, assumed=assumed)
            if due is not None and due[0] <= job.first and job.last <= due[1]:
                worker.drop()
                dropped.append(job)
        return dropped

    def _work_off(
        self, lane: Lane, *, worker: Worker | None = None, whole: bool = False, yielding: bool = False
    ) -> None:
        if self._read_only:
            return
        forks.import_ahead()
        if lane == "merge" and self._sweep_due():
            self._sweep()
        if lane == "tail":
            self._snapshot().generation.text.sweep()
        done: Job | None = None
        while not (yielding and self._optimizing) and (job := self._next(lane, whole=whole)) is not None:
            if job == done:
                break  # what was done just now and is due again would be for ever
            if not self._carry_out(job, worker):
                self._later(_OTHERS_SECONDS)  # whoever is at it may end before it is done
                break
            done = job

    def _next(self, lane: Lane, *, whole: bool = False) -> Job | None:
        """What is due; with `whole` merges leave few segments and take in the newest rows."""
        with forks.operation():
            snapshot = self._snapshot()
            generation, rows = snapshot.generation, snapshot.rows
            if lane == "tail":
                if generation.postings_behind(rows):
                    return self._job("postings", generation, 0, rows)
                due = generation.segments.due(rows)
                if due is not None:
                    return self._job("segment", generation, *due)
                behind = generation.text.due(rows)
                return self._job("text", generation, *behind) if behind else None
            if self._compaction_due(snapshot):
                return self._compaction(snapshot)
            tidy = whole or self._is_quiet(snapshot)
            due = generation.segments.due(rows, lane="merge", tidy=tidy, with_tail=whole)
            return None if due is None else self._job("merge", generation, *due)

    def _is_quiet(self, snapshot: Snapshot) -> bool:
        """Whether nothing was written for a while, so that there is time for tidying; else that is looked at later."""
        now, (rows, since) = self._clock(), self._last_rows
        if rows != snapshot.rows:
            self._last_rows = (snapshot.rows, now)
            if snapshot.generation.segments.due(snapshot.rows, lane="merge", tidy=True) is not None:
                self._later(_QUIET_SECONDS + _MARGIN_SECONDS)
            return False
        return now - since >= _QUIET_SECONDS

    def _compaction(self, snapshot: Snapshot) -> Job:
        return self._job("compact", snapshot.generation, 0, snapshot.live)

    def _job(self, kind: Kind, generation: Generation, first: int, last: int) -> Job:
        return Job(
            kind=kind,
            index=self._folder,
            generation=generation.number,
            spec=self._spec,
            backend=self._backend,
            recall_target=self._recall_target,
            first=first,
            last=last,
            text=tuple(self._text_fields()) if kind in ("text", "compact") else (),
        )

    def _carry_out(self, job: Job, worker: Worker | None) -> bool:
        """False when another process is at work there."""
        try:
            if worker is not None and worker.suits(job):
                self._given[job.kind] = job, worker
                done = worker.run(job, ready=lambda number: self._prepare(self._opened(number)))
            else:
                done = self._perform(job)
        except StoreError:
            if job.kind == "compact":
                self._compact_from = self._clock() + _REST_SECONDS
                self.sweep_at = self._clock()
            raise
        finally:
            self._given.pop(job.kind, None)
            if job.kind == "compact":
                self._leave()
        if done:
            self._take_over(job)
        return done

    def _perform(self, job: Job) -> bool:
        with forks.operation():
            generation = self._snapshot().generation
        if generation.number != job.generation:
            return True  # somebody else compacted; what is due now is another matter
        found = perform(job, generation, opened=self._opened, ready=self._prepare, clock=self._clock)
        return found is not None

    def _prepare(self, generation: Generation) -> None:
        """Open what the first searches in a generation need, before it becomes current."""
        generation.segments.current()
        generation.text.warm()
        self._prepared = generation

    def _leave(self) -> None:
        """Go on in the new generation if it is current by now; a prepared one that failed is closed."""
        snapshot = self._snapshot()
        unused, self._prepared = self._prepared, None
        if unused is not None and unused is not snapshot.generation:
            unused.close()

    def _take_over(self, job: Job) -> None:
        """Open what was built elsewhere, here rather than in a search."""
        with forks.operation():
            snapshot = self._snapshot()
        if job.kind == "postings":
            # The other lane may have compacted meanwhile: there are fewer rows then.
            snapshot.generation.postings_view(min(job.last, snapshot.rows))
        elif job.kind == "text":
            snapshot.generation.text.persist(min(job.last, snapshot.rows))
        else:
            snapshot.generation.segments.current()

    def _compaction_due(self, snapshot: Snapshot) -> bool:
        dead = snapshot.rows - snapshot.live
        if dead < FEWEST_DEAD or self._clock() < self._compact_from:
            return False
        kept = sum(number < snapshot.generation.number for number in generations(self._folder))
        return is_due(live=snapshot.live, dead=dead, kept=kept)

    def _sweep_due(self) -> bool:
        return self.sweep_at is not None and self._clock() >= self.sweep_at

    def _sweep(self) -> None:
        generation = self._snapshot().generation
        again = sweep(
            self._folder, current=generation.number, lease=lambda: generation.segments.lease("merge"), clock=self._clock
        )
        self._kept.prune()
        self._look_again(again)

    def _look_again(self, when: float | None) -> None:
        self.sweep_at = when
        if when is not None and not self._read_only:
            self._later(max(0.0, when - self._clock()) + _MARGIN_SECONDS)

    def _lock(self, lane: Lane) -> threading.Lock:
        if self._pid != os.getpid():  # in the parent a thread may have been at work, which does not exist here
            self._working, self._pid = {"tail": threading.Lock(), "merge": threading.Lock()}, os.getpid()
        return self._working[lane]
