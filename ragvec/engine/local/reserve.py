"""A little space kept aside, so that something can still be deleted when the disk is full.

SQLite writes what is deleted to a log before it gives anything back, and an open database needs some pages of memory
shared in a file. So a store keeps the file `reserve`, RESERVE_BYTES long, and gives it up when opening or deleting
finds no space otherwise; it is made again when there is plenty. Its bytes are random: a file system that compresses
would keep no space for zeros.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from ragvec.errors import StoreFull

__all__ = ["RESERVE_BYTES", "RESERVE_FILE", "keep_reserve", "spends_reserve"]

RESERVE_BYTES = 1 << 18
RESERVE_FILE = "reserve"

_PLENTY = 8
"""So many times its size must be free before the reserve is made."""

_CATALOG = "catalog.sqlite"
_log = logging.getLogger("ragvec.store")

P = ParamSpec("P")
T = TypeVar("T")


def keep_reserve(store: Path) -> None:
    """Make the reserve of the store in this folder unless it is there, or there is no plenty of space; the store does
    without if it cannot be made."""
    path = store / RESERVE_FILE
    try:
        if path.exists() or shutil.disk_usage(store).free < _PLENTY * RESERVE_BYTES:
            return
        with path.open("xb", buffering=0) as file:
            file.write(os.urandom(RESERVE_BYTES))
    except OSError as error:
        _log.debug("No space is kept in `%s` for deleting on a full disk: %s", path, error)


def spends_reserve(call: Callable[P, T]) -> Callable[P, T]:
    """Decorates what gives space back, and what leads there: where it raises StoreFull, the reserve of that store is
    given up, if it is there, and the call is made once more."""

    @functools.wraps(call)
    def tried_again(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return call(*arguments, **options)
        except StoreFull as full:
            if not _given_up(Path(full.store)):
                raise
        return call(*arguments, **options)

    return tried_again


def _given_up(place: Path) -> bool:
    for folder in (place, *place.parents):
        if (folder / _CATALOG).exists():
            try:
                (folder / RESERVE_FILE).unlink()
            except OSError:
                return False
            _log.warning("The disk of `%s` is full: the space kept for deleting is used", folder)
            return True
    return False
