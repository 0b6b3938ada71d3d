"""What values the metadata of an index have, and how often."""

from __future__ import annotations

import html
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from ragvec.kendra.markup import value_text
from ragvec.widgets.tables import html_table

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["KeyDistribution", "distribution", "html_distribution"]

_TOP = 5


class KeyDistribution(msgspec.Struct, frozen=True):
    """A metadata key: the types of its values, how many records have it, how many values there are, and the most
    frequent ones; elements of lists are values of their own."""

    key: str
    types: tuple[str, ...]
    records: int
    values: int
    top: tuple[tuple[str, int], ...]


def distribution(index: Index, *, most: int = 5000) -> tuple[int, tuple[KeyDistribution, ...]]:
    """How many of the first `most` records were read, and what their metadata hold, in order of key."""
    values: dict[str, Counter[Any]] = {}
    types: dict[str, set[str]] = {}
    having: Counter[str] = Counter()
    read = 0
    for record in islice(index.iter(), most):
        read += 1
        for name, value in (record.metadata or {}).items():
            having[name] += 1
            types.setdefault(name, set()).add("list" if isinstance(value, (list, tuple)) else type(value).__name__)
            for one in value if isinstance(value, (list, tuple)) else (value,):
                # True and 1 are equal and not the same.
                values.setdefault(name, Counter())[type(one).__name__, one] += 1
    return read, tuple(
        KeyDistribution(
            name,
            tuple(sorted(types[name])),
            having[name],
            len(values.get(name, ())),
            tuple((value_text(value), n) for (_, value), n in values.get(name, Counter()).most_common(_TOP)),
        )
        for name in sorted(having)
    )


def html_distribution(index: Index, *, most: int = 5000) -> str:
    """The same as a table."""
    read, keys = distribution(index, most=most)
    rows = []
    for each in keys:
        alone = each.values == each.records and each.records > _TOP
        top = "a value of its own in every record" if alone else " · ".join(f"{text} ({n:,})" for text, n in each.top)
        rows.append((each.key, ", ".join(each.types), each.records, each.values, top))
    total = index.count()
    head = f"{read:,} records" if read == total else f"the first {read:,} of {total:,} records"
    if not rows:
        return f"<div>{html.escape(head)}, without metadata</div>"
    return html_table(
        ("metadata key", "type", "records", "values", "most frequent"),
        rows,
        right=("records", "values"),
        caption=f"Metadata of {head}",
        bars={"records": float(read)},
    )
