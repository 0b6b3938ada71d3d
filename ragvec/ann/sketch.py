"""Sketches: 128 bits a row, from which inner products with any query are estimated without reading the row.

A vector is turned into 128 coordinates, its leading principal axes in random rotation, and only their signs are kept.
A query keeps 3 bits of each coordinate: odd whole numbers from −7 to 7, which are sums of ±4, ±2 and ±1, so that its
product with signs comes from counting differing bits, once for each of the three. With y the query's coordinates and
b = ±1 the signs, ⟨y, b⟩ is proportional to the product of the vectors, plus noise (RaBitQ, with fewer bits than
dimensions: https://arxiv.org/abs/2405.12497, https://arxiv.org/abs/2409.09913).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ragvec.types import FloatMatrix, FloatVector

__all__ = ["BITS", "MOST", "WORDS", "Codes", "axes", "differences", "encode", "planes"]

Codes: TypeAlias = npt.NDArray[np.uint64]

BITS = 128
WORDS = BITS // 64
_PLANES = 3
_TOP = (1 << _PLANES) - 1
MOST = _TOP * BITS
"""The product of a query's weights with the signs of a row that all agree."""
_PLANE_BITS = 1 << np.arange(_PLANES, dtype=np.uint8)[::-1, np.newaxis]
_BLOCK = 4096
"""Rows at a time, for which the scratch stays in the second-level cache."""
_BYTE_ORDER = np.dtype("<u8")


def axes(sample: FloatMatrix, *, seed: int) -> FloatMatrix:
    """The map from `sample`'s space to coordinates: float32 (BITS, d), its rows the turned axes.

    `sample` is float32 (n, d), n ≥ 1, of mean about 0. Below BITS dimensions the axes are more than the dimensions.
    """
    dimension = sample.shape[1]
    values, vectors = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    leading = vectors[:, np.argsort(-values, kind="stable")[:BITS]]
    # An eigenvector's sign is arbitrary; this one does not depend on the linear algebra library.
    leading = leading * np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(leading.shape[1])])
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((BITS, BITS)))
    return np.ascontiguousarray(turn[:, : min(BITS, dimension)] @ leading.T, dtype=np.float32)


def encode(coordinates: FloatMatrix) -> Codes:
    """The signs of `coordinates` (n, BITS): uint64 (n, WORDS), a row's bit j set where coordinate j is not negative."""
    packed = np.packbits(coordinates >= 0, axis=1, bitorder="little")
    return packed.view(_BYTE_ORDER).astype(np.uint64, copy=False)


def planes(coordinates: FloatVector) -> tuple[Codes, float]:
    """A query's `coordinates` (BITS,) as three codes (3, WORDS) of weights 4, 2, 1, and the unit of those weights.

    With h the sum over the planes of weight × bits that differ from a row's code, the product of the quantised query
    with the row's signs is unit × (MOST − 2 h).
    """
    unit = float(np.abs(coordinates).max()) / (_TOP + 1)
    if not unit > 0:
        return np.zeros((_PLANES, WORDS), dtype=np.uint64), 0.0
    levels = (coordinates * (0.5 / unit) + (_TOP + 1) / 2).clip(0, _TOP).astype(np.uint8)
    bits = levels & _PLANE_BITS
    packed = np.packbits(bits, axis=1, bitorder="little")
    return packed.view(_BYTE_ORDER).astype(np.uint64, copy=False), unit


def differences(codes: Codes, query: Codes) -> FloatVector:
    """The weighted sums of differing bits, h in `planes`, of rows whose `codes` are uint64 (WORDS, n): float32 (n,).

    Of a `query` with fewer planes the last has weight 1, the one before it 2, and so on.
    """
    count, weights = codes.shape[1], (2.0 ** np.arange(len(query))[::-1]).astype(np.float32)
    total = np.empty(count, dtype=np.float32)
    words = np.empty((len(query), WORDS, min(count, _BLOCK)), dtype=np.uint64)
    for start in range(0, count, _BLOCK):
        block = codes[:, start : start + _BLOCK]
        scratch = words[:, :, : block.shape[1]]
        np.bitwise_xor(block, query[:, :, np.newaxis], out=scratch)
        ones = _ones(scratch)
        np.dot(weights, (ones[:, 0] + ones[:, 1]).astype(np.float32), out=total[start : start + _BLOCK])
    return total


if hasattr(np, "bitwise_count"):

    def _ones(words: Codes) -> npt.NDArray[np.uint8]:
        return np.bitwise_count(words)

else:  # numpy 1
    _ONES = np.array([value.bit_count() for value in range(1 << 16)], dtype=np.uint8)

    def _ones(words: Codes) -> npt.NDArray[np.uint8]:
        counts: npt.NDArray[np.uint8] = (
            _ONES[words.view(np.uint16)].reshape(*words.shape, 4).sum(axis=-1, dtype=np.uint8)
        )
        return counts
