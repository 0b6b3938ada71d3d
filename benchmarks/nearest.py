"""Exact nearest rows by blocks of matrix products: the truth that recall is counted against."""

from __future__ import annotations

import numpy as np

__all__ = ["exact_nearest"]

BLOCK_BYTES = 256 << 20
GROUP = 64


def exact_nearest(rows: np.ndarray, queries: np.ndarray, *, k: int, block: int | None = None) -> np.ndarray:
    """Return the row numbers, int32 (m, min(k, n)), of the largest dot products, largest first, ties in row order.

    `rows` is (n, d) and `queries` (m, d), float32; for unit vectors the order is that of cosine distance. Scores are
    float32 products, so rows closer than about 1e-6 may swap. Memory beside the arguments is one `block` of scores.
    """
    count = len(rows)
    k = min(k, count)
    step = block or max(1, BLOCK_BYTES // (4 * max(count, 1)))
    found = np.empty((len(queries), k), dtype=np.int32)
    for start in range(0, len(queries), step):
        scores = np.asarray(queries[start : start + step]) @ np.asarray(rows).T
        for at, line in enumerate(scores):
            chosen = _candidates(line, k=k)
            order = np.lexsort((chosen, -line[chosen]))[:k]
            found[start + at] = chosen[order]
    return found


def _candidates(line: np.ndarray, *, k: int) -> np.ndarray:
    """Positions that include the k largest of a line: those of the k columns with the largest maxima, when it is seen
    as a table of GROUP rows, which costs one pass where a partition of the whole line costs many."""
    columns = len(line) // GROUP
    if columns <= 2 * k:
        return np.argpartition(-line, k - 1)[:k] if k < len(line) else np.arange(len(line))
    folded = line[: columns * GROUP].reshape(GROUP, columns)
    best = np.argpartition(-folded.max(axis=0), k - 1)[:k]
    inside = (best[None, :] + columns * np.arange(GROUP)[:, None]).ravel()
    every = np.concatenate([inside, np.arange(columns * GROUP, len(line))])
    return every[np.argpartition(-line[every], k - 1)[:k]]
