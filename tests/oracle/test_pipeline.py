"""The pipeline against plain oracles: whatever happened before, the index is what one fresh run would have made."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragvec.pipeline.chunk import StructureChunker
from ragvec.pipeline.documents import Document
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.pipeline.load import load
from ragvec.pipeline.passages import Passage
from ragvec.pipeline.report import Report
from ragvec.pipeline.run import Pipeline
from ragvec.store import Index, Store
from ragvec.types import FloatMatrix

HANDBOOK = Path(__file__).parents[2] / "datasets" / "handbook"
DOCUMENTS = 1_300
WINDOW, BATCH = 512, 256  # chunks that are written together, and given to the embedder at a time

CHILD = f"""
import os, signal, sys
from ragvec.pipeline.documents import Document
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.pipeline.run import Pipeline
from ragvec.store import Store

class Dying(HashingEmbedder):
    calls = 0

    def embed_documents(self, texts):
        self.calls += 1
        if self.calls > int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed_documents(texts)

numbers = range({DOCUMENTS})
source = [Document(id=f"d{{n:05}}", text=f"Text {{n}} of {{n * n}}.", attributes={{"n": n}}) for n in numbers]
Pipeline(index=Store(sys.argv[1]).bucket("docs").index("pages"), embedder=Dying(32)).run(source, progress=False)
"""


class Witness(HashingEmbedder):
    def __init__(self) -> None:
        super().__init__(32)
        self.texts: list[str] = []

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        self.texts += texts
        return super().embed_documents(texts)


def ingest(folder: Path, source: list[Document], *, embedder: HashingEmbedder | None = None, **options: Any) -> Report:
    with Store(folder) as store:
        chunker = StructureChunker(max_tokens=12)
        pipeline = Pipeline(index=index_in(store), embedder=embedder or HashingEmbedder(32), chunker=chunker)
        return pipeline.run(source, progress=False, **options)


def index_in(store: Store) -> Index:
    return store.bucket("docs").index("pages")


def contents(folder: Path) -> dict[str, tuple[dict[str, Any] | None, list[float]]]:
    with Store(folder) as store:
        return {
            record.key: (record.metadata, np.asarray(record.data).tolist())
            for record in index_in(store).iter(data=True)
        }


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not there")
@pytest.mark.parametrize("calls", [0, 2, 3, 5])
def test_a_killed_run_is_resumed_where_it_was(tmp_path: Path, calls: int) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "killed"), str(calls)], capture_output=True, check=False
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    source = [Document(id=f"d{n:05}", text=f"Text {n} of {n * n}.", attributes={"n": n}) for n in range(DOCUMENTS)]
    written = len(contents(tmp_path / "killed"))
    # The windows before the one at the embedder are written, or were about to be when the process died.
    assert written % WINDOW == 0
    assert written <= WINDOW * (calls * BATCH // WINDOW)

    witness = Witness()
    with Store(tmp_path / "killed") as store:
        report = Pipeline(index=index_in(store), embedder=witness).run(source, progress=False)
    assert (report.unchanged, report.added, report.replaced) == (written, DOCUMENTS - written, 0)
    assert len(witness.texts) == len(set(witness.texts)) == DOCUMENTS - written

    with Store(tmp_path / "whole") as store:
        Pipeline(index=index_in(store), embedder=HashingEmbedder(32)).run(source, progress=False)
        types = index_in(store).property("attributes")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    with Store(tmp_path / "killed") as store:
        assert index_in(store).property("attributes") == types


SENTENCES = st.lists(
    st.sampled_from(["One two three.", "Four five.", "Six!", "# Head\n\n", "\n\n", "seven"]), min_size=1
)
STATES = st.dictionaries(
    st.sampled_from(["a", "b", "a#00000", "c/d"]),
    st.tuples(SENTENCES.map(" ".join).filter(str.strip), st.integers(0, 2)),
    max_size=4,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(STATES, st.booleans()), min_size=1, max_size=4))
def test_any_history_ends_as_one_fresh_run(history: list[tuple[dict[str, tuple[str, int]], bool]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        there: dict[str, Document] = {}
        for state, remove_missing in history:
            source = [
                Document(id=name, text=text, title=f"T{views % 2}", attributes={"view_count": views})
                for name, (text, views) in state.items()
            ]
            expected = {document.id: document for document in source}
            changed = {name for name in expected if there.get(name) != expected[name]}
            gone = set(there) - set(expected) if remove_missing else set()
            new = changed - set(there)

            report = ingest(folder / "kept", source, remove_missing=remove_missing)
            assert (report.added, report.replaced) == (len(new), len(changed - new))
            assert (report.unchanged, report.removed) == (len(expected) - len(changed), len(gone))
            there = {name: document for name, document in (there | expected).items() if name not in gone}
        ingest(folder / "fresh", list(there.values()))
        assert contents(folder / "kept") == contents(folder / "fresh")


@pytest.mark.skipif(not HANDBOOK.is_dir(), reason=f"the handbook is not at {HANDBOOK}")
def test_the_handbook_is_read_whole_and_its_evidence_is_in_passages(tmp_path: Path) -> None:
    documents = [
        item
        for item in load(HANDBOOK / "documents", attributes=HANDBOOK / "attributes.jsonl")
        if isinstance(item, Document)
    ]
    attributes = [json.loads(line) for line in (HANDBOOK / "attributes.jsonl").read_text("utf-8").splitlines()]
    assert {document.id for document in documents} == {line["id"] for line in attributes}
    assert {document.id: document.title for document in documents} == {line["id"]: line["title"] for line in attributes}

    with Store(tmp_path / "store") as store:
        report = Pipeline(index=index_in(store), embedder="hashing").run(documents, progress=False)
        assert (report.failed, report.notes, report.added) == ((), (), len(documents))
        passages = [Passage.from_metadata(record.metadata or {}) for record in index_in(store).iter()]

    texts: dict[str, str] = {document.id: " ".join(document.text.split()) for document in documents}
    pieces = [(passage.document_id, " ".join(passage.text.split())) for passage in passages if passage is not None]
    questions = [json.loads(line) for line in (HANDBOOK / "questions.jsonl").read_text("utf-8").splitlines()]
    evidence = [(item["document"], " ".join(item["text"].split())) for one in questions for item in one["evidence"]]
    # The rest are rows of tables, which are read as "column: value" and not as the bare cells in which they are quoted.
    in_text = [(name, text) for name, text in evidence if text in texts[name]]
    assert len(in_text) > 0.93 * len(evidence)
    in_one_passage = [one for one in in_text if any(name == one[0] and one[1] in text for name, text in pieces)]
    assert len(in_one_passage) > 0.95 * len(in_text)
