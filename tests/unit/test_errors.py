"""The error tree: drawn where it is defined, and its errors survive pickling with what they carry."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator

import pytest

from ragvec import errors
from ragvec.errors import RagvecError


def tree(kind: type[RagvecError] = RagvecError) -> Iterator[type[RagvecError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == "ragvec.errors":
            yield from tree(below)


def test_every_class_is_drawn_and_offered() -> None:
    names = {kind.__name__ for kind in tree()}
    drawn = set(re.findall(r"\b[A-Z][a-z]+[A-Za-z]+\b", (errors.__doc__ or "").partition("Errors carry")[0]))
    assert names <= drawn
    assert names == set(errors.__all__)


@pytest.mark.parametrize(
    "error",
    [
        errors.IndexNotFound("It is not there", subject="'a'"),
        errors.DimensionMismatch(expected=3, got=2, path="vectors[0]"),
        errors.InvalidFilter("Expected this, got that", path="filter.$and[0]", detail="that"),
        errors.StoreFull("No space", store="/somewhere"),
        errors.DocumentError("Unreadable", source="a.pdf"),
        errors.MissingExtra(package="pandas", extra="notebook", purpose="to_pandas()"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: RagvecError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_messages_name_what_they_are_about() -> None:
    error = errors.IndexNotFound("The specified index could not be found", subject="'a' in bucket 'b'")
    assert (str(error), error.plain) == (
        "The specified index could not be found: 'a' in bucket 'b'",
        "The specified index could not be found",
    )
    mismatch = errors.DimensionMismatch(expected=3, got=2, path="vectors[0]")
    assert str(mismatch) == "Expected float32[3], got float32[2] - at `vectors[0]`"
    missing = errors.MissingExtra(package="pandas", extra="notebook", purpose="to_pandas()")
    assert isinstance(missing, ImportError)
    assert str(missing) == "to_pandas() needs the package pandas: pip install 'ragvec[notebook]'"
