"""The words in an index at one moment, without ranking: which rows have them, and which groups of rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ragvec.types import RowArray

__all__ = ["Mask", "WordLists"]

Mask = npt.NDArray[np.bool_]


class WordLists(Protocol):
    """The inverted lists of the text fields at one moment, and the groups of rows that share a text of one metadata
    field. Rows are uint32, ascending, and live; groups are masks bool (number of groups,). For any thread.

    Raises (all methods): InvalidRequest: there is no text field of this key. MissingExtra: the library that tells its
    words apart is not installed.
    """

    generation: int
    """For `IndexEngine.fetch`."""

    def rows(self, key: str, terms: Iterable[str]) -> RowArray:
        """The rows in whose field one of the terms occurs."""
        ...

    def beginning(self, key: str, prefix: str) -> list[str]:
        """The terms of the field that begin so, in any order; perhaps some that occur in no live row."""
        ...

    def groups(self, rows: RowArray) -> Mask:
        """The groups of these rows."""
        ...

    def members(self, groups: Mask) -> RowArray:
        """The rows of these groups."""
        ...

    def names(self, groups: Mask) -> list[str]:
        """The texts that the rows of these groups share, ascending by code point."""
        ...
