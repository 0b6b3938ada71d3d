"""Measures against a plain nDCG, worked examples, and ir-measures where it is installed."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.errors import InvalidRequest
from ragvec.evaluation.measures import Measure, Qrels, Run, Scores, evaluate

DOCUMENTS = [f"d{number}" for number in range(12)]


def plain_ndcg(ranking: list[str], grades: dict[str, int], k: int) -> float:
    gained = 0.0
    for position, document in enumerate(ranking):
        if position < k:
            gained += grades.get(document, 0) * math.log(2) / math.log(position + 2)
    ideal, left = 0.0, sorted(grades.values())
    for position in range(min(k, len(left))):
        ideal += left.pop() * math.log(2) / math.log(position + 2)
    return gained / ideal if ideal > 0 else 0.0


judgements = st.dictionaries(
    st.sampled_from(["q1", "q2", "q3"]),
    st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 4), min_size=1),
    min_size=1,
)
runs = st.dictionaries(
    st.sampled_from(["q1", "q2", "q3", "q4"]),
    st.permutations(DOCUMENTS).flatmap(
        lambda order: st.integers(0, len(order)).map(
            lambda size: [(document, float(size - rank)) for rank, document in enumerate(order[:size])]
        )
    ),
)


@given(run=runs, qrels=judgements, k=st.integers(1, 15))
def test_ndcg_is_that_of_the_plain_formula(run: Run, qrels: Qrels, k: int) -> None:
    scores = evaluate(run, qrels, measures=[f"nDCG@{k}"])
    for query, grades in qrels.items():
        expected = plain_ndcg([document for document, _ in run.get(query, [])], grades, k)
        assert scores.per_query[query][f"nDCG@{k}"] == pytest.approx(expected, abs=1e-12)
    assert scores.means[f"nDCG@{k}"] == pytest.approx(
        sum(values[f"nDCG@{k}"] for values in scores.per_query.values()) / len(qrels), abs=1e-12
    )


@settings(max_examples=50, deadline=None)
@given(run=runs, qrels=judgements)
def test_values_are_those_of_trec_eval(run: Run, qrels: Qrels) -> None:
    ir_measures = pytest.importorskip("ir_measures", reason="ir-measures is not installed")
    names = [
        "nDCG",
        "nDCG@3",
        "nDCG@10",
        "AP",
        "AP@4",
        "AP(rel=2)@7",
        "R@5",
        "R(rel=2)@5",
        "RR",
        "RR(rel=3)",
        "P@3",
        "P(rel=2)@5",
    ]
    as_dicts = {query: dict(answers) for query, answers in run.items() if answers} or {"q1": {"none": 1.0}}
    ours = evaluate(run, qrels, measures=names)
    theirs = list(ir_measures.iter_calc([ir_measures.parse_measure(name) for name in names], qrels, as_dicts))
    assert len(theirs) == len(names) * len(qrels)
    for metric in theirs:
        assert ours.per_query[metric.query_id][str(metric.measure)] == pytest.approx(metric.value, abs=1e-6)


def test_a_worked_example() -> None:
    grades = {"a": 3, "b": 1, "c": 0, "d": 2}
    ranking = ["c", "b", "x", "a"]
    values = {
        name: Measure.parse(name).of(ranking, grades)
        for name in ("R@2", "R", "R(rel=2)@4", "RR", "RR@1", "P@2", "P@10")
    }
    assert values == {
        "R@2": 1 / 3,
        "R": 2 / 3,
        "R(rel=2)@4": 1 / 2,
        "RR": 1 / 2,
        "RR@1": 0,
        "P@2": 1 / 2,
        "P@10": 1 / 5,
    }
    gained = 1 / math.log2(3) + 3 / math.log2(5)
    assert Measure("nDCG").of(ranking, grades) == pytest.approx(gained / (3 + 2 / math.log2(3) + 1 / 2))


def test_a_judged_query_without_an_answer_counts_as_zero_and_is_named() -> None:
    qrels = {"answered": {"a": 1}, "empty": {"a": 1}, "absent": {"a": 1}}
    scores = evaluate({"answered": [("a", 0.5)], "empty": [], "nobody judged": [("a", 1.0)]}, qrels, measures=["RR"])
    assert scores.means == {"RR": pytest.approx(1 / 3)}
    assert scores.per_query == {"answered": {"RR": 1.0}, "empty": {"RR": 0.0}, "absent": {"RR": 0.0}}
    assert scores.unanswered == ("empty", "absent")
    assert scores.unjudged == ("nobody judged",)
    assert repr(scores) == "Scores(RR 0.3333; 3 queries, 2 unanswered)"


def test_a_query_without_any_relevant_document_scores_zero() -> None:
    scores = evaluate({"q": [("a", 1.0)]}, {"q": {"a": 0}})
    assert scores.per_query == {"q": {"nDCG@10": 0.0, "R@10": 0.0, "RR": 0.0, "P@10": 0.0}}


def test_answers_are_ordered_by_score_and_equal_scores_keep_their_order() -> None:
    qrels = {"q": {"relevant": 1}}
    assert evaluate({"q": [("other", 0.1), ("relevant", 0.9)]}, qrels, measures=["RR"]).means["RR"] == 1
    assert evaluate({"q": [("other", 0.5), ("relevant", 0.5)]}, qrels, measures=["RR"]).means["RR"] == 1 / 2
    assert evaluate({"q": [("relevant", 0.5), ("other", 0.5)]}, qrels, measures=["RR"]).means["RR"] == 1


@pytest.mark.parametrize(
    "text",
    ["nDCG@10", "nDCG", "AP", "AP@100", "Judged@10", "R@100", "R", "RR", "RR@10", "P@5", "P(rel=2)@5", "R(rel=3)@1000"],
)
def test_a_measure_is_read_from_its_own_text(text: str) -> None:
    assert str(Measure.parse(text)) == text
    assert pickle.loads(pickle.dumps(Measure.parse(text))) == Measure.parse(text)


@pytest.mark.parametrize(
    "text", ["ndcg@10", "nDCG@0", "P", "nDCG@ten", "nDCG(rel=2)@10", "Judged(rel=2)@3", "R(rel=0)@5", "MAP", "", " RR"]
)
def test_other_texts_are_no_measure(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Expected"):
        Measure.parse(text)


@pytest.mark.parametrize(
    ("run", "qrels", "measures", "message"),
    [
        ({}, {}, ["RR"], "got 0 judged queries, 1 measures"),
        ({}, {"q": {"a": 1}}, [], "got 1 judged queries, 0 measures"),
        ({"q": [("a", 1.0), ("b", 0.5), ("a", 0.1)]}, {"q": {"a": 1}}, ["RR"], "got 'a' twice - at query 'q'"),
        ({"q": [("a", math.nan)]}, {"q": {"a": 1}}, ["RR"], "got NaN - at query 'q'"),
        ({}, {"q": {"a": 1}}, ["MRR"], "got 'MRR'"),
    ],
)
def test_bad_input_is_refused(run: Run, qrels: Qrels, measures: list[str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        evaluate(run, qrels, measures=measures)


def test_the_table_has_a_row_a_query() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    scores: Scores = evaluate({"q1": [("a", 1.0)]}, {"q1": {"a": 1}, "q2": {"b": 1}}, measures=["RR", "P@1"])
    table = scores.to_pandas()
    assert list(table.columns) == ["RR", "P@1"]
    assert table.loc["q2"].tolist() == [0.0, 0.0]
    assert table.mean().to_dict() == scores.means
