"""Who may do what: the policies of the user and of the bucket, and the rights of owners, weighed as AWS does.

1. What a policy of the user or of the bucket denies is denied; but no bucket's policy keeps the owner of the store from
   getting, putting and deleting it, and so from the bucket.
2. The owner may do everything else. Another user of the owner's account may do what its own policies allow, or what the
   policy of the bucket allows to it or to everybody. A policy that names only the account leaves it to the user's own.
3. A user of another account may do what the policy of the bucket allows, and its own policies too if it has any. A
   bucket's policy that names only the account is good for the owner of that account, and for users whose own policies
   allow it.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from ragvec.errors import AccessDenied, NotFound
from ragvec.server.dialects.face import Service
from ragvec.server.policy.grammar import read_policy
from ragvec.server.policy.keys import Circumstances
from ragvec.server.policy.permission import Permission
from ragvec.server.policy.principals import Meant, principal_arn
from ragvec.server.policy.statements import Asked, Document, Statement
from ragvec.server.policy.wording import actions, index_of, resources
from ragvec.server.users import User

__all__ = ["PolicyAuthorizer"]

_NEVER_LOCKED_OUT = frozenset(f"s3vectors:{verb}vectorbucketpolicy" for verb in ("get", "put", "delete"))
_KEPT = 2048
_LONGEST = 400
_AWS = ("s3", "s3vectors", "kendra")


class PolicyAuthorizer:
    """Decides for the store of one service; an `Authorizer`. Safe to use from several threads.

    The policy of a bucket is read anew for each request, also when another process has changed it.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._weighed = lru_cache(maxsize=_KEPT)(self._weigh)

    def check(
        self, user: User, permissions: tuple[Permission, ...], *, dialect: str, client: str, secure: bool
    ) -> None:
        """Return if `user` has every one of these permissions.

        Raises:
            AccessDenied: one is denied, or nothing allows it; the message has the form of the service.
        """
        texts: dict[str, str | None] = {}
        for permission in permissions:
            bucket = permission.bucket
            if bucket is not None and bucket not in texts:
                texts[bucket] = self._policy(bucket)
            text = None if bucket is None else texts[bucket]
            if user.owner and text is None and not user.policies and user.account == self._service.account:
                continue
            why = self._refusal(user, permission, text, client=client, secure=secure)
            if why:
                raise AccessDenied(_told(user, permission, why, dialect=dialect))

    def _policy(self, bucket: str) -> str | None:
        if not bucket.isascii():  # no bucket has such a name, and not every text may be looked up
            return None
        try:
            return self._service.engine.catalog.policy(bucket)
        except NotFound:
            return None

    def _refusal(self, user: User, permission: Permission, text: str | None, *, client: str, secure: bool) -> str:
        """Why the user may not; "" if it may."""
        # What is longer names nothing that there is, and is not worth keeping.
        resource, name = permission.resource[:_LONGEST], permission.bucket and permission.bucket[:_LONGEST]
        own, bucket = self._weighed(user, permission.action, resource, name, text)
        circumstances = None
        if own.open or bucket.open:
            circumstances = self._circumstances(user, permission, client=client, secure=secure)
        if own.denies(user, circumstances):
            return "an identity-based policy denies"
        if bucket.denies(user, circumstances):
            return "a resource-based policy denies"
        allowed_by_own = user.owner or own.allows(user, circumstances) is Meant.USER
        if user.account == self._service.account:
            if allowed_by_own or bucket.allows(user, circumstances) is Meant.USER:
                return ""
            return "no identity-based policy allows"
        allowed_by_bucket = bucket.allows(user, circumstances)
        if allowed_by_bucket is Meant.NOT:
            return "no resource-based policy allows"
        if allowed_by_own or (allowed_by_bucket is Meant.USER and not user.policies):
            return ""
        return "no identity-based policy allows"

    def _weigh(
        self, user: User, action: str, resource: str, bucket: str | None, text: str | None
    ) -> tuple[_Weighed, _Weighed]:
        """What the policies of the user, and that of the bucket, say to this whoever asks from wherever."""
        service = self._service
        asked = Asked(actions(action), resources(resource, bucket, service.account, service.region))
        own = _Weighed.of([read_policy(each, attached=True) for each in user.policies], user, asked)
        if text is None:
            return own, _Weighed.of([], user, asked)
        owner = user.owner and user.account == service.account
        spared = owner and not _NEVER_LOCKED_OUT.isdisjoint(asked.actions)
        return own, _Weighed.of([] if spared else [read_policy(text, attached=False)], user, asked)

    def _circumstances(self, user: User, permission: Permission, *, client: str, secure: bool) -> Circumstances:
        service, bucket = self._service, permission.bucket
        catalog = service.engine.catalog
        index = None if bucket is None else index_of(permission.resource, bucket)

        def tags_of(index: str | None) -> dict[str, str]:
            assert bucket is not None
            if not f"{bucket}{index}".isascii():
                return {}
            try:
                return catalog.tags(bucket, index)
            except NotFound:
                return {}

        return Circumstances(
            user=user,
            account=service.account,
            region=service.region,
            client=client,
            secure=secure,
            now=service.clock(),
            given=permission.conditions,
            bucket_tags=None if bucket is None else lambda: tags_of(None),
            resource_tags=None if bucket is None else lambda: tags_of(index),
        )


class _Weighed(msgspec.Struct, frozen=True, eq=False):
    """What policies say to a user about what it asks for: what is sure, and the statements that depend on the
    circumstances."""

    asked: Asked
    denied: bool
    allowed: Meant
    open: tuple[Statement, ...]

    @classmethod
    def of(cls, documents: list[Document], user: User, asked: Asked) -> _Weighed:
        """Weigh policies."""
        denied, allowed, left = False, Meant.NOT, []
        for statement in (each for document in documents for each in document.statements):
            meant = statement.settled(user, asked)
            if meant is None:
                left.append(statement)
            elif statement.allows:
                allowed = max(allowed, meant)
            else:
                denied = denied or meant is not Meant.NOT
        return cls(asked, denied, allowed, tuple(left))

    def denies(self, user: User, circumstances: Circumstances | None) -> bool:
        """Whether one of the statements denies it."""
        return self.denied or self._means(user, circumstances, allows=False) is not Meant.NOT

    def allows(self, user: User, circumstances: Circumstances | None) -> Meant:
        """How the statements that allow it mean the user."""
        return max(self.allowed, self._means(user, circumstances, allows=True))

    def _means(self, user: User, circumstances: Circumstances | None, *, allows: bool) -> Meant:
        meant = Meant.NOT
        for statement in self.open:
            if statement.allows == allows and circumstances is not None:
                meant = max(meant, statement.means(user, self.asked, circumstances))
        return meant


def _told(user: User, permission: Permission, why: str, *, dialect: str) -> str:
    action, resource = permission.action, permission.resource
    if dialect not in _AWS:
        return f"The user {user.name!r} may not do {action} on {resource}: {why} it"
    told = f"User: {principal_arn(user)} is not authorized to perform: {action} on resource: {resource}"
    if why.endswith(" denies"):
        return f"{told} with an explicit deny in {why.removesuffix(' denies')}"
    return f"{told} because {why} the {action} action"
