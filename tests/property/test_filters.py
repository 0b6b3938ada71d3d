"""However the data is split over tail, runs, merges and processes, posting lists say what the interpreter says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragvec.engine.local.postings import PostingStore
from ragvec.errors import InvalidFilter
from ragvec.filters.bitmap import rows_matching
from ragvec.filters.interpret import matches
from ragvec.filters.nodes import And, Compare, Eq, Exists, Filter, In, Not, Or, StartsWith
from ragvec.filters.parse import ALL_OPERATORS, FilterRules, parse_filter, to_json

BLOCK = 4
FIELDS = ["a", "b", "", "a.b", "é"]

texts = st.one_of(
    st.sampled_from(["", "a", "ab", "abc", "b", "é", "ￜ", "\U0001d11e", "\U0010ffff", "\x00", "a\x00", "1", "true"]),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=4),
)
numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.0, -0.0, 0.5, 1.0, 2.0, 1e300, -1e300, 5e-324, 2.0**53, 2.0**63, 2.0**64, 1e22]),
    st.integers(2**53 - 3, 2**53 + 3),
    st.integers(-(2**53) - 3, -(2**53) + 3),
    st.integers(2**63 - 1025, 2**63 + 1025),
    st.integers(2**64 - 2, 2**64 + 2),
    st.sampled_from([10**22, 10**22 + 1, -(10**25) - 1, 10**30 + 7, 10**30 + 8]),
    st.floats(allow_nan=False, allow_infinity=False),
)
scalars = st.one_of(texts, numbers, st.booleans())
values = st.one_of(
    scalars, st.lists(texts, max_size=4), st.lists(numbers, max_size=4), st.lists(scalars, max_size=4), st.none()
)
documents = st.one_of(
    st.none(), st.dictionaries(st.sampled_from(FIELDS), values, max_size=4), st.dictionaries(texts, values, max_size=2)
)
fields = st.sampled_from(FIELDS)
leaves = st.one_of(
    st.builds(Eq, fields, scalars),
    st.builds(In, fields, st.lists(scalars, max_size=5).map(tuple)),
    st.builds(Compare, fields, st.sampled_from(["gt", "gte", "lt", "lte"]), numbers),
    st.builds(StartsWith, fields, texts),
    st.builds(Exists, fields),
)
filters: st.SearchStrategy[Filter] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, max_size=4).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=4).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=8,
)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def stored(document: dict[str, Any] | None) -> bytes | None:
    return None if document is None else msgspec.json.encode(document)


def expected_rows(where: Filter, records: list[bytes | None]) -> list[int]:
    decoded = [{} if record is None else msgspec.json.decode(record) for record in records]
    return [row for row, metadata in enumerate(decoded) if matches(where, metadata)]


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_postings_agree_with_the_interpreter_after_any_history(data: st.DataObject) -> None:
    with scratch_folder() as folder:
        store = PostingStore(folder / "postings", non_filterable=(), block_rows=BLOCK)
        other = PostingStore(folder / "postings", non_filterable=(), block_rows=BLOCK)
        records: list[bytes | None] = []
        steps = st.sampled_from(["extend", "extend", "seal", "reopen", "swap", "refresh", "reader", "verify"])
        for step in data.draw(st.lists(steps, min_size=1, max_size=12), label="steps"):
            if step == "extend":
                batch = data.draw(st.lists(documents, max_size=3 * BLOCK + 1), label="batch")
                records += map(stored, batch)
                store.extend(store.covered, records[store.covered :])
            elif step == "seal":
                store.seal()
            elif step == "refresh":
                store.refresh()
            elif step == "verify":
                assert store.verify() == []
            elif step == "swap":
                store, other = other, store
            else:
                store = PostingStore(
                    folder / "postings", non_filterable=(), block_rows=BLOCK, read_only=step == "reader"
                )
                assert store.covered == store.runs_end <= len(records)
        store.extend(store.covered, records[store.covered :])
        view = store.view()
        assert list(view.universe()) == list(range(len(records)))
        for where in data.draw(st.lists(filters, min_size=1, max_size=6), label="filters"):
            assert list(rows_matching(where, view)) == expected_rows(where, records)


@settings(max_examples=100, deadline=None)
@given(batches=st.lists(st.lists(documents, max_size=6), min_size=2, max_size=5), where=filters)
def test_a_view_does_not_change_when_its_store_goes_on(
    batches: list[list[dict[str, Any] | None]], where: Filter
) -> None:
    with scratch_folder() as folder:
        store = PostingStore(folder, non_filterable=(), block_rows=BLOCK)
        records: list[bytes | None] = []
        views = []
        for batch in batches:
            records += map(stored, batch)
            store.extend(store.covered, records[store.covered :])
            views.append((store.view(), len(records)))
            store.seal()
        for view, size in views:
            assert list(rows_matching(where, view)) == expected_rows(where, records[:size])


@settings(max_examples=300, deadline=None)
@given(where=filters, records=st.lists(documents, max_size=6))
def test_a_filter_written_as_json_reads_back_with_the_same_meaning(
    where: Filter, records: list[dict[str, Any] | None]
) -> None:
    try:
        written = to_json(where)
    except InvalidFilter:
        return  # the complement of a comparison or prefix: the language has no words for it
    read = parse_filter(msgspec.json.decode(msgspec.json.encode(written)))
    for record in records:
        assert matches(read, record or {}) == matches(where, record or {})


@settings(max_examples=200, deadline=None)
@given(where=filters)
def test_what_the_parser_read_can_be_written(where: Filter) -> None:
    try:
        document = to_json(where)
    except InvalidFilter:
        return
    read = parse_filter(document)
    assert parse_filter(to_json(read)) == read


junk = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.integers(10**400, 10**401), st.floats(), st.text(max_size=3),
        st.text(alphabet=st.characters(categories=["Cs"]), max_size=1), st.binary(max_size=2), st.just(object()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from([*sorted(ALL_OPERATORS), "$not", "f"]), st.integers(), st.text(max_size=2)),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(
    document=junk,
    rules=st.builds(
        FilterRules,
        strict_shape=st.booleans(),
        operators=st.sets(st.sampled_from(sorted(ALL_OPERATORS))).map(frozenset),
        missing_satisfies_negation=st.booleans(),
        max_depth=st.sampled_from([None, 0, 1]),
        max_conditions=st.sampled_from([None, 1]),
        max_bytes=st.sampled_from([None, 20]),
    ),
)
@example(document={"f": {"$eq": "\ud800"}}, rules=FilterRules(max_bytes=10))
@example(document={"f": 10**5000}, rules=FilterRules(max_bytes=10))
def test_a_malformed_document_raises_invalid_filter_and_nothing_else(document: object, rules: FilterRules) -> None:
    refusal: InvalidFilter | None = None
    try:
        parse_filter(document, rules, non_filterable=("g",))
    except InvalidFilter as error:
        refusal = error
    assert refusal is None or refusal.path.startswith("filter")
    assert refusal is None or refusal.message.startswith("Expected ")
