"""Featured results sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragvec.errors import ResourceNotFound
from ragvec.kendra.learn.featured import (
    FeaturedSet,
    change_set,
    create_set,
    delete_set,
    featured_set,
    featured_sets,
)
from ragvec.kendra.learn.members import page, text, texts
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.tags import add_tags, drop_tags, read_tags
from ragvec.pipeline.passages import DOCUMENT_TITLE, SOURCE_URI, passage_key
from ragvec.store import Index

__all__ = ["FeaturedOperations"]

_SET = "FeaturedResultsSetId"
_PART = "featured-results-set"
_CONTENT = ("FeaturedResultsSetName", "Description", "Status", "QueryTexts", "FeaturedDocuments")
_SET_ID = 36


class FeaturedOperations(Operations):
    """Choose documents to stand above the results of certain queries."""

    def create_featured_results_set(self, **members: Any) -> dict[str, Any]:
        """Feature documents for query texts."""
        return self._perform("CreateFeaturedResultsSet", self._create_featured_results_set, members)

    def update_featured_results_set(self, **members: Any) -> dict[str, Any]:
        """Change a set: members given replace those it has."""
        return self._perform("UpdateFeaturedResultsSet", self._update_featured_results_set, members)

    def describe_featured_results_set(self, **members: Any) -> dict[str, Any]:
        """What a set is, and which of its documents the index holds."""
        return self._perform("DescribeFeaturedResultsSet", self._describe_featured_results_set, members)

    def list_featured_results_sets(self, **members: Any) -> dict[str, Any]:
        """The sets of an index, oldest first."""
        return self._perform("ListFeaturedResultsSets", self._list_featured_results_sets, members)

    def batch_delete_featured_results_set(self, **members: Any) -> dict[str, Any]:
        """Delete up to 50 sets; what could not be deleted is told by id."""
        return self._perform("BatchDeleteFeaturedResultsSet", self._batch_delete_featured_results_set, members)

    def _create_featured_results_set(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", *_CONTENT, "ClientToken", "Tags", operation="CreateFeaturedResultsSet")
        notes, tags = Notes(self._index(given.get("IndexId")).index), read_tags(given)
        made = create_set(notes, given, limits=self.settings.limits)
        add_tags(notes, tags, f"{_PART}/{made.id}")
        return {"FeaturedResultsSet": _rendered(made)}

    def _update_featured_results_set(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", _SET, *_CONTENT, operation="UpdateFeaturedResultsSet")
        notes = Notes(self._index(given.get("IndexId")).index)
        return {"FeaturedResultsSet": _rendered(change_set(notes, _set_id(given), given, limits=self.settings.limits))}

    def _describe_featured_results_set(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", _SET, operation="DescribeFeaturedResultsSet")
        index = self._index(given.get("IndexId")).index
        described = _rendered(featured := featured_set(Notes(index), _set_id(given)))
        del described["FeaturedDocuments"]
        present, missing = _documents(index, featured.documents)
        return {**described, "FeaturedDocumentsWithMetadata": present, "FeaturedDocumentsMissing": missing}

    def _list_featured_results_sets(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "NextToken", "MaxResults", operation="ListFeaturedResultsSets")
        sets, token = page(featured_sets(Notes(self._index(given.get("IndexId")).index)), given)
        left_out = ("Description", "QueryTexts", "FeaturedDocuments")
        items = [{name: value for name, value in _rendered(each).items() if name not in left_out} for each in sets]
        response: dict[str, Any] = {"FeaturedResultsSetSummaryItems": items}
        return response if token is None else {**response, "NextToken": token}

    def _batch_delete_featured_results_set(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", f"{_SET}s", operation="BatchDeleteFeaturedResultsSet")
        notes = Notes(self._index(given.get("IndexId")).index)
        errors = []
        for set_id in texts(
            given, f"{_SET}s", least=1, most=self.settings.limits.featured_sets, shortest=_SET_ID, longest=_SET_ID
        ):
            try:
                delete_set(notes, set_id)
                drop_tags(notes, part=f"{_PART}/{set_id}")
            except ResourceNotFound as error:
                errors.append({"Id": set_id, "ErrorCode": "InvalidRequest", "ErrorMessage": str(error)})
        return {"Errors": errors}


def _set_id(members: Mapping[str, Any]) -> str:
    return text(members, _SET, least=_SET_ID, most=_SET_ID)


def _rendered(featured: FeaturedSet) -> dict[str, Any]:
    shown = {
        "FeaturedResultsSetId": featured.id,
        "FeaturedResultsSetName": featured.name,
        "Status": featured.status,
        "QueryTexts": list(featured.queries),
        "FeaturedDocuments": [{"Id": document} for document in featured.documents],
        "LastUpdatedTimestamp": featured.updated,
        "CreationTimestamp": featured.created,
    }
    return shown if featured.description is None else {**shown, "Description": featured.description}


def _documents(index: Index, ids: tuple[str, ...]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The documents that the index holds, with title and address where they have one, and those it does not."""
    records = index.get([passage_key(document, 0) for document in ids], data=False) if ids else []
    held = {record.key: record.metadata or {} for record in records}
    present, missing = [], []
    for document in ids:
        metadata = held.get(passage_key(document, 0))
        if metadata is None:
            missing.append({"Id": document})
            continue
        about = {"Title": metadata.get(DOCUMENT_TITLE), "URI": metadata.get(SOURCE_URI)}
        present.append({"Id": document, **{name: value for name, value in about.items() if value}})
    return present, missing
