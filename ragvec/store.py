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

import html
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ragvec.api import buckets, indexes
from ragvec.api.access import Session
from ragvec.api.arguments import at_least_one, is_matrix, to_effort, to_filter, to_keys, to_metadata, to_recall_target
from ragvec.api.client import Client
from ragvec.api.dialects import NATIVE
from ragvec.api.records import put_arrays, query_matrix, query_vector
from ragvec.api.requests import CreateIndex, CreateVectorBucket, MetadataConfiguration
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.protocol import Engine, Explanation, IndexEngine, IndexSpec, IndexStats, Page, Tuning
from ragvec.errors import (
    BucketExists,
    IndexExists,
    InvalidKey,
    InvalidRequest,
    NotFound,
)
from ragvec.filters.nodes import Filter
from ragvec.search.execute import search
from ragvec.search.request import SearchRequest
from ragvec.search.results import Results, ResultsList
from ragvec.types import Damaged, Metric, Record

if TYPE_CHECKING:
    from tqdm.auto import tqdm

__all__ = ["Bucket", "Index", "Store"]

_PAGE = 1000


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
        found = _every(lambda after: catalog.buckets(prefix="", after=after, limit=_PAGE))
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

    def close(self) -> None:
        """Wait for background work and release files; the store opens them again when it is used again."""
        self.engine.close()


class Bucket:
    """A handle to a vector bucket."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name

    def __repr__(self) -> str:
        return f"Bucket({self.name!r})"

    def exists(self) -> bool:
        """Whether the bucket exists."""
        try:
            self.store.engine.catalog.bucket(self.name)
        except NotFound:
            return False
        return True

    def index(self, name: str) -> Index:
        """A handle to the index of this name, whether it exists or not."""
        return Index(self, name)

    def indexes(self) -> list[Index]:
        """All indexes, in order of name. Raises BucketNotFound."""
        catalog = self.store.engine.catalog
        found = list(_every(lambda after: catalog.indexes(self.name, prefix="", after=after, limit=_PAGE)))
        return [Index(self, spec.name) for spec in found]

    def create_index(
        self,
        name: str,
        *,
        dimension: int,
        metric: Metric = "cosine",
        non_filterable: Sequence[str] = (),
        exist_ok: bool = False,
    ) -> Index:
        """Make an index of vectors of this dimension. `non_filterable` metadata keys are stored and returned, but not
        indexed.

        Raises:
            InvalidRequest: a name, dimension, metric or key breaks its rule. BucketNotFound. IndexExists: unless
            `exist_ok`, which still refuses one of another dimension, metric or non-filterable keys.
        """
        if isinstance(non_filterable, str):
            raise InvalidRequest(
                f"Expected a list of keys, got the text {non_filterable!r} - at `non_filterable`", path="non_filterable"
            )
        dimension = at_least_one(dimension, "dimension")
        request = CreateIndex(
            vector_bucket_name=self.name,
            index_name=name,
            data_type="float32",
            dimension=dimension,
            distance_metric=metric,
            metadata_configuration=MetadataConfiguration(non_filterable_metadata_keys=list(non_filterable)),
        )
        try:
            indexes.create_index(self.store._session, request)
        except IndexExists:
            spec = Index(self, name).spec
            same = (spec.dimension, spec.metric, set(spec.non_filterable)) == (dimension, metric, set(non_filterable))
            if not (exist_ok and same):
                raise
        return Index(self, name)

    def delete(self, *, force: bool = False) -> None:
        """Delete the bucket; with `force`, its indexes first. Raises BucketNotFound, BucketNotEmpty."""
        if force:
            for index in self.indexes():
                index.delete_index()
        self.store.engine.catalog.delete_bucket(self.name)


class Index:
    """A handle to an index: vectors by key, with metadata."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self.bucket = bucket
        self.name = name

    def __repr__(self) -> str:
        return f"Index({self.bucket.name!r}, {self.name!r})"

    def __len__(self) -> int:
        return self.count()

    @property
    def spec(self) -> IndexSpec:
        """What the index is. Raises BucketNotFound, IndexNotFound."""
        return self.bucket.store.engine.catalog.index(self.bucket.name, self.name)

    @property
    def uid(self) -> str:
        """The UUID of the index, 36 characters; an index made anew under the same name has another."""
        return self.spec.uid

    @property
    def dimension(self) -> int:
        """The length of its vectors."""
        return self.spec.dimension

    @property
    def metric(self) -> Metric:
        """Its distance."""
        return self.spec.metric

    @property
    def non_filterable(self) -> tuple[str, ...]:
        """The metadata keys that filters cannot use."""
        return self.spec.non_filterable

    def exists(self) -> bool:
        """Whether the index exists."""
        try:
            _ = self.spec
        except NotFound:
            return False
        return True

    def put(self, keys: Sequence[str], vectors: Any, metadata: Any = None, *, progress: bool = False) -> None:
        """Insert or replace, in one transaction of any length: durable when it returns, all or nothing. Memory is
        needed for some thousand records at a time, and `progress` shows a bar.

        `vectors` is an (n, dimension) array or list of lists, converted to float32; `metadata` a list of n dicts (or
        None for some), or a DataFrame of n rows whose missing values are left out.

        Raises:
            InvalidKey, InvalidVector, DimensionMismatch, InvalidMetadata: the record at fault is named; nothing was
            changed.
        """
        if isinstance(keys, str):
            raise InvalidKey(f"Expected a list of keys, got the text {keys!r} - at `keys`", path="keys")
        with ExitStack() as stack:
            put_arrays(
                self.bucket.store._session,
                self.spec,
                keys=keys,
                vectors=vectors,
                metadata=to_metadata(metadata),
                progress=stack.enter_context(_bar(len(keys))).update if progress else None,
            )

    @overload
    def query(
        self,
        vector: Sequence[float],
        *,
        k: int = 10,
        where: Mapping[str, Any] | Filter | None = None,
        data: bool = False,
        metadata: bool = True,
        effort: float = 1.0,
    ) -> Results: ...

    @overload
    def query(
        self,
        vector: Any,
        *,
        k: int = 10,
        where: Mapping[str, Any] | Filter | None = None,
        data: bool = False,
        metadata: bool = True,
        effort: float = 1.0,
    ) -> Any: ...

    def query(
        self,
        vector: Any,
        *,
        k: int = 10,
        where: Mapping[str, Any] | Filter | None = None,
        data: bool = False,
        metadata: bool = True,
        effort: float = 1.0,
    ) -> Results | ResultsList:
        """The `k` nearest records that satisfy `where`, as Results; for a matrix (m, dimension), a list of m Results,
        for which all processors are used. Either has `to_pandas()`.

        An `effort` above 1 searches about so many times as much as the recall target takes, below 1 less;
        `math.inf` searches exactly.

        Raises:
            InvalidVector, DimensionMismatch, InvalidFilter, InvalidRequest: see those.
        """
        spec, engine = self._open()
        k = at_least_one(k, "k")
        many = is_matrix(vector)
        if many:
            queries = query_matrix(spec, vector)
        else:
            queries = query_vector(self.bucket.store._session, spec, vector)[np.newaxis]
        request = SearchRequest(
            queries=queries, k=k, where=to_filter(where, spec), data=data, metadata=metadata, effort=to_effort(effort)
        )
        found = ResultsList(Results(hits, metric=spec.metric) for hits in search(engine, request))
        return found if many else found[0]

    def explain(
        self, vector: Any, *, k: int = 10, where: Mapping[str, Any] | Filter | None = None, effort: float = 1.0
    ) -> Explanation:
        """How one such query runs: the plan, then each step with its candidates and microseconds. `print` it.

        Raises:
            InvalidVector, DimensionMismatch, InvalidFilter, InvalidRequest: see those.
        """
        spec, engine = self._open()
        query = query_vector(self.bucket.store._session, spec, vector)
        return engine.explain(query, k=at_least_one(k, "k"), where=to_filter(where, spec), effort=to_effort(effort))

    def tune(self, *, recall_target: float | None = None, queries: Any = None, k: int = 10) -> Tuning:
        """Search for this recall from now on, in every process, without building anything; returns what was chosen.

        Segments measure at build time, with rows as queries, what each recall takes. Real questions are often unlike
        the rows: given `queries`, a matrix (m, dimension) of some hundred of them, the effort is chosen so that their
        `k` nearest are found to the target, against exact search. Kept with the index; later builds keep to it.

        Raises:
            InvalidRequest: `recall_target` is not above 0 and at most 1. InvalidVector, DimensionMismatch.
        """
        spec, engine = self._open()
        matrix = None if queries is None else query_matrix(spec, queries)
        return engine.tune(
            recall_target=to_recall_target(recall_target),
            queries=matrix,
            k=at_least_one(k, "k"),
        )

    def get(self, keys: Sequence[str], *, data: bool = True, metadata: bool = True) -> list[Record]:
        """The records with these keys, in that order; absent ones are left out. Raises InvalidKey."""
        _, engine = self._open()
        return engine.get(to_keys(keys), data=data, metadata=metadata)

    def delete(self, keys: Sequence[str] | None = None, *, where: Mapping[str, Any] | Filter | None = None) -> int:
        """Delete by keys or by filter, in one transaction; returns how many records were there. `where={}` deletes all
        of them. Raises InvalidFilter, and InvalidKey for a key that is no text."""
        if (keys is None) == (where is None):
            raise InvalidRequest("Expected exactly one of `keys` and `where`", path="keys")
        spec, engine = self._open()
        if keys is None:
            return engine.delete_where(to_filter(where, spec))
        return engine.delete(list(dict.fromkeys(to_keys(keys))))

    def count(self, where: Mapping[str, Any] | Filter | None = None) -> int:
        """How many records satisfy the filter."""
        spec, engine = self._open()
        return engine.count(to_filter(where, spec))

    def iter(
        self,
        *,
        where: Mapping[str, Any] | Filter | None = None,
        data: bool = False,
        metadata: bool = True,
        batch: int = 1000,
        damaged: Damaged = "raise",
    ) -> Iterator[Record]:
        """All records that satisfy the filter, in byte order of key, read in batches.

        A record present all the while comes exactly once; one written or deleted meanwhile may or may not come. With
        `damaged` "skip", records that do not match their checksums are left out, and named in the log.

        Raises:
            Corrupted: a record is damaged; its key and row are named.
        """
        spec = self.spec
        batch = at_least_one(batch, "batch")
        condition, after = to_filter(where, spec), None
        while True:
            # Opened anew for each page: the store may have been closed meanwhile, or this may be a child by now.
            engine = self.bucket.store.engine.index(spec)
            page = engine.scan(after=after, limit=batch, where=condition, data=data, metadata=metadata, damaged=damaged)
            yield from page.records
            if page.next_after is None:
                return
            after = page.next_after

    def stats(self) -> IndexStats:
        """Figures: vectors, tombstones, segments with measured recall, bytes."""
        return self._open()[1].stats()

    def optimize(self) -> None:
        """Build now, in this thread, the segments that the background would build later."""
        self._open()[1].optimize()

    def compact(self) -> None:
        """Reclaim the space of deleted and replaced records now; the background does so once they are a quarter.

        Readers, writers and pages of earlier queries are not disturbed. Raises StoreFull when there is no space for a
        copy of what lives; nothing was changed.
        """
        self._open()[1].compact()

    def property(self, name: str) -> Any:
        """A JSON value kept with the index, None when it was never set."""
        return self.bucket.store.engine.catalog.property(self.spec.uid, name)

    def set_property(self, name: str, value: Any, *, expected: Any = ...) -> bool:
        """Set a JSON value (None removes it), durably; with `expected`, only where that is the value now. Tells whether
        it was set."""
        return self.bucket.store.engine.catalog.set_property(self.spec.uid, name, value, expected=expected)

    def delete_index(self) -> None:
        """Delete the index and all its vectors. Raises BucketNotFound, IndexNotFound."""
        self.bucket.store.engine.catalog.delete_index(self.bucket.name, self.name)

    def _open(self) -> tuple[IndexSpec, IndexEngine]:
        spec = self.spec
        return spec, self.bucket.store.engine.index(spec)


def _every(page_after: Callable[[str | None], Page]) -> Iterator[Any]:
    """The items of all pages."""
    after: str | None = None
    while True:
        page = page_after(after)
        yield from page.items
        if page.next_after is None:
            return
        after = page.next_after


def _given(engine: Engine | None) -> Engine:
    assert engine is not None, "checked by the caller"
    return engine


def _bar(total: int) -> tqdm[Any]:
    with warnings.catch_warnings():
        # Without ipywidgets tqdm warns, and draws a text bar, which serves as well.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

        return tqdm(total=total, desc="put", unit=" vectors", unit_scale=True)
