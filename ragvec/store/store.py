"""`Store`: buckets, and looking after the folder as a whole."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ragvec.api import buckets
from ragvec.api.access import Session
from ragvec.api.client import Client
from ragvec.api.dialects import NATIVE
from ragvec.api.requests import CreateVectorBucket
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.protocol import Engine
from ragvec.errors import BucketExists, InvalidRequest
from ragvec.store.bucket import Bucket
from ragvec.store.index import Index
from ragvec.store.pages import PAGE, every

if TYPE_CHECKING:
    from ragvec.care import Backup, Verification

__all__ = ["Store"]


class Store:
    """The store in the folder `path`, made when the folder is absent or empty; also over any `engine`.

    `backend` is the library of the approximate index: "scann", "faiss", or "exact" for none; by default the best one
    here. It is a matter of this opening, not of the store.

    Raises:
        NotAStore, StoreTooNew, StoreReadOnly: see those. InvalidRequest: there is no such backend. MissingExtra: it is
        not installed.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        read_only: bool = False,
        backend: str | None = None,
        engine: Engine | None = None,
    ) -> None:
        if (path is None) == (engine is None):
            raise InvalidRequest("Expected exactly one of `path` and `engine`", path="path")
        if engine is not None and backend is not None:
            raise InvalidRequest("Expected `backend` with `path` only: an engine has one already", path="backend")
        self.path = None if path is None else Path(path)
        self.engine: Engine = (
            LocalEngine(path, read_only=read_only, backend=backend) if path is not None else _given(engine)
        )
        self._session = Session(self.engine, NATIVE, account="000000000000", region="local")
        self._closing: list[Callable[[], None]] = []

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})" if self.path is not None else f"Store(engine={self.engine!r})"

    def _repr_html_(self) -> str:
        specs = [index.spec for bucket in self.buckets() for index in bucket.indexes()]
        if not specs:
            return f"<div>{html.escape(repr(self))}: no indexes</div>"
        left = 'style="text-align:left"'
        head = "".join(f"<th {left}>{name}</th>" for name in ("bucket", "index", "dimension", "metric"))
        rows = "".join(
            "<tr>"
            + "".join(f"<td {left}>{value}</td>" for value in (spec.bucket, spec.name, spec.dimension, spec.metric))
            + "</tr>"
            for spec in specs
        )
        return f"<div>{html.escape(repr(self))}</div><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def bucket(self, name: str) -> Bucket:
        """A handle to the bucket of this name, whether it exists or not."""
        return Bucket(self, name)

    def buckets(self) -> list[Bucket]:
        """All buckets, in order of name."""
        catalog = self.engine.catalog
        found = every(lambda after: catalog.buckets(prefix="", after=after, limit=PAGE))
        return [Bucket(self, bucket.name) for bucket in found]

    def create_bucket(self, name: str, *, exist_ok: bool = False) -> Bucket:
        """Make a bucket.

        Raises:
            InvalidName: 1 to 63 of a-z, 0-9, '-' and '.', with a letter or digit at each end. BucketExists: unless
            `exist_ok`.
        """
        try:
            buckets.create_vector_bucket(self._session, CreateVectorBucket(vector_bucket_name=name))
        except BucketExists:
            if not exist_ok:
                raise
        return Bucket(self, name)

    def index_by_uid(self, uid: str) -> Index:
        """The index with this UUID. Raises IndexNotFound."""
        spec = self.engine.catalog.index_by_uid(uid)
        return Bucket(self, spec.bucket).index(spec.name)

    def client(self, *, dialect: str = "native") -> Client:
        """A client in boto3's s3vectors shape on this store."""
        return Client(self.engine, dialect=dialect)

    def verify(self, *, deep: bool = False) -> Verification:
        """Look through the folder for damage, beside whoever reads and writes; `deep` reads everything. What
        `ragvec.care.repair` makes good is told with each problem.

        Raises:
            InvalidRequest: the store is not one in a folder.
        """
        from ragvec.care import verify

        return verify(self._folder(), deep=deep)

    def backup(self, target: str | Path, *, since: str | Path | None = None) -> Backup:
        """Write a backup of the whole store as of one moment, beside whoever writes: a folder that is a store itself.
        Files that are the same in the backup `since` take no space again. `ragvec.care.restore` reads it.

        Raises:
            InvalidRequest: the store is not one in a folder. StoreFull, StoreError: nothing is left at `target`.
        """
        from ragvec.care import backup

        return backup(self._folder(), target, since=since)

    def close(self) -> None:
        """Wait for background work and release files; the store opens them again when it is used again."""
        for finish in self._closing:
            finish()
        self.engine.close()

    def on_close(self, finish: Callable[[], None]) -> None:
        """Have `finish` called at the beginning of every `close`, while the store can still be written."""
        self._closing.append(finish)

    def _folder(self) -> Path:
        if not isinstance(self.engine, LocalEngine):
            raise InvalidRequest(f"Expected a store in a folder, got one over {self.engine!r}")
        return self.engine.folder


def _given(engine: Engine | None) -> Engine:
    assert engine is not None, "checked by the caller"
    return engine
