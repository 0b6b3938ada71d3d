"""Indexes that belong to another: what is kept beside an index, such as the questions of its FAQs, goes with it.

The property `ragvec.owner` of such an index holds the uid of the other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from ragvec.engine.local.catalog_rows import CONFIGURATIONS, INDEXES, PROPERTIES, remove_rows, write_row
from ragvec.engine.protocol import OWNER

__all__ = ["forget", "write_properties"]

_encode = msgspec.json.encode


def forget(sql: sqlite3.Connection, uid: str) -> list[str]:
    """Remove the index from the catalog, in its write transaction, with those that belong to it and in turn to these;
    returns their uids, its own first."""
    found = [uid]
    for each in found:
        owned = sql.execute("SELECT uid FROM properties WHERE name = ? AND value = ?", (OWNER, _encode(each)))
        found += [one for (one,) in owned if one not in found]
    for each in found:
        for table in (INDEXES, PROPERTIES, CONFIGURATIONS):
            remove_rows(sql, table, each)
    return found


def write_properties(sql: sqlite3.Connection, uid: str, properties: Mapping[str, Any]) -> None:
    """Keep these values with an index, in a write transaction of the catalog."""
    for name, value in properties.items():
        write_row(sql, PROPERTIES, (uid, name, _encode(value)))
