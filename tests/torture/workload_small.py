"""Small thresholds: segments, merges, posting runs and compactions that are due after some dozen rows.

They are the product's own constants, set lower, so that each kind of background work happens within a second. Worker
processes, which are started anew, set them as well: `shrink` puts a folder with a sitecustomize.py on their path.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragvec.ann import tuning
from ragvec.engine.local import (
    compact,
    generations,
    merging,
    posting_feed,
    run_feed,
    segments,
    text_feed,
    upkeep,
    worker_process,
)

__all__ = ["BLOCK", "shrink", "shrunk"]

BLOCK = 48
"""Rows that make a segment due, and more than a block of posting lists."""

_FOLDER = Path(__file__).parent / "thresholds"

_SMALLER: tuple[tuple[Any, str, object], ...] = (
    (merging, "SEGMENT_MIN_ROWS", BLOCK),
    (merging, "_SMALL_ROWS", 2 * BLOCK),
    (segments, "SEGMENT_MIN_ROWS", BLOCK),
    (segments, "LEAVES_MIN_ROWS", 2 * BLOCK),
    (tuning, "EXHAUSTIVE_ROWS", 2 * BLOCK),
    (compact, "FEWEST_DEAD", BLOCK // 2),
    (upkeep, "FEWEST_DEAD", BLOCK // 2),
    (compact, "_CHUNK", BLOCK),
    (generations, "RETIRED_SECONDS", 0.0),
    (upkeep, "RETIRED_SECONDS", 0.0),
    (worker_process, "LARGE", 1),
    (posting_feed.PostingFeed.__init__, "__kwdefaults__", {"block_rows": BLOCK // 3}),
    (text_feed.TextFeeds.__init__, "__kwdefaults__", {"block_rows": BLOCK // 3}),
    (run_feed.RunFeed, "step", BLOCK // 6),
    (run_feed, "STRIDE", BLOCK // 4),
    (posting_feed, "_FEW", BLOCK // 6),
)


def shrink() -> Callable[[], None]:
    """Set the thresholds in this process and in the workers that it starts; returns what sets them back."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in _SMALLER]
    for owner, name, value in _SMALLER:
        setattr(owner, name, value)
    sys.path.append(str(_FOLDER))

    def back() -> None:
        for owner, name, value in before:
            setattr(owner, name, value)
        sys.path.remove(str(_FOLDER))

    return back


@contextmanager
def shrunk() -> Iterator[None]:
    """Small thresholds within the block."""
    back = shrink()
    try:
        yield
    finally:
        back()
