"""Search analytics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

from ragvec.kendra.learn.analytics import INTERVALS, METRICS, Interval, Metric, bounds, report
from ragvec.kendra.learn.members import choice, page
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known

__all__ = ["SnapshotOperations"]

_NOTHING = "-"


class SnapshotOperations(Operations):
    """Tell what was asked and clicked."""

    def get_snapshots(self, **members: Any) -> dict[str, Any]:
        """One metric of the queries of an interval, as a table of texts; "-" where there is nothing to say."""
        return self._perform("GetSnapshots", self._get_snapshots, members)

    def _get_snapshots(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "Interval", "MetricType", "NextToken", "MaxResults", operation="GetSnapshots")
        notes = Notes(self._index(given.get("IndexId")).index)
        interval = cast(Interval, choice(given, "Interval", INTERVALS))
        start, end = bounds(interval, now=time.time())
        found = report(notes, cast(Metric, choice(given, "MetricType", METRICS)), start=start, end=end)
        rows, token = page(found.rows, given)
        response = {
            "SnapShotTimeFilter": {"StartTime": start, "EndTime": end},
            "SnapshotsDataHeader": list(found.columns),
            "SnapshotsData": [[_text(value) for value in row] for row in rows],
        }
        return response if token is None else {**response, "NextToken": token}


def _text(value: object) -> str:
    if value is None:
        return _NOTHING
    return f"{value:.4f}" if isinstance(value, float) else str(value)
