"""The typed answer to a query by text, alone or with a vector."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, overload

from ragvec.search.hybrid import BM25, FUSED
from ragvec.search.request import ScoredHits
from ragvec.search.results import Hit, Results
from ragvec.types import FloatVector, Metric

if TYPE_CHECKING:
    import pandas

__all__ = ["TextResults"]


class TextResults(Results):
    """The hits of one query by text, best first, ties in byte order of key; `texts` are the keys that were searched.

    Distances are NaN where there was no vector; each hit then has NaN too.
    """

    def __init__(self, hits: ScoredHits, *, metric: Metric, texts: Sequence[str]) -> None:
        super().__init__(hits, metric=metric)
        self.texts = tuple(texts)
        self._name = FUSED if FUSED in hits.scores else BM25
        self._scores = dict(hits.scores)

    @property
    def score(self) -> FloatVector:
        """What the hits are in order of, float32 (len(self),): BM25 for texts alone, the fused score otherwise."""
        return self._scores[self._name]

    @property
    def scores(self) -> Mapping[str, FloatVector]:
        """The score of each text by itself, float32 (len(self),): "bm25:title" and the like, 0 for a hit without any of
        its words."""
        return {name: values for name, values in self._scores.items() if name != self._name}

    def to_pandas(self) -> pandas.DataFrame:
        """As `Results.to_pandas`, with columns score and "bm25:<key>" behind the key, and distance where there was a
        vector.

        Raises:
            MissingExtra: pandas is not installed.
        """
        frame = super().to_pandas()
        if not self._has_distances():
            del frame["distance"]
        for place, (name, values) in enumerate({"score": self.score, **self.scores}.items(), 1):
            if name in frame:  # a metadata key of the same name stays, under another
                frame = frame.rename(columns={name: f"metadata.{name}"})
            frame.insert(place, name, values)
        return frame

    @overload
    def __getitem__(self, position: int) -> Hit: ...

    @overload
    def __getitem__(self, position: slice) -> list[Hit]: ...

    def __getitem__(self, position: int | slice) -> Hit | list[Hit]:
        if isinstance(position, slice):
            return [self[at] for at in range(*position.indices(len(self)))]
        record = self._hits.records[position]
        return Hit(
            record.key,
            float(self.distances[position]),
            record.metadata,
            record.data,
            float(self.score[position]),
            {name: float(values[position]) for name, values in self.scores.items()},
        )

    def __repr__(self) -> str:
        best = f", best {self._shortened(self.keys[0])!r} at {self.score[0]:.4f}" if len(self) else ""
        return f"<TextResults: {self._found()}{best}>"

    def _by(self) -> str:
        keys = ", ".join(self._shortened(key) for key in self.texts)
        return f"text in {keys} and {self.metric}" if self._has_distances() else f"text in {keys}"

    def _numbers(self) -> dict[str, FloatVector]:
        named = {html.escape(self._shortened(name)): values for name, values in self.scores.items()}
        return {"score": self.score} | named | ({"distance": self.distances} if self._has_distances() else {})

    def _has_distances(self) -> bool:
        return bool(len(self)) and not math.isnan(self.distances[0])
