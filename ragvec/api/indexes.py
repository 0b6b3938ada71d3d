"""The operations on indexes."""

from __future__ import annotations

import uuid
from typing import cast

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
    UpdateMetadataConfiguration,
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
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import InvalidRequest
from ragvec.types import Metric

__all__ = [
    "METRICS",
    "create_index",
    "delete_index",
    "get_index",
    "list_indexes",
    "update_index_mode",
    "update_metadata_configuration",
]

METRICS = ("euclidean", "cosine")
_DATA_TYPES = ("float32",)
_NO_TEXT_SEARCH = "full-text search over metadata keys is not available"


def create_index(session: Session, request: CreateIndex) -> ArnOfIndex:
    """Create an index. Raises BucketNotFound, IndexExists, QuotaExceeded, InvalidRequest."""
    bucket = bucket_name(session, request)
    check_index_name(request.index_name, session.dialect)
    constraints = Constraints(hints=session.dialect.hints)
    constraints.one_of("/dataType", request.data_type, _DATA_TYPES)
    constraints.between("/dimension", request.dimension, low=1, high=session.dialect.limits.dimension_max)
    constraints.one_of("/distanceMetric", request.distance_metric, METRICS)
    keys = _non_filterable_keys(session, request.metadata_configuration, constraints)
    constraints.check()
    tags = check_tags(request.tags or {}, session)
    encryption = check_encryption(request.encryption_configuration, session)
    spec = IndexSpec(
        uid=str(uuid.uuid4()),
        bucket=bucket,
        name=request.index_name,
        dimension=request.dimension,
        metric=cast("Metric", request.distance_metric),
        created=session.clock(),
        non_filterable=keys,
        encryption=encryption,
        index_mode=session.engine.catalog.bucket(bucket).index_mode,
    )
    session.engine.catalog.create_index(spec, tags=tags, max_indexes=session.dialect.limits.indexes)
    return ArnOfIndex(index_arn=session.arn_of(spec))


def get_index(session: Session, request: GetIndex) -> DescribedIndex:
    """Describe an index. Raises BucketNotFound, IndexNotFound."""
    spec = index_spec(session, request)
    keys = list(spec.non_filterable)
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
            metadata_configuration=MetadataKeys(non_filterable_metadata_keys=keys) if keys else None,
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
    session.engine.catalog.set_index_mode(index_spec(session, request).uid, request.index_mode)
    return Empty()


def update_metadata_configuration(session: Session, request: UpdateMetadataConfiguration) -> Empty:
    """Refused: there is no full-text search to configure. Raises InvalidRequest."""
    index_spec(session, request)
    raise InvalidRequest(f"UpdateMetadataConfiguration is not supported: {_NO_TEXT_SEARCH}", path="/add")


def _non_filterable_keys(
    session: Session, given: MetadataConfiguration | None, constraints: Constraints
) -> tuple[str, ...]:
    if given is None:
        return ()
    if given.text_search_configurations:
        raise InvalidRequest(
            f"textSearchConfigurations is not supported: {_NO_TEXT_SEARCH}",
            path="/metadataConfiguration/textSearchConfigurations",
        )
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
