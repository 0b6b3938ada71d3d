"""Matches say what the interpreter says, whatever was put, updated, deleted, persisted, reopened or asked before."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from ragvec.engine.local.matches import MatchCache, Matches
from ragvec.engine.local.posting_feed import PostingFeed
from ragvec.engine.local.records import Records
from ragvec.filters.interpret import matches
from ragvec.filters.nodes import EVERYTHING, And, Compare, Eq, Exists, Filter, In, Not, Or, StartsWith
from ragvec.filters.predicate import predicate

BLOCK = 4
FILTERS: list[Filter] = [
    EVERYTHING,
    Eq("a", 1),
    Eq("a", 1.5),
    Eq("a", True),
    Eq("a", "x"),
    Not(Eq("a", 1)),
    In("a", (1, "x", "yy", 10**30)),
    Not(In("a", ("x", 2))),
    Compare("a", "gt", 1),
    And((Compare("a", "gte", 1), Compare("a", "lt", 3), Exists("b"))),
    StartsWith("a", "y"),
    Or((Not(Exists("a")), Eq("b", "x"))),
]
SCALARS = [0, 1, 1.0, 1.5, 2, 3, True, False, "x", "y", "yy", 10**30, None]
scalars = st.sampled_from(SCALARS)
documents = st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(scalars, st.lists(scalars, max_size=3)))


class History:
    """Records, what is known of them, and two readers with caches of their own, as two processes have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = Records(folder / "records.sqlite", read_only=False)
        self.documents: list[dict[str, Any]] = []
        self.snapshots: list[tuple[int, BitMap]] = [(0, BitMap())]
        self.readers = [self.reader(), self.reader()]

    def reader(self) -> tuple[PostingFeed, MatchCache]:
        feed = PostingFeed(
            self.records, self.folder / "postings", non_filterable=("hidden",), read_only=False, block_rows=BLOCK
        )
        return feed, MatchCache()

    def change(self, *, new: list[dict[str, Any]], died: list[int]) -> None:
        rows, dead = self.snapshots[-1]
        sequence = len(self.snapshots)
        stored = [msgspec.json.encode(document | {"hidden": 1}) for document in new]
        with self.records.writing() as sql:
            self.records.bury_rows(sql, died, sequence=sequence)
            self.records.insert(
                sql, ((row, f"k{row}", 0, metadata, 0) for row, metadata in enumerate(stored, start=rows))
            )
            self.records.set_state(sql, sequence=sequence, rows=rows + len(new))
        self.documents += new
        self.snapshots.append((rows + len(new), dead | BitMap(died) if died else dead))

    def ask(self, where: Filter, *, reader: int, back: int) -> tuple[Matches, list[int]]:
        sequence = max(0, len(self.snapshots) - 1 - back)
        rows, dead = self.snapshots[sequence]
        feed, cache = self.readers[reader]
        found = cache.find(where, sequence=sequence, rows=rows, dead=dead, source=feed)
        return found, [row for row in range(rows) if row not in dead and matches(where, self.documents[row])]


def document(random_: random.Random) -> dict[str, Any]:
    values = [random_.choice(SCALARS) for _ in range(3)]
    return {field: values if random_.random() < 0.1 else values[0] for field in ("a", "b") if random_.random() < 0.8}


def agrees(found: Matches, expected: list[int]) -> bool:
    mask = np.zeros(found.size, np.bool_)
    mask[expected] = True
    middle = found.size // 2
    return (
        (found.count, len(found)) == (len(expected), len(expected))
        and list(found.bitmap) == expected
        and found.rows.tolist() == expected
        and np.array_equal(found.mask, mask)
        and found.count_within(1, middle) == sum(1 <= row < middle for row in expected)
        and found.within(1, middle).tolist() == [row for row in expected if 1 <= row < middle]
        and [row for row in range(found.size + 2) if row in found] == expected
    )


@contextmanager
def history() -> Iterator[History]:
    folder = Path(tempfile.mkdtemp())
    try:
        made = History(folder)
        yield made
        made.records.close()
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("seed", range(24))
def test_matches_agree_with_the_interpreter_after_any_history(seed: int) -> None:
    random_ = random.Random(seed)
    asked = random_.sample(FILTERS, 3)
    given_out: list[tuple[Matches, list[int]]] = []
    with history() as made:
        for _ in range(random_.randrange(4, 30)):
            reader = random_.choice([0, 0, 0, 1])
            step = random_.random()
            if step < 0.1:
                made.readers[reader] = made.reader()
            elif step < 0.2:
                made.readers[reader][0].persist(made.snapshots[-1][0])
            else:
                rows, dead = made.snapshots[-1]
                living = [row for row in range(rows) if row not in dead]
                made.change(
                    new=[document(random_) for _ in range(random_.choice([0, 1, 1, 2, 3 * BLOCK]))],
                    died=random_.sample(living, min(len(living), random_.choice([0, 0, 1, 3]))),
                )
            for where in random_.sample(asked, random_.randrange(3)):
                found, expected = made.ask(where, reader=reader, back=random_.choice([0, 0, 0, 1, 3]))
                for form in ("rows", "mask", "bitmap"):
                    if random_.random() < 0.5:
                        getattr(found, form)
                given_out.append((found, expected))
        for found, expected in given_out:
            assert agrees(found, expected)


@settings(max_examples=300, deadline=None)
@given(documents, st.sampled_from(FILTERS))
def test_a_predicate_says_what_the_interpreter_says(document: dict[str, Any], where: Filter) -> None:
    assert predicate(where)(document) is matches(where, document)
