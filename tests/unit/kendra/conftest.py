"""A store in a folder of its own, and the ferry company's documents in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragvec.kendra.client import Client
from ragvec.kendra.index import QueryIndex
from ragvec.store import Index, Store

sys.path.insert(0, str(Path(__file__).parent))
from kendra_corpus import FERRIES, TYPES, BagOfStems, fill


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as store:
        yield store


@pytest.fixture
def ferries(store: Store) -> Index:
    return fill(store, FERRIES, types=TYPES)


@pytest.fixture
def query_index(ferries: Index) -> QueryIndex:
    return QueryIndex(ferries, embedder=BagOfStems())


@pytest.fixture
def client(store: Store) -> Client:
    return Client(store, embedder=BagOfStems())
