"""Random histories of a store, carried out by two processes in turn, agree with plain Python at every step."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import ragvec

sys.path.insert(0, str(Path(__file__).parent))
from actions import BUCKET, INDEX, run
from plain import PlainIndex

DIMENSION = 3
FIELDS = ["year", "tag", "ok", "名"]

keys = st.sampled_from([f"k{n}" for n in range(12)] + ["ключ", "k\u0000x", "K1", "\U0001f600"])
vectors = st.lists(st.integers(-3, 3), min_size=DIMENSION, max_size=DIMENSION).filter(any)
scalars = st.one_of(
    st.integers(-2, 2),
    st.sampled_from([0.5, -1.0, 1.0, 2**53, 2**53 + 1, 1e300]),
    st.booleans(),
    st.sampled_from(["a", "ab", "b", ""]),
)
strings = st.lists(st.sampled_from(["a", "ab", "b"]), min_size=1, max_size=3)
numbers = st.lists(st.integers(-2, 2), min_size=1, max_size=3)
metadata = st.dictionaries(st.sampled_from(FIELDS), st.one_of(scalars, strings, numbers), max_size=3)
limits = st.one_of(st.integers(-2, 2), st.sampled_from([0.5, 2**53, 2**53 + 1]))
conditions = st.one_of(
    scalars,
    st.fixed_dictionaries({}, optional={"$eq": scalars, "$ne": scalars}).filter(bool),
    st.fixed_dictionaries({}, optional={"$gt": limits, "$lte": limits, "$gte": limits, "$lt": limits}).filter(bool),
    st.builds(
        lambda name, values: {name: values}, st.sampled_from(["$in", "$nin"]), st.lists(scalars, min_size=1, max_size=3)
    ),
    st.builds(lambda value: {"$exists": value}, st.booleans()),
    st.builds(lambda value: {"$startsWith": value}, st.sampled_from(["", "a", "ab", "c"])),
)
leaves = st.dictionaries(st.sampled_from(FIELDS), conditions, max_size=2)
filters = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda name, parts, beside: {name: parts, **beside},
        st.sampled_from(["$and", "$or"]),
        st.lists(inner, min_size=1, max_size=3),
        leaves,
    ),
    max_leaves=4,
)
batches = st.lists(st.tuples(keys, vectors, metadata), min_size=1, max_size=5, unique_by=lambda record: record[0])
processes = st.sampled_from(["here", "there"])


class History(RuleBasedStateMachine):
    """Two processes on one store."""

    metric = "cosine"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ragvec-oracle-"))
        self.store = ragvec.Store(self.folder / "store")
        self.store.create_bucket(BUCKET).create_index(INDEX, dimension=DIMENSION, metric=self.metric)
        self.plain = PlainIndex(self.metric)
        self.other = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("actions.py")), str(self.folder / "store")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.paging: dict[str, Any] | None = None

    def teardown(self) -> None:
        self.other.communicate()
        assert self.other.returncode == 0
        self.store.close()
        shutil.rmtree(self.folder)

    def do(self, process: str, /, **action: Any) -> Any:
        if process == "here":
            return json.loads(json.dumps(run(self.store, action)))
        assert self.other.stdin is not None
        assert self.other.stdout is not None
        self.other.stdin.write(json.dumps(action) + "\n")
        self.other.stdin.flush()
        return json.loads(self.other.stdout.readline())

    @initialize(records=batches)
    def fill(self, records: list[Any]) -> None:
        self.put("here", records)

    @rule(process=processes, records=batches)
    def put(self, process: str, records: list[Any]) -> None:
        ids, data, attributes = ([record[part] for record in records] for part in range(3))
        self.do(process, do="put", keys=ids, vectors=data, metadata=attributes)
        self.plain.put(records)

    @rule(process=processes, chosen=st.lists(keys, min_size=1, max_size=3))
    def delete(self, process: str, chosen: list[str]) -> None:
        assert self.do(process, do="delete", keys=chosen) == self.plain.delete(chosen)

    @rule(process=processes, where=filters)
    def delete_where(self, process: str, where: dict[str, Any]) -> None:
        assert self.do(process, do="delete_where", where=where) == self.plain.delete(self.plain.matching(where))

    @rule(process=processes, vector=vectors, k=st.integers(1, 20), where=filters)
    def query(self, process: str, vector: list[int], k: int, where: dict[str, Any]) -> None:
        found = self.do(process, do="query", vector=vector, k=k, where=where)
        assert found == [list(hit) for hit in self.plain.query(vector, k, where)]

    @rule(process=processes, where=filters)
    def count(self, process: str, where: dict[str, Any]) -> None:
        assert self.do(process, do="count", where=where) == len(self.plain.matching(where))

    @rule(process=processes, chosen=st.lists(keys, min_size=1, max_size=4, unique=True))
    def get(self, process: str, chosen: list[str]) -> None:
        expected = [[key, *self.plain.records[key]] for key in chosen if key in self.plain.records]
        assert self.do(process, do="get", keys=chosen) == expected

    @rule(process=processes, size=st.integers(1, 6), segments=st.sampled_from([1, 1, 3]), where=filters)
    def list_all(self, process: str, size: int, segments: int, where: dict[str, Any]) -> None:
        listed: list[list[Any]] = []
        for segment in range(segments):
            options: dict[str, Any] = {"maxResults": size, "filter": where}
            if segments > 1:
                options |= {"segmentCount": segments, "segmentIndex": segment}
            while True:
                page = self.do(process, do="list", options=options)
                assert len(page["vectors"]) <= size
                listed += page["vectors"]
                if page["nextToken"] is None:
                    break
                options["nextToken"] = page["nextToken"]
        assert sorted(listed, key=lambda item: item[0]) == [
            [key, self.plain.records[key][1]] for key in self.plain.matching(where)
        ]

    @rule(process=processes, vector=vectors, k=st.integers(2, 20), size=st.integers(1, 4), where=filters)
    def open_pages(self, process: str, vector: list[int], k: int, size: int, where: dict[str, Any]) -> None:
        request = {"vector": vector, "k": k, "where": where, "options": {"maxResults": size}}
        ranked = [list(hit) for hit in self.plain.query(vector, k, where)]
        page = self.do(process, do="page", **request)
        assert page["vectors"] == ranked[:size]
        assert (page["nextToken"] is not None) == (len(ranked) > size)
        if page["nextToken"] is not None:
            self.paging = {"request": request, "token": page["nextToken"], "ranked": ranked, "at": size}

    @precondition(lambda self: self.paging is not None)
    @rule(process=processes)
    def next_page(self, process: str) -> None:
        """Any process can read on, whatever was written since: the list is that of the first page, less what was
        deleted."""
        assert self.paging is not None
        request, size, at = self.paging["request"], self.paging["request"]["options"]["maxResults"], self.paging["at"]
        options = {**request["options"], "nextToken": self.paging["token"]}
        page = self.do(process, do="page", **{**request, "options": options})
        expected = [hit for hit in self.paging["ranked"][at : at + size] if hit[0] in self.plain.records]
        assert page["vectors"] == expected
        self.paging = {**self.paging, "token": page["nextToken"], "at": at + size}
        if page["nextToken"] is None:
            assert at + size >= len(self.paging["ranked"])
            self.paging = None

    @rule(process=processes)
    def compact(self, process: str) -> None:
        """Nothing that can be asked changes, pages begun before included; only the tombstones are gone."""
        self.do(process, do="compact")
        stats = self.store.bucket(BUCKET).index(INDEX).stats()
        assert (stats.vectors, stats.tombstones) == (len(self.plain.records), 0)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = ragvec.Store(self.folder / "store")

    @invariant()
    def sizes_agree(self) -> None:
        assert self.store.bucket(BUCKET).index(INDEX).count() == len(self.plain.records)


class EuclideanHistory(History):
    """The same under the other metric."""

    metric = "euclidean"


@pytest.mark.parametrize("machine", [History, EuclideanHistory])
def test_random_histories_agree_with_plain_python(machine: type[History]) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Each example starts a process, so shrinking one takes many minutes; the failing history is printed as it
            # is.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            report_multiple_bugs=False,
        ),
    )
