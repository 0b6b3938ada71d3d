"""Looking up many byte strings among many sorted ones, eight bytes of all of them at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Spans", "common"]

_Positions = npt.NDArray[np.int64]
_Keys = npt.NDArray[np.uint64]

_WIDTH = 8
_SAMPLED = 8


class Spans:
    """Sorted distinct byte strings, of which string i is `blob[starts[i]:starts[i + 1]]`."""

    def __init__(self, blob: npt.NDArray[np.uint8], starts: npt.NDArray[np.unsignedinteger]) -> None:
        if len(blob) < _WIDTH:
            blob = np.concatenate([blob, np.zeros(_WIDTH - len(blob), np.uint8)])
        self._starts = starts
        # The eight bytes from every place of the blob on, as big-endian numbers, which sort as the bytes do.
        self._words = np.ndarray((len(blob) - _WIDTH + 1,), ">u8", buffer=blob.data, strides=(1,))
        self._samples: dict[int, _Keys] = {}

    def __len__(self) -> int:
        return len(self._starts) - 1

    def lengths(self, positions: _Positions) -> _Positions:
        """The lengths of the strings at these positions."""
        ends: _Positions = self._starts[positions + 1].astype(np.int64)
        return ends - self._starts[positions].astype(np.int64)

    def keys(self, positions: _Positions, skip: int) -> _Keys:
        """Of the strings at these positions the eight bytes after the first `skip`, with zeros past the end."""
        begin = self._starts[positions].astype(np.int64) + skip
        missing = _WIDTH - np.clip(self._starts[positions + 1].astype(np.int64) - begin, 0, _WIDTH)
        at = np.minimum(begin, len(self._words) - 1)
        past = (_WIDTH * missing).astype(np.uint64)
        keys: _Keys = self._words[at].astype(np.uint64) << (_WIDTH * (begin - at)).astype(np.uint64)
        keys >>= past
        keys <<= past
        return keys

    def sample(self, skip: int) -> _Keys:
        """The keys of every eighth string, kept: a byte a string."""
        made = self._samples.get(skip)
        if made is None:
            made = self._samples[skip] = self.keys(np.arange(0, len(self), _SAMPLED), skip)
        return made


def common(stored: Spans, wanted: Spans) -> tuple[_Positions, _Positions]:
    """The positions in `stored` and in `wanted` of the strings that are in both, ascending.

    Where a wanted string ends in zero bytes, the pair is that of the first stored string that is equal but for zeros at
    its end: look again where the lengths differ.
    """
    active = np.arange(len(wanted))
    low, high = np.zeros(len(active), np.int64), np.full(len(active), len(stored))
    found: list[tuple[_Positions, _Positions]] = []
    skip = 0
    while len(active):
        sought = wanted.keys(active, skip)
        # As long as all strings have the same beginning, every key is sought everywhere.
        everywhere = bool((high - low == len(stored)).all())
        low = _cut(stored, sought, low, high, skip, right=False, everywhere=everywhere)
        kept = np.flatnonzero(low < high)
        kept = kept[stored.keys(low[kept], skip) == sought[kept]]
        active, low, high, sought = active[kept], low[kept], high[kept], sought[kept]
        ended = wanted.lengths(active) <= skip + _WIDTH
        found.append((low[ended], active[ended]))
        active, low, high, sought = active[~ended], low[~ended], high[~ended], sought[~ended]
        high = _cut(stored, sought, low, high, skip, right=True, everywhere=everywhere)
        skip += _WIDTH
    positions, chosen = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(chosen)
    return positions[order], chosen[order]


def _cut(
    stored: Spans, sought: _Keys, low: _Positions, high: _Positions, skip: int, *, right: bool, everywhere: bool
) -> _Positions:
    """Bisection of all ranges [low, high) at once: where the keys that are less (with `right`: not greater) end."""
    if everywhere:
        after = _SAMPLED * np.searchsorted(stored.sample(skip), sought, side="right" if right else "left")
        low, high = np.maximum(low, after - _SAMPLED + 1), np.minimum(high, after)
    low, high = low.copy(), high.copy()
    open_ = np.flatnonzero(low < high)
    while len(open_):
        middle = (low[open_] + high[open_]) >> 1
        keys = stored.keys(middle, skip)
        before = keys <= sought[open_] if right else keys < sought[open_]
        low[open_[before]] = middle[before] + 1
        high[open_[~before]] = middle[~before]
        open_ = open_[low[open_] < high[open_]]
    return low
