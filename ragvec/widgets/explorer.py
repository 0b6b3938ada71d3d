"""`StoreExplorer`: look through a store in a notebook, and look after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import ipywidgets

from ragvec.errors import InvalidRequest, RagvecError
from ragvec.exchange import import_index
from ragvec.extras import available
from ragvec.widgets.confirmation import Confirmation
from ragvec.widgets.distribution import html_distribution
from ragvec.widgets.record_pages import RecordPages, read_where
from ragvec.widgets.tables import html_error, html_said
from ragvec.widgets.vector_map import VectorMap

if TYPE_CHECKING:
    from ragvec.store import Index, Store

__all__ = ["StoreExplorer"]

_Asked: TypeAlias = "tuple[str, Callable[[], str]]"
"""What a change will do, in a sentence, and the change."""

_TABS = ("Records", "Metadata", "Map", "Figures", "Change")


class StoreExplorer(ipywidgets.VBox):  # type: ignore[misc]
    """The buckets and indexes of a store: records by pages, what their metadata hold, a map of the vectors whose lasso
    chooses the records shown, segments with their recall; and import, delete and compact, each of which asks first.

    `index` is the one shown, `map` its map once that was looked at. Only what is looked at is read.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.map: VectorMap | None = None
        self.chooser = ipywidgets.Dropdown(description="Index", layout={"width": "32em"})
        self.refresh = ipywidgets.Button(description="Refresh", tooltip="Read the store again")
        self.told = ipywidgets.HTML()
        self.records = RecordPages()
        self.metadata, self.figures = ipywidgets.HTML(), ipywidgets.HTML()
        ways = [("PCA", "pca"), *([("UMAP", "umap")] if available("umap") else [])]
        self.projection = ipywidgets.Dropdown(description="Projection", options=ways)
        self._map_place = ipywidgets.VBox()
        self.recall = ipywidgets.Button(
            description="Measure recall", tooltip="Search for 100 of the vectors, and compare with exact search"
        )
        self._recalled = ipywidgets.HTML()
        self.tabs = ipywidgets.Tab(
            [
                self.records,
                self.metadata,
                ipywidgets.VBox([self.projection, self._map_place]),
                ipywidgets.VBox([self.figures, self.recall, self._recalled]),
                self._changes(),
            ],
            titles=_TABS,
        )
        super().__init__([ipywidgets.HBox([self.chooser, self.refresh]), self.told, self.tabs])
        self._read: set[int] = set()
        self._reading = False
        self.chooser.observe(lambda _: self._anew(), "value")
        self.tabs.observe(lambda _: self._look(), "selected_index")
        self.projection.observe(lambda _: self._look(again=True), "value")
        self.refresh.on_click(lambda _: self.read())
        self.recall.on_click(lambda _: self._measure())
        self.read()

    def __repr__(self) -> str:
        return f"StoreExplorer({self.store!r})"

    @property
    def index(self) -> Index | None:
        """The index shown, None in a store without one."""
        if self.chooser.value is None:
            return None
        bucket, name = self.chooser.value.split("/")
        return self.store.bucket(bucket).index(name)

    def read(self) -> None:
        """Read buckets, indexes and what is shown again."""
        names = [f"{bucket.name}/{index.name}" for bucket in self.store.buckets() for index in bucket.indexes()]
        before = self.chooser.value
        options = [(f"{name} · {self._of(name).count():,} records", name) for name in names]
        self._reading = True
        self.chooser.options = options
        self.chooser.value = before if before in names else (names[0] if names else None)
        self._reading = False
        self._anew()

    def _of(self, name: str) -> Index:
        bucket, _, index = name.partition("/")
        return self.store.bucket(bucket).index(index)

    def _anew(self) -> None:
        if self._reading:
            return
        self._read = set()
        self.map, self._map_place.children = None, ()
        self._recalled.value = ""
        self._look()

    def _look(self, *, again: bool = False) -> None:
        """Read what the tab in front shows, once."""
        tab, index = self.tabs.selected_index or 0, self.index
        if index is None:
            self.told.value = html_said(f"{self.store!r}: no indexes")
            return
        if tab in self._read and not again:
            return
        try:
            self._fill(_TABS[tab], index)
        except RagvecError as error:
            self.told.value = html_error(str(error))
            return
        self.told.value = ""
        self._read.add(tab)

    def _fill(self, tab: str, index: Index) -> None:
        if tab == "Records":
            self.records.show(index)
        elif tab == "Metadata":
            self.metadata.value = html_distribution(index)
        elif tab == "Map":
            self.map = VectorMap(index, projection=self.projection.value)
            self.map.observe(lambda change: self._choose(change["new"]), "keys_chosen")
            self._map_place.children = (self.map,)
        elif tab == "Figures":
            self.figures.value = index.stats()._repr_html_()

    def _choose(self, keys: tuple[str, ...]) -> None:
        """Show the records of the points chosen on the map, or all again."""
        self.records.show(self.index, keys=keys or None)
        self._read.add(_TABS.index("Records"))
        number = f"{len(keys):,} record{'' if len(keys) == 1 else 's'} chosen: see Records" if keys else ""
        self.told.value = html_said(number)

    def _measure(self) -> None:
        from ragvec.widgets.measured import html_recall

        index = self.index
        if index is None:
            return
        try:
            self._recalled.value = html_recall(index)
        except RagvecError as error:
            self._recalled.value = html_error(str(error))

    # -- changes ---------------------------------------------------------------------------------------------------

    def _changes(self) -> Any:
        wide = {"width": "32em"}
        self.file = ipywidgets.Text(description="File", placeholder="notes.parquet or notes.jsonl", layout=wide)
        self.target = ipywidgets.Text(description="Into", placeholder="bucket/index", layout=wide)
        self.importing = Confirmation("Import", ask=self._import)
        self.where = ipywidgets.Text(description="Filter", placeholder='{"year": {"$lt": 2020}}', layout=wide)
        self.deleting = Confirmation("Delete records", ask=self._delete)
        self.compacting = Confirmation("Compact", ask=self._compact)
        self.dropping = Confirmation("Delete the index", ask=self._drop)
        importing = [self.file, self.target, self.importing]
        return ipywidgets.VBox([*importing, self.where, self.deleting, self.compacting, self.dropping])

    def _one(self) -> Index:
        index = self.index
        if index is None:
            raise InvalidRequest("The store has no index", path="index")
        return index

    def _import(self) -> _Asked:
        bucket, slash, name = self.target.value.strip().partition("/")
        if not slash or not bucket or not name:
            raise InvalidRequest(f"Expected bucket/index to import into, got {self.target.value!r}", path="index")
        file = self.file.value.strip()
        if not file:
            raise InvalidRequest("Expected a file to import, got none", path="file")
        there = self.store.bucket(bucket).index(name)
        held = f"joins the {there.count():,} records that are there" if there.exists() else "makes the index"

        def act() -> str:
            done = import_index(self.store, file, bucket=bucket, index=name, merge=True)
            self.read()
            return f"{done.records:,} records were imported into {done.index}."

        return f"{file} {held} in {bucket}/{name}; records of equal keys are replaced.", act

    def _delete(self) -> _Asked:
        where = read_where(self.where.value)
        if not where:
            raise InvalidRequest("Expected a filter: what it lets through is deleted", path="where")
        index = self._one()

        def act() -> str:
            number = index.delete(where=where)
            self.read()
            return f"{number:,} records were deleted."

        return f"{index.count(where):,} of {index.count():,} records of {index!r} will be deleted, for good.", act

    def _compact(self) -> _Asked:
        index = self._one()
        figures = index.stats()

        def act() -> str:
            index.compact()
            after = index.stats().disk_bytes
            self.read()
            return f"{figures.disk_bytes / 2**20:,.1f} MiB became {after / 2**20:,.1f} MiB."

        return f"{figures.tombstones:,} deleted rows of {figures.rows:,} will be given back; what lives is copied.", act

    def _drop(self) -> _Asked:
        index = self._one()

        def act() -> str:
            index.delete_index()
            self.read()
            return f"{index!r} was deleted."

        return f"{index!r} with its {index.count():,} records will be deleted, for good.", act
