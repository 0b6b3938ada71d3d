"""Reading questions: what a line holds, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragvec.errors import DocumentError
from ragvec.evaluation.questions import Evidence, Question, read_questions

LINE: dict[str, Any] = {
    "id": "q1",
    "question": "How long?",
    "answer": "Eight weeks.",
    "evidence": [{"document": "leave", "text": "8 weeks at full pay"}],
    "relevance": {"leave": 3},
    "kind": "fact",
}


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_a_question_has_answer_evidence_and_relevance(tmp_path: Path) -> None:
    assert read_questions(write(tmp_path, LINE, {**LINE, "id": "q2"})) == (
        Question("q1", "How long?", "Eight weeks.", (Evidence("leave", "8 weeks at full pay"),), {"leave": 3}, "fact"),
        Question("q2", "How long?", "Eight weeks.", (Evidence("leave", "8 weeks at full pay"),), {"leave": 3}, "fact"),
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (LINE, r"Expected each question once, got 'q1' again - at .*questions\.jsonl:2$"),
        ({**LINE, "id": 7}, r"Expected `str`, got `int` - at `\$\.id` - at .*questions\.jsonl:2$"),
        ({**LINE, "relevance": {"leave": "high"}}, r"Expected `int`, got `str` .*questions\.jsonl:2$"),
        ({**LINE, "level": 1}, r"unknown field `level` - at .*questions\.jsonl:2$"),
        ({"id": "q2"}, r"missing required field `question` - at .*questions\.jsonl:2$"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(tmp_path: Path, row: Any, message: str) -> None:
    path = write(tmp_path, LINE, row)
    with pytest.raises(DocumentError, match=message) as caught:
        read_questions(path)
    assert caught.value.source == f"{path}:2"
