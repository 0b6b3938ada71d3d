"""How fast and how right with a filter: from half of the rows to one in 10,000, and with filters that go with meaning.

- `50%` to `0.01%`: a range of `serial`, a random permutation of the row numbers, so that what matches is spread evenly
  over meaning and storage; four ranges of that size take turns.
- `same`: the `lexname` of the record that the query came from, so that most of its neighbours match.
- `opposite`: of the lexnames of at least one row in 200, the one whose mean vector is farthest from the query.

A system starts at the first of its settings that reached recall 0.98 without filters, and goes on to larger ones while
the filtered recall is below that. The answers are judged against exact search among the matching rows.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.data import EDITION, cache_folder
from benchmarks.measure import K, timed
from benchmarks.processes import in_child
from benchmarks.stores import built, loaded, place
from benchmarks.systems import system
from benchmarks.systems.base import Condition

__all__ = ["LABELS", "SHARES", "TARGET", "ask", "measure", "prepare"]

SHARES = {"50%": 0.5, "10%": 0.1, "2%": 0.02, "1%": 0.01, "0.1%": 0.001, "0.01%": 0.0001}
LABELS = (*SHARES, "same", "opposite")
WINDOWS = 4
TARGET = 0.98
MOST_SETTINGS = 3


def measure(
    name: str,
    *,
    data: str,
    rows: int | None,
    queries: int,
    seconds: float,
    limit: float,
    threads: int,
    points: list[dict[str, Any]],
) -> dict[str, Any]:
    """Each filter's figures for one system; `points` is its unfiltered curve. Raises Failed."""
    arguments = {"data": data, "rows": rows, "queries": queries}
    questions = _questions(data, rows, queries)
    if not questions.is_file():
        in_child("benchmarks.filtered:prepare", {**arguments, "path": str(questions)}, limit=limit, threads=threads)
    made = built(name, data=data, rows=rows, limit=limit, threads=threads)
    settings = [point["setting"] for point in points]
    good = [point["setting"] for point in points if point["recall"] >= TARGET]
    if good:
        settings = settings[settings.index(good[0]) :]
    work = {
        "name": name, "data": data, "folder": str(place(name, data=data, rows=rows)),
        "questions": str(questions), "queries": queries, "seconds": seconds, "settings": settings,
    }  # fmt: skip
    return {"built": made, **in_child("benchmarks.filtered:ask", work, limit=limit, threads=1)}


def _questions(data: str, rows: int | None, queries: int) -> Path:
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    return cache_folder() / "filters" / f"{data}-{rows or 'all'}-{queries}-{EDITION}-{digest}.json"


def prepare(*, data: str, rows: int | None, queries: int, path: str) -> dict[str, Any]:
    """In a child: the conditions of every filter for every query, and the exact answers."""
    given = loaded(data, rows)
    asked = np.array(given.queries[:queries])
    scores = asked @ np.asarray(given.rows).T
    found: dict[str, Any] = {}
    for label, conditions, matching in _filters(given, asked):
        truth = []
        for at, condition in enumerate(conditions):
            inside = matching[condition]
            line = scores[at, inside]
            best = np.argpartition(-line, K - 1)[:K] if len(line) > K else np.arange(len(line))
            truth.append(inside[best[np.argsort(-line[best], kind="stable")]].tolist())
        share = float(np.mean([len(matching[condition]) for condition in conditions])) / len(given)
        found[label] = {"conditions": msgspec.to_builtins(conditions), "truth": truth, "share": share}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(found))
    return {}


def _filters(given: Any, asked: np.ndarray) -> Any:
    """Of each filter: its label, the condition for each query, and the rows that satisfy each condition."""
    count, serials = len(given), given.serials
    at_serial = np.argsort(serials)
    random = np.random.default_rng(5)
    for label, share in SHARES.items():
        width = max(1, round(share * count))
        matching = {}
        for low in random.integers(0, count - width + 1, size=WINDOWS).tolist():
            inside = at_serial[low : low + width]
            window = Condition("serial", low=int(serials[inside[0]]), high=int(serials[inside[-1]]) + 1)
            matching[window] = np.sort(inside)
        windows = list(matching)
        yield label, [windows[at % len(windows)] for at in range(len(asked))], matching
    names, own = given.lexnames()
    every = {str(name): np.flatnonzero(names == name) for name in np.unique(np.concatenate([names, own]))}
    matching = {Condition("lexname", equals=name): inside for name, inside in every.items()}
    yield "same", [Condition("lexname", equals=str(name)) for name in own[: len(asked)]], matching
    common = [name for name, inside in every.items() if len(inside) >= count / 200]
    means = np.array([np.asarray(given.rows[every[name][:2000]]).mean(axis=0) for name in common])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    far = np.argmin(asked @ means.T, axis=1)
    yield "opposite", [Condition("lexname", equals=common[at]) for at in far], matching


def ask(
    *,
    name: str,
    data: str,
    folder: str,
    questions: str,
    queries: int,
    seconds: float,
    settings: list[Any],
) -> dict[str, Any]:
    """In a child: every filter at the first of the settings that reaches the recall, or the last tried."""
    given = loaded(data, None)
    asked = np.array(given.queries[:queries])
    opened = system(name, Path(folder), dimension=given.dimension, threads=1)
    opened.open()
    found = {}
    asking = json.loads(Path(questions).read_text())
    # Reading pages of a map for the first time is not what the first of the filters should be measured by.
    first = msgspec.convert(next(iter(asking.values()))["conditions"], list[Condition])
    for query, condition in zip(asked, first, strict=False):
        opened.search_where(query, k=K, where=opened.condition(condition))
    for label, question in asking.items():
        kinds = msgspec.convert(question["conditions"], list[Condition])
        filters = [opened.condition(condition) for condition in kinds]
        tried: list[dict[str, Any]] = []
        for setting in _tried(settings or list(opened.settings)):
            opened.tune(setting)
            point = timed(
                lambda at, filters=filters: opened.search_where(asked[at], k=K, where=filters[at]),
                opened.rows,
                question["truth"],
                seconds=seconds,
            )
            tried.append({"setting": setting, "share": question["share"], **point})
            if point["recall"] >= TARGET:
                break
        found[label] = max(tried, key=lambda point: (min(point["recall"], TARGET), point["rate"]))
    opened.close()
    return {"filters": found}


def _tried(settings: list[Any]) -> list[Any]:
    """The first setting, the last, and one between them."""
    if len(settings) <= MOST_SETTINGS:
        return settings
    return [settings[0], settings[len(settings) // 2], settings[-1]]
