"""Figures of one index at one moment."""

from __future__ import annotations

from ragvec.ann.backends import AnnBackend
from ragvec.engine.local.snapshot import Snapshot
from ragvec.engine.local.text_search import text_stats
from ragvec.engine.protocol import IndexStats

__all__ = ["index_stats"]


def index_stats(snapshot: Snapshot, *, backend: AnnBackend | None, recall_target: float, effort: float) -> IndexStats:
    """As `ragvec.engine.protocol.IndexEngine.stats`, of a snapshot."""
    segments = snapshot.segments(newest=True)
    spec = snapshot.generation.spec
    return IndexStats(
        vectors=snapshot.live,
        rows=snapshot.rows,
        tombstones=snapshot.rows - snapshot.live,
        sequence=max(snapshot.sequence, 0),
        generation=snapshot.generation.number,
        dimension=spec.dimension,
        metric=spec.metric,
        backend="exact" if backend is None else backend.name,
        segments=tuple(segment.stats(recall_target=recall_target) for segment in segments),
        exact_rows=snapshot.rows - (segments[-1].last if segments else 0),
        disk_bytes=snapshot.generation.folder.bytes(),
        recall_target=recall_target,
        effort=effort,
        memory_bytes=snapshot.memory_bytes(),
        text=text_stats(snapshot),
    )
