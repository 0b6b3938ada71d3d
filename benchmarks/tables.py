"""Answers as tables: for each question a title, what it says, the head, and the rows as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.filtered import LABELS, TARGET
from benchmarks.measure import at_recall, frontier
from benchmarks.small import SIZES
from benchmarks.systems import SYSTEMS

__all__ = ["Section", "curves", "filtered", "inserts", "pages", "representative", "small", "writes"]

Section = tuple[str, str, tuple[str, ...], list[list[str]]]
Group = dict[str, Any]
NONE = "–"
SHOWN = 160


def representative(points: list[dict[str, Any]]) -> dict[str, Any]:
    """The point that stands for a curve: the first of its frontier at the target recall, else its best recall."""
    line = frontier(points)
    return next((point for point in line if point["recall"] >= TARGET), line[-1])


def curves(data: str, group: Group) -> Iterable[Section]:
    """Speed at recall, then what it costs, libraries and products apart."""
    for kind, title in (("library", "libraries"), ("product", "products, keys and metadata returned")):
        chosen = {name: answer for name, answer in _ordered(group) if SYSTEMS[name].group == kind}
        if not chosen:
            continue
        head = ("one thread", "q/s at 0.98", "q/s at 0.99", "recall", "q/s", "p50 ms", "p99 ms")
        head += ("all: q/s at 0.98", "at 0.99")
        lines, costs = [], []
        for name, answer in chosen.items():
            if "failed" in answer:
                lines.append([name, *[NONE] * (len(head) - 1)])
                continue
            result = answer["result"]
            points, every, made = result["points"], result["all"], result["built"]
            point = representative(points)
            lines.append(
                [
                    name,
                    *(_rate(at_recall(points, target)) for target in (0.98, 0.99)),
                    f"{point['recall']:.3f}",
                    _rate(point["rate"]),
                    f"{point['p50']:.3f}",
                    f"{point['p99']:.3f}",
                    *(_rate(at_recall(every, target)) for target in (0.98, 0.99)),
                ]
            )
            costs.append(
                [
                    name,
                    _mega(result["resident"]["anonymous"]),
                    _mega(result["resident"]["files"]),
                    _mega(made["peak"]),
                    f"{made['insert']:.1f}" if made["insert"] else NONE,
                    f"{made['build']:.1f}",
                    _mega(made["disk"]),
                    f"{result['first']:.2f}",
                ]
            )
        note = "Ten nearest, one query at a time, then all queries at once."
        yield f"{data}: {title}", note + _missing(chosen), head, lines
        head = (
            "costs",
            "memory MB",
            "mapped MB",
            "peak in build MB",
            "insert s",
            "build s",
            "disk MB",
            "first answer s",
        )
        note = "`first answer`: from the start of a process, imports included, to its first answer on what was built."
        yield f"{data}: what {title.split(',')[0]} cost", note, head, costs


def filtered(data: str, group: Group) -> Iterable[Section]:
    """Queries/s with recall under each filter."""
    head = ("queries/s (recall)", *LABELS)
    lines, slow = [], []
    for name, answer in _ordered(group):
        if "failed" in answer:
            lines.append([name, *[NONE] * (len(head) - 1)])
            continue
        found = answer["result"]["filters"]
        lines.append([name, *(f"{_rate(found[label]['rate'])} ({found[label]['recall']:.3f})" for label in LABELS)])
        slow.append([name, *(f"{found[label]['p50']:.2f} / {found[label]['p99']:.2f}" for label in LABELS)])
    note = (
        "One thread, at the first search setting that reaches recall 0.98 with the filter, else the best of those "
        "tried. `same` and `opposite`: only the kind of the query's own record, and only the kind farthest from it."
    )
    yield f"{data}: with filters", note + _missing(group), head, lines
    yield f"{data}: with filters, latency", "As above.", ("p50 / p99 ms", *LABELS), slow


def writes(data: str, group: Group) -> Iterable[Section]:
    head = (
        "system",
        "quiet p50 ms",
        "p99",
        "recall",
        "writing p50 ms",
        "p99",
        "recall",
        "p50 ratio",
        "rows/s",
        "segments",
    )
    lines = []
    for name, answer in _ordered(group):
        if "failed" in answer:
            lines.append([name, *[NONE] * (len(head) - 1)])
            continue
        result = answer["result"]
        quiet, busy, (before, after) = result["quiet"], result["busy"], result["parts"]
        lines.append(
            [
                name.replace("+process", ", writer apart"),
                *(f"{quiet[field]:.3f}" for field in ("p50", "p99", "recall")),
                *(f"{busy[field]:.3f}" for field in ("p50", "p99", "recall")),
                f"{busy['p50'] / quiet['p50']:.2f}",
                f"{result['writes']:,.0f}",
                NONE if before is None else f"{before} → {after}",
            ]
        )
    note = (
        "Queries without pause while 1,000 rows a second are to arrive in batches of 100, all threads allowed; rows/s "
        "is what did arrive. The writer is a thread of the same process, or a process of its own."
    )
    yield f"{data}: while rows arrive", note + _missing(group), head, lines


def pages(data: str, group: Group) -> Iterable[Section]:
    head = ("system", "top_k", "pages", "first ms", "p99", "later ms", "p99", "recall")
    lines = []
    for name, answer in _ordered(group):
        if "failed" in answer:
            lines.append([name, *[NONE] * (len(head) - 1)])
            continue
        one = answer["result"]
        times = [NONE if one[field] is None else f"{one[field]:.2f}" for field in _PAGE_TIMES]
        lines.append([name, f"{one['top_k']:,}", str(one["pages"]), *times, f"{one['recall']:.4f}"])
    yield (
        f"{data}: all pages of a large answer",
        "Through the client, keys and distances, one thread." + _missing(group),
        head,
        lines,
    )


_PAGE_TIMES = ("first", "first_p99", "later", "later_p99")


def small(data: str, group: Group) -> Iterable[Section]:
    head = ("p50 ms (recall)", *(f"{size:,} rows" for size in SIZES))
    lines = []
    for name, answer in _ordered(group):
        if "failed" in answer:
            lines.append([name, *[NONE] * (len(head) - 1)])
            continue
        found = answer["result"]["sizes"]
        lines.append([name, *(f"{found[str(size)]['p50']:.3f} ({found[str(size)]['recall']:.3f})" for size in SIZES)])
    note = "The median latency of one query, ten nearest, one thread."
    yield f"{data}: small collections", note + _missing(group), head, lines


def inserts(data: str, group: Group) -> Iterable[Section]:
    lines = []
    for name, answer in _ordered(group):
        if "failed" in answer:
            lines.append([name, *[NONE] * (3 - 1)])
            continue
        result = answer["result"]
        lines.append([name, f"{result['rate']:,.0f}", f"{result['rows']:,}"])
    note = "Batches of 500 rows with metadata into an empty store, each as durable as the system makes it."
    yield f"{data}: inserts by 500 rows", note + _missing(group), ("system", "rows/s", "rows put"), lines


def _ordered(group: Group) -> list[tuple[str, Any]]:
    order = list(SYSTEMS)
    return sorted(group.items(), key=lambda item: (order.index(item[0].removesuffix("+process")), item[0]))


def _missing(group: Group) -> str:
    """A sentence on each system that gave no figures."""
    failed = {name: answer["failed"] for name, answer in _ordered(group) if "failed" in answer}
    return "".join(f" No figures for {name}: {reason[:SHOWN]}." for name, reason in failed.items())


def _rate(rate: float | None) -> str:
    if rate is None:
        return NONE
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def _mega(count: float) -> str:
    return f"{count / 1e6:,.0f}"
