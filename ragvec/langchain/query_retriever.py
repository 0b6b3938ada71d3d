"""LangChain's retriever over the query layer: ranked passages with attributes, by who asks."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from pydantic import ConfigDict, Field

from ragvec.kendra.index import QueryIndex
from ragvec.kendra.results import PassageItem

__all__ = ["RagvecQueryRetriever"]


class RagvecQueryRetriever(BaseRetriever):
    """The best passages of a query index that `user` and `groups` may see; where neither is given, nothing is hidden.

    Both can also be given with each question: `retriever.invoke(text, user="alice", groups=["hr"])`, and so can what
    else `QueryIndex.retrieve` takes. `where` is a filter on attributes. Metadata hold the attributes, and document_id,
    title, source, score, confidence, begin, end and, where there is one, heading and page.
    """

    query_index: QueryIndex
    k: int = Field(default=10, ge=1)
    where: Any = None
    user: str | None = None
    groups: tuple[str, ...] = ()
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        **kwargs: Any,
    ) -> list[Document]:
        options: dict[str, Any] = {
            "where": self.where,
            "user": self.user,
            "groups": self.groups or None,
            **self.search_kwargs,
            **kwargs,
        }
        k = options.pop("k", self.k)
        return [_document(item) for item in self.query_index.retrieve(query, page_size=k, **options)]

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = "ragvec"
        return params


def _document(item: PassageItem) -> Document:
    known = {
        "document_id": item.document_id,
        "title": item.title,
        "source": item.uri or item.document_id,
        "score": item.score,
        "confidence": item.confidence,
        "heading": item.heading,
        "page": item.page_number,
        "begin": item.begin,
        "end": item.end,
    }
    metadata = {**item.attributes, **{key: value for key, value in known.items() if value not in (None, "")}}
    return Document(id=f"{item.document_id}#{item.begin}", page_content=item.text, metadata=metadata)
