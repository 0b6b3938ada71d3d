"""Whether keys that come in batches are all different, in eight bytes a key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Distinct"]


class Distinct:
    """The keys seen so far, by a hash of 64 bits: among ten million different keys two are taken for equal in one of
    300,000 files, and in none when the file is read again, since the hash is another in every process."""

    def __init__(self) -> None:
        self._hashes: list[npt.NDArray[np.int64]] = []
        self._numbers: list[npt.NDArray[np.int64]] = []

    def add(self, keys: Sequence[str], numbers: Sequence[int]) -> tuple[int, int, str] | None:
        """Add keys with their line or row numbers; the two numbers and the key of one that is there twice, else
        None."""
        hashes = np.fromiter(map(hash, keys), dtype=np.int64, count=len(keys))
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        places = np.asarray(numbers, dtype=np.int64)[order]
        same = np.flatnonzero(ordered[1:] == ordered[:-1])
        if len(same):
            at = int(same[0])
            return int(places[at]), int(places[at + 1]), keys[int(order[at + 1])]
        for earlier, where in zip(self._hashes, self._numbers, strict=True):
            found = np.searchsorted(earlier, ordered)
            found[found == len(earlier)] = 0
            same = np.flatnonzero(earlier[found] == ordered)
            if len(same):
                at = int(same[0])
                return int(where[found[at]]), int(places[at]), keys[int(order[at])]
        self._hashes.append(ordered)
        self._numbers.append(places)
        # Of similar length they become one, so that there are few to look through.
        while len(self._hashes) > 1 and len(self._hashes[-2]) <= 2 * len(self._hashes[-1]):
            hashes = np.concatenate([self._hashes.pop(), self._hashes.pop()])
            places = np.concatenate([self._numbers.pop(), self._numbers.pop()])
            order = np.argsort(hashes, kind="stable")
            self._hashes.append(hashes[order])
            self._numbers.append(places[order])
        return None
