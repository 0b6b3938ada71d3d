"""What looking through a store found: problems, and the figures of each index."""

from __future__ import annotations

import html
from collections import Counter
from typing import Any, Literal, TypeAlias

import msgspec

__all__ = ["CheckedIndex", "Problem", "Severity", "Verification"]

Severity: TypeAlias = Literal["primary", "derived", "losable"]
"""Of a problem. "primary": what the user gave is damaged or lost. "derived": what is made from that is, and is made
again. "losable": what has a time limit, or serves speed alone."""

_SHOWN = 200


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: in which file below the store, what, and what repair does about it.

    `bucket` and `index` are names, empty where the problem is not one of an index; `row`, `key` and `byte` (of the
    file) say where, as far as that is known; `rows` counts the rows concerned, where they are several.
    """

    severity: Severity
    file: str
    what: str
    remedy: str
    bucket: str = ""
    index: str = ""
    row: int | None = None
    rows: int = 0
    key: str | None = None
    byte: int | None = None

    def __str__(self) -> str:
        where = f" ({self.bucket}/{self.index})" if self.bucket else ""
        return f"{self.severity}: {self.file}{where}: {self.what}; repair {self.remedy}"


class CheckedIndex(msgspec.Struct, frozen=True):
    """An index as it was when it was looked at: `rows` of its current generation, of which `vectors` live; and how many
    segments and posting files were looked at."""

    bucket: str
    index: str
    uid: str
    generation: int
    sequence: int
    rows: int
    vectors: int
    segments: int
    postings: int


class Verification(msgspec.Struct, frozen=True):
    """The outcome of `verify`: `problems` in order of severity and file; none where all is well.

    `bytes` is about how much was read, in `seconds`. Not every byte of a file is in use: what nobody reads may be
    anything.
    """

    path: str
    deep: bool
    format: int | None
    indexes: tuple[CheckedIndex, ...]
    problems: tuple[Problem, ...]
    bytes: int
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether no problem was found."""
        return not self.problems

    @property
    def intact(self) -> bool:
        """Whether no problem was found in what the user gave."""
        return not any(problem.severity == "primary" for problem in self.problems)

    def rows(self) -> list[dict[str, Any]]:
        """The problems as dicts of equal keys, for a DataFrame."""
        return [msgspec.to_builtins(problem) for problem in self.problems]

    def __str__(self) -> str:
        how = "deep" if self.deep else "fast"
        vectors = sum(index.vectors for index in self.indexes)
        head = f"{self.path}: {len(self.indexes):,} indexes, {vectors:,} vectors, {how} check in {self.seconds:.1f} s: "
        if self.clean:
            return head + "no problem found"
        counts = Counter(problem.severity for problem in self.problems)
        found = ", ".join(f"{count:,} {severity}" for severity, count in counts.items())
        lines = [f"  {problem}" for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            lines.append(f"  and {len(self.problems) - _SHOWN:,} more")
        return "\n".join([f"{head}problems: {found}", *lines])

    def _repr_html_(self) -> str:
        first, *_ = str(self).split("\n", 1)
        if self.clean:
            return f"<div>{html.escape(first)}</div>"
        names = ("severity", "bucket", "index", "file", "what", "remedy")
        left = 'style="text-align:left"'
        body = "".join(
            "<tr>" + "".join(f"<td {left}>{html.escape(str(getattr(problem, name)))}</td>" for name in names) + "</tr>"
            for problem in self.problems[:_SHOWN]
        )
        head = "".join(f"<th {left}>{name}</th>" for name in names)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<div>{html.escape(first)}</div>{table}"
