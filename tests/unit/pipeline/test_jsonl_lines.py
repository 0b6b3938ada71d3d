"""Lines of jsonl: what ends one (a line feed alone: JSON text may hold U+2028 and U+0085, which Python also calls line
ends), and which members are attributes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragvec.evaluation.collections import beir
from ragvec.pipeline.documents import Document
from ragvec.pipeline.load import load

TEXT = "before\u2028after\u0085and\u2029on"


def test_text_with_unicode_line_ends_stays_one_document(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    lines = [json.dumps({"id": name, "text": TEXT}, ensure_ascii=False) for name in ("a", "b")]
    file.write_bytes("\r\n".join(lines).encode())
    documents = [document for document in load(file) if isinstance(document, Document)]
    assert [(document.id, document.text) for document in documents] == [("a", TEXT), ("b", TEXT)]


def test_attributes_with_unicode_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("Text.", encoding="utf-8")
    sidecar = tmp_path / "attributes.jsonl"
    sidecar.write_text(json.dumps({"path": "page.txt", "id": "p", "note": TEXT}, ensure_ascii=False), encoding="utf-8")
    (document,) = load(tmp_path, attributes=sidecar)
    assert isinstance(document, Document)
    assert (document.id, document.attributes["note"]) == ("p", TEXT)


@pytest.mark.parametrize("holder", ["metadata", "attributes"])
def test_attributes_may_stand_in_an_object_of_their_own(tmp_path: Path, holder: str) -> None:
    line = {holder: {"year": 2020, "source": "inner", "gone": None}, "_id": "a", "text": "Text.", "source": "outer"}
    (tmp_path / "corpus.jsonl").write_text(json.dumps(line), encoding="utf-8")
    (document,) = load(tmp_path)
    assert isinstance(document, Document)
    assert (document.id, document.notes) == ("a", ())
    assert document.attributes == {"year": 2020, "source": "outer"}


def test_a_collection_is_the_same_through_the_pipeline_and_through_evaluation(tmp_path: Path) -> None:
    line = {"_id": "a", "title": "T", "text": "Text.", "metadata": {"year": 2020}}
    (tmp_path / "corpus.jsonl").write_text(json.dumps(line), encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "?"}', encoding="utf-8")
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n", encoding="utf-8")
    (loaded,) = load(tmp_path)
    (evaluated,) = beir(tmp_path).documents
    assert isinstance(loaded, Document)
    assert (loaded.id, loaded.title, loaded.text) == (evaluated.id, evaluated.title, evaluated.text)
    assert loaded.attributes == evaluated.attributes == {"year": 2020}
