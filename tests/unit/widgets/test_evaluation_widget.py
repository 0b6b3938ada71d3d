"""The widget of an experiment's report, over a report that an experiment made."""

from __future__ import annotations

from pathlib import Path

import pytest

import ragvec
from ragvec.errors import InvalidRequest
from ragvec.evaluation import Collection, Configuration, Experiment, ExperimentReport
from ragvec.store import Index
from ragvec.widgets import EvaluationWidget

from .conftest import DOCUMENTS, HOSTILE

PUBLIC = [document for document in DOCUMENTS if document.id != "budget"]
COLLECTION = Collection(
    name="ferries",
    documents=PUBLIC,
    queries={"q1": f"parrot {HOSTILE}", "q2": "route 7 pier 7", "q3": "the lifejackets of nobody"},
    qrels={"q1": {"hostile": 2}, "q2": {"route-07": 1, "route-08": 0}, "q3": {"absent": 1}},
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ExperimentReport:
    made = [
        Configuration(name="words", way="text", embedder="hashing:128"),
        Configuration(name="vectors <b>", way="dense", embedder="hashing:128"),
    ]
    return Experiment(COLLECTION, made, folder=tmp_path_factory.mktemp("experiment"), k=10).run()


def test_configurations_are_compared_by_the_measure_and_baseline_chosen(report: ExperimentReport) -> None:
    widget = EvaluationWidget(report)
    assert repr(widget) == f"EvaluationWidget({report!r})"
    for measure in report.measures:
        widget.measure.value = measure
        for outcome in report.outcomes:
            assert f"{outcome.scores.means[measure]:.4f}" in widget.table.value
    widget.baseline.value = "words"
    (beside,) = report.compare(widget.measure.value, baseline="words")
    assert f"{beside.difference:+.4f}" in widget.table.value
    assert f"{beside.wins} / {beside.ties} / {beside.losses}" in widget.table.value


def test_a_query_shows_the_answers_of_all_side_by_side(report: ExperimentReport) -> None:
    widget = EvaluationWidget(report)
    assert widget.query.value in report.qrels, "one is shown from the first"
    widget.query.value = "q2"
    assert "route 7 pier 7" in widget.answers.value
    for outcome in report.outcomes:
        for document, _ in outcome.run["q2"]:
            assert document in widget.answers.value
    ranks = [[document for document, _ in outcome.run["q2"]].index("route-07") for outcome in report.outcomes]
    assert all(rank == 0 for rank in ranks)
    assert widget.answers.value.count("✓ relevant") == 2
    widget.query.value = "q3"
    assert widget.answers.value.count(">missed<") == 2
    assert "missed by words, vectors" in widget.document.options[0][0]


def test_queries_are_in_the_order_wanted_and_stay_chosen(report: ExperimentReport) -> None:
    widget = EvaluationWidget(report)
    widget.query.value = "q2"
    widget.order.value = "worst answered"
    assert widget.query.options[0][1] == "q3"
    assert widget.query.value == "q2"
    widget.order.value = "order of the collection"
    assert [query for _, query in widget.query.options] == ["q1", "q2", "q3"]


def test_hostile_texts_and_names_are_escaped(report: ExperimentReport) -> None:
    widget = EvaluationWidget(report)
    widget.query.value = "q1"
    for shown in (widget.table.value, widget.answers.value):
        assert "<img" not in shown
        assert "vectors <b>" not in shown
    assert "&lt;img src=x" in widget.answers.value
    assert "vectors &lt;b&gt;" in widget.table.value


def test_a_missed_document_is_explained(report: ExperimentReport, index: Index) -> None:
    widget = EvaluationWidget(report, query_index=ragvec.QueryIndex(index))
    widget.query.value = "q2"
    assert widget.document.value == "route-07"
    widget.explain.click()
    expected = ragvec.QueryIndex(index).explain("route 7 pier 7", "route-07", syntax=False)
    assert widget.reasons.value == expected._repr_html_()
    widget.query.value = "q3"
    assert widget.reasons.value == ""
    widget.explain.click()
    assert "absent" in widget.reasons.value
    assert EvaluationWidget(report).explain.disabled


def test_wrong_arguments_are_named(report: ExperimentReport, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="Expected an ExperimentReport, got dict"):
        EvaluationWidget({})
    with pytest.raises(InvalidRequest, match="Expected a QueryIndex, got str"):
        EvaluationWidget(report, query_index="docs")
