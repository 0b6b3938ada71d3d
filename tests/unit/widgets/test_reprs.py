"""What public objects look like in a notebook."""

from __future__ import annotations

import numpy as np

import ragvec
from ragvec.evaluation import index_recall
from ragvec.store import Index, Store


def test_an_index_says_what_it_is_and_never_raises(store: Store, index: Index) -> None:
    shown = index._repr_html_()
    assert f"{index.count():,} records of 128 dimensions, cosine" in shown
    assert "_text" in shown
    assert shown in ragvec.QueryIndex(index)._repr_html_()
    absent = store.bucket("docs").index("<b>absent")
    assert absent._repr_html_().count("does not exist") == 1
    assert "<b>" not in absent._repr_html_()


def test_a_bucket_lists_its_indexes(store: Store, index: Index) -> None:
    assert "1 index<" in store.bucket("docs")._repr_html_()
    assert index._repr_html_() in store.bucket("docs")._repr_html_()
    assert "does not exist" in store.bucket("nowhere")._repr_html_()


def test_a_measured_recall_is_readable(index: Index) -> None:
    vectors = np.stack([record.data for record in index.iter(data=True) if record.data is not None][:5])
    found = index_recall(index, vectors)
    assert "nothing to do" in found._repr_html_()
