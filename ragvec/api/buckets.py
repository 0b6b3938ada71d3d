"""The operations on vector buckets."""

from __future__ import annotations

from ragvec.api.access import Session, bucket_name
from ragvec.api.constraints import Constraints
from ragvec.api.names import check_bucket_name
from ragvec.api.paging import check_page_request, name_token, start_after
from ragvec.api.requests import (
    CreateVectorBucket,
    DeleteVectorBucket,
    EncryptionConfiguration,
    GetVectorBucket,
    ListVectorBuckets,
    PutVectorBucketDefaultIndexMode,
)
from ragvec.api.responses import ArnOfBucket, BucketDescription, BucketList, BucketSummary, Described, Empty, Encryption
from ragvec.api.tags import check_tags
from ragvec.engine.protocol import BucketInfo
from ragvec.errors import InvalidRequest

__all__ = [
    "DEFAULT_MODE",
    "MODES",
    "check_encryption",
    "create_vector_bucket",
    "delete_vector_bucket",
    "described_encryption",
    "get_vector_bucket",
    "list_vector_buckets",
    "put_vector_bucket_default_index_mode",
]

MODES = ("CLASSIC", "ENHANCED")
DEFAULT_MODE = "ENHANCED"
"""The mode of indexes when nobody chose one: all that S3 offers in new buckets."""


def create_vector_bucket(session: Session, request: CreateVectorBucket) -> ArnOfBucket:
    """Create a bucket. Raises BucketExists, QuotaExceeded, InvalidRequest."""
    check_bucket_name(request.vector_bucket_name, session.dialect)
    info = BucketInfo(
        request.vector_bucket_name,
        session.clock(),
        encryption=check_encryption(request.encryption_configuration, session),
    )
    tags = check_tags(request.tags or {}, session)
    session.engine.catalog.create_bucket(info, tags=tags, max_buckets=session.dialect.limits.buckets)
    return ArnOfBucket(vector_bucket_arn=session.arn_of(info))


def get_vector_bucket(session: Session, request: GetVectorBucket) -> Described:
    """Describe a bucket. Raises BucketNotFound."""
    info = session.engine.catalog.bucket(bucket_name(session, request))
    return Described(
        vector_bucket=BucketDescription(
            vector_bucket_name=info.name,
            vector_bucket_arn=session.arn_of(info),
            creation_time=info.created,
            default_index_mode=info.index_mode or DEFAULT_MODE,
            encryption_configuration=described_encryption(info.encryption),
        )
    )


def list_vector_buckets(session: Session, request: ListVectorBuckets) -> BucketList:
    """Return a page of buckets in byte order of name. Raises InvalidToken, InvalidRequest."""
    limits = session.dialect.limits
    check_page_request(session, request, most=limits.list_buckets_max)
    scope = ("buckets", session.account, session.region, request.prefix)
    page = session.engine.catalog.buckets(
        prefix=request.prefix or "",
        after=start_after(session, request.next_token, scope=scope, longest=limits.name_token_max),
        limit=request.max_results or limits.list_buckets_default,
    )
    return BucketList(
        vector_buckets=[
            BucketSummary(
                vector_bucket_name=info.name, vector_bucket_arn=session.arn_of(info), creation_time=info.created
            )
            for info in page.items
        ],
        next_token=name_token(session, page.next_after, scope=scope),
    )


def delete_vector_bucket(session: Session, request: DeleteVectorBucket) -> Empty:
    """Delete an empty bucket. Raises BucketNotFound, BucketNotEmpty."""
    session.engine.catalog.delete_bucket(bucket_name(session, request))
    return Empty()


def put_vector_bucket_default_index_mode(session: Session, request: PutVectorBucketDefaultIndexMode) -> Empty:
    """Set the mode of indexes created later. Raises BucketNotFound, InvalidRequest."""
    name = bucket_name(session, request)
    constraints = Constraints(hints=session.dialect.hints)
    constraints.one_of("/defaultIndexMode", request.default_index_mode, MODES)
    constraints.check()
    session.engine.catalog.set_bucket_index_mode(name, request.default_index_mode)
    return Empty()


def check_encryption(given: EncryptionConfiguration | None, session: Session) -> dict[str, str]:
    """The encryption settings to keep with a bucket or an index.

    They describe what a service would do: ragvec stores data as the file system does. Raises InvalidRequest.
    """
    if given is None:
        return {}
    constraints = Constraints(hints=session.dialect.hints)
    place = "/encryptionConfiguration"
    constraints.one_of(f"{place}/sseType", given.sse_type, ("AES256", "aws:kms"))
    constraints.length(f"{place}/kmsKeyArn", given.kms_key_arn, low=1, high=session.dialect.limits.kms_arn_max)
    constraints.unicode(f"{place}/kmsKeyArn", given.kms_key_arn)
    constraints.check()
    if given.sse_type == "aws:kms" and given.kms_key_arn is None:
        raise InvalidRequest("kmsKeyArn must be specified when sseType is set to aws:kms")
    if given.sse_type != "aws:kms" and given.kms_key_arn is not None:
        raise InvalidRequest("kmsKeyArn must not be specified when sseType is AES256.")
    settings = {"sseType": given.sse_type or "AES256"}
    if given.kms_key_arn is not None:
        settings["kmsKeyArn"] = given.kms_key_arn
    return settings


def described_encryption(settings: dict[str, str]) -> Encryption | None:
    """Encryption settings as a response shows them, None where none were given."""
    if not settings:
        return None
    return Encryption(sse_type=settings["sseType"], kms_key_arn=settings.get("kmsKeyArn"))
