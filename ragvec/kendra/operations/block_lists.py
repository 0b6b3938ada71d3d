"""Block lists of query suggestions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragvec.kendra.learn.blocked import BLOCK_LISTS
from ragvec.kendra.learn.listed import Listed
from ragvec.kendra.learn.members import CLIENT_TOKEN, at, page, s3_path, text, text_or_none
from ragvec.kendra.notes import Notes
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.operations.thesauri import about_members, file_text
from ragvec.kendra.tags import add_tags, drop_tags, read_tags

__all__ = ["BlockListOperations"]

_PART = "query-suggestions-block-list"
_CONTENT = ("Name", "Description", "SourceS3Path", "RoleArn")
_NAME = "[a-zA-Z0-9](-*[a-zA-Z0-9])*"
_ID = 36


class BlockListOperations(Operations):
    """Keep words and phrases out of suggested queries."""

    def create_query_suggestions_block_list(self, **members: Any) -> dict[str, Any]:
        """Block the phrases of a file; it is active at once."""
        return self._perform("CreateQuerySuggestionsBlockList", self._create_block_list, members)

    def describe_query_suggestions_block_list(self, **members: Any) -> dict[str, Any]:
        """What the block list with this Id is."""
        return self._perform("DescribeQuerySuggestionsBlockList", self._describe_block_list, members)

    def update_query_suggestions_block_list(self, **members: Any) -> dict[str, Any]:
        """Change a block list; without SourceS3Path its phrases stay."""
        return self._perform("UpdateQuerySuggestionsBlockList", self._update_block_list, members)

    def delete_query_suggestions_block_list(self, **members: Any) -> dict[str, Any]:
        """Delete a block list; its phrases may be suggested again."""
        return self._perform("DeleteQuerySuggestionsBlockList", self._delete_block_list, members)

    def list_query_suggestions_block_lists(self, **members: Any) -> dict[str, Any]:
        """The block lists of an index: one or none."""
        return self._perform("ListQuerySuggestionsBlockLists", self._list_block_lists, members)

    def _create_block_list(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", *_CONTENT, "Tags", "ClientToken", operation="CreateQuerySuggestionsBlockList")
        notes = Notes(self._index(given.get("IndexId")).index)
        about = {"name": text(given, "Name", most=100, pattern=_NAME), **about_members(given)}
        token = text_or_none(given, "ClientToken", most=CLIENT_TOKEN)
        tags = read_tags(given)
        content = file_text(self.folders, s3_path(given), most=self.settings.limits.block_list_bytes)
        made = BLOCK_LISTS.create(notes, content, token=token, limits=self.settings.limits, **about)
        add_tags(notes, tags, f"{_PART}/{made.id}")
        return {"Id": made.id}

    def _describe_block_list(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "Id", operation="DescribeQuerySuggestionsBlockList")
        index = self._index(given.get("IndexId")).index
        found = BLOCK_LISTS.one(Notes(index), _id(given))
        described = {
            "IndexId": index.uid,
            **_summary(found),
            "Description": found.description,
            "SourceS3Path": found.source,
            "FileSizeBytes": found.bytes,
            "RoleArn": found.role,
        }
        return {name: value for name, value in described.items() if value is not None}

    def _update_block_list(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "Id", *_CONTENT, operation="UpdateQuerySuggestionsBlockList")
        notes = Notes(self._index(given.get("IndexId")).index)
        about = about_members(given)
        if "Name" in given:
            about["name"] = text(given, "Name", most=100, pattern=_NAME)
        content = (
            file_text(self.folders, s3_path(given), most=self.settings.limits.block_list_bytes)
            if "SourceS3Path" in given
            else None
        )
        BLOCK_LISTS.change(notes, _id(given), content, limits=self.settings.limits, **about)
        return {}

    def _delete_block_list(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "Id", operation="DeleteQuerySuggestionsBlockList")
        notes, wanted = Notes(self._index(given.get("IndexId")).index), _id(given)
        BLOCK_LISTS.delete(notes, wanted)
        drop_tags(notes, part=f"{_PART}/{wanted}")
        return {}

    def _list_block_lists(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "NextToken", "MaxResults", operation="ListQuerySuggestionsBlockLists")
        items, token = page(BLOCK_LISTS.all(Notes(self._index(given.get("IndexId")).index)), given)
        response: dict[str, Any] = {"BlockListSummaryItems": [_summary(each) for each in items]}
        return response if token is None else {**response, "NextToken": token}


def _id(members: Mapping[str, Any]) -> str:
    return text(members, "Id", least=_ID, most=_ID)


def _summary(found: Listed) -> dict[str, Any]:
    return {
        "Id": found.id,
        "Name": found.name,
        "Status": "ACTIVE",
        "CreatedAt": at(found.created),
        "UpdatedAt": at(found.updated),
        "ItemCount": found.figures["items"],
    }
