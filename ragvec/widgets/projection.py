"""Vectors as points of a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from ragvec.errors import InvalidRequest
from ragvec.extras import require

if TYPE_CHECKING:
    from ragvec.types import FloatVector

__all__ = ["Projection", "plane"]

Projection: TypeAlias = Literal["pca", "umap"]


def plane(vectors: npt.NDArray[np.float32], *, projection: Projection = "pca", seed: int = 0) -> FloatVector:
    """The (n, 2) points of (n, dimension) vectors, float32, within the square from -1 to 1; `vectors` is not changed.

    "pca" keeps most of the variance, signs such that the largest weight of each axis is above 0, so that the same
    vectors give the same points. "umap" keeps neighbourhoods (McInnes, Healy and Melville 2018,
    https://arxiv.org/abs/1802.03426), and takes seconds for thousands.

    Raises:
        InvalidRequest: there is no such projection. MissingExtra: umap-learn is not installed.
    """
    if projection not in get_args(Projection):
        raise InvalidRequest(f"Expected one of pca, umap as projection, got {projection!r}", path="projection")
    if not len(vectors):
        return np.zeros((0, 2), np.float32)
    points = _pca(vectors) if projection == "pca" else _umap(vectors, seed=seed)
    centred = points - (points.max(axis=0) + points.min(axis=0)) / 2
    reach = float(np.abs(centred).max())
    return np.asarray(centred / reach if reach else centred, dtype=np.float32)


def _pca(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    # The axes of the covariance are those of the vectors, and it is small where they are many.
    _, axes = np.linalg.eigh(centred.T @ centred)
    two = axes[:, ::-1][:, :2]
    if two.shape[1] < 2:
        two = np.column_stack([two, np.zeros(len(two))])
    largest = two[np.abs(two).argmax(axis=0), range(2)]
    return np.asarray(centred @ (two * np.where(largest < 0, -1, 1)))


def _umap(vectors: npt.NDArray[np.float32], *, seed: int) -> npt.NDArray[np.float64]:
    umap: Any = require("umap", extra="umap", purpose="A UMAP projection", package="umap-learn")
    if len(vectors) < 5:
        raise InvalidRequest(f"Expected at least 5 vectors for UMAP, got {len(vectors)}", path="projection")
    maker = umap.UMAP(n_components=2, random_state=seed, n_jobs=1, n_neighbors=min(15, len(vectors) - 1))
    return np.asarray(maker.fit_transform(vectors), dtype=np.float64)
