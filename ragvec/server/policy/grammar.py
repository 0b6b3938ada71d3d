"""Policy documents of every service, read into one form.

The grammars differ in names and spellings, not in what they say, and no word of one means something else in another; so
one reader reads them all. What may be put into a bucket is narrower, and is told in `check_bucket_policy`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ragvec.api.dialects import Dialect
from ragvec.api.policies import check_policy
from ragvec.errors import InvalidPolicy
from ragvec.server.policy.keys import key_is_acceptable
from ragvec.server.policy.operators import operator
from ragvec.server.policy.patterns import Pattern
from ragvec.server.policy.principals import Whoever, principal
from ragvec.server.policy.statements import Condition, Document, Statement
from ragvec.server.policy.wording import action_is_known, unaliased

__all__ = ["check_bucket_policy", "check_user_policy", "read_policy"]

_WITHOUT_VARIABLES = "2008-10-17"
_MEMBERS = ("Version", "Id", "Statement")
_PARTS = ("Sid", "Effect", "Condition")
_TURNED = {each: f"Not{each}" for each in ("Principal", "Action", "Resource")}
_SHOWN = 60


class _Unreadable(Exception):
    """A statement, or the whole document, has not the form of one."""


def check_bucket_policy(text: str, dialect: Dialect) -> None:
    """Return if this may be the policy of a bucket, put there through `dialect`: everything in it means something.

    Condition keys that the service may know and this package does not are taken; they never allow, and always deny.

    Raises:
        InvalidPolicy: it is no policy of this dialect, or names an operator, key, principal or action that there is
            not; the message says which, and where.
    """
    check_policy(text, dialect.policies)
    _refuse_faults(read_policy(text, attached=False))


def check_user_policy(text: str) -> None:
    """Return if this may be a policy of a user, in the grammar of any service, without principals.

    Raises:
        InvalidPolicy: it is none; the message says what is wrong, and where.
    """
    _refuse_faults(read_policy(text, attached=True))


def _refuse_faults(document: Document) -> None:
    if document.faults:
        place, what = document.faults[0]
        raise InvalidPolicy(f"The policy has {what} - at `{place}`", path="/policy")


@lru_cache(maxsize=128)
def read_policy(text: str, *, attached: bool) -> Document:
    """Read a policy, `attached` to a user or to a bucket. Whatever is wrong with it is told in `faults`, never raised.

    What cannot be read at all denies everything where it may have been meant to deny.
    """
    faults: list[tuple[str, str]] = []
    try:
        members = _members(_decoded(text), _MEMBERS)
        statements = members.get("Statement")
        if isinstance(statements, dict):
            statements = [statements]
        if not isinstance(statements, list) or not statements:
            raise _Unreadable("no list of statements")
    except _Unreadable as error:
        return Document((_DENIES_ALL,), (("Statement", str(error)),))
    variables = members.get("Version") != _WITHOUT_VARIABLES
    read = []
    for number, given in enumerate(statements):
        place = f"Statement[{number}]"
        try:
            read.append(_statement(given, attached, variables, place, faults))
        except _Unreadable as error:
            faults.append((place, str(error)))
            if not _surely_allows(given):
                read.append(_DENIES_ALL)
    return Document(tuple(read), tuple(faults))


_EVERYTHING = (Pattern("*"),)
_DENIES_ALL = Statement(allows=False, principals=None, actions=_EVERYTHING, resources=_EVERYTHING)


def _statement(given: Any, attached: bool, variables: bool, place: str, faults: list[tuple[str, str]]) -> Statement:
    members = _members(given, (*_PARTS, *_TURNED, *_TURNED.values()))
    effect = members.get("Effect")
    if not isinstance(effect, str) or effect.capitalize() not in ("Allow", "Deny"):
        raise _Unreadable(f"an unknown effect {_shown(effect)}")
    actions, except_actions = _side(members, "Action")
    resources, except_resources = _side(members, "Resource")
    for action in actions:
        if not action_is_known(action, elsewhere=attached):
            faults.append((f"{place}.Action", f"an unknown action {_shown(action)}"))
    principals: list[Whoever] | None = None
    except_principals = unclear = False
    if attached:
        if "Principal" in members or "NotPrincipal" in members:
            raise _Unreadable("principals, which a policy of a user has not")
    else:
        principals, except_principals, unknown = _principals(members)
        unclear = bool(unknown)
        faults += [(f"{place}.Principal", f"an unknown principal {_shown(each)}") for each in unknown]
    conditions = tuple(_conditions(members.get("Condition", {}), variables))
    faults += [(f"{place}.Condition", each.fault) for each in conditions if each.fault]
    faults += [
        (f"{place}.Condition", f"an unknown condition key {_shown(each.key)}")
        for each in conditions
        if not each.fault and not attached and not key_is_acceptable(each.key)
    ]
    patterns = [Pattern(each, variables=variables) for each in resources]
    faults += [
        (f"{place}.Resource", f"a variable of an unknown key {_shown(key)}")
        for pattern in patterns
        for key in pattern.keys
        if not key_is_acceptable(key)
    ]
    return Statement(
        allows=effect.capitalize() == "Allow",
        principals=None if principals is None else tuple(principals),
        actions=tuple(Pattern(unaliased(each), variables=False) for each in actions),
        resources=tuple(patterns),
        conditions=conditions,
        except_principals=except_principals,
        except_actions=except_actions,
        except_resources=except_resources,
        unclear=unclear,
    )


def _surely_allows(given: Any) -> bool:
    try:
        effect = _members(given, None).get("Effect")
    except _Unreadable:
        return False
    return isinstance(effect, str) and effect.capitalize() == "Allow"


def _side(members: dict[str, Any], name: str) -> tuple[list[str], bool]:
    """The texts of a member or of its opposite, and whether it is the opposite."""
    given = [each for each in (name, _TURNED[name]) if each in members]
    if len(given) != 1:
        raise _Unreadable(f"{'both' if given else 'neither'} of {name} and {_TURNED[name]}")
    return _texts(members[given[0]], name.lower()), given[0] != name


def _texts(value: Any, what: str) -> list[str]:
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(each, str) and each for each in texts):
        raise _Unreadable(f"{what}s that are no text")
    return texts


def _principals(members: dict[str, Any]) -> tuple[list[Whoever], bool, list[str]]:
    """Who is meant, whether everybody else is instead, and what is in no form that is known."""
    given = [each for each in ("Principal", "NotPrincipal") if each in members]
    if len(given) != 1:
        raise _Unreadable(f"{'both' if given else 'neither'} of Principal and NotPrincipal")
    value = members[given[0]]
    kinds = value if isinstance(value, dict) else {"": value}
    read: list[Whoever] = []
    unknown: list[str] = []
    for kind, named in kinds.items():
        for text in _texts(named, "principal"):
            found = principal(text, kind=kind)
            if found is None:
                unknown.append(text)
            else:
                read.append(found)
    return read, given[0] != "Principal", unknown


def _conditions(block: Any, variables: bool) -> Iterable[Condition]:
    if not isinstance(block, dict):
        raise _Unreadable("conditions that are no object")
    for name, wanted in block.items():
        found = operator(name)
        if not isinstance(wanted, dict):
            raise _Unreadable(f"an operator {_shown(name)} without an object of keys")
        if found is None:
            yield Condition(key="", fault=f"an unknown condition operator {_shown(name)}")
            continue
        for key, value in wanted.items():
            values = [_condition_text(each) for each in (value if isinstance(value, list) else [value])]
            if not values:
                raise _Unreadable(f"no value for the condition key {_shown(key)}")
            patterns = tuple(Pattern(each, variables=variables, wildcards=found.wildcards) for each in values)
            yield Condition(key, found, patterns, _value_fault(found.check, patterns))


def _value_fault(check: Any, patterns: tuple[Pattern, ...]) -> str:
    for pattern in patterns:
        unknown = [key for key in pattern.keys if not key_is_acceptable(key)]
        if unknown:
            return f"a variable of an unknown key {_shown(unknown[0])}"
        if check is not None and not pattern.keys:
            try:
                check(pattern.text)
            except (ValueError, OverflowError) as error:
                return f"a value {_shown(pattern.text)} that is not of its condition operator ({error})"
    return ""


def _condition_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise _Unreadable("a value of a condition that is no text")


def _members(value: Any, known: tuple[str, ...] | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Unreadable("something else than an object")
    members = {key[:1].upper() + key[1:]: part for key, part in value.items()}
    if len(members) < len(value):
        raise _Unreadable("a member in two spellings")
    if known is not None and (unknown := sorted(members.keys() - set(known))):
        raise _Unreadable(f"an unknown member {_shown(unknown[0])}")
    return members


def _decoded(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _Unreadable(f"no JSON ({type(error).__name__})") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object. One that is there twice would make the first be silently without effect."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _Unreadable("a member of an object twice")
    return members


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
