"""Two indexes of a bucket that exchange their names, in one transaction of the catalog."""

from __future__ import annotations

import sqlite3

import msgspec

from ragvec.engine.local.catalog_rows import INDEXES, Values, remove_rows, write_row
from ragvec.engine.protocol import IndexSpec

__all__ = ["exchange_names"]


def exchange_names(sql: sqlite3.Connection, one: Values, other: Values) -> tuple[IndexSpec, IndexSpec]:
    """Give each of two indexes, as rows of the catalog, the name of the other; their specs as they are then.

    Whatever belongs to an index by its uid stays with it: records, properties, text fields, tags.
    """
    renamed = []
    # Both go first, for a name is there once.
    for row in (one, other):
        remove_rows(sql, INDEXES, row[0])
    for row, name in ((one, other[2]), (other, one[2])):
        spec = msgspec.structs.replace(msgspec.json.decode(row[3], type=IndexSpec), name=name)
        write_row(sql, INDEXES, (row[0], row[1], name, msgspec.json.encode(spec), row[4]))
        renamed.append(spec)
    return renamed[0], renamed[1]
