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
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


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
    times = [outcome.median_milliseconds for outcome in report.outcomes]
    _plain_log(axes, [tick for tick in _TICKS if min(times) / 2 <= tick <= 2 * max(times)])
    axes.set_xlabel("milliseconds a query (median)")
    axes.set_ylabel(wanted)
    figure.legend(fontsize="small", loc="outside right upper")
    return figure


def recall_by_depth(report: ExperimentReport) -> Figure:
    """Mean recall against how many answers are looked at. Raises MissingExtra."""
    figure, axes = _figure()
    depths = report.recall_by_depth()
    for at, (name, values) in enumerate(depths.items()):
        axes.plot(list(values), list(values.values()), marker=_MARKERS[at % len(_MARKERS)], markersize=4, label=name)
    _plain_log(axes, list(next(iter(depths.values()))))
    axes.set_xlabel("answers looked at")
    axes.set_ylabel("recall")
    figure.legend(fontsize="small", loc="outside right upper")
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
    figure.legend(fontsize="small", loc="outside right upper")
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
    colours = require("matplotlib", extra="eval", purpose="A plot").colormaps["tab20"].colors
    figure: Figure = figures.Figure(figsize=(9.0, height), layout="constrained")
    axes = figure.subplots()
    # The dark ones first: neighbours in the table are the same colour, light and dark.
    axes.set_prop_cycle(color=[*colours[::2], *colours[1::2]])
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _plain_log(axes: Any, ticks: list[float]) -> None:
    """A logarithmic x axis with these numbers on it, as people write them."""
    axes.set_xscale("log")
    axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
