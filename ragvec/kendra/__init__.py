"""The query layer: text in, documents out, in Kendra's shapes and as typed Python objects."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragvec.kendra.client import Client
    from ragvec.kendra.index import QueryIndex
    from ragvec.kendra.limits import KENDRA, NATIVE, Limits
    from ragvec.kendra.model.check import ParamValidationError
    from ragvec.kendra.relevance import Scale
    from ragvec.kendra.request.native import CollapseBy, Facet
    from ragvec.kendra.settings import Settings

__all__ = [
    "KENDRA",
    "NATIVE",
    "Client",
    "CollapseBy",
    "Facet",
    "Limits",
    "ParamValidationError",
    "QueryIndex",
    "Scale",
    "Settings",
]

_HOMES = {
    "KENDRA": "limits",
    "NATIVE": "limits",
    "Client": "client",
    "CollapseBy": "request.native",
    "Facet": "request.native",
    "Limits": "limits",
    "ParamValidationError": "model.check",
    "QueryIndex": "index",
    "Scale": "relevance",
    "Settings": "settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragvec.kendra' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ragvec.kendra.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
