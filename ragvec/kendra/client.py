"""A client in the shape of boto3's kendra client, on the indexes of a store in this process."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ragvec.api.client import ACCOUNT, REGION
from ragvec.api.exceptions import ClientExceptions
from ragvec.errors import IndexNotFound, InvalidRequest, RagvecError, ResourceNotFound
from ragvec.kendra.describe import describe_index, is_query_index, summary
from ragvec.kendra.errors import DIALECT, client_error
from ragvec.kendra.index import QueryIndex
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.render import new_query_id, render_query, render_retrieve
from ragvec.kendra.request import read_query, read_retrieve
from ragvec.kendra.settings import Settings

if TYPE_CHECKING:
    from ragvec.store import Store

__all__ = ["Client"]

_ID_LENGTH = 36


class Client:
    """Kendra's operations on the query indexes of a store; safe to use from several threads.

    Methods take Kendra's members by keyword and return what boto3 would. An index is named by its uid. `embedder`
    serves every index in place of the one that its name says. Methods raise `client.exceptions.ClientError`, whose
    `__cause__` is the error of `ragvec.errors`.
    """

    def __init__(
        self,
        store: Store,
        *,
        embedder: Any = None,
        settings: Settings | None = None,
        account: str = ACCOUNT,
        region: str = REGION,
    ) -> None:
        self.store = store
        self.settings = settings or Settings()
        self.account = account
        self.exceptions = ClientExceptions(DIALECT)
        self.meta = SimpleNamespace(
            region_name=region,
            endpoint_url="",
            partition="aws",
            service_model=SimpleNamespace(service_name="kendra", operation_names=sorted(_OPERATIONS.values())),
            method_to_api_mapping=dict(_OPERATIONS),
        )
        self._embedder = embedder
        self._opened: dict[str, QueryIndex] = {}
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<ragvec kendra client on {self.store!r}>"

    def query(self, **members: Any) -> dict[str, Any]:
        """Documents found for QueryText in the index IndexId, with facets and the total."""
        return self._perform("Query", self._query, members)

    def retrieve(self, **members: Any) -> dict[str, Any]:
        """Passages found for QueryText in the index IndexId."""
        return self._perform("Retrieve", self._retrieve, members)

    def describe_index(self, **members: Any) -> dict[str, Any]:
        """What the index with this Id is: its name, fields and figures."""
        return self._perform("DescribeIndex", self._describe_index, members)

    def list_indices(self, **members: Any) -> dict[str, Any]:
        """The query indexes of the store, in order of bucket and name; MaxResults 1 to 100 of them after NextToken."""
        return self._perform("ListIndices", self._list_indices, members)

    def can_paginate(self, operation_name: str) -> bool:
        """False for each of its methods: like boto3's, this client has no paginators."""
        self.meta.method_to_api_mapping[operation_name]
        return False

    def close(self) -> None:
        """Nothing to release; the store is its owner's to close."""

    def _query(self, members: Mapping[str, Any]) -> dict[str, Any]:
        target = self._index(members.get("IndexId"), path="IndexId")
        schema, limits = target.schema, self.settings.limits
        request = read_query(members, schema=schema, settings=self.settings)
        outcome, query_id = target.documents(request), new_query_id()
        return render_query(outcome, request, schema=schema, scale=target.scale, limits=limits, query_id=query_id)

    def _retrieve(self, members: Mapping[str, Any]) -> dict[str, Any]:
        target = self._index(members.get("IndexId"), path="IndexId")
        schema, limits = target.schema, self.settings.limits
        request = read_retrieve(members, schema=schema, settings=self.settings)
        outcome, query_id = target.passages(request), new_query_id()
        return render_retrieve(outcome, request, schema=schema, scale=target.scale, limits=limits, query_id=query_id)

    def _describe_index(self, members: Mapping[str, Any]) -> dict[str, Any]:
        _known(members, "Id", operation="DescribeIndex")
        target = self._index(members.get("Id"), path="Id")
        return describe_index(target.index, schema=target.schema, account=self.account)

    def _list_indices(self, members: Mapping[str, Any]) -> dict[str, Any]:
        _known(members, "NextToken", "MaxResults", operation="ListIndices")
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

    def _index(self, uid: object, *, path: str) -> QueryIndex:
        if not isinstance(uid, str) or len(uid) != _ID_LENGTH:
            raise unexpected(f"the id of an index, of {_ID_LENGTH} characters", shown(uid), path=path)
        try:
            index = self.store.index_by_uid(uid)
        except IndexNotFound as error:
            raise ResourceNotFound(f"There is no index with the id {uid} - at `{path}`") from error
        with self._lock:
            return self._opened.setdefault(uid, QueryIndex(index, embedder=self._embedder, settings=self.settings))

    def _perform(
        self, operation: str, run: Callable[[Mapping[str, Any]], dict[str, Any]], members: Mapping[str, Any]
    ) -> dict[str, Any]:
        try:
            response = run(members)
        except RagvecError as error:
            raise client_error(error, operation=operation) from error
        response["ResponseMetadata"] = {
            "RequestId": str(uuid.uuid4()),
            "HTTPStatusCode": 200,
            "HTTPHeaders": {},
            "RetryAttempts": 0,
        }
        return response


_OPERATIONS = {
    "describe_index": "DescribeIndex",
    "list_indices": "ListIndices",
    "query": "Query",
    "retrieve": "Retrieve",
}


def _known(members: Mapping[str, Any], *names: str, operation: str) -> None:
    unknown = sorted(members.keys() - set(names))
    if unknown:
        raise InvalidRequest(
            f"Unknown member {shown(unknown[0])} of {operation}; known are {', '.join(names)}", path=unknown[0]
        )
