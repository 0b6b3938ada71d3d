"""Random histories of an index searched by text, carried out by two processes in turn, agree with BM25 in plain Python
over the texts that live, at every step."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.protocol import BucketInfo, IndexSpec, TextField

sys.path.insert(0, str(Path(__file__).parent))
from plain import distance, satisfies
from text_actions import BUCKET, INDEX, Actor

BLOCK = 4
CLOSE = 1e-5
"""Relative, of scores in float32."""

keys = st.sampled_from([f"k{n}" for n in range(14)] + ["ключ", "K1", "\U0001f600"])
vectors = st.lists(st.integers(-3, 3), min_size=2, max_size=2).filter(any)
words = st.sampled_from(["a1", "a1", "a1", "b2", "b2", "c3", "d4", "слово", "été"])
texts = st.lists(words, max_size=6).map(" ".join)
values = st.one_of(texts, texts, texts, st.lists(texts, min_size=1, max_size=3), st.integers(0, 3))
metadata = st.fixed_dictionaries({}, optional={"t": values, "u": values, 'odd "key"\\': texts, "n": st.integers(0, 2)})
batches = st.lists(st.tuples(keys, vectors, metadata), min_size=1, max_size=7, unique_by=lambda record: record[0])
fields = st.lists(st.sampled_from(["t", "u", 'odd "key"\\']), min_size=1, unique=True)
filters = st.sampled_from([{}, {}, {"n": 1}, {"n": {"$in": [0, 2]}}, {"n": {"$exists": False}}, {"n": 9}])
processes = st.sampled_from(["here", "there"])
weights = st.sampled_from([1.0, 0.5, 3.0])


def words_of(value: Any) -> list[str]:
    """The terms of a metadata value, where they are as plain as here."""
    parts = value if isinstance(value, list) else [value]
    return [word for part in parts if isinstance(part, str) for word in part.split()]


def bm25(documents: dict[str, list[str]], query: list[str]) -> dict[str, float]:
    """The scores of the documents that have a word of the query (Robertson and Zaragoza 2009; idf as in Lucene)."""
    filled = {key: document for key, document in documents.items() if document}
    average = sum(map(len, filled.values())) / len(filled) if filled else 1.0
    scores = {}
    for key, document in filled.items():
        counts, score = Counter(document), 0.0
        for word in query:
            if counts[word]:
                df = sum(word in other for other in filled.values())
                idf = math.log(1 + (len(filled) - df + 0.5) / (df + 0.5))
                norm = 1.2 * (1 - 0.75 + 0.75 * len(document) / average)
                score += idf * 2.2 * counts[word] / (counts[word] + norm)
        if score:
            scores[key] = score
    return scores


class TextHistory(RuleBasedStateMachine):
    """Two processes on one store."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ragvec-text-oracle-"))
        store = self.folder / "store"
        with LocalEngine(store, background=False) as engine:
            engine.catalog.create_bucket(BucketInfo(BUCKET, 0.0), tags={}, max_buckets=None)
            spec = IndexSpec("0" * 32, BUCKET, INDEX, 2, "euclidean", 0.0, non_filterable=("u",))
            engine.catalog.create_index(spec, tags={}, max_indexes=None, text=[TextField("t"), TextField("u")])
        self.fields = ["t", "u"]
        self.records: dict[str, tuple[list[float], dict[str, Any]]] = {}
        self.here = Actor(store, block_rows=BLOCK)
        self.there = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("text_actions.py")), str(store), str(BLOCK)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def teardown(self) -> None:
        self.there.communicate()
        assert self.there.returncode == 0
        self.here.close()
        shutil.rmtree(self.folder)

    def do(self, process: str, /, **action: Any) -> Any:
        if process == "here":
            return json.loads(json.dumps(self.here.run(action)))
        assert self.there.stdin is not None
        assert self.there.stdout is not None
        self.there.stdin.write(json.dumps(action) + "\n")
        self.there.stdin.flush()
        return json.loads(self.there.stdout.readline())

    @initialize(records=batches)
    def fill(self, records: list[Any]) -> None:
        self.put("here", records)

    @rule(process=processes, records=batches)
    def put(self, process: str, records: list[Any]) -> None:
        self.do(process, do="put", records=records)
        self.records.update({key: (vector, entry) for key, vector, entry in records})

    @rule(process=processes, chosen=st.lists(keys, min_size=1, max_size=3, unique=True))
    def delete(self, process: str, chosen: list[str]) -> None:
        assert self.do(process, do="delete", keys=chosen) == sum(key in self.records for key in chosen)
        for key in chosen:
            self.records.pop(key, None)

    @rule(process=processes, chosen=fields)
    def change_fields(self, process: str, chosen: list[str]) -> None:
        self.do(process, do="fields", fields=chosen)
        self.fields = chosen

    @rule(process=processes)
    def compact(self, process: str) -> None:
        self.do(process, do="compact")

    @rule(process=processes)
    def persist(self, process: str) -> None:
        self.do(process, do="persist")

    @rule(process=processes)
    def reopen(self, process: str) -> None:
        self.do(process, do="reopen")

    @precondition(lambda self: self.records)
    @rule(
        process=processes,
        asked=st.lists(st.tuples(st.integers(0, 2), texts, weights), min_size=1, max_size=3),
        depth=st.integers(1, 12),
        where=filters,
        vector=vectors,
    )
    def rank(
        self, process: str, asked: list[tuple[int, str, float]], depth: int, where: dict[str, Any], vector: list[float]
    ) -> None:
        queries = [(self.fields[at % len(self.fields)], text, weight) for at, text, weight in asked]
        found = self.do(process, do="rank", texts=queries, depth=depth, where=where, vector=vector)
        matching = {key for key, (_, entry) in self.records.items() if satisfies(entry, where)}
        near = sorted((distance(vector, self.records[key][0], "euclidean"), key) for key in matching)[:depth]
        assert found["vector"] == [[key for _, key in near], [far for far, _ in near]]
        for number, (field, text, weight) in enumerate(queries):
            documents = {key: words_of(entry.get(field)) for key, (_, entry) in self.records.items()}
            scores = {key: weight * score for key, score in bm25(documents, list(dict.fromkeys(text.split()))).items()}
            self.check(found["texts"][number], scores, matching, documents, depth=depth)
            for key, score in zip(found["scored"][0], found["scored"][1][number], strict=True):
                assert math.isclose(score, scores.get(key, 0.0), rel_tol=CLOSE)
        for key, far in zip(found["scored"][0], found["scored"][2], strict=True):
            assert far == distance(vector, self.records[key][0], "euclidean")

    @staticmethod
    def check(
        ranking: list[Any], scores: dict[str, float], matching: set[str], documents: dict[str, Any], *, depth: int
    ) -> None:
        ranked, given = ranking
        expected = {key: score for key, score in scores.items() if key in matching}
        assert len(ranked) == min(depth, len(expected))
        assert given == sorted(given, reverse=True)
        for key, score in zip(ranked, given, strict=True):
            assert math.isclose(score, expected[key], rel_tol=CLOSE), key
        for (one, high), (other, low) in zip(
            zip(ranked, given, strict=True), zip(ranked[1:], given[1:], strict=True), strict=False
        ):
            assert high > low or one < other, "equal scores are in order of key"
        for key in expected.keys() - set(ranked):
            assert expected[key] <= given[-1] * (1 + CLOSE)
            # Of records with the same words, those with the lesser keys come first.
            same = [other for other in ranked if Counter(documents[other]) == Counter(documents[key])]
            assert all(other < key for other in same)


def test_random_histories_of_texts_agree_with_plain_python() -> None:
    run_state_machine_as_test(
        TextHistory,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # As in test_store: each example starts a process, so shrinking one takes many minutes.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            report_multiple_bugs=False,
        ),
    )
