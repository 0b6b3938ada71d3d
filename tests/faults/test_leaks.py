"""Work of every kind, over and over, leaves a process with what it had; and the watch notices what does not."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture import leaks

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def test_what_a_process_holds_does_not_grow(tmp_path: Path) -> None:
    figures = leaks.run(rounds=1, seed=7, folder=tmp_path)
    assert set(figures) == set(leaks.ACTIVITIES)


def test_a_file_left_open_now_and_then_is_noticed() -> None:
    left: list[int] = []

    def work() -> Iterator[object]:
        for number in itertools.count():
            if number % 20 == 0:
                left.append(os.open(os.devnull, os.O_RDONLY))
            yield None

    samples = leaks.measure(work(), 400)
    for handle in left:
        os.close(handle)
    assert [problem.split(" rose")[0] for problem in leaks.problems(samples)] == ["files"]


@pytest.mark.parametrize(
    ("memory", "noticed"),
    [
        ([50_000 + 200 * n for n in range(36)], True),
        ([50_000 + 20 * n for n in range(36)], False),
        ([50_000 + 3000 * (n % 2) for n in range(36)], False),
        ([50_000] * 18 + [55_000] * 18, False),
        ([50_000] * 18 + [55_000 + 100 * n for n in range(18)], True),
        ([50_000] * 28 + [52_000] * 8, True),
    ],
    ids=["a steady rise", "a small one", "up and down", "one step", "a step and a rise", "a step at the end"],
)
def test_memory_that_rises_by_more_than_it_varies_is_noticed(memory: list[int], *, noticed: bool) -> None:
    assert bool(leaks.problems([{"files": 5, "KiB": kib} for kib in memory])) is noticed
