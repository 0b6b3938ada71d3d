"""Every error that ragvec raises on purpose.

    RagvecError
    ├── InvalidRequest              a value breaks a rule of the contract; nothing was changed
    │   ├── InvalidName             bucket or index name
    │   ├── InvalidKey              vector key: empty, too long, repeated within a batch, not encodable
    │   ├── InvalidVector           NaN, infinity, zero norm under cosine, not numbers
    │   │   └── DimensionMismatch   length differs from the dimension of the index
    │   ├── InvalidMetadata         wrong type, too large, too many keys
    │   ├── InvalidFilter           unknown operator, wrong operand, too deep
    │   │   └── NonFilterableKey    a filter names a key declared non-filterable
    │   ├── InvalidToken            nextToken is damaged or belongs to another request
    │   │   └── ExpiredToken        it was good, and its results are no longer kept
    │   ├── InvalidPolicy           a policy document that is not one
    │   └── EmbedderMismatch        another embedder filled this index
    ├── NotFound
    │   ├── BucketNotFound  IndexNotFound  PolicyNotFound  ResourceNotFound  TextFieldNotFound
    ├── Conflict
    │   ├── BucketExists  IndexExists  BucketNotEmpty  TextFieldExists
    ├── QuotaExceeded               a count limit of the dialect (buckets, indexes) is reached
    ├── AccessDenied
    ├── StoreError                  the folder, not the request, is at fault
    │   ├── NotAStore  StoreTooNew  StoreReadOnly  StoreFull  StoreBusy  Corrupted
    ├── DocumentError               one document cannot be loaded, chunked or embedded
    ├── ModelError                  an embedding model is absent, damaged or not the one asked for
    └── MissingExtra                an optional package is needed (also an ImportError)

Errors carry their data as attributes and survive pickling. The core knows no HTTP status and no wire code:
`ragvec.api.dialects` maps classes to those.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AccessDenied",
    "BucketExists",
    "BucketNotEmpty",
    "BucketNotFound",
    "Conflict",
    "Corrupted",
    "DimensionMismatch",
    "DocumentError",
    "EmbedderMismatch",
    "ExpiredToken",
    "IndexExists",
    "IndexNotFound",
    "InvalidFilter",
    "InvalidKey",
    "InvalidMetadata",
    "InvalidName",
    "InvalidPolicy",
    "InvalidRequest",
    "InvalidToken",
    "InvalidVector",
    "MissingExtra",
    "ModelError",
    "NonFilterableKey",
    "NotAStore",
    "NotFound",
    "PolicyNotFound",
    "QuotaExceeded",
    "RagvecError",
    "ResourceNotFound",
    "StoreBusy",
    "StoreError",
    "StoreFull",
    "StoreReadOnly",
    "StoreTooNew",
    "TextFieldExists",
    "TextFieldNotFound",
]


def _rebuild(cls: type[RagvecError], message: str, state: dict[str, Any]) -> RagvecError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class RagvecError(Exception):
    """Base of all errors of this package; `message` is what `str()` gives.

    `subject` names the thing that the message is about, where it is about one; `plain` is the message without it, as
    the services word it.
    """

    plain: str
    subject: str = ""

    def __init__(self, message: str, *, subject: str = "") -> None:
        super().__init__(f"{message}: {subject}" if subject else message)
        self.plain, self.subject = message, subject

    @property
    def message(self) -> str:
        """The text for people: what was expected, what was got, where, and what to do."""
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)


class InvalidRequest(RagvecError):
    """A value of the request breaks a rule; nothing was changed.

    `path` names the place: `/vectors/0/key` for a constraint of the request's shape, `vectors[0].metadata` for one of a
    record's content, as the S3 Vectors service does; empty when the request as a whole is meant. `detail` is the text
    for that place alone where the service words it differently from the message as a whole. `fields` lists every place
    as (path, detail): one where `path` is set, several where several rules were broken at once.
    """

    def __init__(
        self, message: str, *, path: str = "", detail: str = "", fields: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.path = path
        self.detail = detail or message
        self.fields = fields or (((path, self.detail),) if path else ())


class InvalidName(InvalidRequest):
    """A bucket or index name breaks the name rules of the dialect."""


class InvalidKey(InvalidRequest):
    """A vector key is empty, too long, repeated within one batch, or not valid text."""


class InvalidVector(InvalidRequest):
    """A vector holds NaN or infinity after conversion to float32, has zero norm under cosine, or is not numbers.

    `hint` says where in the vector and what, when the message, in the words of the services, does not.
    """

    hint: str = ""


class DimensionMismatch(InvalidVector):
    """A vector's length differs from the dimension of its index."""

    def __init__(self, *, expected: int, got: int, path: str, message: str = "") -> None:
        super().__init__(message or f"Expected float32[{expected}], got float32[{got}] - at `{path}`", path=path)
        self.expected, self.got = expected, got


class InvalidMetadata(InvalidRequest):
    """Metadata of a wrong type, too large, or with too many keys."""


class InvalidFilter(InvalidRequest):
    """A metadata filter that is not well-formed; `path` leads to the node at fault."""


class NonFilterableKey(InvalidFilter):
    """A filter names a key that the index declares non-filterable."""


class InvalidToken(InvalidRequest):
    """A nextToken that is damaged, or that belongs to another request, index or store."""


class ExpiredToken(InvalidToken):
    """A nextToken whose result list is no longer kept; repeat the query without it."""


class InvalidPolicy(InvalidRequest):
    """A bucket policy that is not a JSON policy document."""


class EmbedderMismatch(InvalidRequest):
    """An index was filled by one embedder and is now used with another."""


class NotFound(RagvecError):
    """A named thing does not exist."""


class BucketNotFound(NotFound):
    """No vector bucket has this name."""


class IndexNotFound(NotFound):
    """No index has this name in its bucket, or it was deleted meanwhile."""


class PolicyNotFound(NotFound):
    """The bucket has no policy."""


class ResourceNotFound(NotFound):
    """No resource has this ARN, id or file name."""


class TextFieldNotFound(NotFound):
    """The index has no text search on this metadata key."""


class Conflict(RagvecError):
    """The request contradicts what exists."""


class BucketExists(Conflict):
    """A vector bucket with this name exists already."""


class IndexExists(Conflict):
    """An index with this name exists already in the bucket."""


class BucketNotEmpty(Conflict):
    """A bucket that still holds indexes cannot be deleted."""


class TextFieldExists(Conflict):
    """The index has text search on this metadata key already."""


class QuotaExceeded(RagvecError):
    """A limit on the number of buckets or indexes is reached."""


class AccessDenied(RagvecError):
    """The caller may not do this."""


class StoreError(RagvecError):
    """The folder of the store, not the request, is at fault; `store` is its path."""

    def __init__(self, message: str, *, store: str = "") -> None:
        super().__init__(message)
        self.store = store


class NotAStore(StoreError):
    """The folder is not a ragvec store (and is not empty, so none is made there)."""


class StoreTooNew(StoreError):
    """A newer ragvec wrote this store; this one does not know its format."""


class StoreReadOnly(StoreError):
    """The folder cannot be written: permissions, a read-only file system, or `read_only=True`."""


class StoreFull(StoreError):
    """The disk or quota is full; the store is as it was before the call."""


class StoreBusy(StoreError):
    """Another process kept the write lock longer than the time-out."""


class Corrupted(StoreError):
    """Stored bytes do not match their checksum or their description."""


class DocumentError(RagvecError):
    """One document cannot be loaded, chunked or embedded; `source` names it."""

    def __init__(self, message: str, *, source: str = "") -> None:
        super().__init__(message)
        self.source = source


class ModelError(RagvecError):
    """An embedding model is absent, damaged, or not the one asked for."""


class MissingExtra(RagvecError, ImportError):
    """An optional package is needed; `extra` is the extra of ragvec that brings it."""

    def __init__(self, *, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package}: pip install 'ragvec[{extra}]'")
        self.package, self.extra = package, extra
