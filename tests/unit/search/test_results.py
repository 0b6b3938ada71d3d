"""How answers look: short in text, tables in notebooks, frames in pandas."""

from __future__ import annotations

import numpy as np
import pytest

from ragvec.search.request import Hits
from ragvec.search.results import Hit, Results
from ragvec.types import Record


def results(*records: Record) -> Results:
    return Results(Hits(records, np.arange(len(records), dtype=np.float32) / 4), metric="cosine")


def test_a_repr_tells_how_many_and_the_nearest() -> None:
    assert repr(results(Record("a"), Record("b"))) == "<Results: 2 hits by cosine, nearest 'a' at 0.0000>"
    assert repr(results(Record("k" * 50))) == f"<Results: 1 hit by cosine, nearest '{'k' * 39}…' at 0.0000>"
    assert repr(results()) == "<Results: no hits by cosine>"


def test_a_hit_shows_the_size_of_its_vector_and_the_beginning_of_long_texts() -> None:
    assert repr(Hit("a", 0.25)) == "Hit('a', distance=0.2500)"
    shown = repr(Hit("a", 0.25, {"year": 2024, "text": "x" * 100}, np.zeros(384, dtype=np.float32)))
    assert shown == f"Hit('a', distance=0.2500, metadata={{'year': 2024, 'text': '{'x' * 59}…'}}, data=float32[384])"


def test_html_escapes_every_text_and_cuts_long_ones() -> None:
    hostile = "<script>alert(1)</script>"
    shown = results(Record(hostile, None, {hostile: hostile, "long": "y" * 1000, "tags": [hostile]}))._repr_html_()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 4
    assert "y" * 61 not in shown


def test_html_of_no_hits_says_so() -> None:
    assert results()._repr_html_() == "<div>no hits by cosine</div>"


def test_html_of_many_hits_is_a_page_of_them() -> None:
    shown = results(*(Record(f"k{number}") for number in range(70)))._repr_html_()
    assert shown.count("<tr>") == 1 + 50
    assert "and 20 more" in shown


def test_a_frame_of_no_hits_has_columns_of_the_usual_types() -> None:
    pytest.importorskip("pandas")
    empty, full = results().to_pandas(), results(Record("a")).to_pandas()
    assert list(empty.columns) == ["key", "distance"]
    assert list(empty.dtypes) == list(full.dtypes)
    assert len(empty) == 0
