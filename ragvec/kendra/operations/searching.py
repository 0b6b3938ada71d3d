"""Query and Retrieve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragvec.kendra.learn.journal import record
from ragvec.kendra.operations.base import Operations
from ragvec.kendra.query import find_documents
from ragvec.kendra.render import new_query_id, render_query, render_retrieve
from ragvec.kendra.request import read_query, read_retrieve
from ragvec.kendra.retrieve import find_passages

__all__ = ["SearchOperations"]


class SearchOperations(Operations):
    """Search in an index."""

    def query(self, **members: Any) -> dict[str, Any]:
        """Documents found for QueryText in the index IndexId, with facets and the total."""
        return self._perform("Query", self._query, members)

    def retrieve(self, **members: Any) -> dict[str, Any]:
        """Passages found for QueryText in the index IndexId."""
        return self._perform("Retrieve", self._retrieve, members)

    def _query(self, members: Mapping[str, Any]) -> dict[str, Any]:
        opened = self._index(members.get("IndexId")).opened()
        request = read_query(members, schema=opened.schema, settings=self.settings, notes=opened.notes)
        outcome, query_id = find_documents(opened, request), new_query_id()
        if self.settings.journal:
            record(opened.notes, query_id, request.text, outcome, request.visitor or request.user)
        return render_query(
            outcome,
            request,
            schema=opened.schema,
            scale=opened.scale,
            limits=self.settings.limits,
            query_id=query_id,
        )

    def _retrieve(self, members: Mapping[str, Any]) -> dict[str, Any]:
        opened = self._index(members.get("IndexId")).opened()
        request = read_retrieve(members, schema=opened.schema, settings=self.settings, notes=opened.notes)
        return render_retrieve(
            find_passages(opened, request),
            request,
            schema=opened.schema,
            scale=opened.scale,
            limits=self.settings.limits,
            query_id=new_query_id(),
        )
