"""Where a query's words stand in a text, and the piece of a text that shows most of them.

Offsets are in characters (code points), zero-based, end exclusive, so `text[begin:end]` is the highlighted word.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TypeAlias

import msgspec

from ragvec.text.words import UNSPACED, Terms, Word, occurrences, unspaced

__all__ = ["CUT", "Excerpt", "Span", "best_window", "excerpt", "highlights"]

CUT = "..."
"""What marks an end at which text was left out."""

_UNIT = re.compile(rf"[{UNSPACED}][^\w\s]{{0,59}}|[^\s{UNSPACED}]{{1,60}}")
_SENTENCE_START = re.compile(r"(?:[.!?…][\"'”’»)\]]*\s+|[。！？]|\n\s*)(?=\S)")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]]*$")

_Merit: TypeAlias = "tuple[int, bool, int, int]"


class Span(msgspec.Struct, frozen=True, order=True, gc=False):
    """The characters `[begin, end)` of a text."""

    begin: int
    end: int


class Excerpt(msgspec.Struct, frozen=True):
    """A piece of a text, marked with `...` at cut ends; the offsets in `highlights` count those dots."""

    text: str
    highlights: tuple[Span, ...]


def highlights(text: str, terms: Terms) -> tuple[Span, ...]:
    """The words of `text` whose stem is among `terms`, left to right and disjoint.

    Touching matches of unspaced scripts are joined into one span.
    """
    merged: list[Span] = []
    for hit in occurrences(text, terms):
        if merged and hit.begin <= merged[-1].end and unspaced(text[hit.begin]):
            merged[-1] = Span(merged[-1].begin, max(merged[-1].end, hit.end))
        else:
            merged.append(Span(hit.begin, hit.end))
    return tuple(merged)


def _windows(text: str, units: Sequence[Span], *, max_chars: float, max_words: float) -> Iterator[Span]:
    """For each unit, the longest window within the limits that begins with it (at least that unit itself)."""
    fresh = [unit.begin == 0 or text[unit.begin - 1].isspace() for unit in units]
    last = counted = 0
    for first, unit in enumerate(units):
        while last < len(units) and (
            last == first or (units[last].end - unit.begin <= max_chars and counted + fresh[last] <= max_words)
        ):
            counted += fresh[last]
            last += 1
        yield Span(unit.begin, units[last - 1].end)
        counted -= fresh[first]


def _judged(windows: Iterable[Span], hits: Sequence[Word], starts: set[int]) -> Iterator[tuple[_Merit, Span]]:
    """Each window with its merit: distinct terms, a start at a sentence, occurrences, their distance from the edges."""
    inside: Counter[str] = Counter()
    low = high = 0
    for window in windows:
        while high < len(hits) and hits[high].end <= window.end:
            inside[hits[high].term] += 1
            high += 1
        while low < high and hits[low].begin < window.begin:
            inside[hits[low].term] -= 1
            if not inside[hits[low].term]:
                del inside[hits[low].term]
            low += 1
        edge = min(hits[low].begin - window.begin, window.end - hits[high - 1].end) if low < high else 0
        yield (len(inside), window.begin in starts, high - low, edge), window


def _to_sentence_end(text: str, window: Span, *, units: Sequence[Span], needed: int) -> Span:
    """`window` shortened to its last sentence end behind `needed` and in its second half, or else as it is."""
    if window.end == units[-1].end:
        return window
    earliest = max(needed, (window.begin + window.end) // 2)
    ends = (unit.end for unit in reversed(units) if earliest <= unit.end <= window.end)
    end = next((end for end in ends if _SENTENCE_END.search(text, max(0, end - 8), end)), window.end)
    return Span(window.begin, end)


def best_window(text: str, terms: Terms, *, max_chars: int | None, max_words: int | None) -> Span:
    """The stretch of `text` of at most `max_chars` characters and `max_words` words that tells most about `terms`.

    Words stay whole, but for those of more than 60 characters. Preferred, in this order: the most distinct terms, a
    start at a sentence, the most occurrences, occurrences away from the edges, the earliest. A window that would end
    within a sentence is shortened to the last sentence end in it, if that costs no term and less than half of it.
    Words are counted by white space; None lifts a limit. A text without words gives the empty span.
    """
    units = [Span(match.start(), match.end()) for match in _UNIT.finditer(text)]
    if not units:
        return Span(0, 0)
    hits = list(occurrences(text, terms))
    starts = {units[0].begin} | {match.end() for match in _SENTENCE_START.finditer(text)}
    windows = _windows(text, units, max_chars=max_chars or math.inf, max_words=max_words or math.inf)
    _, window = max(_judged(windows, hits, starts), key=itemgetter(0))
    needed = max((hit.end for hit in hits if hit.end <= window.end), default=0)
    return _to_sentence_end(text, window, units=units, needed=needed)


def excerpt(
    text: str,
    terms: Terms,
    *,
    max_chars: int = 300,
    max_words: int = 100,
    more_before: bool = False,
    more_after: bool = False,
) -> Excerpt:
    """The best window of `text` for `terms`, with its highlights; white space inside it is kept as it is.

    The result has at most `max_chars` characters, dots included, and `max_words` words. An end gets dots when text
    was left out there, or when `more_before` or `more_after` says that `text` is itself cut from a longer one.
    """
    body = text.strip()
    room = max_chars - len(CUT) * (more_before + more_after)
    if len(body) > room or len(body.split()) > max_words:
        room = max_chars - 2 * len(CUT)
    window = best_window(body, terms, max_chars=room, max_words=max_words)
    piece = body[window.begin : window.end]
    before = CUT if more_before or window.begin > 0 else ""
    after = CUT if more_after or window.end < len(body) else ""
    offset = len(before)
    spans = tuple(Span(span.begin + offset, span.end + offset) for span in highlights(piece, terms))
    return Excerpt(before + piece + after, spans)
