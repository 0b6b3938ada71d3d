"""Users, buckets and requests of the tests of policies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ragvec.errors import AccessDenied
from ragvec.server.dialects.face import Service
from ragvec.server.policy.authorizer import PolicyAuthorizer
from ragvec.server.policy.permission import Permission
from ragvec.server.users import User
from ragvec.store import Store

ACCOUNT, OTHER, REGION = "123456789012", "999999999999", "us-east-1"
NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
BUCKET = f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket/docs"
INDEX = f"{BUCKET}/index/pages"


def user(name: str = "ana", *, account: str = ACCOUNT, owner: bool = False, policies: tuple[Any, ...] = ()) -> User:
    texts = tuple(each if isinstance(each, str) else json.dumps(each) for each in policies)
    return User(access_key=f"{account}{name}", secret_key="s", account=account, name=name, owner=owner, policies=texts)


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> dict[str, Any]:
    return {"Version": version, "Statement": list(statements)}


def allow(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


class Desk:
    """Asks an authorizer over a real store with the bucket `docs` and its index `pages`."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "store")
        self.store.create_bucket("docs").create_index("pages", dimension=2)
        self.service = Service(self.store.engine, ACCOUNT, REGION, lambda: NOW)
        self.authorizer = PolicyAuthorizer(self.service)

    def put(self, policy: Any) -> None:
        catalog = self.store.engine.catalog
        if policy is None:
            catalog.delete_policy("docs")
        else:
            catalog.put_policy("docs", policy if isinstance(policy, str) else json.dumps(policy))

    def refusal(
        self,
        who: User,
        action: str = "s3vectors:GetVectors",
        resource: str = INDEX,
        *,
        bucket: str | None = "docs",
        dialect: str = "s3vectors",
        client: str = "192.0.2.7",
        secure: bool = False,
        **conditions: tuple[str, ...],
    ) -> str:
        """Why not; "" if so."""
        wanted = Permission(action=action, resource=resource, bucket=bucket, conditions=conditions)
        try:
            self.authorizer.check(who, (wanted,), dialect=dialect, client=client, secure=secure)
        except AccessDenied as error:
            return error.message
        return ""

    def may(self, who: User, *arguments: Any, **more: Any) -> bool:
        return not self.refusal(who, *arguments, **more)
