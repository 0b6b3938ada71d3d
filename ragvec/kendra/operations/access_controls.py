"""Access control configurations: access lists that documents refer to, changed without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ragvec.kendra.access.configurations import AccessConfiguration, Configurations, Entry
from ragvec.kendra.access.lists import AccessList, read_access
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.problems import shown, unexpected

__all__ = ["ACCESS_CONTROLS", "AccessControlOperations"]

ACCESS_CONTROLS = {
    "create_access_control_configuration": "CreateAccessControlConfiguration",
    "delete_access_control_configuration": "DeleteAccessControlConfiguration",
    "describe_access_control_configuration": "DescribeAccessControlConfiguration",
    "list_access_control_configurations": "ListAccessControlConfigurations",
    "update_access_control_configuration": "UpdateAccessControlConfiguration",
}
"""The methods here and the operations that they are."""

_CONTENT = ("Name", "Description", "AccessControlList", "HierarchicalAccessControlList")
_PAGE = 100
_NAME = 200
_DESCRIPTION = 1000
_UID = 36
_TOKEN = 100


class AccessControlOperations(Operations):
    """Keep access lists apart from the documents that they are for."""

    def create_access_control_configuration(self, **members: Any) -> dict[str, Any]:
        """Keep access lists under an id, for documents to refer to."""
        return self._perform("CreateAccessControlConfiguration", self._create_access_control, members)

    def update_access_control_configuration(self, **members: Any) -> dict[str, Any]:
        """Change a configuration; what is given replaces what it has, and holds from the next query on."""
        return self._perform("UpdateAccessControlConfiguration", self._update_access_control, members)

    def describe_access_control_configuration(self, **members: Any) -> dict[str, Any]:
        """What a configuration says."""
        return self._perform("DescribeAccessControlConfiguration", self._describe_access_control, members)

    def delete_access_control_configuration(self, **members: Any) -> dict[str, Any]:
        """Forget a configuration; nobody with a user context sees documents that refer to it."""
        return self._perform("DeleteAccessControlConfiguration", self._delete_access_control, members)

    def list_access_control_configurations(self, **members: Any) -> dict[str, Any]:
        """The ids of an index's configurations, in order; at most 100 a page."""
        return self._perform("ListAccessControlConfigurations", self._list_access_controls, members)

    def _create_access_control(self, members: Mapping[str, Any]) -> dict[str, Any]:
        names = ("IndexId", *_CONTENT, "ClientToken")
        given = known(members, *names, operation="CreateAccessControlConfiguration")
        configurations = self._configurations(given)
        token = given.get("ClientToken")
        if token is not None:
            token = _text(token, "ClientToken", least=1, most=_TOKEN)
        empty = AccessConfiguration(id="", name="", access=AccessList())
        made = self._changed(empty, {"Name": None, **given})
        return {"Id": configurations.create(made, token=token)}

    def _update_access_control(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "Id", *_CONTENT, operation="UpdateAccessControlConfiguration")
        configurations = self._configurations(given)
        configurations.update(self._changed(configurations.get(_uid(given)), given))
        return {}

    def _describe_access_control(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "Id", operation="DescribeAccessControlConfiguration")
        found = self._configurations(given).get(_uid(given))
        response: dict[str, Any] = {"Name": found.name}
        if found.description is not None:
            response["Description"] = found.description
        if found.entries is not None:
            response["AccessControlList"] = [_shown(entry) for entry in found.entries]
        if found.levels is not None:
            response["HierarchicalAccessControlList"] = [
                {"PrincipalList": [_shown(entry) for entry in level]} for level in found.levels
            ]
        return response

    def _delete_access_control(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "Id", operation="DeleteAccessControlConfiguration")
        self._configurations(given).delete(_uid(given))
        return {}

    def _list_access_controls(self, members: Mapping[str, Any]) -> dict[str, Any]:
        names = ("IndexId", "NextToken", "MaxResults")
        given = known(members, *names, operation="ListAccessControlConfigurations")
        most = given.get("MaxResults", _PAGE)
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= _PAGE:
            raise unexpected(f"a whole number from 1 to {_PAGE}", shown(most), path="MaxResults")
        after = given.get("NextToken", "")
        if not isinstance(after, str):
            raise unexpected("text", shown(after), path="NextToken")
        rest = [one.id for one in self._configurations(given).all() if one.id > after]
        response: dict[str, Any] = {"AccessControlConfigurations": [{"Id": uid} for uid in rest[:most]]}
        if len(rest) > most:
            response["NextToken"] = rest[most - 1]
        return response

    def _configurations(self, given: Mapping[str, Any]) -> Configurations:
        return Configurations(Notes(self._index(given.get("IndexId")).index))

    def _changed(self, before: AccessConfiguration, given: Mapping[str, Any]) -> AccessConfiguration:
        """The configuration with what is given in place of what it says."""
        limits = self.settings.limits
        read_access(given, limits=limits)
        after = before
        if "Name" in given:
            name = _text(given["Name"], "Name", least=1, most=_NAME)
            after = msgspec.structs.replace(after, name=name)
        if "Description" in given:
            description = _text(given["Description"], "Description", least=0, most=_DESCRIPTION)
            after = msgspec.structs.replace(after, description=description)
        if "AccessControlList" in given:
            after = msgspec.structs.replace(after, entries=tuple(map(_entry, given["AccessControlList"])))
        if "HierarchicalAccessControlList" in given:
            levels = given["HierarchicalAccessControlList"]
            after = msgspec.structs.replace(
                after, levels=tuple(tuple(map(_entry, level["PrincipalList"])) for level in levels)
            )
        said: dict[str, Any] = {}
        if after.entries is not None:
            said["AccessControlList"] = [_shown(entry) for entry in after.entries]
        if after.levels is not None:
            said["HierarchicalAccessControlList"] = [
                {"PrincipalList": [_shown(entry) for entry in level]} for level in after.levels
            ]
        return msgspec.structs.replace(after, access=read_access(said, limits=limits))


def _uid(given: Mapping[str, Any]) -> str:
    return _text(given.get("Id"), "Id", least=1, most=_UID)


def _text(value: object, path: str, *, least: int, most: int) -> str:
    if not isinstance(value, str) or not least <= len(value) <= most:
        got = f"{len(value)} characters" if isinstance(value, str) else shown(value)
        raise unexpected(f"text of {least} to {most} characters", got, path=path)
    return value


def _entry(given: Mapping[str, Any]) -> Entry:
    return Entry(given["Name"], given["Type"], given["Access"], given.get("DataSourceId"))


def _shown(entry: Entry) -> dict[str, Any]:
    shown = {"Name": entry.name, "Type": entry.type, "Access": entry.access}
    return shown if entry.data_source_id is None else {**shown, "DataSourceId": entry.data_source_id}
