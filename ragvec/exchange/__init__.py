"""Indexes as files: JSON lines (plain or gzip) and Parquet, both ways, streaming.

ragvec.exchange.export_index(index, "notes.parquet")
ragvec.exchange.import_index(store, "notes.parquet", bucket="work", index="copy")
"""

from __future__ import annotations

from ragvec.exchange.export import Export, export_index
from ragvec.exchange.load import Import, import_index

__all__ = ["Export", "Import", "export_index", "import_index"]
