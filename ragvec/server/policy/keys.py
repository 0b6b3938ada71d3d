"""Condition keys: what a request, its connection and its target have as values of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import lru_cache

import msgspec

from ragvec.server.policy.patterns import NotUnderstood
from ragvec.server.policy.principals import principal_arn
from ragvec.server.users import User

__all__ = ["Circumstances", "key_is_acceptable"]

_SAME = {
    "acs:sourceip": "aws:sourceip",
    "qcs:ip": "aws:sourceip",
    "volc:sourceip": "aws:sourceip",
    "tos:sourceip": "aws:sourceip",
    "acs:securetransport": "aws:securetransport",
    "volc:securetransport": "aws:securetransport",
    "tos:securetransport": "aws:securetransport",
    "acs:currenttime": "aws:currenttime",
    "volc:currenttime": "aws:currenttime",
    "qcs:current_time": "aws:currenttime",
    "volc:username": "aws:username",
}
"""Keys of the other services, each with the key of AWS that is the same."""

_GIVEN = ("s3vectors:ssetype", "s3vectors:kmskeyarn", "aws:tagkeys")
_GIVEN_BEFORE_SLASH = ("aws:requesttag/",)
_NAMESPACES = ("aws:", "acs:", "oss:", "qcs:", "cos:", "volc:", "tos:")
"""Services take any key in these at Put, since they know more of them than are known here."""

_OF_S3 = ("s3vectors:ssetype", "s3vectors:kmskeyarn")
_OF_S3_BEFORE_SLASH = ("s3vectors:vectorbuckettag/",)


class Circumstances(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What conditions may ask for. `given` are keys of the request itself; `bucket_tags` and `resource_tags` look the
    tags of the target up, None where it has none such as an account."""

    user: User
    account: str
    region: str
    client: str
    secure: bool
    now: float
    given: Mapping[str, tuple[str, ...]]
    bucket_tags: Callable[[], Mapping[str, str]] | None = None
    resource_tags: Callable[[], Mapping[str, str]] | None = None

    def values(self, key: str) -> tuple[str, ...]:
        """The values of a condition key, whose case does not matter; none where the request has none.

        Raises:
            NotUnderstood: there is no such key, or its value cannot be told.
        """
        lowered = key.lower()
        lowered = _SAME.get(lowered, lowered)
        if lowered in _OF_CONNECTION:
            value = _OF_CONNECTION[lowered](self)
            return () if value is None else (value,)
        if lowered in _GIVEN or lowered.startswith(_GIVEN_BEFORE_SLASH):
            return next((values for name, values in self.given.items() if name.lower() == lowered), ())
        if lowered.startswith("s3vectors:vectorbuckettag/"):
            return _tag(self.bucket_tags, lowered)
        if lowered.startswith("aws:resourcetag/"):
            return _tag(self.resource_tags, lowered)
        raise NotUnderstood(f"the condition key {key!r}")

    def value(self, key: str) -> str | None:
        """The one value of a condition key; None where the request has none. Raises NotUnderstood, also where it has
        several."""
        values = self.values(key)
        if len(values) > 1:
            raise NotUnderstood(f"the condition key {key!r}, of {len(values)} values, as a variable")
        return values[0] if values else None


def key_is_acceptable(key: str) -> bool:
    """Whether the services take this condition key in a bucket policy."""
    lowered = key.lower()
    if lowered.startswith("s3vectors:"):
        return lowered in _OF_S3 or any(
            lowered.startswith(prefix) and len(lowered) > len(prefix) for prefix in _OF_S3_BEFORE_SLASH
        )
    return lowered.startswith(_NAMESPACES) and not lowered.endswith((":", "/"))


def _tag(look_up: Callable[[], Mapping[str, str]] | None, key: str) -> tuple[str, ...]:
    if look_up is None:
        raise NotUnderstood(f"the condition key {key!r} of what has no tags here")
    wanted = key.partition("/")[2]
    return tuple(value for name, value in look_up().items() if name.lower() == wanted)


def _source_ip(circumstances: Circumstances) -> str:
    try:
        return _address(circumstances.client)
    except ValueError:
        raise NotUnderstood(f"the source address {circumstances.client!r}") from None


@lru_cache(maxsize=4096)
def _address(client: str) -> str:
    """An address in its usual form: one of version 4 also where it came as one of version 6, and without a zone."""
    address = ipaddress.ip_address(client.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def _user_name(circumstances: Circumstances) -> str | None:
    user = circumstances.user
    return None if user.owner or user.name.startswith("role/") else user.name


def _principal_type(circumstances: Circumstances) -> str:
    user = circumstances.user
    return "Account" if user.owner else "AssumedRole" if user.name.startswith("role/") else "User"


_OF_CONNECTION: dict[str, Callable[[Circumstances], str | None]] = {
    "aws:sourceip": _source_ip,
    "aws:securetransport": lambda each: "true" if each.secure else "false",
    "aws:currenttime": lambda each: datetime.fromtimestamp(each.now, timezone.utc).isoformat(),
    "aws:epochtime": lambda each: str(int(each.now)),
    "aws:username": _user_name,
    "aws:principalarn": lambda each: principal_arn(each.user),
    "aws:principalaccount": lambda each: each.user.account,
    "aws:principaltype": _principal_type,
    "aws:principalisawsservice": lambda _: "false",
    "aws:viaawsservice": lambda _: "false",
    "aws:resourceaccount": lambda each: each.account,
    "aws:requestedregion": lambda each: each.region,
}
