"""The dialects: what differs between the services and ragvec itself, as data.

`NATIVE` is ragvec's own contract: every name that any of the services allows, no commercial limits, lenient filters,
and the extensions (filters on ListVectors and DeleteVectors, CountVectors, page size of queries). `S3`, `OSS`, `COS`
and `TOS` are those of Amazon S3 Vectors, Alibaba Cloud OSS, Tencent Cloud COS and Volcengine TOS. Where a service
documents nothing, S3's rule stands.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ragvec import errors, limits
from ragvec.errors import RagvecError
from ragvec.filters.parse import FilterRules

__all__ = [
    "COS",
    "DIALECTS",
    "NATIVE",
    "OSS",
    "S3",
    "TOS",
    "Dialect",
    "PolicyRules",
    "WireError",
    "dialect",
    "wire_error",
]


class WireError(msgspec.Struct, frozen=True):
    """How an error appears outside: the HTTP status and the code by which SDKs know it."""

    status: int
    code: str


class PolicyRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a bucket policy document may look like. With `any_case`, keys and effects may begin with a small letter."""

    versions: tuple[str, ...]
    any_case: bool = False
    single_statement: bool = False
    """Whether `Statement` may be one object instead of a list."""


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One dialect. Patterns are regular expressions for the whole text; templates are for `str.format`."""

    name: str
    limits: limits.Limits
    bucket_pattern: str
    bucket_rule: str
    index_pattern: str
    index_rule: str
    declared_key_pattern: str | None = None
    """What a metadata key that is declared non-filterable looks like; None: any text."""
    bucket_arn: str
    bucket_arn_pattern: str
    index_arn_suffix: str = "/index/{index}"
    addressing: Literal["names", "xor", "agree"] = "names"
    """Whether resource names (ARNs) stand in for names: never; instead of them; or also beside them if both agree."""
    filters: FilterRules
    classic_filters: FilterRules | None = None
    """For indexes of mode CLASSIC, where they differ from `filters`."""
    text_search: tuple[str, ...] = ()
    """The modes of index that have text search; none: the dialect has none."""
    squared_euclidean: bool = False
    time: Literal["epoch", "epoch-int", "iso"] = "epoch"
    empty_token_starts: bool = False
    """Whether `nextToken: ""` asks for the first page."""
    policies: PolicyRules
    hints: bool = True
    """Whether messages say more than the service's own do (the value got, the part of a filter at fault)."""
    defaults: dict[str, dict[str, Any]] = {}
    """By operation, the parameters that may be left out and what they are then."""
    absent: frozenset[str] = frozenset()
    """Operations ("TagResource") and parameters ("ListVectors.filter") that the dialect does not have."""
    errors: dict[type[RagvecError], WireError]
    refined_errors: dict[tuple[type[RagvecError], str], WireError] = {}
    """For an error class under an operation, or at a path, where that decides the code."""


def wire_error(dialect: Dialect, error: RagvecError, *, operation: str = "") -> WireError:
    """The status and code of this error in this dialect: the entry of its class, or of the nearest class above it."""
    path = getattr(error, "path", "")
    for kind in type(error).__mro__:
        if issubclass(kind, RagvecError):
            for refinement in (operation, path):
                if (kind, refinement) in dialect.refined_errors:
                    return dialect.refined_errors[kind, refinement]
            if kind in dialect.errors:
                return dialect.errors[kind]
    raise LookupError(f"{type(error).__name__} has no entry in the error table of the {dialect.name} dialect")


_OPERATORS = frozenset({"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$and", "$or"})
_EXTENSIONS = frozenset(
    {
        "CountVectors",
        "ListVectors.filter",
        "DeleteVectors.filter",
        "QueryVectors.maxResults",
        "QueryVectors.returnData",
    }
)
_S3_ADDITIONS = frozenset(
    {
        "TagResource",
        "UntagResource",
        "ListTagsForResource",
        "UpdateIndexMode",
        "UpdateMetadataConfiguration",
        "PutVectorBucketDefaultIndexMode",
        "CreateVectorBucket.tags",
        "CreateIndex.tags",
        "CreateIndex.encryptionConfiguration",
        "QueryVectors.nextToken",
        "QueryVectors.queryMode",
        "QueryVectors.queryTexts",
        "QueryVectors.returnScores",
    }
)
_SEGMENTS = frozenset({"ListVectors.segmentCount", "ListVectors.segmentIndex"})


def _rules(numbers: limits.Limits, *, strict: bool, conditions: int | None, starts_with: bool) -> FilterRules:
    return FilterRules(
        strict_shape=strict,
        operators=_OPERATORS | {"$startsWith"} if starts_with else _OPERATORS,
        missing_satisfies_negation=True,
        max_depth=numbers.filter_depth,
        max_conditions=conditions,
        max_bytes=numbers.filter_bytes,
    )


_ENDS = "beginning and ending with a letter or a digit"
_LOWER_RULE = f"a-z, 0-9 and '-', {_ENDS}"
_LOWER_DOT_RULE = f"a-z, 0-9, '-' and '.', {_ENDS}"
_LOWER = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_LOWER_DOT = "[a-z0-9]([a-z0-9.-]*[a-z0-9])?"
_AWS_ARN = "arn:aws:s3vectors:{region}:{account}:bucket/{bucket}"
_AWS_ARN_PATTERN = r"arn:aws[-a-z0-9]*:s3vectors:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):bucket/(?P<bucket>%s)"

_S3_ERRORS = {
    errors.RagvecError: WireError(500, "InternalServerException"),
    errors.InvalidRequest: WireError(400, "ValidationException"),
    errors.NotFound: WireError(404, "NotFoundException"),
    errors.Conflict: WireError(409, "ConflictException"),
    errors.QuotaExceeded: WireError(402, "ServiceQuotaExceededException"),
    errors.AccessDenied: WireError(403, "AccessDeniedException"),
    errors.StoreError: WireError(500, "InternalServerException"),
    errors.StoreReadOnly: WireError(403, "AccessDeniedException"),
    errors.StoreFull: WireError(402, "ServiceQuotaExceededException"),
    errors.StoreBusy: WireError(503, "ServiceUnavailableException"),
    errors.DocumentError: WireError(400, "ValidationException"),
    errors.ModelError: WireError(500, "InternalServerException"),
    errors.MissingExtra: WireError(500, "InternalServerException"),
}

_OSS_ERRORS = {
    errors.RagvecError: WireError(500, "InternalError"),
    errors.InvalidRequest: WireError(400, "VectorIndexParameterInvalid"),
    errors.InvalidPolicy: WireError(400, "MalformedPolicy"),
    errors.NotFound: WireError(404, "NoSuchVectorBucket"),
    errors.BucketNotFound: WireError(404, "NoSuchVectorBucket"),
    errors.IndexNotFound: WireError(404, "NoSuchVectorIndex"),
    errors.PolicyNotFound: WireError(404, "NoSuchBucketPolicy"),
    errors.Conflict: WireError(409, "VectorBucketAlreadyExists"),
    errors.BucketExists: WireError(409, "VectorBucketAlreadyExists"),
    errors.IndexExists: WireError(409, "VectorBucketIndexAlreadyExist"),
    errors.BucketNotEmpty: WireError(409, "VectorBucketNotEmpty"),
    errors.QuotaExceeded: WireError(400, "TooManyBuckets"),
    errors.AccessDenied: WireError(403, "AccessDenied"),
    errors.StoreError: WireError(500, "InternalError"),
    errors.StoreReadOnly: WireError(403, "AccessDenied"),
    errors.StoreBusy: WireError(503, "ServiceUnavailable"),
    errors.DocumentError: WireError(400, "VectorIndexParameterInvalid"),
    errors.ModelError: WireError(500, "InternalError"),
    errors.MissingExtra: WireError(500, "InternalError"),
}

S3 = Dialect(
    name="s3",
    limits=limits.S3,
    bucket_pattern=_LOWER,
    bucket_rule=_LOWER_RULE,
    index_pattern=_LOWER_DOT,
    index_rule=_LOWER_DOT_RULE,
    bucket_arn=_AWS_ARN,
    bucket_arn_pattern=_AWS_ARN_PATTERN % "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    addressing="xor",
    filters=_rules(limits.S3, strict=True, conditions=limits.S3.enhanced_filter_conditions, starts_with=True),
    classic_filters=_rules(limits.S3, strict=True, conditions=limits.S3.filter_conditions, starts_with=False),
    text_search=("ENHANCED",),
    policies=PolicyRules(versions=("2012-10-17", "2008-10-17"), single_statement=True),
    hints=False,
    absent=_EXTENSIONS,
    errors=_S3_ERRORS,
)

NATIVE = Dialect(
    name="native",
    limits=limits.NATIVE,
    bucket_pattern=_LOWER_DOT,
    bucket_rule=_LOWER_DOT_RULE,
    index_pattern="[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?",
    index_rule=f"letters, digits, '-' and '.', {_ENDS}",
    bucket_arn=_AWS_ARN,
    bucket_arn_pattern=_AWS_ARN_PATTERN % _LOWER_DOT,
    addressing="xor",
    filters=_rules(limits.NATIVE, strict=False, conditions=None, starts_with=True),
    text_search=("CLASSIC", "ENHANCED"),
    policies=PolicyRules(
        versions=("2012-10-17", "2008-10-17", "1", "2.0", "2025-12-01"), any_case=True, single_statement=True
    ),
    errors=_S3_ERRORS,
)

OSS = Dialect(
    name="oss",
    limits=limits.OSS,
    bucket_pattern=_LOWER,
    bucket_rule=_LOWER_RULE,
    index_pattern="[A-Za-z][A-Za-z0-9]*",
    index_rule="letters and digits, beginning with a letter",
    declared_key_pattern="[A-Za-z_][A-Za-z0-9_]*",
    bucket_arn="acs:ossvector:{region}:{account}:{bucket}",
    bucket_arn_pattern=r"acs:ossvector:(?P<region>[a-z0-9-]+):(?P<account>[0-9]+):(?P<bucket>[a-z0-9-]+)",
    filters=_rules(limits.OSS, strict=False, conditions=limits.OSS.filter_conditions, starts_with=False),
    time="iso",
    empty_token_starts=True,
    policies=PolicyRules(versions=("1",)),
    defaults={"CreateIndex": {"dataType": "float32", "distanceMetric": "euclidean"}},
    absent=(_EXTENSIONS | _S3_ADDITIONS | {"CreateVectorBucket.encryptionConfiguration"}) - {"ListVectors.filter"},
    errors=_OSS_ERRORS,
    refined_errors={
        (errors.InvalidName, "/vectorBucketName"): WireError(400, "InvalidVectorBucketName"),
        (errors.QuotaExceeded, "CreateIndex"): WireError(400, "VectorBucketIndexExceedLimit"),
    },
)

COS = Dialect(
    name="cos",
    limits=limits.COS,
    bucket_pattern="[a-z0-9][a-z0-9-]*-[0-9]+",
    bucket_rule="a-z, 0-9 and '-', ending with '-' and the digits of the APPID",
    index_pattern=_LOWER_DOT,
    index_rule=_LOWER_DOT_RULE,
    bucket_arn="qcs::cosvector:{region}:uid/{account}:bucket/{bucket}",
    bucket_arn_pattern=(
        r"qcs::cosvector:(?P<region>[a-z0-9-]+):uid/(?P<account>[0-9]+):bucket/(?P<bucket>[a-z0-9][a-z0-9-]*-[0-9]+)"
    ),
    addressing="agree",
    filters=_rules(limits.COS, strict=False, conditions=limits.COS.filter_conditions, starts_with=False),
    squared_euclidean=True,
    time="epoch-int",
    empty_token_starts=True,
    policies=PolicyRules(versions=("2.0",), any_case=True),
    absent=(_EXTENSIONS | _S3_ADDITIONS) - {"ListVectors.filter", "QueryVectors.returnData"},
    errors=_S3_ERRORS,
)

TOS = Dialect(
    name="tos",
    limits=limits.TOS,
    bucket_pattern=_LOWER,
    bucket_rule=_LOWER_RULE,
    index_pattern=_LOWER_DOT,
    index_rule=_LOWER_DOT_RULE,
    bucket_arn="trn:tosvectors:{region}:{account}:bucket/{bucket}",
    bucket_arn_pattern=r"trn:tosvectors:(?P<region>[a-z0-9-]+):(?P<account>[0-9]+):bucket/(?P<bucket>[a-z0-9-]+)",
    filters=_rules(limits.TOS, strict=False, conditions=limits.TOS.filter_conditions, starts_with=False),
    squared_euclidean=True,
    time="epoch-int",
    empty_token_starts=True,
    policies=PolicyRules(versions=("2025-12-01", "2012-10-17")),
    absent=_EXTENSIONS | _S3_ADDITIONS | _SEGMENTS | {"CreateVectorBucket.encryptionConfiguration"},
    errors=_S3_ERRORS,
)

DIALECTS = {each.name: each for each in (NATIVE, S3, OSS, COS, TOS)}


def dialect(name: str) -> Dialect:
    """The dialect of this name.

    Raises:
        InvalidRequest: there is none.
    """
    try:
        return DIALECTS[name]
    except KeyError:
        raise errors.InvalidRequest(
            f"Unknown dialect {name!r}: expected one of {', '.join(sorted(DIALECTS))}", path="dialect"
        ) from None
