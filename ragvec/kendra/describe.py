"""What an index is, in Kendra's shapes."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from ragvec.filters.nodes import Eq
from ragvec.kendra.attributes import Field, Schema, kendra_type
from ragvec.kendra.configuration import Configuration, configuration_of, usual_relevance
from ragvec.kendra.faqs.stored import count_rows
from ragvec.kendra.learn.members import at
from ragvec.pipeline.passages import EMBEDDER_PROPERTY, PASSAGE, TEXT

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["describe_index", "is_query_index", "summary"]

_COUNTED_PASSAGES = 10_000
_EDITION = "ENTERPRISE_EDITION"
_CAPACITY = {"StorageCapacityUnits": 0, "QueryCapacityUnits": 0}


def is_query_index(index: Index) -> bool:
    """Whether the index can be searched by text: it says which embedder filled it."""
    return index.property(EMBEDDER_PROPERTY) is not None


def summary(index: Index) -> dict[str, Any]:
    """The index as ListIndices shows it."""
    return _summary(index, configuration_of(index))


def _summary(index: Index, configured: Configuration | None) -> dict[str, Any]:
    return {
        "Name": index.name if configured is None else configured.name,
        "Id": index.uid,
        "Edition": _EDITION if configured is None else configured.edition,
        "CreatedAt": at(index.spec.created if configured is None else configured.created),
        "UpdatedAt": at(index.spec.created if configured is None else configured.updated),
        "Status": "ACTIVE",
    }


def describe_index(index: Index, *, schema: Schema, account: str) -> dict[str, Any]:
    """The index as DescribeIndex shows it: always ACTIVE; `RoleArn` is a name without a meaning here.

    The bytes of text are counted over the first 10,000 passages, and beyond them estimated from those.
    """
    configured = configuration_of(index)
    described = {
        **_summary(index, configured),
        "Description": f"Index {index.name} of the bucket {index.bucket.name}",
        "RoleArn": f"arn:aws:iam::{account}:role/ragvec",
        "DocumentMetadataConfigurations": [_configuration(field) for field in schema.fields.values()],
        "IndexStatistics": {
            "FaqStatistics": {"IndexedQuestionAnswersCount": count_rows(index)},
            "TextDocumentStatistics": {
                "IndexedTextDocumentsCount": index.count(Eq(PASSAGE, 0)),
                "IndexedTextBytes": _text_bytes(index),
            },
        },
        "CapacityUnits": dict(_CAPACITY),
        "UserContextPolicy": "ATTRIBUTE_FILTER",
    }
    if configured is not None:
        described |= {
            "Description": configured.description,
            "RoleArn": configured.role or described["RoleArn"],
            "CapacityUnits": configured.capacity or dict(_CAPACITY),
            "UserContextPolicy": configured.policy,
        }
        for name, value in (
            ("UserTokenConfigurations", configured.user_tokens),
            ("UserGroupResolutionConfiguration", configured.group_resolution),
            ("ServerSideEncryptionConfiguration", configured.encryption),
        ):
            if value:
                described[name] = value
    return described


def _configuration(field: Field) -> dict[str, Any]:
    return {
        "Name": field.name,
        "Type": kendra_type(field),
        "Relevance": usual_relevance(field) if field.relevance is None else dict(field.relevance),
        "Search": {
            "Facetable": field.facetable,
            "Searchable": field.searchable,
            "Displayable": field.displayable,
            "Sortable": field.sortable,
        },
    }


def _text_bytes(index: Index) -> int:
    sizes = [
        len(str((record.metadata or {}).get(TEXT, "")).encode()) for record in islice(index.iter(), _COUNTED_PASSAGES)
    ]
    if len(sizes) < _COUNTED_PASSAGES:
        return sum(sizes)
    return round(sum(sizes) / len(sizes) * index.count())
