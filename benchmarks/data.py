"""The collections that the benchmarks search, deterministic and kept in a cache folder.

    python -m benchmarks.data real million wide      make them, and say where they are

- `real`: WordNet glosses through all-MiniLM-L6-v2, 116,659 × 384. The 1,000 queries are records held out of the rows,
  chosen by a seeded permutation.
- `million`: semi-synthetic, 1,000,000 × 384. A row is a random real record, mixed by 0 to 0.7 with one of its 15
  nearest neighbours, plus noise of standard deviation 0.015 in each coordinate, renormalised. The 1,000 queries are
  1,000 more rows of the same recipe.
- `wide`: synthetic, 100,000 × 1,536. The first 100,000 rows of `real` through one random Gaussian matrix from 384 to
  1,536 dimensions, plus noise of standard deviation 0.005, renormalised: about 384 dimensions carry the meaning, as in
  large embedding models. Its queries are those of `real` through the same matrix.

A folder holds rows.f32.npy, queries.f32.npy (unit vectors), truth-100.npy (int32, the exact 100 nearest of each query),
sources.npy and query-sources.npy (the record that a row came from). Metadata are those of the source record, with
`serial` renumbered by a seeded permutation, so that a range of it goes neither with meaning nor with the order of
rows; in `million` the row number is added to `lemma`, which makes it unique.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nearest import exact_nearest
from benchmarks.records import Records, made_up, real_folder, wordnet

__all__ = ["COLLECTIONS", "EDITION", "Collection", "cache_folder", "collection"]

EDITION = 1
"""To be raised when rows, queries or metadata change: what was built from another edition is built again."""
QUERIES = 1000
TRUTH = 100
NEIGHBOURS = 15
CHUNK = 50_000
MADE_UP_RECORDS = 20_000
REAL = "WordNet 3.0 glosses through all-MiniLM-L6-v2"
MADE_UP = "made-up clusters, for the folder of real embeddings is absent"


@dataclass(frozen=True)
class Collection:
    """Rows to index, queries, the exact answers, and the metadata of the rows; `serials` are those of the rows."""

    name: str
    note: str
    folder: Path
    rows: np.ndarray
    queries: np.ndarray
    truth: np.ndarray
    sources: np.ndarray
    query_sources: np.ndarray
    serials: np.ndarray
    unique_lemma: bool

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dimension(self) -> int:
        return int(self.rows.shape[1])

    def keys(self, start: int, stop: int) -> list[str]:
        """The keys of rows `start` to `stop`: the row number with leading zeros."""
        return [f"{row:08d}" for row in range(start, stop)]

    def metadata(self, start: int, stop: int) -> list[dict[str, Any]]:
        """The metadata of rows `start` to `stop`, a new dict for each."""
        records, serials = _records().metadata, self.serials[start:stop].tolist()
        found = [
            {**records[source], "serial": serial}
            for source, serial in zip(self.sources[start:stop].tolist(), serials, strict=True)
        ]
        if self.unique_lemma:
            for row, entry in enumerate(found, start):
                entry["lemma"] = f"{entry['lemma']} {row}"
        return found

    def lexnames(self) -> tuple[np.ndarray, np.ndarray]:
        """The `lexname` of each row and of the record that each query came from, as arrays of text."""
        names = np.array([entry["lexname"] for entry in _records().metadata])
        return names[self.sources], names[self.query_sources]

    def part(self, rows: int | None) -> Collection:
        """The first `rows` rows as a collection of their own, its truth computed now; all of it for None."""
        if rows is None or rows >= len(self.rows):
            return self
        few = self.head(rows)
        return replace(few, truth=exact_nearest(few.rows, self.queries, k=TRUTH))

    def head(self, rows: int) -> Collection:
        """The first `rows` rows, with the serials and the truth of them all."""
        return replace(
            self,
            name=f"{self.name}-{rows}",
            note=f"{self.note}, the first {rows:,}",
            rows=np.array(self.rows[:rows]),
            sources=self.sources[:rows],
            serials=self.serials[:rows],
        )


def cache_folder() -> Path:
    """RAGVEC_BENCH_CACHE, else ragvec/bench in the user's cache folder."""
    given = os.environ.get("RAGVEC_BENCH_CACHE")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else caches / "ragvec" / "bench"


def collection(name: str) -> Collection:
    """The collection of this name, made first where the cache has none. Raises KeyError for another name."""
    make, unique = COLLECTIONS[name]
    kept = name if real_folder() else f"{name}-made-up"
    folder = cache_folder() / kept
    if not folder.is_dir():
        building = folder.with_name(f".{kept}.{os.getpid()}")
        building.mkdir(parents=True)
        try:
            make(building)
            building.rename(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    rows = np.load(folder / "rows.f32.npy", mmap_mode="r")
    note = REAL if real_folder() else MADE_UP
    return Collection(
        name=kept,
        note={"real": note, "million": f"semi-synthetic, from {note}", "wide": f"synthetic, from {note}"}[name],
        folder=folder,
        rows=rows,
        queries=np.load(folder / "queries.f32.npy"),
        truth=np.load(folder / "truth-100.npy"),
        sources=np.load(folder / "sources.npy"),
        query_sources=np.load(folder / "query-sources.npy"),
        serials=np.random.default_rng(7).permutation(len(rows)),
        unique_lemma=unique,
    )


@lru_cache(maxsize=1)
def _records() -> Records:
    folder = real_folder()
    return wordnet(folder) if folder else made_up(MADE_UP_RECORDS + QUERIES)


def _held_out() -> tuple[np.ndarray, np.ndarray]:
    """The records that are rows, in a seeded order, and those that are queries."""
    order = np.random.default_rng(0).permutation(len(_records().vectors))
    return order[QUERIES:], order[:QUERIES]


def _make_real(folder: Path) -> None:
    vectors = _records().vectors
    rows, queries = _held_out()
    _finish(folder, vectors[rows], vectors[queries], sources=rows, query_sources=queries)


def _make_million(folder: Path) -> None:
    count = 1_000_000 if real_folder() else 5 * MADE_UP_RECORDS
    vectors = _records().vectors
    near = exact_nearest(vectors, vectors, k=NEIGHBOURS + 1)
    rows = _memmap(folder, shape=(count, vectors.shape[1]))
    drawn = np.random.default_rng(1).integers(len(vectors), size=count)
    for start in range(0, count, CHUNK):
        part = slice(start, min(start + CHUNK, count))
        rows[part] = _mixed(vectors, near, drawn[part], seed=start)
    rows.flush()
    asked = np.random.default_rng(2).integers(len(vectors), size=QUERIES)
    queries = _mixed(vectors, near, asked, seed=count)
    _finish(folder, rows, queries, sources=drawn, query_sources=asked)


def _mixed(vectors: np.ndarray, near: np.ndarray, sources: np.ndarray, *, seed: int) -> np.ndarray:
    """One new vector from each source record by the recipe of `million`."""
    random = np.random.default_rng([3, seed])
    others = near[sources]
    # A record is mostly its own nearest, but a duplicate may come before it.
    others = np.where(others == sources[:, None], others[:, -1:], others)[:, :NEIGHBOURS]
    other = others[np.arange(len(sources)), random.integers(NEIGHBOURS, size=len(sources))]
    share = random.uniform(0, 0.7, size=(len(sources), 1)).astype(np.float32)
    mixed = (1 - share) * vectors[sources] + share * vectors[other]
    mixed += np.float32(0.015) * random.standard_normal(size=mixed.shape, dtype=np.float32)
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)


def _make_wide(folder: Path) -> None:
    vectors = _records().vectors
    rows, queries = _held_out()
    rows = rows[:100_000]
    random = np.random.default_rng(4)
    matrix = random.standard_normal(size=(vectors.shape[1], 1536), dtype=np.float32) / np.float32(np.sqrt(1536))

    def widened(sources: np.ndarray) -> np.ndarray:
        wide = vectors[sources] @ matrix
        wide += np.float32(0.005) * random.standard_normal(size=wide.shape, dtype=np.float32)
        return wide / np.linalg.norm(wide, axis=1, keepdims=True)

    kept = _memmap(folder, shape=(len(rows), 1536))
    for start in range(0, len(rows), CHUNK):
        kept[start : start + CHUNK] = widened(rows[start : start + CHUNK])
    kept.flush()
    _finish(folder, kept, widened(queries), sources=rows, query_sources=queries)


def _memmap(folder: Path, *, shape: tuple[int, int]) -> np.memmap:
    return np.lib.format.open_memmap(folder / "rows.f32.npy", mode="w+", dtype=np.float32, shape=shape)


def _finish(
    folder: Path, rows: np.ndarray, queries: np.ndarray, *, sources: np.ndarray, query_sources: np.ndarray
) -> None:
    if not isinstance(rows, np.memmap):
        np.save(folder / "rows.f32.npy", rows)
    np.save(folder / "queries.f32.npy", queries.astype(np.float32))
    np.save(folder / "truth-100.npy", exact_nearest(rows, queries, k=TRUTH))
    np.save(folder / "sources.npy", sources.astype(np.int32))
    np.save(folder / "query-sources.npy", query_sources.astype(np.int32))


COLLECTIONS: dict[str, tuple[Callable[[Path], None], bool]] = {
    "real": (_make_real, False),
    "million": (_make_million, True),
    "wide": (_make_wide, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(COLLECTIONS))
    for name in parser.parse_args().names:
        began = time.perf_counter()
        made = collection(name)
        spent = time.perf_counter() - began
        print(f"{made.folder}: {len(made):,} × {made.dimension}, {made.note} ({spent:.0f} s)", file=sys.stderr)


if __name__ == "__main__":
    main()
