"""A query index: an index that the pipeline filled, searched by text.

found = QueryIndex(store.bucket("docs").index("handbook")).search(
    "how much leave do I get?", where={"_category": "benefits"}, facets=["department"], user="alice", groups=["HR"]
)
found[0].title, found[0].excerpt, found.total, found.facets["department"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from ragvec.errors import InvalidRequest
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.kendra.access import principals, visible_to
from ragvec.kendra.attributes import Schema
from ragvec.kendra.embedders import embedder_for
from ragvec.kendra.found import Outcome
from ragvec.kendra.limits import NATIVE
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.query import find_documents
from ragvec.kendra.relevance import Scale, scale_for
from ragvec.kendra.request import FacetRequest, Request, SortKey, conjunction, in_language, paging
from ragvec.kendra.results import Passages, SearchResults, passage_items, search_results
from ragvec.kendra.retrieve import find_passages
from ragvec.kendra.settings import Settings
from ragvec.kendra.where import attribute_condition
from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY, EMBEDDER_PROPERTY
from ragvec.protocols import Embedder
from ragvec.store import Index
from ragvec.types import FloatVector

__all__ = ["QueryIndex"]


class QueryIndex:
    """Search by text in an index that the pipeline filled.

    `embedder` is needed only where the one that filled the index cannot be had by its name; it is given as to the
    pipeline. `settings` lift Kendra's limits by default. Nothing is read and no model loaded before the first search.
    """

    def __init__(self, index: Index, *, embedder: Any = None, settings: Settings | None = None) -> None:
        if not isinstance(index, Index):
            raise InvalidRequest(f"Expected an index, as `store.bucket(…).index(…)` gives, got {index!r}", path="index")
        self.index = index
        self.settings = settings or Settings(limits=NATIVE)
        self._given = embedder

    def __repr__(self) -> str:
        return f"QueryIndex({self.index!r})"

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder that filled the index. Raises as `embedder_for`."""
        return embedder_for(self.index, self._given)

    @property
    def schema(self) -> Schema:
        """The fields of the index as they are now."""
        return Schema.of(self.index.property(ATTRIBUTES_PROPERTY) or {}, strict=self.settings.strict_fields)

    @property
    def scale(self) -> Scale:
        """How similarities are read: that of the settings, or else the one calibrated for the embedder."""
        if self.settings.scale is not None:
            return self.settings.scale
        recorded = self.index.property(EMBEDDER_PROPERTY)
        return scale_for(recorded["name"] if recorded is not None else getattr(self._given, "name", ""))

    def search(
        self,
        text: str | None = None,
        *,
        where: Mapping[str, Any] | Filter | None = None,
        facets: Sequence[str] | Mapping[str, int | None] = (),
        sort: str | Sequence[str] | None = None,
        page: int = 1,
        page_size: int = 10,
        user: str | None = None,
        groups: Sequence[str] | None = None,
    ) -> SearchResults:
        """The documents found for `text`, best first, or without text all documents, in order of id.

        `where` is a filter on attributes as `Index.query` takes it, in which dates may stand as datetime or ISO 8601
        text. `facets` names attributes to count, each by its ten most frequent values unless a mapping gives another
        number (None: all). `sort` names attributes to order by, with "-" before the name descending; ties stay in
        order of relevance. With `user` or `groups` (also an empty list), only what they may see is found.

        Raises:
            InvalidRequest: an unknown attribute, a wrong type, a page below 1; see also `embedder`.
        """
        if text is not None and not isinstance(text, str):
            raise InvalidRequest(f"Expected text, got {text!r} - at `text`", path="text")
        schema = self.schema
        number, size = paging(page, page_size, limits=self.settings.limits)
        request = Request(
            text=text if text and text.strip() else None,
            where=self._restriction(where, user=user, groups=groups, schema=schema),
            facets=self._facets(facets, schema),
            sort=_sorting(sort, schema),
            page=number,
            page_size=size,
        )
        outcome = self.documents(request)
        return search_results(outcome, request, schema=schema, scale=self.scale, limits=self.settings.limits)

    def retrieve(
        self,
        text: str,
        *,
        where: Mapping[str, Any] | Filter | None = None,
        page: int = 1,
        page_size: int = 10,
        user: str | None = None,
        groups: Sequence[str] | None = None,
    ) -> Passages:
        """The passages found for `text`, best first; several may come from one document, none repeats most of another.

        Parameters and errors are those of `search`.
        """
        if not text.strip():
            raise unexpected("text", shown(text), path="text")
        schema = self.schema
        number, size = paging(page, page_size, limits=self.settings.limits)
        where = self._restriction(where, user=user, groups=groups, schema=schema)
        request = Request(text=text, where=where, page=number, page_size=size)
        return passage_items(self.passages(request), schema=schema, scale=self.scale)

    def documents(self, request: Request) -> Outcome:
        """The page of documents that a checked request asks for."""
        return find_documents(self.index, request, embed=self._embed, scale=self.scale, settings=self.settings)

    def passages(self, request: Request) -> Outcome:
        """The page of passages that a checked request asks for."""
        return find_passages(self.index, request, embed=self._embed, scale=self.scale, settings=self.settings)

    def _embed(self, text: str) -> FloatVector:
        vector: FloatVector = self.embedder.embed_query(text)
        return vector

    def _restriction(
        self,
        where: Mapping[str, Any] | Filter | None,
        *,
        user: str | None,
        groups: Sequence[str] | None,
        schema: Schema,
    ) -> Filter:
        condition: Filter = EVERYTHING
        if where is not None:
            condition = attribute_condition(
                where,
                schema=schema,
                non_filterable=self.index.non_filterable,
                complete=self.index.property(ATTRIBUTES_PROPERTY) is not None,
            )
        condition = in_language(condition, settings=self.settings)
        if isinstance(groups, str):
            raise InvalidRequest(f"Expected a list of groups, got the text {groups!r} - at `groups`", path="groups")
        if user is None and groups is None:
            return condition
        return conjunction(condition, visible_to(principals(user, groups or ())))

    def _facets(self, facets: Sequence[str] | Mapping[str, int | None], schema: Schema) -> tuple[FacetRequest, ...]:
        if not isinstance(facets, Mapping):
            names = [facets] if isinstance(facets, str) else facets
            facets = dict.fromkeys(names, self.settings.limits.facet_values_default)
        return tuple(FacetRequest(schema.facetable(name, path="facets"), most) for name, most in facets.items())


def _sorting(sort: str | Sequence[str] | None, schema: Schema) -> tuple[SortKey, ...]:
    names = [sort] if isinstance(sort, str) else sort or ()
    return tuple(SortKey(schema.sortable(name.removeprefix("-"), path="sort"), name.startswith("-")) for name in names)
