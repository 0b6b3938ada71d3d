"""Building what `ragvec.ann.faiss_segment` searches: leaves, codebooks and codes.

The work is divided among Python threads, in each of which faiss runs alone (see `ragvec.ann.faiss_library`). Parts are
the same for any number of threads, and so is the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ragvec.ann.faiss_library import library, workers
from ragvec.ann.projection import Projection
from ragvec.ann.tuning import Plan
from ragvec.types import FloatMatrix

__all__ = ["CodedRows", "LeafNumbers", "encode", "widened"]

LeafNumbers = npt.NDArray[np.unsignedinteger[Any]]

_BLOCK = 1 << 13
"""Rows that are projected, assigned and encoded at a time."""
_CODEBOOKS = 16
"""Codebooks that are trained by one call."""
_BITS = 4
_PACK = 32
"""Codes that are scanned together; the one packing that all of faiss's instruction sets share."""
_CHOICES = 8
"""The second leaf of a row is one of the nearest 7 after the first."""
_NUDGE = np.float32(1.0 / 1024.0)


class CodedRows(NamedTuple):
    """A serialised IndexIVFPQFastScan as uint8, in which every row is twice, and the first leaf of each row."""

    content: npt.NDArray[np.uint8]
    leaves: LeafNumbers


class _Coded(NamedTuple):
    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    first_codes: npt.NDArray[np.uint8]
    second_codes: npt.NDArray[np.uint8]


def encode(
    rows: FloatMatrix,
    projection: Projection,
    *,
    plan: Plan,
    seed: int,
    threads: int,
) -> CodedRows:
    """Divide `rows` float32 (n, dimension) into leaves and encode them, as `plan` says, in `threads` threads.

    Raises RuntimeError when faiss refuses.
    """
    leaves = plan.leaves
    faiss = library()
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(len(rows), min(len(rows), max(leaves, plan.training_rows)), replace=False))
    width = -(-projection.width // plan.dims_per_block) * plan.dims_per_block
    sample = widened(projection.rows(np.take(rows, chosen, axis=0)), width)
    with workers(threads) as pool:
        centres = _centres(sample, leaves=leaves, iterations=plan.iterations, random=random, pool=pool)
        near = faiss.IndexFlatL2(width)
        near.add(centres)
        few = np.take(sample, random.permutation(len(sample))[: plan.codebook_rows], axis=0)
        residuals = few - centres[_assigned(near, few, pool)]
        quantizer = faiss.IndexFlatIP(width)
        quantizer.add(centres)
        index = faiss.IndexIVFPQ(
            quantizer, width, leaves, width // plan.dims_per_block, _BITS, faiss.METRIC_INNER_PRODUCT
        )
        index.by_residual = True
        faiss.copy_array_to_vector(_codebooks(residuals, plan=plan, seed=seed, pool=pool), index.pq.centroids)
        index.is_trained = True

        def code(start: int) -> _Coded:
            block = widened(projection.rows(rows[start : start + _BLOCK]), width)
            _, nearest = near.search(block, min(_CHOICES, leaves))
            first = np.ascontiguousarray(nearest[:, 0])
            second = _second(block, centres, nearest, weight=plan.soar)
            return _Coded(first, second, _codes(index, block, first), _codes(index, block, second))

        parts = list(pool.map(code, range(0, len(rows), _BLOCK)))
        first = np.concatenate([part.first for part in parts])
        _fill(
            index,
            np.concatenate([first, *(part.second for part in parts)]),
            np.concatenate([*(part.first_codes for part in parts), *(part.second_codes for part in parts)]),
        )
        packed = pool.submit(faiss.IndexIVFPQFastScan, index, _PACK).result()
    return CodedRows(faiss.serialize_index(packed), first.astype(np.uint16 if leaves <= 1 << 16 else np.uint32))


def widened(projected: FloatMatrix, width: int) -> FloatMatrix:
    """The coordinates (n, …) with as many of 0 after them as make `width`, a multiple of what one code is for."""
    if projected.shape[1] == width:
        return projected
    out = np.zeros((len(projected), width), dtype=np.float32)
    out[:, : projected.shape[1]] = projected
    return out


def _centres(
    sample: FloatMatrix, *, leaves: int, iterations: int, random: np.random.Generator, pool: ThreadPoolExecutor
) -> FloatMatrix:
    """Lloyd's k-means from a random choice of rows. A centre without rows starts anew beside that of the most rows."""
    faiss = library()
    centres = sample[np.sort(random.choice(len(sample), leaves, replace=False))]
    for _ in range(iterations):
        near = faiss.IndexFlatL2(sample.shape[1])
        near.add(centres)
        assigned = _assigned(near, sample, pool)
        order = np.argsort(assigned, kind="stable")
        counts = np.bincount(assigned, minlength=leaves)
        held = counts > 0
        starts = (np.cumsum(counts) - counts)[held]
        centres[held] = np.add.reduceat(sample[order], starts, axis=0) / counts[held, np.newaxis].astype(np.float32)
        for empty in np.flatnonzero(~held):
            largest = int(counts.argmax())
            centres[empty] = centres[largest] * (1 + _NUDGE)
            centres[largest] *= 1 - _NUDGE
            counts[empty] = counts[largest] // 2
            counts[largest] -= counts[empty]
    return centres


def _assigned(near: Any, rows: FloatMatrix, pool: ThreadPoolExecutor) -> npt.NDArray[np.int64]:
    def assign(start: int) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = near.search(rows[start : start + _BLOCK], 1)[1][:, 0]
        return found

    return np.concatenate(list(pool.map(assign, range(0, len(rows), _BLOCK))))


def _codebooks(residuals: FloatMatrix, *, plan: Plan, seed: int, pool: ThreadPoolExecutor) -> npt.NDArray[np.float32]:
    """The 16 centres for every block of coordinates, flat, in the order of the coordinates."""
    faiss = library()
    step = _CODEBOOKS * plan.dims_per_block

    def train(start: int) -> npt.NDArray[np.float32]:
        part = np.ascontiguousarray(residuals[:, start : start + step])
        quantizer = faiss.ProductQuantizer(part.shape[1], part.shape[1] // plan.dims_per_block, _BITS)
        parameters = quantizer.cp
        parameters.niter = plan.iterations
        parameters.seed = seed % (1 << 31)
        # Any number of rows is enough, without a warning on stderr, and none is left out.
        parameters.min_points_per_centroid = 1
        parameters.max_points_per_centroid = len(part)
        quantizer.train(part)
        trained: npt.NDArray[np.float32] = faiss.vector_to_array(quantizer.centroids)
        return trained

    return np.concatenate(list(pool.map(train, range(0, residuals.shape[1], step))))


def _second(
    block: FloatMatrix, centres: FloatMatrix, nearest: npt.NDArray[np.int64], *, weight: float
) -> npt.NDArray[np.int64]:
    """Of the leaves `nearest` to each row after the first the one with the least loss of SOAR: the squared residual
    plus `weight` times the square of its part along the residual of the first."""
    own = block - centres[nearest[:, 0]]
    own /= np.maximum(np.sqrt(np.einsum("ij,ij->i", own, own)), np.float32(1e-20))[:, np.newaxis]
    losses = np.empty((len(block), nearest.shape[1] - 1), dtype=np.float32)
    for choice in range(1, nearest.shape[1]):
        residual = block - centres[nearest[:, choice]]
        along = np.einsum("ij,ij->i", residual, own)
        losses[:, choice - 1] = np.einsum("ij,ij->i", residual, residual) + np.float32(weight) * np.square(along)
    chosen: npt.NDArray[np.int64] = nearest[np.arange(len(block)), losses.argmin(axis=1) + 1]
    return chosen


def _codes(index: Any, block: FloatMatrix, leaves: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    codes = np.zeros((len(block), index.code_size), dtype=np.uint8)
    index.encode_vectors(len(block), *_pointers(block, leaves, codes), False)
    return codes


def _fill(index: Any, leaves: npt.NDArray[np.int64], codes: npt.NDArray[np.uint8]) -> None:
    """Put `codes` (2n, bytes) into their leaves; entries i and n + i are of row i."""
    rows = len(leaves) // 2
    order = np.argsort(leaves, kind="stable")
    ids = order % rows
    ends = np.cumsum(np.bincount(leaves, minlength=index.nlist))
    start = 0
    for leaf, end in enumerate(ends.tolist()):
        if end > start:
            part = np.ascontiguousarray(ids[start:end])
            content = np.take(codes, order[start:end], axis=0)
            index.invlists.add_entries(leaf, end - start, *_pointers(part, content))
        start = end
    index.ntotal = len(leaves)


def _pointers(*arrays: npt.NDArray[Any]) -> Iterable[Any]:
    return map(library().swig_ptr, arrays)
