"""The records that benchmark rows come from: vectors with metadata, real where the test data are, else made up."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

__all__ = ["Records", "made_up", "real_folder", "wordnet"]

CHECKOUT = Path(__file__).resolve().parents[1]
FOLDER = "wordnet-minilm"


@dataclass(frozen=True)
class Records:
    """Unit vectors, float32 (n, d), and the metadata of each: pos, lexname, lemma, length, serial."""

    vectors: np.ndarray
    metadata: list[dict[str, Any]]


class _Line(msgspec.Struct):
    metadata: dict[str, Any]


def real_folder() -> Path | None:
    """The folder of the real embeddings under RAGVEC_TEST_DATA, else ../shared/data; None where there is none."""
    beside = CHECKOUT.parent / "shared" / "data"
    folder = Path(os.environ.get("RAGVEC_TEST_DATA") or beside) / FOLDER
    return folder if (folder / "vectors.f16.npy").is_file() and (folder / "records.jsonl").is_file() else None


def wordnet(folder: Path) -> Records:
    """All WordNet glosses through all-MiniLM-L6-v2, renormalised in float32."""
    vectors = np.load(folder / "vectors.f16.npy").astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    decoder = msgspec.json.Decoder(_Line)
    with (folder / "records.jsonl").open("rb") as lines:
        metadata = [decoder.decode(line).metadata for line in lines]
    return Records(vectors, metadata)


def made_up(count: int, *, dimension: int = 384, seed: int = 0) -> Records:
    """Gaussian clusters of uneven size; `lexname` is the cluster's group of ten, so that it goes with the vectors."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(400, dimension)).astype(np.float32)
    cluster = np.minimum(random.exponential(80, size=count).astype(np.int64), 399)
    vectors = centres[cluster] + 0.8 * random.normal(size=(count, dimension)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    parts = ("noun", "noun", "verb", "adj")
    metadata = [
        {
            "pos": parts[row % 4],
            "lexname": f"group.{cluster[row] // 10}",
            "lemma": f"word {row}",
            "length": 20 + row * 7919 % 180,
            "serial": row,
        }
        for row in range(count)
    ]
    return Records(vectors, metadata)
