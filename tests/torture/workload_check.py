"""What a store holds, compared with what its journal says that it must hold; and that it can be used again."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

import ragvec.care
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.layout import generations
from ragvec.errors import PolicyNotFound
from ragvec.store import Bucket, Index, Store
from tests.oracle.plain import satisfies
from tests.torture.workload_model import DIMENSION, Journal, Model, Operation, State, metadata_of, vectors_of
from tests.torture.workload_small import shrunk

__all__ = ["check", "compare", "observe", "settled"]

_FILTERS: tuple[dict[str, Any], ...] = (
    {"n": 3},
    {"n": {"$gte": 6}},
    {"word": {"$in": ["é", ""]}},
    {"list": "w1", "ok": True},
    {"ok": {"$exists": False}},
)
_TEXTS = ("é", "дом", "家", "b", "w1")
_TOLERANCE = 1e-5


def check(path: Path, journal_path: Path, *, again: bool = True, thorough: bool = True, as_left: bool = False) -> int:
    """Compare the store with its journal, and note there which pending operations took effect; returns how many records
    were compared.

    Every acknowledged operation must be there, and one that was only begun wholly there or wholly absent. Then `verify`
    must find nothing. With `again`, what was interrupted is done again, and something is written and read back, all of
    it in the journal too. Without `thorough`, records and the catalog are compared, but no search is made. `as_left`
    lets `verify` look before anything else, too: what a crash leaves is no damage.

    Raises:
        AssertionError: with what differs.
    """
    journal = Journal(journal_path)
    if as_left and journal.done:
        _verify(path, unmade=_empty(journal))
    with shrunk(), Store(engine=LocalEngine(path, background=False)) as store:
        model = settled(store, journal)
        compared = compare(store, model, thorough=thorough)
        if again:
            _again(store, model, journal)
            compared += compare(store, model, thorough=thorough)
    _verify(path)
    return compared


def compare(store: Store, model: Model, *, thorough: bool) -> int:
    """Ask for what the model holds in every way there is; returns how many records it has. Raises AssertionError."""
    count = 0
    for bucket, held in model.state.items():
        for name, index in held["indexes"].items():
            compared = store.bucket(bucket).index(name)
            _compare_index(compared, index["records"], index["metric"], thorough=thorough)
            if thorough:
                _compare_texts(compared, index["records"], index["text"])
            count += len(index["records"])
    return count


def observe(store: Store) -> State:
    """What the store holds, in the form of a model's state."""
    return {bucket.name: _observed_bucket(store, bucket) for bucket in store.buckets()}


def settled(store: Store, journal: Journal) -> Model:
    """The model that the store equals; the journal learns what became of the pending operations."""
    observed = observe(store)
    alternatives = journal.alternatives()
    for model, happened in alternatives:
        if _plain(model.state) == observed:
            for number in journal.pending:
                (journal.acknowledge if number in happened else journal.deny)(number)
            return model
    pending = {number: journal.began[number] for number in journal.pending}
    differences = "; or ".join(_difference(_plain(model.state), observed) for model, _ in alternatives)
    raise AssertionError(f"the store is as after no set of the pending operations {pending}: {differences}")


def _plain(state: State) -> State:
    return {
        name: bucket | {"indexes": {name: _plain_index(index) for name, index in bucket["indexes"].items()}}
        for name, bucket in state.items()
    }


def _plain_index(index: dict[str, Any]) -> dict[str, Any]:
    return index | {"target": 0.98 if index["target"] is None else index["target"]}


def _observed_bucket(store: Store, bucket: Bucket) -> dict[str, Any]:
    client = store.client()
    arn = client.get_vector_bucket(vectorBucketName=bucket.name)["vectorBucket"]["vectorBucketArn"]
    try:
        policy = store.engine.catalog.policy(bucket.name)
    except PolicyNotFound:
        policy = None
    return {
        "policy": policy,
        "tags": client.list_tags_for_resource(resourceArn=arn)["tags"],
        "indexes": {index.name: _observed_index(index) for index in bucket.indexes()},
    }


def _observed_index(index: Index) -> dict[str, Any]:
    records = {}
    for record in index.iter(data=True):
        assert record.key not in records, f"{record.key!r} is listed twice in {index}"
        records[record.key] = (np.asarray(record.data, dtype="<f4").tobytes(), record.metadata)
    values = {name: index.property(name) for name in ("p0", "p1", "p2")}
    return {
        "metric": index.metric,
        "properties": {name: value for name, value in values.items() if value is not None},
        "target": index.stats().recall_target,
        "text": index.text_fields,
        "records": records,
    }


def _compare_index(index: Index, records: dict[str, Any], metric: str, *, thorough: bool) -> None:
    keys = sorted(records, key=lambda key: key.encode())
    assert index.count() == len(keys), f"{index} counts {index.count()}, holds {len(keys)}"
    assert [record.key for record in index.iter()] == keys
    for record in index.get([*keys, "none such"]):
        vector, metadata = records[record.key]
        got = np.asarray(record.data, dtype="<f4").tobytes()
        assert (got, record.metadata) == (vector, metadata), f"get({record.key!r}) of {index} is another record"
    if not thorough:
        return
    for where in _FILTERS:
        matching = [key for key in keys if satisfies(_filterable(records[key][1]), where)]
        found = [record.key for record in index.iter(where=where)]
        assert found == matching, f"{where} in {index}: expected {matching}, got {found}"
        assert index.count(where) == len(matching)
        _compare_search(index, {key: records[key] for key in matching}, metric, where=where, exactly=True)
    _compare_search(index, records, metric, where={}, exactly=True)
    _compare_search(index, records, metric, where={}, exactly=False)


def _compare_texts(index: Index, records: dict[str, Any], fields: Collection[str]) -> None:
    for field in fields:
        for word in _TEXTS:
            holding = {key for key, (_, metadata) in records.items() if word in _words(metadata.get(field))}
            hits = index.query(text={field: word}, k=len(records) + 1)
            assert {hit.key for hit in hits} == holding, f"{word!r} in {field!r} of {index}: {hits}"
            assert len(hits) == len(holding)


def _words(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value or []
    return [word for text in texts for word in text.split()]


def _filterable(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name != "x"}


def _compare_search(
    index: Index, records: dict[str, Any], metric: str, *, where: dict[str, Any], exactly: bool
) -> None:
    query = np.linspace(-1, 1, DIMENSION, dtype=np.float32)
    rows = np.array([np.frombuffer(records[key][0], "<f4") for key in records], dtype=np.float64)
    rows = rows.reshape(len(records), DIMENSION)
    if metric == "cosine":
        true = 1 - rows @ query / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
    else:
        true = np.linalg.norm(rows - query, axis=1)
    distance = dict(zip(records, true.tolist(), strict=True))
    k = min(9, len(records)) if not exactly else max(1, len(records))
    if not records:
        assert list(index.query(query, k=3, where=where)) == []
        return
    hits = index.query(query, k=k, where=where, effort=math.inf if exactly else 1.0)
    assert len({hit.key for hit in hits}) == len(hits) == k, f"{where} in {index}: {len(hits)} hits instead of {k}"
    for hit in hits:
        assert abs(hit.distance - distance[hit.key]) < _TOLERANCE, f"{hit.key!r} in {index} at a wrong distance"
        assert hit.metadata == records[hit.key][1]
    assert list(hits.distances) == sorted(hits.distances)


def _again(store: Store, model: Model, journal: Journal) -> None:
    """Write to every index, carry out what is due, and look for what should have gone."""
    engine = store.engine
    assert isinstance(engine, LocalEngine)
    for bucket, held in model.state.items():
        for name, records in [(name, index["records"]) for name, index in held["indexes"].items()]:
            keys = [f"after {len(journal.began)}", *sorted(records)[:2]]
            operation: Operation = {"do": "put", "bucket": bucket, "index": name, "keys": keys, "seed": len(records)}
            number = journal.begin(operation)
            index = store.bucket(bucket).index(name)
            index.put(keys, vectors_of(operation), metadata_of(operation))
            journal.acknowledge(number)
            model.apply(operation)
            index.optimize()
            index.compact()
            engine.index(index.spec).maintain("merge", worker=None)
            folder = engine.path / "indexes" / index.uid
            current = index.stats().generation
            left = [path.name for path in folder.iterdir() if path.name.startswith("old-")]
            left += [f"g{number:06d}" for number in generations(folder) if number > current]
            left += [path.name for path in (folder / f"g{current:06d}" / "segments").glob("tmp-*")]
            assert not left, f"{left} were left in `{folder}`"
    known = {spec.uid for bucket in store.buckets() for spec in (index.spec for index in bucket.indexes())}
    there = {path.name for path in (engine.path / "indexes").glob("*")}
    assert there == known, f"folders {there - known} are of no index, and {known - there} are missing"


def _verify(path: Path, *, unmade: Collection[tuple[str, str]] = ()) -> None:
    """Look for damage, in any index but those that may not have been made yet, and in what may not be lost: a power
    failure may damage the kept result lists."""
    problems = [
        problem
        for problem in ragvec.care.verify(path, deep=True).problems
        if problem.severity != "losable" and (problem.bucket, problem.index) not in unmade
    ]
    assert not problems, f"verify found {problems}"


def _empty(journal: Journal) -> set[tuple[str, str]]:
    """The indexes, by bucket and name, without a record: the files of one are made after it is in the catalog."""
    return {
        (bucket, name)
        for model, _ in journal.alternatives()
        for bucket, held in model.state.items()
        for name, index in held["indexes"].items()
        if not index["records"]
    }


def _difference(expected: Any, got: Any, where: str = "") -> str:
    """The first thing in which two plain values differ."""
    if isinstance(expected, dict) and isinstance(got, dict):
        missing, extra = expected.keys() - got.keys(), got.keys() - expected.keys()
        if missing or extra:
            return f"{where or 'the store'} lacks {sorted(missing)[:5]}, has {sorted(extra)[:5]} too many"
        found = (
            _difference(expected[key], got[key], f"{where}/{key}") for key in expected if expected[key] != got[key]
        )
        return next(found, "no difference")
    return f"at {where} expected {str(expected)[:200]}, got {str(got)[:200]}"
