"""A seeded workload on a store that says in a journal what it is about to do, and what was acknowledged.

    python -m tests.torture.workload STORE JOURNAL --seed N --steps M [--only commit|catalog|postings|segments|merge|
                                                                       compaction|background|migration|all]

The journal belongs outside of the store. A run goes on where the journal ends. `check` of
`tests.torture.workload_check`, offered here too, opens the store afterwards and compares everything in it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ragvec.engine.local.engine import LocalEngine
from ragvec.store import Index, Store
from tests.torture.workload_check import check
from tests.torture.workload_model import DIMENSION, Journal, Model, Operation, metadata_of, vectors_of
from tests.torture.workload_small import BLOCK, shrunk

__all__ = ["GROUPS", "Journal", "Model", "Workload", "check", "main", "perform", "run"]

GROUPS: dict[str, tuple[str, ...]] = {
    "commit": ("put_one", "put_some", "update", "delete", "delete_where", "set_property", "put_some"),
    "catalog": ("create_bucket", "create_index", "put_one", "tag", "policy", "tune", "set_property", "delete_index"),
    "postings": ("put_block", "filter", "maintain_tail"),
    "segments": ("put_block", "put_block", "maintain_tail"),
    "merge": ("put_block", "put_block", "maintain_tail", "put_block", "put_block", "optimize"),
    "compaction": ("put_block", "page", "update_many", "delete_where", "maintain_tail", "compact", "page", "tidy"),
    "background": ("put_block", "update_many", "settle", "page", "delete_where", "settle"),
    "text": ("put_block", "change_text", "maintain_tail", "update_many", "put_block", "change_text", "optimize"),
    "migration": ("put_one", "delete", "set_property", "create_index", "put_some"),
}
"""What a run does, one after the other and again; "all" draws from all of them."""

_KEYS = ("k{}", "ключ {}", "鍵/{}", "../{}", "e\u0301.{}")
_PAGE = 7
_SAME = 0.8


class Workload:
    """Operations on the open store, whose state is `model`, said in `journal` first."""

    def __init__(self, store: Store, *, model: Model, journal: Journal, seed: int) -> None:
        self.store, self.model, self.journal = store, model, journal
        self.random = random.Random(f"{seed} {len(journal.began)}")
        self._paging: _Paging | None = None

    def step(self, name: str) -> None:
        """One operation of this name; one that it needs first, such as making an index, comes before it."""
        if name != "create_bucket" and not self.model.state:
            self._do({"do": "create_bucket", "bucket": "first"})
        if name not in ("create_bucket", "create_index", "tag", "policy") and not self._indexes():
            self._do(self._create_index())
        if name in ("page", "filter"):
            getattr(self, f"_{name}")()
            return
        operation: Operation | None = getattr(self, f"_{name}", lambda: {"do": name})()
        if operation is not None:
            self._do(operation)

    def _do(self, operation: Operation) -> None:
        number = self.journal.begin(operation)
        before = self._count(operation)
        answer = perform(self.store, operation)
        self.journal.acknowledge(number)
        self.model.apply(operation)
        if operation["do"] in ("delete", "delete_where") and before is not None:
            assert answer == before - (self._count(operation) or 0), f"{operation} answered {answer}"

    def _count(self, operation: Operation) -> int | None:
        indexes: dict[str, Any] = self.model.state.get(operation.get("bucket", ""), {}).get("indexes", {})
        return len(indexes[operation["index"]]["records"]) if operation.get("index") in indexes else None

    # -- operations by name ----------------------------------------------------------------------------------------

    def _create_bucket(self) -> Operation | None:
        fresh = [name for name in ("first", "second", "third") if name not in self.model.state]
        return {"do": "create_bucket", "bucket": fresh[0]} if fresh else self._delete_bucket()

    def _delete_bucket(self) -> Operation | None:
        empty = [name for name, bucket in self.model.state.items() if not bucket["indexes"]]
        return {"do": "delete_bucket", "bucket": empty[0]} if empty else None

    def _create_index(self) -> Operation:
        bucket = self._bucket()
        number = sum(op["do"] == "create_index" for op in self.journal.began.values())
        metric = ("euclidean", "cosine")[number % 2]
        # A name comes back after a while, for an index that is another one.
        used = self.model.state[bucket]["indexes"]
        name = next(name for n in range(number, number + 8) if (name := f"i{n % 7}") not in used)
        return {"do": "create_index", "bucket": bucket, "index": name, "metric": metric, "text": ["word"]}

    def _delete_index(self) -> Operation | None:
        found = self._indexes()
        return {"do": "delete_index", **self.random.choice(found)} if len(found) > 1 else None

    def _tag(self) -> Operation:
        return {"do": "tag", "bucket": self._bucket(), "tags": {f"t{self._below(3)}": f"ü{self._below(99)}"}}

    def _policy(self) -> Operation:
        allow = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Sid": f"s{self._below(99)}"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        return {"do": "policy", "bucket": self._bucket(), "policy": policy}

    def _change_text(self) -> Operation:
        index = self._index()
        key = self.random.choice(["word", "list"])
        return {"do": "drop_text" if key in self.model.index(index)["text"] else "add_text", **index, "key": key}

    def _tune(self) -> Operation:
        return {"do": "tune", **self._index(), "target": self.random.choice([0.9, 0.95, 0.99])}

    def _set_property(self) -> Operation:
        value = self.random.choice([None, {"a": [1, "é"]}, self._below(1000)])
        return {"do": "set_property", **self._index(), "name": f"p{self._below(3)}", "value": value}

    def _put_one(self) -> Operation:
        return self._put(1)

    def _put_some(self) -> Operation:
        return self._put(self.random.randint(2, 9))

    def _put_block(self) -> Operation:
        return self._put(BLOCK + self._below(9))

    def _put(self, count: int) -> Operation:
        index = self._index()
        start = sum(len(op.get("keys", ())) for op in self.journal.began.values())
        keys = [_KEYS[n % len(_KEYS)].format(n) for n in range(start, start + count)]
        return {"do": "put", **index, "keys": keys, "seed": self._below(10**6)}

    def _update(self) -> Operation:
        return self._again(5)

    def _update_many(self) -> Operation:
        return self._again(BLOCK)

    def _again(self, most: int) -> Operation:
        index = self._index()
        return {"do": "put", **index, "keys": self._some(index, most) or ["k0"], "seed": self._below(10**6)}

    def _delete(self) -> Operation:
        index = self._index()
        return {"do": "delete", **index, "keys": [*self._some(index, 4), "none such"]}

    def _delete_where(self) -> Operation:
        return {"do": "delete_where", **self._index(), "n": self._below(10)}

    def _maintain_tail(self) -> Operation:
        return {"do": "maintain", **self._index(), "lane": "tail"}

    def _tidy(self) -> Operation:
        return {"do": "maintain", **self._index(), "lane": "merge"}

    def _optimize(self) -> Operation:
        return {"do": "optimize", **self._index()}

    def _compact(self) -> Operation:
        return {"do": "compact", **self._index()}

    # -- questions -------------------------------------------------------------------------------------------------

    def _filter(self) -> None:
        index = self._index()
        records = self.model.index(index)["records"]
        n = self._below(10)
        expected = sum(metadata.get("n") == n for _, metadata in records.values())
        found = _index(self.store, index).count({"n": n})
        assert found == expected, f"count of n = {n} in {index}: expected {expected}, got {found}"

    def _page(self) -> None:
        """The second page of a ranking that was begun some operations before, or the first page of a new one."""
        client = self.store.client()
        if self._paging is not None and (paging := self._paging).of.exists():
            self._paging = None
            if paging.of.uid == paging.uid:
                answer = client.query_vectors(**paging.request, nextToken=paging.token)
                found = [vector["key"] for vector in answer["vectors"]]
                live = self.model.state[paging.of.bucket.name]["indexes"][paging.of.name]["records"]
                expected = [key for key in paging.ranked[_PAGE : 2 * _PAGE] if key in live]
                assert found == expected, f"second page of {paging.of}: expected {expected}, got {found}"
                return
        names = self._index()
        index = _index(self.store, names)
        query = [self._below(100) / 50 - 1 for _ in range(DIMENSION - 1)] + [0.5]
        request = {
            "vectorBucketName": names["bucket"],
            "indexName": names["index"],
            "queryVector": {"float32": query},
            "topK": 3 * _PAGE,
            "maxResults": _PAGE,
        }
        answer = client.query_vectors(**request)
        ranked = index.query(query, k=3 * _PAGE).keys
        assert [vector["key"] for vector in answer["vectors"]] == ranked[:_PAGE]
        if answer.get("nextToken"):
            self._paging = _Paging(index, index.uid, request, answer["nextToken"], ranked)

    # -- chance ----------------------------------------------------------------------------------------------------

    def _below(self, limit: int) -> int:
        return self.random.randrange(limit)

    def _bucket(self) -> str:
        return self.random.choice(sorted(self.model.state))

    def _indexes(self) -> list[dict[str, str]]:
        return [
            {"bucket": bucket, "index": index}
            for bucket, held in sorted(self.model.state.items())
            for index in sorted(held["indexes"])
        ]

    def _index(self) -> dict[str, str]:
        # The one used most is large enough for segments, the others see to it that there are several.
        found = self._indexes()
        return found[0] if self.random.random() < _SAME else self.random.choice(found)

    def _some(self, index: dict[str, str], most: int) -> list[str]:
        keys = sorted(self.model.index(index)["records"])
        return self.random.sample(keys, min(len(keys), most))


class _Paging(NamedTuple):
    """A ranking of which one page was read."""

    of: Index
    uid: str
    request: dict[str, Any]
    token: str
    ranked: list[str]


def perform(store: Store, operation: Operation) -> Any:
    """Carry out an operation; returns what the call does."""
    return _PERFORM[operation["do"]](store, operation)


def _index(store: Store, operation: Operation) -> Index:
    return store.bucket(operation["bucket"]).index(operation["index"])


def _create_index(store: Store, operation: Operation) -> None:
    store.bucket(operation["bucket"]).create_index(
        operation["index"],
        dimension=DIMENSION,
        metric=operation["metric"],
        non_filterable=["x"],
        text=operation.get("text"),
    )


def _tag(store: Store, operation: Operation) -> None:
    client = store.client()
    arn = client.get_vector_bucket(vectorBucketName=operation["bucket"])["vectorBucket"]["vectorBucketArn"]
    client.tag_resource(resourceArn=arn, tags=operation["tags"])


def _policy(store: Store, operation: Operation) -> None:
    store.client().put_vector_bucket_policy(vectorBucketName=operation["bucket"], policy=operation["policy"])


def _maintain(store: Store, operation: Operation) -> None:
    """As the background would, at this very moment and in this thread."""
    engine = store.engine
    assert isinstance(engine, LocalEngine)
    engine.index(_index(store, operation).spec).maintain(operation["lane"], worker=None)


def _settle(store: Store, _: Operation) -> None:
    assert isinstance(store.engine, LocalEngine)
    store.engine.settle()


_PERFORM: dict[str, Callable[[Store, Operation], Any]] = {
    "create_bucket": lambda store, op: store.create_bucket(op["bucket"]),
    "delete_bucket": lambda store, op: store.bucket(op["bucket"]).delete(),
    "create_index": _create_index,
    "delete_index": lambda store, op: _index(store, op).delete_index(),
    "tag": _tag,
    "policy": _policy,
    "set_property": lambda store, op: _index(store, op).set_property(op["name"], op["value"]),
    "add_text": lambda store, op: _index(store, op).add_text(op["key"]),
    "drop_text": lambda store, op: _index(store, op).drop_text(op["key"]),
    "tune": lambda store, op: _index(store, op).tune(recall_target=op["target"]),
    "put": lambda store, op: _index(store, op).put(op["keys"], vectors_of(op), metadata_of(op)),
    "delete": lambda store, op: _index(store, op).delete(op["keys"]),
    "delete_where": lambda store, op: _index(store, op).delete(where={"n": op["n"]}),
    "maintain": _maintain,
    "optimize": lambda store, op: _index(store, op).optimize(),
    "compact": lambda store, op: _index(store, op).compact(),
    "settle": _settle,
}


def run(path: Path, journal: Journal, *, seed: int, steps: int, group: str, background: bool | None = None) -> None:
    """Open the store, go on where the journal ends, and close it. `background` work is that of the group when None.

    Raises AssertionError for a wrong answer, and ValueError when the journal has pending operations, see `check`.
    """
    if journal.pending:
        raise ValueError(f"Expected a settled journal, got one with {journal.pending} pending: check the store first")
    ((model, _),) = journal.alternatives()
    wanted = group == "background" if background is None else background
    with shrunk(), Store(engine=LocalEngine(path, background=wanted)) as store:
        workload = Workload(store, model=model, journal=journal, seed=seed)
        every = sorted({name for names in GROUPS.values() for name in names})
        for step in range(steps):
            names = GROUPS.get(group)
            workload.step(names[step % len(names)] if names else workload.random.choice(every))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture.workload", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--only", choices=[*GROUPS, "all"], default="all")
    parser.add_argument("--background", action=argparse.BooleanOptionalAction, default=None)
    given = parser.parse_args(arguments)
    run(
        given.store,
        Journal(given.journal),
        seed=given.seed,
        steps=given.steps,
        group=given.only,
        background=given.background,
    )


if __name__ == "__main__":
    main()
