"""What a search asks for, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from ragvec.engine.protocol import TextQuery
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.search.fuse import Fusion
from ragvec.types import Distances, FloatMatrix, FloatVector, Record

__all__ = ["DEPTH", "Hits", "ScoredHits", "SearchPage", "SearchRequest", "TextRequest"]


DEPTH = 100
"""How long rankings are that are fused."""


class SearchRequest(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The `k` records nearest to each query among those that satisfy `where`.

    `queries` is float32 (m, dimension), checked. `data` and `metadata` say what to read of each hit beside its key.
    `effort` is that of `IndexEngine.search`.
    """

    queries: FloatMatrix
    k: int
    where: Filter = EVERYTHING
    data: bool = False
    metadata: bool = False
    effort: float = 1.0


class TextRequest(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The `k` best records for `texts`, of distinct keys, and the `vector` float32 (dimension,), if there is one, among
    those that satisfy `where`.

    The weights of the texts are boosts: of their scores where these are added up, of their rankings where these are
    fused. Without `fusion`, the scores of texts alone are added up, and texts with a vector are fused as
    `ragvec.search.fuse.DEFAULT` says. Rankings that are fused are `depth` rows long, however few hits are asked
    for, and at least `k`. With `scores`, all scores of each hit are told. The others are those of `SearchRequest`.
    """

    texts: tuple[TextQuery, ...]
    k: int
    vector: FloatVector | None = None
    fusion: Fusion | None = None
    depth: int = DEPTH
    where: Filter = EVERYTHING
    data: bool = False
    metadata: bool = False
    scores: bool = False
    effort: float = 1.0


class Hits:
    """The answer to one query, nearest first, ties in byte order of key.

    `distances` is float32 (len(keys),) in the units of the index's metric: 1 − cos θ, or the root for euclidean.
    Records without data and metadata are made from `keys` when they are asked for.
    """

    __slots__ = ("_keys", "_records", "distances")

    def __init__(
        self, records: tuple[Record, ...] | None, distances: Distances, *, keys: list[str] | None = None
    ) -> None:
        self._records = records
        self._keys = keys
        self.distances = distances

    def __len__(self) -> int:
        return len(self.distances)

    @property
    def records(self) -> tuple[Record, ...]:
        """The records with what was asked for."""
        if self._records is None:
            self._records = tuple(map(Record, self.keys))
        return self._records

    @property
    def keys(self) -> list[str]:
        """Their keys; not to be modified."""
        if self._keys is None:
            self._keys = [record.key for record in self._records or ()]
        return self._keys


class ScoredHits(Hits):
    """The answer to texts, alone or with a vector, best first, ties in byte order of key.

    `scores` are float32 (len(self),) each: "bm25" or "fused", the one that the hits are in order of, then, where they
    were asked for, "bm25:<key>" of each text, 0 for a hit without any of its terms. `distances` are NaN where no vector
    was given, or they were not asked for.
    """

    __slots__ = ("scores",)

    def __init__(
        self, records: tuple[Record, ...], distances: Distances | None, *, scores: Mapping[str, FloatVector]
    ) -> None:
        super().__init__(records, np.full(len(records), np.nan, np.float32) if distances is None else distances)
        self.scores = scores


class SearchPage(msgspec.Struct, frozen=True, eq=False):
    """A part of the answer to one query; `next_page` is (cursor, offset) for `execute.next_page`, None at the end."""

    hits: Hits
    next_page: tuple[str, int] | None = None
