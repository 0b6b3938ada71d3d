"""LangChain's retriever on an index: by vector, by words, or by both."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from ragvec.langchain.parents import parent_documents
from ragvec.langchain.vectorstore import BUCKET, NAME, RagvecVectorStore

__all__ = ["RagvecRetriever"]

_PASSAGES_A_PARENT = 4


class RagvecRetriever(BaseRetriever):
    """The `k` best documents for a question.

    Either `vectorstore`, or `path` with `bucket` and `index`, says where they are; a retriever with a path can be
    written by `langchain_core.load.dumps` and read again, and opens its store when it is first asked. `embedding` is
    as for `RagvecVectorStore`. `mode` is "hybrid" (words and vector together), "dense" or "text". Documents carry their
    score in their metadata under `score_key`, unless that is None: fused or BM25 (higher is better), or the distance
    in "dense" (lower is nearer). With `parents`, for an index that the pipeline filled with small passages of larger
    parts (the chunker "parents:…"), the documents are the `k` best of those parts.
    """

    vectorstore: RagvecVectorStore | None = Field(default=None, exclude=True)
    path: str | None = None
    bucket: str = BUCKET
    index: str = NAME
    embedding: Any = None
    mode: Literal["hybrid", "dense", "text"] = "hybrid"
    k: int = Field(default=4, ge=1)
    filter: Any = None
    score_key: str | None = None
    parents: bool = False
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    _opened: RagvecVectorStore | None = PrivateAttr(default=None)

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """True: where documents are is a path."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where LangChain finds the class when it reads one."""
        return ["ragvec", "langchain", "retriever"]

    @model_validator(mode="after")
    def _has_a_place(self) -> RagvecRetriever:
        if (self.vectorstore is None) == (self.path is None):
            raise ValueError("Expected exactly one of `vectorstore` and `path`")
        return self

    @property
    def store(self) -> RagvecVectorStore:
        """Where the documents are; opened when it is first asked for. Raises StoreError."""
        if self.vectorstore is not None:
            return self.vectorstore
        if self._opened is None:
            assert self.path is not None
            self._opened = RagvecVectorStore.open(
                self.path, bucket=self.bucket, index=self.index, embedding=self.embedding
            )
        return self._opened

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        **kwargs: Any,
    ) -> list[Document]:
        options = {**self.search_kwargs, **kwargs}
        mode, k = options.pop("mode", self.mode), options.pop("k", self.k)
        where = options.pop("filter", self.filter)
        searches = {
            "hybrid": self.store.hybrid_search,
            "dense": self.store.similarity_search_with_score,
            "text": self.store.text_search,
        }
        if mode not in searches:
            raise ValueError(f"Expected `mode` hybrid, dense or text, got {mode!r}")
        if self.parents:
            passages = searches[mode](query, _PASSAGES_A_PARENT * k, filter=where, **options)
            found = parent_documents(self.store.table, passages, most=k)
        else:
            found = searches[mode](query, k, filter=where, **options)
        if self.score_key is None:
            return [document for document, _ in found]
        return [
            document.model_copy(update={"metadata": {**document.metadata, self.score_key: score}})
            for document, score in found
        ]

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = "ragvec"
        return params
