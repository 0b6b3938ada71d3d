"""The systems that are measured, one adapter per file: `SYSTEMS` says which there are, `system` makes one."""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path

import msgspec

from benchmarks.systems.base import System

__all__ = ["SYSTEMS", "Entry", "system", "version"]

PACKAGE = Path(__file__).resolve().parents[2] / "ragvec"


class Entry(msgspec.Struct, frozen=True):
    """Where the adapter is, which distribution it measures, and what it takes part in.

    `group` is library (raw index, row numbers out) or product (keys and metadata out); `filters`, `writes`: whether it
    has filters, and takes writes while it is queried; `slow`: only the full form has it beyond the real collection.
    """

    module: str
    kind: str
    distribution: str
    group: str
    filters: bool = False
    writes: bool = False
    slow: bool = False


SYSTEMS: dict[str, Entry] = {
    "ragvec": Entry("ragvec_index", "RagvecIndex", "ragvec", "library", filters=True, writes=True),
    "ragvec-faiss": Entry("ragvec_index", "RagvecFaiss", "ragvec", "library"),
    "scann": Entry("scann_raw", "Scann", "scann", "library"),
    "scann-pca128": Entry("scann_raw", "ScannPca128", "scann", "library"),
    "scann-pca192": Entry("scann_raw", "ScannPca192", "scann", "library"),
    "hnswlib": Entry("hnswlib_raw", "Hnswlib", "hnswlib", "library"),
    "faiss-hnsw": Entry("faiss_raw", "FaissHnsw", "faiss-cpu", "library"),
    "faiss-ivfpq": Entry("faiss_raw", "FaissIvfPq", "faiss-cpu", "library"),
    "usearch": Entry("usearch_raw", "Usearch", "usearch", "library", slow=True),
    "ragvec-client": Entry("ragvec_client", "RagvecClient", "ragvec", "product", filters=True, writes=True),
    "chroma": Entry("chroma", "Chroma", "chromadb", "product", filters=True, writes=True),
    "lancedb": Entry("lance", "Lance", "lancedb", "product", filters=True, writes=True),
    "qdrant": Entry("qdrant", "Qdrant", "qdrant-client", "product", filters=True, writes=True, slow=True),
    "milvus": Entry("milvus", "Milvus", "milvus-lite", "product", filters=True, writes=True, slow=True),
    "sqlite-vec": Entry("sqlite_vector", "SqliteVec", "sqlite-vec", "product", filters=True, writes=True),
    "langchain": Entry("langchain_memory", "LangchainMemory", "langchain-core", "product", filters=True, slow=True),
}


def system(name: str, folder: Path, *, dimension: int, threads: int) -> System:
    """The adapter over `folder`, which holds one store or index, or will. Raises ImportError where it is absent."""
    entry = SYSTEMS[name]
    kind = getattr(importlib.import_module(f"benchmarks.systems.{entry.module}"), entry.kind)
    made: System = kind(folder, dimension=dimension, threads=threads)
    return made


def version(name: str) -> str | None:
    """The installed version, None where the distribution is absent. For ragvec the state of its sources is added, so
    that what an older state built is not measured as if it were this one's."""
    distribution = SYSTEMS[name].distribution
    if distribution == "ragvec":
        import hashlib

        digest = hashlib.sha256()
        for path in sorted(PACKAGE.rglob("*.py")):
            digest.update(path.read_bytes())
        return f"{_ragvec_version()}+{digest.hexdigest()[:10]}"
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _ragvec_version() -> str:
    import ragvec

    return ragvec.__version__
