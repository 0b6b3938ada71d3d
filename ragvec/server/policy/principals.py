"""Whom a statement of a policy means, in the words of any service.

A user whose name is `role/NAME` or `role/NAME/SESSION` is somebody in that role, as temporary keys are.
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache

import msgspec

from ragvec.server.policy.patterns import glob
from ragvec.server.users import User

__all__ = ["EVERYBODY", "Meant", "Principal", "principal", "principal_arn"]


class Meant(IntEnum):
    """How a principal means a user: not; as one of the users of an account, whose rights in it its own policies tell;
    or the very user, or everybody."""

    NOT = 0
    ACCOUNT = 1
    USER = 2


class Principal(msgspec.Struct, frozen=True):
    """An account (`name` None), users of it by name, or everybody. Both may have wildcards."""

    account: str
    name: str | None

    def means(self, user: User) -> Meant:
        """How it means this user."""
        if not glob(self.account, user.account):
            return Meant.NOT
        if self.name is None:
            return Meant.USER if user.owner else Meant.ACCOUNT
        if any(glob(self.name, name) for name in _names(user)):
            return Meant.USER
        return Meant.NOT


class _Anyone(msgspec.Struct, frozen=True):
    """Whom an id without an account means: an account, or a user by the id that is its name."""

    identity: str

    def means(self, user: User) -> Meant:
        if not user.owner and glob(self.identity, user.name):
            return Meant.USER
        return Principal(self.identity, None).means(user)


class _Nobody(msgspec.Struct, frozen=True):
    """A service, or whoever is known by other means than keys."""

    def means(self, user: User) -> Meant:  # noqa: ARG002 - as of the others
        return Meant.NOT


EVERYBODY = Principal("*", "*")

_NAME = r"(?P<name>[^:]+)"
_FORMS = (
    # AWS; `arn:sts` is OSS.
    (re.compile(r"arn:aws[-a-z0-9]*:iam::(?P<account>\d{12}):root"), None),
    (re.compile(r"arn:aws[-a-z0-9]*:iam::(?P<account>\d{12}):user/(?:[^*?:]*/)?(?P<name>[^*?:/]+)"), "{name}"),
    (re.compile(r"arn:aws[-a-z0-9]*:iam::(?P<account>\d{12}):role/(?:[^*?:]*/)?(?P<name>[^*?:/]+)"), "role/{name}"),
    (re.compile(r"arn:aws[-a-z0-9]*:sts::(?P<account>\d{12}):assumed-role/(?P<name>[^*?:]+/[^*?:]+)"), "role/{name}"),
    (re.compile(rf"arn:sts::(?P<account>[\d*]+):assumed-role/{_NAME}"), "role/{name}"),
    # OSS
    (re.compile(r"acs:ram::(?P<account>\d+):root"), None),
    (re.compile(rf"acs:ram::(?P<account>[\d*]+):user/{_NAME}"), "{name}"),
    (re.compile(rf"acs:ram::(?P<account>[\d*]+):role/{_NAME}"), "role/{name}"),
    # COS: an account's owner is its user of the same number.
    (re.compile(r"qcs::cam::uin/(?P<account>\d+):(?:uin|root)/(?P=account)"), None),
    (re.compile(rf"qcs::cam::uin/(?P<account>[\d*]+):uin/{_NAME}"), "{name}"),
    (re.compile(rf"qcs::cam::uin/(?P<account>[\d*]+):roleName/{_NAME}"), "role/{name}"),
    # TOS
    (re.compile(r"trn:iam::(?P<account>\d+):root"), None),
    (re.compile(rf"trn:iam::(?P<account>[\d*]+):user/{_NAME}"), "{name}"),
    (re.compile(rf"trn:iam::(?P<account>[\d*]+):role/{_NAME}"), "role/{name}"),
    (re.compile(rf"(?P<account>[\d*]+)/{_NAME}"), "{name}"),
)
_EVERYBODY = ("*", "qcs::cam::anyone:anyone", "qcs::cam::anonymous:anonymous")
_OTHERS = ("Service", "Federated", "CanonicalUser", "service", "federated")
_IDENTITY = re.compile(r"[0-9]+[*]?")

Whoever = Principal | _Anyone | _Nobody


def principal(text: str, *, kind: str = "") -> Whoever | None:
    """Whom this text means, as a member of `kind` ("AWS", "qcs", "Service") where principals are told by their kinds.

    None: it is in no form that is known.
    """
    if kind in _OTHERS:
        return _Nobody()
    if text in _EVERYBODY:
        return EVERYBODY
    if _IDENTITY.fullmatch(text):
        return _Anyone(text)
    for form, name in _FORMS:
        found = form.fullmatch(text)
        if found:
            return Principal(found["account"], None if name is None else name.format(name=found["name"]))
    return None


@lru_cache(maxsize=4096)
def principal_arn(user: User) -> str:
    """The ARN by which AWS would know this user."""
    if user.owner:
        return f"arn:aws:iam::{user.account}:root"
    if user.name.startswith("role/"):
        parts = user.name.split("/")
        if len(parts) > 2:
            return f"arn:aws:sts::{user.account}:assumed-role/{'/'.join(parts[1:])}"
        return f"arn:aws:iam::{user.account}:{user.name}"
    return f"arn:aws:iam::{user.account}:user/{user.name}"


@lru_cache(maxsize=4096)
def _names(user: User) -> tuple[str, ...]:
    """By which names principals mean this user; the owner is the account itself, and its name is no user's."""
    if user.owner:
        return ("", user.account)
    if user.name.startswith("role/"):
        role = "/".join(user.name.split("/")[:2])
        return tuple(dict.fromkeys((user.name, role)))
    return (user.name,)
