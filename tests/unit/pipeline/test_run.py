"""Bringing documents into an index, and keeping it up to date."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.errors import DocumentError, EmbedderMismatch, InvalidRequest
from ragvec.pipeline.chunk import StructureChunker
from ragvec.pipeline.documents import Document
from ragvec.pipeline.embedders import CallableEmbedder, HashingEmbedder
from ragvec.pipeline.passages import NON_FILTERABLE, Passage
from ragvec.pipeline.run import Pipeline
from ragvec.store import Index, Store
from ragvec.types import FloatMatrix

LONG = "\n\n".join(f"Paragraph {number} tells something of its own, word by word." for number in range(12))


class Witness(HashingEmbedder):
    """Notes every text that it embeds."""

    def __init__(self) -> None:
        super().__init__(32)
        self.texts: list[str] = []

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        self.texts += texts
        return super().embed_documents(texts)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Store(tmp_path / "store") as store:
        yield store.bucket("docs").index("pages")


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def pipeline(index: Index, witness: Witness) -> Pipeline:
    return Pipeline(index=index, embedder=witness, chunker=StructureChunker(max_tokens=40))


def passages(index: Index) -> list[Passage]:
    found = [Passage.from_metadata(record.metadata or {}) for record in index.iter()]
    return [passage for passage in found if passage is not None]


def run(pipeline: Pipeline, source: Any, **options: Any) -> Any:
    return pipeline.run(source, progress=False, **options)


def test_a_first_run_makes_the_index_and_fills_it(pipeline: Pipeline, index: Index, witness: Witness) -> None:
    document = Document(
        id="travel/rates.md",
        text=LONG,
        title="Rates",
        uri="file:///rates.md",
        file_type="md",
        attributes={"category": "travel", "access_groups": ["hr"], "due_date": "2024-01-02", "size": 3},
    )
    report = run(pipeline, [document])
    assert (report.documents, report.added, report.failed) == (1, 1, ())
    assert report.chunks == report.embedded == len(witness.texts) == index.count() > 3
    assert set(report.seconds) == {"load", "chunk", "embed", "write"}
    assert (index.dimension, index.metric, set(index.non_filterable)) == (32, "cosine", set(NON_FILTERABLE))
    assert index.property("embedder") == {"name": "hashing:32", "dimension": 32}
    assert index.property("attributes") == {
        "_document_title": "STRING_VALUE",
        "_source_uri": "STRING_VALUE",
        "_file_type": "STRING_VALUE",
        "_language_code": "STRING_VALUE",
        "_category": "STRING_VALUE",
        "due_date": "DATE_VALUE",
        "size": "LONG_VALUE",
    }
    first = passages(index)[0]
    assert first.key == "travel/rates.md#00000"
    assert first.count == report.chunks
    assert first.attributes == {
        "_document_title": "Rates",
        "_source_uri": "file:///rates.md",
        "_file_type": "md",
        "_language_code": "en",
        "_category": "travel",
        "_acl_allow": ["group:hr"],
        "due_date": 1_704_153_600,
        "size": 3,
    }
    assert all(LONG[passage.begin : passage.end] == passage.text for passage in passages(index))


def test_passages_are_found_by_what_they_say(pipeline: Pipeline, index: Index) -> None:
    run(pipeline, [Document(id="a", text="The printer is broken."), Document(id="b", text="Parental leave is paid.")])
    (hit,) = index.query(pipeline.embedder.embed_query("parental leave"), k=1)
    assert hit.key == "b#00000"


def test_a_second_run_does_nothing(pipeline: Pipeline, index: Index, witness: Witness) -> None:
    source = [Document(id="a", text=LONG), Document(id="b", text="short")]
    run(pipeline, source)
    witness.texts.clear()
    sequence = index.stats().sequence
    report = run(pipeline, source)
    assert (report.documents, report.unchanged, report.added, report.chunks) == (2, 2, 0, 0)
    assert witness.texts == []
    assert index.stats().sequence == sequence


def test_a_changed_document_is_replaced_and_only_new_text_embedded(
    pipeline: Pipeline, index: Index, witness: Witness
) -> None:
    run(pipeline, [Document(id="a", text=LONG), Document(id="b", text="other")])
    before = {record.key: record.data for record in index.iter(data=True)}
    witness.texts.clear()
    changed = LONG.replace("Paragraph 11 tells", "Paragraph 11 told")
    report = run(pipeline, [Document(id="a", text=changed), Document(id="b", text="other")])
    assert (report.replaced, report.unchanged, report.embedded) == (1, 1, 1)
    assert ["told" in text for text in witness.texts] == [True]
    after = {record.key: record.data for record in index.iter(data=True)}
    same = [key for key in after if np.array_equal(after[key], before.get(key))]
    assert len(same) == len(after) - 1
    assert "".join(passage.text for passage in passages(index) if "told" in passage.text).count("told") == 1


def test_a_shorter_version_leaves_nothing_of_the_longer_one(pipeline: Pipeline, index: Index) -> None:
    run(pipeline, [Document(id="a", text=LONG)])
    report = run(pipeline, [Document(id="a", text="Now it is short.")])
    assert (report.replaced, report.chunks) == (1, 1)
    assert [(passage.key, passage.count, passage.text) for passage in passages(index)] == [
        ("a#00000", 1, "Now it is short.")
    ]


def test_changed_attributes_are_stored_without_embedding(pipeline: Pipeline, index: Index, witness: Witness) -> None:
    run(pipeline, [Document(id="a", text=LONG, attributes={"view_count": 1})])
    witness.texts.clear()
    report = run(pipeline, [Document(id="a", text=LONG, attributes={"view_count": 2})])
    assert (report.replaced, report.embedded, witness.texts) == (1, 0, [])
    assert index.count({"_view_count": 2}) == index.count() == report.chunks


def test_another_chunker_splits_again(pipeline: Pipeline, index: Index, witness: Witness) -> None:
    run(pipeline, [Document(id="a", text=LONG)])
    other = Pipeline(index=index, embedder=witness, chunker=StructureChunker(max_tokens=20))
    report = run(other, [Document(id="a", text=LONG)])
    assert report.replaced == 1
    assert index.count() == report.chunks == len({passage.number for passage in passages(index)})


def test_vanished_documents_go_when_asked(pipeline: Pipeline, index: Index) -> None:
    run(pipeline, [Document(id="a", text=LONG), Document(id="b", text="x")], id_prefix="one/")
    run(pipeline, [Document(id="a", text="y")], id_prefix="two/")
    assert run(pipeline, [Document(id="b", text="x")], id_prefix="one/").removed == 0
    report = run(pipeline, [Document(id="b", text="x")], id_prefix="one/", remove_missing=True)
    assert (report.removed, report.unchanged) == (1, 1)
    assert {passage.document_id for passage in passages(index)} == {"one/b", "two/a"}


def test_what_failed_is_not_taken_for_vanished(pipeline: Pipeline, index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.txt").write_text(f"text {name}", encoding="utf-8")
    run(pipeline, folder)
    (folder / "a.txt").write_bytes(b"\x00")
    (folder / "c.txt").unlink()
    report = run(pipeline, folder, remove_missing=True)
    assert ([failure.source for failure in report.failed], report.removed) == (["a.txt"], 1)
    assert {passage.document_id for passage in passages(index)} == {"a.txt", "b.txt"}
    (folder / "list.jsonl").write_text("{broken", encoding="utf-8")
    (folder / "b.txt").unlink()
    report = run(pipeline, folder, remove_missing=True)
    assert report.removed == 0
    assert "nothing was removed" in str(report)


def test_an_interrupted_replacement_is_finished(pipeline: Pipeline, index: Index, witness: Witness) -> None:
    """As if the process had ended after the new version was written and before the rest of the old one was deleted."""
    run(pipeline, [Document(id="a", text=LONG)])
    old = index.get([passage.key for passage in passages(index)])
    run(pipeline, [Document(id="a", text="short now")])
    rest = old[1:]
    index.put([record.key for record in rest], np.stack([record.data for record in rest]), [r.metadata for r in rest])
    witness.texts.clear()
    report = run(pipeline, [Document(id="a", text="short now")])
    assert (report.unchanged, witness.texts, index.count()) == (1, [], 1)


def test_a_document_with_a_missing_passage_is_completed(pipeline: Pipeline, index: Index, witness: Witness) -> None:
    run(pipeline, [Document(id="a", text=LONG)])
    whole = {record.key: record.metadata for record in index.iter()}
    index.delete(["a#00002"])
    witness.texts.clear()
    report = run(pipeline, [Document(id="a", text=LONG)])
    assert (report.replaced, len(witness.texts)) == (1, 1)
    assert {record.key: record.metadata for record in index.iter()} == whole


def test_another_embedder_is_refused(pipeline: Pipeline, index: Index) -> None:
    run(pipeline, [Document(id="a", text="x")])
    with pytest.raises(EmbedderMismatch) as caught:
        run(Pipeline(index=index, embedder="hashing:64"), [Document(id="a", text="x")])
    assert caught.value.message == (
        "Expected the embedder 'hashing:32' of dimension 32, which fills index 'pages' of bucket 'docs', "
        "got 'hashing:64' of dimension 64: use that embedder, or another index"
    )
    same_size = CallableEmbedder(lambda texts: np.ones((len(texts), 32)), name="ones", dimension=32)
    with pytest.raises(EmbedderMismatch, match="got 'ones' of dimension 32"):
        run(Pipeline(index=index, embedder=same_size), [])


def test_an_index_of_another_dimension_is_refused(index: Index) -> None:
    index.bucket.store.create_bucket("docs").create_index("pages", dimension=7)
    with pytest.raises(EmbedderMismatch, match="Expected an embedder of dimension 7, which that of index .pages"):
        run(Pipeline(index=index, embedder="hashing:32"), [])
    assert index.property("embedder") is None


def test_an_attribute_keeps_its_type(pipeline: Pipeline, index: Index) -> None:
    source = [
        Document(id="a", text="x", attributes={"size": 3}),
        Document(id="b", text="y", attributes={"size": "large"}),
        Document(id="c", text="z", attributes={"size": 4.0}),
    ]
    report = run(pipeline, source)
    assert [str(failure) for failure in report.failed] == [
        "b: Expected a LONG_VALUE in attribute 'size', as in the rest of the index, got 'large'"
    ]
    assert run(pipeline, source).unchanged == 2
    assert index.count({"size": {"$gte": 3}}) == 2


def test_one_document_that_the_store_refuses_keeps_out_no_other(index: Index) -> None:
    def poisoned(texts: list[str]) -> FloatMatrix:
        return np.array([[np.nan if "poison" in text else 1.0, 1.0] for text in texts], dtype=np.float32)

    pipeline = Pipeline(index=index, embedder=CallableEmbedder(poisoned, name="p", normalize=False))
    source = [Document(id=name, text=f"{name} text") for name in ("a", "poison", "c")]
    report = run(pipeline, source)
    assert [failure.document_id for failure in report.failed] == ["poison"]
    assert "NaN" in report.failed[0].reason
    assert {passage.document_id for passage in passages(index)} == {"a", "c"}
    assert (report.documents, report.added) == (2, 2)


def test_failures_and_notes_are_in_the_report(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_bytes("Größe und Maß der Tür im Flur".encode("cp1252"))
    (folder / "b.xyz").write_text("what", encoding="utf-8")
    report = run(pipeline, folder)
    assert [failure.source for failure in report.failed] == ["b.xyz"]
    ((document_id, note),) = report.notes
    assert document_id == "a.txt"
    assert note.startswith("decoded as")


def test_a_source_that_is_not_there_is_an_error(pipeline: Pipeline) -> None:
    with pytest.raises(DocumentError, match="got a path where there is none"):
        run(pipeline, "/no/such/folder")


def test_the_chunker_leaves_room_for_what_the_model_reads(index: Index) -> None:
    def one(texts: list[str]) -> list[list[float]]:
        return [[1.0]] * len(texts)

    small = CallableEmbedder(one, name="small", dimension=1, max_tokens=126)
    assert Pipeline(index=index, embedder=small).chunker.name == "structure-2:78:0:19"
    assert Pipeline(index=index, embedder="hashing").chunker.name == "structure-2:200:0:50"


def test_a_log_gets_a_line_a_stage(pipeline: Pipeline, capfd: pytest.CaptureFixture[str]) -> None:
    pipeline.run([Document(id="a", text=LONG)])
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.split()[0] for line in err.splitlines()] == ["load", "chunk", "embed", "write"]
    assert "\r" not in err
    run(pipeline, [Document(id="a", text=LONG)])
    assert capfd.readouterr() == ("", "")


def test_many_documents_go_in_several_windows(pipeline: Pipeline, index: Index) -> None:
    source = [Document(id=f"{number:04}", text=f"Document {number} says {number * 7}.") for number in range(1_200)]
    report = run(pipeline, source)
    assert (report.added, index.count()) == (1_200, 1_200)
    assert run(pipeline, source).unchanged == 1_200


@pytest.mark.parametrize("document_id", ["x" * 2_000, "a#00001", "ü/ß 漢字", os.sep])
def test_ids_may_be_anything(pipeline: Pipeline, index: Index, document_id: str) -> None:
    source = [Document(id=document_id, text=LONG), Document(id="a", text=LONG + " ")]
    report = run(pipeline, source)
    assert report.added == 2
    assert {passage.document_id for passage in passages(index)} == {document_id, "a"}
    assert index.count() == report.chunks
    assert run(pipeline, source).unchanged == 2


def test_what_is_no_chunker_is_refused(index: Index) -> None:
    with pytest.raises(InvalidRequest, match="Expected a chunker, with `split` and `name`, the name of one .* got 5"):
        Pipeline(index=index, embedder="hashing:32", chunker=5)  # type: ignore[arg-type]
