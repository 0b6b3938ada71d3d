"""What reads answers from passages: a seam for models, and what every reader gives back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.found import Confidence
from ragvec.kendra.problems import shown

__all__ = ["Levels", "ReadSpan", "Reader", "checked_spans"]


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """Where a reader's scores begin to be an answer, and where its confidence becomes HIGH and VERY_HIGH."""

    least: float
    high: float
    very_high: float

    def confidence(self, score: float) -> Confidence:
        """VERY_HIGH, HIGH or MEDIUM of an answer; LOW of what is none."""
        if score >= self.very_high:
            return "VERY_HIGH"
        if score >= self.high:
            return "HIGH"
        return "MEDIUM" if score >= self.least else "LOW"


class ReadSpan(msgspec.Struct, frozen=True, order=True):
    """The characters `[begin, end)` of the passage of this number, and how well they answer, more is better."""

    passage: int
    begin: int
    end: int
    score: float


@runtime_checkable
class Reader(Protocol):
    """Reads answers from passages.

    `levels` say which of its scores are answers. A reader may give any number of spans of a passage, in any order, or
    none; it may look at as few of the passages as it can afford, the first ones being the best.
    """

    levels: Levels

    def read(self, question: str, passages: Sequence[str]) -> list[ReadSpan]:
        """The spans of `passages` that may answer, with their scores."""
        ...


def checked_spans(spans: Sequence[ReadSpan], passages: Sequence[str]) -> list[ReadSpan]:
    """The spans, as they are.

    Raises:
        InvalidRequest: one of them is empty or lies outside its passage, or its score is no number.
    """
    for span in spans:
        inside = 0 <= span.passage < len(passages) and 0 <= span.begin < span.end <= len(passages[span.passage])
        if not inside or span.score != span.score:
            raise InvalidRequest(
                f"Expected spans inside the passages with a number as score, got {shown(span)} - at `reader`",
                path="reader",
            )
    return list(spans)
