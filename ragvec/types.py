"""Small value types that cross boundaries, and the aliases for what callers may pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "Damaged",
    "Distances",
    "FloatMatrix",
    "FloatVector",
    "Metadata",
    "MetadataValue",
    "Metric",
    "Record",
    "RowArray",
    "Scalar",
]

Damaged: TypeAlias = Literal["raise", "skip"]
"""What reading does about rows that do not match their checksums: an error, or leaving them out and saying so."""

Metric: TypeAlias = Literal["cosine", "euclidean"]
Scalar: TypeAlias = "str | int | float | bool"
MetadataValue: TypeAlias = "str | int | float | bool | Sequence[str] | Sequence[int | float]"
Metadata: TypeAlias = Mapping[str, MetadataValue]

if TYPE_CHECKING:
    FloatVector: TypeAlias = npt.NDArray[np.float32]
    FloatMatrix: TypeAlias = npt.NDArray[np.float32]
    Distances: TypeAlias = npt.NDArray[np.float32]
    RowArray: TypeAlias = npt.NDArray[np.uint32]
else:
    FloatVector = FloatMatrix = Distances = RowArray = Any


class Record(msgspec.Struct, frozen=True, eq=False):
    """One stored vector: `data` is float32 of shape (dimension,) and `metadata` a dict; each is None when it was not
    asked for."""

    key: str
    data: FloatVector | None = None
    metadata: dict[str, Any] | None = None
