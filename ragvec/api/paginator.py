"""Paginators of the client, in boto3's shape."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest

__all__ = ["PAGINATED", "PageIterator", "Paginated", "Paginator"]

Call = Callable[..., "dict[str, Any]"]

_TRUNCATED = "boto_truncate_amount"


class Paginated(msgspec.Struct, frozen=True):
    """How an operation is paged: the list in its response, and what of the first page belongs to the whole."""

    result_key: str
    kept: tuple[str, ...] = ()


PAGINATED = {
    "ListVectorBuckets": Paginated("vectorBuckets"),
    "ListIndexes": Paginated("indexes"),
    "ListVectors": Paginated("vectors"),
    "QueryVectors": Paginated("vectors", kept=("distanceMetric",)),
}


class PageIterator:
    """The pages of one request; each iteration asks anew. Where `MaxItems` ended it, `resume_token` goes on."""

    def __init__(self, call: Call, paged: Paginated, *, config: dict[str, Any], arguments: dict[str, Any]) -> None:
        self._call = call
        self._paged = paged
        self._arguments = arguments
        self._most: int | None = _count(config.get("MaxItems"))
        self._page_size: int | None = _count(config.get("PageSize"))
        self._start: str | None = config.get("StartingToken")
        self.resume_token: str | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        key = self._paged.result_key
        arguments = dict(self._arguments)
        if self._page_size is not None:
            arguments["maxResults"] = self._page_size
        token, skip = (None, 0) if self._start is None else _read(self._start)
        self.resume_token = None
        seen = 0
        while True:
            if token is not None:
                arguments["nextToken"] = token
            page = self._call(**arguments)
            items = page[key][skip:]
            left = None if self._most is None else self._most - seen
            if left is not None and len(items) > left:
                page[key] = items[:left]
                self.resume_token = _write(token, skip + left)
                yield page
                return
            page[key] = items
            seen, skip = seen + len(items), 0
            yield page
            token = page.get("nextToken")
            if not token:
                return
            if seen == self._most:
                self.resume_token = _write(token, 0)
                return

    def build_full_result(self) -> dict[str, Any]:
        """All pages as one response, with "NextToken" when `MaxItems` ended it early."""
        result: dict[str, Any] = {self._paged.result_key: []}
        for number, page in enumerate(self):
            result[self._paged.result_key].extend(page[self._paged.result_key])
            if number == 0:
                result.update({name: page[name] for name in self._paged.kept})
        if self.resume_token is not None:
            result["NextToken"] = self.resume_token
        return result

    def search(self, expression: str) -> Iterator[Any]:
        """What a JMESPath expression finds in each page, lists item by item."""
        from ragvec.extras import require

        compiled = require("jmespath", extra="all", purpose="Searching pages by JMESPath").compile(expression)
        for page in self:
            found = compiled.search(page)
            if isinstance(found, list):
                yield from found
            else:
                yield found


class Paginator:
    """Makes the page iterators of one operation; `page_size` tells whether the size of its pages can be chosen."""

    def __init__(self, call: Call, paged: Paginated, *, page_size: bool) -> None:
        self._call = call
        self._paged = paged
        self._page_size = page_size

    def paginate(self, **arguments: Any) -> PageIterator:
        """The pages of the operation with these parameters.

        `PaginationConfig` may hold `MaxItems` (items in all), `PageSize` (items a page) and `StartingToken` (a
        `resume_token`, a "NextToken", or the `nextToken` of a page).
        """
        config = dict(arguments.pop("PaginationConfig", None) or {})
        unknown = sorted(set(config) - {"MaxItems", "PageSize", "StartingToken"})
        if unknown:
            raise InvalidRequest(f"Unknown PaginationConfig {unknown[0]!r}; expected MaxItems, PageSize, StartingToken")
        if config.get("PageSize") is not None and not self._page_size:
            raise InvalidRequest("PageSize is not supported for this operation; leave it out")
        return PageIterator(self._call, self._paged, config=config, arguments=arguments)


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _write(token: str | None, skip: int) -> str:
    # The form that boto3 gives its own resume tokens.
    document: dict[str, Any] = {"nextToken": token}
    if skip:
        document[_TRUNCATED] = skip
    return base64.b64encode(json.dumps(document).encode()).decode()


def _read(token: str) -> tuple[str | None, int]:
    try:
        document = json.loads(base64.b64decode(token))
    except (binascii.Error, ValueError, RecursionError):
        return token, 0
    if not isinstance(document, dict) or not set(document) <= {"nextToken", _TRUNCATED}:
        return token, 0
    given, skip = document.get("nextToken"), document.get(_TRUNCATED, 0)
    if not isinstance(given, (str, type(None))) or type(skip) is not int or skip < 0:
        return token, 0
    return given, skip
