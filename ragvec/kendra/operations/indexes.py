"""Indexes: what they are and which there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragvec.kendra.describe import describe_index, is_query_index, summary
from ragvec.kendra.operations.base import Operations, known
from ragvec.kendra.problems import shown, unexpected

__all__ = ["IndexOperations"]


class IndexOperations(Operations):
    """Look after indexes."""

    def describe_index(self, **members: Any) -> dict[str, Any]:
        """What the index with this Id is: its name, fields and figures."""
        return self._perform("DescribeIndex", self._describe_index, members)

    def list_indices(self, **members: Any) -> dict[str, Any]:
        """The query indexes of the store, in order of bucket and name; MaxResults 1 to 100 of them after NextToken."""
        return self._perform("ListIndices", self._list_indices, members)

    def _describe_index(self, members: Mapping[str, Any]) -> dict[str, Any]:
        known(members, "Id", operation="DescribeIndex")
        target = self._index(members.get("Id"), path="Id")
        return describe_index(target.index, schema=target.schema, account=self.account)

    def _list_indices(self, members: Mapping[str, Any]) -> dict[str, Any]:
        known(members, "NextToken", "MaxResults", operation="ListIndices")
        most = members.get("MaxResults")
        longest = self.settings.limits.page_of_indices
        most = longest if most is None else most
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= longest:
            raise unexpected(f"a whole number from 1 to {longest}", shown(most), path="MaxResults")
        token = members.get("NextToken")
        if token is not None and not isinstance(token, str):
            raise unexpected("text", shown(token), path="NextToken")
        after = tuple((token or "").split("/", 1))  # neither bucket nor index names hold a slash
        indexes = [index for bucket in self.store.buckets() for index in bucket.indexes() if is_query_index(index)]
        rest = [index for index in indexes if (index.bucket.name, index.name) > after]
        response: dict[str, Any] = {"IndexConfigurationSummaryItems": [summary(index) for index in rest[:most]]}
        if len(rest) > most:
            response["NextToken"] = f"{rest[most - 1].bucket.name}/{rest[most - 1].name}"
        return response
