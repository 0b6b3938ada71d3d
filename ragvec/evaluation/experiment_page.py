"""An experiment's report as a page of its own."""

from __future__ import annotations

import html

from ragvec.evaluation.experiment_plots import (
    figure_svg,
    quality_against_latency,
    recall_by_depth,
    wins_and_losses,
)
from ragvec.evaluation.experiment_report import ExperimentReport
from ragvec.evaluation.significance import Comparison

__all__ = ["page"]

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
th:first-child, td:first-child { text-align: left; }
td { font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; background: white; border-radius: 4px; }
figcaption { opacity: .75; }
.sure { font-weight: 600; }
"""  # noqa: E501
_QUERIES = 20


def page(report: ExperimentReport) -> str:
    """The report in HTML; it loads nothing from elsewhere. Raises MissingExtra: pandas or matplotlib is absent."""
    first = report.measures[0]
    best = report.best()
    figures = [
        (quality_against_latency(report), f"Mean {first} with its 95 % interval against the median time of a query."),
        (recall_by_depth(report), "How much of what is relevant is among the first answers."),
    ]
    comparisons = report.compare()
    if comparisons:
        figures.append(
            (wins_and_losses(report), f"Queries on which each configuration is above or below {best.name}, by {first}.")
        )
    drawn = "".join(
        f"<figure>{figure_svg(figure)}<figcaption>{html.escape(caption)}</figcaption></figure>"
        for figure, caption in figures
    )
    note = ""
    if report.workers > 1:
        note = f"<p>{report.workers} configurations were asked at once: times of single queries are longer for it.</p>"
    title = html.escape(f"Experiment on {report.collection}")
    table = report.to_pandas().round(4).to_html(border=0)
    beside = _comparison_table(comparisons, best.name) if comparisons else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"</head><body><h1>{title}</h1><p>{len(report.qrels):,} queries, {len(report.outcomes)} configurations.</p>"
        f"{note}{table}{beside}{drawn}{_hardest(report)}</body></html>\n"
    )


def _comparison_table(comparisons: list[Comparison], best: str) -> str:
    rows = "".join(
        f"<tr{' class=sure' if each.significant() else ''}><td>{html.escape(each.system)}</td>"
        f"<td>{each.difference:+.4f}</td><td>{each.low:+.4f} … {each.high:+.4f}</td><td>{each.p:.4f}</td>"
        f"<td>{each.wins} / {each.ties} / {each.losses}</td></tr>"
        for each in comparisons
    )
    head = "<tr><th>configuration</th><th>difference</th><th>95 %</th><th>p</th><th>wins / ties / losses</th></tr>"
    return (
        f"<h2>Beside {html.escape(best)}</h2><p>{html.escape(comparisons[0].measure)}; randomization tests, p values "
        "corrected by Holm's method; bold where p &lt; 0.05.</p>"
        f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"
    )


def _hardest(report: ExperimentReport) -> str:
    """The queries on which the configurations differ most, and then those that none answers well."""
    frame = report.per_query()
    values = frame.drop(columns="text")
    order = (values.max(axis=1) - values.min(axis=1)).sort_values(ascending=False, kind="stable").index
    shown = frame.loc[order[:_QUERIES]].round(3)
    return (
        f"<h2>Where they differ most</h2><p>{html.escape(report.measures[0])} of {len(shown)} of {len(frame)} queries."
        f"</p>{shown.to_html(border=0)}"
    )
