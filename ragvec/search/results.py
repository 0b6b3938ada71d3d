"""The typed answer to one query, with views for numpy and pandas."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import msgspec

from ragvec.extras import require
from ragvec.search.request import Hits
from ragvec.types import Distances, FloatVector, Metric

if TYPE_CHECKING:
    import pandas

__all__ = ["Hit", "Results", "ResultsList"]

_VALUE = 60
_KEY = 40
_ROWS = 50


class Hit(msgspec.Struct, frozen=True, eq=False):
    """One record that a query found. `metadata` and `data` (float32 (dimension,)) are None when they were not asked
    for.

    A hit of a query by text has the `score` that it was ranked by and the `scores` of each text by name; its distance
    is NaN where there was no vector.
    """

    key: str
    distance: float
    metadata: dict[str, Any] | None = None
    data: FloatVector | None = None
    score: float | None = None
    scores: dict[str, float] | None = None

    def __repr__(self) -> str:
        parts = [repr(_cut(self.key, _KEY))]
        if self.score is not None:
            parts.append(f"score={self.score:.4f}")
        if not math.isnan(self.distance):
            parts.append(f"distance={self.distance:.4f}")
        if self.metadata is not None:
            shown = {
                name: _cut(value, _VALUE) if isinstance(value, str) else value for name, value in self.metadata.items()
            }
            parts.append(f"metadata={shown!r}")
        if self.data is not None:
            parts.append(f"data=float32[{len(self.data)}]")
        return f"Hit({', '.join(parts)})"


class Results(Sequence[Hit]):
    """The hits of one query, nearest first, ties in byte order of key."""

    def __init__(self, hits: Hits, *, metric: Metric) -> None:
        self._hits = hits
        self.metric = metric

    @property
    def keys(self) -> list[str]:
        """The keys, in order."""
        return list(self._hits.keys)

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
            frame.insert(0, name, pandas.Series(values, dtype=object) if name == "key" else values)
        return frame

    def __len__(self) -> int:
        return len(self._hits)

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
        best = f", nearest {_cut(self.keys[0], _KEY)!r} at {self.distances[0]:.4f}" if len(self) else ""
        return f"<Results: {self._found()}{best}>"

    def _found(self) -> str:
        number = f"{len(self):,}" if len(self) else "no"
        return f"{number} {'hit' if len(self) == 1 else 'hits'} by {self._by()}"

    def _by(self) -> str:
        return self.metric

    def _numbers(self) -> dict[str, FloatVector]:
        """The columns of numbers, by their names in HTML."""
        return {"distance": self.distances}

    @staticmethod
    def _shortened(text: str) -> str:
        return _cut(text, _KEY)

    def _repr_html_(self) -> str:
        if not len(self):
            return f"<div>{html.escape(self._found())}</div>"
        numbers = self._numbers()
        left = 'style="text-align:left;vertical-align:top;overflow-wrap:anywhere"'
        narrow = 'style="text-align:right;vertical-align:top;white-space:nowrap"'
        body = "".join(
            f'<tr><td {left} dir="auto">{html.escape(_cut(hit.key, 2 * _VALUE))}</td>'
            + "".join(f"<td {narrow}>{values[at]:.4f}</td>" for values in numbers.values())
            + f'<td {left} dir="auto">{_html_metadata(hit.metadata)}</td></tr>'
            for at, hit in enumerate(self[:_ROWS])
        )
        more = len(self) - _ROWS
        rest = f"<div>and {more:,} more: see <code>.to_pandas()</code></div>" if more > 0 else ""
        columns = "".join(f"<th {narrow}>{name}</th>" for name in numbers)
        head = f"<tr><th {left}>key</th>{columns}<th {left}>metadata</th></tr>"
        found = html.escape(self._found())
        return f"<div><div>{found}</div><table><thead>{head}</thead><tbody>{body}</tbody></table>{rest}</div>"


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


def _html_metadata(metadata: dict[str, Any] | None) -> str:
    """Names in italics with their values, the direction of each its own."""
    return "; ".join(
        f"<i>{html.escape(_cut(name, _KEY))}</i>: <bdi>{html.escape(_cut(str(value), _VALUE))}</bdi>"
        for name, value in (metadata or {}).items()
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
