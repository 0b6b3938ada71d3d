"""The typed answer to one query, with views for numpy and pandas."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import msgspec

from ragvec.extras import require
from ragvec.search.request import Hits
from ragvec.types import Distances, FloatVector, Metric

if TYPE_CHECKING:
    import pandas

__all__ = ["Hit", "Results", "ResultsList"]

_SHOWN = 60


class Hit(msgspec.Struct, frozen=True, eq=False):
    """One record that a query found. `metadata` and `data` (float32 (dimension,)) are None when they were not asked
    for."""

    key: str
    distance: float
    metadata: dict[str, Any] | None = None
    data: FloatVector | None = None


class Results(Sequence[Hit]):
    """The hits of one query, nearest first, ties in byte order of key."""

    def __init__(self, hits: Hits, *, metric: Metric) -> None:
        self._hits = hits
        self.metric = metric

    @property
    def keys(self) -> list[str]:
        """The keys, in order."""
        return [record.key for record in self._hits.records]

    @property
    def distances(self) -> Distances:
        """The distances, float32 (len(self),), in the units of `metric`."""
        return self._hits.distances

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame with columns key, distance, then one for each metadata key (missing values are NaN or None).

        Raises:
            MissingExtra: pandas is not installed.
        """
        pandas = require("pandas", extra="notebook", purpose="to_pandas()")
        frame = pandas.DataFrame([record.metadata or {} for record in self._hits.records])
        for name, values in (("distance", self.distances), ("key", self.keys)):
            if name in frame:  # a metadata key of the same name stays, under another
                frame = frame.rename(columns={name: f"metadata.{name}"})
            frame.insert(0, name, values)
        return frame

    def __len__(self) -> int:
        return len(self._hits.records)

    @overload
    def __getitem__(self, position: int) -> Hit: ...

    @overload
    def __getitem__(self, position: slice) -> list[Hit]: ...

    def __getitem__(self, position: int | slice) -> Hit | list[Hit]:
        if isinstance(position, slice):
            return [self[at] for at in range(*position.indices(len(self)))]
        record = self._hits.records[position]
        return Hit(record.key, float(self.distances[position]), record.metadata, record.data)

    def __iter__(self) -> Iterator[Hit]:
        for position in range(len(self)):
            yield self[position]

    def __repr__(self) -> str:
        best = f", nearest {self[0].key!r} at {self[0].distance:.4f}" if len(self) else ""
        return f"<Results: {len(self)} hits by {self.metric}{best}>"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("key", "distance", "metadata"))
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
            for cells in ((hit.key, f"{hit.distance:.4f}", _short(hit.metadata)) for hit in self)
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class ResultsList(list[Results]):
    """The Results of several queries, in the order of the queries."""

    def to_pandas(self) -> pandas.DataFrame:
        """One DataFrame of all hits: column query (the number of the query, from 0), then those of `Results`.

        Raises:
            MissingExtra: pandas is not installed.
        """
        pandas = require("pandas", extra="notebook", purpose="to_pandas()")
        frames = [results.to_pandas() for results in self if len(results)] or [
            pandas.DataFrame({"key": [], "distance": []})
        ]
        frame = pandas.concat(frames, ignore_index=True).rename(columns={"query": "metadata.query"})
        frame.insert(0, "query", [number for number, results in enumerate(self) for _ in range(len(results))])
        return frame


def _short(metadata: dict[str, Any] | None) -> str:
    parts = []
    for name, value in (metadata or {}).items():
        text = str(value)
        parts.append(f"{name}: {text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}")
    return "; ".join(parts)
