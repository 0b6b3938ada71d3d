"""LangChain: a vector store, retrievers, and embeddings, on a store of this machine or on vector buckets elsewhere.

Needs langchain-core (the extra `langchain`), which is imported with this package.
"""

from ragvec.extras import require

require("langchain_core", extra="langchain", purpose="ragvec.langchain", package="langchain-core")

from ragvec.langchain.embeddings import RagvecEmbeddings  # noqa: E402
from ragvec.langchain.query_retriever import RagvecQueryRetriever  # noqa: E402
from ragvec.langchain.retriever import RagvecRetriever  # noqa: E402
from ragvec.langchain.translator import RagvecTranslator  # noqa: E402
from ragvec.langchain.vectorstore import RagvecVectorStore  # noqa: E402

__all__ = [
    "RagvecEmbeddings",
    "RagvecQueryRetriever",
    "RagvecRetriever",
    "RagvecTranslator",
    "RagvecVectorStore",
]
