"""Questions with answers, evidence and graded relevance, as `datasets/handbook/questions.jsonl` has them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ragvec.errors import DocumentError
from ragvec.evaluation.text_lines import json_objects

__all__ = ["Evidence", "Question", "read_questions"]


class Evidence(msgspec.Struct, frozen=True):
    """Words of a document that support an answer."""

    document: str
    text: str


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question, what a good answer says, the words it rests on, and {document id: grade}; `kind` groups questions."""

    id: str
    question: str
    answer: str
    evidence: tuple[Evidence, ...]
    relevance: dict[str, int]
    kind: str


def read_questions(path: Path) -> tuple[Question, ...]:
    """The questions of a JSON Lines file, in its order.

    Raises:
        DocumentError: a line is no question, or its id was there before; `source` is `<file>:<line>`.
    """
    questions: dict[str, Question] = {}
    for source, row in json_objects(path):
        try:
            question = msgspec.convert(row, Question)
        except msgspec.ValidationError as error:
            raise DocumentError(f"{error} - at {source}", source=source) from None
        if question.id in questions:
            raise DocumentError(f"Expected each question once, got {question.id!r} again - at {source}", source=source)
        questions[question.id] = question
    return tuple(questions.values())
