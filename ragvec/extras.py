"""Optional packages: imported here, on use, and nowhere else at module level."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from ragvec.errors import MissingExtra

__all__ = ["available", "require"]


def available(module: str) -> bool:
    """Whether `module` could be imported, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def require(module: str, *, extra: str, purpose: str, package: str = "") -> ModuleType:
    """Import `module` and return it.

    Raises:
        MissingExtra: it is not installed; the message names `purpose`, the package and the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and not (module == error.name or module.startswith(error.name + ".")):
            raise
        raise MissingExtra(package=package or module.partition(".")[0], extra=extra, purpose=purpose) from error
