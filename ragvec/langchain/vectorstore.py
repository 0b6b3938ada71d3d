"""LangChain's `VectorStore` on an index.

    store = RagvecVectorStore.open("my-store", embedding="minilm")
    store.add_documents(documents)
    store.similarity_search("how much leave do I get?", k=4, filter={"year": {"$gte": 2024}})
    store.as_retriever(search_type="mmr", search_kwargs={"k": 6})

https://reference.langchain.com/python/langchain_core/vectorstores/
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import UpsertResponse
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from ragvec.api.arguments import at_least_one
from ragvec.errors import EmbedderMismatch, InvalidRequest
from ragvec.kendra.embedders import embedder_for
from ragvec.langchain.client_table import ClientTable
from ragvec.langchain.documents import OTHER, document_of, metadata_of
from ragvec.langchain.embeddings import RagvecEmbeddings, as_embeddings, matrix_of, vector_of
from ragvec.langchain.filters import native_filter
from ragvec.langchain.tables import IndexTable, Row, Table, TableSpec
from ragvec.pipeline.passages import EMBEDDER_PROPERTY, HASH, HEADING, TEXT
from ragvec.store import Index, Store
from ragvec.types import FloatVector, Metric

__all__ = ["BUCKET", "NAME", "FilterLike", "RagvecVectorStore"]

BUCKET = "langchain"
NAME = "documents"

_BATCH = 512
"""Documents that are embedded and written together."""
_WIDER = 4

FilterLike: TypeAlias = "Mapping[str, Any] | Callable[[Document], bool] | None"
"""A filter of the vector API or in LangChain's common forms, or a function of a document (which is asked of one
document after the other, best first, and so is slower)."""


class RagvecVectorStore(VectorStore):
    """Documents in an index, by id: a text, metadata, and the vector of the text.

    `index` is that of a store, made with the first documents if it is missing; one that the pipeline filled is read as
    it is. `embedding` is LangChain's, or what the pipeline takes for an embedder; None is the one that filled the
    index, and all-MiniLM-L6-v2 for a new one. `text_key` is the metadata key of the text. A new index has the distance
    `metric`, and text search in the language `text` (None: no text search; "any": words as they stand).

    Ids are keys. Adding an id that is there replaces the document, and what is added last within one call counts. Each
    call of `add_documents` writes some hundred documents at a time, each time all or nothing.

    Raises:
        EmbedderMismatch: the index was filled by another embedder.
    """

    def __init__(
        self,
        index: Index | Table,
        embedding: Any = None,
        *,
        text_key: str = TEXT,
        metric: Metric = "cosine",
        text: str | None = "en",
    ) -> None:
        spec = TableSpec(
            metric=metric,
            non_filterable=(text_key, *(key for key in (HEADING, HASH, OTHER) if key != text_key)),
            text={} if text is None else {text_key: None if text == "any" else text},
        )
        self.table: Table = IndexTable(index, spec) if isinstance(index, Index) else index
        self.text_key = text_key
        self._embedding = self._embeddings_for(embedding)

    @classmethod
    def open(
        cls, path: str | Path, *, bucket: str = BUCKET, index: str = NAME, embedding: Any = None, **options: Any
    ) -> RagvecVectorStore:
        """The documents in an index of the store at `path`; either is made when it is missing. `options` as for the
        class. Raises StoreError."""
        return cls(Store(path).bucket(bucket).index(index), embedding, **options)

    @classmethod
    def from_client(
        cls,
        client: Any,
        *,
        bucket: str,
        index: str,
        embedding: Any,
        text_key: str = TEXT,
        metric: Metric = "cosine",
        text: str | None = None,
    ) -> RagvecVectorStore:
        """The documents in an index reached by a client in boto3's s3vectors shape: `boto3.client("s3vectors")` on the
        real service or on a server, or `ragvec.connect(path)`."""
        spec = TableSpec(
            metric=metric,
            non_filterable=(text_key, OTHER),
            text={} if text is None else {text_key: None if text == "any" else text},
        )
        return cls(ClientTable(client, bucket=bucket, index=index, spec=spec), embedding, text_key=text_key)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Any = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | Path | None = None,
        index: Index | Table | str = NAME,
        bucket: str = BUCKET,
        **options: Any,
    ) -> RagvecVectorStore:
        """A store with these texts, in the store at `path` or in an `index` given as such.

        Raises:
            InvalidRequest: neither is given.
        """
        if isinstance(index, str):
            if path is None:
                raise InvalidRequest("Expected `path`, the folder of a store, or `index`, an index", path="path")
            made = cls.open(path, bucket=bucket, index=index, embedding=embedding, **options)
        else:
            made = cls(index, embedding, **options)
        made.add_texts(texts, metadatas, ids=ids)
        return made

    def __repr__(self) -> str:
        return f"RagvecVectorStore({self.table!r}, {self._embedding!r})"

    def __len__(self) -> int:
        """How many documents there are. Raises InvalidRequest: the service does not tell."""
        count = self.table.count()
        if count is None:
            raise InvalidRequest("The vector-bucket services do not tell how many vectors an index holds")
        return count

    @property
    def embeddings(self) -> Embeddings:
        """What the texts are embedded with."""
        return self._embedding

    # -- writing --

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """See `VectorStore.add_texts`; `batch_size` documents are embedded and written together.

        Raises:
            InvalidRequest: the lists differ in length. InvalidMetadata: the document is named, and none of
            its batch was written. EmbedderMismatch, DimensionMismatch.
        """
        given = list(texts)
        for name, values in (("metadatas", metadatas), ("ids", ids)):
            if values is not None and len(values) != len(given):
                raise InvalidRequest(f"Expected {len(given)} `{name}`, one a text, got {len(values)}", path=name)
        documents = [
            Document(
                id=None if ids is None else ids[at], page_content=text, metadata=metadatas[at] if metadatas else {}
            )
            for at, text in enumerate(given)
        ]
        return self._write(documents, **kwargs)

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        """See `VectorStore.add_documents`; documents without an id get a random one. Raises as `add_texts`."""
        ids = kwargs.pop("ids", None)
        if ids is None:
            return self._write(documents, **kwargs)
        texts, metadatas = [each.page_content for each in documents], [each.metadata for each in documents]
        return self.add_texts(texts, metadatas, ids=ids, **kwargs)

    def upsert(self, items: Sequence[Document], /, **kwargs: Any) -> UpsertResponse:
        """As `add_documents`, with LangChain's response of a document index. Raises as `add_texts`."""
        return {"succeeded": self._write(list(items), **kwargs), "failed": []}

    def delete(self, ids: list[str] | None = None, *, filter: FilterLike = None, **kwargs: Any) -> bool:
        """Delete by ids or by `filter`, one of the two; what is not there is no error.

        Raises:
            InvalidRequest: neither or both are given, or the filter is a function or the service has none.
        """
        _require_no_more(kwargs)
        if (ids is None) == (filter is None):
            raise InvalidRequest("Expected exactly one of `ids` and `filter`", path="ids")
        if ids is not None:
            self.table.delete(ids)
            return True
        where = None if callable(filter) else native_filter(filter)
        if where is None:
            raise InvalidRequest("Expected a filter with a condition - at `filter`", path="filter")
        self.table.delete_where(where)
        return True

    # -- reading --

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents with these ids, in that order, each once; absent ones are left out."""
        return [self._document(row) for row in self.table.get(list(dict.fromkeys(ids)))]

    def similarity_search(
        self,
        query: str,
        k: int = 4,
        *,
        filter: FilterLike = None,
        **kwargs: Any,
    ) -> list[Document]:
        """The `k` nearest documents, nearest first; `kwargs` such as `effort` as `ragvec.Index.query` has them."""
        return [document for document, _ in self.similarity_search_with_score(query, k, filter=filter, **kwargs)]

    def similarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        *,
        filter: FilterLike = None,
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """The same, each with its distance: lower is nearer."""
        vector = vector_of(self._embedding, query)
        return self.similarity_search_with_score_by_vector(vector, k, filter=filter, **kwargs)

    def similarity_search_by_vector(
        self,
        embedding: Any,
        k: int = 4,
        *,
        filter: FilterLike = None,
        **kwargs: Any,
    ) -> list[Document]:
        """The `k` documents nearest to a vector."""
        found = self.similarity_search_with_score_by_vector(embedding, k, filter=filter, **kwargs)
        return [document for document, _ in found]

    def similarity_search_with_score_by_vector(
        self,
        embedding: Any,
        k: int = 4,
        *,
        filter: FilterLike = None,
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """The same, each with its distance."""
        rows = self._nearest(_vector(embedding), text=None, k=k, given=filter, options=kwargs)
        return [(self._document(row), _distance(row)) for row in rows]

    def text_search(
        self,
        query: str,
        k: int = 4,
        *,
        filter: FilterLike = None,
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """The `k` best by the words of the query (BM25), each with its score: higher is better.

        Raises:
            InvalidRequest: the index has no text search.
        """
        rows = self._nearest(None, text=query, k=k, given=filter, options=kwargs)
        return [(self._document(row), float(row.score or 0.0)) for row in rows]

    def hybrid_search(
        self,
        query: str,
        k: int = 4,
        *,
        filter: FilterLike = None,
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """The `k` best by words and by vector together, each with its fused score: higher is better. Raises as
        `text_search`."""
        vector = vector_of(self._embedding, query)
        rows = self._nearest(vector, text=query, k=k, given=filter, options=kwargs)
        return [(self._document(row), float(row.score or 0.0)) for row in rows]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: FilterLike = None,
        **kwargs: Any,
    ) -> list[Document]:
        """`k` of the `fetch_k` nearest documents, chosen to be unlike each other (Carbonell and Goldstein, 1998)."""
        vector = vector_of(self._embedding, query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, filter=filter, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Any,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: FilterLike = None,
        **kwargs: Any,
    ) -> list[Document]:
        """The same by a vector."""
        vector = _vector(embedding)
        rows = self._nearest(vector, text=None, k=max(k, fetch_k), given=filter, options=kwargs, data=True)
        kept = [row for row in rows if row.data is not None]
        vectors = [row.data.tolist() for row in kept if row.data is not None]
        chosen = maximal_marginal_relevance(vector, vectors, lambda_mult=lambda_mult, k=at_least_one(k, "k"))
        return [self._document(kept[at]) for at in chosen]

    def search(self, query: str, search_type: str, **kwargs: Any) -> list[Document]:
        """See `VectorStore.search`; besides its types there are "text" and "hybrid"."""
        if search_type == "text":
            return [document for document, _ in self.text_search(query, **kwargs)]
        if search_type == "hybrid":
            return [document for document, _ in self.hybrid_search(query, **kwargs)]
        return super().search(query, search_type, **kwargs)

    # -- inside --

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """Distances as relevance between 0 and 1: cosine similarity, 0 where it is negative, or 1 / (1 + distance)."""
        if self.table.metric() == "cosine":
            return lambda distance: min(1.0, max(0.0, 1.0 - distance))
        return lambda distance: 1.0 / (1.0 + distance)

    def _embeddings_for(self, given: Any) -> Embeddings:
        recorded = None
        if isinstance(self.table, IndexTable) and self.table.index.exists():
            recorded = self.table.index.property(EMBEDDER_PROPERTY)
            if given is None and recorded is not None:
                return RagvecEmbeddings(embedder_for(self.table.index))
        embeddings = as_embeddings(given)
        if recorded is not None and isinstance(embeddings, RagvecEmbeddings):
            name = embeddings.embedder.name
            if name != recorded["name"]:
                raise EmbedderMismatch(
                    f"The index {self.table!r} was filled by the embedder {recorded['name']!r}, got {name!r}",
                    path="embedding",
                )
        return embeddings

    def _write(self, documents: list[Document], *, batch_size: int = _BATCH, **kwargs: Any) -> list[str]:
        _require_no_more(kwargs)
        ids = [document.id or str(uuid.uuid4()) for document in documents]
        rows = zip(ids, documents, strict=True)
        for batch in _batches(rows, at_least_one(batch_size, "batch_size")):
            last = dict(batch)  # of an id that comes twice, what was added last
            metadata = [metadata_of(document, text_key=self.text_key) for document in last.values()]
            vectors = matrix_of(self._embedding, [document.page_content for document in last.values()])
            self.table.put(list(last), vectors, metadata)
        if documents:
            self._record_embedder()
        return ids

    def _record_embedder(self) -> None:
        """Have the index say who filled it, for those who open it later."""
        if not isinstance(self.table, IndexTable) or not isinstance(self._embedding, RagvecEmbeddings):
            return
        embedder = self._embedding.embedder
        value = {"name": embedder.name, "dimension": embedder.dimension}
        self.table.index.set_property(EMBEDDER_PROPERTY, value, expected=None)

    def _nearest(
        self,
        vector: FloatVector | None,
        *,
        text: str | None,
        k: int,
        given: FilterLike,
        options: Mapping[str, Any],
        data: bool = False,
    ) -> list[Row]:
        k = at_least_one(k, "k")
        if not callable(given):
            where = native_filter(given)
            return self.table.query(vector=vector, text=text, k=k, where=where, data=data, options=options)
        wide = _WIDER * k
        while True:
            rows = self.table.query(vector=vector, text=text, k=wide, where=None, data=data, options=options)
            kept = [row for row in rows if given(self._document(row))]
            if len(kept) >= k or len(rows) < wide:
                return kept[:k]
            wide *= _WIDER

    def _document(self, row: Row) -> Document:
        return document_of(row, text_key=self.text_key)


def _vector(given: Any) -> FloatVector:
    return np.asarray(given, dtype=np.float32)


def _distance(row: Row) -> float:
    return float("nan") if row.distance is None else float(row.distance)


def _require_no_more(options: Mapping[str, Any]) -> None:
    if options:
        raise InvalidRequest(f"Unknown argument {sorted(options)[0]!r}", path=sorted(options)[0])


def _batches(rows: Iterable[tuple[str, Document]], size: int) -> Iterator[list[tuple[str, Document]]]:
    rest = iter(rows)
    while batch := list(islice(rest, size)):
        yield batch
