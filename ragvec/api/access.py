"""Who works on which store through which dialect, and the bucket or index that a request means."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ragvec.api.dialects import Dialect
from ragvec.api.names import Arn, bucket_arn, check_bucket_name, check_index_name, index_arn, parse_arn
from ragvec.api.requests import (
    BucketRequest,
    CreateIndex,
    CreateVectorBucket,
    IndexRequest,
    ListVectors,
    QueryVectors,
    Request,
)
from ragvec.engine.protocol import BucketInfo, Engine, IndexSpec
from ragvec.errors import BucketNotFound, IndexNotFound, InvalidName, InvalidRequest, NotFound, ResourceNotFound

__all__ = ["Resource", "Session", "actions", "bucket_name", "index_spec", "resource"]


class Session(msgspec.Struct, frozen=True, eq=False):
    """A caller's way to a store. `account` and `region` go into resource names; `clock` gives epoch seconds."""

    engine: Engine
    dialect: Dialect
    account: str
    region: str
    clock: Callable[[], float] = time.time

    def arn_of(self, item: BucketInfo | IndexSpec) -> str:
        """The resource name of a bucket or an index."""
        if isinstance(item, BucketInfo):
            return bucket_arn(self.dialect, region=self.region, account=self.account, bucket=item.name)
        return index_arn(self.dialect, region=self.region, account=self.account, bucket=item.bucket, index=item.name)


class Resource(msgspec.Struct, frozen=True):
    """A bucket, or an index of it."""

    bucket: str
    index: str | None


def bucket_name(session: Session, request: BucketRequest) -> str:
    """The name of the bucket that a request means; whether it exists is not looked up.

    Raises:
        InvalidRequest: it names none, or two where the dialect wants one of name and ARN.
        InvalidName: the name or ARN is not one.
        BucketNotFound: the ARN is of another account or region.
    """
    name, arn = request.vector_bucket_name, request.vector_bucket_arn
    _check_addressing(
        session,
        arn,
        complete=name is not None,
        partial=name is not None,
        message="Must specify either vectorBucketName or vectorBucketArn but not both",
        path="/vectorBucketArn",
    )
    if name is not None:
        check_bucket_name(name, session.dialect)
    if arn is None:
        assert name is not None
        return name
    parsed = parse_arn(arn, session.dialect, path="/vectorBucketArn", kind="bucket")
    if name is not None and name != parsed.bucket:
        raise InvalidRequest("vectorBucketName and vectorBucketArn name different buckets", path="/vectorBucketArn")
    if not _is_own(session, parsed):
        raise BucketNotFound("The specified vector bucket could not be found")
    return parsed.bucket


def index_spec(session: Session, request: IndexRequest) -> IndexSpec:
    """The index that a request means.

    Raises:
        InvalidRequest: it names none, or two where the dialect wants either names or an ARN.
        InvalidName: a name or ARN is not one.
        BucketNotFound, IndexNotFound: there is none.
    """
    bucket, index, arn = request.vector_bucket_name, request.index_name, request.index_arn
    _check_addressing(
        session,
        arn,
        complete=bucket is not None and index is not None,
        partial=bucket is not None or index is not None,
        message="Must specify either indexArn or both vectorBucketName and indexName",
        path="/indexArn",
    )
    if bucket is not None:
        check_bucket_name(bucket, session.dialect)
    if index is not None:
        check_index_name(index, session.dialect)
    if arn is not None:
        parsed = parse_arn(arn, session.dialect, path="/indexArn", kind="index")
        if (bucket or parsed.bucket, index or parsed.index) != (parsed.bucket, parsed.index):
            raise InvalidRequest("The names and indexArn name different indexes", path="/indexArn")
        if not _is_own(session, parsed):
            raise IndexNotFound("The specified index could not be found")
        bucket, index = parsed.bucket, parsed.index
    assert bucket is not None
    assert index is not None
    return session.engine.catalog.index(bucket, index)


def resource(session: Session, arn: str) -> Resource:
    """The existing bucket or index with this ARN.

    Raises:
        InvalidName: it is not an ARN of either.
        ResourceNotFound: there is no such resource.
    """
    parsed = parse_arn(arn, session.dialect, path="/resourceArn", kind="any")
    missing = "The specified resource could not be found"
    if not _is_own(session, parsed):
        raise ResourceNotFound(missing)
    try:
        if parsed.index is None:
            session.engine.catalog.bucket(parsed.bucket)
        else:
            session.engine.catalog.index(parsed.bucket, parsed.index)
    except NotFound as error:
        raise ResourceNotFound(missing) from error
    return Resource(parsed.bucket, parsed.index)


def actions(operation: str, request: Request) -> tuple[str, ...]:
    """The actions that a policy of S3 must allow for a request.

    That of the operation; GetVectors too for a query that filters, returns metadata or searches texts, all of which
    tell what metadata hold, and for a list with data or metadata; TagResource too where something is created with tags.
    """
    if isinstance(request, QueryVectors):
        tells = request.where is not None or request.return_metadata or request.query_texts is not None
        return (operation, "GetVectors") if tells else (operation,)
    if isinstance(request, ListVectors):
        return (operation, "GetVectors") if request.return_data or request.return_metadata else (operation,)
    if isinstance(request, (CreateVectorBucket, CreateIndex)) and request.tags:
        return operation, "TagResource"
    return (operation,)


def _check_addressing(
    session: Session, arn: str | None, *, complete: bool, partial: bool, message: str, path: str
) -> None:
    allowed = session.dialect.addressing
    if arn is not None and allowed == "names":
        raise InvalidName(f"The {session.dialect.name} dialect takes names, no ARN", path=path)
    if (arn is None and not complete) or (arn is not None and partial and allowed == "xor"):
        raise InvalidRequest(message)


def _is_own(session: Session, arn: Arn) -> bool:
    return (arn.account, arn.region) == (session.account, session.region)
