"""Evaluation: test collections, runs over them, how good a ranking is, and which of several is better.

Names here are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragvec.evaluation.collections import Collection, beir, frames, handbook, ir_dataset
    from ragvec.evaluation.configurations import Configuration, grid
    from ragvec.evaluation.experiment_report import ExperimentReport
    from ragvec.evaluation.experiments import Experiment
    from ragvec.evaluation.llm_judge import judge
    from ragvec.evaluation.measures import Measure, Scores, evaluate
    from ragvec.evaluation.rag import RagSample, RagScores, evaluate_rag, to_ragas
    from ragvec.evaluation.recall import IndexRecall, index_recall
    from ragvec.evaluation.rerankers import CrossEncoderReranker
    from ragvec.evaluation.runs import run_queries
    from ragvec.evaluation.significance import Comparison, compare
    from ragvec.evaluation.synthesis import synthetic_collection, synthetic_questions
    from ragvec.evaluation.trec import read_qrels_file, read_run_file, write_qrels_file, write_run_file

_HOMES = {
    "Collection": "collections",
    "Comparison": "significance",
    "Configuration": "configurations",
    "CrossEncoderReranker": "rerankers",
    "Experiment": "experiments",
    "ExperimentReport": "experiment_report",
    "IndexRecall": "recall",
    "Measure": "measures",
    "RagSample": "rag",
    "RagScores": "rag",
    "Scores": "measures",
    "beir": "collections",
    "compare": "significance",
    "evaluate": "measures",
    "evaluate_rag": "rag",
    "frames": "collections",
    "grid": "configurations",
    "handbook": "collections",
    "index_recall": "recall",
    "ir_dataset": "collections",
    "judge": "llm_judge",
    "read_qrels_file": "trec",
    "read_run_file": "trec",
    "run_queries": "runs",
    "synthetic_collection": "synthesis",
    "synthetic_questions": "synthesis",
    "to_ragas": "rag",
    "write_qrels_file": "trec",
    "write_run_file": "trec",
}

__all__ = [
    "Collection",
    "Comparison",
    "Configuration",
    "CrossEncoderReranker",
    "Experiment",
    "ExperimentReport",
    "IndexRecall",
    "Measure",
    "RagSample",
    "RagScores",
    "Scores",
    "beir",
    "compare",
    "evaluate",
    "evaluate_rag",
    "frames",
    "grid",
    "handbook",
    "index_recall",
    "ir_dataset",
    "judge",
    "read_qrels_file",
    "read_run_file",
    "run_queries",
    "synthetic_collection",
    "synthetic_questions",
    "to_ragas",
    "write_qrels_file",
    "write_run_file",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ragvec.evaluation' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"ragvec.evaluation.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
