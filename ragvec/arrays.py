"""Vectors as callers pass them, made into float32 matrices, with every value checked.

Accepted are numpy arrays of any float or integer type, whatever converts itself to one (`__array__`), and lists or
tuples of numbers or of such arrays. The checks follow the conversion to float32: a value beyond its range counts as
infinite, a value below it as 0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.errors import DimensionMismatch, InvalidVector
from ragvec.types import FloatMatrix, FloatVector, Metric

__all__ = ["Label", "to_matrix", "to_vector"]

Label = Callable[[int], "tuple[str, str]"]
"""For a row number, the path of the row and the words that an error message about it begins with."""

_NOT_FINITE = "vector contains NaNs or Infs"
_ZERO_NORM = "cosine distance does not support vectors with zero norm"
_BLOCK = 4096


def to_matrix(vectors: Any, *, dimension: int, metric: Metric, label: Label | None = None) -> FloatMatrix:
    """Return `vectors` as a C-contiguous float32 matrix (n, dimension); an array that already is one is not copied.

    `vectors` is an (n, dimension) array, or a sequence of n vectors. Under cosine no vector may be zero.

    Raises:
        DimensionMismatch: a vector's length is not `dimension`.
        InvalidVector: a vector holds something other than numbers, NaN, an infinity, or only zeros under cosine. The
            first vector at fault is named by `label`.
    """
    label = label or _default_label
    array = _as_array(vectors)
    matrix = _from_rows(vectors, dimension, label) if array is None else _from_array(array, dimension, label)
    _check_values(matrix, metric, label)
    return matrix


def to_vector(vector: Any, *, dimension: int, metric: Metric, label: Label | None = None) -> FloatVector:
    """Return one vector as float32 (dimension,), checked as `to_matrix` checks each row."""
    label = label or (lambda _: ("vector", ""))
    plain: FloatVector | None = None
    if type(vector) is np.ndarray and vector.dtype == np.float32 and vector.shape == (dimension,):
        plain = vector
    elif type(vector) is list and len(vector) == dimension:
        plain = np.asarray(_row_from_list(vector, dimension, label, 0), dtype=np.float32)
    if plain is not None:
        # The square of the length is a positive number only where every value is finite and not all are zero, as no
        # square of a float32 is beyond float64; else the checks below find out what is the matter.
        wide = plain.astype(np.float64)
        if 0.0 < wide.dot(wide) < np.inf:
            return np.ascontiguousarray(plain)
    row: FloatVector = to_matrix([vector], dimension=dimension, metric=metric, label=label)[0]
    return row


def _default_label(row: int) -> tuple[str, str]:
    return f"vectors[{row}]", f"Invalid vector {row}: "


def _as_array(vectors: Any) -> npt.NDArray[Any] | None:
    if isinstance(vectors, np.ndarray):
        return vectors
    if hasattr(vectors, "__array__"):
        return np.asarray(vectors)
    return None


def _from_array(array: npt.NDArray[Any], dimension: int, label: Label) -> FloatMatrix:
    if array.ndim in (1, 2) and array.dtype == object:
        return _from_rows(list(array), dimension, label)
    if array.ndim != 2:
        raise InvalidVector(
            f"Expected an array of shape (n, {dimension}), one row a vector, got shape {array.shape}", path="vectors"
        )
    if len(array) == 0:
        return np.empty((0, dimension), dtype=np.float32)
    if array.shape[1] != dimension:
        raise _wrong_length(array.shape[1], dimension, label(0))
    _check_dtype(array, label(0))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def _from_rows(vectors: Any, dimension: int, label: Label) -> FloatMatrix:
    if isinstance(vectors, (str, bytes, dict)) or not isinstance(vectors, Sequence):
        raise InvalidVector(
            f"Expected an array (n, {dimension}) or a list of vectors, got {type(vectors).__name__}", path="vectors"
        )
    out = np.empty((len(vectors), dimension), dtype=np.float32)
    for i, vector in enumerate(vectors):
        array = _as_array(vector)
        if array is not None:
            out[i] = _row_from_array(array, dimension, label, i)
        elif isinstance(vector, (list, tuple)):
            if len(vector) != dimension:
                raise _wrong_length(len(vector), dimension, label(i))
            out[i] = _row_from_list(vector, dimension, label, i)
        else:
            path, words = label(i)
            text = f"vector must be an array or a list of numbers, but is {_type_name(vector)}"
            raise InvalidVector(words + text, path=path, detail=text)
    return out


def _row_from_array(array: npt.NDArray[Any], dimension: int, label: Label, row: int) -> npt.NDArray[Any]:
    path, words = label(row)
    if array.ndim != 1:
        text = f"vector must have one axis, but has shape {array.shape}"
        raise InvalidVector(words + text, path=path, detail=text)
    if len(array) != dimension:
        raise _wrong_length(len(array), dimension, (path, words))
    if array.dtype == object:
        return _row_from_list(array.tolist(), dimension, label, row)
    _check_dtype(array, (path, words))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return array.astype(np.float32, copy=False)


def _row_from_list(vector: Sequence[Any], dimension: int, label: Label, row: int) -> npt.NDArray[Any]:
    # msgspec proves in one pass that every item is int or float and none a bool, faster than np.array converts.
    try:
        packed = _packer(dimension).pack(*msgspec.convert(vector, list[float]))
    except (msgspec.ValidationError, OverflowError):
        numbers = [_number(value, position, label(row)) for position, value in enumerate(vector)]
        with np.errstate(over="ignore", under="ignore"):
            return np.array(numbers, dtype=np.float64).astype(np.float32)
    return np.frombuffer(packed, dtype=np.float32)


@lru_cache(maxsize=64)
def _packer(dimension: int) -> struct.Struct:
    return struct.Struct(f"{dimension}f")


def _number(value: Any, position: int, place: tuple[str, str]) -> float:
    if isinstance(value, (int, float, np.integer, np.floating, Decimal, Fraction)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    path, words = place
    text = f"vector must hold numbers only, but has {_type_name(value)} at position {position}"
    raise InvalidVector(words + text, path=path, detail=text)


def _check_dtype(array: npt.NDArray[Any], place: tuple[str, str]) -> None:
    if array.dtype.kind not in "fiu":
        path, words = place
        text = f"vector must be of a float or integer type, but is an array of {array.dtype}"
        raise InvalidVector(words + text, path=path, detail=text)


def _check_values(matrix: FloatMatrix, metric: Metric, label: Label) -> None:
    for start in range(0, len(matrix), _BLOCK):
        block = matrix[start : start + _BLOCK]
        finite = np.isfinite(block)
        if not finite.all():
            row, column = divmod(int(np.argmin(finite)), finite.shape[1])
            error = _bad(_NOT_FINITE, label(start + row))
            error.hint = f"{_infinite(block[row, column])} at position {column}"
            raise error
        if metric == "cosine":
            nonzero = block.any(axis=1)
            if not nonzero.all():
                raise _bad(_ZERO_NORM, label(start + int(np.argmin(nonzero))))


def _infinite(value: np.float32) -> str:
    if np.isnan(value):
        return "NaN"
    return f"{'' if value > 0 else '-'}Inf, or a number beyond the {np.finfo(np.float32).max:.7g} of float32,"


def _bad(text: str, place: tuple[str, str]) -> InvalidVector:
    path, words = place
    return InvalidVector(words + text, path=path, detail=text)


def _wrong_length(got: int, expected: int, place: tuple[str, str]) -> DimensionMismatch:
    path, words = place
    text = f"vector must have length {expected}, but has length {got}"
    error = DimensionMismatch(expected=expected, got=got, path=path, message=words + text)
    error.detail, error.fields = text, ((path, text),)
    return error


def _type_name(value: Any) -> str:
    return "null" if value is None else type(value).__name__
