"""The pipeline: running again, everything but embedding, memory, and the time beside a plain LangChain pipeline.

    python -m benchmarks.pipeline again       10,000 documents, twice: the second run has nothing to do
    python -m benchmarks.pipeline stages      python-docs: load, chunk and write, with an embedder that costs nothing
    python -m benchmarks.pipeline cache       what keeping vectors costs a first run
    python -m benchmarks.pipeline memory      a gigabyte of generated JSON lines: the peak of the process
    python -m benchmarks.pipeline langchain   the same files through LangChain (loader, splitter, HuggingFace, Chroma)

Without a name, all. Each runs in a process of its own. `--share` takes a part of the input. The peers of `langchain`
(langchain-text-splitters, langchain-huggingface or sentence-transformers, langchain-chroma or chromadb) are used as
installed, and the part is left out without them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.embedding import glosses, scifact
from benchmarks.processes import Failed, in_child
from ragvec.pipeline.documents import Document
from ragvec.pipeline.embedders import MiniLMEmbedder
from ragvec.pipeline.run import Pipeline
from ragvec.store import Store

__all__ = ["again", "cache", "langchain", "main", "memory", "stages"]

DOCUMENTS = 10_000
GIGABYTE = 1 << 30
ABSTRACTS = 600
LIMIT = 3_600.0


class Free:
    """An embedder that costs next to nothing: a vector by the length of the text. It measures as MiniLM does."""

    dimension = 384
    cacheable = False
    max_tokens = MiniLMEmbedder.max_tokens

    def __init__(self, *, cacheable: bool = False) -> None:
        self.name = "free"
        self.cacheable = cacheable
        self.tokenizer = MiniLMEmbedder().tokenizer
        self._table = np.random.default_rng(0).normal(size=(4096, self.dimension)).astype(np.float32)

    def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
        return self._table[[len(text) % 4096 for text in texts]]

    def embed_query(self, text: str) -> np.ndarray:
        return self._table[len(text) % 4096]


def again(*, folder: str, share: float, **_: Any) -> dict[str, Any]:
    """Two runs over the same documents, with the default embedder."""
    texts = glosses(int(DOCUMENTS * share))
    documents = [Document(id=f"{row:05}", text=text) for row, text in enumerate(texts)]
    with Store(Path(folder) / "store") as store:
        pipeline = Pipeline(index=store.bucket("bench").index("again"))
        pipeline.embedder.embed_documents(["warm"])
        first = pipeline.run(documents, progress=False)
        second = pipeline.run(documents, progress=False)
    assert second.unchanged == len(documents)
    return {"documents": len(documents), "first": first.total_seconds, "second": second.total_seconds}


def stages(*, folder: str, **_: Any) -> dict[str, Any]:
    """Python's documentation with an embedder that costs nothing."""
    from ragvec.pipeline.python_docs import python_docs

    with Store(Path(folder) / "store") as store:
        pipeline = Pipeline(index=store.bucket("bench").index("docs"), embedder=Free())
        report = pipeline.run(python_docs(), progress=False)
    return {
        "documents": report.documents,
        "chunks": report.chunks,
        "seconds": report.total_seconds,
        "by_stage": report.seconds,
    }


def cache(*, folder: str, share: float, **_: Any) -> dict[str, Any]:
    """What keeping costs: seconds of finding and keeping, against those of embedding the same texts with MiniLM."""
    from ragvec.pipeline.cache import VectorCache

    texts = glosses(int(4_000 * share))
    embedder = MiniLMEmbedder()
    embedder.embed_documents(["warm"])
    kept = VectorCache(Path(folder) / "cache" / "vectors.sqlite")
    embedding = keeping = 0.0
    for at in range(0, len(texts), 256):
        part = texts[at : at + 256]
        began = time.perf_counter()
        vectors = embedder.embed_documents(part)
        middle = time.perf_counter()
        kept.find("model", 384, part)
        kept.keep("model", part, vectors)
        embedding += middle - began
        keeping += time.perf_counter() - middle
    return {"texts": len(texts), "embedding": embedding, "keeping": keeping}


def memory(*, folder: str, share: float, **_: Any) -> dict[str, Any]:
    """A gigabyte of JSON lines. The peak is sampled from outside; `before` is that of the process with the model."""
    from benchmarks.processes import memory as resident

    path = Path(folder) / "corpus.jsonl"
    words = " ".join(glosses(400)).split()
    random = np.random.default_rng(0)
    size = number = 0
    with path.open("w", encoding="utf-8") as file:
        while size < GIGABYTE * share:
            text = " ".join(words[at] for at in random.integers(len(words), size=1500))
            line = json.dumps({"id": f"{number:07}", "text": text}) + "\n"
            file.write(line)
            size += len(line)
            number += 1
    embedder = Free()
    MiniLMEmbedder().embed_documents(["the model is in memory"])
    before = resident()["anonymous"]
    with Store(Path(folder) / "store") as store:
        report = Pipeline(index=store.bucket("bench").index("large"), embedder=embedder, text=None).run(
            path, progress=False
        )
    return {
        "bytes": size,
        "documents": report.documents,
        "chunks": report.chunks,
        "seconds": report.total_seconds,
        "before": before,
    }


def langchain(*, folder: str, share: float, **_: Any) -> dict[str, Any]:
    """SciFact abstracts as text files: ours, and LangChain's loader, splitter, embeddings and Chroma."""
    _, texts, *_rest = scifact()
    files = Path(folder) / "files"
    files.mkdir()
    for row, text in enumerate(texts[: int(ABSTRACTS * share)]):
        (files / f"{row:05}.txt").write_text(text, encoding="utf-8")
    MiniLMEmbedder().embed_documents(["the libraries are loaded"])
    began = time.perf_counter()
    with Store(Path(folder) / "store") as store:
        report = Pipeline(index=store.bucket("bench").index("files")).run(files, progress=False)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    theirs = _through_langchain(files, Path(folder) / "chroma")
    return {
        "files": report.documents,
        "ours": ours,
        "our_chunks": report.chunks,
        "theirs": time.perf_counter() - began,
        "their_chunks": theirs,
    }


def _through_langchain(files: Path, folder: Path) -> int:
    """What a tutorial does; the number of chunks."""
    from langchain_core.documents import Document as Page
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    pages = [
        Page(page_content=path.read_text(encoding="utf-8"), metadata={"source": str(path)})
        for path in sorted(files.glob("**/*.txt"))
    ]
    chunks = RecursiveCharacterTextSplitter(chunk_size=800, chunk_overlap=0).split_documents(pages)
    import chromadb
    from sentence_transformers import SentenceTransformer

    # As langchain-huggingface and langchain-chroma do it: `encode` on all texts, then one `upsert` a batch.
    model = SentenceTransformer(str(MiniLMEmbedder().folder), local_files_only=True)
    collection = chromadb.PersistentClient(str(folder)).create_collection("files")
    vectors = model.encode([chunk.page_content for chunk in chunks], show_progress_bar=False)
    for at in range(0, len(chunks), 5_000):
        part = chunks[at : at + 5_000]
        collection.upsert(
            ids=[str(at + row) for row in range(len(part))],
            embeddings=vectors[at : at + 5_000],
            documents=[chunk.page_content for chunk in part],
            metadatas=[chunk.metadata for chunk in part],
        )
    return len(chunks)


def _tell_again(found: dict[str, Any]) -> str:
    return (
        f"{found['documents']:,} documents: first run {found['first']:.1f} s, second {found['second']:.2f} s, "
        f"{found['first'] / found['second']:.0f} x"
    )


def _tell_stages(found: dict[str, Any]) -> str:
    parts = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in found["by_stage"].items())
    rate = found["chunks"] / found["seconds"]
    return f"{found['chunks']:,} chunks in {found['seconds']:.2f} s, {rate:,.0f}/s ({parts})"


def _tell_cache(found: dict[str, Any]) -> str:
    return (
        f"{found['texts']:,} texts: embedding {found['embedding']:.1f} s, looking up and keeping "
        f"{found['keeping']:.2f} s, {100 * found['keeping'] / found['embedding']:.1f} %"
    )


def _tell_memory(found: dict[str, Any]) -> str:
    more = found["peak_anonymous"] - found["before"]
    return (
        f"{found['bytes'] / 2**30:.2f} GiB, {found['documents']:,} documents, {found['chunks']:,} chunks in "
        f"{found['seconds']:.0f} s: {more / 2**20:,.0f} MiB beyond the {found['before'] / 2**20:,.0f} MiB "
        "with the model"
    )


def _tell_langchain(found: dict[str, Any]) -> str:
    return (
        f"{found['files']:,} files: ragvec {found['ours']:.1f} s ({found['our_chunks']:,} chunks), LangChain "
        f"{found['theirs']:.1f} s ({found['their_chunks']:,} chunks), {found['theirs'] / found['ours']:.2f} x"
    )


PARTS: dict[str, tuple[Callable[[dict[str, Any]], str], tuple[str, ...]]] = {
    "again": (_tell_again, ()),
    "stages": (_tell_stages, ()),
    "cache": (_tell_cache, ()),
    "memory": (_tell_memory, ()),
    "langchain": (_tell_langchain, ("langchain_text_splitters", "chromadb")),
}


def _measured(names: list[str], share: float) -> Iterator[str]:
    for name in names:
        tell, needed = PARTS[name]
        missing = [module for module in needed if importlib.util.find_spec(module) is None]
        if missing:
            yield f"{name:<10} left out: {', '.join(missing)} not installed"
            continue
        with tempfile.TemporaryDirectory(prefix="ragvec-pipeline-") as folder:
            try:
                found = in_child(
                    f"benchmarks.pipeline:{name}", {"folder": folder, "share": share}, limit=LIMIT, threads=2
                )
            except Failed as failure:
                yield f"{name:<10} failed: {failure}"
                continue
        yield f"{name:<10} {tell(found)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--share", type=float, default=1.0, help="of the input (default: all)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.parts if name not in PARTS]
    if unknown:
        sys.exit(f"Expected some of {', '.join(PARTS)}, got {', '.join(unknown)}")
    for line in _measured(arguments.parts or list(PARTS), arguments.share):
        print(line, flush=True)


if __name__ == "__main__":
    main()
