"""Stores and indexes that a system built from a collection, kept in the cache for every question asked of them."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.data import EDITION, Collection, cache_folder, collection
from benchmarks.processes import Failed, in_child, memory
from benchmarks.systems import system, version

__all__ = ["build", "built", "loaded", "place"]

REPORT = "built.json"


def loaded(name: str, rows: int | None) -> Collection:
    return collection(name).part(rows)


def place(name: str, *, data: str, rows: int | None) -> Path:
    """The folder of a system's store of a collection."""
    return cache_folder() / "stores" / (data if rows is None else f"{data}-{rows}") / name


def built(name: str, *, data: str, rows: int | None, limit: float, threads: int, again: bool = False) -> dict[str, Any]:
    """What building took, building now unless the cache has what this version of the system built.

    Seconds of `insert` and `build`; bytes `disk`, and `peak`: the most anonymous memory beyond what the interpreter
    held with its imports and the metadata of the collection. Raises Failed.
    """
    folder = place(name, data=data, rows=rows)
    installed = version(name)
    if installed is None:
        raise Failed("not installed")
    now = f"{installed}, data {EDITION}"
    report = folder / REPORT
    if report.is_file() and not again:
        kept: dict[str, Any] = json.loads(report.read_text())
        if kept["version"] == now:
            return kept
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "store").parent.mkdir(parents=True)
    arguments = {"name": name, "data": data, "rows": rows, "folder": str(folder), "threads": threads}
    result = in_child("benchmarks.stores:build", arguments, limit=limit, threads=threads)
    result["peak"] = max(0, result.pop("peak_anonymous") - result.pop("before"))
    result["version"] = now
    report.write_text(json.dumps(result))
    return result


def build(*, name: str, data: str, rows: int | None, folder: str, threads: int) -> dict[str, Any]:
    """In a child: build, and say how long it took and how large it is."""
    given = loaded(data, rows)
    made = system(name, Path(folder), dimension=given.dimension, threads=threads)
    given.metadata(0, 1)
    gc.collect()
    before = memory()["anonymous"]
    seconds = made.build(given)
    made.close()
    disk = sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file())
    return {**seconds, "disk": disk, "before": before, "count": len(given)}
