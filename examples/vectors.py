"""Vectors with metadata: put, filter, page. Run: python examples/vectors.py [FOLDER]."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

import ragvec


def colours(store: ragvec.Store, rows: npt.NDArray[np.float32]) -> ragvec.Index:
    """An index of `rows`, each with a year and a colour."""
    index = store.create_bucket("lab").create_index("points", dimension=rows.shape[1], metric="euclidean")
    metadata = [{"year": 2015 + n % 10, "colour": ["red", "green", "blue"][n % 3]} for n in range(len(rows))]
    index.put([f"p{n}" for n in range(len(rows))], rows, metadata)
    return index


def main(folder: Path) -> None:
    """Print the three nearest of this decade's points that are not red, and how many points are red."""
    rows = np.random.default_rng(0).normal(size=(1000, 16)).astype(np.float32)
    with ragvec.Store(folder) as store:
        index = colours(store, rows)
        for hit in index.query(rows[1], k=3, where={"year": {"$gte": 2020}, "colour": {"$ne": "red"}}):
            print(f"{hit.key} {hit.distance:.3f} {hit.metadata}")
        print(index.count({"colour": "red"}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder) / "store")
