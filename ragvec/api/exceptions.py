"""The errors that a client raises: one class a wire code, each catchable as boto3's errors are.

A class here is also a subclass of `botocore.exceptions.ClientError` whenever that module is imported in the process,
so code that catches that one needs no change. This package never imports botocore.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any

from ragvec.api.dialects import Dialect, wire_error
from ragvec.errors import InvalidRequest, RagvecError

__all__ = ["ClientError", "ClientExceptions", "client_error", "request_id"]

_SERVICE_CODES = (
    "AccessDeniedException",
    "ConflictException",
    "InternalServerException",
    "KmsDisabledException",
    "KmsInvalidKeyUsageException",
    "KmsInvalidStateException",
    "KmsNotFoundException",
    "NotFoundException",
    "RequestTimeoutException",
    "ServiceQuotaExceededException",
    "ServiceUnavailableException",
    "TooManyRequestsException",
    "ValidationException",
)


class ClientError(RagvecError):
    """An operation failed; `response` says how, in boto3's shape, and `__cause__` is the error of ragvec itself.

    `response` has "Error" with "Code" and "Message", "ResponseMetadata" with "HTTPStatusCode" and "RequestId",
    "message", and for faults of the request "fieldList", a list of {"path", "message"}.
    """

    def __init__(self, response: dict[str, Any], operation_name: str) -> None:
        error = response.get("Error", {})
        code, message = error.get("Code", "Unknown"), error.get("Message", "Unknown")
        # Not super().__init__: the next class may be botocore's ClientError, which takes other arguments.
        Exception.__init__(self, f"An error occurred ({code}) when calling the {operation_name} operation: {message}")
        self.response = response
        self.operation_name = operation_name

    def __reduce__(self) -> tuple[Any, ...]:
        return _raised, (self.response, self.operation_name)


class ClientExceptions:
    """The exception classes of a client, by wire code: `client.exceptions.NotFoundException`."""

    def __init__(self, dialect: Dialect) -> None:
        codes = {each.code for each in (*dialect.errors.values(), *dialect.refined_errors.values())}
        if "ValidationException" in codes:
            codes.update(_SERVICE_CODES)
        self._codes = tuple(sorted(codes))
        self.ClientError = ClientError

    def from_code(self, error_code: str) -> type[ClientError]:
        """The class for this wire code; `ClientError` itself for one that the dialect does not have."""
        return _class_of(error_code) if error_code in self._codes else ClientError

    def __getattr__(self, name: str) -> type[ClientError]:
        if name in self.__dict__.get("_codes", ()):
            return _class_of(name)
        raise AttributeError(f"There is no exception {name}; there are: {', '.join(self._codes)}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._codes})


def client_error(error: RagvecError, *, operation: str, dialect: Dialect) -> ClientError:
    """The error that a client raises for an error of ragvec itself; its `__cause__` is for the caller to set."""
    wire = wire_error(dialect, error, operation=operation)
    message = error.plain if error.subject and not dialect.hints else error.message
    response: dict[str, Any] = {
        "Error": {"Code": wire.code, "Message": message},
        "ResponseMetadata": {
            "RequestId": request_id(),
            "HTTPStatusCode": wire.status,
            "HTTPHeaders": {},
            "RetryAttempts": 0,
        },
        "message": message,
    }
    if isinstance(error, InvalidRequest) and error.fields:
        response["fieldList"] = [{"path": path, "message": text} for path, text in error.fields]
    return _raised(response, operation)


def _raised(response: dict[str, Any], operation_name: str) -> ClientError:
    code = response["Error"]["Code"]
    botocore: Any = sys.modules.get("botocore.exceptions")
    kind = _class_of(code) if botocore is None else _class_for_botocore(code, botocore.ClientError)
    return kind(response, operation_name)


@cache
def _class_of(code: str) -> type[ClientError]:
    return type(code, (ClientError,), {"__module__": __name__, "__doc__": f"The service answered {code}."})


@cache
def _class_for_botocore(code: str, base: type[Exception]) -> type[ClientError]:
    ours = _class_of(code)
    return type(code, (ours, base), {"__module__": __name__, "__doc__": ours.__doc__})


def request_id() -> str:
    """A random UUID (version 4) as text; `uuid.uuid4` takes ten times as long."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
