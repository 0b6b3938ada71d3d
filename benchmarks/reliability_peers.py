"""The process that `benchmarks.reliability` kills: one of the stores, told line by line what to do.

    python -m benchmarks.reliability_peers SYSTEM FOLDER

It answers "ready", or the error of opening, then one JSON line for each command: `put N` writes batch N and answers
when it was acknowledged; `run N` writes batches N, N + 1, … and answers after each until it is killed; `read` says what
is there; `check` has the store look at itself, where it can.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.systems.base import System

__all__ = ["BATCH", "CHECKED", "DIMENSION", "PACKAGES", "main", "vectors_of"]

BATCH = 100
DIMENSION = 32
_SEARCHED = 40

PACKAGES = {
    "ragvec": "ragvec",
    "chroma": "chromadb",
    "lancedb": "lancedb",
    "qdrant": "qdrant-client",
    "milvus-lite": "milvus-lite",
    "sqlite-vec": "sqlite-vec",
}
_ADAPTERS = {
    "ragvec": ("ragvec_index", "RagvecIndex"),
    "chroma": ("chroma", "Chroma"),
    "lancedb": ("lance", "Lance"),
    "qdrant": ("qdrant", "Qdrant"),
    "milvus-lite": ("milvus", "Milvus"),
    "sqlite-vec": ("sqlite_vector", "SqliteVec"),
}

Found = dict[int, np.ndarray]


def vectors_of(batch: int) -> np.ndarray:
    """The vectors of a batch: of norm 1, since some stores keep only that."""
    rows = np.random.default_rng(batch).normal(size=(BATCH, DIMENSION)).astype(np.float32)
    normed: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normed


def main() -> None:
    """See the module."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    module, adapter = _ADAPTERS[name]
    kind: Callable[..., System] = getattr(importlib.import_module(f"benchmarks.systems.{module}"), adapter)
    try:
        system = kind(folder, dimension=DIMENSION, threads=1)
        if any(folder.iterdir()):
            system.open()
        else:
            system.create()
    except Exception as error:  # noqa: BLE001 - whatever a store raises is what is reported
        _say(error=_words(error))
        return
    _say(ready=True)
    for line in sys.stdin:
        command, _, number = line.strip().partition(" ")
        if command == "run":
            for batch in range(int(number), 10**6):
                _put(system, batch)
                _say(done=batch)
        try:
            if command == "put":
                _put(system, int(number))
                _say(done=int(number))
            elif command == "read":
                _say(**_read(name, system))
            elif command == "check":
                _say(found=_CHECKS[name](system) if name in _CHECKS else None)
            elif command == "close":
                system.close()
                _say(closed=True)
        except Exception as error:  # noqa: BLE001 - as above
            _say(error=_words(error))


def _put(system: System, batch: int) -> None:
    keys = [str(batch * BATCH + row) for row in range(BATCH)]
    metadata = [{"pos": "n", "lexname": "a", "lemma": "b", "length": 1, "serial": batch} for _ in keys]
    system.put(keys, vectors_of(batch), metadata)


def _read(name: str, system: System) -> dict[str, Any]:
    """How many rows of each batch are there, how many of their vectors are wrong, and how many of some are found by a
    search for themselves."""
    found = _READERS[name](system)
    batches: dict[int, int] = {}
    wrong = 0
    for row, vector in found.items():
        batches[row // BATCH] = batches.get(row // BATCH, 0) + 1
        wrong += not np.allclose(vector, vectors_of(row // BATCH)[row % BATCH], atol=1e-4)
    chosen = np.random.default_rng(0).permutation(sorted(found))[:_SEARCHED].tolist()
    hits = 0
    for row in chosen:
        answer = system.search(vectors_of(row // BATCH)[row % BATCH], k=1)
        hits += system.rows(answer)[:1] == [row]
    return {"batches": batches, "wrong": wrong, "searched": len(chosen), "hits": hits}


def _from_ragvec(system: Any) -> Found:
    return {int(record.key): record.data for record in system.index.iter(data=True)}


def _from_chroma(system: Any) -> Found:
    found = system.collection.get(include=["embeddings"])
    return {int(key): np.asarray(vector) for key, vector in zip(found["ids"], found["embeddings"], strict=True)}


def _from_lance(system: Any) -> Found:
    table = system.table.to_arrow()
    keys, vectors = table["key"].to_pylist(), table["vector"].to_pylist()
    return {int(key): np.asarray(vector) for key, vector in zip(keys, vectors, strict=True)}


def _from_qdrant(system: Any) -> Found:
    points, _ = system.client.scroll("rows", limit=10**6, with_vectors=True, with_payload=False)
    return {int(point.id): np.asarray(point.vector) for point in points}


def _from_milvus(system: Any) -> Found:
    pages = system.client.query_iterator("rows", filter="row >= 0", output_fields=["row", "vector"], batch_size=1000)
    found: Found = {}
    while lines := pages.next():
        found.update((int(line["row"]), np.asarray(line["vector"])) for line in lines)
    return found


def _from_sqlite(system: Any) -> Found:
    rows = system.connection.execute("select row, vector from rows").fetchall()
    return {row: np.frombuffer(vector, dtype=np.float32) for row, vector in rows}


_READERS: dict[str, Callable[[Any], Found]] = {
    "ragvec": _from_ragvec,
    "chroma": _from_chroma,
    "lancedb": _from_lance,
    "qdrant": _from_qdrant,
    "milvus-lite": _from_milvus,
    "sqlite-vec": _from_sqlite,
}


def _check_ragvec(system: Any) -> bool:
    from ragvec import care

    report = care.verify(system.folder / "store", deep=True)
    return bool(report.problems)


def _check_sqlite(system: Any) -> bool:
    found: list[tuple[str]] = system.connection.execute("pragma integrity_check").fetchall()
    return found != [("ok",)]


_CHECKS: dict[str, Callable[[Any], bool]] = {"ragvec": _check_ragvec, "sqlite-vec": _check_sqlite}
CHECKED = frozenset(_CHECKS)
"""Those that can look at themselves."""


def _say(**words: Any) -> None:
    print(json.dumps(words), file=_replies, flush=True)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


# What a library prints must not be taken for an answer.
_replies = sys.stdout

if __name__ == "__main__":
    sys.stdout = sys.stderr
    main()
