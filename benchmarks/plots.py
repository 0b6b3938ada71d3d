"""Two plots: recall against queries/s for each collection, and filtered latency against selectivity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import NullLocator

from benchmarks.filtered import SHARES, TARGET
from benchmarks.measure import frontier
from benchmarks.systems import SYSTEMS

__all__ = ["draw"]

LEAST_RECALL = 0.90
OURS = {"ragvec": "#c1121f", "ragvec-faiss": "#e76f51", "ragvec-client": "#8a0f18"}
OTHERS = (
    *("#1b4965", "#2a9d8f", "#5fa8d3", "#6a4c93", "#b5838d", "#8d99ae", "#606c38"),
    *("#b08900", "#3d405b", "#7f5539", "#0081a7", "#a4ac86", "#9d4edd"),
)
RECALLS = (0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)
LEAST_MISS = 0.0005
"""On a logarithmic axis of what is missed, full recall is drawn here."""
MARKS = "osD^vP*Xh<>p"

Answers = dict[tuple[str, str], dict[str, Any]]


def draw(answers: Answers, folder: Path) -> list[tuple[str, Path]]:
    """Draw what has been measured into `folder`; returns labels and files."""
    drawn = []
    curves = {data: _results(group) for (question, data), group in answers.items() if question == "curves"}
    if any(curves.values()):
        drawn.append(("Recall against queries per second", _recall(curves, folder / "benchmarks-recall.png")))
    filtered = _results(answers.get(("filtered", "real"), {}))
    if filtered:
        drawn.append(("Latency with filters", _filters(filtered, folder / "benchmarks-filters.png")))
    return drawn


def _results(group: dict[str, Any]) -> dict[str, Any]:
    return {name: group[name]["result"] for name in SYSTEMS if "result" in group.get(name, {})}


def _style(name: str) -> dict[str, Any]:
    at = list(SYSTEMS).index(name)
    peers = [other for other in SYSTEMS if other not in OURS]
    colour = OURS.get(name) or OTHERS[peers.index(name) % len(OTHERS)]
    thick = 2.4 if name in OURS else 1.3
    size = 8 if name in OURS else 5
    return {"color": colour, "marker": MARKS[at % len(MARKS)], "markersize": size, "linewidth": thick, "label": name}


def _recall(curves: dict[str, Any], path: Path) -> Path:
    names = [name for name in ("real", "million", "wide") if curves.get(name)] or list(curves)
    figure, axes = plt.subplots(
        1, len(names), figsize=(5.4 * len(names) + 1.8, 5.6), squeeze=False, layout="constrained"
    )
    for axis, data in zip(axes[0], names, strict=True):
        for name, result in curves[data].items():
            line = [point for point in frontier(result["points"]) if point["recall"] >= LEAST_RECALL]
            missed = [_missed(point["recall"]) for point in line]
            axis.plot(missed, [point["rate"] for point in line], **_style(name))
        axis.set(title=data, xlabel="recall@10", xscale="log", yscale="log")
        axis.set_xlim(1 - LEAST_RECALL, LEAST_MISS * 0.9)
        axis.set_xticks([_missed(recall) for recall in RECALLS], [f"{recall:g}" for recall in RECALLS])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.axvline(_missed(TARGET), color="#555555", linewidth=1, linestyle=":")
        axis.grid(visible=True, which="major", alpha=0.3)
    axes[0][0].set_ylabel("queries per second, one thread")
    labels = {label: line for axis in axes[0] for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    shown = [name for name in SYSTEMS if name in labels]
    figure.legend([labels[name] for name in shown], shown, fontsize=9, loc="outside right center")
    return _saved(figure, path)


def _missed(recall: float) -> float:
    return max(1 - recall, LEAST_MISS)


def _filters(results: dict[str, Any], path: Path) -> Path:
    figure, axis = plt.subplots(figsize=(8.2, 5.4), layout="constrained")
    for name, result in results.items():
        points = [result["filters"][label] for label in SHARES]
        shares = [100 * SHARES[label] for label in SHARES]
        axis.plot(shares, [point["p50"] for point in points], **_style(name))
        missed = [
            (share, point["p50"]) for share, point in zip(shares, points, strict=True) if point["recall"] < TARGET
        ]
        if missed:
            axis.plot(*zip(*missed, strict=True), "o", markersize=13, markerfacecolor="none", markeredgecolor="black")
    axis.plot([], [], "o", markersize=11, markerfacecolor="none", markeredgecolor="black", label="recall below 0.98")
    axis.set(xscale="log", yscale="log", xlabel="rows that match, %", ylabel="median latency, ms, one thread")
    axis.set_title("real: ten nearest among the rows that match a filter")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks([100 * share for share in SHARES.values()], list(SHARES))
    axis.invert_xaxis()
    axis.grid(visible=True, which="major", alpha=0.3)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _saved(figure, path)


def _saved(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
