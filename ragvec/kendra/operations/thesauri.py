"""Thesauri."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragvec.errors import InvalidRequest
from ragvec.kendra.files import Folders, read_named_file
from ragvec.kendra.learn.listed import Listed
from ragvec.kendra.learn.members import CLIENT_TOKEN, ID, at, page, s3_path, text, text_or_none
from ragvec.kendra.learn.thesaurus import THESAURI
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.tags import add_tags, drop_tags, read_tags

__all__ = ["ThesaurusOperations", "about_members", "file_text"]

_PART = "thesaurus"
_CONTENT = ("Name", "Description", "RoleArn", "SourceS3Path")


class ThesaurusOperations(Operations):
    """Give an index synonyms."""

    def create_thesaurus(self, **members: Any) -> dict[str, Any]:
        """Give the index the synonyms of a file; it is active at once."""
        return self._perform("CreateThesaurus", self._create_thesaurus, members)

    def describe_thesaurus(self, **members: Any) -> dict[str, Any]:
        """What the thesaurus with this Id is."""
        return self._perform("DescribeThesaurus", self._describe_thesaurus, members)

    def update_thesaurus(self, **members: Any) -> dict[str, Any]:
        """Change a thesaurus; without SourceS3Path its synonyms stay."""
        return self._perform("UpdateThesaurus", self._update_thesaurus, members)

    def delete_thesaurus(self, **members: Any) -> dict[str, Any]:
        """Delete a thesaurus; queries are no longer expanded by it."""
        return self._perform("DeleteThesaurus", self._delete_thesaurus, members)

    def list_thesauri(self, **members: Any) -> dict[str, Any]:
        """The thesauri of an index: one or none."""
        return self._perform("ListThesauri", self._list_thesauri, members)

    def _create_thesaurus(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", *_CONTENT, "Tags", "ClientToken", operation="CreateThesaurus")
        notes = Notes(self._index(given.get("IndexId")).index)
        about = {"name": text(given, "Name", most=100, pattern=ID), **about_members(given)}
        token = text_or_none(given, "ClientToken", most=CLIENT_TOKEN)
        tags = read_tags(given)
        content = file_text(self.folders, s3_path(given), most=self.settings.limits.thesaurus_bytes)
        made = THESAURI.create(notes, content, token=token, limits=self.settings.limits, **about).id
        add_tags(notes, tags, f"{_PART}/{made}")
        return {"Id": made}

    def _describe_thesaurus(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "Id", operation="DescribeThesaurus")
        index = self._index(given.get("IndexId")).index
        found = THESAURI.one(Notes(index), text(given, "Id", most=100))
        described = {
            "IndexId": index.uid,
            **_summary(found),
            "Description": found.description,
            "RoleArn": found.role,
            "SourceS3Path": found.source,
            "FileSizeBytes": found.bytes,
            "TermCount": found.figures["terms"],
            "SynonymRuleCount": found.figures["rules"],
        }
        return {name: value for name, value in described.items() if value is not None}

    def _update_thesaurus(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "Id", *_CONTENT, operation="UpdateThesaurus")
        notes = Notes(self._index(given.get("IndexId")).index)
        about = about_members(given)
        if "Name" in given:
            about["name"] = text(given, "Name", most=100, pattern=ID)
        content = (
            file_text(self.folders, s3_path(given), most=self.settings.limits.thesaurus_bytes)
            if "SourceS3Path" in given
            else None
        )
        THESAURI.change(notes, text(given, "Id", most=100), content, limits=self.settings.limits, **about)
        return {}

    def _delete_thesaurus(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "Id", operation="DeleteThesaurus")
        notes, wanted = Notes(self._index(given.get("IndexId")).index), text(given, "Id", most=100)
        THESAURI.delete(notes, wanted)
        drop_tags(notes, part=f"{_PART}/{wanted}")
        return {}

    def _list_thesauri(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "NextToken", "MaxResults", operation="ListThesauri")
        items, token = page(THESAURI.all(Notes(self._index(given.get("IndexId")).index)), given)
        response: dict[str, Any] = {"ThesaurusSummaryItems": [_summary(each) for each in items]}
        return response if token is None else {**response, "NextToken": token}


def file_text(folders: Folders, named: Mapping[str, str], *, most: int) -> str:
    """The text of a file that a request names. Raises InvalidRequest: it cannot be read, or is not UTF-8."""
    content = read_named_file(folders, named, most=most, path="SourceS3Path")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"Expected text in UTF-8, got the byte 0x{content[error.start]:02x} at {error.start} - at `SourceS3Path`",
            path="SourceS3Path",
        ) from error


def about_members(members: Mapping[str, Any]) -> dict[str, Any]:
    """What the members say of a thesaurus, or a block list, beside its name and text: description, role and source."""
    about: dict[str, Any] = {}
    if "Description" in members:
        about["description"] = text(members, "Description", least=0, most=1000, printable=True)
    if "RoleArn" in members:
        about["role"] = text(members, "RoleArn", least=0, most=1284)
    if "SourceS3Path" in members:
        about["source"] = s3_path(members)
    return about


def _summary(found: Listed) -> dict[str, Any]:
    return {
        "Id": found.id,
        "Name": found.name,
        "Status": "ACTIVE",
        "CreatedAt": at(found.created),
        "UpdatedAt": at(found.updated),
    }
