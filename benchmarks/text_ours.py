"""Text search of ragvec as `benchmarks.text` measures it: the lists alone, and queries of a store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ragvec
from benchmarks.processes import memory
from benchmarks.text_peers import K, measured, size, texts_in
from ragvec.engine.local.run_store import BLOCK_ROWS
from ragvec.text.analyzers import analyzer
from ragvec.text.bm25 import Statistics, top
from ragvec.text.inverted import Inverted, merged
from ragvec.text.inverted_tail import InvertedTail

__all__ = ["SHARE", "Files", "ask_store", "build_store"]

SHARE = 0.02
"""Of the records that the filter lets through."""

_ABOUT = {"key": "body"}
_FANOUT = 4
_BATCH = 10_000


class Files:
    """Inverted lists in files, merged four at a time as a store does."""

    def __init__(self, folder: Path) -> None:
        lists = [Inverted.open(path, about=_ABOUT) for path in sorted(folder.glob("*.text"))]
        self._statistics = Statistics(lists, dead=np.empty(0, np.uint32))
        self._terms = analyzer("en").query

    @staticmethod
    def build(texts: Sequence[str], folder: Path) -> str:
        tokens = analyzer("en").tokens
        runs: list[Inverted] = []
        for start in range(0, len(texts), BLOCK_ROWS):
            tail = InvertedTail(start)
            for text in texts[start : start + BLOCK_ROWS]:
                tail.add(tokens(text))
            runs.append(_written(tail.freeze(), folder))
            while len(runs) >= _FANOUT and _rows(runs[-_FANOUT]) == _rows(runs[-1]):
                merging = runs[-_FANOUT:]
                runs[-_FANOUT:] = [_written(merged(merging), folder)]
                for run in merging:
                    if run.path is not None:
                        run.path.unlink()
        return ragvec.__version__

    def best(self, question: str) -> list[int]:
        rows: list[int] = top(self._statistics, self._terms(question), k=K).rows[:K].tolist()
        return rows


def _rows(run: Inverted) -> int:
    return run.last - run.first


def _written(lists: Inverted, folder: Path) -> Inverted:
    path = folder / f"{lists.first:012d}-{lists.last:012d}.text"
    lists.write(path, about=_ABOUT)
    return Inverted.open(path, about=_ABOUT)


def build_store(*, data: str, texts: str, folder: str) -> dict[str, Any]:
    """A store of real records with their vectors and texts, as `benchmarks.text_peers.build`."""
    lines = texts_in(Path(texts))
    vectors = np.load(Path(data) / "vectors.f16.npy", mmap_mode="r")
    with (Path(data) / "records.jsonl").open(encoding="utf-8") as records:
        described = [json.loads(record)["metadata"] for record, _ in zip(records, lines, strict=False)]
    serials = np.random.default_rng(7).permutation(len(lines)).tolist()
    began, processor = time.perf_counter(), time.process_time()
    with ragvec.Store(Path(folder)) as store:
        index = store.create_bucket("bench").create_index(
            "texts", dimension=vectors.shape[1], non_filterable=["body"], text={"body": "en"}
        )
        for start in range(0, len(lines), _BATCH):
            part = range(start, min(start + _BATCH, len(lines)))
            metadata = [{**described[row], "serial": serials[row], "body": lines[row]} for row in part]
            index.put([f"{row:08d}" for row in part], vectors[part.start : part.stop].astype(np.float32), metadata)
        index.optimize()
    spent, used = time.perf_counter() - began, time.process_time() - processor
    return {"version": ragvec.__version__, "seconds": spent, "processor": used, "bytes": size(Path(folder))}


def ask_store(*, data: str, folder: str, questions: list[str], short: list[str], seconds: float) -> dict[str, Any]:
    """By `text` alone, as `hybrid` with a vector, and `filtered`, hybrid among `SHARE` of the records: each as
    `benchmarks.text_peers.ask`. The vector of a question is that of its best text, and noise."""
    before = sum(memory().values())
    began = time.perf_counter()
    with ragvec.Store(Path(folder), read_only=True) as store:
        index = store.bucket("bench").index("texts")
        first = index.query(text=questions[0], k=K)
        opened = time.perf_counter() - began
        assert len(first), "a question of the benchmark has no answer"
        noise = np.random.default_rng(8)
        vectors = np.load(Path(data) / "vectors.f16.npy", mmap_mode="r")
        near = {}
        for question in (*questions, *short):
            keys = index.query(text=question, k=1).keys
            vector = vectors[int(keys[0])].astype(np.float32)
            near[question] = vector + np.float32(0.02) * noise.standard_normal(len(vector), dtype=np.float32)
        where = {"serial": {"$lt": round(SHARE * index.count())}}
        ways: dict[str, Callable[[str], Any]] = {
            "text": lambda question: index.query(text=question, k=K),
            "hybrid": lambda question: index.query(near[question], text=question, k=K),
            "filtered": lambda question: index.query(near[question], text=question, where=where, k=K),
        }
        found = {}
        for name, way in ways.items():
            whole = _answered(way, questions, seconds=seconds)
            found[name] = {
                "opened": opened,
                "whole": whole,
                "short": _answered(way, short, seconds=seconds),
                "resident": sum(memory().values()) - before,
            }
    return found


def _answered(way: Callable[[str], Any], questions: Sequence[str], *, seconds: float) -> dict[str, Any]:
    point = measured(way, questions, seconds=seconds)  # the objects of the answers are not read while time is taken
    point["answers"] = [[int(key) for key in answer.keys] for answer in point["answers"]]
    return point
