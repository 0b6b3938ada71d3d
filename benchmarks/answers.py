"""How good answers are: on the questions of the handbook, and on those that nothing in it answers.

    python -m benchmarks.answers [--store DIR] [--fit] [--misses]

Every question of datasets/handbook/questions.jsonl has its evidence; an answer is right when the first one overlaps it,
in three words or more, and wrong otherwise, also where another document says the same. Every answer to a question of
unanswerable.jsonl is a false one. What is printed are means over repeated cross-validation: each question is answered
with weights that were fitted without it. --fit prints the weights fitted on all questions, for
ragvec/kendra/answers/weights.py; the levels there are chosen from the table. --store keeps the index for the next run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

import ragvec
from benchmarks.answers_evidence import Place, overlaps, places
from benchmarks.answers_fit import Case, Verdict, cross_validated, fitted
from ragvec.evaluation.collections import handbook
from ragvec.evaluation.questions import read_questions
from ragvec.evaluation.text_lines import json_objects
from ragvec.kendra.answers import sentences
from ragvec.kendra.answers.evidence import Evidence
from ragvec.kendra.answers.find import find_answers
from ragvec.kendra.answers.question import asked
from ragvec.kendra.answers.sentences import judged
from ragvec.kendra.found import Found
from ragvec.kendra.index import QueryIndex
from ragvec.kendra.rank.passages import ranked_passages
from ragvec.kendra.request.asked import Request
from ragvec.pipeline.passages import DOCUMENT_ID, TEXT

FOLDER = Path(__file__).resolve().parents[1] / "datasets" / "handbook"
READ = 20
"""Passages that are handed to the reader, as Query does."""
FOLDS = 10
SEEDS = range(3)
FALSE = 0.10
"""The share of unanswerable questions that may get an answer."""
THRESHOLDS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7)


def ingested(folder: Path) -> QueryIndex:
    """The handbook in a store in this folder."""
    index = ragvec.Store(folder).create_bucket("answers", exist_ok=True).index("handbook")
    ragvec.Pipeline(index=index).run(handbook(FOLDER).documents)
    return QueryIndex(index)


def passages_for(searched: QueryIndex, text: str) -> list[Found]:
    return ranked_passages(
        searched.index,
        Request(text=text),
        embed=searched.embedder.embed_query,
        scale=searched.scale,
        settings=searched.settings,
        notes=searched.notes,
        schema=searched.schema,
    )[:READ]


def cases_of(searched: QueryIndex) -> list[Case]:
    """Every question with what is found for it, answerable ones first."""
    everything = [
        Found(record.key, record.metadata[DOCUMENT_ID], record.metadata, None)
        for record in searched.index.iter()
        if record.metadata
    ]
    cases = []
    for question in read_questions(FOLDER / "questions.jsonl"):
        gold = places(question, everything)
        cases.append(_case(searched, question.id, question.question, gold, answerable=True))
    for _, row in json_objects(FOLDER / "unanswerable.jsonl"):
        cases.append(_case(searched, row["id"], row["question"], [], answerable=False))
    return cases


def _case(searched: QueryIndex, name: str, text: str, gold: list[Place], *, answerable: bool) -> Case:
    passages = passages_for(searched, text)
    evidence = Evidence(asked(text), passages)
    units, signs = judged(text, passages, evidence, embed=searched.embedder, weights=None)
    right = [overlaps(passages[unit.passage].key, unit.unit.begin, unit.unit.end, gold) for unit in units]
    return Case(name, text, answerable, passages, evidence, units, signs, gold, np.array(right, dtype=bool))


def limits(cases: Sequence[Case]) -> Table:
    """What the choice has to work with."""
    answerable = [case for case in cases if case.answerable]
    shown = Table(title="Where the evidence is, share of the answerable questions")
    shown.add_column("evidence among")
    shown.add_column("share", justify="right")
    for most in (1, 3, 5, 10, sentences.PASSAGES, READ):
        keys = [
            ({passage.key for passage in case.passages[:most]}, {key for key, _ in case.gold}) for case in answerable
        ]
        shown.add_row(f"the first {most} passages", _share(bool(found & gold) for found, gold in keys))
    shown.add_row(f"units of the first {sentences.PASSAGES}", _share(bool(case.right.any()) for case in answerable))
    return shown


def trade_off(runs: Sequence[Sequence[Verdict]]) -> Table:
    """Right, wrong and false answers by threshold, means over the runs."""
    shown = Table(title=f"First answers by threshold, {FOLDS}-fold cross-validation, mean of {len(runs)} runs")
    for column in ("threshold", "right", "wrong", "silent", "false on unanswerable", "right of all answers"):
        shown.add_column(column, justify="right")
    marked = {(threshold, "") for threshold in THRESHOLDS} | {(threshold_for(runs), "  <= 10 % false")}
    for threshold, note in sorted(marked):
        right, wrong, false = rates(runs, threshold)
        answers = right * _count(runs, answerable=True), wrong * _count(runs, answerable=True)
        total = sum(answers) + false * _count(runs, answerable=False)
        precision = answers[0] / total if total else 1.0
        shown.add_row(
            f"{threshold:.3f}{note}",
            *(f"{100 * each:.1f} %" for each in (right, wrong, 1 - right - wrong, false, precision)),
        )
    return shown


def rates(runs: Sequence[Sequence[Verdict]], threshold: float) -> tuple[float, float, float]:
    """(right, wrong) of the answerable questions, false of the unanswerable ones."""
    given = [each for verdicts in runs for each in verdicts if each.score >= threshold]
    answerable, other = len(runs) * _count(runs, answerable=True), len(runs) * _count(runs, answerable=False)
    right = sum(each.answerable and each.right for each in given)
    wrong = sum(each.answerable and not each.right for each in given)
    return right / answerable, wrong / answerable, sum(not each.answerable for each in given) / max(1, other)


def threshold_for(runs: Sequence[Sequence[Verdict]]) -> float:
    """The lowest threshold with at most FALSE false answers."""
    scores = sorted({each.score for verdicts in runs for each in verdicts if not each.answerable})
    return next((score + 1e-6 for score in scores if rates(runs, score + 1e-6)[2] <= FALSE), 1.0)


def latency(searched: QueryIndex, cases: Sequence[Case]) -> str:
    """Median milliseconds of finding answers, with nothing kept from before, and with everything."""
    medians = []
    for kept in (False, True):
        seconds = []
        for case in cases:
            if not kept:
                sentences.forget()
            vector = searched.embedder.embed_query(case.question)
            begun = time.perf_counter()
            find_answers(case.question, case.passages, embed=searched.embedder, vector=vector)
            seconds.append(time.perf_counter() - begun)
        medians.append(1000 * statistics.median(seconds))
    return f"find_answers: median {medians[0]:.0f} ms with no unit kept, {medians[1]:.0f} ms with all of them kept"


def _count(runs: Sequence[Sequence[Verdict]], *, answerable: bool) -> int:
    return sum(each.answerable == answerable for each in runs[0])


def _share(each: Iterable[bool]) -> str:
    found = list(each)
    return f"{100 * sum(found) / len(found):.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description="Quality of answers on the handbook's questions.")
    parser.add_argument("--store", metavar="DIR", help="keep the index in this store and use what is there")
    parser.add_argument("--fit", action="store_true", help="print the weights fitted on all questions")
    parser.add_argument("--misses", action="store_true", help="print the questions that the shipped weights get wrong")
    options = parser.parse_args()
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as temporary:
        searched = ingested(Path(options.store or temporary))
        cases = cases_of(searched)
        console.print(limits(cases))
        runs = cross_validated(cases, folds=FOLDS, seeds=SEEDS)
        console.print(trade_off(runs))
        length = statistics.mean(each.length for verdicts in runs for each in verdicts if each.length)
        console.print(f"An answer has {length:.0f} characters on average.")
        console.print(f"By the evidence's documents alone: {perfect_search(cases)}")
        console.print(latency(searched, cases))
        if options.fit:
            console.print(fitted(cases), soft_wrap=True)
        if options.misses:
            misses(cases, searched, console)


def perfect_search(cases: Sequence[Case]) -> str:
    """How often the first answer would be right, none withheld, if the search found the documents of the evidence and
    nothing else."""
    narrowed = [narrow(case) for case in cases if case.answerable]
    runs = cross_validated(narrowed, folds=FOLDS, seeds=SEEDS)
    return f"{100 * rates(runs, 0.0)[0]:.0f} % right, none withheld"


def narrow(case: Case) -> Case:
    documents = {key.rpartition("#")[0] for key, _ in case.gold}
    kept = [at for at, unit in enumerate(case.units) if case.passages[unit.passage].document_id in documents]
    return msgspec.structs.replace(
        case, units=[case.units[at] for at in kept], signs=case.signs[kept], right=case.right[kept]
    )


def misses(cases: Sequence[Case], searched: QueryIndex, console: Console) -> None:
    for case in cases:
        answers = find_answers(case.question, case.passages, embed=searched.embedder)
        first = answers[0] if answers else None
        hit = first is not None and overlaps(first.passage.key, first.begin, first.end, case.gold)
        if first is not None and not hit:
            text = first.passage.metadata[TEXT][first.begin : first.end]
            console.print(
                f"{case.id} {case.question}\n    {first.score:.2f} {first.passage.document_id}: {text}", markup=False
            )


if __name__ == "__main__":
    main()
