"""What every group of operations needs: indexes by their id, and the way from members to a response or an error."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

from ragvec.api.client import ACCOUNT, REGION
from ragvec.errors import IndexNotFound, InvalidRequest, RagvecError, ResourceNotFound
from ragvec.kendra.errors import client_error
from ragvec.kendra.faqs.stored import OWNER_PROPERTY
from ragvec.kendra.files import Folders
from ragvec.kendra.index import QueryIndex
from ragvec.kendra.model.check import ParamValidationError, check_request
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.settings import Settings

if TYPE_CHECKING:
    from ragvec.store import Store

__all__ = ["BUCKET", "Operations", "known"]

BUCKET = "kendra"
"""The bucket in which CreateIndex makes indexes, unless the client is told another."""

_ID_LENGTH = 36


class Operations:
    """A client of the query indexes of a store, of which subclasses hold the operations by subject."""

    def __init__(
        self,
        store: Store,
        *,
        embedder: Any = None,
        settings: Settings | None = None,
        account: str = ACCOUNT,
        region: str = REGION,
        bucket: str = BUCKET,
        folders: Folders | None = None,
    ) -> None:
        self.store = store
        self.settings = settings or Settings()
        self.account = account
        self.region = region
        self.bucket = bucket
        self.folders: Folders = folders or {}
        self._embedder = embedder
        self._opened: dict[str, QueryIndex] = {}
        self._lock = Lock()

    def _index(self, uid: object, *, path: str = "IndexId") -> QueryIndex:
        """The query index with this id. Raises InvalidRequest, ResourceNotFound."""
        if not isinstance(uid, str) or len(uid) != _ID_LENGTH:
            raise unexpected(f"the id of an index, of {_ID_LENGTH} characters", shown(uid), path=path)
        try:
            index = self.store.index_by_uid(uid)
        except IndexNotFound as error:
            raise ResourceNotFound(f"There is no index with the id {uid} - at `{path}`") from error
        if uid not in self._opened and index.property(OWNER_PROPERTY) is not None:
            raise ResourceNotFound(f"There is no index with the id {uid}, but FAQs of another - at `{path}`")
        with self._lock:
            return self._opened.setdefault(uid, QueryIndex(index, embedder=self._embedder, settings=self.settings))

    def _perform(
        self, operation: str, run: Callable[[Mapping[str, Any]], dict[str, Any]], members: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The response of `run`, with boto3's metadata; an error of ragvec becomes Kendra's.

        Raises:
            ParamValidationError: the members do not have the shape of the request; as from boto3, no ClientError.
        """
        try:
            check_request(operation, members)
            response = run(members)
        except ParamValidationError:
            raise
        except RagvecError as error:
            raise client_error(error, operation=operation) from error
        response["ResponseMetadata"] = {
            "RequestId": str(uuid.uuid4()),
            "HTTPStatusCode": 200,
            "HTTPHeaders": {},
            "RetryAttempts": 0,
        }
        return response


def known(members: Mapping[str, Any], *names: str, operation: str) -> dict[str, Any]:
    """The members that are given. Raises InvalidRequest: one is none of these names."""
    unknown = sorted(members.keys() - set(names))
    if unknown:
        raise InvalidRequest(
            f"Unknown member {shown(unknown[0])} of {operation}; known are {', '.join(names)}", path=unknown[0]
        )
    return {name: value for name, value in members.items() if value is not None}
