"""Principal mappings: which users and groups are in which groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.access.lists import read_data_source_id
from ragvec.kendra.access.mappings import Group, GroupKey, Mappings
from ragvec.kendra.files import read_named_file
from ragvec.kendra.limits import Limits
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.problems import shown, unexpected

__all__ = ["PRINCIPALS", "PrincipalOperations", "read_members_file"]

PRINCIPALS = {
    "delete_principal_mapping": "DeletePrincipalMapping",
    "describe_principal_mapping": "DescribePrincipalMapping",
    "list_groups_older_than_ordering_id": "ListGroupsOlderThanOrderingId",
    "put_principal_mapping": "PutPrincipalMapping",
}
"""The methods here and the operations that they are."""

_ID_LENGTH = 1024
_LARGEST_ORDERING_ID = 32_535_158_400_000
_PAGE = 10
_FILE_BYTES = 50 << 20
_TOKEN = re.compile(r"\d{1,9}")


class PrincipalOperations(Operations):
    """Map users to groups, so that a request need name its user alone."""

    def put_principal_mapping(self, **members: Any) -> dict[str, Any]:
        """Give a group its members, in place of those it has; without effect if a later OrderingId came first."""
        return self._perform("PutPrincipalMapping", self._put_principal_mapping, members)

    def delete_principal_mapping(self, **members: Any) -> dict[str, Any]:
        """Take its members from a group; without effect if a later OrderingId came first."""
        return self._perform("DeletePrincipalMapping", self._delete_principal_mapping, members)

    def describe_principal_mapping(self, **members: Any) -> dict[str, Any]:
        """What was done to a group, the last ten actions, the newest first."""
        return self._perform("DescribePrincipalMapping", self._describe_principal_mapping, members)

    def list_groups_older_than_ordering_id(self, **members: Any) -> dict[str, Any]:
        """The groups whose last action has a lower OrderingId, the oldest first; at most ten a page."""
        return self._perform("ListGroupsOlderThanOrderingId", self._list_groups_older, members)

    def _put_principal_mapping(self, members: Mapping[str, Any]) -> dict[str, Any]:
        names = ("IndexId", "DataSourceId", "GroupId", "GroupMembers", "OrderingId", "RoleArn")
        given = known(members, *names, operation="PutPrincipalMapping")
        mappings, key, ordering_id = self._mapping(given)
        users, groups = self._members(given.get("GroupMembers"))
        if key in groups:
            raise unexpected("groups other than the group itself", shown(key[1]), path="GroupMembers.MemberGroups")
        mappings.put(key, users=users, groups=groups, ordering_id=ordering_id)
        return {}

    def _delete_principal_mapping(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "DataSourceId", "GroupId", "OrderingId", operation="DeletePrincipalMapping")
        mappings, key, ordering_id = self._mapping(given)
        mappings.delete(key, ordering_id=ordering_id)
        return {}

    def _describe_principal_mapping(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "DataSourceId", "GroupId", operation="DescribePrincipalMapping")
        mappings, key, _ = self._mapping(given)
        response: dict[str, Any] = {
            "IndexId": given["IndexId"],
            "GroupId": key[1],
            "GroupOrderingIdSummaries": [
                {
                    "Status": action.status,
                    "LastUpdatedAt": _time(action.updated),
                    "ReceivedAt": _time(action.received),
                    "OrderingId": action.ordering_id,
                }
                for action in mappings.get(key).actions
            ],
        }
        return response if key[0] is None else {**response, "DataSourceId": key[0]}

    def _list_groups_older(self, members: Mapping[str, Any]) -> dict[str, Any]:
        names = ("IndexId", "DataSourceId", "OrderingId", "NextToken", "MaxResults")
        given = known(members, *names, operation="ListGroupsOlderThanOrderingId")
        mappings = Mappings(Notes(self._index(given.get("IndexId")).index))
        source = given.get("DataSourceId")
        if source is not None:
            source = read_data_source_id(source, path="DataSourceId")
        before = _ordering_id(given.get("OrderingId"))
        if before is None:
            raise unexpected("a whole number", "none", path="OrderingId")
        most = given.get("MaxResults", _PAGE)
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= _PAGE:
            raise unexpected(f"a whole number from 1 to {_PAGE}", shown(most), path="MaxResults")
        token = given.get("NextToken", "0")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise unexpected("the NextToken of an earlier response", shown(token), path="NextToken")
        older = [group for group in mappings.all() if group.data_source == source and group.ordering_id < before]
        older.sort(key=lambda group: (group.ordering_id, group.id))
        first = int(token)
        response: dict[str, Any] = {
            "GroupsSummaries": [_summary(group) for group in older[first : first + most]],
        }
        if len(older) > first + most:
            response["NextToken"] = str(first + most)
        return response

    def _mapping(self, given: Mapping[str, Any]) -> tuple[Mappings, GroupKey, int | None]:
        """The mappings of the index, the group, and the ordering id if there is one."""
        source = given.get("DataSourceId")
        if source is not None:
            source = read_data_source_id(source, path="DataSourceId")
        group = _id(given.get("GroupId"), path="GroupId")
        mappings = Mappings(Notes(self._index(given.get("IndexId")).index))
        return mappings, (source, group), _ordering_id(given.get("OrderingId"))

    def _members(self, value: object) -> tuple[list[str], list[GroupKey]]:
        path = "GroupMembers"
        if not isinstance(value, Mapping):
            raise unexpected("an object", shown(value), path=path)
        members = known(value, "MemberGroups", "MemberUsers", "S3PathforGroupMembers", operation=path)
        limits = self.settings.limits
        groups: list[GroupKey] = []
        for i, entry in enumerate(_entries(members.get("MemberGroups"), limits, path=f"{path}.MemberGroups")):
            groups.append(_member_group(entry, "GroupId", "DataSourceId", path=f"{path}.MemberGroups[{i}]"))
        users = []
        for i, entry in enumerate(_entries(members.get("MemberUsers"), limits, path=f"{path}.MemberUsers")):
            users.append(_id(entry.get("UserId"), path=f"{path}.MemberUsers[{i}].UserId"))
        named = members.get("S3PathforGroupMembers")
        if named is not None:
            place = f"{path}.S3PathforGroupMembers"
            listed = read_members_file(
                read_named_file(self.folders, named, most=_FILE_BYTES, path=place), limits=limits, path=place
            )
            users += listed[0]
            groups += listed[1]
        if not users and not groups:
            raise unexpected("MemberUsers, MemberGroups or S3PathforGroupMembers", "no members", path=path)
        return users, groups


def read_members_file(content: bytes, *, limits: Limits, path: str) -> tuple[list[str], list[GroupKey]]:
    """The users and groups that a file lists: JSON objects `{"id", "type": "USER" or "GROUP", "dataSourceId"?}`, in
    an array or one a line.

    Raises:
        InvalidRequest: it is no such file, or lists more groups than one group may hold.
    """
    users: list[str] = []
    groups: list[GroupKey] = []
    try:
        stripped = content.removeprefix(b"\xef\xbb\xbf").strip()
        if stripped.startswith(b"["):
            entries = msgspec.json.decode(stripped)
        else:
            entries = [msgspec.json.decode(line) for line in stripped.splitlines() if line.strip()]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"Expected JSON objects, one a line: {error} - at `{path}`", path=path) from error
    for i, entry in enumerate(entries):
        place = f"{path}[{i}]"
        if not isinstance(entry, dict):
            raise unexpected("an object with id and type", shown(entry), path=place)
        unknown = sorted(entry.keys() - {"id", "type", "dataSourceId"})
        if unknown:
            raise InvalidRequest(f"Unknown member {shown(unknown[0])} - at `{place}`", path=place)
        if entry.get("type") == "USER":
            users.append(_id(entry.get("id"), path=f"{place}.id"))
        elif entry.get("type") == "GROUP":
            groups.append(_member_group(entry, "id", "dataSourceId", path=place))
        else:
            raise unexpected("USER or GROUP", shown(entry.get("type")), path=f"{place}.type")
    if limits.group_members is not None and len(groups) > limits.group_members:
        raise unexpected(f"at most {limits.group_members} groups", len(groups), path=path)
    return users, groups


def _entries(value: object, limits: Limits, *, path: str) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or not all(isinstance(entry, Mapping) for entry in value):
        raise unexpected("a list of objects", shown(value), path=path)
    if not value or (limits.group_members is not None and len(value) > limits.group_members):
        raise unexpected(f"1 to {limits.group_members or 'any number of'} members", len(value), path=path)
    return list(value)


def _member_group(entry: Mapping[str, Any], name: str, source_name: str, *, path: str) -> GroupKey:
    source = entry.get(source_name)
    if source is not None:
        source = read_data_source_id(source, path=f"{path}.{source_name}")
    return source, _id(entry.get(name), path=f"{path}.{name}")


def _id(value: object, *, path: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _ID_LENGTH:
        got = f"{len(value)} characters" if isinstance(value, str) else shown(value)
        raise unexpected(f"text of 1 to {_ID_LENGTH} characters", got, path=path)
    return value


def _ordering_id(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_ORDERING_ID:
        raise unexpected(f"a whole number from 0 to {_LARGEST_ORDERING_ID}", shown(value), path="OrderingId")
    return value


def _summary(group: Group) -> dict[str, Any]:
    return {"GroupId": group.id, "OrderingId": group.ordering_id}


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=timezone.utc)
