"""Opening the store that a command works on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ragvec.cli.arguments import Target
from ragvec.cli.problems import CommandError
from ragvec.errors import BucketNotFound, IndexNotFound, NotAStore, StoreReadOnly

if TYPE_CHECKING:
    from ragvec.kendra.index import QueryIndex
    from ragvec.store import Bucket, Index, Store

__all__ = ["embedder_name", "existing_store", "open_bucket", "open_index", "text_index", "writable_store"]

_LISTED = 20


@contextmanager
def existing_store(path: str) -> Iterator[Store]:
    """The store at `path`, which must be there already; read-only where the folder cannot be written.

    Raises:
        NotAStore: there is no such folder, or nothing in it.
    """
    from ragvec.store import Store

    folder = Path(path)
    if not folder.is_dir() or not any(folder.iterdir()):
        raise NotAStore(
            f"No store at {path}: expected a folder made by ragvec; name one with --store DIR or RAGVEC_STORE, "
            "or make one with `ragvec ingest` or `ragvec buckets create`",
            store=path,
        )
    try:
        store = Store(folder)
    except StoreReadOnly:
        store = Store(folder, read_only=True)
    with store:
        yield store


@contextmanager
def writable_store(path: str) -> Iterator[Store]:
    """The store at `path`, made where there is none."""
    from ragvec.store import Store

    with Store(path) as store:
        yield store


def open_bucket(store: Store, name: str) -> Bucket:
    """The bucket, which must exist.

    Raises:
        BucketNotFound: it does not; the message lists those there are.
    """
    bucket = store.bucket(name)
    if not bucket.exists():
        names = [bucket.name for bucket in store.buckets()]
        raise BucketNotFound(f"No bucket {name!r}: the store has {_listed(names)}")
    return bucket


def open_index(store: Store, target: Target) -> Index:
    """The index, which must exist.

    Raises:
        BucketNotFound, IndexNotFound: it does not; the message lists those there are.
    """
    bucket = open_bucket(store, target.bucket)
    index = bucket.index(target.name)
    if not index.exists():
        names = [index.name for index in bucket.indexes()]
        raise IndexNotFound(f"No index {target.name!r} in bucket {target.bucket!r}: it has {_listed(names)}")
    return index


def embedder_name(index: Index) -> str | None:
    """The name of the embedder that filled the index, None when it holds other vectors or none yet."""
    from ragvec.pipeline.passages import EMBEDDER_PROPERTY

    embedder = index.property(EMBEDDER_PROPERTY)
    return str(embedder["name"]) if embedder is not None else None


def text_index(index: Index) -> QueryIndex:
    """The index as one that is searched by text.

    Raises:
        CommandError: `ragvec ingest` did not fill it, so nobody knows what its vectors mean.
    """
    from ragvec.kendra.index import QueryIndex

    if embedder_name(index) is None:
        raise CommandError(
            f"index {index.bucket.name}/{index.name} was not filled by `ragvec ingest` and has no embedder for texts; "
            "search it by vector or key with `ragvec vectors query`"
        )
    return QueryIndex(index)


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
