"""Documents: put, deleted, asked after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragvec.errors import DocumentError, InvalidRequest, MissingExtra, ModelError, NotFound
from ragvec.filters.nodes import In
from ragvec.kendra.access import note_levels
from ragvec.kendra.configuration import configuration_of
from ragvec.kendra.enrich import read_enrichment
from ragvec.kendra.ingest import DocumentReader
from ragvec.kendra.learn.members import mappings, text, texts
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.problems import unexpected
from ragvec.pipeline.documents import Document
from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY, DOCUMENT_ID, AttributeType, passage_key
from ragvec.pipeline.run import Pipeline
from ragvec.store import Index

__all__ = ["DOCUMENTS", "DocumentOperations"]

DOCUMENTS = {
    "batch_delete_document": "BatchDeleteDocument",
    "batch_get_document_status": "BatchGetDocumentStatus",
    "batch_put_document": "BatchPutDocument",
}
"""Their methods, by Kendra's names."""

_ID = 2048
_MANY = 1_000_000
_ENRICHMENT = "CustomDocumentEnrichmentConfiguration"


class DocumentOperations(Operations):
    """Put documents into an index."""

    def batch_put_document(self, **members: Any) -> dict[str, Any]:
        """Put 1 to 10 documents into the index IndexId, in place of those with the same ids. They can be searched when
        this returns; what could not be put is told by id in FailedDocuments."""
        return self._perform("BatchPutDocument", self._batch_put_document, members)

    def batch_delete_document(self, **members: Any) -> dict[str, Any]:
        """Delete 1 to 10 documents; those that are not there are told in FailedDocuments."""
        return self._perform("BatchDeleteDocument", self._batch_delete_document, members)

    def batch_get_document_status(self, **members: Any) -> dict[str, Any]:
        """Whether documents are INDEXED or NOT_FOUND; nothing is ever under way."""
        return self._perform("BatchGetDocumentStatus", self._batch_get_document_status, members)

    def _batch_put_document(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "RoleArn", "Documents", _ENRICHMENT, operation="BatchPutDocument")
        target = self._index(given.get("IndexId"))
        index, notes, schema = target.index, Notes(target.index), target.schema
        rules = read_enrichment(given, schema=schema, limits=self.settings.limits)
        documents = given["Documents"]
        self._check_count(documents, path="Documents")
        failed: list[dict[str, Any]] = []
        taken: list[Document] = []
        reader = DocumentReader(
            schema,
            notes,
            folders=self.folders,
            limits=self.settings.limits,
            is_open=configuration_of(index) is None,
            rules=rules,
        )
        with reader:
            for number, document in enumerate(documents):
                try:
                    taken.append(reader.read(document, path=f"Documents[{number}]"))
                except (InvalidRequest, DocumentError, MissingExtra, NotFound) as error:
                    failed.append(_failure(document["Id"], error.message))
        note_levels(notes, reader.levels)
        _record_types(index, reader.types)
        if taken:
            try:
                report = Pipeline(index=index, embedder=target.embedder).run(taken, progress=False)
            except ModelError as error:
                return {
                    "FailedDocuments": failed + [_failure(each.id, error.message, "InternalError") for each in taken]
                }
            failed += [_failure(each.document_id or each.source, each.reason) for each in report.failed]
        return {"FailedDocuments": failed}

    def _batch_delete_document(self, members: Mapping[str, Any]) -> dict[str, Any]:
        metric = "DataSourceSyncJobMetricTarget"
        given = known(members, "IndexId", "DocumentIdList", metric, operation="BatchDeleteDocument")
        index = self._index(given.get("IndexId")).index
        most = self.settings.limits.documents or _MANY
        ids = texts(given, "DocumentIdList", least=1, most=most, longest=_ID)
        there = _held(index, ids)
        if there:
            index.delete(where=In(DOCUMENT_ID, tuple(there)))
        missing = [document_id for document_id in dict.fromkeys(ids) if document_id not in there]
        message = "Document can't be deleted because it doesn't exist."  # as the service words it
        return {"FailedDocuments": [_failure(document_id, message) for document_id in missing]}

    def _batch_get_document_status(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "DocumentInfoList", operation="BatchGetDocumentStatus")
        index = self._index(given.get("IndexId")).index
        most = self.settings.limits.documents or _MANY
        infos = mappings(given, "DocumentInfoList", "DocumentId", "Attributes", least=1, most=most)
        ids = [text(info, "DocumentId", most=_ID, path=f"{path}.DocumentId") for path, info in infos]
        there = _held(index, ids)
        statuses = [
            {"DocumentId": document_id, "DocumentStatus": "INDEXED" if document_id in there else "NOT_FOUND"}
            for document_id in ids
        ]
        return {"Errors": [], "DocumentStatusList": statuses}

    def _check_count(self, documents: Any, *, path: str) -> None:
        most = self.settings.limits.documents
        if most is not None and len(documents) > most:
            raise unexpected(f"at most {most} documents", len(documents), path=path)


def _held(index: Index, ids: Any) -> set[str]:
    """Those of the documents that the index holds."""
    keys = {passage_key(document_id, 0): document_id for document_id in ids}
    return {keys[record.key] for record in index.get(list(keys), data=False, metadata=False)}


def _failure(document_id: str, message: str, code: str = "InvalidRequest") -> dict[str, Any]:
    return {"Id": document_id, "ErrorCode": code, "ErrorMessage": message}


def _record_types(index: Index, types: Mapping[str, AttributeType]) -> None:
    while types:
        recorded = index.property(ATTRIBUTES_PROPERTY)
        merged = {**types, **(recorded or {})}
        if merged == recorded or index.set_property(ATTRIBUTES_PROPERTY, merged, expected=recorded):
            return
