"""Access lists of documents: Kendra's members, and the metadata of passages that they become.

A list says which users and groups are allowed and which are denied. A hierarchical one has levels, of which each must
let through. What is stored is one list of principals a level that allows anybody, and one list of all who are denied:

    _acl_allow      list of text   who is allowed at the first level; absent, everybody
    _acl_allow_2 …  list of text   the same of the second, third … level
    _acl_levels     number         how many levels there are, where there is more than one
    _acl_deny       list of text   who is denied at any level
    _acl_configuration  text       the id of an access control configuration that must let through too

A level that allows whoever another level allows adds nothing and is left out, so that folders above a file seldom make
levels of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected
from ragvec.pipeline.passages import ACL_ALLOW, ACL_DENY

__all__ = [
    "ACL_CONFIGURATION",
    "ACL_LEVELS",
    "AccessList",
    "access_metadata",
    "allow_field",
    "group_name",
    "is_access_field",
    "principals",
    "read_access",
    "read_data_source_id",
    "read_name",
    "user_name",
]

ACL_LEVELS = "_acl_levels"
ACL_CONFIGURATION = "_acl_configuration"

_ENTRY = frozenset({"Name", "Type", "Access", "DataSourceId"})
_FIELD = re.compile(r"_acl_(allow(_\d+)?|deny|levels|configuration)")
_DATA_SOURCE_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}")


def user_name(user: str) -> str:
    """The name under which a user stands in stored lists: `user:alice`."""
    return f"user:{user}"


def group_name(group: str, data_source: str | None = None) -> str:
    """The name under which a group stands in stored lists: `group:HR`, of a data source `group/wiki:HR`."""
    return f"group:{group}" if data_source is None else f"group/{data_source}:{group}"


def principals(
    user: str | None, groups: Sequence[str], data_source_groups: Sequence[tuple[str, str]] = ()
) -> tuple[str, ...]:
    """The names of a user, groups, and groups of data sources, which are pairs (data source id, group)."""
    of_user = () if user is None else (user_name(user),)
    return (
        *of_user,
        *(group_name(group) for group in groups),
        *(group_name(group, source) for source, group in data_source_groups),
    )


def allow_field(level: int) -> str:
    """The metadata key of those whom a level, counted from 1, allows."""
    return ACL_ALLOW if level == 1 else f"{ACL_ALLOW}_{level}"


def is_access_field(name: str) -> bool:
    """Whether a metadata key belongs to access control; no attribute does."""
    return _FIELD.fullmatch(name) is not None


class AccessList(msgspec.Struct, frozen=True):
    """Who may see something: somebody whom every level allows, and whom none denies. Names are as stored."""

    levels: tuple[tuple[str, ...], ...] = ()
    denied: tuple[str, ...] = ()

    def lets_through(self, names: Sequence[str]) -> bool:
        """Whether somebody with these names may see it."""
        mine = set(names)
        return mine.isdisjoint(self.denied) and not any(mine.isdisjoint(level) for level in self.levels)


def read_access(members: Mapping[str, Any], *, limits: Limits, path: str = "") -> AccessList:
    """What `AccessControlList` and `HierarchicalAccessControlList` among the members say; both together are levels.

    Raises:
        InvalidRequest: an entry that is not one, or too many of them.
    """
    levels: list[tuple[str, ...]] = []
    denied: dict[str, None] = {}
    for entries, place in _lists(members, limits=limits, path=path):
        allowed, refused = _read_entries(entries, limits=limits, path=place)
        denied.update(dict.fromkeys(refused))
        if allowed:
            levels.append(allowed)
    return AccessList(_distinct(levels), tuple(sorted(denied)))


def access_metadata(access: AccessList, *, configuration: str | None = None) -> dict[str, Any]:
    """The metadata of every passage of a document with this access; empty for a public one.

    Who stores documents with several levels tells so by `ragvec.kendra.access.note_levels` first.
    """
    metadata: dict[str, Any] = {
        allow_field(number): sorted(level) for number, level in enumerate(access.levels, start=1)
    }
    if len(access.levels) > 1:
        metadata[ACL_LEVELS] = len(access.levels)
    if access.denied:
        metadata[ACL_DENY] = list(access.denied)
    if configuration is not None:
        metadata[ACL_CONFIGURATION] = configuration
    return metadata


def read_name(value: object, *, path: str, limits: Limits) -> str:
    """The name of a user or group. Raises InvalidRequest."""
    if not isinstance(value, str) or not 1 <= len(value) <= limits.principal_length:
        got = f"{len(value)} characters" if isinstance(value, str) else shown(value)
        raise unexpected(f"text of 1 to {limits.principal_length} characters", got, path=path)
    return value


def read_data_source_id(value: object, *, path: str) -> str:
    """The id of a data source, which has neither `:` nor `/`, so that stored names stay distinct. Raises
    InvalidRequest."""
    if not isinstance(value, str) or not _DATA_SOURCE_ID.fullmatch(value):
        raise unexpected("1 to 100 letters, digits, '_' or '-'", shown(value), path=path)
    return value


def _lists(members: Mapping[str, Any], *, limits: Limits, path: str) -> list[tuple[object, str]]:
    """The lists of entries that are given, each with its place."""
    prefix = f"{path}." if path else ""
    found: list[tuple[object, str]] = []
    plain = members.get("AccessControlList")
    if plain is not None:
        found.append((plain, f"{prefix}AccessControlList"))
    levels = members.get("HierarchicalAccessControlList")
    if levels is not None:
        place = f"{prefix}HierarchicalAccessControlList"
        if not isinstance(levels, (list, tuple)) or not 1 <= len(levels) <= limits.access_levels:
            got = len(levels) if isinstance(levels, (list, tuple)) else shown(levels)
            raise unexpected(f"a list of 1 to {limits.access_levels} levels", got, path=place)
        for i, level in enumerate(levels):
            if not isinstance(level, Mapping) or set(level) != {"PrincipalList"}:
                raise unexpected("an object with PrincipalList", shown(level), path=f"{place}[{i}]")
            found.append((level["PrincipalList"], f"{place}[{i}].PrincipalList"))
    return found


def _read_entries(entries: object, *, limits: Limits, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names allowed and the names denied by a list of entries."""
    if not isinstance(entries, (list, tuple)):
        raise unexpected("a list of principals", shown(entries), path=path)
    if limits.access_entries is not None and len(entries) > limits.access_entries:
        raise unexpected(f"at most {limits.access_entries} principals", len(entries), path=path)
    allowed: dict[str, None] = {}
    denied: dict[str, None] = {}
    for i, entry in enumerate(entries):
        place = f"{path}[{i}]"
        if not isinstance(entry, Mapping):
            raise unexpected("an object with Name, Type and Access", shown(entry), path=place)
        unknown = sorted(map(str, entry.keys() - _ENTRY))
        if unknown:
            raise InvalidRequest(f"Unknown member {shown(unknown[0])} - at `{place}`", path=place)
        name = read_name(entry.get("Name"), path=f"{place}.Name", limits=limits)
        source = entry.get("DataSourceId")
        if source is not None:
            source = read_data_source_id(source, path=f"{place}.DataSourceId")
        if entry.get("Type") not in ("USER", "GROUP"):
            raise unexpected("USER or GROUP", shown(entry.get("Type")), path=f"{place}.Type")
        if entry.get("Access") not in ("ALLOW", "DENY"):
            raise unexpected("ALLOW or DENY", shown(entry.get("Access")), path=f"{place}.Access")
        # A request names its user without a data source, so a user's entry holds whatever data source it names.
        stored = user_name(name) if entry["Type"] == "USER" else group_name(name, source)
        (allowed if entry["Access"] == "ALLOW" else denied)[stored] = None
    return tuple(allowed), tuple(denied)


def _distinct(levels: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The levels without those that allow everybody whom another one allows."""
    sets = [frozenset(level) for level in dict.fromkeys(tuple(sorted(level)) for level in levels)]
    kept = [level for level in sets if not any(other < level for other in sets)]
    return tuple(tuple(sorted(level)) for level in kept)
