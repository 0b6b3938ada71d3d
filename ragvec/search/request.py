"""What a search asks for, and what it answers."""

from __future__ import annotations

import msgspec

from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.types import Distances, FloatMatrix, Record

__all__ = ["Hits", "SearchPage", "SearchRequest"]


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


class SearchPage(msgspec.Struct, frozen=True, eq=False):
    """A part of the answer to one query; `next_page` is (cursor, offset) for `execute.next_page`, None at the end."""

    hits: Hits
    next_page: tuple[str, int] | None = None
