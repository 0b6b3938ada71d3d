"""Whose words are searched: what the pipeline makes of text fields, in new indexes and in those that are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragvec.errors import EmbedderMismatch, InvalidRequest
from ragvec.pipeline.documents import Document
from ragvec.pipeline.passages import NON_FILTERABLE
from ragvec.pipeline.run import Pipeline
from ragvec.store import Index, Store

ALL = {"_text": "en", "_document_title": "en", "_heading": "en"}
DOCUMENT = Document(id="a", title="Ferries", text="Racks hold bicycles.")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Store(tmp_path / "store") as store:
        yield store.bucket("docs").index("pages")


def ingest(index: Index, **options: Any) -> None:
    Pipeline(index=index, embedder="hashing:32", **options).run([DOCUMENT], progress=False)


def test_words_titles_and_headings_of_a_new_index_are_searched(index: Index) -> None:
    ingest(index)
    assert index.text_fields == ALL
    assert index.query(text="bicycle").keys == index.query(text={"_document_title": "ferry"}).keys == ["a#00000"]


@pytest.mark.parametrize(("text", "expected"), [("en", ALL), ("any", dict.fromkeys(ALL)), (None, {})])
def test_the_language_can_be_named_and_the_search_left_out(
    index: Index, text: str | None, expected: dict[str, str | None]
) -> None:
    ingest(index, text=text)
    assert index.text_fields == expected


def test_an_index_made_by_hand_is_prepared_as_long_as_it_is_empty(index: Index) -> None:
    store = index.bucket.store
    made = store.create_bucket("docs").create_index("pages", dimension=32, non_filterable=NON_FILTERABLE)
    ingest(made)
    assert made.text_fields == ALL


def test_an_index_with_documents_stays_as_it_is_unless_asked(index: Index) -> None:
    ingest(index, text=None)
    ingest(index)
    assert index.text_fields == {}
    ingest(index, text="en")
    assert index.text_fields == ALL
    assert index.query(text="bicycle").keys == ["a#00000"]
    index.drop_text("_heading")
    ingest(index)
    assert list(index.text_fields) == ["_text", "_document_title"]


def test_text_fields_that_somebody_chose_stay(index: Index) -> None:
    made = index.bucket.store.create_bucket("docs").create_index("pages", dimension=32, text={"_text": None})
    ingest(made)
    assert made.text_fields == {"_text": None}
    with pytest.raises(InvalidRequest, match="Expected the language 'any', in which the text of index 'pages' is"):
        ingest(made, text="en")


def test_a_run_that_is_refused_prepares_nothing(index: Index) -> None:
    made = index.bucket.store.create_bucket("docs").create_index("pages", dimension=7)
    with pytest.raises(EmbedderMismatch):
        ingest(made)
    assert made.text_fields == {}
