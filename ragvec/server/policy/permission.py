"""What a call needs to be allowed, in the words of its service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from ragvec.server.users import User

__all__ = ["Authorizer", "Permission"]


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """An action such as "s3vectors:QueryVectors" on a resource, the ARN (TRN, QCS …) of a bucket or an index.

    `bucket` is the bucket whose policy counts, None for what concerns no bucket. `conditions` are the condition keys
    that the request itself gives, such as `{"s3vectors:sseType": ("AES256",)}`; keys of the connection (source address,
    time, secure transport, principal) are the authorizer's.
    """

    action: str
    resource: str
    bucket: str | None = None
    conditions: Mapping[str, tuple[str, ...]] = {}


class Authorizer(Protocol):
    """Decides by the policies of users and buckets."""

    def check(
        self, user: User, permissions: tuple[Permission, ...], *, dialect: str, client: str, secure: bool
    ) -> None:
        """Return if `user` has every one of these permissions in the grammar of `dialect`.

        Raises:
            AccessDenied: one is denied, or nothing allows it; the message has the form of the service.
        """
        ...
