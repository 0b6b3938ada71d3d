"""Only a line feed ends a line of jsonl: JSON text may hold U+2028 and U+0085, which Python also calls line ends."""

from __future__ import annotations

import json
from pathlib import Path

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
