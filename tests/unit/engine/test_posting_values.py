"""Values and rows as arrays: exact numbers, many texts at once, merges, and bitmaps at every density."""

from __future__ import annotations

import bisect
import random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyroaring import BitMap

from ragvec.engine.local import posting_values
from ragvec.engine.local.posting_values import Numbers, Texts
from ragvec.engine.local.row_bitmaps import bitmap_of


@pytest.mark.parametrize("first", [0, 5, 65_536, 70_000, 2**32 - 200_000])
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.01, 0.3, 1.0])
def test_bitmaps_of_rows(first: int, share: float) -> None:
    last = first + 200_000
    rows = first + np.flatnonzero(np.random.default_rng(0).random(last - first) < share)
    shuffled = np.random.default_rng(1).permutation(np.concatenate([rows, rows[:50]])).astype(np.uint32)
    assert bitmap_of(shuffled, first=first, last=last) == BitMap(rows.tolist())


@pytest.mark.parametrize("size", [4095, 4096, 4097, 65_535, 65_536])
def test_bitmaps_at_the_limits_of_a_container(size: int) -> None:
    rows = np.arange(65_536, 65_536 + size, dtype=np.uint32)
    assert bitmap_of(rows, first=65_536, last=131_072) == BitMap(range(65_536, 65_536 + size))


exact = st.one_of(
    st.integers(-5, 5),
    st.integers(2**53 - 2, 2**53 + 6),
    st.integers(2**64 - 2100, 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([10**25, -(10**25), 10**400, -(10**400), float("inf"), -float("inf")]),
)


@example({2**53, 2**53 + 2}, [2**53 + 1, 2**53 + 3, 2**53 - 1, 2.0**53])
@example({2**53, 2**53 + 1}, [2**53 + 2, 2**53 + 3, 2.0**53, 2**53 + 1])
@given(st.sets(exact.filter(lambda value: abs(value) < 10**26)), st.lists(exact))
def test_numbers_are_exact(values: set[int | float], probes: list[int | float]) -> None:
    ordered = sorted(value for value in values if posting_values.is_plain_number(value))
    numbers = Numbers.of(ordered)
    for probe in [*probes, *ordered]:
        assert numbers.cut(probe, right=False) == bisect.bisect_left(ordered, probe)
        assert numbers.cut(probe, right=True) == bisect.bisect_right(ordered, probe)
    wanted = sorted({probe for probe in [*probes, *ordered[::2]] if posting_values.is_plain_number(probe)})
    assert numbers.find(Numbers.of(wanted)).tolist() == [ordered.index(probe) for probe in wanted if probe in values]


@pytest.mark.parametrize("prefix", ["", "doc-", "é"])
@pytest.mark.parametrize("alphabet", ["01", "\x00a", "ab\U0001d11e"])
def test_many_texts_are_found_at_once(prefix: str, alphabet: str) -> None:
    choose = random.Random(0)
    pool = sorted(
        {f"{prefix}{''.join(choose.choices(alphabet, k=choose.randrange(14)))}".encode() for _ in range(3000)}
    )
    held = sorted(choose.sample(pool, len(pool) // 2))
    texts = Texts.of(held)
    wanted = sorted({*pool, b"", b"other", b"\xf4"})
    assert len(wanted) > 256
    assert texts.find(wanted).tolist() == [at for at, text in enumerate(held) if text in set(wanted)]
    assert [texts[int(at)] for at in texts.find(wanted[:50])] == [text for text in wanted[:50] if text in set(held)]


def test_merged_numbers_are_the_sorted_union_also_where_doubles_cannot_tell_them_apart() -> None:
    parts = [[2**53, 2**53 + 1, 2**60], [2**53 + 1, 2**53 + 2], [-1.5, 2**60 - 1, 2**60 + 1], [2.0**53]]
    merged, positions = posting_values.merge_values([Numbers.of(part) for part in parts])
    union = sorted({value for part in parts for value in part})
    assert isinstance(merged, Numbers)
    assert len(merged) == len(union)
    assert [[union[at] for at in place] for place in positions] == parts
    assert [merged.cut(value, right=False) for value in union] == list(range(len(union)))


def test_merged_texts_are_the_sorted_union(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting_values, "_MERGE_STEP", 5)
    choose = random.Random(0)
    parts = [sorted({b"%d" % choose.randrange(90) for _ in range(size)}) for size in (40, 1, 60, 7)]
    merged, positions = posting_values.merge_values([Texts.of(part) for part in parts])
    assert isinstance(merged, Texts)
    assert list(merged) == sorted({text for part in parts for text in part})
    assert [[merged[int(at)] for at in place] for place in positions] == parts
