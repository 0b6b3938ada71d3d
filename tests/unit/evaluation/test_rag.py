"""Measures of contexts and answers on worked examples, and by a model whose replies are known."""

from __future__ import annotations

import pytest
from langchain_core.language_models import FakeListChatModel

from ragvec.errors import InvalidRequest
from ragvec.evaluation.llm_judge import judge
from ragvec.evaluation.rag import (
    RagSample,
    answer_containment,
    attribution,
    context_precision,
    context_recall,
    evaluate_rag,
    noise,
    to_ragas,
    token_f1,
)

LEAVE = "Annual leave is 25 days a year. Unused days lapse in March."
LUNCH = "Lunch is served from noon."
SAMPLE = RagSample(
    question="How much leave do I get?",
    contexts=(LUNCH, LEAVE, "The gate closes at ten."),
    answer="You get 25 days a year. The moon is made of cheese.",
    reference="25 days a year",
    evidence=("annual leave is 25 days", "unused days lapse in MARCH", "carried over twice"),
)


def test_contexts_are_judged_by_the_evidence_they_hold() -> None:
    assert context_recall(SAMPLE) == pytest.approx(2 / 3)
    assert context_precision(SAMPLE) == 1 / 2  # the one good context is second
    assert noise(SAMPLE) == pytest.approx(2 / 3)
    both = RagSample(question="", contexts=(LEAVE, LUNCH, LEAVE), evidence=("25 days",))
    assert context_precision(both) == pytest.approx((1 + 2 / 3) / 2)
    none = RagSample(question="", contexts=(LUNCH,), evidence=("25 days",))
    assert (context_recall(none), context_precision(none), noise(none)) == (0, 0, 1)
    # Words, not letters: 125 days are not 25 days.
    assert context_recall(RagSample(question="", contexts=("125 days a year",), evidence=("25 days",))) == 0


@pytest.mark.parametrize(
    ("answer", "reference", "contained", "f1"),
    [
        ("The answer is: 25 days, a year!", "25 Days a year", 1.0, 2 * 3 / (5 + 3)),
        ("café crème", "Cafe Creme", 1.0, 1.0),
        ("no", "25 days", 0.0, 0.0),
        ("days 25", "25 days", 0.0, 1.0),
        ("day day", "day", 1.0, 2 / 3),
        ("", "the", 0.0, 1.0),
    ],
    ids=["longer", "accents", "wrong", "order", "repeated", "empty"],
)
def test_answers_are_compared_word_by_word(answer: str, reference: str, contained: float, f1: float) -> None:
    sample = RagSample(question="", contexts=(), answer=answer, reference=reference)
    assert answer_containment(sample) == contained
    assert token_f1(sample) == pytest.approx(f1)


def test_a_sentence_that_no_context_supports_is_not_attributed() -> None:
    assert attribution(SAMPLE) == 1 / 2
    assert attribution(RagSample(question="", contexts=(LEAVE,), answer="Unused days lapsed by March.")) == 1
    assert attribution(RagSample(question="", contexts=(), answer="Unused days lapse.")) == 0


def test_what_a_sample_has_not_is_left_out_of_the_means() -> None:
    bare = RagSample(question="?", contexts=(LUNCH,))
    scores = evaluate_rag([SAMPLE, bare])
    assert scores.per_sample[1] == dict.fromkeys(scores.per_sample[1])
    assert scores.counted["context recall"] == 1
    assert scores.means["context recall"] == pytest.approx(2 / 3)
    assert scores.to_pandas()["attribution"].notna().tolist() == [True, False]
    assert "context recall 0.6667 of 1" in repr(scores)
    assert "token F1" not in evaluate_rag([bare]).means
    with pytest.raises(InvalidRequest, match="Expected samples, got none"):
        evaluate_rag([])


def test_samples_leave_for_ragas() -> None:
    (row,) = to_ragas([SAMPLE])
    assert row["user_input"] == SAMPLE.question
    assert row["retrieved_contexts"] == list(SAMPLE.contexts)
    assert (row["response"], row["reference"]) == (SAMPLE.answer, SAMPLE.reference)
    assert to_ragas([RagSample(question="?", contexts=())]) == [{"user_input": "?", "retrieved_contexts": []}]


GOOD = '{"verdicts": [{"statement": "25 days", "verdict": true}, {"statement": "cheese", "verdict": false}]}'


def test_a_model_judges_statement_by_statement() -> None:
    asked: list[str] = []

    class Model:
        def invoke(self, prompt: str) -> str:
            asked.append(prompt)
            return f"Here you are:\n```json\n{GOOD}\n```"

    braces = RagSample(question="what is {answer}?", contexts=("{question}",), answer="{contexts}", reference="r")
    found = judge([braces], Model())
    assert found.means == {"faithfulness": 0.5, "relevance": 0.5, "correctness": 0.5}
    assert [each.statement for each in found.verdicts[0]["relevance"]] == ["25 days", "cheese"]
    assert '{"verdicts": [{"statement": "…", "verdict": true or false}]}' in asked[0]
    assert "CONTEXT:\n[1] {question}\n\nQUESTION:\nwhat is {answer}?\n\nANSWER:\n{contexts}" in asked[0]


def test_replies_of_no_use_are_asked_once_more_and_then_named() -> None:
    model = FakeListChatModel(responses=["I cannot say.", GOOD, "no", '{"verdicts": 3}'])
    found = judge([SAMPLE, SAMPLE], model, measures=["faithfulness"])
    assert found.means == {"faithfulness": 0.5}
    assert found.per_sample == ({"faithfulness": 0.5}, {"faithfulness": None})
    assert found.unjudged == ((1, "faithfulness", '{"verdicts": 3}'),)
    assert "1 replies of no use" in repr(found)


def test_what_has_no_answer_is_not_judged() -> None:
    model = FakeListChatModel(responses=[GOOD])
    found = judge([RagSample(question="?", contexts=()), RagSample(question="?", contexts=(), answer="a")], model)
    assert found.per_sample[0] == {"faithfulness": None, "relevance": None, "correctness": None}
    assert found.per_sample[1]["correctness"] is None
    assert set(found.means) == {"faithfulness", "relevance"}
    with pytest.raises(
        InvalidRequest, match="Expected measures among faithfulness, relevance, correctness, got 'style'"
    ):
        judge([SAMPLE], model, measures=["style"])
