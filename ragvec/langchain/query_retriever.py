"""LangChain's retriever over the query layer: ranked passages with attributes, by who asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from ragvec.kendra.index import QueryIndex
from ragvec.kendra.results import PassageItem
from ragvec.store import Store

__all__ = ["RagvecQueryRetriever"]

_PAGE = 100
"""Passages on a page of Retrieve, at most."""


class RagvecQueryRetriever(BaseRetriever):
    """The best passages of a query index that `user` and `groups` may see; where neither is given, nothing is hidden.

    The index is given in one of three ways: `query_index`; `path` with `bucket` and `index`, which is opened when it is
    first asked (such a retriever is written by `langchain_core.load.dumps` and read again); or `client`, in the shape
    of boto3's kendra client, such as one on `ragvec serve`, with `index_id`.

    `user` and `groups` can also be given with each question: `retriever.invoke(text, user="alice", groups=["hr"])`, and
    so can what else `QueryIndex.retrieve`, or Retrieve of the client, takes. `where` is a filter on attributes, for a
    client an AttributeFilter. Metadata hold the attributes, and document_id, title, source, confidence, begin and end
    where they are known, and of an index here score, heading and page.
    """

    query_index: QueryIndex | None = Field(default=None, exclude=True)
    path: str | None = None
    bucket: str | None = None
    index: str | None = None
    embedder: str | None = None
    client: Any = Field(default=None, exclude=True)
    index_id: str | None = None
    k: int = Field(default=10, ge=1)
    where: Any = None
    user: str | None = None
    groups: tuple[str, ...] = ()
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    _opened: QueryIndex | None = PrivateAttr(default=None)

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """True: where the index is can be a path."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where LangChain finds the class when it reads one."""
        return ["ragvec", "langchain", "query_retriever"]

    @model_validator(mode="after")
    def _has_a_place(self) -> RagvecQueryRetriever:
        ways = [self.query_index is not None, self.path is not None, self.client is not None]
        if sum(ways) != 1:
            raise ValueError("Expected exactly one of `query_index`, `path` and `client`")
        if self.path is not None and (self.bucket is None or self.index is None):
            raise ValueError("Expected `bucket` and `index` with `path`")
        if self.client is not None and self.index_id is None:
            raise ValueError("Expected `index_id` with `client`")
        return self

    @property
    def searched(self) -> QueryIndex:
        """The index of a store in this process; opened when it is first asked for. Raises StoreError."""
        if self.query_index is not None:
            return self.query_index
        if self._opened is None:
            assert self.path is not None
            assert self.bucket is not None
            assert self.index is not None
            self._opened = QueryIndex(Store(self.path).bucket(self.bucket).index(self.index), embedder=self.embedder)
        return self._opened

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        options: dict[str, Any] = {**self.search_kwargs, **kwargs}
        k, where = options.pop("k", self.k), options.pop("where", self.where)
        user, groups = options.pop("user", self.user), options.pop("groups", self.groups)
        if self.client is not None:
            return self._by_client(query, k=k, where=where, user=user, groups=groups, options=options)
        found = self.searched.retrieve(query, page_size=k, where=where, user=user, groups=groups or None, **options)
        return [_of_item(item) for item in found]

    def _by_client(
        self, query: str, *, k: int, where: Any, user: str | None, groups: Any, options: Mapping[str, Any]
    ) -> list[Document]:
        request: dict[str, Any] = {"IndexId": self.index_id, "QueryText": query, **options}
        if where is not None:
            request["AttributeFilter"] = where
        context = {"UserId": user, "Groups": list(groups or ())}
        if given := {key: value for key, value in context.items() if value}:
            request["UserContext"] = given
        found: list[Document] = []
        page = 1
        while len(found) < k:
            answer = self.client.retrieve(**request, PageNumber=page, PageSize=min(_PAGE, k))
            items = answer.get("ResultItems", [])
            found += [_of_response(item) for item in items]
            if len(items) < min(_PAGE, k):
                break
            page += 1
        return found[:k]

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = "ragvec"
        return params


def _of_item(item: PassageItem) -> Document:
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


def _of_response(item: Mapping[str, Any]) -> Document:
    """A passage of Retrieve's response; an attribute's value is the one member of its object."""
    attributes = {each["Key"]: next(iter(each["Value"].values()), None) for each in item.get("DocumentAttributes", ())}
    known = {
        "document_id": item.get("DocumentId"),
        "title": item.get("DocumentTitle"),
        "source": item.get("DocumentURI") or item.get("DocumentId"),
        "confidence": item.get("ScoreAttributes", {}).get("ScoreConfidence"),
    }
    metadata = {**attributes, **{key: value for key, value in known.items() if value not in (None, "")}}
    return Document(id=item.get("Id"), page_content=item["Content"], metadata=metadata)
