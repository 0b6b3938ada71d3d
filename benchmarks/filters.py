"""How fast posting lists build and answer at a million rows, how large they are, and that they are right.

    python benchmarks/filters.py [rows]

Each record has a unique string id, an increasing integer time, a random double, one of 20 languages, a list of two of
1,000 tags, and a boolean. Every answer is compared with the interpreter's over a sample of the records. Times are the
median of warm repetitions on one thread; "cold" is the first call in a store that was just opened, checksums of the
field included.
"""

from __future__ import annotations

import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from ragvec.engine.local.postings import PostingStore
from ragvec.filters.bitmap import rows_matching
from ragvec.filters.interpret import matches
from ragvec.filters.nodes import Filter
from ragvec.filters.parse import parse_filter

BATCH = 65_536
SAMPLE = 997


def record(row: int, random_: random.Random) -> dict[str, Any]:
    return {
        "id": f"document-{(row * 7919) % 1_000_003:08d}",
        "time": 1_700_000_000_000 + row * 37,
        "score": random_.random(),
        "lang": f"l{min(19, int(random_.expovariate(0.35)))}",
        "tags": [f"tag{random_.randrange(1000)}", f"tag{random_.randrange(1000)}"],
        "public": row % 3 == 0,
    }


def questions(rows: int) -> dict[str, dict[str, Any]]:
    start = 1_700_000_000_000
    middle = start + rows // 2 * 37
    return {
        "$eq, unique string": {"id": f"document-{7919 * 5 % 1_000_003:08d}"},
        "$eq, 20 values, common": {"lang": "l0"},
        "$eq, 20 values, rare": {"lang": "l15"},
        "$eq, list element": {"tags": "tag7"},
        "$eq, boolean": {"public": True},
        "$ne, common": {"lang": {"$ne": "l0"}},
        "$gt, half of the doubles": {"score": {"$gt": 0.5}},
        "$gte $lt, 1,000 of a million times": {"time": {"$gte": middle, "$lt": middle + 37_000}},
        "$in, 10 languages": {"lang": {"$in": [f"l{at}" for at in range(10)]}},
        "$in, 10,000 ids": {"id": {"$in": [f"document-{at * 97 % 1_000_003:08d}" for at in range(10_000)]}},
        "$in, 10,000 times": {"time": {"$in": [start + at * 37 * 90 for at in range(10_000)]}},
        "$startsWith, 10,000 ids": {"id": {"$startsWith": "document-0012"}},
        "$exists": {"score": {"$exists": True}},
        "$and of three": {"lang": "l1", "public": True, "score": {"$lt": 0.1}},
        "$or of three": {"$or": [{"lang": "l3"}, {"tags": "tag1"}, {"score": {"$gte": 0.99}}]},
    }


def milliseconds(folder: Path, where: Filter, *, repeat: int = 15) -> tuple[float, float]:
    view = PostingStore(folder, non_filterable=(), read_only=True).view()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        rows_matching(where, view)
        times.append(1e3 * (time.perf_counter() - start))
    return times[0], statistics.median(times[1:])


def main(rows: int) -> None:
    random_ = random.Random(0)
    console = Console()
    sample: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = PostingStore(folder, non_filterable=())
        extending = sealing = slowest = 0.0
        for first in range(0, rows, BATCH):
            batch = [record(row, random_) for row in range(first, min(first + BATCH, rows))]
            sample |= {row: batch[row - first] for row in range(first, first + len(batch)) if row % SAMPLE == 0}
            encoded = [msgspec.json.encode(document) for document in batch]
            start = time.perf_counter()
            store.extend(first, encoded)
            middle = time.perf_counter()
            store.seal()
            end = time.perf_counter()
            extending, sealing, slowest = extending + middle - start, sealing + end - middle, max(slowest, end - middle)
        size = sum(path.stat().st_size for path in folder.iterdir())
        table = Table(title=f"{rows:,} rows of 6 fields", show_header=False)
        table.add_row("extend", f"{extending:.1f} s, {rows / extending:,.0f} rows/s")
        table.add_row("seal", f"{sealing:.1f} s in total, slowest {slowest:.1f} s")
        table.add_row("on disk", f"{size / 2**20:.0f} MiB, {size / rows:.0f} bytes a row, {len(store.runs)} runs")
        table.add_row("peak memory", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")
        console.print(table)
        table = Table("filter", "rows", "cold ms", "warm ms", "right")
        tail = store.covered - store.runs_end
        for label, document in questions(rows).items():
            where = parse_filter(document)
            found = rows_matching(where, store.view())
            right = all((row in found) == matches(where, sample[row]) for row in sample)
            cold, warm = milliseconds(folder, where)
            table.add_row(label, f"{len(found):,}", f"{cold:.2f}", f"{warm:.3f}", "yes" if right else "NO")
        console.print(table)
        console.print(f"(the times leave out the {tail:,} newest rows, which no run holds yet)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
