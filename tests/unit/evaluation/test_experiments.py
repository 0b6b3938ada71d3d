"""Experiments: the figures are those of asking by hand, work is done once, and a killed one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import ragvec
from ragvec.errors import DocumentError, InvalidRequest
from ragvec.evaluation.collections import Collection
from ragvec.evaluation.configurations import Configuration, grid
from ragvec.evaluation.experiments import Experiment
from ragvec.evaluation.measures import evaluate
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.types import FloatMatrix, FloatVector

pytest.importorskip("pandas", reason="reports are DataFrames: pip install 'ragvec[eval]'")

ANIMALS = ("cat", "dog", "hen", "cow", "fox", "owl", "ant", "bee")
PLACES = ("garden", "kitchen", "forest", "harbour")
COLLECTION = Collection(
    name="Animals & <places>",
    documents=[
        Document(id=f"{animal}-{place}", text=f"The {animal} sleeps in the {place}.", attributes={"animal": animal})
        for animal in ANIMALS
        for place in PLACES
    ],
    queries={f"{animal}?": f"where does the {animal} sleep, in the {PLACES[0]}?" for animal in ANIMALS},
    qrels={f"{animal}?": {f"{animal}-{place}": 1 + (place == PLACES[0]) for place in PLACES} for animal in ANIMALS},
)


class Counting(HashingEmbedder):
    """Counts what it embeds, in a file, so that other processes are counted too."""

    def __init__(self, dimension: int, log: Path) -> None:
        super().__init__(dimension)
        self.log = log

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        with self.log.open("a") as file:
            file.writelines(f"{text!r}\n" for text in texts)
        return super().embed_documents(texts)

    def embed_query(self, text: str) -> FloatVector:
        with self.log.open("a") as file:
            file.write(f"question {text!r}\n")
        return super().embed_query(text)


def configurations(log: Path) -> list[Configuration]:
    return grid(
        embedder={"small": Counting(32, log), "large": Counting(128, log)}, way=["text", "dense", "hybrid", "query"]
    )


def test_the_figures_are_those_of_asking_by_hand(tmp_path: Path) -> None:
    report = Experiment(COLLECTION, configurations(tmp_path / "log"), folder=tmp_path / "work").run()
    with ragvec.Store(tmp_path / "by-hand") as store:
        index = store.bucket("b").index("i")
        ragvec.Pipeline(index=index, embedder="hashing:128").run(COLLECTION.documents, progress=False)
        run = {}
        for query, text in COLLECTION.queries.items():
            hits = index.query(HashingEmbedder(128).embed_query(text), k=100)
            run[query] = [(hit.metadata["_document_id"], -hit.distance) for hit in hits]
    expected = evaluate(run, COLLECTION.qrels)
    assert report["large · dense"].scores.per_query == expected.per_query
    frame = report.to_pandas()
    assert list(frame.index[:1]) == [report.best().name]
    assert frame.loc["large · dense", "nDCG@10"] == pytest.approx(expected.means["nDCG@10"])
    assert (frame["nDCG@10 low"] <= frame["nDCG@10"]).all()
    assert (frame["nDCG@10"] <= frame["nDCG@10 high"]).all()
    assert report.recall_by_depth((1, 100))["small · text"][100] == 1.0
    assert report.per_query().loc["cat?", "text"] == COLLECTION.queries["cat?"]
    assert len(report.compare("RR", baseline="small · text")) == 7


def test_nothing_is_embedded_or_asked_twice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = Experiment(COLLECTION, configurations(log), folder=tmp_path / "work").run()
    embedded = log.read_text().splitlines()
    assert len(embedded) == len(set(embedded)) * 2  # by two embedders
    told: list[str] = []
    again = Experiment(COLLECTION, configurations(log), folder=tmp_path / "work", workers=2).run(progress=told.append)
    assert log.read_text().splitlines() == embedded
    assert not [line for line in told if "queries" in line]
    assert again["small · query"].run == first["small · query"].run
    assert again["small · query"].milliseconds == first["small · query"].milliseconds


def test_other_documents_or_queries_are_other_work(tmp_path: Path) -> None:
    chosen = grid(embedder=["hashing:64"], way=["text"])
    Experiment(COLLECTION, chosen, folder=tmp_path).run()
    fewer = [document for document in COLLECTION.documents if isinstance(document, Document)][4:]
    less = Collection(name=COLLECTION.name, documents=fewer, queries=COLLECTION.queries, qrels=COLLECTION.qrels)
    report = Experiment(less, chosen, folder=tmp_path).run()
    assert report.outcomes[0].passages == len(fewer)
    assert not {document for document, _ in report.outcomes[0].run["cat?"]} & {f"cat-{place}" for place in PLACES}


def test_an_experiment_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Killed the moment the third configuration is asked, it keeps both indexes, all vectors and two answers."""
    script = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from tests.unit.evaluation.test_experiments import COLLECTION, Experiment, configurations

        def progress(line, seen=[]):
            seen.append(line)
            if len([each for each in seen if "queries" in each]) == 3:
                os.kill(os.getpid(), signal.SIGKILL)

        folder = Path(sys.argv[1])
        Experiment(COLLECTION, configurations(folder / "log"), folder=folder / "work").run(progress=progress)
        """
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    embedded = (tmp_path / "log").read_text().splitlines()
    told: list[str] = []
    report = Experiment(COLLECTION, configurations(tmp_path / "log"), folder=tmp_path / "work").run(
        progress=told.append
    )
    assert (tmp_path / "log").read_text().splitlines() == embedded
    assert len([line for line in told if "queries" in line]) == 8 - 2
    whole = Experiment(COLLECTION, configurations(tmp_path / "other"), folder=tmp_path / "whole").run()
    for outcome in whole.outcomes:
        assert report[outcome.name].run == outcome.run


class Longest:
    """Prefers long passages."""

    name = "longest"

    def score(self, question: str, passages: Sequence[str]) -> FloatVector:
        return np.array([len(passage) for passage in passages], dtype=np.float32)


def test_a_reranker_orders_the_first_candidates_again(tmp_path: Path) -> None:
    chosen = [
        Configuration(name="plain", embedder="hashing:64", way="text"),
        Configuration(name="longest", embedder="hashing:64", way="text", reranker=Longest(), depth=3),
        Configuration(name="cats", embedder="hashing:64", way="text", where={"animal": "cat"}),
    ]
    report = Experiment(COLLECTION, chosen, folder=tmp_path).run()
    plain = [document for document, _ in report["plain"].run["cat?"]]
    longest = report["longest"].run["cat?"]
    assert {document for document, _ in longest[:3]} == set(plain[:3])
    assert [document for document, _ in longest[3:]] == plain[3:]
    assert [len(document) for document, _ in longest[:3]] == sorted((len(each) for each in plain[:3]), reverse=True)
    assert [score for _, score in longest] == sorted((score for _, score in longest), reverse=True)
    assert {document.split("-")[0] for document, _ in report["cats"].run["dog?"]} <= {"cat"}


def test_the_page_shows_hostile_names_and_loads_nothing(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots: pip install 'ragvec[eval]'")
    hostile = "<script>alert(1)</script>"
    queries = {"q": f"{hostile} cat"}
    collection = Collection(
        name=hostile, documents=COLLECTION.documents, queries=queries, qrels={"q": {"cat-garden": 1}}
    )
    chosen = [
        Configuration(name="<b>one</b>", embedder="hashing:64", way="text"),
        Configuration(name="two", embedder="hashing:64", way="dense"),
    ]
    path = Experiment(collection, chosen, folder=tmp_path / "work").run().save(tmp_path / "report.html")
    text = path.read_text()
    assert "<script" not in text
    assert "<b>one" not in text
    assert "&lt;script&gt;" in text
    assert text.count("<svg") == 3
    assert 'src="http' not in text
    assert 'href="http' not in text


def test_wrong_experiments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="Expected configurations with names of their own, got a, a"):
        Experiment(COLLECTION, [Configuration(name="a"), Configuration(name="a")], folder=tmp_path)
    with pytest.raises(InvalidRequest, match="Expected judged queries, 'empty' has none"):
        Experiment(Collection(name="empty", documents=[]), [Configuration(name="a")], folder=tmp_path)
    with pytest.raises(InvalidRequest, match="Expected `fusion` with the way hybrid only, got dense"):
        Configuration(name="a", way="dense", fusion="rrf")
    with pytest.raises(InvalidRequest, match="Expected settings among .*, got 'chunk'"):
        grid(chunk=[1])
    with pytest.raises(InvalidRequest, match="Expected values with names of their own for 'embedder', got none"):
        grid(embedder=[])
    broken = Collection(
        name="broken",
        documents=[Failure(source="b.pdf", reason="broken")],
        queries={"q": "a"},
        qrels={"q": {"d": 1}},
    )
    with pytest.raises(DocumentError, match="b.pdf: broken"):
        Experiment(broken, [Configuration(name="a", embedder="hashing:64")], folder=tmp_path).run()
