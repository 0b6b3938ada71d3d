"""TREC's files: what is written is read again, by us and by trec_eval, with the same values."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.evaluation.collections import beir
from ragvec.evaluation.measures import evaluate
from ragvec.evaluation.trec import read_qrels_file, read_run_file, write_qrels_file, write_run_file

DATA = Path(os.environ.get("RAGVEC_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")
NAMES = ["nDCG", "nDCG@10", "RR", "AP", "AP@100", "P@10", "R@5", "R@100", "Judged@10"]

scores = st.floats(-1e30, 1e30, allow_nan=False)
runs = st.dictionaries(
    st.sampled_from(["q1", "q2"]),
    st.dictionaries(st.sampled_from([f"d{at}" for at in range(9)]), scores).map(lambda found: list(found.items())),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs)
def test_a_run_that_was_written_is_read_in_the_same_order(
    run: dict[str, list[tuple[str, float]]], tmp_path: Path
) -> None:
    path = tmp_path / "run.txt"
    write_run_file(run, path)
    read = read_run_file(path)
    assert read.keys() == {query for query, answers in run.items() if answers}
    for query, answers in read.items():
        given_order = sorted(run[query], key=lambda answer: -answer[1])
        assert [document for document, _ in answers] == [document for document, _ in given_order]
        singles = np.array([score for _, score in answers], dtype=np.float32)
        assert (np.diff(singles) < 0).all()  # trec_eval has no ties to break its own way


def test_judgements_that_were_written_are_read_again(tmp_path: Path) -> None:
    qrels = {"q1": {"a": 2, "b": 0}, "q2": {"c": -1}}
    write_qrels_file(qrels, tmp_path / "qrels.txt")
    assert read_qrels_file(tmp_path / "qrels.txt") == qrels
    assert (tmp_path / "qrels.txt").read_text() == "q1 0 a 2\nq1 0 b 0\nq2 0 c -1\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1 Q0 d1 1 0.5", "Expected `query Q0 document rank score tag`, got 5 fields - at .*run.txt:2"),
        ("q1 Q0 d1 1 high x", "Expected a number as score, got 'high' - at .*run.txt:2"),
        ("q1 Q0 d1 1 nan x", "Expected a number as score, got 'nan' - at .*run.txt:2"),
        ("q1 Q0 d0 1 0.5 x", "Expected each document of a query once, got 'd0' again for 'q1' - at .*run.txt:2"),
    ],
    ids=["fields", "text", "nan", "twice"],
)
def test_a_line_at_fault_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text(f"q1 Q0 d0 1 0.7 x\n{line}\n")
    with pytest.raises(DocumentError, match=message):
        read_run_file(path)


def test_what_has_no_form_in_the_files_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    for run in ({"a query": [("d", 1.0)]}, {"q": [("", 1.0)]}, {"q": [("d", float("inf"))]}):
        with pytest.raises(InvalidRequest, match="Expected"):
            write_run_file(run, tmp_path / "run.txt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["scifact", "cranfield"])
def test_measures_of_a_real_collection_are_those_of_trec_eval(name: str, tmp_path: Path) -> None:
    ir_measures = pytest.importorskip("ir_measures", reason="ir-measures is not installed")
    if not (DATA / name).is_dir():
        pytest.skip(f"no test data at {DATA / name}")
    collection = beir(DATA / name)
    documents = [document.id for document in collection.documents]
    generator = np.random.default_rng(7)
    run = {}
    for query, grades in collection.qrels.items():
        # Some relevant documents among many others, with scores that tie.
        others = generator.choice(len(documents), 300, replace=False)
        found = {documents[at]: float(score) for at, score in zip(others, generator.integers(0, 60, 300), strict=True)}
        found.update({document: float(generator.integers(30, 90)) for document in list(grades)[:7]})
        run[query] = list(found.items())
    write_run_file(run, tmp_path / "run.txt")
    written = read_run_file(tmp_path / "run.txt")
    ours = evaluate(run, collection.qrels, measures=NAMES)
    assert evaluate(written, collection.qrels, measures=NAMES).per_query == ours.per_query
    measures = [ir_measures.parse_measure(each) for each in NAMES]
    theirs = list(
        ir_measures.iter_calc(measures, collection.qrels, list(ir_measures.read_trec_run(str(tmp_path / "run.txt"))))
    )
    assert len(theirs) == len(NAMES) * len(collection.qrels)
    for metric in theirs:
        assert ours.per_query[metric.query_id][str(metric.measure)] == pytest.approx(metric.value, abs=1e-9)
