"""Damage to a log that a crash left beside an SQLite file: commits that were acknowledged and that SQLite will drop.

SQLite reads its log (https://www.sqlite.org/fileformat2.html#walformat) as far as each frame's checksum goes on from
that of the frame before it, and takes what follows for the end of an interrupted write. A flipped bit looks the same to
it. Here a frame counts as damaged, not as interrupted, when the frames behind it go on from the checksum that it
should have, through the end of its transaction into another one: that one was begun only after an fsync of the log.
In the last transaction nothing can tell the two apart, nor where the frame that is damaged ends the one before that.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["BrokenLog", "broken_log"]

_MAGIC = {0x377F0682: "<u4", 0x377F0683: ">u4"}
"""By the first four bytes: how words are read where checksums are made."""

_PAGE = 4096
"""The usual size of a page, where the header does not tell."""

_HEADER = struct.Struct(">IIIIIIII")
_FRAME = struct.Struct(">IIIIII")
_HEADER_BYTES = 32
_FRAME_BYTES = 24
_SUMMED_BYTES = 8
"""Of a frame's header: the page number, and the size of the file after a commit."""

_Sum: TypeAlias = "tuple[int, int]"
_Words: TypeAlias = "npt.NDArray[np.uint32]"


class BrokenLog(NamedTuple):
    """The first damaged frame starts at `byte`; `commits` are at least so many transactions that SQLite drops."""

    byte: int
    commits: int


class _Frame(NamedTuple):
    commit: bool
    sound: bool
    """Whether its salt is that of the log."""
    checksum: _Sum
    words: _Words


def broken_log(path: Path) -> BrokenLog | None:
    """Where the log is damaged, before anybody opens the SQLite file that it belongs to; None where it is whole, absent
    or empty. Raises OSError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(content) < _HEADER_BYTES:
        return None
    magic, _, page, _, salt1, salt2, *stored = _HEADER.unpack_from(content)
    order = _MAGIC.get(magic, "<u4")
    computed = _checksum(np.frombuffer(content, order, _HEADER_BYTES // 4 - 2).astype(np.uint32), (0, 0))
    if computed == (stored[0], stored[1]):
        return _first_broken(_frames(content, order, page, (salt1, salt2)), computed)
    # The header is damaged, or was never finished: then no frames go on from what its checksum is, or should be.
    for guessed in {page, _PAGE}:
        if 512 <= guessed <= 65536 and len(content) >= _HEADER_BYTES + _FRAME_BYTES:
            frames = _frames(content, order, guessed, _FRAME.unpack_from(content, _HEADER_BYTES)[2:4])
            commits = max(_commits_behind(frames, seed) for seed in (computed, (stored[0], stored[1])))
            if commits > 1:
                return BrokenLog(0, commits)
    return None


def _first_broken(frames: list[_Frame], seed: _Sum) -> BrokenLog | None:
    for at, frame in enumerate(frames):
        checksum = _checksum(frame.words, seed)
        if checksum == frame.checksum and frame.sound:
            seed = checksum
            continue
        # The damage is to the checksum, or to what it is of: then that may not end a transaction although it says so.
        for should, within in ((checksum, not frame.commit), (frame.checksum, True)):
            behind = _commits_behind(frames[at + 1 :], should, within=within)
            if behind:
                size = _FRAME_BYTES + 4 * len(frame.words) - _SUMMED_BYTES
                return BrokenLog(_HEADER_BYTES + at * size, 1 + behind)
        return None
    return None


def _frames(content: bytes, order: str, page: int, salt: Sequence[int]) -> list[_Frame]:
    """The frames since the log was last begun anew; one of another salt only where the next one is of this again."""
    found = []
    step = _FRAME_BYTES + page
    for start in range(_HEADER_BYTES, len(content) - step + 1, step):
        _, size, own1, own2, sum1, sum2 = _FRAME.unpack_from(content, start)
        sound = (own1, own2) == tuple(salt)
        following = content[start + step + 8 : start + step + 16]
        if not sound and following != struct.pack(">II", *salt):
            break
        head = np.frombuffer(content, order, _SUMMED_BYTES // 4, start)
        body = np.frombuffer(content, order, page // 4, start + _FRAME_BYTES)
        words = np.concatenate((head, body)).astype(np.uint32)
        found.append(_Frame(size != 0, sound, (sum1, sum2), words))
    return found


def _commits_behind(frames: Sequence[_Frame], seed: _Sum, *, within: bool = False) -> int:
    """How many transactions there are behind a damaged place, as far as frames go on from the checksum `seed`; `within`
    says that the first frames may end the one that is damaged. One that only begins counts."""
    begun = 0
    for frame in frames:
        seed = _checksum(frame.words, seed)
        if seed != frame.checksum:
            break
        begun += not within
        within = not frame.commit
    return begun


def _checksum(words: _Words, before: _Sum) -> _Sum:
    """SQLite's checksum of an even number of words, going on from another: two sums modulo 2³², of which each adds up
    the other, so that a word counts by a Fibonacci number for each place that it is from the end."""
    own, ahead = _weights(len(words) // 2)
    with np.errstate(over="ignore"):
        one = int((words[0::2] * ahead[0] + words[1::2] * ahead[1]).sum(dtype=np.uint32))
        two = int((words[0::2] * ahead[2] + words[1::2] * ahead[3]).sum(dtype=np.uint32))
    first = own[0] * before[0] + own[1] * before[1] + one
    second = own[1] * before[0] + own[2] * before[1] + two
    return first & 0xFFFFFFFF, second & 0xFFFFFFFF


@lru_cache(maxsize=4)
def _weights(pairs: int) -> tuple[tuple[int, int, int], tuple[_Words, _Words, _Words, _Words]]:
    """What the sums before `pairs` pairs of words count in each sum after them; and what the words do: the first and
    second of each pair in the first sum, then in the second."""
    fibonacci = [1, 0]  # F(−1), F(0)
    while len(fibonacci) < 2 * pairs + 3:
        fibonacci.append((fibonacci[-1] + fibonacci[-2]) & 0xFFFFFFFF)
    numbers = np.array(fibonacci, dtype=np.uint32)

    def by_pair(offset: int) -> _Words:
        """F(2k + offset) for the k pairs behind each pair."""
        return np.ascontiguousarray(numbers[1 + offset :][: 2 * pairs : 2][::-1])

    end = 2 * pairs
    own = (fibonacci[end], fibonacci[end + 1], fibonacci[end + 2])  # F(2n − 1), F(2n), F(2n + 1)
    return own, (by_pair(1), by_pair(0), by_pair(2), by_pair(1))
