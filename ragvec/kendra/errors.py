"""Errors as Kendra sends them: the wire code and HTTP status for each class of `ragvec.errors`."""

from __future__ import annotations

from typing import Any

import msgspec

from ragvec import errors
from ragvec.api.dialects import NATIVE, Dialect, WireError
from ragvec.api.exceptions import ClientError
from ragvec.api.exceptions import client_error as error_of_dialect

__all__ = ["DIALECT", "FeaturedResultsConflict", "UnknownQuery", "client_error"]


class FeaturedResultsConflict(errors.Conflict):
    """A query text belongs to another featured results set; `items` are Kendra's ConflictingItems."""

    def __init__(self, message: str, *, items: tuple[dict[str, Any], ...]) -> None:
        super().__init__(message)
        self.items = items


class UnknownQuery(errors.ResourceNotFound):
    """Feedback on a query or a result that the journal of the index does not hold."""


DIALECT: Dialect = msgspec.structs.replace(
    NATIVE,
    name="kendra",
    errors={
        errors.RagvecError: WireError(500, "InternalServerException"),
        errors.InvalidRequest: WireError(400, "ValidationException"),
        errors.NotFound: WireError(400, "ResourceNotFoundException"),
        errors.Conflict: WireError(400, "ConflictException"),
        FeaturedResultsConflict: WireError(400, "FeaturedResultsConflictException"),
        UnknownQuery: WireError(400, "ResourceUnavailableException"),
        errors.QuotaExceeded: WireError(400, "ServiceQuotaExceededException"),
        errors.AccessDenied: WireError(400, "AccessDeniedException"),
        errors.StoreBusy: WireError(400, "ThrottlingException"),
    },
    refined_errors={
        (errors.InvalidRequest, "GetSnapshots"): WireError(400, "InvalidRequestException"),
        # Nothing here raises it; programs name it in `except client.exceptions.ResourceInUseException`.
        (errors.Conflict, "StartDataSourceSyncJob"): WireError(400, "ResourceInUseException"),
        (errors.IndexExists, "CreateIndex"): WireError(400, "ResourceAlreadyExistException"),
        **{
            (errors.ResourceNotFound, operation): WireError(400, "ResourceUnavailableException")
            for operation in ("TagResource", "UntagResource", "ListTagsForResource")
        },
    },
)
"""The error table of the query layer, in the form that the shared error machinery reads; nothing else of it counts."""


def client_error(error: errors.RagvecError, *, operation: str) -> ClientError:
    """The error that a client raises for `error`, in the shape that boto3 gives Kendra's."""
    raised = error_of_dialect(error, operation=operation, dialect=DIALECT)
    raised.response.pop("fieldList", None)
    if isinstance(error, FeaturedResultsConflict):
        raised.response["ConflictingItems"] = [dict(item) for item in error.items]
    return raised
