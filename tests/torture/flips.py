"""Damage to one file of a store: a flipped bit, a page of zeros, a cut, a removal, two files swapped.

A round does one of these to a fresh copy of a small store that has everything a store can have, and then looks: deep
verification finds it, reading gives right answers or clear errors for all that verification does not name, and repair
heals it and names exactly the keys that are gone. Damage that verification does not find must be to bytes that nothing
uses: everything is then as it was, and the round counts as harmless.
"""

from __future__ import annotations

import logging
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import ragvec.care
from ragvec.care import Repair, Verification
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.identity import read_identity
from ragvec.errors import NotAStore, RagvecError
from ragvec.filters.interpret import matches
from ragvec.filters.parse import parse_filter
from ragvec.store import Index, Store
from tests.torture.workload_small import BLOCK, shrunk

__all__ = ["ATTACKS", "Model", "attack", "check", "make", "run"]

DIMENSION = 6
ROWS = 3 * BLOCK
BACKEND = "exact"
"""Of the processes that read and repair: what they say of segments is the same, and they start quickly."""

ATTACKS = ("flip", "flip", "flip", "flip", "flip", "flip", "zero", "cut", "remove", "swap")
_FILTERS: tuple[dict[str, Any], ...] = ({"n": 3}, {"n": {"$gte": 5}}, {"word": {"$in": ["é", "w2"]}}, {"ok": True})

_MOSTLY = 0.9
"""The share of attacks that leave alone what serves nobody, as the segments of a superseded generation."""

Model = dict[tuple[str, str], dict[str, tuple[bytes, dict[str, Any]]]]
"""By bucket and index: by key, the vector's bytes and the metadata."""


def run(*, rounds: int, seed: int, folder: Path) -> dict[str, int | str]:
    """Make `rounds` attacks; returns how many were found, how many harmless, and how many rows were lost."""
    silent = logging.getLogger("ragvec")
    level = silent.level
    silent.setLevel(logging.CRITICAL)
    figures: Counter[str] = Counter()
    harmless: Counter[str] = Counter()
    try:
        with shrunk():
            model = make(folder / "whole")
            for number in range(rounds):
                chosen = random.Random(f"{seed}-{number}")
                store = folder / f"round-{number}"
                shutil.copytree(folder / "whole", store)
                what = attack(store, chosen)
                try:
                    found, lost = check(store, model, writing=number % 2 == 0)
                except (AssertionError, Exception) as error:
                    raise AssertionError(f"seed {seed}, round {number}: {what}: {error!r}") from error
                figures["attacks"] += 1
                figures["found" if found else "harmless"] += 1
                figures["lost rows, all named"] += lost
                if not found:
                    harmless[what.split()[0] + " " + what.rsplit("/", 1)[-1].split(" ")[0]] += 1
                shutil.rmtree(store)
    finally:
        silent.setLevel(level)
    return {**figures, "harmless in": ", ".join(f"{name} {count}" for name, count in harmless.most_common(8))}


def make(path: Path) -> Model:
    """A store with segments, posting lists, two generations, kept rankings, deleted rows and several indexes."""
    chosen = random.Random("flips")
    model: Model = {}
    with Store(engine=LocalEngine(path, background=False)) as store:
        for bucket, names in (("alpha", ("main", "twin")), ("beta", ("small", "empty"))):
            store.create_bucket(bucket)
            for name in names:
                index = store.bucket(bucket).create_index(
                    name, dimension=DIMENSION, metric="cosine" if name == "twin" else "euclidean"
                )
                count = {"main": ROWS, "twin": ROWS, "small": 9, "empty": 0}[name]
                records = _records(chosen, count)
                for start in range(0, count, BLOCK):
                    part = list(records.items())[start : start + BLOCK]
                    _put(index, dict(part))
                    index.optimize()
                model[bucket, name] = records
        main = store.bucket("alpha").index("main")
        _delete(main, model["alpha", "main"], share=2)
        token = _page(store)
        main.compact()
        again = {key: model["alpha", "main"][key] for key in list(model["alpha", "main"])[:5]}
        _put(main, again)
        _delete(main, model["alpha", "main"], share=9)
        _put(main, new := _records(chosen, 7, prefix="new"))
        model["alpha", "main"].update(new)
        _put(store.bucket("alpha").index("twin"), more := _records(chosen, 3, prefix="new"))
        model["alpha", "twin"].update(more)
        _page(store)
        assert token
        assert len(list((path / "indexes" / main.uid).glob("g0*"))) == 2
    return model


def attack(path: Path, chosen: random.Random) -> str:
    """Damage one file, or swap two; returns what was done, in words."""
    there = [file for file in path.rglob("*") if file.is_file() and not file.name.endswith((".lock", "-shm"))]
    files = sorted(there, key=lambda file: _place(path, file))
    if chosen.random() < _MOSTLY:
        files = [file for file in files if not _is_unused(file)]
    kind = chosen.choice(ATTACKS)
    file = chosen.choice([one for one in files if one.stat().st_size or kind == "remove"])
    name, size = _place(path, file), file.stat().st_size
    if kind == "flip":
        bit = chosen.randrange(8 * size)
        content = bytearray(file.read_bytes())
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)
        return f"flip {name} bit {bit % 8} of byte {bit // 8} of {size}"
    if kind == "zero":
        start = chosen.randrange(0, size, 512)
        content = bytearray(file.read_bytes())
        content[start : start + 4096] = bytes(len(content[start : start + 4096]))
        file.write_bytes(content)
        return f"zero {name} from byte {start} of {size}"
    if kind == "cut":
        end = chosen.randrange(size)
        with file.open("r+b") as out:
            out.truncate(end)
        return f"cut {name} to {end} of {size} bytes"
    if kind == "remove":
        file.unlink()
        return f"remove {name}"
    other = chosen.choice([one for one in files if one != file and one.suffix == file.suffix] or files)
    between = path / "between"
    swapped = f"swap {name} and {_place(path, other)}"
    file.rename(between)
    other.rename(file)
    between.rename(other)
    return swapped


def _place(path: Path, file: Path) -> str:
    """The file below the store, with the name of its index in the place of the uid, which is another each time."""
    parts = file.relative_to(path).parts
    if parts[0] != "indexes":
        return "/".join(parts)
    spec = read_identity(path / parts[0] / parts[1])
    assert spec is not None
    return "/".join((spec.name, *parts[2:]))


def _is_unused(file: Path) -> bool:
    superseded = any((folder / "retired").exists() for folder in file.parents)
    return file.suffix == ".mark" or (superseded and ("segments" in file.parts or "postings" in file.parts))


def check(path: Path, model: Model, *, writing: bool) -> tuple[bool, int]:
    """Verify, read, repair and compare; returns whether the damage was found, and how many rows are lost. Raises
    AssertionError."""
    before = ragvec.care.verify(path, deep=True)
    copy = path.with_name(path.name + "-read")
    shutil.copytree(path, copy)
    answers = _Reading(copy, model, read_only=not writing).run()
    shutil.rmtree(copy)
    done = ragvec.care.repair(path, backend=BACKEND)
    assert done.left.clean, f"repair left {[str(problem) for problem in done.left.problems]}"
    assert not done.unchecked, f"saved without a checksum: {done.unchecked}"
    lost, nameless = _lost(done)
    unsure = {(*name.split("/"), key) for name, key in done.unsure}
    lost |= _compare(path, model, lost, nameless=nameless, unsure=unsure)
    tainted = lost | _named(before)
    wrong = [answer for answer in answers if answer[0] is None or answer[0] not in tainted]
    assert before.clean is False or not (lost or answers), f"not found, and it shows: {lost or answers}"
    assert not wrong, f"wrong answers that verification does not account for: {wrong[:5]}"
    return not before.clean, len(lost)


_Key = tuple[str, str, str]


def _lost(done: Repair) -> tuple[set[_Key], Counter[tuple[str, str]]]:
    """The keys that are lost, and how many rows are in each index of which not even the key is left anywhere."""
    keys = {(row.bucket, row.index, row.key) for row in done.lost if row.key is not None}
    return keys, Counter((row.bucket, row.index) for row in done.lost if row.key is None)


def _named(found: Verification) -> set[_Key]:
    return {(one.bucket, one.index, one.key) for one in found.problems if one.key is not None}


class _Reading:
    """Asks a damaged store everything, and collects wrong answers with the key that they are about."""

    def __init__(self, path: Path, model: Model, *, read_only: bool) -> None:
        self._path, self._model, self._read_only = path, model, read_only
        self._wrong: list[tuple[_Key | None, str]] = []

    def run(self) -> list[tuple[_Key | None, str]]:
        """The wrong answers; a clear error is none."""
        try:
            engine = LocalEngine(self._path, background=False, read_only=self._read_only, backend=BACKEND)
        except (RagvecError, NotAStore):
            return []
        with Store(engine=engine) as store:
            for (bucket, name), records in self._model.items():
                try:
                    index = store.bucket(bucket).index(name)
                    _ = index.spec
                except RagvecError:
                    continue
                for ask in (self._get, self._list, self._count, self._query):
                    try:
                        ask(index, (bucket, name), records)
                    except RagvecError:
                        continue
        return self._wrong

    def _tell(self, place: tuple[str, str], key: str | None, what: str) -> None:
        self._wrong.append((None if key is None else (*place, key), what))

    def _get(self, index: Index, place: tuple[str, str], records: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
        for key in records:
            try:
                found = index.get([key])
            except RagvecError:
                continue
            if not found:
                self._tell(place, key, f"get finds no {key}")
            elif _plain(found[0]) != records[key]:
                self._tell(place, key, f"get gives another {key}")

    def _list(self, index: Index, place: tuple[str, str], records: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
        for data, metadata in ((True, True), (False, True), (False, False)):
            seen = set()
            for record in index.iter(data=data, metadata=metadata, damaged="skip", batch=50):
                seen.add(record.key)
                vector, entries = records.get(record.key, (b"", None))
                if record.key not in records:
                    self._tell(place, record.key, f"{record.key} is listed")
                elif data and record.data is not None and record.data.tobytes() != vector:
                    self._tell(place, record.key, f"{record.key} is listed with another vector")
                elif metadata and record.metadata != entries:
                    self._tell(place, record.key, f"{record.key} is listed with other metadata")
            for key in records.keys() - seen:
                self._tell(place, key, f"{key} is not listed")

    def _count(self, index: Index, place: tuple[str, str], records: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
        for condition in ({}, *_FILTERS):
            where = parse_filter(condition)
            expected = {key for key, (_, entries) in records.items() if matches(where, entries)}
            got = {record.key for record in index.iter(where=condition, metadata=False, damaged="skip")}
            for key in expected ^ got:
                self._tell(place, key, f"the filter {condition} is wrong about {key}")
            count = index.count(condition)
            if count != len(got) and got == expected:
                # Rows without vectors are not counted: those are named.
                for key in expected:
                    try:
                        index.get([key])
                    except RagvecError:
                        count += 1
                if count != len(expected):
                    self._tell(place, None, f"{count} are counted for {condition}, not {len(expected)}")

    def _query(self, index: Index, place: tuple[str, str], records: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
        query = np.arange(1, DIMENSION + 1, dtype=np.float32)
        for condition in ({}, *_FILTERS):
            found = index.query(query, k=10, where=condition)
            for key, distance in zip(found.keys, found.distances, strict=True):
                if key not in records:
                    self._tell(place, key, f"a query finds {key}")
                elif not np.isclose(distance, _distance(index, query, records[key][0]), rtol=1e-4, atol=1e-5):
                    self._tell(place, key, f"a query finds {key} at {distance}")
            exact = sorted(
                (_distance(index, query, vector), key)
                for key, (vector, entries) in records.items()
                if matches(parse_filter(condition), entries)
            )[:10]
            for distance, key in exact:
                beyond = len(found.keys) < 10 or distance < float(found.distances[-1]) - 1e-4
                if key not in found.keys and beyond:
                    self._tell(place, key, f"a query misses {key}")


def _compare(
    path: Path, model: Model, lost: set[_Key], *, nameless: Counter[tuple[str, str]], unsure: set[tuple[str, ...]]
) -> set[_Key]:
    """Require that just the lost keys are gone; returns those whose rows repair could only count. Deleted keys may be
    back where repair said so."""
    unnamed: set[_Key] = set()
    with Store(engine=LocalEngine(path, background=False, backend=BACKEND)) as store:
        there = {(bucket.name, index.name) for bucket in store.buckets() for index in bucket.indexes()}
        assert there == set(model), f"after repair the indexes are {sorted(there)}"
        for (bucket, name), records in model.items():
            index = store.bucket(bucket).index(name)
            expected = {key: value for key, value in records.items() if (bucket, name, key) not in lost}
            got = {record.key: _plain(record) for record in index.iter(data=True)}
            for key in [key for key in got if key not in records and (bucket, name, key) in unsure]:
                del got[key]
            gone, extra = sorted(expected.keys() - got.keys()), sorted(got.keys() - expected.keys())
            assert len(gone) <= nameless[bucket, name], (
                f"after repair {gone[:5]} of {bucket}/{name} are missing, unnamed"
            )
            unnamed |= {(bucket, name, key) for key in gone}
            for key in gone:
                del expected[key]
            assert not extra, f"after repair {extra[:5]} of {bucket}/{name} are there, said to be lost"
            differing = [key for key in expected if got[key] != expected[key]]
            assert not differing, f"after repair {differing[:5]} of {bucket}/{name} differ"
            assert index.count() == sum(1 for _ in index.iter())
            _put(index, {"written after repair": (bytes(np.ones(DIMENSION, dtype="<f4")), {"n": 1})})
            assert index.get(["written after repair"])
    return unnamed


def _records(chosen: random.Random, count: int, *, prefix: str = "key") -> dict[str, tuple[bytes, dict[str, Any]]]:
    records = {}
    for number in range(count):
        vector = np.array([chosen.gauss(0, 1) for _ in range(DIMENSION)], dtype="<f4")
        metadata = {"n": number % 8, "word": f"w{number % 5}" if number % 3 else "é", "ok": number % 2 == 0}
        records[f"{prefix}-{number:03d}"] = vector.tobytes(), metadata
    return records


def _put(index: Index, records: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
    if records:
        vectors = np.stack([np.frombuffer(vector, dtype="<f4") for vector, _ in records.values()])
        index.put(list(records), vectors, [metadata for _, metadata in records.values()])


def _delete(index: Index, records: dict[str, tuple[bytes, dict[str, Any]]], *, share: int) -> None:
    gone = list(records)[::share]
    index.delete(gone)
    for key in gone:
        del records[key]


def _page(store: Store) -> str:
    """The token of the second page of a query of alpha/main, which is kept."""
    client = store.client()
    found = client.query_vectors(
        vectorBucketName="alpha",
        indexName="main",
        queryVector={"float32": [1.0] * DIMENSION},
        topK=20,
        maxResults=5,
    )
    return str(found["nextToken"])


def _plain(record: Any) -> tuple[bytes, dict[str, Any]]:
    return record.data.tobytes(), record.metadata


def _distance(index: Index, query: Any, vector: bytes) -> float:
    row = np.frombuffer(vector, dtype="<f4").astype(np.float64)
    if index.metric == "euclidean":
        return float(np.linalg.norm(query - row))
    return float(1 - query @ row / np.linalg.norm(query) / np.linalg.norm(row))
