"""The measures that ragvec is held to, beside the best of its peers in the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.filtered import LABELS, TARGET
from benchmarks.measure import at_recall
from benchmarks.systems import SYSTEMS
from benchmarks.tables import representative

__all__ = ["goals"]

Answers = dict[tuple[str, str], dict[str, Any]]
GRAPHS = ("hnswlib", "faiss-hnsw", "usearch")
RAW = ("scann", "scann-pca128", "scann-pca192")
PRODUCTS = tuple(name for name, entry in SYSTEMS.items() if entry.group == "product" and name != "ragvec-client")


def goals(answers: Answers) -> list[list[str]]:
    """Rows of (measure and goal, ragvec, the peer with its name, ratio), of what has been measured."""
    found: list[list[str]] = []
    for data in ("real", "million"):
        found += _libraries(data, _results(answers, "curves", data))
    found += _products(_results(answers, "curves", "real"))
    for data in ("real", "million"):
        found += _filters(data, _results(answers, "filtered", data))
    found += _alone(answers)
    return found


def _results(answers: Answers, question: str, data: str) -> dict[str, Any]:
    group = answers.get((question, data), {})
    return {name: answer["result"] for name, answer in group.items() if "result" in answer}


def _libraries(data: str, results: dict[str, Any]) -> Iterator[list[str]]:
    ours = results.get("ragvec")
    if ours is None:
        return
    graph_goal = 1.2 if data == "real" else 1.0
    for target in (0.98, 0.99):
        for peers, goal in ((RAW, 0.9), (GRAPHS, graph_goal)):
            kind = "raw ScaNN" if peers is RAW else "the best graph"
            there = {name: results[name] for name in peers if name in results}
            label = f"{data}, q/s at {target}, {kind}: ≥ {goal}"
            yield from _faster(label, ours, there, lambda one, target=target: at_recall(one["points"], target))
    graphs = {name: results[name] for name in GRAPHS if name in results}
    if graphs:
        best = max(graphs, key=lambda name: at_recall(graphs[name]["points"], TARGET) or 0)
        for label, field, goal in (("memory", _memory, 6), ("build s", _built, 2)):
            mine, theirs = field(ours), field(graphs[best])
            yield [
                f"{data}, {label} of the best graph: ≥ {goal} ×",
                _number(mine),
                f"{_number(theirs)} {best}",
                _ratio(theirs, mine),
            ]


def _products(results: dict[str, Any]) -> Iterator[list[str]]:
    ours, peers = results.get("ragvec-client"), {name: results[name] for name in PRODUCTS if name in results}
    if ours is not None:
        yield from _faster(
            "real, client with metadata, q/s at 0.98: ≥ 6", ours, peers, lambda one: at_recall(one["points"], TARGET)
        )
        point = representative(ours["points"])
        yield [
            "real, client: p99 under 3 × p50",
            f"{point['p99']:.3f} ms",
            f"{point['p50']:.3f} ms",
            _ratio(point["p99"], point["p50"]),
        ]
        arrays = results.get("ragvec")
        if arrays is not None and peers:
            times = {name: one["built"]["insert"] + one["built"]["build"] for name, one in peers.items()}
            best = min(times, key=lambda name: times[name])
            mine = arrays["built"]["insert"]
            yield [
                "real, insert by array until searchable, s: faster",
                f"{mine:.1f}",
                f"{times[best]:.1f} {best}",
                _ratio(times[best], mine),
            ]


def _filters(data: str, results: dict[str, Any]) -> Iterator[list[str]]:
    ours = results.get("ragvec")
    if ours is None:
        return
    measured = any(name in results for name in PRODUCTS)
    for label in LABELS:
        mine = ours["filters"][label]
        peers = {
            name: results[name]["filters"][label]["rate"]
            for name in PRODUCTS
            if name in results and results[name]["filters"][label]["recall"] >= TARGET
        }
        goal = 4 if label in ("0.1%", "0.01%") else 40
        shown = f"{mine['rate']:,.0f} ({mine['recall']:.3f})"
        if not peers:
            yield [
                f"{data}, filter {label}, q/s (recall ≥ 0.98)",
                shown,
                "no product at 0.98" if measured else "not asked",
                "–",
            ]
            continue
        best = max(peers, key=lambda name: peers[name])
        yield [
            f"{data}, filter {label}, q/s: ≥ {goal}",
            shown,
            f"{peers[best]:,.1f} {best}",
            _ratio(mine["rate"], peers[best]),
        ]


def _alone(answers: Answers) -> Iterator[list[str]]:
    """What is held to a figure and not to a peer."""
    million = _results(answers, "curves", "million").get("ragvec")
    if million:
        yield ["million, memory in serving: ≤ 350 MB", f"{million['resident']['anonymous'] / 1e6:,.0f} MB", "", ""]
        yield ["million, first answer: < 1 s", f"{million['first']:.2f} s", "", ""]
    for one in _results(answers, "small", "real").items():
        if one[0] == "ragvec":
            worst = max(point["p50"] for point in one[1]["sizes"].values())
            yield ["10 to 5,000 rows, largest p50: < 0.3 ms", f"{worst:.3f} ms", "", ""]
    put = _results(answers, "inserts", "real").get("ragvec-client")
    if put:
        yield ["by 500-row PutVectors: ≥ 15,000 rows/s", f"{put['rate']:,.0f}", "", ""]
    for name, one in _results(answers, "writes", "real").items():
        if name.startswith("ragvec"):
            ratio = _ratio(one["busy"]["p50"], one["quiet"]["p50"])
            shown = f"{one['busy']['p50']:.3f} ms ({one['busy']['recall']:.3f})"
            yield [f"p50 while rows arrive, {name}: ≤ 1.5", shown, f"{one['quiet']['p50']:.3f} ms quiet", ratio]
    paged = _results(answers, "pages", "million").get("ragvec")
    if paged:
        shown = f"{paged['first']:.1f} / {paged['later'] or 0:.2f} ms ({paged['recall']:.4f})"
        yield ["million, top_k 10,000, first ≤ 40 ms, later ≤ 3 ms", shown, "", ""]


def _faster(
    label: str, ours: dict[str, Any], peers: dict[str, Any], rate: Callable[[dict[str, Any]], float | None]
) -> Iterator[list[str]]:
    rates = {name: value for name, one in peers.items() if (value := rate(one)) is not None}
    mine = rate(ours)
    if rates:
        best = max(rates, key=lambda name: rates[name])
        shown = "not reached" if mine is None else f"{mine:,.0f}"
        yield [label, shown, f"{rates[best]:,.0f} {best}", _ratio(mine or 0.0, rates[best])]


def _memory(one: dict[str, Any]) -> float:
    return float(one["resident"]["anonymous"]) / 1e6


def _built(one: dict[str, Any]) -> float:
    return float(one["built"]["build"] + one["built"]["insert"])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _ratio(above: float, below: float) -> str:
    return f"{above / below:.2f}" if below else "–"
