"""`ragvec evaluate`: an index, a run in a file, and the gate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragvec.evaluation.collections import beir
from ragvec.evaluation.measures import evaluate
from ragvec.evaluation.trec import read_run_file

Run = Callable[..., Any]

ANIMALS = ("cat", "dog", "hen", "cow", "fox", "owl", "ant", "bee", "eel", "yak", "emu", "pig")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "animals"
    (made / "qrels").mkdir(parents=True)
    texts = [f"The {animal} sleeps in the {place}." for animal in ANIMALS for place in ("barn", "wood")]
    corpus = [{"_id": f"d{at}", "title": "", "text": text} for at, text in enumerate(texts)]
    queries = [{"_id": f"q{at}", "text": f"where does the {animal} sleep?"} for at, animal in enumerate(ANIMALS)]
    (made / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (made / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    judged = [f"q{at}\td{2 * at + place}\t{2 - place}" for at in range(len(ANIMALS)) for place in (0, 1)]
    (made / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(judged))
    return made


@pytest.fixture
def filled(ragvec: Run, folder: Path) -> Run:
    done = ragvec("ingest", folder / "corpus.jsonl", "--into", "work/animals", "--embedder", "hashing:128", "--quiet")
    assert done.status == 0, done.err
    return ragvec


def test_an_index_is_measured_as_its_run_is(filled: Run, folder: Path, tmp_path: Path) -> None:
    run, qrels = tmp_path / "ours.run", tmp_path / "qrels.txt"
    asked = filled("evaluate", "work/animals", "--collection", folder, "--save-run", run, "--per-query", "--json")
    assert asked.status == 0, asked.err
    collection = beir(folder)
    expected = evaluate(read_run_file(run), collection.qrels)
    assert asked.json["means"] == pytest.approx(expected.means)
    assert asked.json["perQuery"]["q3"] == pytest.approx(expected.per_query["q3"])
    assert (asked.json["queries"], asked.json["passed"], asked.json["unanswered"]) == (12, True, [])
    qrels.write_text("\n".join(f"{q} 0 {d} {g}" for q, grades in collection.qrels.items() for d, g in grades.items()))
    measured = filled("evaluate", "--run", run, "--qrels", qrels, "--measure", "AP", "--measure", "RR", "--json")
    assert list(measured.json["means"]) == ["AP", "RR"]
    assert measured.json["means"]["RR"] == pytest.approx(expected.means["RR"])
    shown = filled("evaluate", "work/animals", "--collection", folder)
    assert f"nDCG@10   {expected.means['nDCG@10']:.4f}" in shown.out
    assert "12 judged queries" in shown.out


def test_the_gate_passes_what_is_as_good_and_fails_what_is_worse(filled: Run, folder: Path, tmp_path: Path) -> None:
    baseline, run, qrels = tmp_path / "baseline.json", tmp_path / "a.run", tmp_path / "qrels.txt"
    ask = ("evaluate", "work/animals", "--collection", folder)
    assert filled(*ask, "--save", baseline, "--save-run", run).status == 0
    assert filled(*ask, "--against", baseline, "--fail-below", "nDCG@10=0.1").status == 0

    collection = beir(folder)
    qrels.write_text("\n".join(f"{q} 0 {d} {g}" for q, grades in collection.qrels.items() for d, g in grades.items()))
    worse = tmp_path / "worse.run"
    lines = run.read_text().splitlines()
    worse.write_text("\n".join(line for line in lines if line.split()[3] != "1"))  # the first answers are lost
    failed = filled("evaluate", "--run", worse, "--qrels", qrels, "--against", baseline, "--fail-below", "AP=0.99")
    assert failed.status == 1
    assert "AP is " in failed.err
    assert "below the floor of 0.9900" in failed.err
    assert "nDCG@10 fell by " in failed.err
    assert "more than the 0.0100 permitted" in failed.err
    chance = filled("evaluate", "--run", worse, "--qrels", qrels, "--against", baseline, "--drop", "1", "--json")
    assert chance.status == 1
    assert all("which is no chance (p 0.0" in failure for failure in chance.json["failures"])
    told = {each["measure"]: each for each in chance.json["comparisons"]}
    assert told["nDCG@10"]["losses"] == 12


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["work/animals"], 2, "expected BUCKET/INDEX with --collection, or --run with --qrels"),
        (["--run", "a.run"], 2, "expected --run with --qrels"),
        (["--run", "a.run", "--qrels", "b", "--fail-below", "AP"], 2, "expected a measure and its floor"),
        (["--run", "a.run", "--qrels", "b", "--measure", "MAP"], 1, "Expected a measure"),
        (["--run", "absent.run", "--qrels", "absent.txt"], 1, "absent.run"),
        (["--run", "a.run", "--qrels", "b", "--against", "absent.json"], 1, "Expected a file, found none"),
    ],
    ids=["no collection", "no judgements", "no floor", "no measure", "no run", "no baseline"],
)
def test_wrong_arguments_are_told(ragvec: Run, words: list[str], status: int, message: str) -> None:
    done = ragvec("evaluate", *words)
    assert done.status == status
    assert message in done.err
    assert done.out == ""
