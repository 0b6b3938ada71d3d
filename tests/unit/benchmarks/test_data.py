from __future__ import annotations

import shutil

import numpy as np
import pytest

from benchmarks.data import COLLECTIONS


@pytest.mark.parametrize("name", sorted(COLLECTIONS))
def test_truth_is_exact_and_everything_is_the_same_when_made_again(made_up, name):
    first = made_up(name)
    assert first.name == f"{name}-made-up"
    assert np.allclose(np.linalg.norm(first.rows, axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(first.queries, axis=1), 1, atol=1e-5)
    scores = first.queries @ np.asarray(first.rows).T
    best = -np.sort(-scores, axis=1)[:, :100]
    assert np.allclose(np.take_along_axis(scores, first.truth, axis=1), best, atol=1e-6)
    rows = np.array(first.rows)
    shutil.rmtree(first.folder)
    again = made_up(name)
    assert np.array_equal(rows, again.rows)
    assert np.array_equal(first.queries, again.queries)


def test_queries_are_records_that_are_no_rows(made_up):
    real = made_up("real")
    assert len(real) == 600
    assert len(real.queries) == 20
    assert not set(real.sources.tolist()) & set(real.query_sources.tolist())


def test_a_row_of_the_million_is_near_the_record_it_came_from(made_up):
    real, million = made_up("real"), made_up("million")
    assert len(million) == 3000
    vectors = {int(source): row for source, row in zip(real.sources, real.rows, strict=True)}
    own = [float(row @ vectors[source]) for source, row in zip(million.sources.tolist(), million.rows, strict=True)
           if source in vectors]  # fmt: skip
    other = np.asarray(million.rows[:-1] * million.rows[1:]).sum(axis=1)
    assert np.mean(own) > 0.8
    assert np.mean(own) > np.mean(other) + 0.5


def test_metadata_are_the_records_with_serials_of_their_own(made_up):
    million = made_up("million")
    entries = million.metadata(0, len(million))
    assert sorted(entry["serial"] for entry in entries) == list(range(len(million)))
    assert len({entry["lemma"] for entry in entries}) == len(million)
    assert million.metadata(5, 8) == entries[5:8]
    assert set(entries[0]) == {"pos", "lexname", "lemma", "length", "serial"}
    names, of_queries = million.lexnames()
    assert names.tolist() == [entry["lexname"] for entry in entries]
    assert len(of_queries) == len(million.queries)
    assert million.keys(9, 11) == ["00000009", "00000010"]


def test_part_of_a_collection_has_the_truth_of_that_part(made_up):
    part = made_up("million").part(200)
    assert len(part) == 200
    assert part.truth.max() < 200
    assert part.metadata(0, 3) == made_up("million").metadata(0, 3)
    assert len(made_up("million").part(None)) == 3000
