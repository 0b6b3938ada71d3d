"""Text fields go with an index from store to store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragvec.errors import DocumentError
from ragvec.exchange import export_index, import_index
from ragvec.store import Store


@pytest.mark.parametrize("name", ["all.jsonl", "all.parquet"])
def test_an_index_that_is_made_from_an_export_has_its_text_fields(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    with Store(tmp_path / "store") as store:
        index = store.create_bucket("work").create_index("all", dimension=2, text={"title": "en", "body": None})
        index.put(["a"], [[1, 0]], [{"title": "Red shoes"}])
        export_index(index, tmp_path / name)
        import_index(store, tmp_path / name, bucket="copy", index="all")
        copy = store.bucket("copy").index("all")

        assert copy.text_fields == {"title": "en", "body": None}
        assert copy.query(text="shoe").keys == ["a"]


def test_an_export_without_text_fields_does_not_speak_of_them(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        export_index(store.create_bucket("work").create_index("all", dimension=2), tmp_path / "all.jsonl")

    header = json.loads((tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert "text" not in header


@pytest.mark.parametrize("text", [["title"], {"title": 3}, "title"])
def test_text_fields_that_are_none_are_refused(tmp_path: Path, text: object) -> None:
    header = {"ragvec": "export", "format": 1, "dimension": 2, "metric": "cosine"}
    header |= {"non_filterable": [], "properties": {}, "text": text}
    (tmp_path / "all.jsonl").write_text(json.dumps(header), encoding="utf-8")
    with (
        Store(tmp_path / "store") as store,
        pytest.raises(DocumentError, match="line 1 of .*: expected languages by key as text"),
    ):
        import_index(store, tmp_path / "all.jsonl", bucket="work", index="all")
