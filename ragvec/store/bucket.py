"""`Bucket`: a handle to a vector bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ragvec.api import indexes
from ragvec.api.arguments import at_least_one
from ragvec.api.requests import CreateIndex, MetadataConfiguration
from ragvec.api.text_arguments import to_text_configurations
from ragvec.errors import IndexExists, IndexNotFound, InvalidRequest, NotFound
from ragvec.store.index import Index
from ragvec.store.markup import html_bucket
from ragvec.store.pages import PAGE, every
from ragvec.types import Metric

if TYPE_CHECKING:
    from ragvec.store.store import Store

__all__ = ["Bucket"]


class Bucket:
    """A handle to a vector bucket."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name

    def __repr__(self) -> str:
        return f"Bucket({self.name!r})"

    def _repr_html_(self) -> str:
        return html_bucket(self)

    def exists(self) -> bool:
        """Whether the bucket exists."""
        try:
            self.store.engine.catalog.bucket(self.name)
        except NotFound:
            return False
        return True

    def index(self, name: str) -> Index:
        """A handle to the index of this name, whether it exists or not."""
        return Index(self, name)

    def indexes(self) -> list[Index]:
        """All indexes, in order of name. Raises BucketNotFound."""
        catalog = self.store.engine.catalog
        found = list(every(lambda after: catalog.indexes(self.name, prefix="", after=after, limit=PAGE)))
        return [Index(self, spec.name) for spec in found]

    def create_index(
        self,
        name: str,
        *,
        dimension: int,
        metric: Metric = "cosine",
        non_filterable: Sequence[str] = (),
        text: str | Sequence[str] | Mapping[str, str | None] | None = None,
        exist_ok: bool = False,
        properties: Mapping[str, Any] | None = None,
    ) -> Index:
        """Make an index of vectors of this dimension. `non_filterable` metadata keys are stored and returned, but not
        indexed. `text` are metadata keys whose text is searched, filterable or not: languages by key, such as
        `{"title": "en", "body": None}`, or keys alone; see `Index.add_text`. `properties` are kept with a new index
        from the first, see `Index.property`.

        Raises:
            InvalidRequest: a name, dimension, metric, key or language breaks its rule. BucketNotFound. IndexExists:
            unless `exist_ok`, which still refuses one of another dimension, metric, non-filterable keys or text.
            MissingExtra: the library of a language is not installed.
        """
        if isinstance(non_filterable, str):
            raise InvalidRequest(
                f"Expected a list of keys, got the text {non_filterable!r} - at `non_filterable`", path="non_filterable"
            )
        dimension = at_least_one(dimension, "dimension")
        texts = to_text_configurations(text)
        request = CreateIndex(
            vector_bucket_name=self.name,
            index_name=name,
            data_type="float32",
            dimension=dimension,
            distance_metric=metric,
            metadata_configuration=MetadataConfiguration(
                non_filterable_metadata_keys=list(non_filterable), text_search_configurations=texts
            ),
        )
        try:
            indexes.create_index(self.store._session, request, properties=properties)
        except IndexExists:
            index = Index(self, name)
            spec = index.spec
            same = (spec.dimension, spec.metric, set(spec.non_filterable)) == (
                dimension,
                metric,
                set(non_filterable),
            ) and index.text_fields == {field.metadata_key: field.language for field in texts}
            if not (exist_ok and same):
                raise
        return Index(self, name)

    def swap(self, one: str, other: str) -> None:
        """Give each of two indexes the name of the other, in one transaction: whoever asks by name finds the one or the
        other, never none. Records, properties, text fields, tags and the uid stay with each.

        Raises:
            BucketNotFound, IndexNotFound: nothing was changed. InvalidRequest: they are the same.
        """
        if one == other:
            raise InvalidRequest(f"Expected two indexes, got {one!r} twice", path="other")
        self.store.engine.catalog.swap_indexes(self.name, one, other)

    def delete(self, *, force: bool = False) -> None:
        """Delete the bucket; with `force`, its indexes first. Raises BucketNotFound, BucketNotEmpty."""
        if force:
            for index in self.indexes():
                with suppress(IndexNotFound):  # it belonged to one deleted before
                    index.delete_index()
        self.store.engine.catalog.delete_bucket(self.name)
