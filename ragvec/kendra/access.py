"""Access control: which passages a user may see, as a filter over their `_acl_allow` and `_acl_deny` lists.

A document with no list of allowed principals is public. Whoever is denied, as a user or through any group, does not see
it, whatever else is allowed. This restricts results and authenticates nobody: the ids given are trusted, as in Kendra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ragvec.errors import InvalidRequest
from ragvec.filters.nodes import EVERYTHING, And, Exists, Filter, In, Not, Or
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected
from ragvec.pipeline.passages import ACL_ALLOW, ACL_DENY

__all__ = ["allowed", "not_denied", "principals", "user_context", "visible_to"]


def principals(user: str | None, groups: Sequence[str]) -> tuple[str, ...]:
    """The names under which a user and groups stand in access lists: `user:alice`, `group:HR`."""
    of_user = () if user is None else (f"user:{user}",)
    return of_user + tuple(f"group:{group}" for group in groups)


def allowed(names: Sequence[str]) -> Filter:
    """Holds where one of the principals is allowed, and where the document is public."""
    return Or((Not(Exists(ACL_ALLOW)), In(ACL_ALLOW, tuple(names))))


def not_denied(names: Sequence[str]) -> Filter:
    """Holds where none of the principals is denied."""
    return Not(In(ACL_DENY, tuple(names)))


def visible_to(names: Sequence[str]) -> Filter:
    """Holds where somebody with all these principals may look; without any principal, what is public."""
    return And((allowed(names), not_denied(names)))


def user_context(context: Mapping[str, object] | None, *, limits: Limits, path: str = "UserContext") -> Filter:
    """What a request's `UserContext` restricts results to; without one, or with an empty one, nothing is restricted.

    Raises:
        InvalidRequest: a token together with a user or groups, a member that is not supported, wrong types or lengths.
    """
    given = {name: value for name, value in (context or {}).items() if value is not None}
    unknown = given.keys() - {"Token", "UserId", "Groups", "DataSourceGroups"}
    if unknown:
        raise InvalidRequest(f"Unknown member {shown(min(map(str, unknown)))} - at `{path}`", path=path)
    if "Token" in given and len(given) > 1:
        raise unexpected("either Token, or UserId and Groups", "both", path=path)
    for name in ("Token", "DataSourceGroups"):
        if name in given:
            raise InvalidRequest(
                f"{name} is not supported: pass UserId and Groups instead - at `{path}.{name}`", path=f"{path}.{name}"
            )
    if not given:
        return EVERYTHING
    user = None
    if "UserId" in given:
        user = _principal(given["UserId"], path=f"{path}.UserId", limits=limits)
    groups = _groups(given["Groups"], path=f"{path}.Groups", limits=limits) if "Groups" in given else ()
    return visible_to(principals(user, groups))


def _principal(value: object, *, path: str, limits: Limits) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= limits.principal_length:
        got = f"{len(value)} characters" if isinstance(value, str) else shown(value)
        raise unexpected(f"text of 1 to {limits.principal_length} characters", got, path=path)
    return value


def _groups(value: object, *, path: str, limits: Limits) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise unexpected("a list of group names", shown(value), path=path)
    if not value or (limits.principals is not None and len(value) > limits.principals):
        raise unexpected(f"1 to {limits.principals or 'any number of'} groups", len(value), path=path)
    return tuple(_principal(group, path=f"{path}[{i}]", limits=limits) for i, group in enumerate(value))
