"""A query index: an index that the pipeline filled, searched by text.

found = QueryIndex(store.bucket("docs").index("handbook")).search(
    "how much leave do I get?", where={"_category": "benefits"}, facets=["department"], user="alice", groups=["HR"]
)
found[0].title, found[0].excerpt, found.total, found.facets["department"]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.kendra.access import Rules, principals, restriction
from ragvec.kendra.attributes import Schema
from ragvec.kendra.configuration import configuration_of
from ragvec.kendra.embedders import embedder_for
from ragvec.kendra.excerpts import text_of
from ragvec.kendra.faqs.manage import add_faq_rows
from ragvec.kendra.itemize import passage_items, search_results, with_parents
from ragvec.kendra.items import new_query_id
from ragvec.kendra.learn.journal import record
from ragvec.kendra.learning import Learning
from ragvec.kendra.limits import NATIVE
from ragvec.kendra.notes import Notes
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.query import Search, find_documents
from ragvec.kendra.rank.explain import explain
from ragvec.kendra.rank.reasons import RankingExplanation
from ragvec.kendra.relevance import Scale, scale_for
from ragvec.kendra.request import Request, conjunction, in_language, paging
from ragvec.kendra.request.native import (
    Boosts,
    CollapseBy,
    Facets,
    boosts_of,
    collapse_of,
    facets_of,
    sorting_of,
)
from ragvec.kendra.results import Passages, RankedDocument, SearchResults
from ragvec.kendra.retrieve import find_passages
from ragvec.kendra.settings import Settings
from ragvec.kendra.stages import understood
from ragvec.kendra.where import attribute_condition
from ragvec.pipeline.parents import parent_of_each
from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY, EMBEDDER_PROPERTY
from ragvec.protocols import Embedder
from ragvec.store import Index

__all__ = ["QueryIndex"]


class QueryIndex(Learning):
    """Search by text in an index that the pipeline filled.

    `embedder` is needed only where the one that filled the index cannot be had by its name; it is given as to the
    pipeline. `settings` by default lift Kendra's limits and keep no journal. Nothing is read and
    no model loaded before the first search.
    """

    def __init__(self, index: Index, *, embedder: Any = None, settings: Settings | None = None) -> None:
        if not isinstance(index, Index):
            raise InvalidRequest(f"Expected an index, as `store.bucket(…).index(…)` gives, got {index!r}", path="index")
        self.index = index
        self.settings = settings or Settings(limits=NATIVE, journal=False)
        self.notes = Notes(index)
        self._given = embedder

    def __repr__(self) -> str:
        return f"QueryIndex({self.index!r})"

    def _repr_html_(self) -> str:
        return f"<div>QueryIndex</div>{self.index._repr_html_()}"

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder that filled the index. Raises as `embedder_for`."""
        return embedder_for(self.index, self._given)

    @property
    def schema(self) -> Schema:
        """The fields of the index as they are now."""
        recorded, configured = self.index.property(ATTRIBUTES_PROPERTY) or {}, configuration_of(self.index)
        fields = None if configured is None else configured.fields
        return Schema.of(recorded, strict=self.settings.strict_fields, configured=fields)

    @property
    def scale(self) -> Scale:
        """How similarities are read: that of the settings, or else the one calibrated for the embedder."""
        if self.settings.scale is not None:
            return self.settings.scale
        recorded = self.index.property(EMBEDDER_PROPERTY)
        name = recorded["name"] if recorded is not None else getattr(self._given, "name", "")
        return scale_for(name, words=bool(self.index.text_fields))

    def search(
        self,
        text: str | None = None,
        *,
        where: Mapping[str, Any] | Filter | None = None,
        facets: Facets = (),
        sort: str | Sequence[str] | None = None,
        page: int = 1,
        page_size: int = 10,
        user: str | None = None,
        groups: Sequence[str] | None = None,
        token: str | None = None,
        collapse: str | CollapseBy | None = None,
        boost: Boosts | None = None,
        answers: bool = True,
        spelling: bool = False,
        syntax: bool = True,
    ) -> SearchResults:
        """The documents found for `text`, best first, or without text all documents, in order of id.

        `where` is a filter on attributes as `Index.query` takes it, in which dates may stand as datetime or ISO 8601
        text. `facets` names attributes to count, each by its ten most frequent values unless a mapping gives another
        number (None: all) or an interval of dates ("month"), or a `Facet` says more. `sort` names attributes to order
        by, with "-" before the name descending; ties stay in order of relevance. `collapse` shows documents that share
        an attribute as one. `boost` gives attributes an importance from 1 to 10, or Kendra's `Relevance` in full.

        With `user`, `groups` (also an empty list) or a `token`, only what they may see is found. On the first page,
        `answers` reads answers from the documents and finds FAQ rows. `spelling` looks for misspelt words. `syntax`
        gives AND, OR, NOT, "phrases", wild* cards and field:value in the text their meaning.

        Raises:
            InvalidRequest: an unknown attribute, a wrong type, a page below 1; see also `embedder`.
        """
        opened = self.opened()
        schema = opened.schema
        request = self._request(
            text,
            schema,
            where=where,
            page=page,
            page_size=page_size,
            user=user,
            groups=groups,
            token=token,
            boost=boost,
        )
        request = msgspec.structs.replace(
            request,
            syntax=syntax,
            facets=facets_of(facets, schema, self.settings),
            sort=sorting_of(sort, schema),
            collapse=collapse_of(collapse, schema),
            answers=answers,
            faqs=answers,
            featured=True,
            beside=True,
            spelling=spelling,
        )
        query_id = new_query_id() if self.settings.journal else ""
        outcome = find_documents(opened, request)
        if self.settings.journal:
            record(self.notes, query_id, request.text, outcome, user)
        return search_results(
            outcome, request.text, schema=schema, scale=opened.scale, limits=self.settings.limits, query_id=query_id
        )

    def ranking(
        self,
        text: str,
        *,
        k: int = 100,
        where: Mapping[str, Any] | Filter | None = None,
        user: str | None = None,
        groups: Sequence[str] | None = None,
        token: str | None = None,
        boost: Boosts | None = None,
        syntax: bool = True,
    ) -> list[RankedDocument]:
        """The first `k` documents of `search` with their best passages, nothing else: no excerpts, answers or featured
        results, in less than half of the time.

        Parameters and errors are those of `search`.
        """
        if not isinstance(text, str) or not text.strip():
            raise unexpected("text", shown(text), path="text")
        opened = self.opened()
        request = self._request(
            text, opened.schema, where=where, page=1, page_size=k, user=user, groups=groups, token=token, boost=boost
        )
        outcome = find_documents(opened, msgspec.structs.replace(request, syntax=syntax))
        return [RankedDocument(found.document_id, found.score or 0.0, text_of(found)) for found in outcome.items]

    def retrieve(
        self,
        text: str,
        *,
        where: Mapping[str, Any] | Filter | None = None,
        page: int = 1,
        page_size: int = 10,
        user: str | None = None,
        groups: Sequence[str] | None = None,
        token: str | None = None,
        boost: Boosts | None = None,
        parents: bool = False,
    ) -> Passages:
        """The passages found for `text`, best first; several may come from one document, none repeats most of another.

        With `parents` those that were cut from a larger passage (by a chunker "parents") are replaced by it, with its
        text and place; each comes once, at its best passage, so that a page may have fewer than `page_size`.

        Parameters and errors are those of `search`.
        """
        if not text.strip():
            raise unexpected("text", shown(text), path="text")
        opened = self.opened()
        schema = opened.schema
        request = self._request(
            text,
            schema,
            where=where,
            page=page,
            page_size=page_size,
            user=user,
            groups=groups,
            token=token,
            boost=boost,
        )
        outcome = find_passages(opened, request)
        items = passage_items(outcome, schema=schema, scale=opened.scale)
        return with_parents(items, parent_of_each(self.index, outcome.items)) if parents else items

    def explain(
        self,
        text: str,
        document_id: str | None = None,
        *,
        where: Mapping[str, Any] | Filter | None = None,
        user: str | None = None,
        groups: Sequence[str] | None = None,
        token: str | None = None,
        boost: Boosts | None = None,
        syntax: bool = True,
        most: int = 10,
    ) -> RankingExplanation:
        """Why the first `most` documents found for `text` rank where they do, or why the one named does or does not.

        The other parameters and the errors are those of `search`.
        """
        if not isinstance(text, str) or not text.strip():
            raise unexpected("text", shown(text), path="text")
        opened = self.opened()
        request = self._request(
            text, opened.schema, where=where, page=1, page_size=None, user=user, groups=groups, token=token, boost=boost
        )
        read = understood(opened, msgspec.structs.replace(request, syntax=syntax))
        return explain(
            self.index,
            read.request,
            embed=opened.vector,
            scale=read.scale,
            settings=self.settings,
            notes=self.notes,
            schema=opened.schema,
            document_id=document_id,
            most=most,
        )

    def add_faq(self, rows: Iterable[Mapping[str, Any]], *, name: str = "rows", language: str = "en") -> str:
        """Add a FAQ of these rows and return its id; `search` then answers their questions from them.

        A row is {"question", "answer"}, with "uri", "attributes" by name and "access", a list of {"Name", "Type",
        "Access"}, as they are needed.

        Raises:
            InvalidRequest: a row breaks a rule; nothing was added.
        """
        return add_faq_rows(
            self.index,
            rows,
            name=name,
            language=language,
            schema=self.schema,
            embedder=lambda: self.embedder,
            limits=self.settings.limits,
        )

    def _request(
        self,
        text: str | None,
        schema: Schema,
        *,
        where: Mapping[str, Any] | Filter | None,
        page: int,
        page_size: int | None,
        user: str | None,
        groups: Sequence[str] | None,
        token: str | None,
        boost: Boosts | None,
    ) -> Request:
        """What `search` and `retrieve` ask for alike."""
        if text is not None and not isinstance(text, str):
            raise InvalidRequest(f"Expected text, got {text!r} - at `text`", path="text")
        number, size = paging(page, page_size, limits=self.settings.limits)
        access = self._access(user=user, groups=groups, token=token)
        return Request(
            text=text if text and text.strip() else None,
            where=conjunction(self._condition(where, schema), access),
            access=access,
            page=number,
            page_size=size,
            overrides=boosts_of(boost, schema),
            user=user,
        )

    def condition(
        self,
        where: Mapping[str, Any] | Filter | None = None,
        *,
        user: str | None = None,
        groups: Sequence[str] | None = None,
        token: str | None = None,
    ) -> Filter:
        """What `search` lets be found under these, as a filter for `Index.query` and the like. Raises as `search`."""
        return conjunction(self._condition(where, self.schema), self._access(user=user, groups=groups, token=token))

    def opened(self) -> Search:
        """What one search works with: fields, settings and scale as they are now."""
        return Search(
            index=self.index,
            schema=self.schema,
            scale=self.scale,
            settings=self.settings,
            notes=self.notes,
            embedder=lambda: self.embedder,
        )

    def _condition(self, where: Mapping[str, Any] | Filter | None, schema: Schema) -> Filter:
        condition: Filter = EVERYTHING
        if where is not None:
            condition = attribute_condition(
                where,
                schema=schema,
                non_filterable=self.index.non_filterable,
                complete=self.index.property(ATTRIBUTES_PROPERTY) is not None,
            )
        return in_language(condition, settings=self.settings)

    def _access(self, *, user: str | None, groups: Sequence[str] | None, token: str | None) -> Filter:
        if isinstance(groups, str):
            raise InvalidRequest(f"Expected a list of groups, got the text {groups!r} - at `groups`", path="groups")
        if token is not None and (user is not None or groups is not None):
            raise unexpected("either `token`, or `user` and `groups`", "both", path="token")
        if user is None and groups is None:
            context = None if token is None else {"Token": token}
            return restriction(context, notes=self.notes, limits=self.settings.limits, keys=self.settings.token_keys)
        rules = Rules.of(self.notes)
        return rules.visible_to(rules.expand(principals(user, groups or ())))
