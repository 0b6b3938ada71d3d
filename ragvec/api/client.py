"""A client in the shape of boto3's s3vectors client, on a store in this process.

Operations are methods in snake case with keyword parameters in camel case; responses are dicts. Code written for boto3
runs unchanged when it is given this client.
"""

from __future__ import annotations

import datetime
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import msgspec

from ragvec.api.access import Session
from ragvec.api.decode import parameters
from ragvec.api.dialects import dialect as dialect_named
from ragvec.api.exceptions import ClientExceptions, client_error, request_id
from ragvec.api.operations import OPERATIONS, perform
from ragvec.api.paginator import PAGINATED, Paginator
from ragvec.engine.protocol import Engine
from ragvec.errors import InvalidRequest, RagvecError

__all__ = ["ACCOUNT", "REGION", "Client", "connect"]

ACCOUNT = "000000000000"
REGION = "local"


class OperationMethod(Protocol):
    """One operation of a client."""

    def __call__(self, **arguments: Any) -> dict[str, Any]:
        """Do it, and return the response."""
        ...


def connect(
    path: str | Path,
    *,
    dialect: str = "native",
    read_only: bool = False,
    backend: str | None = None,
    account: str = ACCOUNT,
    region: str = REGION,
) -> Client:
    """Open the store at `path` (made when the folder is absent or empty) and return a client on it.

    `dialect` is native, s3, oss, cos or tos: whose limits, name rules, filters and distances hold. `backend` is the
    library of the approximate index: "scann", "faiss", or "exact" for none; by default the best one here. `account` and
    `region` go into ARNs.

    Raises:
        StoreError: the folder cannot be opened; see its subclasses.
        InvalidRequest: there is no such dialect or backend. MissingExtra: the backend is not installed.
    """
    from ragvec.engine.local.engine import LocalEngine

    dialect_named(dialect)
    engine = LocalEngine(path, read_only=read_only, backend=backend)
    return Client(engine, dialect=dialect, account=account, region=region, endpoint_url=Path(path).absolute().as_uri())


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _operation(name: str) -> Any:
    """A method that does the operation; its signature and documentation come from the request."""
    kind = OPERATIONS[name].request

    def method(self: Client, **arguments: Any) -> dict[str, Any]:
        return self._perform(name, arguments)

    method.__name__ = method.__qualname__ = _snake(name)
    method.__doc__ = kind.__doc__
    fields = msgspec.structs.fields(kind)
    method.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # typeshed has no such attribute
        [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        + [
            inspect.Parameter(
                field.encode_name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.required else None,
            )
            for field in sorted(fields, key=lambda field: not field.required)
        ]
    )
    return method


class Client:
    """The operations of one dialect on one engine, for any number of threads; a context manager that closes it.

    Methods raise `client.exceptions.ClientError`, whose `__cause__` is the error of `ragvec.errors`.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        dialect: str = "native",
        account: str = ACCOUNT,
        region: str = REGION,
        endpoint_url: str = "",
    ) -> None:
        self.session = Session(engine, dialect_named(dialect), account, region)
        self.exceptions = ClientExceptions(self.session.dialect)
        self.meta = SimpleNamespace(
            region_name=region,
            endpoint_url=endpoint_url,
            partition="aws",
            service_model=SimpleNamespace(service_name="s3vectors", operation_names=sorted(OPERATIONS)),
            method_to_api_mapping={_snake(name): name for name in OPERATIONS},
        )

    create_vector_bucket: OperationMethod = _operation("CreateVectorBucket")
    get_vector_bucket: OperationMethod = _operation("GetVectorBucket")
    list_vector_buckets: OperationMethod = _operation("ListVectorBuckets")
    delete_vector_bucket: OperationMethod = _operation("DeleteVectorBucket")
    put_vector_bucket_default_index_mode: OperationMethod = _operation("PutVectorBucketDefaultIndexMode")
    put_vector_bucket_policy: OperationMethod = _operation("PutVectorBucketPolicy")
    get_vector_bucket_policy: OperationMethod = _operation("GetVectorBucketPolicy")
    delete_vector_bucket_policy: OperationMethod = _operation("DeleteVectorBucketPolicy")
    create_index: OperationMethod = _operation("CreateIndex")
    get_index: OperationMethod = _operation("GetIndex")
    list_indexes: OperationMethod = _operation("ListIndexes")
    delete_index: OperationMethod = _operation("DeleteIndex")
    update_index_mode: OperationMethod = _operation("UpdateIndexMode")
    update_metadata_configuration: OperationMethod = _operation("UpdateMetadataConfiguration")
    put_vectors: OperationMethod = _operation("PutVectors")
    get_vectors: OperationMethod = _operation("GetVectors")
    list_vectors: OperationMethod = _operation("ListVectors")
    query_vectors: OperationMethod = _operation("QueryVectors")
    delete_vectors: OperationMethod = _operation("DeleteVectors")
    count_vectors: OperationMethod = _operation("CountVectors")
    tag_resource: OperationMethod = _operation("TagResource")
    untag_resource: OperationMethod = _operation("UntagResource")
    list_tags_for_resource: OperationMethod = _operation("ListTagsForResource")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ragvec client, {self.session.dialect.name} dialect, at {self.meta.endpoint_url or 'its engine'}>"

    def close(self) -> None:
        """Close the store, after background work has ended."""
        self.session.engine.close()

    def can_paginate(self, operation_name: str) -> bool:
        """Whether the method of this name has a paginator."""
        return self.meta.method_to_api_mapping.get(operation_name) in PAGINATED

    def get_paginator(self, operation_name: str) -> Paginator:
        """The paginator of the method of this name, such as "list_vectors".

        Raises:
            InvalidRequest: the operation is not paged, or there is none of that name.
        """
        if not self.can_paginate(operation_name):
            names = ", ".join(sorted(_snake(name) for name in PAGINATED))
            raise InvalidRequest(f"Operation cannot be paginated: {operation_name}; expected one of {names}")
        call: Callable[..., dict[str, Any]] = getattr(self, operation_name)
        name = self.meta.method_to_api_mapping[operation_name]
        known = parameters(OPERATIONS[name].request, operation=name, dialect=self.session.dialect)
        return Paginator(call, PAGINATED[name], page_size="maxResults" in known)

    def _perform(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = perform(self.session, operation, arguments=arguments)
        except RagvecError as error:
            raise client_error(error, operation=operation, dialect=self.session.dialect) from error
        document = response.document()
        for part in _timed(document):
            part["creationTime"] = datetime.datetime.fromtimestamp(part["creationTime"], datetime.timezone.utc)
        document["ResponseMetadata"] = {
            "RequestId": request_id(),
            "HTTPStatusCode": 200,
            "HTTPHeaders": {},
            "RetryAttempts": 0,
        }
        return document


def _timed(document: dict[str, Any]) -> list[dict[str, Any]]:
    single = [document[key] for key in ("vectorBucket", "index") if key in document]
    return [*single, *document.get("vectorBuckets", ()), *document.get("indexes", ())]
