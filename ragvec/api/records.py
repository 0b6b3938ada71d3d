"""Keys, vectors and metadata on their way to an index: checked together, encoded, and refused as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ragvec.api.access import Session
from ragvec.api.metadata import encode_metadata
from ragvec.api.names import check_keys
from ragvec.arrays import to_matrix, to_vector
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import InvalidKey, InvalidMetadata, InvalidRequest, InvalidVector
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["Records", "encode_records", "put_arrays", "query_matrix", "query_vector"]


_AT_ONCE = 16_384


class Records(NamedTuple):
    """What `IndexEngine.put` takes: distinct keys, float32 (n, dimension), and JSON objects in UTF-8."""

    keys: Sequence[str]
    vectors: FloatMatrix
    metadata: Sequence[bytes | None]


def put_arrays(
    session: Session,
    spec: IndexSpec,
    *,
    keys: Sequence[str],
    vectors: Any,
    metadata: Sequence[Any] | None = None,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Insert or replace any number of vectors in one transaction, all or none.

    `keys` are n distinct texts, `vectors` is an (n, dimension) array or what `ragvec.arrays.to_matrix` takes,
    `metadata` n objects (None for one without). Nothing is modified. They are checked and encoded some thousand at a
    time, after each of which `progress` is told how many there were: memory is needed for so many only.

    Raises:
        InvalidRequest and its subclasses: something is wrong; `path` names the record, and nothing was stored.
    """
    names = list(keys)
    for i, key in enumerate(names):
        if type(key) is not str:
            if not isinstance(key, str):
                raise InvalidKey(f"Expected a text as key, got {key!r} - at `keys[{i}]`", path=f"keys[{i}]")
            names[i] = str.__str__(key)
    check_keys(names, session.dialect, path="keys[{}]")
    _check_counts(names, vectors, metadata)
    _check_distinct(names)
    index = session.engine.index(spec)
    if len(names) <= _AT_ONCE or not hasattr(vectors, "__len__"):
        index.put(*encode_records(session, spec, keys=names, vectors=vectors, metadata=metadata))
        if progress is not None:
            progress(len(names))
        return

    def batches() -> Iterator[Records]:
        for start in range(0, len(names), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            some = None if metadata is None else metadata[part]
            yield encode_records(session, spec, keys=names[part], vectors=vectors[part], metadata=some, first=start)
            if progress is not None:
                progress(len(names[part]))

    index.put_batches(batches())


def encode_records(
    session: Session,
    spec: IndexSpec,
    *,
    keys: Sequence[str],
    vectors: Any,
    metadata: Sequence[Any] | None,
    first: int = 0,
) -> Records:
    """Check and encode n records. `keys` are texts of allowed length; None as metadata is none for all. In messages
    the records are numbered from `first` on.

    Raises:
        InvalidKey: a key is there twice.
        InvalidRequest: the numbers of keys, vectors and metadata differ.
        InvalidVector, InvalidMetadata: see `ragvec.arrays` and `ragvec.api.metadata`; the message names the key.
    """
    _check_counts(keys, vectors, metadata)
    _check_distinct(keys)

    def label(row: int) -> tuple[str, str]:
        return f"vectors[{first + row}]", f"Invalid record for key '{keys[row]}': "

    hints = session.dialect.hints
    try:
        matrix = to_matrix(vectors, dimension=spec.dimension, metric=spec.metric, label=label)
    except InvalidVector as error:
        if hints and error.hint:
            error.args = (f"{error.message}: {error.hint}",)
        raise
    if metadata is None:
        return Records(keys, matrix, [None] * len(keys))
    non_filterable = frozenset(spec.non_filterable)
    encoded = []
    for row, entry in enumerate(metadata):

        def fault(text: str, hint: str, row: int = row) -> InvalidMetadata:
            path, words = label(row)
            message = f"{words}{text}: {hint}" if hints else words + text
            return InvalidMetadata(message, path=f"{path}.metadata", detail=text)

        encoded.append(
            encode_metadata(entry, limits=session.dialect.limits, non_filterable=non_filterable, fault=fault)
        )
    return Records(keys, matrix, encoded)


def query_vector(session: Session, spec: IndexSpec, vector: Any) -> FloatVector:
    """A query as float32 (dimension,). Raises InvalidVector, DimensionMismatch."""
    try:
        return to_vector(vector, dimension=spec.dimension, metric=spec.metric)
    except InvalidVector as error:
        text = "Query vector contains invalid values or is invalid for this index"
        reason = f"{error.detail}: {error.hint}" if error.hint else error.detail
        error.args = (f"{text}: {reason}" if session.dialect.hints else text,)
        error.fields = (("vector", f"Invalid input: {error.detail}"),)
        raise


def query_matrix(spec: IndexSpec, vectors: Any) -> FloatMatrix:
    """Queries as float32 (m, dimension). Raises InvalidVector, DimensionMismatch."""

    def label(row: int) -> tuple[str, str]:
        return f"queries[{row}]", f"Invalid query {row}: "

    return to_matrix(vectors, dimension=spec.dimension, metric=spec.metric, label=label)


def _check_counts(keys: Sequence[str], vectors: Any, metadata: Sequence[Any] | None) -> None:
    if hasattr(vectors, "__len__") and len(vectors) != len(keys):
        raise InvalidRequest(
            f"Expected one vector a key, got {len(keys)} keys and {len(vectors)} vectors", path="vectors"
        )
    if metadata is not None and len(metadata) != len(keys):
        raise InvalidRequest(
            f"Expected one metadata object a key, got {len(keys)} keys and {len(metadata)} metadata objects",
            path="metadata",
        )


def _check_distinct(keys: Sequence[str]) -> None:
    if len(set(keys)) == len(keys):
        return
    seen: dict[str, int] = {}
    for i, key in enumerate(keys):
        if key in seen:
            raise InvalidKey(
                f"Duplicate key {key!r} at vectors[{seen[key]}] and vectors[{i}]: keys of one request must be distinct",
                path=f"vectors[{i}].key",
            )
        seen[key] = i
