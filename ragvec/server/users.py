"""Who may sign requests."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ragvec.errors import InvalidRequest

__all__ = ["User", "Users"]


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user: the keys it signs with, and what policies know it by.

    `account` is that of the user; the store belongs to one account, and users of others need a bucket policy. `owner`
    has every right that no policy denies; other users of the account have those that `policies` (JSON documents) or
    bucket policies allow. `session_token` has to be sent where it is set, until `expires`, in epoch seconds.
    """

    access_key: str
    secret_key: str
    account: str
    name: str
    owner: bool = False
    session_token: str | None = None
    expires: float | None = None
    policies: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"User({self.name!r} of {self.account}, {self.access_key!r})"


class Users:
    """The users of a server, by access key. Raises InvalidRequest: two have the same key."""

    def __init__(self, users: Iterable[User]) -> None:
        self._by_key: dict[str, User] = {}
        for user in users:
            if user.access_key in self._by_key:
                raise InvalidRequest(f"Two users have the access key {user.access_key!r}", path="access_key")
            self._by_key[user.access_key] = user

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, access_key: str) -> User | None:
        """The user with this access key; None: there is none."""
        return self._by_key.get(access_key)
