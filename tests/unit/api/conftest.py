"""A store in a folder, and clients of any dialect on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ragvec.api.client import Client
from ragvec.engine.local.engine import LocalEngine

MakeClient = Callable[..., Client]
MakeIndex = Callable[..., dict[str, str]]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    with LocalEngine(tmp_path / "store", background=False) as engine:
        yield engine


@pytest.fixture
def client_of(engine: LocalEngine) -> MakeClient:
    """Makes a client of a dialect on the one store."""

    def make(dialect: str = "native", **options: Any) -> Client:
        return Client(engine, dialect=dialect, **options)

    return make


@pytest.fixture
def client(client_of: MakeClient) -> Client:
    return client_of("native")


@pytest.fixture
def s3(client_of: MakeClient) -> Client:
    return client_of("s3")


NAMES = {
    "native": ("docs", "pages"),
    "s3": ("docs", "pages"),
    "oss": ("docs", "Pages1"),
    "cos": ("docs-1250000000", "pages"),
    "tos": ("docs", "pages"),
}


@pytest.fixture
def index_of() -> MakeIndex:
    """Makes a bucket and an index with names that the client's dialect allows; returns what requests address it by."""

    def make(client: Client, *, dimension: int = 2, metric: str = "cosine", **options: Any) -> dict[str, str]:
        bucket, index = NAMES[client.session.dialect.name]
        client.create_vector_bucket(vectorBucketName=bucket)
        client.create_index(
            vectorBucketName=bucket,
            indexName=index,
            dataType="float32",
            dimension=dimension,
            distanceMetric=metric,
            **options,
        )
        return {"vectorBucketName": bucket, "indexName": index}

    return make


@pytest.fixture
def refusal() -> Callable[..., Any]:
    """Calls and returns the ClientError that must come."""

    def call(method: Callable[..., Any], **arguments: Any) -> Any:
        from ragvec.api.exceptions import ClientError

        with pytest.raises(ClientError) as caught:
            method(**arguments)
        return caught.value

    return call
