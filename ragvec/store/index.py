"""`Index`: a handle to an index, with every operation on its records."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ragvec.api.arguments import at_least_one, is_matrix, to_effort, to_filter, to_keys, to_metadata, to_recall_target
from ragvec.api.records import put_arrays, query_matrix, query_vector
from ragvec.api.requests import (
    TextSearchChange,
    TextSearchConfiguration,
    TextSearchKey,
    TextSearchRemoval,
    UpdateMetadataConfiguration,
)
from ragvec.api.text_arguments import to_fusion, to_texts
from ragvec.api.text_fields import update_metadata_configuration
from ragvec.engine.protocol import Explanation, IndexEngine, IndexSpec, IndexStats, TextField, Tuning
from ragvec.errors import InvalidKey, InvalidRequest, NotFound
from ragvec.filters.nodes import Filter
from ragvec.search.execute import search
from ragvec.search.fuse import Fusion
from ragvec.search.hybrid import text_search
from ragvec.search.request import SearchRequest, TextRequest
from ragvec.search.results import Results, ResultsList
from ragvec.search.text_results import TextResults
from ragvec.store.markup import html_index
from ragvec.types import Damaged, Metric, Record

if TYPE_CHECKING:
    from tqdm.auto import tqdm

    from ragvec.store.bucket import Bucket

__all__ = ["Index"]


class Index:
    """A handle to an index: vectors by key, with metadata."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self.bucket = bucket
        self.name = name

    def __repr__(self) -> str:
        return f"Index({self.bucket.name!r}, {self.name!r})"

    def _repr_html_(self) -> str:
        return html_index(self)

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
        vector: Any = None,
        *,
        text: str | Mapping[str, str],
        boosts: Mapping[str, float] | None = None,
        fusion: Fusion | str | None = None,
        k: int = 10,
        where: Mapping[str, Any] | Filter | None = None,
        data: bool = False,
        metadata: bool = True,
        effort: float = 1.0,
    ) -> TextResults: ...

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
        vector: Any = None,
        *,
        text: str | Mapping[str, str] | None = None,
        boosts: Mapping[str, float] | None = None,
        fusion: Fusion | str | None = None,
        k: int = 10,
        where: Mapping[str, Any] | Filter | None = None,
        data: bool = False,
        metadata: bool = True,
        effort: float = 1.0,
    ) -> Results | ResultsList:
        """The `k` nearest records that satisfy `where`, as Results; for a matrix (m, dimension), a list of m Results,
        for which all processors are used. Either has `to_pandas()`.

        With `text`, the `k` best: for texts alone by BM25, for a text and a vector by both rankings, fused. A text is
        plain words, any of which are sought, in every text field of the index; `{"title": "red shoes"}` names one. The
        `boosts` of fields weigh them against each other and against the vector, which has 1. `fusion` is "rrf",
        "weighted" or a value of `ragvec.search.fuse`; by default the one that is best as far as we have measured. Each
        hit has its scores.

        An `effort` above 1 searches about so many times as much as the recall target takes, below 1 less;
        `math.inf` searches exactly.

        Raises:
            InvalidVector, DimensionMismatch, InvalidFilter, InvalidRequest: see those. MissingExtra: the library of a
            language of text search is not installed.
        """
        spec, engine = self._open()
        k = at_least_one(k, "k")
        if text is not None:
            texts = to_texts(text, self._text_fields(spec), boosts=boosts, index=self.name)
            wanted = TextRequest(
                texts=texts,
                k=k,
                vector=None if vector is None else query_vector(self.bucket.store._session, spec, vector),
                fusion=to_fusion(fusion),
                where=to_filter(where, spec),
                data=data,
                metadata=metadata,
                scores=True,
                effort=to_effort(effort),
            )
            return TextResults(text_search(engine, wanted), metric=spec.metric, texts=[text.key for text in texts])
        if vector is None or boosts is not None or fusion is not None:
            raise InvalidRequest(
                "Expected a vector, a text or both; `boosts` and `fusion` belong to a text - at `text`", path="text"
            )
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
        self,
        vector: Any = None,
        *,
        text: str | Mapping[str, str] | None = None,
        k: int = 10,
        where: Mapping[str, Any] | Filter | None = None,
        effort: float = 1.0,
    ) -> Explanation:
        """How one such query runs: the plan, then each step with its candidates and microseconds. `print` it.

        Raises:
            InvalidVector, DimensionMismatch, InvalidFilter, InvalidRequest: see those. MissingExtra: the library of a
            language of text search is not installed.
        """
        spec, engine = self._open()
        if vector is None and text is None:
            raise InvalidRequest("Expected a vector, a text or both - at `vector`", path="vector")
        return engine.explain(
            None if vector is None else query_vector(self.bucket.store._session, spec, vector),
            k=at_least_one(k, "k"),
            where=to_filter(where, spec),
            effort=to_effort(effort),
            texts=() if text is None else to_texts(text, self._text_fields(spec), index=self.name),
        )

    @property
    def text_fields(self) -> dict[str, str | None]:
        """The metadata keys whose text is searched, each with its language, None for any."""
        return {field.key: field.language for field in self._text_fields(self.spec)}

    def add_text(self, key: str, *, language: str | None = None) -> None:
        """Search the text of this metadata key too, filterable or not: a string, or each of a list of strings.

        `language` is one of `ragvec.text.analyzers.LANGUAGES`: its inflections meet. Without, words are only folded to
        one case, whatever their language. What is stored already is found at once; its lists are built in the
        background (`stats().text` tells).

        Raises:
            TextFieldExists: also when it is there in another language: drop it first. InvalidRequest: there is no such
            language. MissingExtra: its library is not installed.
        """
        fields = [TextSearchConfiguration(metadata_key=key, language=language)]
        self._change_text(add=TextSearchChange(text_search_configurations=fields))

    def drop_text(self, key: str) -> None:
        """Search the text of this metadata key no more. Raises TextFieldNotFound."""
        self._change_text(delete=TextSearchRemoval(text_search_configurations=[TextSearchKey(metadata_key=key)]))

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

    def property_names(self, *, prefix: str) -> list[str]:
        """The names of the properties that begin with this, in order."""
        return self.bucket.store.engine.catalog.property_names(self.spec.uid, prefix=prefix)

    def set_property(self, name: str, value: Any, *, expected: Any = ...) -> bool:
        """Set a JSON value (None removes it), durably; with `expected`, only where that is the value now. Tells whether
        it was set."""
        return self.bucket.store.engine.catalog.set_property(self.spec.uid, name, value, expected=expected)

    def delete_index(self) -> None:
        """Delete the index and all its vectors. Raises BucketNotFound, IndexNotFound."""
        self.bucket.store.engine.catalog.delete_index(self.bucket.name, self.name)

    def _change_text(self, *, add: TextSearchChange | None = None, delete: TextSearchRemoval | None = None) -> None:
        request = UpdateMetadataConfiguration(
            vector_bucket_name=self.bucket.name, index_name=self.name, add=add, delete=delete
        )
        update_metadata_configuration(self.bucket.store._session, request)

    def _text_fields(self, spec: IndexSpec) -> tuple[TextField, ...]:
        return self.bucket.store.engine.catalog.text_fields(spec.uid)

    def _open(self) -> tuple[IndexSpec, IndexEngine]:
        spec = self.spec
        return spec, self.bucket.store.engine.index(spec)


def _bar(total: int) -> tqdm[Any]:
    with warnings.catch_warnings():
        # Without ipywidgets tqdm warns, and draws a text bar, which serves as well.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

        return tqdm(total=total, desc="put", unit=" vectors", unit_scale=True)
