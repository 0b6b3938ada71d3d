"""Settings of search that belong to one index, and choosing them by measurement on its user's own queries."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from ragvec.engine.protocol import Ranking, Tuning
from ragvec.types import FloatMatrix

__all__ = ["SETTINGS", "Settings", "measured"]

SETTINGS = "ragvec.search"
"""The property of an index under which the catalog keeps its settings."""

_EFFORTS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 16.0, 32.0)


class Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """The recall to search for, None for that of the engine, and by what the effort of every search is multiplied, None
    for exact search (JSON has no infinity)."""

    recall_target: float | None = None
    effort: float | None = 1.0

    @property
    def factor(self) -> float:
        """The effort as a number."""
        return math.inf if self.effort is None else self.effort

    @classmethod
    def of(cls, stored: Any) -> Settings:
        """From the JSON value that the catalog keeps, or None."""
        return cls() if stored is None else msgspec.convert(stored, cls)


def measured(
    search: Callable[[FloatMatrix, float], list[Ranking]], queries: FloatMatrix, *, k: int, recall_target: float
) -> Tuning:
    """The least effort with which `search` (queries, effort) finds `recall_target` of the exact `k` nearest of
    `queries` (m, dimension); exact search where none does.

    A row at the distance of the k-th counts as found, whichever of several such was returned.
    """
    exact = search(queries, math.inf)
    recall = 1.0
    for effort in _EFFORTS:
        recall = _recall(search(queries, effort), exact)
        if recall >= recall_target:
            return Tuning(recall_target=recall_target, effort=effort, recall=recall, k=k, queries=len(queries))
    return Tuning(recall_target=recall_target, effort=math.inf, recall=1.0, k=k, queries=len(queries))


def _recall(found: list[Ranking], exact: list[Ranking]) -> float:
    """The share of the exact nearest that were found, all lists of which are of one length."""
    wanted = sum(len(best.distances) for best in exact)
    there = sum(
        int(np.count_nonzero(some.distances <= best.distances[-1]))
        for some, best in zip(found, exact, strict=True)
        if len(best.distances)
    )
    return there / wanted if wanted else 1.0


# Made once while the module is imported: msgspec may crash where threads meet a type for the first time together.
msgspec.json.Decoder(Settings)
