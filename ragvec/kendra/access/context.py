"""UserContext: who asks, from a request, and what that restricts results to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ragvec.errors import InvalidRequest
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.kendra.access.keys import GivenKeys
from ragvec.kendra.access.lists import principals, read_data_source_id, read_name
from ragvec.kendra.access.rules import PLAIN, Rules
from ragvec.kendra.access.tokens import caller, read_token_configuration
from ragvec.kendra.configuration import configuration_of
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected

if TYPE_CHECKING:
    from ragvec.kendra.notes import Notes

__all__ = ["restriction", "user_context"]

_GEN_AI = "GEN_AI_ENTERPRISE_EDITION"
_MEMBERS = frozenset({"Token", "UserId", "Groups", "DataSourceGroups"})


def restriction(
    context: Mapping[str, object] | None,
    *,
    notes: Notes,
    limits: Limits,
    rules: Rules | None = None,
    keys: GivenKeys | None = None,
    path: str = "UserContext",
) -> Filter:
    """What a request's `UserContext` restricts results to in the index of these notes.

    Without a context nothing is restricted, but in an index whose policy is USER_TOKEN, where only what is public is
    seen then. The groups of users come with principal mappings. `rules` are those of the notes, where they are read
    already; `keys` stand for those at a URL or under an ARN by which tokens are verified.

    Raises:
        InvalidRequest: a token together with a user or groups, a token in an index that takes none, an unknown member,
            wrong types or lengths.
        AccessDenied: the token is not valid.
        MissingExtra: PyJWT, which verifies tokens, is not installed.
    """
    given = _given(context, path=path)
    index = configuration_of(notes.index)
    policy = "ATTRIBUTE_FILTER" if index is None else index.policy
    if not given and policy == "ATTRIBUTE_FILTER":
        return EVERYTHING
    rules = rules or Rules.of(notes)
    if "Token" not in given:
        return rules.visible_to(rules.expand(_named(given, limits=limits, path=path)))
    if index is not None and index.edition == _GEN_AI:
        raise InvalidRequest(
            f"An index of the edition {_GEN_AI} takes no tokens: pass UserId and Groups instead - at `{path}.Token`",
            path=f"{path}.Token",
        )
    configuration = None if index is None else read_token_configuration(index.user_tokens)
    if policy != "USER_TOKEN" or configuration is None:
        needs = "UserContextPolicy USER_TOKEN" if policy != "USER_TOKEN" else "UserTokenConfigurations"
        raise InvalidRequest(
            f"The index takes no tokens: it would need {needs}. Pass UserId and Groups instead - at `{path}.Token`",
            path=f"{path}.Token",
        )
    user, groups = caller(given["Token"], configuration, keys=keys or {}, limits=limits, path=f"{path}.Token")
    return rules.visible_to(rules.expand(principals(user, groups)))


def user_context(
    context: Mapping[str, object] | None, *, limits: Limits, rules: Rules = PLAIN, path: str = "UserContext"
) -> Filter:
    """As `restriction`, for an index without tokens, under these rules."""
    given = _given(context, path=path)
    if "Token" in given:
        raise InvalidRequest(
            f"Token is not supported: pass UserId and Groups instead - at `{path}.Token`", path=f"{path}.Token"
        )
    return rules.visible_to(rules.expand(_named(given, limits=limits, path=path))) if given else EVERYTHING


def _given(context: Mapping[str, object] | None, *, path: str) -> dict[str, object]:
    if context is not None and not isinstance(context, Mapping):
        raise unexpected("an object", shown(context), path=path)
    given = {name: value for name, value in (context or {}).items() if value is not None}
    unknown = given.keys() - _MEMBERS
    if unknown:
        raise InvalidRequest(f"Unknown member {shown(min(map(str, unknown)))} - at `{path}`", path=path)
    if "Token" in given and len(given) > 1:
        raise unexpected("either Token, or UserId and Groups", "both", path=path)
    return given


def _named(given: Mapping[str, object], *, limits: Limits, path: str) -> tuple[str, ...]:
    """The names of whom the members of a context tell."""
    user = None
    if "UserId" in given:
        user = read_name(given["UserId"], path=f"{path}.UserId", limits=limits)
    groups: tuple[str, ...] = ()
    if "Groups" in given:
        entries = _list(given["Groups"], "group names", path=f"{path}.Groups", limits=limits)
        groups = tuple(read_name(group, path=f"{path}.Groups[{i}]", limits=limits) for i, group in enumerate(entries))
    of_sources: list[tuple[str, str]] = []
    if "DataSourceGroups" in given:
        place = f"{path}.DataSourceGroups"
        for i, entry in enumerate(
            _list(given["DataSourceGroups"], "groups of data sources", path=place, limits=limits)
        ):
            if not isinstance(entry, Mapping) or set(entry) != {"GroupId", "DataSourceId"}:
                raise unexpected("an object with GroupId and DataSourceId", shown(entry), path=f"{place}[{i}]")
            source = read_data_source_id(entry["DataSourceId"], path=f"{place}[{i}].DataSourceId")
            of_sources.append((source, read_name(entry["GroupId"], path=f"{place}[{i}].GroupId", limits=limits)))
    return principals(user, groups, of_sources)


def _list(value: object, what: str, *, path: str, limits: Limits) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise unexpected(f"a list of {what}", shown(value), path=path)
    if not value or (limits.principals is not None and len(value) > limits.principals):
        raise unexpected(f"1 to {limits.principals or 'any number of'} groups", len(value), path=path)
    return list(value)
