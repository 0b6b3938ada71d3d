"""ragvec: documents in, trusted answers out, on your own machine.

    store = ragvec.Store("my-store")                        # vectors, the Pythonic way
    client = ragvec.connect("my-store")                     # the same store in boto3's s3vectors shape
    ragvec.Pipeline(index=store.bucket("b").index("i")).run("documents/")
    ragvec.QueryIndex(store.bucket("b").index("i")).search("how much leave do I get?")

Importing the package binds names and does nothing else; what a name needs is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragvec.api.client import Client, connect
    from ragvec.errors import RagvecError
    from ragvec.kendra.index import QueryIndex
    from ragvec.pipeline.run import Pipeline
    from ragvec.store import Bucket, Index, Store

__all__ = ["Bucket", "Client", "Index", "Pipeline", "QueryIndex", "RagvecError", "Store", "__version__", "connect"]

__version__ = "0.1.0"

_HOMES = {
    "Bucket": "ragvec.store",
    "Client": "ragvec.api.client",
    "Index": "ragvec.store",
    "Pipeline": "ragvec.pipeline.run",
    "QueryIndex": "ragvec.kendra.index",
    "RagvecError": "ragvec.errors",
    "Store": "ragvec.store",
    "connect": "ragvec.api.client",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ragvec' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
