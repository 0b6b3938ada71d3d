"""Names of buckets, indexes and vectors, and the resource names (ARNs) made of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from ragvec.api.constraints import Constraints
from ragvec.api.dialects import Dialect
from ragvec.errors import InvalidKey, InvalidName

__all__ = [
    "Arn",
    "bucket_arn",
    "check_bucket_name",
    "check_index_name",
    "check_keys",
    "index_arn",
    "parse_arn",
]


class Arn(msgspec.Struct, frozen=True):
    """A resource name taken apart; `index` is None for a bucket."""

    region: str
    account: str
    bucket: str
    index: str | None = None


def check_bucket_name(name: str, dialect: Dialect, *, path: str = "/vectorBucketName") -> None:
    """Raise InvalidName unless `name` is a bucket name of this dialect."""
    numbers = dialect.limits
    if _is_name(name, numbers.bucket_name_min, numbers.bucket_name_max, dialect.bucket_pattern):
        return
    _check_length(name, dialect, low=numbers.bucket_name_min, high=numbers.bucket_name_max, path=path)
    if not re.fullmatch(dialect.bucket_pattern, name):
        raise _bad_name("Invalid vector bucket name", dialect, rule=dialect.bucket_rule, name=name, path=path)


def check_index_name(name: str, dialect: Dialect, *, path: str = "/indexName") -> None:
    """Raise InvalidName unless `name` is an index name of this dialect."""
    numbers = dialect.limits
    if _is_name(name, numbers.index_name_min, numbers.index_name_max, dialect.index_pattern):
        return
    _check_length(name, dialect, low=numbers.index_name_min, high=numbers.index_name_max, path=path)
    if not re.fullmatch(dialect.index_pattern, name):
        raise _bad_name("Invalid index name", dialect, rule=dialect.index_rule, name=name, path=path)


def check_keys(keys: Sequence[str], dialect: Dialect, *, path: str) -> None:
    """Raise InvalidKey unless every key is text of an allowed length; `path` has `{}` for the number of the key."""
    numbers = dialect.limits
    if all(keys) and "".join(keys).isascii() and max(map(len, keys), default=0) <= numbers.key_max_bytes:
        return
    constraints = Constraints(hints=dialect.hints)
    for i, key in enumerate(keys):
        constraints.length(path.format(i), key, low=1, high=numbers.key_max, kind=InvalidKey)
    constraints.check()
    for i, key in enumerate(keys):
        try:
            size = len(key.encode())
        except UnicodeEncodeError:
            place = path.format(i)
            raise InvalidKey(
                f"Key at '{place}' is not valid text: it holds an unpaired surrogate; got {key!r}", path=place
            ) from None
        if size > numbers.key_max_bytes:
            message = "Record key length exceeds the maximum allowed"
            if not dialect.hints:
                raise InvalidKey(message)
            place = path.format(i)
            raise InvalidKey(f"{message}: at most {numbers.key_max_bytes} bytes, got {size} at '{place}'", path=place)


def bucket_arn(dialect: Dialect, *, region: str, account: str, bucket: str) -> str:
    """The resource name of a bucket."""
    return dialect.bucket_arn.format(region=region, account=account, bucket=bucket)


def index_arn(dialect: Dialect, *, region: str, account: str, bucket: str, index: str) -> str:
    """The resource name of an index."""
    return bucket_arn(dialect, region=region, account=account, bucket=bucket) + dialect.index_arn_suffix.format(
        index=index
    )


def parse_arn(text: str, dialect: Dialect, *, path: str, kind: str) -> Arn:
    """Take a resource name apart; `kind` is "bucket", "index" or "any".

    Raises:
        InvalidName: it is not a resource name of that kind in this dialect.
    """
    constraints = Constraints(hints=dialect.hints)
    pattern = _arn_patterns(dialect.name, dialect.bucket_arn_pattern, dialect.index_pattern)[kind]
    constraints.length(path, text, low=1, high=dialect.limits.arn_max, kind=InvalidName)
    constraints.check()
    match = pattern.fullmatch(text)
    if match is None:
        rule = f"Member must satisfy regular expression pattern: {pattern.pattern}"
        constraints.add(path, "Value", rule, kind=InvalidName, got=text)
        raise constraints.error()
    return Arn(**match.groupdict())


@lru_cache(maxsize=16)
def _arn_patterns(_: str, bucket: str, index: str) -> dict[str, re.Pattern[str]]:
    suffix = f"/index/(?P<index>{index})"
    return {
        "bucket": re.compile(bucket),
        "index": re.compile(bucket + suffix),
        "any": re.compile(f"{bucket}({suffix})?"),
    }


@lru_cache(maxsize=256)
def _is_name(name: str, low: int, high: int, pattern: str) -> bool:
    """Whether a name is in order; remembered, since most requests name what others named before."""
    return low <= len(name) <= high and re.fullmatch(pattern, name) is not None


def _check_length(name: str, dialect: Dialect, *, low: int, high: int, path: str) -> None:
    constraints = Constraints(hints=dialect.hints)
    constraints.length(path, name, low=low, high=high, kind=InvalidName)
    constraints.check()


def _bad_name(message: str, dialect: Dialect, *, rule: str, name: str, path: str) -> InvalidName:
    if dialect.hints:
        return InvalidName(f"{message}: expected {rule}; got {name!r}", path=path)
    error = InvalidName(message, path=path)
    error.fields = ()
    return error
