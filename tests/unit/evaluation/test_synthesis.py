"""Questions made from documents: each can be answered from its evidence, and says how it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragvec.errors import InvalidRequest
from ragvec.evaluation.collections import handbook
from ragvec.evaluation.synthesis import synthetic_collection, synthetic_questions
from ragvec.pipeline.documents import Document, Failure

HANDBOOK = handbook(Path(__file__).parents[3] / "datasets" / "handbook")


@pytest.fixture(scope="module")
def documents() -> list[Document | Failure]:
    return list(HANDBOOK.documents)


def test_questions_rest_on_words_of_their_documents(documents: list[Document | Failure]) -> None:
    texts = {document.id: document.text for document in documents if isinstance(document, Document)}
    questions = synthetic_questions(documents, count=40)
    assert len(questions) == len({question.id for question in questions}) == 40
    assert {question.kind for question in questions} == {"cloze", "heading"}
    for question in questions:
        (evidence,) = question.evidence
        assert evidence.text in texts[evidence.document]
        assert question.relevance == {evidence.document: 1}
        assert question.answer in evidence.text
        if question.kind == "cloze":
            assert question.question.replace("____", question.answer) == evidence.text


def test_the_same_seed_draws_the_same_questions(documents: list[Document | Failure]) -> None:
    first = synthetic_questions(documents, count=12, seed=3)
    assert synthetic_questions(documents, count=12, seed=3) == first
    assert synthetic_questions(documents, count=12, seed=4) != first


def test_a_collection_says_that_its_questions_were_made(documents: list[Document | Failure]) -> None:
    questions = synthetic_questions(documents, count=5)
    made = synthetic_collection(HANDBOOK, questions)
    assert made.name == "handbook (synthetic questions)"
    assert list(made.judged_queries.values()) == [question.question for question in questions]
    assert made.absent_documents() == ()


class Writer:
    """Answers with the first sentence of the passage, or with what it was told to."""

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.prompts: list[str] = []

    def invoke(self, prompt: str) -> Any:
        self.prompts.append(prompt)
        if self.replies:
            return self.replies.pop(0)
        passage = prompt.partition("PASSAGE:\n")[2]
        return json.dumps({"question": "What is said first?", "answer": "this", "evidence": passage.split(".")[0]})


def test_a_model_writes_questions_and_inventions_are_left_out(documents: list[Document | Failure]) -> None:
    invented = json.dumps({"question": "Who?", "answer": "me", "evidence": "words that stand nowhere at all"})
    model = Writer("no JSON", invented, '{"question": 3}')
    questions = synthetic_questions(documents, count=3, kinds=["llm"], model=model)
    assert [question.kind for question in questions] == ["llm"] * 3
    assert len(model.prompts) == 6
    assert all(question.question == "What is said first?" for question in questions)


def test_few_documents_give_few_questions() -> None:
    short = [Document(id="a", text="Too short."), Failure(source="b", reason="broken")]
    assert synthetic_questions(short, count=5) == []
    with pytest.raises(InvalidRequest, match="Expected kinds among cloze, heading, llm"):
        synthetic_questions(short, kinds=["riddle"])  # type: ignore[list-item]
    with pytest.raises(InvalidRequest, match="Expected a `model` for questions of the kind llm"):
        synthetic_questions(short, kinds=["llm"])
