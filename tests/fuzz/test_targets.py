"""Every fuzz target with its nasty cases, with the inputs that once broke something, and with some hundred others.

The long form, guided by coverage, is `python -m tests.torture fuzz`.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragvec.errors import InvalidFilter
from ragvec.filters.parse import parse_filter
from ragvec.kendra.attributes import Schema
from ragvec.kendra.filters import compile_filter
from ragvec.kendra.limits import NATIVE
from tests.fuzz.harness import CORPUS, kept_cases, mutants
from tests.fuzz.registry import TARGETS
from tests.fuzz.targets.requests import MARK, outside

MUTANTS = 150
KEPT = [(name, case, data) for name in TARGETS for case, data in kept_cases(name)]


@pytest.mark.parametrize("name", TARGETS)
def test_nasty_cases_and_what_is_made_of_them(name: str) -> None:
    target = TARGETS[name]
    for number, data in enumerate(itertools.islice(mutants(target.seeds, seed=1), len(target.seeds) + MUTANTS)):
        try:
            target.run(data)
        except BaseException:
            print(f"{name}: input {number} of seed 1: {data[:300]!r}")
            raise


@pytest.mark.parametrize(
    ("name", "data"), [(name, data) for name, _, data in KEPT], ids=[f"{n}-{c}" for n, c, _ in KEPT]
)
def test_what_once_broke_something(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


def test_every_kept_case_belongs_to_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} <= set(TARGETS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["$and", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["$and", "$or", "$in", "$eq", "$gt", "$exists", "a", "b", "Key", "Value", "AndAllFilters"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_values)
def test_filters_of_any_json(document: object) -> None:
    import json

    data = json.dumps(document).encode()
    for name in ("metadata_filter", "kendra_filter", "kendra_request", "tags"):
        TARGETS[name].run(data)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    for name in ("token", "policy", "chunks", "highlight", "shown", "file_txt", "file_csv", "jsonl", "record_line"):
        TARGETS[name].run(data)


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("wrap", [lambda deep: deep, lambda deep: {"a": deep}, lambda deep: {"$and": deep}])
def test_a_filter_nested_deeper_than_python_goes_is_refused(wrap: object) -> None:
    deep = wrap(nested(200_000))  # type: ignore[operator]  # a function
    with pytest.raises(InvalidFilter):
        parse_filter(deep)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda deep: deep,
        lambda deep: {"AndAllFilters": [deep]},
        lambda deep: {"NotFilter": deep},
        lambda deep: {"EqualsTo": deep},
        lambda deep: {"EqualsTo": {"Key": "_category", "Value": deep}},
        lambda deep: {"EqualsTo": {"Key": "_category", "Value": {"StringValue": deep}}},
        lambda deep: {"ContainsAny": {"Key": "_authors", "Value": {"StringListValue": deep}}},
        lambda deep: {"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": deep}}},
        lambda deep: {"LessThan": {"Key": "_created_at", "Value": {"DateValue": deep}}},
    ],
)
def test_a_kendra_filter_nested_deeper_than_python_goes_is_refused(wrap: object) -> None:
    deep = wrap(nested(200_000))  # type: ignore[operator]  # a function
    with pytest.raises(InvalidFilter):
        compile_filter(deep, schema=Schema.of({}), limits=NATIVE)


def test_the_watch_over_the_folder_sees_what_is_made_in_it(tmp_path: Path) -> None:
    """The claim that nothing outside of a store is touched rests on this watch."""
    (tmp_path / "stores" / "store-x").mkdir(parents=True)
    (tmp_path / "marker").write_bytes(MARK)
    before = outside(tmp_path)
    (tmp_path / "stores" / "store-x" / "inside").touch()
    assert outside(tmp_path) == before
    (tmp_path / "stores" / "evil").touch()
    assert outside(tmp_path) != before
