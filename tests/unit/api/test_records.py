"""The array form of put, which the Pythonic layer uses: any length, the same checks, all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ragvec.api.access import Session
from ragvec.api.client import Client
from ragvec.api.records import put_arrays, query_matrix, query_vector
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import DimensionMismatch, InvalidKey, InvalidMetadata, InvalidRequest, InvalidVector


@pytest.fixture
def place(client: Client, index_of: Callable[..., dict[str, str]]) -> tuple[Session, IndexSpec]:
    at = index_of(client)
    return client.session, client.session.engine.catalog.index(at["vectorBucketName"], at["indexName"])


def count(place: tuple[Session, IndexSpec]) -> int:
    session, spec = place
    return session.engine.index(spec).count()


def test_any_number_of_vectors_in_one_call(place: tuple[Session, IndexSpec]) -> None:
    n = 3000
    vectors = np.random.default_rng(0).standard_normal((n, 2))
    metadata = [{"n": i} if i % 2 else None for i in range(n)]
    put_arrays(*place, keys=np.array([f"k{i:04}" for i in range(n)]), vectors=vectors, metadata=metadata)

    session, spec = place
    first, second = session.engine.index(spec).get(["k0000", "k2999"], data=True, metadata=True)
    assert count(place) == n
    assert (first.metadata, second.metadata) == ({}, {"n": 2999})
    np.testing.assert_array_equal(second.data, vectors[2999].astype(np.float32))


@pytest.mark.parametrize(
    ("change", "kind", "message", "path"),
    [
        ({"keys": ["a", "b", "a"]}, InvalidKey, "Duplicate key 'a' at vectors[0] and vectors[2]", "vectors[2].key"),
        ({"keys": ["a", "", "c"]}, InvalidKey, "Value with length 0 at 'keys[1]'", "keys[1]"),
        ({"keys": ["a", 5, "c"]}, InvalidKey, "Expected a text as key, got 5 - at `keys[1]`", "keys[1]"),
        ({"keys": ["a", "b"]}, InvalidRequest, "Expected one vector a key, got 2 keys and 3 vectors", "vectors"),
        ({"vectors": np.ones((3, 3))}, DimensionMismatch, "vector must have length 2, but has length 3", "vectors[0]"),
        ({"vectors": np.ones(3)}, InvalidVector, "Expected an array of shape (n, 2)", "vectors"),
        (
            {"vectors": [[1, 2], [3, 4], [5]]},
            DimensionMismatch,
            "Invalid record for key 'c': vector must",
            "vectors[2]",
        ),
        ({"vectors": [[1, 2], [0, 0], [5, 6]]}, InvalidVector, "Invalid record for key 'b': cosine", "vectors[1]"),
        ({"metadata": [{}]}, InvalidRequest, "Expected one metadata object a key, got 3 keys and 1", "metadata"),
        (
            {"metadata": [{}, {}, {"x": float("nan")}]},
            InvalidMetadata,
            "Invalid record for key 'c': Metadata numbers must be finite: `x` is nan",
            "vectors[2].metadata",
        ),
    ],
)
def test_a_refused_call_stores_nothing(
    place: tuple[Session, IndexSpec], change: dict[str, Any], kind: type[InvalidRequest], message: str, path: str
) -> None:
    good: dict[str, Any] = {"keys": ["a", "b", "c"], "vectors": np.ones((3, 2)), "metadata": [{}, {}, {}]}
    with pytest.raises(kind) as caught:
        put_arrays(*place, **{**good, **change})

    assert message in caught.value.message
    assert caught.value.path == path
    assert count(place) == 0


def test_queries(place: tuple[Session, IndexSpec]) -> None:
    session, spec = place

    assert query_vector(session, spec, [1, 2]).tolist() == [1.0, 2.0]
    assert query_matrix(spec, [[1, 2], [3, 4], [5, 6]]).shape == (3, 2)
    with pytest.raises(
        DimensionMismatch, match="Query vector contains invalid values or is invalid for this index: vec"
    ):
        query_vector(session, spec, [1])
    with pytest.raises(InvalidVector, match="Invalid query 1: cosine distance does not support vectors with zero norm"):
        query_matrix(spec, [[1, 2], [0, 0]])
