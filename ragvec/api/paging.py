"""What the paged operations have in common: the checks of page size, prefix and token, and tokens of lists of names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ragvec.api.access import Session
from ragvec.api.constraints import Constraints
from ragvec.api.requests import QueryVectors
from ragvec.errors import InvalidToken
from ragvec.search.page import decode_token, encode_token, request_digest
from ragvec.search.request import SearchPage

__all__ = ["check_page_request", "name_token", "query_page", "read_token", "start_after"]

Scope = tuple[str | int | None, ...]


class NamePageRequest(Protocol):
    """A request for a page of names."""

    @property
    def max_results(self) -> int | None:
        """The size of the page."""

    @property
    def prefix(self) -> str | None:
        """What the names begin with."""


def check_page_request(session: Session, request: NamePageRequest, *, most: int) -> None:
    """Raise InvalidRequest unless page size and prefix are within the limits."""
    constraints = Constraints(hints=session.dialect.hints)
    constraints.between("/maxResults", request.max_results, low=1, high=most)
    constraints.length("/prefix", request.prefix, low=1, high=session.dialect.limits.prefix_max)
    constraints.unicode("/prefix", request.prefix)
    constraints.check()


def read_token(session: Session, token: str | None, *, longest: int) -> str | None:
    """The token, None for "from the start".

    Raises:
        InvalidToken: it is longer than any token, or empty where the dialect does not take that for the start.
    """
    if token is None or (token == "" and session.dialect.empty_token_starts):
        return None
    constraints = Constraints(hints=session.dialect.hints)
    constraints.length("/nextToken", token, low=1, high=longest, kind=InvalidToken)
    constraints.check()
    return token


def start_after(session: Session, token: str | None, *, scope: Scope, longest: int) -> str | None:
    """The name or key to go on after. `scope` is what the list was asked for. Raises InvalidToken."""
    token = read_token(session, token, longest=longest)
    if token is None:
        return None
    position = decode_token(token, digest=request_digest(*scope), key=session.engine.token_key)
    if not isinstance(position, str):
        raise InvalidToken("nextToken belongs to another kind of request", path="/nextToken")
    return position


def name_token(session: Session, after: str | None, *, scope: Scope) -> str | None:
    """The token that leads on after this name or key, None at the end of the list."""
    if after is None:
        return None
    return encode_token(after, digest=request_digest(*scope), key=session.engine.token_key)


def query_page(
    session: Session,
    request: QueryVectors,
    *,
    digest: bytes,
    first: Callable[[int | None], SearchPage],
    later: Callable[[int, str, int], SearchPage],
) -> SearchPage:
    """The page of a query that the request's token names: `first` is given the page size, `later` also cursor and
    offset. `digest` is that of the request. Raises InvalidToken."""
    limits = session.dialect.limits
    size = request.max_results or limits.query_page
    token = read_token(session, request.next_token, longest=limits.query_token_max)
    if token is None:
        return first(size)
    position = decode_token(token, digest=digest, key=session.engine.token_key)
    if isinstance(position, str) or size is None:
        raise InvalidToken("nextToken belongs to another kind of request", path="/nextToken")
    return later(size, *position)
