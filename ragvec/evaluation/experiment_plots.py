"""The plots of an experiment, as figures of matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from ragvec.evaluation.significance import interval
from ragvec.extras import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ragvec.evaluation.experiment_report import ExperimentReport

__all__ = ["figure_svg", "quality_against_latency", "recall_by_depth", "wins_and_losses"]

_MARKERS = "osD^vP*Xph<>"


def quality_against_latency(report: ExperimentReport, measure: str | None = None) -> Figure:
    """The mean of a measure, with its 95 % interval, against the median time of a query. Raises MissingExtra."""
    figure, axes = _figure()
    wanted = measure or report.measures[0]
    for at, outcome in enumerate(report.outcomes):
        mean = outcome.scores.means[wanted]
        low, high = interval([values[wanted] for values in outcome.scores.per_query.values()])
        axes.errorbar(
            [outcome.median_milliseconds],
            [mean],
            yerr=[[max(0.0, mean - low)], [max(0.0, high - mean)]],
            marker=_MARKERS[at % len(_MARKERS)],
            capsize=3,
            linestyle="none",
            label=outcome.name,
        )
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds a query (median)")
    axes.set_ylabel(wanted)
    axes.legend(fontsize="small")
    return figure


def recall_by_depth(report: ExperimentReport) -> Figure:
    """Mean recall against how many answers are looked at. Raises MissingExtra."""
    figure, axes = _figure()
    for at, (name, values) in enumerate(report.recall_by_depth().items()):
        axes.plot(list(values), list(values.values()), marker=_MARKERS[at % len(_MARKERS)], markersize=4, label=name)
    axes.set_xscale("log")
    axes.set_xlabel("answers")
    axes.set_ylabel("recall")
    axes.legend(fontsize="small")
    return figure


def wins_and_losses(report: ExperimentReport, measure: str | None = None, *, baseline: str | None = None) -> Figure:
    """How many queries each configuration answers better or worse than the baseline (default: the best). Raises
    MissingExtra."""
    comparisons = report.compare(measure, baseline=baseline)
    figure, axes = _figure(height=1.2 + 0.4 * len(comparisons))
    names = [each.system for each in comparisons]
    axes.barh(names, [each.wins for each in comparisons], label="better")
    axes.barh(names, [-each.losses for each in comparisons], label="worse")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(f"queries, beside {comparisons[0].baseline}")
    axes.legend(fontsize="small")
    return figure


def figure_svg(figure: Figure) -> str:
    """The figure as an SVG element; the same figure gives the same text."""
    matplotlib = require("matplotlib", extra="eval", purpose="A plot")
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "ragvec", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _figure(*, height: float = 4.2) -> tuple[Figure, Any]:
    # Not by pyplot, which keeps figures and picks a window system.
    figures = require("matplotlib.figure", extra="eval", purpose="A plot", package="matplotlib")
    figure: Figure = figures.Figure(figsize=(8.0, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True, alpha=0.3)
    return figure, axes
