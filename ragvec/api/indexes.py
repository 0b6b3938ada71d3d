"""The operations on indexes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, cast

from ragvec.api.access import Session, bucket_name, index_spec
from ragvec.api.buckets import DEFAULT_MODE, MODES, check_encryption, described_encryption
from ragvec.api.constraints import Constraints
from ragvec.api.names import check_index_name
from ragvec.api.paging import check_page_request, name_token, start_after
from ragvec.api.requests import (
    CreateIndex,
    DeleteIndex,
    GetIndex,
    ListIndexes,
    MetadataConfiguration,
    UpdateIndexMode,
)
from ragvec.api.responses import (
    ArnOfIndex,
    DescribedIndex,
    Empty,
    IndexDescription,
    IndexList,
    IndexSummary,
    MetadataKeys,
)
from ragvec.api.tags import check_tags
from ragvec.api.text_fields import check_text_fields, check_text_mode, text_search_fields
from ragvec.engine.protocol import IndexSpec, TextField
from ragvec.errors import InvalidRequest
from ragvec.types import Metric

__all__ = [
    "METRICS",
    "create_index",
    "delete_index",
    "get_index",
    "list_indexes",
    "update_index_mode",
]

METRICS = ("euclidean", "cosine")
_DATA_TYPES = ("float32",)


def create_index(session: Session, request: CreateIndex, *, properties: Mapping[str, Any] | None = None) -> ArnOfIndex:
    """Create an index, with these properties from the first. Raises BucketNotFound, IndexExists, QuotaExceeded,
    InvalidRequest; MissingExtra, where the library of a language of text search is not installed."""
    bucket = bucket_name(session, request)
    check_index_name(request.index_name, session.dialect)
    constraints = Constraints(hints=session.dialect.hints)
    constraints.one_of("/dataType", request.data_type, _DATA_TYPES)
    constraints.between("/dimension", request.dimension, low=1, high=session.dialect.limits.dimension_max)
    constraints.one_of("/distanceMetric", request.distance_metric, METRICS)
    keys = _non_filterable_keys(session, request.metadata_configuration, constraints)
    constraints.check()
    text = _text_fields(session, request.metadata_configuration)
    tags = check_tags(request.tags or {}, session)
    encryption = check_encryption(request.encryption_configuration, session)
    mode = session.engine.catalog.bucket(bucket).index_mode
    if text:
        check_text_mode(session, mode, "textSearchConfigurations")
    spec = IndexSpec(
        uid=str(uuid.uuid4()),
        bucket=bucket,
        name=request.index_name,
        dimension=request.dimension,
        metric=cast("Metric", request.distance_metric),
        created=session.clock(),
        non_filterable=keys,
        encryption=encryption,
        index_mode=mode,
    )
    session.engine.catalog.create_index(
        spec, tags=tags, max_indexes=session.dialect.limits.indexes, text=text, properties=properties
    )
    return ArnOfIndex(index_arn=session.arn_of(spec))


def get_index(session: Session, request: GetIndex) -> DescribedIndex:
    """Describe an index. Raises BucketNotFound, IndexNotFound."""
    spec = index_spec(session, request)
    keys, text = list(spec.non_filterable), text_search_fields(session, spec)
    return DescribedIndex(
        index=IndexDescription(
            vector_bucket_name=spec.bucket,
            index_name=spec.name,
            index_arn=session.arn_of(spec),
            creation_time=spec.created,
            data_type="float32",
            dimension=spec.dimension,
            distance_metric=spec.metric,
            index_mode=spec.index_mode or DEFAULT_MODE,
            metadata_configuration=MetadataKeys(
                non_filterable_metadata_keys=keys or None, text_search_configurations=text or None
            )
            if keys or text
            else None,
            encryption_configuration=described_encryption(spec.encryption),
        )
    )


def list_indexes(session: Session, request: ListIndexes) -> IndexList:
    """Return a page of indexes in byte order of name. Raises BucketNotFound, InvalidToken, InvalidRequest."""
    bucket = bucket_name(session, request)
    limits = session.dialect.limits
    check_page_request(session, request, most=limits.list_indexes_max)
    scope = ("indexes", session.account, session.region, bucket, request.prefix)
    page = session.engine.catalog.indexes(
        bucket,
        prefix=request.prefix or "",
        after=start_after(session, request.next_token, scope=scope, longest=limits.name_token_max),
        limit=request.max_results or limits.list_indexes_default,
    )
    return IndexList(
        indexes=[
            IndexSummary(
                vector_bucket_name=spec.bucket,
                index_name=spec.name,
                index_arn=session.arn_of(spec),
                creation_time=spec.created,
            )
            for spec in page.items
        ],
        next_token=name_token(session, page.next_after, scope=scope),
    )


def delete_index(session: Session, request: DeleteIndex) -> Empty:
    """Delete an index and its vectors. Raises BucketNotFound, IndexNotFound."""
    spec = index_spec(session, request)
    session.engine.catalog.delete_index(spec.bucket, spec.name)
    return Empty()


def update_index_mode(session: Session, request: UpdateIndexMode) -> Empty:
    """Set the mode of an index. Raises BucketNotFound, IndexNotFound, InvalidRequest."""
    constraints = Constraints(hints=session.dialect.hints)
    constraints.one_of("/indexMode", request.index_mode, MODES)
    constraints.check()
    spec = index_spec(session, request)
    if request.index_mode not in session.dialect.text_search and session.engine.catalog.text_fields(spec.uid):
        raise InvalidRequest(
            f"indexMode {request.index_mode} is not available on an index with textSearchConfigurations: delete them "
            "first",
            path="/indexMode",
        )
    session.engine.catalog.set_index_mode(spec.uid, request.index_mode)
    return Empty()


def _text_fields(session: Session, given: MetadataConfiguration | None) -> tuple[TextField, ...]:
    if given is None or given.text_search_configurations is None:
        return ()
    if not session.dialect.text_search:
        raise InvalidRequest(
            f"Unknown parameter `textSearchConfigurations` for CreateIndex in the {session.dialect.name} dialect",
            path="/metadataConfiguration/textSearchConfigurations",
        )
    return check_text_fields(session, given.text_search_configurations, parent="/metadataConfiguration")


def _non_filterable_keys(
    session: Session, given: MetadataConfiguration | None, constraints: Constraints
) -> tuple[str, ...]:
    if given is None:
        return ()
    keys = given.non_filterable_metadata_keys or []
    place = "/metadataConfiguration/nonFilterableMetadataKeys"
    limits = session.dialect.limits
    constraints.length(place, keys, low=0, high=limits.non_filterable_keys)
    for i, key in enumerate(keys):
        constraints.unicode(f"{place}/{i}", key)
        pattern = session.dialect.declared_key_pattern
        if constraints.length(f"{place}/{i}", key, low=1, high=limits.non_filterable_key_max) and pattern is not None:
            constraints.matches(f"{place}/{i}", key, pattern)
    if len(set(keys)) < len(keys):
        repeated = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise InvalidRequest(f"nonFilterableMetadataKeys names {repeated!r} twice", path=place)
    return tuple(keys)
