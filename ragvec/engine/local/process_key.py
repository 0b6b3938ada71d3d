"""A secret of this process, for what a store has no key of its own."""

from __future__ import annotations

import hashlib
import secrets
from functools import lru_cache

from ragvec.engine.local.catalog_rows import TOKEN_KEY_BYTES

__all__ = ["process_key"]


@lru_cache(maxsize=1)
def _process_secret() -> bytes:
    return secrets.token_bytes(TOKEN_KEY_BYTES)


def process_key(place: str) -> bytes:
    """A secret of this process for one store: tokens signed with it are good as long as the process lives."""
    encoded = place.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(encoded, digest_size=TOKEN_KEY_BYTES, key=_process_secret()).digest()
