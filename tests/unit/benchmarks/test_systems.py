"""Every adapter whose library is installed, on a few rows, beside exact search."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.measure import recall_of
from benchmarks.nearest import exact_nearest
from benchmarks.systems import SYSTEMS, system, version
from benchmarks.systems.base import Condition, Unsupported

FILTERS = {
    "range": Condition("serial", low=100, high=300),
    "equal": Condition("pos", equals="verb"),
    "none": Condition("lexname", equals="absent"),
}


def adapter(name, folder, dimension):
    try:
        return system(name, folder, dimension=dimension, threads=2)
    except ModuleNotFoundError as error:
        pytest.skip(f"{name} is not installed: {error}")


@pytest.fixture(params=sorted(SYSTEMS))
def filled(request, made_up, tmp_path):
    data = made_up("real")
    folder = tmp_path / "system"
    folder.mkdir()
    made = adapter(request.param, folder, data.dimension)
    try:
        seconds = made.build(data)
    except Unsupported as error:
        pytest.skip(f"{request.param}: {error}")
    assert set(seconds) == {"insert", "build"}
    made.close()
    opened = adapter(request.param, folder, data.dimension)
    opened.open()
    opened.tune(list(opened.settings)[-1])
    yield request.param, data, opened
    opened.close()


@pytest.mark.filterwarnings("default")
def test_an_adapter_finds_what_exact_search_finds(filled):
    name, data, opened = filled
    found = [opened.rows(opened.search(query, k=10)) for query in data.queries]
    assert recall_of(found, data.truth.tolist()) >= 0.95
    together = [opened.rows(answer) for answer in opened.search_many(data.queries, k=10)]
    assert recall_of(together, data.truth.tolist()) >= 0.95
    assert version(name)
    if not SYSTEMS[name].filters:
        return
    entries = data.metadata(0, len(data))
    for condition in FILTERS.values():
        inside = [row for row, entry in enumerate(entries) if matches(entry, condition)]
        nearest = exact_nearest(np.asarray(data.rows)[inside], data.queries, k=10) if inside else []
        truth = [[inside[at] for at in line] for line in nearest] or [[]] * len(data.queries)
        where = opened.condition(condition)
        found = [opened.rows(opened.search_where(query, k=10, where=where)) for query in data.queries]
        assert all(set(rows) <= set(inside) for rows in found)
        assert recall_of(found, truth) >= 0.9


def matches(entry, condition):
    value = entry[condition.field]
    return value == condition.equals if condition.equals is not None else condition.low <= value < condition.high


def test_a_version_of_ragvec_tells_the_state_of_its_sources():
    assert version("ragvec") == version("ragvec-client")
    assert "+" in version("ragvec")
