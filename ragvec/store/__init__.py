"""The Pythonic store: Store → Bucket → Index, numpy and pandas first, over the same operations as the boto3-shaped
client.

    store = ragvec.Store("my-store")
    index = store.create_bucket("docs").create_index("pages", dimension=384)
    index.put(["a", "b"], vectors, [{"year": 2024}, {"year": 2025}])
    index.query(vector, k=10, where={"year": {"$gte": 2025}}).to_pandas()

Buckets and indexes are handles: making one checks nothing, and each call finds the thing by name, so that one deleted
or made anew by another process is seen at once.
"""

from __future__ import annotations

from ragvec.store.bucket import Bucket
from ragvec.store.index import Index
from ragvec.store.store import Store

__all__ = ["Bucket", "Index", "Store"]
