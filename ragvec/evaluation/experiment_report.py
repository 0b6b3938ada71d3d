"""What an experiment found: a table, comparisons that know chance, single queries, and a page with plots."""

from __future__ import annotations

import html
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.evaluation.measures import Measure, Scores
from ragvec.evaluation.significance import Comparison, compare, interval
from ragvec.extras import require

if TYPE_CHECKING:
    import pandas

__all__ = ["ExperimentReport", "Outcome"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One configuration: its scores, its answers, what each query took, and what its index cost."""

    name: str
    scores: Scores
    run: dict[str, list[tuple[str, float]]]
    milliseconds: dict[str, float]
    passages: int
    ingest_seconds: float

    @property
    def median_milliseconds(self) -> float:
        """The median time of a query."""
        return statistics.median(self.milliseconds.values()) if self.milliseconds else 0.0


class ExperimentReport(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The outcomes of an experiment, in the order of its configurations."""

    collection: str
    outcomes: tuple[Outcome, ...]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    workers: int = 1

    def __repr__(self) -> str:
        return f"<ExperimentReport on {self.collection!r}: {len(self.outcomes)} configurations>"

    @property
    def measures(self) -> list[str]:
        """The names of the measures, the first of which decides the order where nobody says otherwise."""
        return list(self.outcomes[0].scores.means)

    def __getitem__(self, name: str) -> Outcome:
        """The outcome of a configuration. Raises InvalidRequest: there is none of this name."""
        for outcome in self.outcomes:
            if outcome.name == name:
                return outcome
        raise InvalidRequest(f"Expected one of {', '.join(each.name for each in self.outcomes)}, got {name!r}")

    def best(self, measure: str | None = None) -> Outcome:
        """The outcome with the highest mean; of equal ones the first."""
        wanted = self._measure(measure)
        return max(self.outcomes, key=lambda outcome: outcome.scores.means[wanted])

    def compare(self, measure: str | None = None, *, baseline: str | None = None) -> list[Comparison]:
        """Every other configuration beside the `baseline`, by default the best one, with p values corrected for their
        number; see `ragvec.evaluation.significance`."""
        wanted = self._measure(measure)
        values = {
            outcome.name: {query: scores[wanted] for query, scores in outcome.scores.per_query.items()}
            for outcome in self.outcomes
        }
        return compare(values, baseline=baseline or self.best(wanted).name, measure=wanted)

    def per_query(self, measure: str | None = None) -> pandas.DataFrame:
        """A row a query, with its text, and a column a configuration. Raises MissingExtra: pandas is not installed."""
        pandas = require("pandas", extra="eval", purpose="A table of queries")
        wanted = self._measure(measure)
        columns: dict[str, Any] = {"text": {query: self.queries.get(query, "") for query in self.qrels}}
        for outcome in self.outcomes:
            columns[outcome.name] = {query: values[wanted] for query, values in outcome.scores.per_query.items()}
        return pandas.DataFrame(columns)

    def recall_by_depth(self, depths: tuple[int, ...] = (1, 2, 3, 5, 10, 20, 50, 100)) -> dict[str, dict[int, float]]:
        """{configuration: {depth: mean recall}}: how much of what is relevant is among so many answers."""
        found: dict[str, dict[int, float]] = {}
        for outcome in self.outcomes:
            rankings = {query: [document for document, _ in answers] for query, answers in outcome.run.items()}
            found[outcome.name] = {
                depth: statistics.fmean(
                    Measure("R", depth).of(rankings.get(query, []), grades) for query, grades in self.qrels.items()
                )
                for depth in depths
            }
        return found

    def to_pandas(self) -> pandas.DataFrame:
        """A row a configuration, best first by the first measure: the means, the 95 % interval of the first, the median
        and 99th percentile of milliseconds a query, passages, and seconds of ingesting.

        Raises:
            MissingExtra: pandas is not installed.
        """
        pandas = require("pandas", extra="eval", purpose="A table of configurations")
        first = self.measures[0]
        rows = []
        for outcome in sorted(self.outcomes, key=lambda outcome: -outcome.scores.means[first]):
            low, high = interval([values[first] for values in outcome.scores.per_query.values()])
            times = sorted(outcome.milliseconds.values())
            rows.append(
                {
                    "configuration": outcome.name,
                    **outcome.scores.means,
                    f"{first} low": low,
                    f"{first} high": high,
                    "ms p50": outcome.median_milliseconds,
                    "ms p99": times[min(len(times) - 1, int(0.99 * len(times)))] if times else 0.0,
                    "unanswered": len(outcome.scores.unanswered),
                    "passages": outcome.passages,
                    "ingest s": outcome.ingest_seconds,
                }
            )
        return pandas.DataFrame(rows).set_index("configuration")

    def save(self, path: str | Path) -> Path:
        """Write the report as one HTML page that loads nothing from elsewhere, plots included. Raises MissingExtra:
        pandas or matplotlib is not installed."""
        from ragvec.evaluation.experiment_page import page

        target = Path(path)
        target.write_text(page(self), encoding="utf-8")
        return target

    def _repr_html_(self) -> str:
        table: str = self.to_pandas().round(4).to_html(border=0)
        return f"<div>{html.escape(repr(self))}</div>{table}"

    def _measure(self, measure: str | None) -> str:
        if measure is not None and measure not in self.measures:
            raise InvalidRequest(f"Expected one of {', '.join(self.measures)}, got {measure!r}", path="measure")
        return measure or self.measures[0]
