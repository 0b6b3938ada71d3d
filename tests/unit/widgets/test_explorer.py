"""The store explorer and the map of vectors, driven from Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.errors import InvalidRequest
from ragvec.exchange import export_index
from ragvec.store import Index, Store
from ragvec.widgets import StoreExplorer, VectorMap
from ragvec.widgets.confirmation import Confirmation
from ragvec.widgets.distribution import distribution
from ragvec.widgets.projection import plane

from .conftest import HOSTILE


@pytest.fixture
def explorer(store: Store, index: Index) -> StoreExplorer:
    return StoreExplorer(store)


def test_the_records_are_paged_forth_and_back(explorer: StoreExplorer, index: Index) -> None:
    every = [record.key for record in index.iter()]
    seen = []
    while True:
        seen += [record.key for record in explorer.records.records]
        if explorer.records.following.disabled:
            break
        explorer.records.following.click()
    assert seen == every
    assert f"of {len(every)} records" in explorer.records.told.value
    explorer.records.previous.click()
    assert len(explorer.records.records) == explorer.records.page_size
    assert explorer.records.records[-1].key in every[:-1]


def test_records_are_filtered_and_a_wrong_filter_is_shown(explorer: StoreExplorer, index: Index) -> None:
    explorer.records.where.value = '{"department": "Sales"}'
    assert {record.metadata["department"] for record in explorer.records.records} == {"Sales"}
    assert f"{index.count({'department': 'Sales'})} records" in explorer.records.told.value
    for wrong in ('{"department": ', "[]", '{"department": {"$like": 1}}'):
        explorer.records.where.value = wrong
        assert "Error:" in explorer.records.told.value


def test_metadata_are_counted_and_hostile_text_is_escaped(explorer: StoreExplorer, index: Index) -> None:
    read, keys = distribution(index)
    by_key = {each.key: each for each in keys}
    assert read == index.count()
    assert by_key["department"].records == index.count({"department": {"$exists": True}})
    assert dict(by_key["department"].top)["Sales"] == index.count({"department": "Sales"})
    assert by_key["tags"].types == ("list",)
    assert by_key["open"].types == ("bool",)
    explorer.tabs.selected_index = 1
    assert "department" in explorer.metadata.value
    for shown in (explorer.metadata.value, explorer.records.table.value):
        assert "<img" not in shown
        assert "<script" not in shown
    explorer.records.where.value = json.dumps({"department": HOSTILE})
    assert "&lt;img src=x" in explorer.records.table.value
    assert "<img" not in explorer.records.table.value


def test_figures_and_recall(explorer: StoreExplorer) -> None:
    explorer.tabs.selected_index = 3
    assert "recall target" in explorer.figures.value
    explorer.recall.click()
    assert "1.0000" in explorer._recalled.value, "exact search finds everything"


def test_points_chosen_on_the_map_are_the_records_shown(explorer: StoreExplorer, index: Index) -> None:
    explorer.tabs.selected_index = 2
    assert explorer.map is not None
    keys = explorer.map.choose([3, 1])
    assert [record.key for record in explorer.records.records] == list(keys)
    assert "2 records chosen" in explorer.told.value
    explorer.tabs.selected_index = 0
    assert len(explorer.records.records) == 2
    explorer.map.choose([])
    assert len(explorer.records.records) == explorer.records.page_size


def test_nothing_is_deleted_before_it_is_confirmed(explorer: StoreExplorer, index: Index) -> None:
    before, sales = index.count(), index.count({"department": "Sales"})
    explorer.deleting.button.click()
    assert "Expected a filter" in explorer.deleting.told.value
    explorer.where.value = '{"department": "Sales"}'
    explorer.deleting.button.click()
    assert f"{sales} of {before} records" in explorer.deleting.told.value
    assert index.count() == before
    explorer.deleting.no.click()
    explorer.deleting.yes.click()
    assert index.count() == before, "no is no"
    explorer.deleting.button.click()
    explorer.where.value = '{"priority": {"$exists": true}}'
    explorer.deleting.yes.click()
    assert index.count() == before - sales, "what was asked is what is done"
    assert f"{sales} records were deleted" in explorer.deleting.told.value
    explorer.compacting.button.click()
    assert f"{sales} deleted rows" in explorer.compacting.told.value
    explorer.compacting.yes.click()
    assert index.stats().tombstones == 0


def test_an_index_is_imported_and_deleted(explorer: StoreExplorer, store: Store, index: Index, tmp_path: Path) -> None:
    file = tmp_path / "ferries.jsonl"
    export_index(index, file)
    explorer.target.value = "docs"
    explorer.importing.button.click()
    assert "Expected bucket/index" in explorer.importing.told.value
    explorer.target.value, explorer.file.value = "docs/copy", str(file)
    explorer.importing.button.click()
    assert "makes the index" in explorer.importing.told.value
    explorer.importing.yes.click()
    assert f"{index.count()} records were imported into docs/copy" in explorer.importing.told.value
    explorer.chooser.value = "docs/copy"
    assert explorer.index is not None
    assert explorer.index.count() == index.count()
    explorer.file.value = str(tmp_path / "absent.jsonl")
    explorer.importing.button.click()
    explorer.importing.yes.click()
    assert "Error:" in explorer.importing.told.value
    explorer.dropping.button.click()
    explorer.dropping.yes.click()
    assert [each.name for each in store.bucket("docs").indexes()] == ["ferries"]
    assert explorer.chooser.value == "docs/ferries"


def test_an_empty_store_says_so(store: Store) -> None:
    explorer = StoreExplorer(store)
    assert "no indexes" in explorer.told.value
    explorer.dropping.button.click()
    assert "has no index" in explorer.dropping.told.value


def test_a_label_asks_and_an_error_of_the_act_is_shown() -> None:
    def act() -> str:
        raise InvalidRequest("not today")

    asked = Confirmation("Burn it", ask=lambda: ("It burns.", act))
    asked.button.click()
    assert asked.yes.description == "Yes, burn it"
    asked.yes.click()
    assert "not today" in asked.told.value
    assert asked.button.disabled is False


# -- the map -----------------------------------------------------------------------------------------------------------


def test_the_plane_keeps_most_of_the_variance() -> None:
    generator = np.random.default_rng(3)
    vectors = (generator.standard_normal((200, 6)) * [9, 4, 1, 0.5, 0.2, 0.1]).astype(np.float32)
    before = vectors.copy()
    points = plane(vectors)
    _, singular, axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    expected = (vectors - vectors.mean(axis=0)) @ axes[:2].T
    for column in range(2):
        assert abs(np.corrcoef(points[:, column], expected[:, column])[0, 1]) == pytest.approx(1, abs=1e-4)
    assert np.abs(points).max() == pytest.approx(1)
    assert points.std(axis=0)[0] / points.std(axis=0)[1] == pytest.approx(singular[0] / singular[1], rel=1e-3)
    assert (plane(vectors) == points).all()
    assert (vectors == before).all()


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (3, 1), (5, 2)], ids=str)
def test_few_and_short_vectors_are_points_too(shape: tuple[int, int]) -> None:
    points = plane(np.ones(shape, np.float32))
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()
    with pytest.raises(InvalidRequest, match="pca, umap"):
        plane(np.ones((2, 2), np.float32), projection="tsne")  # type: ignore[arg-type]


def test_the_map_colours_by_what_documents_share(index: Index) -> None:
    shown = VectorMap(index)
    assert shown.colour == "department"
    legend = dict(shown._view["legend"])
    assert legend["Sales"] == index.count({"department": "Sales"})
    assert sum(legend.values()) == index.count() == len(shown.points)
    groups = np.frombuffer(shown._groups, np.uint8)
    names = [name for name, _ in shown._view["legend"]]
    records = index.get(shown.map_keys, data=False)
    assert [names[group] for group in groups] == [record.metadata["department"] for record in records]
    assert np.frombuffer(shown._places, np.float32).reshape(-1, 2).tolist() == shown.points.tolist()
    shown.colour = "_last_updated_at"
    assert {"2023", "2024", "2025"} <= set(dict(shown._view["legend"]))
    shown.colour = "nothing"
    assert "No record here has the metadata key 'nothing'" in shown._view["error"]


@pytest.mark.parametrize(
    "message",
    [
        {"do": "choose", "points": [10**6]},
        {"do": "choose", "points": "x"},
        {"do": "burn"},
        "x",
        {"do": "colour", "name": 3},
    ],
    ids=str,
)
def test_a_wrong_message_to_the_map_is_shown(index: Index, message: Any) -> None:
    shown = VectorMap(index, most=10)
    assert repr(shown) == f"VectorMap(Index('docs', 'ferries'), 10 of {index.count()} vectors by pca)"
    shown._handle_custom_msg({"do": "choose", "points": [2, 0]}, [])
    assert shown.keys_chosen == (shown.map_keys[0], shown.map_keys[2])
    shown._handle_custom_msg(message, [])
    assert shown._view["error"]
    assert shown.keys_chosen == (shown.map_keys[0], shown.map_keys[2])
