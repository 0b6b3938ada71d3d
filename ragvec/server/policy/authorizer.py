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

from ragvec.errors import AccessDenied, NotFound
from ragvec.server.dialects.face import Service
from ragvec.server.policy.grammar import read_policy
from ragvec.server.policy.keys import Circumstances
from ragvec.server.policy.permission import Permission
from ragvec.server.policy.principals import Meant, principal_arn
from ragvec.server.policy.statements import Asked, Document
from ragvec.server.policy.wording import actions, index_of, resources
from ragvec.server.users import User

__all__ = ["PolicyAuthorizer"]

_NEVER_LOCKED_OUT = frozenset(f"s3vectors:{verb}vectorbucketpolicy" for verb in ("get", "put", "delete"))
_AWS = ("s3", "s3vectors", "kendra")


class PolicyAuthorizer:
    """Decides for the store of one service; an `Authorizer`. Safe to use from several threads.

    The policy of a bucket is read anew for each request, also when another process has changed it.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

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
        asked = self._asked(user, permission, client=client, secure=secure)
        own = [read_policy(each, attached=True) for each in user.policies]
        if _denied(own, user, asked):
            return "an identity-based policy denies"
        at_home = user.account == self._service.account
        allowed_by_bucket = Meant.NOT
        if text is not None:
            document = read_policy(text, attached=False)
            spared = at_home and user.owner and not _NEVER_LOCKED_OUT.isdisjoint(asked.actions)
            if not spared and _denied([document], user, asked):
                return "a resource-based policy denies"
            allowed_by_bucket = _allowed([document], user, asked)
        allowed_by_own = user.owner or _allowed(own, user, asked) is Meant.USER
        if at_home:
            return "" if allowed_by_own or allowed_by_bucket is Meant.USER else "no identity-based policy allows"
        if allowed_by_bucket is Meant.NOT:
            return "no resource-based policy allows"
        if allowed_by_own or (allowed_by_bucket is Meant.USER and not user.policies):
            return ""
        return "no identity-based policy allows"

    def _asked(self, user: User, permission: Permission, *, client: str, secure: bool) -> Asked:
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

        circumstances = Circumstances(
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
        names = resources(permission.resource, bucket, service.account, service.region)
        return Asked(actions(permission.action), names, circumstances)


def _denied(documents: list[Document], user: User, asked: Asked) -> bool:
    return any(
        statement.means(user, asked) is not Meant.NOT
        for document in documents
        for statement in document.statements
        if not statement.allows
    )


def _allowed(documents: list[Document], user: User, asked: Asked) -> Meant:
    meant = Meant.NOT
    for document in documents:
        for statement in document.statements:
            if statement.allows:
                meant = max(meant, statement.means(user, asked))
                if meant is Meant.USER:
                    return meant
    return meant


def _told(user: User, permission: Permission, why: str, *, dialect: str) -> str:
    action, resource = permission.action, permission.resource
    if dialect not in _AWS:
        return f"The user {user.name!r} may not do {action} on {resource}: {why} it"
    told = f"User: {principal_arn(user)} is not authorized to perform: {action} on resource: {resource}"
    if why.endswith(" denies"):
        return f"{told} with an explicit deny in {why.removesuffix(' denies')}"
    return f"{told} because {why} the {action} action"
