"""From a hit back to its source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.pipeline.chunk import StructureChunker
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.pipeline.lineage import lineage_of
from ragvec.pipeline.run import Pipeline
from ragvec.store import Index, Store


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "files"
    (folder / "a b").mkdir(parents=True)
    (folder / "a b" / "Größe.md").write_text(
        "# Trains\n\nBook early, for the good seats go first.\n\n## Refunds\n\nAsk within 30 days of the journey.\n",
        encoding="utf-8",
    )
    (folder / "rows.jsonl").write_text(
        '{"id": "one", "text": "The first record."}\n{"id": "two", "text": "The second one."}\n'
    )
    with Store(tmp_path / "store") as store:
        index = store.bucket("docs").index("pages")
        pipeline = Pipeline(index=index, embedder="hashing:64", chunker=StructureChunker(max_tokens=12))
        assert not pipeline.run(folder, progress=False).failed
        yield index


def test_from_a_hit_to_file_and_characters(index: Index, tmp_path: Path) -> None:
    asked = HashingEmbedder(64).embed_query("refunds within 30 days of the journey")
    hit = index.query(asked, k=1, metadata=True)[0]
    found = lineage_of(hit)
    path = tmp_path / "files" / "a b" / "Größe.md"
    assert (found.document_id, found.path, found.heading) == ("a b/Größe.md", path, "Refunds")
    assert 0 < found.begin < found.end
    assert found.read() == found.text
    assert "30 days" in found.text
    assert str(found) == f"{path}, characters {found.begin} to {found.end}"
    assert found.number < found.count


def test_every_passage_reads_back_as_it_was_stored(index: Index) -> None:
    count = 0
    for record in index.iter():
        found = lineage_of(record)
        assert found.read() == found.text
        count += 1
    assert count == index.count() > 3
    assert {lineage_of(record.metadata).document_id for record in index.iter()} == {"a b/Größe.md", "one", "two"}


def test_what_has_no_lineage(index: Index, tmp_path: Path) -> None:
    index.put(["alien"], np.ones((1, 64), dtype=np.float32), [{"title": "x"}])
    with pytest.raises(InvalidRequest, match="Expected a hit of an index that a pipeline filled, with its metadata"):
        lineage_of(index.get(["alien"])[0])
    with pytest.raises(InvalidRequest, match="ask with metadata=True"):
        lineage_of(next(index.iter(metadata=False)))
    lost = next(
        one for record in index.iter() if record.key != "alien" and (one := lineage_of(record)).document_id == "two"
    )
    (tmp_path / "files" / "rows.jsonl").write_text('{"id": "one", "text": "Alone."}\n{"id": "three", "text": "x"}\n')
    with pytest.raises(DocumentError, match="Expected the document 'two' in"):
        lost.read()
