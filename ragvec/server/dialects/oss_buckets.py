"""The operations of OSS on vector buckets that have a form of their own: creation with tags and a resource group,
descriptions, lists by marker, and where access logs go. Resource groups and logging are recorded, and nothing more."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from ragvec.api.access import Session
from ragvec.api.constraints import Constraints
from ragvec.api.names import check_bucket_name
from ragvec.api.settings import change_setting, setting, setting_tags
from ragvec.api.tags import check_tags
from ragvec.engine.protocol import BucketInfo
from ragvec.errors import InvalidRequest, NotFound
from ragvec.server.dialects.shared import written_time

__all__ = [
    "create_bucket",
    "delete_logging",
    "described_bucket",
    "get_logging",
    "list_buckets",
    "put_logging",
]

_GROUP, _LOGGING = "oss.resourceGroup", "oss.logging"
_GROUP_PATTERN = "[A-Za-z0-9-]{1,64}"


class _Bucket(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """A bucket as descriptions and lists show it."""

    name: str
    location: str
    creation_date: str
    extranet_endpoint: str
    intranet_endpoint: str
    region: str
    resource_group_id: str | None = None


class _LoggingEnabled(
    msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True, forbid_unknown_fields=True
):
    """Where access logs are to go, under which prefix, and by which role."""

    target_bucket: str | None = None
    target_prefix: str | None = None
    logging_role: str | None = None


class _LoggingStatus(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True, forbid_unknown_fields=True):
    """Without `logging_enabled`, there is no logging."""

    logging_enabled: _LoggingEnabled | None = None


class _LoggingBody(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    bucket_logging_status: _LoggingStatus


def create_bucket(session: Session, *, bucket: str, tagging: str | None, group: str | None) -> None:
    """Create a bucket. `tagging` is like `a=1&b=2`, percent-encoded.

    Raises:
        InvalidName, BucketExists, QuotaExceeded. InvalidRequest: a tag or the group is not one.
    """
    check_bucket_name(bucket, session.dialect)
    tags = check_tags(_tags(tagging), session) if tagging else {}
    settings = {}
    if group is not None:
        settings[_GROUP] = _checked_group(group)
    session.engine.catalog.create_bucket(
        BucketInfo(bucket, session.clock()),
        tags={**tags, **setting_tags(settings)},
        max_buckets=session.dialect.limits.buckets,
    )


def described_bucket(session: Session, *, bucket: str, host: str) -> dict[str, Any]:
    """Describe a bucket, which is reached at `host`. Raises InvalidName, BucketNotFound."""
    check_bucket_name(bucket, session.dialect)
    info = session.engine.catalog.bucket(bucket)
    return {"BucketInfo": _shown(session, info, host=host)}


def list_buckets(
    session: Session, *, prefix: str, marker: str, max_keys: str | None, group: str | None, host: str
) -> dict[str, Any]:
    """Return a page of buckets in byte order of name, those after `marker`; with `group`, those of this resource group.

    Raises InvalidRequest: `max_keys` is not from 1 to the most there are, or the group is none.
    """
    limits = session.dialect.limits
    size = limits.list_buckets_default
    if max_keys:
        if not re.fullmatch("[0-9]{1,9}", max_keys, re.ASCII):
            raise InvalidRequest(f"max-keys must be a number, got {max_keys[:40]!r}", path="max-keys")
        size = int(max_keys)
    constraints = Constraints(hints=session.dialect.hints)
    constraints.between("max-keys", size, low=1, high=limits.list_buckets_max)
    constraints.check()
    found: list[_Bucket] = []
    wanted = None if group is None else _checked_group(group)
    after: str | None = marker
    more = True
    while more and len(found) < size:
        page = session.engine.catalog.buckets(prefix=prefix, after=after, limit=size - len(found))
        shown = [_shown(session, info, host=host) for info in page.items]
        found += [each for each in shown if wanted is None or each.resource_group_id == wanted]
        after, more = page.next_after, page.next_after is not None
    listed: dict[str, Any] = {"Prefix": prefix, "Marker": marker, "MaxKeys": size, "IsTruncated": more}
    if more:
        listed["NextMarker"] = after
    return {"ListAllMyBucketsResult": {**listed, "Buckets": found}}


def put_logging(session: Session, *, bucket: str, body: dict[str, Any]) -> None:
    """Keep where access logs of the bucket are to go; an empty `BucketLoggingStatus` removes that.

    Raises InvalidName, BucketNotFound, InvalidRequest.
    """
    check_bucket_name(bucket, session.dialect)
    try:
        status = msgspec.convert(body, _LoggingBody).bucket_logging_status
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The logging configuration is not one: {error}", path="BucketLoggingStatus") from error
    enabled = status.logging_enabled
    if enabled is not None and not enabled.target_bucket:
        raise InvalidRequest("LoggingEnabled must name a TargetBucket", path="TargetBucket")
    value = None if enabled is None else msgspec.json.encode(enabled).decode()
    change_setting(session.engine.catalog, _LOGGING, value, bucket=bucket)


def get_logging(session: Session, *, bucket: str) -> dict[str, Any]:
    """Where access logs of the bucket are to go, as it was put. Raises InvalidName, BucketNotFound."""
    check_bucket_name(bucket, session.dialect)
    kept = setting(session.engine.catalog, _LOGGING, bucket=bucket)
    status = {} if kept is None else {"LoggingEnabled": msgspec.json.decode(kept)}
    return {"BucketLoggingStatus": status}


def delete_logging(session: Session, *, bucket: str) -> None:
    """Forget where access logs of the bucket are to go, if that is known. Raises InvalidName, BucketNotFound."""
    check_bucket_name(bucket, session.dialect)
    change_setting(session.engine.catalog, _LOGGING, None, bucket=bucket)


def _shown(session: Session, info: BucketInfo, *, host: str) -> _Bucket:
    try:
        group = setting(session.engine.catalog, _GROUP, bucket=info.name)
    except NotFound:
        group = None  # deleted while it was being listed
    return _Bucket(
        name=session.arn_of(info),
        location=f"oss-{session.region}",
        creation_date=str(written_time(info.created, session.dialect)),
        extranet_endpoint=host,
        intranet_endpoint=host,
        region=session.region,
        resource_group_id=group,
    )


def _tags(tagging: str) -> dict[str, str]:
    pairs = parse_qsl(tagging, keep_blank_values=True)
    tags = dict(pairs)
    if len(tags) < len(pairs):
        raise InvalidRequest("x-oss-bucket-tagging names a key twice", path="x-oss-bucket-tagging")
    return tags


def _checked_group(group: str) -> str:
    if not re.fullmatch(_GROUP_PATTERN, group):
        raise InvalidRequest(
            f"x-oss-resource-group-id must be 1 to 64 letters, digits and '-', got {group[:80]!r}",
            path="x-oss-resource-group-id",
        )
    return group


# Made once while the module is imported: msgspec may crash where threads meet a type for the first time together.
msgspec.json.Decoder(_LoggingBody)
