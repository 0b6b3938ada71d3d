"""What a process holds does not grow with what it has done: open files, memory maps, threads, child processes, memory.

Each activity runs in a process of its own (`python -m tests.torture.leaks STORE ACTIVITY COUNT`), which looks at itself
some thirty times, evenly spread over its work, after a warm-up of a fifth of it: at /proc/self/fd, /proc/self/maps, its
threads and children, and at the memory that is resident once the garbage is collected and the C library has given back
what it can. In the last third of these looks some have to be no higher than in the first; of the memory, the medians
may differ by no more than what it varies by anyway, unless it rose once and no more.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ragvec.engine.local import generations, merging, segments, upkeep
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.store import Index, Store

__all__ = ["ACTIVITIES", "main", "measure", "problems", "run"]

Sample = dict[str, int]

BUCKET = "bucket"
_ROWS, _DIMENSION = 6000, 16
_SEGMENT_ROWS = 1100
"""Few rows of which the library still builds a segment."""
_FILTERS = 300
"""More than are kept."""
_SAMPLES = 36
_NOISE_KIB = 1024
"""By how much resident memory may differ between the first and the last third, beside how much it varies within the
first: of a steady rise that is half of what lies between their medians."""

_GOES_ON = 0.125
"""How much of the rise between the first and the last third there is between the last two quarters, of a leak; of a
steady rise it is three eighths."""

_PER_ROUND = {
    "queries": 1000, "pages": 200, "reads": 400, "opening": 100, "indexes": 30, "segments": 2, "compaction": 3,
}  # fmt: skip
_FEWEST = 15
"""Steps at least, whatever the number of rounds: fewer tell nothing."""


def run(*, rounds: int, seed: int, folder: Path) -> dict[str, int | str]:
    """Carry out each activity `rounds` times its share: 100 rounds are 100,000 queries and 10,000 openings.

    Raises:
        AssertionError: something grew; the activity and what was measured are named.
    """
    store = folder / "leaks-store"
    make_store(store, seed=seed)
    figures: dict[str, int | str] = {}
    found = []
    for activity in ACTIVITIES:
        count = max(_FEWEST, _PER_ROUND[activity] * rounds)
        samples = measured_apart(store, activity, count)
        found += [f"{activity}: {problem}" for problem in problems(samples)]
        figures[activity] = count
    if found:
        raise AssertionError(f"seed {seed}, {rounds} rounds: {'; '.join(found)}")
    return figures


def make_store(path: Path, *, seed: int) -> None:
    """A store with an index whose rows are in a segment, some of them deleted."""
    rows = np.random.default_rng(seed).normal(size=(_ROWS, _DIMENSION)).astype(np.float32)
    with Store(engine=LocalEngine(path, background=False)) as store:
        index = store.create_bucket(BUCKET).create_index("index", dimension=_DIMENSION)
        index.put([f"k{n}" for n in range(_ROWS)], rows, [{"n": n % 10, "text": f"row {n}"} for n in range(_ROWS)])
        index.optimize()
        index.delete([f"k{n}" for n in range(0, _ROWS, 50)])


def measured_apart(store: Path, activity: str, count: int) -> list[Sample]:
    """What a process of its own measured of itself. Raises AssertionError when it failed."""
    command = [sys.executable, "-m", "tests.torture.leaks", str(store), activity, str(count)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise AssertionError(f"{activity}: the process ended with {found.returncode}: {found.stderr[-2000:]}")
    samples: list[Sample] = json.loads(found.stdout)
    return samples


def problems(samples: list[Sample]) -> list[str]:
    """What grew between the first and the last third of the samples, in words."""
    third = len(samples) // 3
    found = []
    for name in samples[0]:
        values = [sample[name] for sample in samples]
        first, last = values[:third], values[-third:]
        if name == "KiB":
            quarter = len(values) // 4
            late = statistics.median(values[-quarter:]) - statistics.median(values[-2 * quarter : -quarter])
            whole = statistics.median(last) - statistics.median(first)
            # A leak goes on: what rises once, as when the C library begins another arena, does not rise again.
            rose = whole > _NOISE_KIB + max(first) - min(first) and late > _GOES_ON * whole
        else:
            # A thread in the background may have something open for a moment.
            rose = min(last) > max(first)
        if rose:
            found.append(f"{name} rose from {statistics.median(first):g} to {statistics.median(last):g}: {values}")
    return found


def measure(work: Iterator[object], count: int) -> list[Sample]:
    """Take `count` steps of the work, and look at this process evenly spread over the last four fifths of them."""
    warm, samples = count // 5, []
    for _ in itertools.islice(work, warm):
        pass
    step = max(1, (count - warm) // _SAMPLES)
    for done in range(warm, count):
        next(work)
        if (done - warm) % step == step - 1:
            samples.append(_sample())
    return samples


def _sample() -> Sample:
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    pid = os.getpid()
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    children = Path(f"/proc/self/task/{pid}/children").read_text(encoding="ascii").split()
    return {
        "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - itself among them, each time
        # Those of the C library's own memory come and go.
        "maps": sum("/" in line for line in maps),
        "threads": threading.active_count(),
        "children": len(children),
        "KiB": resident * os.sysconf("SC_PAGE_SIZE") // 1024,
    }


# -- what is done ----------------------------------------------------------------------------------------------------


def _queries(path: Path) -> Iterator[object]:
    """Plain, filtered, in batches, with and without metadata."""
    with Store(path) as store:
        index = store.bucket(BUCKET).index("index")
        rows = np.random.default_rng(0).normal(size=(64, _DIMENSION)).astype(np.float32)
        for number in range(_FILTERS):
            index.count({"n": {"$lt": number}})
        for number in itertools.count():
            row = rows[number % 64]
            match number % 5:
                case 0:
                    yield index.query(row, k=10, metadata=False)
                case 1:
                    yield index.query(row, k=10)
                case 2:
                    yield index.query(row, k=10, where={"n": {"$lt": number % _FILTERS}})
                case 3:
                    yield index.query(row, k=100, data=True, where={"text": {"$startsWith": f"row {number % 90}"}})
                case _:
                    yield index.query(rows[:4], k=5)


def _pages(path: Path) -> Iterator[object]:
    """Pages of queries and of lists by the client, left in the middle."""
    with Store(path) as store:
        client = store.client()
        target: dict[str, Any] = {"vectorBucketName": BUCKET, "indexName": "index"}
        row = [1.0] * _DIMENSION
        while True:
            query = target | {"queryVector": {"float32": row}, "topK": 60, "maxResults": 20}
            page = client.query_vectors(**query, returnMetadata=True, returnDistance=True)
            yield client.query_vectors(**query, returnMetadata=True, returnDistance=True, nextToken=page["nextToken"])
            page = client.list_vectors(**target, maxResults=30, filter={"n": 3})
            yield client.list_vectors(**target, maxResults=30, filter={"n": 3}, nextToken=page["nextToken"])


def _reads(path: Path) -> Iterator[object]:
    """Gets, counts, figures, and iterations left in the middle, beside writes."""
    with Store(path) as store:
        index = store.bucket(BUCKET).index("index")
        for number in itertools.count():
            if number % 10 == 0:
                index.put([f"k{number % 100}"], np.ones((1, _DIMENSION), dtype=np.float32), [{"n": 1}])
            yield index.get(["k1", "k2", "absent"])
            yield index.count({"n": number % 10})
            yield index.stats()
            yield next(iter(index.iter(where={"n": 2}, batch=20)))


def _opening(path: Path) -> Iterator[object]:
    """Opening the store, a query, and closing it; every fourth time without closing it."""
    row = np.ones(_DIMENSION, dtype=np.float32)
    for number in itertools.count():
        store = Store(path)
        index = store.bucket(BUCKET).index("index")
        yield index.query(row, k=10, where={"n": 3})
        if number % 4:
            store.close()
        del store, index


def _indexes(path: Path) -> Iterator[object]:
    """Making an index, using it, and deleting it."""
    with Store(path) as store:
        bucket = store.bucket(BUCKET)
        for _ in itertools.count():
            index = bucket.create_index("passing", dimension=4)
            index.put(["a", "b"], np.ones((2, 4), dtype=np.float32), [{"n": 1}, None])
            yield index.query([1.0, 0.0, 0.0, 0.0], k=1, where={"n": 1})
            index.delete_index()


def _built(path: Path, name: str) -> tuple[Store, Index, LocalIndex]:
    merging.SEGMENT_MIN_ROWS = segments.SEGMENT_MIN_ROWS = _SEGMENT_ROWS  # type: ignore[attr-defined]  # not exported there
    store = Store(engine=LocalEngine(path, background=False))
    index = store.bucket(BUCKET).create_index(name, dimension=_DIMENSION)
    handle = store.engine.index(index.spec)
    assert isinstance(handle, LocalIndex)
    return store, index, handle


def _segments(path: Path) -> Iterator[object]:
    """Writing rows and building the segments over all of them anew, until there are too many of them."""
    store, index, _ = _built(path, "built")
    chosen = np.random.default_rng(1)
    for number in itertools.count():
        if number % 4 == 0:
            index.delete_index()
            index = store.bucket(BUCKET).create_index("built", dimension=_DIMENSION)
        rows = chosen.normal(size=(_SEGMENT_ROWS, _DIMENSION)).astype(np.float32)
        index.put([f"s{number}-{n}" for n in range(_SEGMENT_ROWS)], rows, [{"n": n % 7} for n in range(_SEGMENT_ROWS)])
        index.optimize()
        yield index.query(rows[0], k=5, where={"n": 3})


def _compaction(path: Path) -> Iterator[object]:
    """Replacing all rows, compacting, and removing the generation before."""
    generations.RETIRED_SECONDS = upkeep.RETIRED_SECONDS = -10.0  # type: ignore[attr-defined]  # not exported there
    store, index, handle = _built(path, "compacted")
    rows = np.random.default_rng(2).normal(size=(_SEGMENT_ROWS, _DIMENSION)).astype(np.float32)
    keys, metadata = [f"c{n}" for n in range(_SEGMENT_ROWS)], [{"n": n % 7} for n in range(_SEGMENT_ROWS)]
    while True:
        index.put(keys, rows, metadata)
        index.query(rows[0], k=5, where={"n": 3})
        index.compact()
        handle.maintain("merge", worker=None)
        yield store.bucket(BUCKET).index("compacted").query(rows[0], k=5, where={"n": 3})


ACTIVITIES: dict[str, Callable[[Path], Iterator[object]]] = {
    "queries": _queries,
    "pages": _pages,
    "reads": _reads,
    "opening": _opening,
    "indexes": _indexes,
    "segments": _segments,
    "compaction": _compaction,
}


def main() -> None:
    """See the module."""
    path, activity, count = sys.argv[1:]
    print(json.dumps(measure(ACTIVITIES[activity](Path(path)), int(count))))


if __name__ == "__main__":
    main()
