"""Documents that share a value shown as one.

The first of a group is the best by the collapse's own sort, or else by relevance. Groups stand in the order of the
whole search, by their first documents. Documents without a value form one group, or stand alone, or are left out.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec

from ragvec.kendra.found import Found
from ragvec.kendra.request.asked import Collapse, SortKey
from ragvec.kendra.sorting import in_order

__all__ = ["collapsed"]


def collapsed(documents: Sequence[Found], collapse: Collapse, *, sort: Sequence[SortKey] = ()) -> list[Found]:
    """The first documents of the groups, in the order of `sort`; `documents` are in order of relevance.

    A document that stands for a group carries its `group`, the others in the order of `sort`, as many as the collapse
    asks for, and `group_size`, how many documents the group has in all.
    """
    groups: dict[Hashable, list[Found]] = {}
    for position, found in enumerate(documents):
        value = found.metadata.get(collapse.field.name)
        if value is not None:
            groups.setdefault(("value", value), []).append(found)
        elif collapse.missing == "COLLAPSE":
            groups.setdefault("missing", []).append(found)
        elif collapse.missing == "EXPAND":
            groups[position] = [found]
    first_of = {name: in_order(members, collapse.sort)[0] for name, members in groups.items()}
    name_of = {first.document_id: name for name, first in first_of.items()}
    # The first documents again in the order of relevance, which a stable sort keeps for equal ones.
    place = {found.document_id: position for position, found in enumerate(documents)}
    firsts = in_order(sorted(first_of.values(), key=lambda found: place[found.document_id]), sort)
    shown = []
    for position, first in enumerate(firsts):
        name = name_of[first.document_id]
        if isinstance(name, int):
            shown.append(first)
            continue
        members = groups[name]
        others: tuple[Found, ...] = ()
        if collapse.expand and position < collapse.groups:
            rest = [found for found in members if found is not first]
            others = tuple(in_order(rest, sort)[: collapse.members])
        shown.append(msgspec.structs.replace(first, group=others, group_size=len(members)))
    return shown
