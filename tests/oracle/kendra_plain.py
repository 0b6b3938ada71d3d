"""Kendra's Query over plain Python documents: filters, access, facets, sorting, collapse and paging, said once more.

Written from the reference alone. Documents are dicts `{"id", …attributes}`, in order of relevance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

Document = Mapping[str, Any]


def satisfies(document: Document, condition: Mapping[str, Any] | None) -> bool:
    """Whether a document satisfies an AttributeFilter; several operators in one object all have to hold."""
    return all(_holds(document, operator, content) for operator, content in (condition or {}).items())


def _holds(document: Document, operator: str, content: Any) -> bool:
    if operator == "AndAllFilters":
        return all(satisfies(document, each) for each in content)
    if operator == "OrAllFilters":
        return any(satisfies(document, each) for each in content)
    if operator == "NotFilter":
        return not satisfies(document, content)
    has = document.get(content["Key"])
    (wanted,) = content["Value"].values()
    if has is None:
        return False
    if operator == "EqualsTo":
        return set(wanted) <= set(has) if isinstance(has, list) else bool(has == wanted)
    if operator == "ContainsAll":
        return set(wanted) <= set(has)
    if operator == "ContainsAny":
        return not set(wanted).isdisjoint(has)
    compare: dict[str, Callable[[], bool]] = {
        "GreaterThan": lambda: has > wanted,
        "GreaterThanOrEquals": lambda: has >= wanted,
        "LessThan": lambda: has < wanted,
        "LessThanOrEquals": lambda: has <= wanted,
    }
    return compare[operator]()


def sees(document: Document, user: str | None, groups: Sequence[str]) -> bool:
    """Whether somebody may see a document by its `_acl_allow` and `_acl_deny`; nobody in particular sees everything."""
    if user is None and not groups:
        return True
    names = {f"user:{user}"} | {f"group:{group}" for group in groups}
    allowed = document.get("_acl_allow")
    return names.isdisjoint(document.get("_acl_deny", ())) and (allowed is None or not names.isdisjoint(allowed))


def ordered(documents: Iterable[Document], keys: Sequence[tuple[str, str]]) -> list[Document]:
    """By (name, ASC or DESC) in turn, documents without a value last; equal ones as they were."""

    def compare(one: Document, other: Document) -> int:
        for name, order in keys:
            a, b = one.get(name), other.get(name)
            if (a is None) != (b is None):
                return 1 if a is None else -1
            if a is not None and a != b:
                return (-1 if a < b else 1) * (1 if order == "ASC" else -1)
        return 0

    return sorted(documents, key=cmp_to_key(compare))


def counts(documents: Iterable[Document], name: str, most: int | None = 10) -> list[tuple[Any, int]]:
    """The values of a field by how many documents have them, then in ascending order."""
    found: Counter[Any] = Counter()
    for document in documents:
        value = document.get(name)
        if value is not None:
            found.update(set(value) if isinstance(value, list) else [value])
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:most]


def having(documents: Iterable[Document], name: str, value: Any) -> list[Document]:
    """The documents that have this value, or it among others."""
    return [
        document
        for document in documents
        if (value in document[name] if isinstance(document.get(name), list) else document.get(name) == value)
    ]


def collapsed(
    documents: Sequence[Document],
    name: str,
    *,
    missing: str,
    within: Sequence[tuple[str, str]],
    order: Sequence[tuple[str, str]],
) -> list[tuple[Document, list[Document]]]:
    """The first document of each group with the others, both in the order of the search."""
    groups: dict[Any, list[Document]] = {}
    for document in documents:
        if document.get(name) is not None:
            groups.setdefault((document[name],), []).append(document)
        elif missing == "COLLAPSE":
            groups.setdefault("", []).append(document)
        elif missing == "EXPAND":
            groups[document["id"]] = [document]
    first = {ordered(members, within)[0]["id"]: members for members in groups.values()}
    shown = ordered([document for document in documents if document["id"] in first], order)
    return [
        (document, ordered([other for other in first[document["id"]] if other is not document], order))
        for document in shown
    ]
