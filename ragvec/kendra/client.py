"""A client in the shape of boto3's kendra client, on the indexes of a store in this process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ragvec.api.client import ACCOUNT, REGION
from ragvec.api.exceptions import ClientExceptions
from ragvec.kendra.errors import DIALECT
from ragvec.kendra.files import Folders
from ragvec.kendra.operations.access_controls import ACCESS_CONTROLS, AccessControlOperations
from ragvec.kendra.operations.base import BUCKET
from ragvec.kendra.operations.data_sources import DATA_SOURCES, DataSourceOperations
from ragvec.kendra.operations.documents import DOCUMENTS, DocumentOperations
from ragvec.kendra.operations.faqs import FAQS, FaqOperations
from ragvec.kendra.operations.indexes import INDEXES, IndexOperations
from ragvec.kendra.operations.learning import LEARNING, LearningOperations
from ragvec.kendra.operations.principals import PRINCIPALS, PrincipalOperations
from ragvec.kendra.operations.searching import SearchOperations
from ragvec.kendra.operations.tags import TAGGING, TagOperations
from ragvec.kendra.settings import Settings

if TYPE_CHECKING:
    from ragvec.store import Store

__all__ = ["Client"]


class Client(
    SearchOperations,
    LearningOperations,
    AccessControlOperations,
    PrincipalOperations,
    IndexOperations,
    DocumentOperations,
    DataSourceOperations,
    FaqOperations,
    TagOperations,
):
    """Kendra's operations on the query indexes of a store; safe to use from several threads.

    Methods take Kendra's members by keyword and return what boto3 would. An index is named by its uid. `embedder`
    serves every index in place of the one that its name says, and fills new ones; they are made in `bucket`. `folders`
    are those that stand for the buckets that requests name by S3Path. Methods raise `client.exceptions.ClientError`,
    whose `__cause__` is the error of `ragvec.errors`, and `ParamValidationError` for what boto3 would not send.
    """

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
        super().__init__(
            store,
            embedder=embedder,
            settings=settings,
            account=account,
            region=region,
            bucket=bucket,
            folders=folders,
        )
        self.exceptions = ClientExceptions(DIALECT)
        self.meta = SimpleNamespace(
            region_name=region,
            endpoint_url="",
            partition="aws",
            service_model=SimpleNamespace(service_name="kendra", operation_names=sorted(_OPERATIONS.values())),
            method_to_api_mapping=dict(_OPERATIONS),
        )

    def __repr__(self) -> str:
        return f"<ragvec kendra client on {self.store!r}>"

    def can_paginate(self, operation_name: str) -> bool:
        """False for each of its methods: like boto3's, this client has no paginators."""
        self.meta.method_to_api_mapping[operation_name]
        return False

    def close(self) -> None:
        """Nothing to release; the store is its owner's to close."""


_OPERATIONS = {
    **ACCESS_CONTROLS,
    **PRINCIPALS,
    **LEARNING,
    **DATA_SOURCES,
    **DOCUMENTS,
    **FAQS,
    **INDEXES,
    **TAGGING,
    "query": "Query",
    "retrieve": "Retrieve",
}
