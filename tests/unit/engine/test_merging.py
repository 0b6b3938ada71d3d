"""The policy of the two lanes, on ranges of rows alone."""

from __future__ import annotations

import pytest

from ragvec.engine.local.merging import SEGMENT_MIN_ROWS as STEP
from ragvec.engine.local.merging import next_merge, next_tail


class Rows:
    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last


def chain(*lengths: int) -> list[Rows]:
    """Adjoining segments of so many steps each."""
    found, end = [], 0
    for length in lengths:
        found.append(Rows(end, end + length * STEP))
        end += length * STEP
    return found


@pytest.mark.parametrize(
    ("lengths", "waiting", "first"),
    [
        ((), 1, 0),
        ((200,), 1, 200),
        ((200, 1), 1, 201),
        ((200, 1, 1), 1, 202),
        ((200, 1, 1, 1), 1, 200),
        ((200, 4, 1, 1, 1), 1, 204),
        ((200, 3, 3, 3), 1, 200),
        ((1,), 4, 0),
        ((200,), 4, 200),
        ((200, 1, 2), 12, 200),
    ],
)
def test_the_newest_rows_become_a_segment_with_a_few_small_ones_before_them(
    lengths: tuple[int, ...], waiting: int, first: int
) -> None:
    rows = (sum(lengths) + waiting) * STEP
    assert next_tail(chain(*lengths), rows) == (first * STEP, rows)
    assert next_tail(chain(*lengths), sum(lengths) * STEP + STEP - 1) is None


@pytest.mark.parametrize(
    ("lengths", "first", "last"),
    [
        ((200, 5, 5, 5), 200, 215),
        ((200, 5, 5, 5, 1, 1), 200, 215),
        ((200, 15, 5, 5, 5), 200, 230),
        ((20, 15, 5, 5, 5), 0, 50),
    ],
)
def test_under_load_several_of_a_size_are_merged(lengths: tuple[int, ...], first: int, last: int) -> None:
    assert next_merge(chain(*lengths), tidy=False) == (first * STEP, last * STEP)


@pytest.mark.parametrize("lengths", [(), (200,), (200, 5), (200, 5, 5), (200, 16, 5, 5), (200, 1, 1, 1)])
def test_under_load_little_is_left_alone(lengths: tuple[int, ...]) -> None:
    assert next_merge(chain(*lengths), tidy=False) is None


@pytest.mark.parametrize(
    ("lengths", "first"),
    [((200, 1, 1), 200), ((4, 1), 0), ((200, 16, 3, 1), 200), ((30, 16, 3, 1), 0), ((200, 25, 5, 1), None)],
)
def test_a_quiet_index_is_left_with_segments_of_very_different_sizes(
    lengths: tuple[int, ...], first: int | None
) -> None:
    expected = None if first is None else (first * STEP, sum(lengths) * STEP)
    assert next_merge(chain(*lengths), tidy=True) == expected
